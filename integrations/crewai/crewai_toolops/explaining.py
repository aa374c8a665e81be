"""Explain single answers of guarded models: whether they would be hits now, and why."""

from __future__ import annotations

from typing import Any

from crewai.llms.base_llm import BaseLLM

from crewai_toolops._llm_guard import LLMGuard
from toolops_plugins import Explanation
from toolops_plugins.adapters.model_guard import require_guard

__all__ = ["aexplain_answer", "explain_answer"]


def explain_answer(llm: BaseLLM, input: Any, /, **kwargs: Any) -> Explanation:  # noqa: A002 - as in the other adapters
    """Return why a guarded model's answer to an input would be a hit or a miss now.

    The model is not called, and nothing is counted, learned or stored. Hooks before the call run,
    since what they leave of the messages is part of the key. Print it, show it in a notebook, or
    take ``to_json()``.

    Args:
        llm: The guarded model.
        input: The text or the messages that ``call`` would be given.
        kwargs: Further arguments of that call, such as ``tools`` and ``response_model``.

    Raises:
        ConfigurationError: The model is not guarded, or its answers are not stored.
    """
    guard = require_guard(llm, LLMGuard)
    return guard.explain(*guard.call_of(llm, input, kwargs).question())


async def aexplain_answer(llm: BaseLLM, input: Any, /, **kwargs: Any) -> Explanation:  # noqa: A002 - as above
    """As :func:`explain_answer`, without blocking the event loop."""
    guard = require_guard(llm, LLMGuard)
    return await guard.aexplain(*await guard.call_of(llm, input, kwargs).aquestion())
