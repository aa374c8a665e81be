"""The report of what ToolOps has saved, cost and prevented, from a ledger."""
