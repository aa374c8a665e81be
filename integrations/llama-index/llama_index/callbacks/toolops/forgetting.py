"""Forget single answers of guarded models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms.llm import LLM

from llama_index.callbacks.toolops._llm_guard import LLMGuard
from toolops_plugins.adapters.model_guard import require_guard

__all__ = ["aforget_answer", "forget_answer"]


def forget_answer(llm: LLM, input: str | Sequence[ChatMessage], /, **kwargs: Any) -> None:  # noqa: A002 - as in the other adapters
    """Forget the answer of a guarded model to an input, so that the next call is made anew.

    It is forgotten in every tier and process: the answer of ``chat`` and that of ``stream_chat``,
    or of ``complete`` and ``stream_complete``, and a stored answer to the same question in other
    words that would be served for it. Other answers stay. Nothing happens where nothing is stored.
    To ask once more what an agent, a query engine or ``structured_predict`` asks of a model, use
    ``ops.force_refresh()``.

    Args:
        llm: The guarded model.
        input: The messages of a chat, or the prompt of a completion.
        kwargs: Further arguments of that call.

    Raises:
        ConfigurationError: The model is not guarded.
        TierError: A tier could not be reached; the others have forgotten.
    """
    guard = require_guard(llm, LLMGuard)
    guard.forget(*guard.call_of(llm, input, kwargs).question())


async def aforget_answer(llm: LLM, input: str | Sequence[ChatMessage], /, **kwargs: Any) -> None:  # noqa: A002 - as above
    """As :func:`forget_answer`, without blocking the event loop."""
    guard = require_guard(llm, LLMGuard)
    await guard.aforget(*await guard.call_of(llm, input, kwargs).aquestion())
