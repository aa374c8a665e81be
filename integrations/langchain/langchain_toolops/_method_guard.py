"""Guard of the methods by which a model of LangChain reaches its provider, chat or plain."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, closing, contextmanager
from functools import partial
from typing import Any

from langchain_core.outputs import ChatGenerationChunk
from langchain_core.rate_limiters import BaseRateLimiter

from langchain_toolops._event_dedup import note_error, note_run
from langchain_toolops._event_runs import current_agent
from langchain_toolops._llm_schema import (
    accepts_answer,
    dump_output,
    model_schema,
    output_format,
    response_class,
)
from langchain_toolops.prices import read_result
from toolops_plugins.adapters.answer_schema import AnswerSchema
from toolops_plugins.adapters.call_ids import CallIds
from toolops_plugins.adapters.invalid_answers import avalid_items, valid_items
from toolops_plugins.adapters.model_costs import Reading
from toolops_plugins.adapters.model_guard import ModelCall, ModelGuard, aread_within, read_within

__all__ = ["MethodCall", "MethodGuard"]


class MethodCall(ModelCall):
    """One caller's call of one of the four methods.

    Args:
        guard: The guard.
        method: The model's own method, with all arguments but the run manager.
        run_manager: The caller's run manager, or None.
    """

    def __init__(self, guard: Any, method: partial[Any], run_manager: Any) -> None:
        super().__init__()
        self._guard = guard
        self._method = method
        self._run_manager = run_manager
        self._format = output_format()
        self.response_class = response_class(method.keywords)
        """The class of which answers hold an instance, or None."""
        self.result: Any = None
        """The answer of the model to this caller itself."""
        self.has_begun = False
        """True if the model has begun to stream to this caller itself."""
        self.ids: deque[str | None] = deque()
        """The ids of the model's own chunks which this caller has not read yet: none is stored."""
        self.new_ids = CallIds()
        """New ids of the tool calls in a stream that was not made for this caller."""
        if run_manager is not None:
            note_run(run_manager.run_id)  # which the runtime counts, and no callback handler

    def call(self) -> Any:
        """Call the model."""
        if self._guard.limiter is not None:
            self._guard.limiter.acquire(blocking=True)
        with self._guard.activate():
            self.result = self._method(run_manager=self._live_run)
        return self.result

    async def acall(self) -> Any:
        """Call the asynchronous method of the model."""
        if self._guard.limiter is not None:
            await self._guard.limiter.aacquire(blocking=True)
        with self._guard.activate():
            self.result = await self._method(run_manager=self._live_run)
        return self.result

    def stream(self) -> Iterator[Any]:
        """Yield the chunks of the model, without a run: each reader tells its own run of them.

        A structured output stands in them as its fields.
        """
        if self._guard.limiter is not None:
            self._guard.limiter.acquire(blocking=True)
        ids: deque[str | None] = deque()
        self.ids = ids
        text = ""
        for chunk in read_within(self._method(), self._guard.activate):
            self.has_begun = True
            ids.append(_id_of(chunk))
            text = self._note_text(chunk, text)
            yield chunk

    async def astream(self) -> AsyncGenerator[Any, None]:
        """Yield the chunks of the asynchronous method of the model."""
        if self._guard.limiter is not None:
            await self._guard.limiter.aacquire(blocking=True)
        ids: deque[str | None] = deque()
        self.ids = ids
        text = ""
        async with aclosing(aread_within(self._method(), self._guard.activate)) as chunks:
            async for chunk in chunks:
                self.has_begun = True
                ids.append(_id_of(chunk))
                text = self._note_text(chunk, text)
                yield chunk

    def _note_text(self, chunk: Any, text: str) -> str:
        """Return the text so far; where it makes a structured output, leave that to each reader."""
        if self.response_class is None or not isinstance(chunk, ChatGenerationChunk):
            return ""
        text += chunk.text
        dump_output(chunk.message, text)
        return text

    def agent(self) -> str:
        """Return the name of the agent that calls the model, or nothing."""
        return current_agent()

    def answer_schema(self) -> AnswerSchema | None:
        """Return what the answer must fit, if answers are stored."""
        if self._guard.policy.cache is None:
            return None
        return model_schema(self._method.args[0], self._method.keywords, self._format)

    def fits(self, schema: AnswerSchema, answer: Any) -> bool:
        """Return whether a result, or the chunks of a stream, fit the schema."""
        return accepts_answer(schema, answer)

    @property
    def _live_run(self) -> Any:
        """The caller's run; None where it has ended, since the call goes on in the background."""
        return None if self.is_detached else self._run_manager


