"""ToolOps for CrewAI: native adapters to one core of cache and resilience.

- :class:`ToolOpsMixin`: for tools of your own, by their class.
- :func:`wrap_tool`, :func:`wrap_tools`: for finished tools.
- :func:`guard_llm`: a model behind a policy.
- :func:`install`, :func:`uninstall`, :class:`ModelPrices`, :class:`TokenPrice`: figures of whatever
  runs.

All of them take the runtime as ``ops``; without it they use the default one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crewai_toolops.explaining import aexplain_answer, explain_answer
    from crewai_toolops.forgetting import aforget_answer, forget_answer
    from crewai_toolops.listener import ToolOpsListener, install, uninstall
    from crewai_toolops.llms import MODEL_POLICY, guard_llm
    from crewai_toolops.mixin import ToolOpsMixin
    from crewai_toolops.prices import ModelPrices, TokenPrice
    from crewai_toolops.tools import wrap_tool, wrap_tools

__all__ = [
    "MODEL_POLICY",
    "ModelPrices",
    "TokenPrice",
    "ToolOpsListener",
    "ToolOpsMixin",
    "aexplain_answer",
    "aforget_answer",
    "explain_answer",
    "forget_answer",
    "guard_llm",
    "install",
    "uninstall",
    "wrap_tool",
    "wrap_tools",
]

_PLACES = {
    "MODEL_POLICY": "llms",
    "ModelPrices": "prices",
    "TokenPrice": "prices",
    "ToolOpsListener": "listener",
    "ToolOpsMixin": "mixin",
    "aexplain_answer": "explaining",
    "aforget_answer": "forgetting",
    "explain_answer": "explaining",
    "forget_answer": "forgetting",
    "guard_llm": "llms",
    "install": "listener",
    "uninstall": "listener",
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
