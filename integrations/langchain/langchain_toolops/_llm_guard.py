"""The four methods of a chat model that reach its provider, each as one call of a wrapped function.

A model may call one of these from another: its asynchronous way may be the synchronous one in a
thread, and one that is told to stream makes its answers of its stream. What begins inside a guarded
call is part of it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, closing, contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, cast

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.rate_limiters import BaseRateLimiter

from langchain_toolops._codec_types import teach
from langchain_toolops._event_dedup import note_error, note_run
from langchain_toolops._fallback_answers import chunk_of, result_of
from langchain_toolops._llm_answers import are_whole, by_answers, mark_hit, merged
from langchain_toolops._llm_conversation import asked
from langchain_toolops._llm_identity import is_outage, model_identity, model_name, sent
from toolops_plugins import Policy, ToolOps
from toolops_plugins.adapters.fallback_answers import Substitute, with_substitutes
from toolops_plugins.adapters.model_policy import Unknown, told_apart, worth_trying
from toolops_plugins.adapters.signals import adapt_policy
from toolops_plugins.calls.flow import REFRESH
from toolops_plugins.policy import NOTHING

__all__ = ["Guard"]


class _Own:
    """One caller's call.

    Args:
        make: Makes it; gets the run manager.
        run: The run manager of the caller.
    """

    __slots__ = ("began", "brought", "fresh", "make", "over", "refresh", "run")

    def __init__(self, make: Callable[[Any], Any], run: Any) -> None:
        self.make = make
        self.run = run
        self.brought: Any = None
        """What the model has answered to this caller itself."""
        self.began = False
        """Whether the model has begun to stream to this caller itself."""
        self.fresh: dict[str, str] = {}
        """New ids of the tool calls in a stream that was not made for this caller."""
        self.refresh = REFRESH.get()
        """The refresh around the caller, if any; in another one he has been served."""
        self.over = False
        """Whether the caller has gone."""

    def call(self) -> Any:
        """Make the call."""
        self.brought = result = self.make(self._heard())
        return result

    async def acall(self) -> Any:
        """Make the call of an asynchronous model."""
        self.brought = result = await self.make(self._heard())
        return result

    def _heard(self) -> Any:
        # What goes on behind an answer is no news to the run that has had it.
        return None if self.over or REFRESH.get() is not self.refresh else self.run


class Guard:
    """The guarded methods of one model, and what they share.

    Args:
        ops: The runtime.
        policy: What is asked of the model's calls.
        model: The model, for its name and its rate limiter.
        after_tools: Whether a call that ends in tool results has a question.
        keeps_usage: Whether hits tell the tokens of the call that made them.

    Raises:
        ConfigurationError: The policy does not fit the runtime.
    """

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
        name = model_name(model)
        policy = by_answers(told_apart(ops, worth_trying(policy, is_outage), name))
        self._after_tools = after_tools
        self._keeps_usage = keeps_usage
        self._limiter: BaseRateLimiter | None = model.rate_limiter
        whole = adapt_policy(with_substitutes(policy), _is_whole)
        streamed = with_substitutes(policy, stream=True).replace(hedge=None)
        streamed = adapt_policy(streamed, _is_whole_stream)
        wrap = partial(ops.tool, ignore=["own"])
        self._generate = wrap(policy=whole, name=name)(_generate)
        self._agenerate = wrap(policy=whole, name=name)(_agenerate)
        self._stream = wrap(policy=streamed, name=f"{name} stream")(_stream)
        self._astream = wrap(policy=streamed, name=f"{name} stream")(_astream)

    def __deepcopy__(self, memo: dict[int, Any]) -> Guard:
        return self

    def generating(self, kind: type[BaseChatModel]) -> Callable[..., ChatResult]:
        """Return the guarded ``_generate`` of a model class."""
        inner = kind._generate  # noqa: SLF001 - a method for model classes to write

        def _generate(
            model: Any, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> ChatResult:
            def make(run: Any) -> ChatResult:
                if self._limiter is not None:
                    self._limiter.acquire(blocking=True)
                with self._under_way():
                    return inner(model, messages, stop=stop, run_manager=run, **kwargs)

            if self._is_under_way:
                return inner(model, messages, stop=stop, run_manager=run_manager, **kwargs)
            own = _Own(make, _counted(run_manager))
            try:
                given = self._generate(*self._asked(model, messages, stop, kwargs), own)
                result = self._taken(given, own)
                return own.call() if result is None else result
            finally:
                own.over = True

        return _generate

    def agenerating(self, kind: type[BaseChatModel]) -> Callable[..., Any]:
        """Return the guarded ``_agenerate`` of a model class."""
        inner = kind._agenerate  # noqa: SLF001 - a method for model classes to write

        async def _agenerate(
            model: Any, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> ChatResult:
            async def make(run: Any) -> ChatResult:
                if self._limiter is not None:
                    await self._limiter.aacquire(blocking=True)
                with self._under_way():
                    return await inner(model, messages, stop=stop, run_manager=run, **kwargs)

            if self._is_under_way:
                return await inner(model, messages, stop=stop, run_manager=run_manager, **kwargs)
            own = _Own(make, _counted(run_manager))
            try:
                given = await self._agenerate(*self._asked(model, messages, stop, kwargs), own)
                result = self._taken(given, own)
                return await own.acall() if result is None else result
            finally:
                own.over = True

        return _agenerate

    def streaming(self, kind: type[BaseChatModel]) -> Callable[..., Any]:
        """Return the guarded ``_stream`` of a model class."""
        inner = kind._stream  # noqa: SLF001 - a method for model classes to write

        def _stream(
            model: Any, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> Iterator[ChatGenerationChunk]:
            def make(_: Any) -> Iterator[ChatGenerationChunk]:
                if self._limiter is not None:
                    self._limiter.acquire(blocking=True)
                # Without the run: what comes is told below, to each caller's own.
                for chunk in self._within(inner(model, messages, stop=stop, **kwargs)):
                    own.began = True
                    yield chunk

            if self._is_under_way:
                yield from inner(model, messages, stop=stop, run_manager=run_manager, **kwargs)
                return
            own = _Own(make, _counted(run_manager))
            items = self._stream(*self._asked(model, messages, stop, kwargs), own)
            with _telling_errors(run_manager), closing(items):
                for number, item in enumerate(items):
                    chunk = self._chunk(item, own, first=not number)
                    if chunk is None:  # somebody else's entry
                        yield from make(None)
                        return
                    if run_manager is not None:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk

        return _stream

    def astreaming(self, kind: type[BaseChatModel]) -> Callable[..., Any]:
        """Return the guarded ``_astream`` of a model class."""
        inner = kind._astream  # noqa: SLF001 - a method for model classes to write

        async def _astream(
            model: Any, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> AsyncIterator[ChatGenerationChunk]:
            async def make(_: Any) -> AsyncGenerator[ChatGenerationChunk, None]:
                if self._limiter is not None:
                    await self._limiter.aacquire(blocking=True)
                within = self._awithin(inner(model, messages, stop=stop, **kwargs))
                async with aclosing(within):
                    async for chunk in within:
                        own.began = True
                        yield chunk

            if self._is_under_way:
                plain = inner(model, messages, stop=stop, run_manager=run_manager, **kwargs)
                async for chunk in plain:
                    yield chunk
                return
            own = _Own(make, _counted(run_manager))
            items = self._astream(*self._asked(model, messages, stop, kwargs), own)
            first = True
            with _telling_errors(run_manager):
                async with aclosing(items):
                    async for item in items:
                        told, first = self._chunk(item, own, first=first), False
                        if told is None:
                            async for chunk in make(None):
                                yield chunk
                            return
                        if run_manager is not None:
                            await run_manager.on_llm_new_token(told.text, chunk=told)
                        yield told

        return _astream

    # -- what begins inside of a call ------------------------------------------------------------

    @property
    def _is_under_way(self) -> bool:
        return _UNDER_WAY.get() is self

    @contextmanager
    def _under_way(self) -> Iterator[None]:
        token = _UNDER_WAY.set(self)
        try:
            yield
        finally:
            _UNDER_WAY.reset(token)

    def _within(self, chunks: Any) -> Iterator[Any]:
        """Yield what an iterator yields; what it does meanwhile is part of the call."""
        try:
            while True:
                # Not around the yield: a generator shares the context of whoever reads it.
                with self._under_way():
                    chunk = next(chunks, NOTHING)
                if chunk is NOTHING:
                    return
                yield chunk
        finally:
            if hasattr(chunks, "close"):
                chunks.close()

    async def _awithin(self, chunks: Any) -> AsyncGenerator[Any, None]:
        """As :meth:`_within`."""
        try:
            while True:
                with self._under_way():
                    chunk = await anext(chunks, NOTHING)
                if chunk is NOTHING:
                    return
                yield chunk
        finally:
            if hasattr(chunks, "aclose"):
                await chunks.aclose()

    # -- keys and results ------------------------------------------------------------------------

    def _asked(
        self, model: BaseChatModel, messages: Any, stop: Any, kwargs: Mapping[str, Any]
    ) -> tuple[str, Any]:
        """Return the question, and all else that the answer hangs on."""
        try:
            question, turns = asked(messages, after_tools=self._after_tools)
            return question, [turns, model_identity(model), stop, sent(kwargs)]
        except Exception as error:  # noqa: BLE001 - of users' classes; the call goes past the cache
            return "", Unknown(error)

    def _taken(self, given: Any, own: _Own) -> ChatResult | None:
        """Return what the runtime gave as a result, or None if it is none of ours."""
        if given is own.brought:
            return cast("ChatResult", given)
        if type(given) is Substitute:
            return result_of(given.value)
        if type(given) is not ChatResult or not given.generations:
            return None
        for generation in given.generations:
            mark_hit(generation.message, keeps_usage=self._keeps_usage)
        if not self._keeps_usage and given.llm_output:
            given.llm_output.pop("token_usage", None)
        return given

    def _chunk(self, item: Any, own: _Own, *, first: bool) -> ChatGenerationChunk | None:
        """Return what the runtime gave as a chunk, or None if it is none of ours.

        The first chunk says where they come from: a model that streams is not told its run, so
        that a callback handler can only know by this.
        """
        if type(item) is Substitute:
            return chunk_of(item.value)
        if not isinstance(item, ChatGenerationChunk):
            return None
        message = item.message
        if own.began:
            if first:
                message.response_metadata["toolops"] = {"hit": False}
            return item
        mark_hit(message, keeps_usage=self._keeps_usage, fresh=own.fresh)
        if not first:
            del message.response_metadata["toolops"]
        return item


_UNDER_WAY: ContextVar[Guard | None] = ContextVar("toolops_langchain_model", default=None)


def _generate(question: str, scope: Any, own: _Own) -> Any:  # noqa: ARG001 - they make the key
    return own.call()


async def _agenerate(question: str, scope: Any, own: _Own) -> Any:  # noqa: ARG001 - as above
    return await own.acall()


def _stream(question: str, scope: Any, own: _Own) -> Iterator[Any]:  # noqa: ARG001 - as above
    yield from own.make(None)


async def _astream(question: str, scope: Any, own: _Own) -> AsyncIterator[Any]:  # noqa: ARG001 - as above
    async with aclosing(own.make(None)) as chunks:
        async for chunk in chunks:
            yield chunk


def _counted(run_manager: Any) -> Any:
    """Note that the runtime counts this run, so that no callback handler does; return it."""
    if run_manager is not None:
        note_run(run_manager.run_id)
    return run_manager


@contextmanager
def _telling_errors(run_manager: Any) -> Iterator[None]:
    """Note that the runtime counts an error, where it cannot know of which run."""
    try:
        yield
    except BaseException as error:
        if run_manager is None:
            note_error(error)
        raise


def _is_whole(result: Any) -> bool:
    return isinstance(result, ChatResult) and are_whole(result.generations)


def _is_whole_stream(chunks: Any) -> bool:
    return bool(chunks) and are_whole([merged(chunks)])
