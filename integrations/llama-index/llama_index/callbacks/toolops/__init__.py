"""ToolOps for LlamaIndex: native adapters to one core of cache and resilience.

- :func:`guard_llm`: a model behind a policy, streams included.
- :func:`wrap_tool`, :func:`wrap_tools` (once ``guard_tool``, ``guard_tools``): tools behind a
  policy.
- :func:`guard_embedding`, :class:`ToolOpsKVStore`: vectors that are made once.
- :class:`ToolOpsRateLimiter`: a model's ``rate_limiter=``, in requests and in tokens.
- :class:`ToolOpsCallbackHandler`, :func:`install`, :func:`uninstall`, :class:`ModelPrices`,
  :class:`TokenPrice`: figures of whatever runs.
- :class:`CacheHitEvent`: what LlamaIndex's own handlers are told of a hit.

All of them take the runtime as ``ops``; without it they use the default one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llama_index.callbacks.toolops.callbacks import ToolOpsCallbackHandler
    from llama_index.callbacks.toolops.embeddings import guard_embedding
    from llama_index.callbacks.toolops.events import CacheHitEvent
    from llama_index.callbacks.toolops.explaining import aexplain_answer, explain_answer
    from llama_index.callbacks.toolops.forgetting import aforget_answer, forget_answer
    from llama_index.callbacks.toolops.instrumentation import (
        ToolOpsEventHandler,
        ToolOpsSpanHandler,
        install,
        uninstall,
    )
    from llama_index.callbacks.toolops.kvstore import ToolOpsKVStore
    from llama_index.callbacks.toolops.llms import MODEL_POLICY, guard_llm
    from llama_index.callbacks.toolops.prices import ModelPrices, TokenPrice
    from llama_index.callbacks.toolops.rate_limiter import ToolOpsRateLimiter
    from llama_index.callbacks.toolops.tools import (
        GuardedTool,
        guard_tool,
        guard_tools,
        wrap_tool,
        wrap_tools,
    )

__all__ = [
    "MODEL_POLICY",
    "CacheHitEvent",
    "GuardedTool",
    "ModelPrices",
    "TokenPrice",
    "ToolOpsCallbackHandler",
    "ToolOpsEventHandler",
    "ToolOpsKVStore",
    "ToolOpsRateLimiter",
    "ToolOpsSpanHandler",
    "aexplain_answer",
    "aforget_answer",
    "explain_answer",
    "forget_answer",
    "guard_embedding",
    "guard_llm",
    "guard_tool",
    "guard_tools",
    "install",
    "uninstall",
    "wrap_tool",
    "wrap_tools",
]

_PLACES = {
    "MODEL_POLICY": "llms",
    "CacheHitEvent": "events",
    "GuardedTool": "tools",
    "ModelPrices": "prices",
    "TokenPrice": "prices",
    "ToolOpsCallbackHandler": "callbacks",
    "ToolOpsEventHandler": "instrumentation",
    "ToolOpsKVStore": "kvstore",
    "ToolOpsRateLimiter": "rate_limiter",
    "ToolOpsSpanHandler": "instrumentation",
    "aexplain_answer": "explaining",
    "aforget_answer": "forgetting",
    "explain_answer": "explaining",
    "forget_answer": "forgetting",
    "guard_embedding": "embeddings",
    "guard_llm": "llms",
    "guard_tool": "tools",
    "guard_tools": "tools",
    "install": "instrumentation",
    "uninstall": "instrumentation",
    "wrap_tool": "tools",
    "wrap_tools": "tools",
}
"""The module of each name; it is imported when the name is first used, since few use them all."""


def __getattr__(name: str) -> Any:
    module = _PLACES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
    return value


def __dir__() -> list[str]:
    return [*globals(), *_PLACES]
