"""Explain single answers of models: whether they would come from a cache now, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig

from langchain_toolops._answer_stores import Target, find_stores, find_targets
from langchain_toolops.cache import ToolOpsCache
from toolops_plugins import ConfigurationError, Explanation

__all__ = ["aexplain_answer", "explain_answer"]


def explain_answer(
    model: Runnable[Any, Any],
    input: Any,  # noqa: A002 - as in LangChain's own methods
    /,
    config: RunnableConfig | None = None,
    *,
    of_stream: bool = False,
    **kwargs: Any,
) -> Explanation:
    """Return why a model's answer to an input would be a hit or a miss now.

    No model is called, and nothing is counted, learned or stored. Of several models in a runnable
    it is about the first one. Print it, show it in a notebook, or take ``to_json()``.

    Args:
        model: As for :func:`~langchain_toolops.forget_answer`.
        input: What ``invoke`` would be given.
        config: The configuration of that call, where a model is configured by it.
        of_stream: Explain ``stream``, whose answers are stored apart. Default False: ``invoke``.
        kwargs: Further arguments of that call.

    Raises:
        ConfigurationError: There is no such model, or nothing stores its answers.
    """
    target = find_targets(model, config, kwargs)[0]
    given = input
    for step in target.before:
        given = step.invoke(given, target.config)
    stores = _stores(target, given, of_stream=of_stream)
    return _choose(
        [
            store.explain(*args) if isinstance(store, ToolOpsCache)
            else store.explain(*args, of_stream=of_stream)
            for store, args in stores
        ]
    )  # fmt: skip


async def aexplain_answer(
    model: Runnable[Any, Any],
    input: Any,  # noqa: A002 - as above
    /,
    config: RunnableConfig | None = None,
    *,
    of_stream: bool = False,
    **kwargs: Any,
) -> Explanation:
    """As :func:`explain_answer`, without blocking the event loop."""
    target = find_targets(model, config, kwargs)[0]
    given = input
    for step in target.before:
        given = await step.ainvoke(given, target.config)
    stores = _stores(target, given, of_stream=of_stream)
    return _choose(
        [
            await (
                store.aexplain(*args) if isinstance(store, ToolOpsCache)
                else store.aexplain(*args, of_stream=of_stream)
            )
            for store, args in stores
        ]
    )  # fmt: skip


def _stores(
    target: Target, given: Any, *, of_stream: bool
) -> Iterator[tuple[Any, tuple[Any, Any]]]:
    """Yield what is asked for an answer, with the two parts by which it knows the call."""
    for store, args in find_stores(target, given):
        if not of_stream or not isinstance(store, ToolOpsCache):
            yield store, args


def _choose(explanations: list[Explanation]) -> Explanation:
    """Return the explanation of a hit, or else the first one."""
    if not explanations:
        raise ConfigurationError(
            "of_stream", "LangChain asks no cache for streams; guard the model with guard_llm()"
        )
    return next((each for each in explanations if each.served), explanations[0])