def _id_of(chunk: Any) -> str | None:
    """Return the id of a chunk's message; those of plain models have none."""
    return getattr(getattr(chunk, "message", None), "id", None)


class MethodGuard(ModelGuard):
    """The guarded methods of one model, and what they share.

    A subclass says how the runtime's answers become results and chunks.
    """

    def read_answer(self, answer: Any) -> Reading:
        """Return what an answer says about the model that made it."""
        return read_result(answer)

    limiter: BaseRateLimiter | None = None
    """The model's own rate limiter, which is asked for real calls only."""

    def call_method(self, method: partial[Any], question: tuple[str, Any], run_manager: Any) -> Any:
        """Return the result of a method's call.

        Args:
            method: The model's own method, with all arguments but the run manager.
            question: The question, and everything else that the answer depends on.
            run_manager: The caller's run manager, or None.
        """
        own = MethodCall(self, method, run_manager)
        try:
            result = self._result(self.ask(*question, own), own)
            return own.call() if result is None else result
        finally:
            own.is_over = True

    async def acall_method(
        self, method: partial[Any], question: tuple[str, Any], run_manager: Any
    ) -> Any:
        """As :meth:`call_method`, of an asynchronous method."""
        own = MethodCall(self, method, run_manager)
        try:
            result = self._result(await self.aask(*question, own), own)
            return await own.acall() if result is None else result
        finally:
            own.is_over = True

    def read_method(
        self, method: partial[Any], question: tuple[str, Any], run_manager: Any
    ) -> Iterator[Any]:
        """Yield the chunks of a method's stream, and tell the caller's run of them.

        Args:
            method: As for :meth:`call_method`.
            question: As for :meth:`call_method`.
            run_manager: As for :meth:`call_method`.
        """
        own = MethodCall(self, method, run_manager)
        items = self.stream(*question, own)
        with _note_errors(run_manager), closing(items):
            for number, item in enumerate(self._read(items, own)):
                chunk = self._chunk(item, own, first=not number)
                if chunk is None:  # somebody else's entry
                    yield from (self._own_chunk(each, own) for each in own.stream())
                    return
                if run_manager is not None:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    async def aread_method(
        self, method: partial[Any], question: tuple[str, Any], run_manager: Any
    ) -> AsyncGenerator[Any, None]:
        """As :meth:`read_method`, of an asynchronous method."""
        own = MethodCall(self, method, run_manager)
        items = self.astream(*question, own)
        first = True
        with _note_errors(run_manager):
            async with aclosing(items):
                async for item in self._aread(items, own):
                    chunk, first = self._chunk(item, own, first=first), False
                    if chunk is None:
                        async for each in own.astream():
                            yield self._own_chunk(each, own)
                        return
                    if run_manager is not None:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk

    def _result(self, answer: Any, own: MethodCall) -> Any:
        """Return an answer of the runtime as a result, or None if it is none of ours."""
        raise NotImplementedError

    def _chunk(self, item: Any, own: MethodCall, *, first: bool) -> Any:
        """Return an item of the runtime as a chunk, or None if it is none of ours."""
        raise NotImplementedError

    def _own_chunk(self, chunk: Any, own: MethodCall) -> Any:  # noqa: ARG002 - a subclass needs it
        """Return a chunk that the model has made for this caller itself."""
        return chunk

    def _read(self, items: Iterator[Any], own: MethodCall) -> Iterator[Any]:  # noqa: ARG002 - as above
        """Yield the items of a stream that are for this caller."""
        return valid_items(items)

    def _aread(self, items: AsyncIterator[Any], own: MethodCall) -> AsyncIterator[Any]:  # noqa: ARG002 - as above
        """As :meth:`_read`, of an asynchronous stream."""
        return avalid_items(items)


@contextmanager
def _note_errors(run_manager: Any) -> Iterator[None]:
    """Note that the runtime counts an error, where it cannot know of which run."""
    try:
        yield
    except BaseException as error:
        if run_manager is None:
            note_error(error)
        raise
