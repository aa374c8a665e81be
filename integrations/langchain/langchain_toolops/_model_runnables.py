"""Runnables around models: which of them can be guarded by guarding the models in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain_core.runnables import Runnable, RunnableSequence
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.configurable import (
    RunnableConfigurableAlternatives,
    RunnableConfigurableFields,
)
from langchain_core.runnables.fallbacks import RunnableWithFallbacks

from langchain_toolops._llm_identity import is_configurable
from toolops_plugins.errors import ConfigurationError

__all__ = ["advice_for", "guard_inner"]


def guard_inner(around: Any, guard: Callable[[Any], Any]) -> Any:
    """Return a copy of a runnable around models, each of which is guarded; None for any other one.

    These are a model with bound arguments or a configuration, with attempts of LangChain's, with
    fallbacks, with fields to configure, and with alternatives.

    Args:
        around: The runnable.
        guard: Guards what is in it, a model or another such runnable.

    Raises:
        ConfigurationError: There is something else in it than a model.
    """
    if isinstance(around, RunnableBindingBase):
        changes: dict[str, Any] = {"bound": guard(around.bound)}
    elif isinstance(around, RunnableWithFallbacks):
        # Each has a cache and a circuit breaker of its own, so that one that is open leads on.
        fallbacks = [guard(each) for each in around.fallbacks]
        changes = {"runnable": guard(around.runnable), "fallbacks": fallbacks}
    elif isinstance(around, RunnableConfigurableFields):
        changes = {"default": guard(around.default)}
    elif isinstance(around, RunnableConfigurableAlternatives):
        changes = {"default": guard(around.default)}
        changes["alternatives"] = {
            name: guard(_made(name, each)) for name, each in around.alternatives.items()
        }
    else:
        return None
    return around.model_copy(update=changes)


def _made(name: str, alternative: Any) -> Any:
    if isinstance(alternative, Runnable):
        return alternative
    raise ConfigurationError(
        "llm", f"has the alternative {name!r} that a function makes; give the model itself"
    )


def advice_for(given: Any) -> str:
    """Return what to do with something that is no model, behind a semicolon; or nothing."""
    if is_configurable(given):
        return (
            "; a model of init_chat_model(configurable_fields=...) is made anew by each call: "
            "say guard_llm(init_chat_model(MODEL)).configurable_fields(...), or use "
            "ToolOpsMiddleware in an agent"
        )
    if isinstance(given, RunnableSequence):
        return (
            "; guard the model that stands in the chain: "
            "prompt | guard_llm(model), guard_llm(model).with_structured_output(...)"
        )
    return "; make one of the class" if isinstance(given, type) else ""
