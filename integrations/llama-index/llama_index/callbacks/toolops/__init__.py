"""ToolOps for LlamaIndex."""
