"""Show an answer that a model was not asked for as a run of that model.

Chat interfaces, tracers and counters see what a model says by the callbacks of its run. So an
agent's answer from elsewhere (the cache, another caller's call, a fallback) goes through a copy of
the model whose methods return that answer, and LangChain itself makes of it what it makes of every
run: the events, the chunks for those who stream, and the id of the message.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import lru_cache
from typing import Any, cast

from langchain_core.callbacks import CallbackManager
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig

from langchain_toolops._event_dedup import mark_inside
from langchain_toolops._fallback_answers import chunk_of
from langchain_toolops._llm_guard import STREAM_EVENTS
from langchain_toolops._llm_identity import find_model, is_configurable
from toolops_plugins.adapters.model_guard import guard_of

__all__ = ["areplay_run", "replay_run"]

_ANSWER = "_toolops_answer"
_ON_THE_WAY = (
    "invoke",
    "ainvoke",
    "generate_prompt",
    "agenerate_prompt",
    "generate",
    "agenerate",
    "_generate_with_cache",
    "_agenerate_with_cache",
)
"""Methods between a run and the answer, by which a class might still reach its provider."""
_INFO = ("finish_reason", "logprobs")
_KINDS = 256
"""Classes of models of which is remembered how they answer."""


def replay_run(model: Any, messages: list[Any], settings: Any, answer: AIMessage) -> None:
    """Run the callbacks of a model over an answer, which gets the id that they have seen.

    Args:
        model: The model of an agent.
        messages: What it would have been asked.
        settings: What it would have been given with them, by name.
        answer: The answer, which nobody else has.

    Raises:
        Exception: A callback handler has raised it that wants its errors to be raised.
    """
    model, config = find_model(model)
    if _is_watched(model, config):
        copy = _answering_copy(model, config, answer)
        with mark_inside():
            answer.id = copy.invoke(messages, config, **settings).id


async def areplay_run(model: Any, messages: list[Any], settings: Any, answer: AIMessage) -> None:
    """As :func:`replay_run`, on the event loop."""
    model, config = find_model(model)
    if _is_watched(model, config):
        copy = _answering_copy(model, config, answer)
        with mark_inside():
            answer.id = (await copy.ainvoke(messages, config, **settings)).id


def _is_watched(model: Any, config: RunnableConfig) -> bool:
    """Return whether anybody hears of the model's runs; a run takes half as long as a whole hit."""
    callbacks = config.get("callbacks")
    own = isinstance(model, BaseChatModel)
    manager = CallbackManager.configure(
        callbacks, model.callbacks if own else None, verbose=own and model.verbose
    )
    return bool(manager.handlers)


def _answering_copy(model: Any, config: RunnableConfig, answer: AIMessage) -> BaseChatModel:
    """Return a model that differs from one in nothing but what it answers."""
    if is_configurable(model):
        model = model._model(config)  # noqa: SLF001 - as it runs
    if isinstance(model, BaseChatModel):
        getattr(model, "_serialized", None)  # which LangChain remembers, and copies share
        copy = model.model_copy(update={"cache": False, "rate_limiter": None})
        kind = type(model).__mro__[1] if guard_of(model) is not None else type(model)
    else:
        copy, kind = _AnyModel(name=type(model).__name__), _AnyModel
    copy.__class__ = _answering_class(kind)
    # The name is the agent's, which sets it when the model has answered.
    copy.__dict__[_ANSWER] = answer.model_copy(update={"name": None})
    return copy


class _AnyModel(BaseChatModel):
    """Stands for a model of which nobody here knows how it runs."""

    @property
    def _llm_type(self) -> str:
        return self.name or "chat"

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        raise NotImplementedError

    def _stream(self, *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        raise NotImplementedError


@lru_cache(_KINDS)
def _answering_class(kind: type[BaseChatModel]) -> type[BaseChatModel]:
    """Return a class that differs from a model's in nothing but what it answers.

    It streams where the model's class does, so that a hit looks as the call itself has looked.
    """
    own_events = any(getattr(kind, name, None) is not None for name in STREAM_EVENTS)
    body: dict[str, Any] = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        **{name: getattr(BaseChatModel, name) for name in _ON_THE_WAY},
        "_generate": _generate,
        "_agenerate": _agenerate,
    }
    streams = own_events or kind._stream is not BaseChatModel._stream  # noqa: SLF001 - for classes to write
    if streams:
        body["_stream"] = _stream
    if streams or kind._astream is not BaseChatModel._astream:  # noqa: SLF001 - as above
        body["_astream"] = _astream
    made: Any = type(kind)(kind.__name__, (kind,), body)  # type: ignore[misc]  # the metaclass makes a class
    for name in STREAM_EVENTS:
        setattr(made, name, None)  # which in the body would be a field of pydantic's
    return cast("type[BaseChatModel]", made)


def _generate(model: Any, *_: Any, **__: Any) -> ChatResult:
    message = vars(model)[_ANSWER]
    generation = ChatGeneration(message=message, generation_info=_info_of(message))
    # Some classes read the tokens of every output that they are given.
    told = "token_usage" in message.response_metadata
    output = dict(message.response_metadata) if told else None
    for name in ("toolops", "toolops_key", *_INFO):
        if output is not None:
            output.pop(name, None)
    return ChatResult(generations=[generation], llm_output=output)


def _info_of(message: AIMessage) -> dict[str, Any] | None:
    """Return what a model tells of an answer beside its message, as LangChain has joined it."""
    told = message.response_metadata
    return {name: told[name] for name in _INFO if name in told} or None


async def _agenerate(model: Any, *_: Any, **__: Any) -> ChatResult:
    return _generate(model)


def _stream(model: Any, *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
    chunk = chunk_of(vars(model)[_ANSWER])
    if isinstance(chunk.message, AIMessageChunk):
        chunk.message.chunk_position = "last"
    chunk.generation_info = _info_of(vars(model)[_ANSWER])
    yield chunk


async def _astream(model: Any, *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
    for chunk in _stream(model):
        yield chunk
