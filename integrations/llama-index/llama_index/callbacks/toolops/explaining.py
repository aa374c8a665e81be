"""Explain single answers of guarded models: whether they would be hits now, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms.llm import LLM

from llama_index.callbacks.toolops._llm_guard import LLMGuard
from toolops_plugins import Explanation
from toolops_plugins.adapters.model_guard import require_guard

__all__ = ["aexplain_answer", "explain_answer"]


def explain_answer(
    llm: LLM,
    input: str | Sequence[ChatMessage],  # noqa: A002 - as in the other adapters
    /,
    *,
    of_stream: bool = False,
    **kwargs: Any,
) -> Explanation:
    """Return why a guarded model's answer to an input would be a hit or a miss now.

    The model is not called, and nothing is counted, learned or stored. Print it, show it in a
    notebook, or take ``to_json()``.

    Args:
        llm: The guarded model.
        input: The messages of a chat, or the prompt of a completion.
        of_stream: Explain ``stream_chat`` or ``stream_complete``, whose answers are stored apart.
            Default False: ``chat`` or ``complete``.
        kwargs: Further arguments of that call.

    Raises:
        ConfigurationError: The model is not guarded, or its answers are not stored.
    """
    guard = require_guard(llm, LLMGuard)
    question = guard.call_of(llm, input, kwargs).question()
    return guard.explain(*question, of_stream=of_stream)


async def aexplain_answer(
    llm: LLM,
    input: str | Sequence[ChatMessage],  # noqa: A002 - as above
    /,
    *,
    of_stream: bool = False,
    **kwargs: Any,
) -> Explanation:
    """As :func:`explain_answer`, without blocking the event loop."""
    guard = require_guard(llm, LLMGuard)
    question = await guard.call_of(llm, input, kwargs).aquestion()
    return await guard.aexplain(*question, of_stream=of_stream)
