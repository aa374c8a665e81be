"""ToolOps for LangChain and LangGraph: native adapters to one core of cache and resilience."""

from __future__ import annotations

from langchain_toolops.cache import ToolOpsCache

__all__ = ["ToolOpsCache"]
