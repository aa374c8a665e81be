"""Forget single answers of models."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig

from langchain_toolops._answer_stores import find_stores, find_targets

__all__ = ["aforget_answer", "forget_answer"]


def forget_answer(
    model: Runnable[Any, Any],
    input: Any,  # noqa: A002 - as in LangChain's own methods
    /,
    config: RunnableConfig | None = None,
    **kwargs: Any,
) -> None:
    """Forget the answer of a model to an input, so that the next call is made anew.

    It is forgotten in every tier and process: the answer of ``invoke`` and that of ``stream``, and
    a stored answer to the same question in other words that would be served for it. Other answers
    stay. Nothing happens where nothing is stored.

    Args:
        model: A guarded model, or one whose cache is a :class:`~langchain_toolops.ToolOpsCache`;
            or what is made of it by ``bind``, ``bind_tools``, ``with_structured_output``,
            ``with_config``, ``with_retry``, ``with_fallbacks``, or ``prompt | model``.
        input: What ``invoke`` was given.
        config: The configuration of that call, where a model is configured by it.
        kwargs: Further arguments of that call.

    Raises:
        ConfigurationError: There is no such model.
        TierError: A tier could not be reached; the others have forgotten.
    """
    for target in find_targets(model, config, kwargs):
        given = input
        for step in target.before:
            given = step.invoke(given, target.config)
        for guard, args in find_stores(target, given):
            guard.forget(*args)


async def aforget_answer(
    model: Runnable[Any, Any],
    input: Any,  # noqa: A002 - as above
    /,
    config: RunnableConfig | None = None,
    **kwargs: Any,
) -> None:
    """As :func:`forget_answer`, without blocking the event loop."""
    for target in find_targets(model, config, kwargs):
        given = input
        for step in target.before:
            given = await step.ainvoke(given, target.config)
        for guard, args in find_stores(target, given):
            await guard.aforget(*args)
