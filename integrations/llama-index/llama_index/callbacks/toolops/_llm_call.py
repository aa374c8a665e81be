"""Calls of a guarded model's endpoints: how they are made, and who reads their streams."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import AbstractContextManager, aclosing, closing, contextmanager
from contextvars import ContextVar
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    MessageRole,
)
from llama_index.core.callbacks.base import global_stack_trace, global_stack_trace_ids
from llama_index_instrumentation.span import active_span_id

from llama_index.callbacks.toolops._event_dedup import mark_inside
from llama_index.callbacks.toolops._llm_answers import Response, mark_hit
from llama_index.callbacks.toolops._llm_chunks import Joiner, Piece, Splitter
from llama_index.callbacks.toolops._llm_schema import accepts_response, accepts_stream
from llama_index.callbacks.toolops.events import tell_hit
from toolops_plugins import CallEvent, ToolOps
from toolops_plugins.adapters.answer_schema import AnswerSchema
from toolops_plugins.adapters.call_ids import CallIds
from toolops_plugins.adapters.conversation import reads_files
from toolops_plugins.adapters.fallback_answers import Substitute, no_answer
from toolops_plugins.adapters.model_guard import ModelCall, aread_within, read_within
from toolops_plugins.adapters.outcomes import CallOutcome, capture_outcome

__all__ = ["EndpointCall", "Reader", "report_hit", "response_of"]

_PLACE: tuple[ContextVar[Any], ...] = (active_span_id, global_stack_trace, global_stack_trace_ids)
"""Where in a trace LlamaIndex's instrumentation and callbacks find themselves."""


class EndpointCall(ModelCall):
    """One caller's call.

    Args:
        make: Asks the model, on a view of it.
        question: Returns the question, and everything else that the answer depends on.
        kind: The class of the endpoint's responses.
        given: The messages or the prompt.
        schema: Returns what the answer must fit to be stored. None: that is anything.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        question: Callable[[], tuple[str, Any]],
        kind: type[Any],
        given: Any,
        schema: Callable[[], AnswerSchema | None] | None = None,
    ) -> None:
        super().__init__()
        self._schema = schema
        self.question = question
        self.kind = kind
        self.made: deque[Any] = deque()
        """The model's own chunks which this caller has not read yet."""
        self._make = make
        self._given = given
        # A stream begins where it was asked for, wherever it is read.
        self._place = [(variable, variable.get()) for variable in _PLACE]
        self._run = b""  # tells the last stream that this call has begun from all others

    async def aquestion(self) -> tuple[str, Any]:
        """Return the question without blocking the event loop."""
        if reads_files(self._given):
            return await asyncio.to_thread(self.question)
        return self.question()

    def answer_schema(self) -> AnswerSchema | None:
        """Return what the answer must fit to be stored, or None."""
        return None if self._schema is None else self._schema()

    def fits(self, schema: AnswerSchema, answer: Any) -> bool:
        """Return whether a response, or the pieces of a stream, fit the schema."""
        if isinstance(answer, list):
            return accepts_stream(schema, answer)
        return accepts_response(schema, answer)

    def call(self) -> Any:
        """Ask the model."""
        with _inside():
            return self._make()

    async def acall(self) -> Any:
        """Ask an asynchronous model."""
        with _inside():
            return await self._make()

    def stream(self) -> Generator[Any]:
        """Yield what the model streams, in the form that is kept."""
        splitter, made = self._begin()
        with self.at_place(), _inside():
            stream = self._make()
        with closing(read_within(stream, _inside)) as chunks:
            for chunk in chunks:
                yield self._split(splitter, made, chunk)

    async def astream(self) -> AsyncGenerator[Any]:
        """Yield what an asynchronous model streams, in the form that is kept."""
        splitter, made = self._begin()
        with self.at_place(), _inside():
            stream = await self._make()
        async with aclosing(aread_within(stream, _inside)) as chunks:
            async for chunk in chunks:
                yield self._split(splitter, made, chunk)

    def _begin(self) -> tuple[Splitter, deque[Any]]:
        self.made, self._run = made, run = deque[Any](), os.urandom(8)
        return Splitter(run), made

    def _split(self, splitter: Splitter, made: deque[Any], chunk: Any) -> Any:
        if not self.is_over:
            made.append(chunk)
        return splitter.cut(chunk) if _is_response(chunk) else chunk

    def is_own(self, item: Any) -> bool:
        """Return whether the first item of a stream is of the one that this call has begun.

        It is not where that ran out of time, and something else stands in for it.
        """
        if type(item) is Piece:
            return item.run == self._run != b""
        return bool(self.made) and not _is_response(self.made[0])

    @contextmanager
    def at_place(self) -> Iterator[None]:
        """Be, in this block, where the call was made; there must be no yield in it."""
        tokens = [(variable, variable.set(value)) for variable, value in self._place]
        try:
            yield
        finally:
            for variable, token in tokens:
                variable.reset(token)


