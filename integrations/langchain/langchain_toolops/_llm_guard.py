"""Guard of a chat model: its four methods that reach the provider, each as a wrapped function.

A model may call one of these from another: its asynchronous method may be the synchronous one in a
thread, and a model that is told to stream makes its answers of its stream. A call that begins
inside a guarded call is part of that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, closing, contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, ClassVar, cast

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.rate_limiters import BaseRateLimiter

from langchain_toolops._codec_types import teach
from langchain_toolops._event_dedup import note_error, note_run
from langchain_toolops._fallback_answers import chunk_of, result_of
from langchain_toolops._llm_answers import (
    are_whole,
    content_of,
    has_content,
    mark_generation,
    merge_chunks,
    read_stream_end,
)
from langchain_toolops._llm_conversation import question_of
from langchain_toolops._llm_identity import (
    continues_response,
    is_outage,
    model_identity,
    model_name,
    request_identity,
)
from langchain_toolops._llm_schema import (
    accepts_answer,
    dump_output,
    format_methods,
    local_schema,
    model_schema,
    output_format,
    response_class,
    restore_output,
)
from langchain_toolops._other_retries import is_passing
from toolops_plugins import Policy, ToolOps
from toolops_plugins.adapters.answer_schema import AnswerSchema
from toolops_plugins.adapters.call_ids import CallIds
from toolops_plugins.adapters.fallback_answers import Substitute
from toolops_plugins.adapters.invalid_answers import InvalidAnswer, valid_or_not
from toolops_plugins.adapters.model_guard import ModelCall, ModelGuard, aread_within, read_within
from toolops_plugins.adapters.model_identity import identify
from toolops_plugins.adapters.policy_views import compare_by
from toolops_plugins.adapters.usage import zero_counts

__all__ = ["STREAM_EVENTS", "LLMGuard", "MethodCall", "note_errors"]

STREAM_EVENTS = ("_stream_chat_model_events", "_astream_chat_model_events")
"""Methods by which a class makes LangChain's newest stream events itself.

