"""Guard of a chat model: its four methods that reach the provider, each as a wrapped function.

A model may call one of these from another: its asynchronous method may be the synchronous one in a
thread, and a model that is told to stream makes its answers of its stream. A call that begins
inside a guarded call is part of that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from functools import partial
from typing import Any, ClassVar, cast

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from langchain_toolops._codec_types import teach
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
    format_methods,
    local_schema,
    output_format,
    restore_output,
)
from langchain_toolops._method_guard import MethodCall, MethodGuard
from langchain_toolops._other_retries import is_passing
from toolops_plugins import Policy, ToolOps
from toolops_plugins.adapters.fallback_answers import Substitute
from toolops_plugins.adapters.invalid_answers import InvalidAnswer, valid_or_not
from toolops_plugins.adapters.model_identity import identify
from toolops_plugins.adapters.policy_views import compare_by
from toolops_plugins.adapters.usage import zero_counts

__all__ = ["STREAM_EVENTS", "LLMGuard"]

STREAM_EVENTS = ("_stream_chat_model_events", "_astream_chat_model_events")
"""Methods by which a class makes LangChain's newest stream events itself.

Without them LangChain makes these events of a model's chunks.
"""


class LLMGuard(MethodGuard):
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
        self.limiter = model.rate_limiter
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
            question = self.question(model, messages, stop, kwargs)
            result: ChatResult = self.call_method(method, question, run_manager)
            return result

        return _generate

    def _agenerate_of(self, kind: type[BaseChatModel]) -> Callable[..., Any]:
        inner = kind._agenerate  # noqa: SLF001 - a method for model classes to write

        async def _agenerate(
            model: Any, /, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> ChatResult:
            method = partial(inner, model, messages, stop=stop, **kwargs)
            if self.is_active:
                return await method(run_manager=run_manager)
            question = self.question(model, messages, stop, kwargs)
            result: ChatResult = await self.acall_method(method, question, run_manager)
            return result

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
            question = self.question(model, messages, stop, kwargs)
            yield from self.read_method(method, question, run_manager)

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
            question = self.question(model, messages, stop, kwargs)
            async with aclosing(self.aread_method(method, question, run_manager)) as chunks:
                async for chunk in chunks:
                    yield chunk

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

    def _own_chunk(self, chunk: Any, own: MethodCall) -> Any:
        _restore(chunk.message, own)
        return chunk

    def _read(self, items: Iterator[Any], own: MethodCall) -> Iterator[Any]:
        """Yield the items of a stream; None in their place where they are not for this caller."""
        for item in items:
            if own.response_class is not None and not own.has_begun:
                # The structured output comes last: too late to find that its class has changed.
                yield from _restore_items([item, *items], own)
                return
            if type(item) is not InvalidAnswer:
                yield item

    async def _aread(self, items: AsyncIterator[Any], own: MethodCall) -> AsyncIterator[Any]:
        """As :meth:`_read`, of an asynchronous stream."""
        async for item in items:
            if own.response_class is not None and not own.has_begun:
                for each in _restore_items([item, *[rest async for rest in items]], own):
                    yield each
                return
            if type(item) is not InvalidAnswer:
                yield item

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


def _restore(message: BaseMessage, own: MethodCall) -> bool:
    """Make the structured output in a message an instance again; return whether that is done."""
    try:
        restore_output(message, own.response_class)
    except Exception:  # noqa: BLE001 - of the live class, which has changed: the entry is not for it
        return False
    return True


def _restore_items(items: list[Any], own: MethodCall) -> list[Any]:
    chunks = [item for item in items if isinstance(item, ChatGenerationChunk)]
    if not all(_restore(chunk.message, own) for chunk in chunks):
        return [None]
    return [item for item in items if type(item) is not InvalidAnswer]


def _is_whole(result: Any) -> bool:
    return isinstance(result, ChatResult) and are_whole(result.generations)
