"""The path of one call: look up, coalesce, attempt, store, answer."""