Without them LangChain makes these events of a model's chunks.
"""


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


class LLMGuard(ModelGuard):
    """The guarded methods of one model, and what they share.

    Args:
        ops: The runtime.
        policy: The policy of the model's calls.
        model: The model, for its name and its rate limiter.
        after_tools: Whether a call that ends in tool results has a question.
        keeps_usage: Whether hits carry the token counts of the call that made them.

    Raises:
        ConfigurationError: The policy does not fit the runtime.
    """

    active: ClassVar[ContextVar[Any]] = ContextVar("toolops_langchain_model", default=None)

    def __init__(
        self,
        ops: ToolOps,
        policy: Policy,
        model: BaseChatModel,
        *,
        after_tools: bool,
        keeps_usage: bool,
    ) -> None:
        teach(ops.codec)
        super().__init__(ops, policy, model_name(model), is_outage, is_passing)
        self._after_tools = after_tools
        self._keeps_usage = keeps_usage
        self.limiter: BaseRateLimiter | None = model.rate_limiter
        policy = compare_by(self.policy, content_of)
        self.wrap_calls(policy, _is_whole)
        self.wrap_streams(policy, self._is_whole_stream)

    def methods(self, kind: type[BaseChatModel]) -> dict[str, Callable[..., Any]]:
        """Return the guarded methods of a model class, by name.

        A method that the class does not have by itself works by way of the others.
        """
        made: dict[str, Callable[..., Any]] = format_methods(kind)
        made["_generate"] = self._generate_of(kind)
        for name, make in (
            ("_agenerate", self._agenerate_of),
            ("_stream", self._stream_of),
            ("_astream", self._astream_of),
        ):
            if getattr(kind, name) is not getattr(BaseChatModel, name):
                made[name] = make(kind)
        return made

    def _generate_of(self, kind: type[BaseChatModel]) -> Callable[..., ChatResult]:
        inner = kind._generate  # noqa: SLF001 - a method for model classes to write

        def _generate(
            model: Any, /, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> ChatResult:
            method = partial(inner, model, messages, stop=stop, **kwargs)
            if self.is_active:
                return method(run_manager=run_manager)
            own = MethodCall(self, method, run_manager)
            try:
                answer = self.ask(*self.question(model, messages, stop, kwargs), own)
                result = self._result(answer, own)
                return own.call() if result is None else result
            finally:
                own.is_over = True

        return _generate

    def _agenerate_of(self, kind: type[BaseChatModel]) -> Callable[..., Any]:
        inner = kind._agenerate  # noqa: SLF001 - a method for model classes to write

        async def _agenerate(
            model: Any, /, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> ChatResult:
            method = partial(inner, model, messages, stop=stop, **kwargs)
            if self.is_active:
                return await method(run_manager=run_manager)
            own = MethodCall(self, method, run_manager)
            try:
                answer = await self.aask(*self.question(model, messages, stop, kwargs), own)
                result = self._result(answer, own)
                return await own.acall() if result is None else result
            finally:
                own.is_over = True

        return _agenerate

    def _stream_of(self, kind: type[BaseChatModel]) -> Callable[..., Any]:
        inner = kind._stream  # noqa: SLF001 - a method for model classes to write

        def _stream(
            model: Any, /, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> Iterator[ChatGenerationChunk]:
            method = partial(inner, model, messages, stop=stop, **kwargs)
            if self.is_active:
                yield from method(run_manager=run_manager)
                return
            own = MethodCall(self, method, run_manager)
            items = self.stream(*self.question(model, messages, stop, kwargs), own)
            with note_errors(run_manager), closing(items):
                for number, item in enumerate(_read(items, own)):
                    chunk = self._chunk(item, own, first=not number)
                    if chunk is None:  # somebody else's entry
                        for each in own.stream():
                            _restore(each.message, own)
                            yield each
                        return
                    if run_manager is not None:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk

        return _stream

    def _astream_of(self, kind: type[BaseChatModel]) -> Callable[..., Any]:
        inner = kind._astream  # noqa: SLF001 - a method for model classes to write

        async def _astream(
            model: Any, /, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> AsyncIterator[ChatGenerationChunk]:
            method = partial(inner, model, messages, stop=stop, **kwargs)
            if self.is_active:
                async for chunk in method(run_manager=run_manager):
                    yield chunk
                return
            own = MethodCall(self, method, run_manager)
            items = self.astream(*self.question(model, messages, stop, kwargs), own)
            first = True
            with note_errors(run_manager):
                async with aclosing(items):
                    async for item in _aread(items, own):
                        known, first = self._chunk(item, own, first=first), False
                        if known is None:
                            async for chunk in own.astream():
                                _restore(chunk.message, own)
                                yield chunk
                            return
                        if run_manager is not None:
                            await run_manager.on_llm_new_token(known.text, chunk=known)
                        yield known

        return _astream

    def question(
        self, model: BaseChatModel, messages: Any, stop: Any, kwargs: Mapping[str, Any]
    ) -> tuple[str, Any]:
        """Return the question, and everything else that the answer depends on."""

        def make() -> tuple[str, Any]:
            question, turns = question_of(
                messages,
                after_tools=self._after_tools,
                by_response=continues_response(model),
            )
            live = self.live_values()
            given = live.arguments_of(type(model), kwargs, request_identity)
            scope = [turns, model_identity(model, live), stop, given]
            unsent = local_schema(output_format())
            return question, scope if unsent is None else [*scope, request_identity(unsent)]

        return identify(make)

    def _result(self, answer: Any, own: MethodCall) -> ChatResult | None:
        """Return an answer of the runtime as a result, or None if it is none of ours."""
        answer = valid_or_not(answer)
        if answer is own.result:
            return cast("ChatResult", answer)
        if type(answer) is Substitute:
            return result_of(answer.value)
        if type(answer) is not ChatResult or not answer.generations:
            return None
        for generation in answer.generations:
            if not _restore(generation.message, own):
                return None
            mark_generation(generation, keeps_usage=self._keeps_usage)
        if not self._keeps_usage:
            zero_counts(answer.llm_output)
        return answer

    def _chunk(self, item: Any, own: MethodCall, *, first: bool) -> ChatGenerationChunk | None:
        """Return an item of the runtime as a chunk, or None if it is none of ours.

        The first chunk says where they come from. A model that streams does not know its run, so
        a callback handler has no other way to know.
        """
        if type(item) is Substitute:
            return chunk_of(item.value)
        if not isinstance(item, ChatGenerationChunk):
            return None
        message = item.message
        if not _restore(message, own) and not own.has_begun:
            return None
        if own.has_begun:
            if first:
                message.response_metadata["toolops"] = {"hit": False}
            if own.ids:
                message.id = own.ids.popleft()
            return item
        mark_generation(item, keeps_usage=self._keeps_usage, new_ids=own.new_ids)
        if not first:
            del message.response_metadata["toolops"]
        return item

    def _is_whole_stream(self, chunks: Any) -> bool:
        """Return whether the chunks of a stream are an answer, whose end was told."""
        if not chunks or not all(isinstance(chunk, ChatGenerationChunk) for chunk in chunks):
            return False
        ending = read_stream_end(chunks)
        if ending.may_be_kept(streamed=True):
            return has_content(merge_chunks(chunks).message)
        if ending.is_open:
            self.warn_of_untold_end()
        return False


def _id_of(chunk: Any) -> str | None:
    """Return the id of a chunk's message; those of plain models have none."""
    return getattr(getattr(chunk, "message", None), "id", None)


def _restore(message: BaseMessage, own: MethodCall) -> bool:
    """Make the structured output in a message an instance again; return whether that is done."""
    try:
        restore_output(message, own.response_class)
    except Exception:  # noqa: BLE001 - of the live class, which has changed: the entry is not for it
        return False
    return True


def _read(items: Iterator[Any], own: MethodCall) -> Iterator[Any]:
    """Yield the items of a stream; None in their place where they are not for this caller."""
    for item in items:
        if own.response_class is not None and not own.has_begun:
            # The structured output comes last: too late to find that its class has changed.
            yield from _restore_items([item, *items], own)
            return
        if type(item) is not InvalidAnswer:
            yield item


async def _aread(items: AsyncIterator[Any], own: MethodCall) -> AsyncGenerator[Any, None]:
    """Yield the items of an asynchronous stream, as :func:`_read` does."""
    async for item in items:
        if own.response_class is not None and not own.has_begun:
            for each in _restore_items([item, *[rest async for rest in items]], own):
                yield each
            return
        if type(item) is not InvalidAnswer:
            yield item


def _restore_items(items: list[Any], own: MethodCall) -> list[Any]:
    chunks = [item for item in items if isinstance(item, ChatGenerationChunk)]
    if not all(_restore(chunk.message, own) for chunk in chunks):
        return [None]
    return [item for item in items if type(item) is not InvalidAnswer]


@contextmanager
def note_errors(run_manager: Any) -> Iterator[None]:
    """Note that the runtime counts an error, where it cannot know of which run."""
    try:
        yield
    except BaseException as error:
        if run_manager is None:
            note_error(error)
        raise


def _is_whole(result: Any) -> bool:
    return isinstance(result, ChatResult) and are_whole(result.generations)
