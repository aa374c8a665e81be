"""What CrewAI's own listeners hear of calls, and what is heard of a call that they make.

Every call of a model is a pair of events for CrewAI: its console, its traces and its streams are
made of them. A call that reaches the provider emits its own. One that is answered without emits the
same pair here, which says so in its ``fingerprint_metadata``, and tells no usage: whoever counts
tokens by the events counts none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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

__all__ = ["Heard", "tell_answered", "tell_failed"]

logger = logging.getLogger("crewai_toolops")

_CUT_OFF = frozenset(
    (
        "length",
        "max_tokens",
        "max_output_tokens",
        "model_length",
        "content_filter",
        "safety",
        "incomplete",
    )
)
"""What providers call the end of an answer that has not ended by itself, in small letters."""


class Heard:
    """What a call's own events tell of its answer."""

    __slots__ = ("cut", "usage")

    def __init__(self) -> None:
        self.cut = False
        self.usage: dict[str, int] | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear what is emitted in this block, and in what it begins."""
        token = add_stream_sink(self._hear)
        try:
            yield
        finally:
            reset_stream_sinks(token)

    def _hear(self, _: Any, event: Any) -> None:
        if isinstance(event, LLMCallCompletedEvent):
            self.cut = str(event.finish_reason).rpartition(".")[2].lower() in _CUT_OFF
            usage = event.usage or {}
            self.usage = {name: n for name, n in usage.items() if isinstance(n, int)} or None


def tell_answered(
    llm: BaseLLM, given: Mapping[str, Any], answer: Any, told: Mapping[str, Any]
) -> None:
    """Emit the events of a call that was answered without the provider.

    Where the model streams, there is one chunk that holds the whole answer, so that whoever shows
    chunks shows it.

    Args:
        llm: The model.
        given: The arguments of the call.
        answer: What the caller gets.
        told: What stands under "toolops" in the events' ``fingerprint_metadata``.
    """

    def made(beside: dict[str, Any]) -> Iterator[Any]:
        is_calls = isinstance(answer, list)
        kind = LLMCallType.TOOL_CALL if is_calls else LLMCallType.LLM_CALL
        text = answer.model_dump_json() if isinstance(answer, BaseModel) else answer
        yield _started(llm, given, beside)
        if llm._effective_stream():  # noqa: SLF001 - where a call looks itself
            yield from _chunks(text, kind, beside)
        yield LLMCallCompletedEvent(
            messages=_plain(given.get("messages")),
            response=_plain(text),
            call_type=kind,
            **beside,
        )

    _emit(llm, given, told, made)


def tell_failed(llm: BaseLLM, given: Mapping[str, Any], error: BaseException) -> None:
    """Emit the events of a call that has failed before it reached the provider."""

    def made(beside: dict[str, Any]) -> Iterator[Any]:
        yield _started(llm, given, beside)
        yield LLMCallFailedEvent(error=f"{type(error).__name__}: {error}", **beside)

    _emit(llm, given, {"called": False}, made)


def _started(llm: BaseLLM, given: Mapping[str, Any], beside: dict[str, Any]) -> LLMCallStartedEvent:
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


def _chunks(answer: Any, kind: LLMCallType, beside: dict[str, Any]) -> list[Any]:
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
    told: Mapping[str, Any],
    made: Callable[[dict[str, Any]], Iterator[Any]],
) -> None:
    """Emit the events of a call, all of them or none."""
    with llm_call_context() as call_id:
        try:
            events = list(
                made(
                    {
                        "from_task": given.get("from_task"),
                        "from_agent": given.get("from_agent"),
                        "model": llm.model,
                        "call_id": call_id,
                        "fingerprint_metadata": {"toolops": dict(told)},
                    }
                )
            )
        except Exception as error:  # noqa: BLE001 - a class of the user's own may take what no event holds
            logger.debug("No event tells of a call of %s: %s", llm.model, type(error).__name__)
            return
        for event in events:
            crewai_event_bus.emit(llm, event=event)
