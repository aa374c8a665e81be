"""ToolOps for LangChain and LangGraph: native adapters to one core of cache and resilience.

- :class:`ToolOpsCache`: for ``set_llm_cache`` and a model's ``cache=``.
- :func:`guard_llm`: one chat model behind a policy, streams included.
- :func:`wrap_tool`, :func:`wrap_tools`, :class:`ToolOpsTool`: tools behind a policy.
- :class:`ToolOpsMiddleware`: every model and tool call of an agent behind a policy.
- :class:`ToolOpsCallbackHandler`, :class:`ModelPrices`, :class:`TokenPrice`: figures of whatever
  runs.
- :class:`ToolOpsEmbeddings`, :class:`ToolOpsRateLimiter`, :class:`ToolOpsNodeCache`: the same core
  where LangChain and LangGraph have a place for it.

All of them take the runtime as ``ops``; without it they use the default one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_toolops.cache import ToolOpsCache
from langchain_toolops.callbacks import ToolOpsCallbackHandler
from langchain_toolops.embeddings import ToolOpsEmbeddings
from langchain_toolops.explaining import aexplain_answer, explain_answer
from langchain_toolops.forgetting import aforget_answer, forget_answer
from langchain_toolops.models import MODEL_POLICY, guard_llm, guard_model
from langchain_toolops.prices import ModelPrices, TokenPrice
from langchain_toolops.rate_limiter import ToolOpsRateLimiter
from langchain_toolops.tools import ToolOpsTool, wrap_tool, wrap_tools

if TYPE_CHECKING:
    from langchain_toolops.middleware import ToolOpsMiddleware
    from langchain_toolops.node_cache import ToolOpsNodeCache

__all__ = [
    "MODEL_POLICY",
    "ModelPrices",
    "TokenPrice",
    "ToolOpsCache",
    "ToolOpsCallbackHandler",
    "ToolOpsEmbeddings",
    "ToolOpsMiddleware",
    "ToolOpsNodeCache",
    "ToolOpsRateLimiter",
    "ToolOpsTool",
    "aexplain_answer",
    "aforget_answer",
    "explain_answer",
    "forget_answer",
    "guard_llm",
    "guard_model",
    "wrap_tool",
    "wrap_tools",
]

_OF_AGENTS = {"ToolOpsMiddleware": "middleware", "ToolOpsNodeCache": "node_cache"}
"""What needs the packages langchain or langgraph, by its module."""


def __getattr__(name: str) -> Any:
    # Whoever caches a model or wraps a tool needs neither agents nor graphs.
    module = _OF_AGENTS.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only here

    try:
        return getattr(import_module(f"langchain_toolops.{module}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("langchain", "langgraph"):
            raise
        raise ImportError(
            f'{name} needs more packages: pip install "langchain-toolops[agents]"'
        ) from error
