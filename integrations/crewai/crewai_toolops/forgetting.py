"""Forget single answers of guarded models."""

from __future__ import annotations

from typing import Any

from crewai.llms.base_llm import BaseLLM

from crewai_toolops._llm_guard import LLMGuard
from toolops_plugins.adapters.model_guard import require_guard

__all__ = ["aforget_answer", "forget_answer"]


def forget_answer(llm: BaseLLM, input: Any, /, **kwargs: Any) -> None:  # noqa: A002 - as in the other adapters
    """Forget the answer of a guarded model to an input, so that the next call is made anew.

    It is forgotten in every tier and process, and so is a stored answer to the same question in
    other words that would be served for it. Other answers stay. Nothing happens where nothing is
    stored. Hooks before the call run, since what they leave of the messages is part of the key. To
    ask once more what a crew or a flow asks of a model, use ``ops.force_refresh()``.

    Args:
        llm: The guarded model.
        input: The text or the messages that ``call`` was given.
        kwargs: Further arguments of that call, such as ``tools`` and ``response_model``.

    Raises:
        ConfigurationError: The model is not guarded.
        TierError: A tier could not be reached; the others have forgotten.
    """
    guard = require_guard(llm, LLMGuard)
    call = guard.call_of(llm, input, kwargs)
    guard.forget(*call.question())


async def aforget_answer(llm: BaseLLM, input: Any, /, **kwargs: Any) -> None:  # noqa: A002 - as above
    """As :func:`forget_answer`, without blocking the event loop."""
    guard = require_guard(llm, LLMGuard)
    call = guard.call_of(llm, input, kwargs)
    await guard.aforget(*await call.aquestion())
