"""One call of a guarded model: how it is made, and who reads what comes of it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import contextmanager
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

from llama_index.callbacks.toolops._event_dedup import counted
from llama_index.callbacks.toolops._llm_answers import Response, mark_hit
from llama_index.callbacks.toolops._llm_chunks import Joiner, Piece, Splitter
from llama_index.callbacks.toolops.events import tell_hit
from toolops_plugins import CallEvent, ToolOps
from toolops_plugins.adapters.fallback_answers import Substitute, no_answer
from toolops_plugins.adapters.outcomes import Heard, listening
from toolops_plugins.policy import NOTHING

__all__ = ["Own", "Reader", "spoken", "tell"]

_PLACE: tuple[ContextVar[Any], ...] = (active_span_id, global_stack_trace, global_stack_trace_ids)
"""Where in a trace LlamaIndex's instrumentation and callbacks find themselves."""


class Own:
    """One caller's call.

    Args:
        make: Asks the model, on a view of it.
    """

    __slots__ = ("made", "make", "over", "place", "run")

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make
        self.place = [(variable, variable.get()) for variable in _PLACE]
        """A stream begins where it was asked for, wherever it is read."""
        self.run = b""
        """What tells the last stream that this call has begun from all others."""
        self.made: deque[Any] = deque()
        """The model's own chunks which this caller has not read yet."""
        self.over = False
        """Whether the caller has gone."""

    def call(self) -> Any:
        """Ask the model."""
        with _inside():
            return self.make()

    async def acall(self) -> Any:
        """Ask an asynchronous model."""
        with _inside():
            return await self.make()

    def pieces(self) -> Generator[Any, None, None]:
        """Yield what the model streams, in the form that is kept."""
        splitter, made = self._begun()
        with self.placed(), _inside():
            stream = self.make()
        try:
            while True:
                # Not around the yield: a generator shares the context of whoever reads it.
                with _inside():
                    chunk = next(stream, NOTHING)
                if chunk is NOTHING:
                    return
                yield self._taken(splitter, made, chunk)
        finally:
            if hasattr(stream, "close"):
                stream.close()

    async def apieces(self) -> AsyncGenerator[Any, None]:
        """As :meth:`pieces`, of an asynchronous model."""
        splitter, made = self._begun()
        with self.placed(), _inside():
            stream = await self.make()
        try:
            while True:
                with _inside():
                    chunk = await anext(stream, NOTHING)
                if chunk is NOTHING:
                    return
                yield self._taken(splitter, made, chunk)
        finally:
            if hasattr(stream, "aclose"):
                await stream.aclose()

    def _begun(self) -> tuple[Splitter, deque[Any]]:
        self.made, self.run = made, run = deque[Any](), os.urandom(8)
        return Splitter(run), made

    def _taken(self, splitter: Splitter, made: deque[Any], chunk: Any) -> Any:
        if not self.over:
            made.append(chunk)
        return splitter.cut(chunk) if _is_known(chunk) else chunk

    def has_made(self, item: Any) -> bool:
        """Return whether the first item of a stream is of the one that this call has begun.

        It is not where that ran out of time, and something else stands in for it.
        """
        if type(item) is Piece:
            return item.run == self.run != b""
        return bool(self.made) and not _is_known(self.made[0])

    @contextmanager
    def placed(self) -> Iterator[None]:
        """Be, in this block, where the call was made; there must be no yield in it."""
        tokens = [(variable, variable.set(value)) for variable, value in self.place]
        try:
            yield
        finally:
            for variable, token in tokens:
                variable.reset(token)


def _is_known(chunk: Any) -> bool:
    return isinstance(chunk, ChatResponse | CompletionResponse)


@contextmanager
def _inside() -> Iterator[None]:
    """Mark what begins in this block as part of the call; there must be no yield in it."""
    with counted("llm"), listening(None):
        yield


class Reader:
    """Who reads a stream.

    Args:
        ops: The runtime.
        name: The name that the stream is counted by.
        own: The reader's own call.
        kind: What the chunks are.
        keeps_usage: Whether those of a hit tell the tokens of the call that made them.
    """

    def __init__(
        self, ops: ToolOps, name: str, own: Own, kind: type[Any], *, keeps_usage: bool
    ) -> None:
        self.heard = Heard(ops, name)
        self._own = own
        self._kind = kind
        self._keeps_usage = keeps_usage
        self._joiner = Joiner()
        self._fresh: dict[str, str] = {}
        self._text = ""
        self._is_own: bool | None = None
        self._told = False

    def chunk(self, item: Any) -> Response | None:
        """Return what the runtime gave as a chunk, or None if it is none of ours."""
        if type(item) is Substitute:
            next_part: Response = spoken(self._kind, item.value, self._text)
            self._text = text_of(next_part)
            return next_part
        if self._is_own is None:
            self._is_own = self._own.has_made(item)
        if self._is_own:
            chunk: Response = self._own.made.popleft()  # which is the model's own object
            return chunk
        if type(item) is not Piece:
            return None
        if type(item.response) is not self._kind:
            return None
        response = self._joiner.joined(item)
        mark_hit(response, keeps_usage=self._keeps_usage, fresh=self._fresh)
        self.tell()
        return response

    def tell(self) -> None:
        """Fire the event of a hit, once it is known; where the stream was asked for."""
        served = self.heard.served
        if served is not None and not self._is_own and not self._told:
            self._told = True
            with self._own.placed():
                tell(self.heard.name, served)


def tell(name: str, served: CallEvent) -> None:
    tell_hit(
        name,
        "llm",
        tier=served.tier,
        saved_seconds=served.saved_latency,
        saved_price=served.saved_price,
    )


def spoken(kind: type[Any], value: Any, before: str | None = None) -> Any:
    """Return what a fallback offers as the response that an endpoint gives.

    Args:
        kind: What the endpoint gives.
        value: A text, a message or a response of either kind.
        before: In a stream, the text so far, which each of its chunks holds. None: it is none.

    Raises:
        ConfigurationError: It is no answer.
    """
    if isinstance(value, kind):
        if before is None or value.delta is not None:
            return value
        return value.model_copy(update={"delta": text_of(value)})  # of a stream, all at once
    if isinstance(value, ChatResponse):
        value = value.message
    delta = text_of(value)
    text = delta if before is None else before + delta
    if kind is CompletionResponse:
        return CompletionResponse(text=text, delta=None if before is None else delta)
    if isinstance(value, ChatMessage) and not before:
        message = value
    else:
        message = ChatMessage(role=MessageRole.ASSISTANT, content=text)
    return ChatResponse(message=message, delta=None if before is None else delta)


def text_of(value: Any) -> str:
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