def _is_response(chunk: Any) -> bool:
    return isinstance(chunk, ChatResponse | CompletionResponse)


@contextmanager
def _inside() -> Iterator[None]:
    """Mark what begins in this block as part of the call; there must be no yield in it."""
    with mark_inside("llm"), capture_outcome(None):
        yield


class Reader:
    """The reader of a stream.

    Args:
        ops: The runtime.
        name: The name under which the stream is counted.
        own: The reader's own call.
        keeps_usage: Whether chunks of a hit carry the token counts of the call that made them.
    """

    def __init__(self, ops: ToolOps, name: str, own: EndpointCall, *, keeps_usage: bool) -> None:
        self._outcome = CallOutcome(ops, name)
        self._own = own
        self._keeps_usage = keeps_usage
        self._joiner = Joiner()
        self._new_ids = CallIds()
        self._text = ""
        self._is_own: bool | None = None
        self._is_reported = False

    def capture(self) -> AbstractContextManager[None]:
        """Return the context in which the outcome of the stream is captured."""
        return capture_outcome(self._outcome)

    def chunk(self, item: Any) -> Response | None:
        """Return an item of the runtime as a chunk, or None if it is none of ours."""
        if type(item) is Substitute:
            part: Response = response_of(self._own.kind, item.value, self._text)
            self._text = _text_of(part)
            return part
        if self._is_own is None:
            self._is_own = self._own.is_own(item)
        if self._is_own:
            chunk: Response = self._own.made.popleft()  # which is the model's own object
            return chunk
        if type(item) is not Piece or type(item.response) is not self._own.kind:
            return None
        response = self._joiner.join(item)
        mark_hit(response, keeps_usage=self._keeps_usage, new_ids=self._new_ids)
        self.report()
        return response

    def report(self) -> None:
        """Fire the event of a hit, once it is known; where the stream was asked for."""
        hit = self._outcome.hit
        if hit is not None and not self._is_own and not self._is_reported:
            self._is_reported = True
            with self._own.at_place():
                report_hit(self._outcome.name, hit)


def report_hit(name: str, event: CallEvent) -> None:
    """Fire the event of a hit, with what the runtime says of it."""
    tell_hit(
        name,
        "llm",
        tier=event.tier,
        saved_seconds=event.saved_latency,
        saved_price=event.saved_price,
    )


def response_of(kind: type[Any], value: Any, before: str | None = None) -> Any:
    """Return what a fallback offers as the response that an endpoint gives.

    Args:
        kind: The class of the endpoint's responses.
        value: A text, a message or a response of either kind.
        before: In a stream, the text so far, which each of its chunks holds. None: it is none.

    Raises:
        ConfigurationError: It is no answer.
    """
    if isinstance(value, kind):
        if before is None or value.delta is not None:
            return value
        return value.model_copy(update={"delta": _text_of(value)})  # of a stream, all at once
    if isinstance(value, ChatResponse):
        value = value.message
    delta = _text_of(value)
    text = delta if before is None else before + delta
    if kind is CompletionResponse:
        return CompletionResponse(text=text, delta=None if before is None else delta)
    if isinstance(value, ChatMessage) and not before:
        message = value
    else:
        message = ChatMessage(role=MessageRole.ASSISTANT, content=text)
    return ChatResponse(message=message, delta=None if before is None else delta)


def _text_of(value: Any) -> str:
    """Return the text of an answer.

    Raises:
        ConfigurationError: It is none.
    """
    if isinstance(value, ChatResponse):
        value = value.message
    if isinstance(value, ChatMessage):
        return value.content or ""
    text = value.text if isinstance(value, CompletionResponse) else value
    if not isinstance(text, str):
        raise no_answer(value, "a text, a ChatMessage, a ChatResponse or a CompletionResponse")
    return text
