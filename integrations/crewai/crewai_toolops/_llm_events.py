"""Events of a model's calls: those that a call emits, and those of a call without the provider.

CrewAI makes its console, its traces and its streams of a pair of events for every call of a model.
A call that reaches the provider emits its own. A call that is answered without it emits the same
pair here, which says so in its ``fingerprint_metadata``. That pair tells no usage: whoever counts
tokens by the events counts none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from crewai.events.event_bus import crewai_event_bus
from crewai.events.stream_context import add_stream_sink, reset_stream_sinks
from crewai.events.types.llm_events import (
    LLMCallCompletedEvent,
    LLMCallFailedEvent,
    LLMCallStartedEvent,
    LLMCallType,
    LLMStreamChunkEvent,
    ToolCall,
)
from crewai.llms.base_llm import BaseLLM, llm_call_context
from crewai.utilities.serialization import to_serializable
from pydantic import BaseModel

from toolops_plugins.adapters.answers import field_of
from toolops_plugins.adapters.finish_reasons import Ending, Finish, finish_of

__all__ = ["LLMEventCapture", "emit_answer", "emit_failure", "note_usage"]

logger = logging.getLogger("crewai_toolops")


class LLMEventCapture:
    """The events that a call emits about its own answer.

    Attributes:
        ending: How the answer ended.
        is_streamed: Whether it came in chunks.
        usage: Its tokens, as its provider named them. None: unknown.
    """

    __slots__ = ("ending", "is_streamed", "usage")

    def __init__(self) -> None:
        self.ending = Ending()
        self.is_streamed = False
        self.usage: dict[str, int] | None = None

    @contextmanager
    def capture(self) -> Iterator[None]:
        """Take what is emitted in this block, and in what it begins."""
        token = add_stream_sink(self._take)
        own = _current.set(self)
        try:
            yield
        finally:
            _current.reset(own)
            reset_stream_sinks(token)

    def _take(self, _: Any, event: Any) -> None:
        if isinstance(event, LLMCallCompletedEvent):
            self.ending.note(finish_of(event.finish_reason))
            usage = event.usage or {}
            self.usage = {name: n for name, n in usage.items() if isinstance(n, int)} or None
        elif isinstance(event, LLMStreamChunkEvent):
            self.is_streamed = True


_current: ContextVar[LLMEventCapture | None] = ContextVar("toolops_crewai_events", default=None)


def note_usage(response: Any) -> None:
    """Note what the answer, or the chunk of a stream, that tells the usage says beside it.

    CrewAI passes over the rest of such a chunk. Many providers tell the end there and nowhere else;
    a part of the answer in it is lost.

    Args:
        response: What the client of OpenAI has given.
    """
    capture = _current.get()
    if capture is None:
        return
    # Not by the place of the choice: CrewAI says of no place where in the stream it saw the end.
    for _, finish in Ending((response,)).dump():
        capture.ending.note(Finish(finish))
    choices = field_of(response, "choices")
    for choice in choices if isinstance(choices, list) else ():
        delta = field_of(choice, "delta")
        if field_of(delta, "content") or field_of(delta, "tool_calls"):
            capture.ending.note(Finish.BAD)


def emit_answer(
    llm: BaseLLM, given: Mapping[str, Any], answer: Any, mark: Mapping[str, Any]
) -> None:
    """Emit the events of a call that was answered without the provider.

    Where the model streams, one chunk holds the whole answer, for those who show chunks.

    Args:
        llm: The model.
        given: The arguments of the call.
        answer: The caller's answer.
        mark: The value under "toolops" in the events' ``fingerprint_metadata``.
    """

    def make(beside: dict[str, Any]) -> Iterator[Any]:
        is_calls = isinstance(answer, list)
        kind = LLMCallType.TOOL_CALL if is_calls else LLMCallType.LLM_CALL
        text = answer.model_dump_json() if isinstance(answer, BaseModel) else answer
        yield _start_event(llm, given, beside)
        if llm._effective_stream():  # noqa: SLF001 - where a call looks itself
            yield from _chunk_events(text, kind, beside)
        yield LLMCallCompletedEvent(
            messages=_plain(given.get("messages")),
            response=_plain(text),
            call_type=kind,
            **beside,
        )

    _emit(llm, given, mark, make)


def emit_failure(llm: BaseLLM, given: Mapping[str, Any], error: BaseException) -> None:
    """Emit the events of a call that has failed before it reached the provider."""

    def make(beside: dict[str, Any]) -> Iterator[Any]:
        yield _start_event(llm, given, beside)
        yield LLMCallFailedEvent(error=f"{type(error).__name__}: {error}", **beside)

    _emit(llm, given, {"called": False}, make)


def _start_event(
    llm: BaseLLM, given: Mapping[str, Any], beside: dict[str, Any]
) -> LLMCallStartedEvent:
    return LLMCallStartedEvent(
        messages=_plain(given.get("messages")),
        tools=_plain(given.get("tools")),
        temperature=llm.temperature,
        top_p=llm.top_p,
        max_tokens=llm.max_tokens,
        stream=llm._effective_stream(),  # noqa: SLF001 - as above
        seed=llm.seed,
        stop_sequences=llm.stop_sequences or None,
        **beside,
    )


def _chunk_events(answer: Any, kind: LLMCallType, beside: dict[str, Any]) -> list[Any]:
    if isinstance(answer, str):
        return [LLMStreamChunkEvent(chunk=answer, call_type=kind, **beside)] if answer else []
    if not isinstance(answer, list):
        return []
    return [
        LLMStreamChunkEvent(
            chunk=call["function"]["arguments"],
            tool_call=ToolCall.model_validate({"index": index, **call}),
            call_type=kind,
            **beside,
        )
        for index, call in enumerate(answer)
        if isinstance(call, dict) and "function" in call
    ]


def _plain(value: Any) -> Any:
    return to_serializable(value)


def _emit(
    llm: BaseLLM,
    given: Mapping[str, Any],
    mark: Mapping[str, Any],
    make: Callable[[dict[str, Any]], Iterator[Any]],
) -> None:
    """Emit the events of a call, all of them or none."""
    with llm_call_context() as call_id:
        try:
            events = list(
                make(
                    {
                        "from_task": given.get("from_task"),
                        "from_agent": given.get("from_agent"),
                        "model": llm.model,
                        "call_id": call_id,
                        "fingerprint_metadata": {"toolops": dict(mark)},
                    }
                )
            )
        except Exception as error:  # noqa: BLE001 - a class of the user's own may take what no event holds
            logger.debug("No event tells of a call of %s: %s", llm.model, type(error).__name__)
            return
        for event in events:
            crewai_event_bus.emit(llm, event=event)
