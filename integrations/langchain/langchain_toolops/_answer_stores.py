"""The places where answers of a model to an input are stored, whatever stands around the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel, BaseLanguageModel, BaseLLM
from langchain_core.language_models._utils import _normalize_messages
from langchain_core.load import dumps
from langchain_core.runnables import (
    RunnableConfig,
    RunnableParallel,
    RunnableSequence,
    RunnableWithFallbacks,
)
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.config import ensure_config, merge_configs
from langchain_core.runnables.configurable import DynamicRunnable

from langchain_toolops._llm_guard import LLMGuard
from langchain_toolops._llm_identity import is_configurable
from langchain_toolops._llm_schema import FORMAT_NAMES, format_of, note_format
from langchain_toolops._text_guard import TextGuard
from langchain_toolops.cache import ToolOpsCache
from toolops_plugins import ConfigurationError
from toolops_plugins.adapters.model_guard import guard_of

__all__ = ["Target", "find_stores", "find_targets"]


class Target(NamedTuple):
    """A model inside of a runnable.

    Args:
        model: The model.
        before: What makes its input of the runnable's.
        config: The configuration that it runs with.
        kwargs: The arguments that it is given.
    """

    model: Any
    before: list[Any]
    config: RunnableConfig
    kwargs: dict[str, Any]


def find_targets(
    runnable: Any, config: RunnableConfig | None, kwargs: Mapping[str, Any]
) -> list[Target]:
    """Return the models in a runnable that are asked first.

    Args:
        runnable: A guarded model, or what is made of one.
        config: The configuration of the call.
        kwargs: Its further arguments.

    Raises:
        ConfigurationError: There is no such model.
    """
    found = list(_find(runnable, [], ensure_config(config), dict(kwargs)))
    if not found:
        raise ConfigurationError(
            "model", f"must be a guarded model, or be made of one, not {runnable!r:.200}"
        )
    return found


def _find(
    runnable: Any, before: list[Any], config: RunnableConfig, kwargs: dict[str, Any]
) -> Iterator[Target]:
    """Yield the models in a runnable that are asked first."""
    if isinstance(runnable, DynamicRunnable):
        chosen, config = runnable.prepare(config)
        yield from _find(chosen, before, config, kwargs)
    elif is_configurable(runnable):
        yield from _find(runnable._model(config), before, config, kwargs)  # noqa: SLF001 - as it runs
    elif isinstance(runnable, RunnableBindingBase):
        whole = merge_configs(config, runnable.config)
        yield from _find(runnable.bound, before, whole, {**runnable.kwargs, **kwargs})
    elif isinstance(runnable, RunnableSequence):
        for number, step in enumerate(runnable.steps):
            found = list(_find(step, [*before, *runnable.steps[:number]], config, kwargs))
            if found:
                yield from found
                return
    elif isinstance(runnable, RunnableParallel):
        for step in runnable.steps__.values():
            yield from _find(step, before, config, kwargs)
    elif isinstance(runnable, RunnableWithFallbacks):
        for each in (runnable.runnable, *runnable.fallbacks):
            yield from _find(each, before, config, kwargs)
    elif isinstance(runnable, BaseLanguageModel) and (guard_of(runnable) or _cache_of(runnable)):
        yield Target(runnable, before, config, kwargs)


def _cache_of(model: Any) -> ToolOpsCache | None:
    cache = get_llm_cache() if model.cache is None or model.cache is True else model.cache
    return cache if isinstance(cache, ToolOpsCache) else None


def find_stores(target: Target, given: Any) -> Iterator[tuple[Any, tuple[Any, Any]]]:
    """Yield what stores answers of a model, with the two parts by which it knows the call."""
    model = target.model
    kwargs = {name: value for name, value in target.kwargs.items() if name not in FORMAT_NAMES}
    stop = kwargs.pop("stop", None)
    prompt = model._convert_input(given)  # noqa: SLF001 - as its own methods do
    guard, cache = guard_of(model), _cache_of(model)
    if isinstance(guard, LLMGuard):
        messages = _normalize_messages(prompt.to_messages())
        with note_format(format_of(target.kwargs)):  # a schema that is not sent counts too
            question = guard.question(model, messages, stop, kwargs)
        yield guard, question
    elif isinstance(guard, TextGuard):
        yield guard, guard.question(model, prompt.to_string(), stop, kwargs)
    if cache is None:
        return
    if isinstance(model, BaseChatModel):
        messages = _normalize_messages(prompt.to_messages())
        text = dumps([message.model_copy(update={"id": None}) for message in messages])
        yield cache, (text, model._get_llm_string(stop=stop, **kwargs))  # noqa: SLF001 - as above
    elif isinstance(model, BaseLLM):
        described = {**model.dict(), "stop": stop}
        yield cache, (prompt.to_string(), str(sorted(described.items())))
