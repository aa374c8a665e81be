"""A chat model behind a policy, which stays the model that it was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import partial, reduce
from operator import add
from typing import Any, Literal, TypeVar, cast

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.rate_limiters import BaseRateLimiter

from langchain_toolops._answers import NO_TOKENS, are_whole, by_answers, mark_hit
from langchain_toolops._bubbles import letting_through
from langchain_toolops._conversation import asked
from langchain_toolops._counted import note_run
from langchain_toolops._models import (
    MODEL_POLICY,
    Unknown,
    model_identity,
    model_name,
    sent,
    worth_trying,
)
from langchain_toolops._values import teach
from toolops_plugins import (
    ConfigurationError,
    Policy,
    ToolOps,
    get_default,
)

__all__ = ["MODEL_POLICY", "guard_model"]

M = TypeVar("M", bound=BaseChatModel)


def guard_model(
    model: M,
    ops: ToolOps | None = None,
    *,
    policy: Policy = MODEL_POLICY,
    after_tools: bool = False,
    usage_on_hit: Literal["keep", "zero"] = "keep",
) -> M:
    """Return a chat model like this one whose calls go through a policy.

    It is a copy, of a subclass made for it, which guards the four methods that reach the provider.
    So it is still an instance of the model's class, with its fields, callbacks and tracing, and
    ``invoke``, ``stream``, ``batch``, their asynchronous twins, ``bind_tools`` and
    ``with_structured_output`` work as before: all of them end in those four methods.

    Equal calls that run at the same time are made once, streams too: who comes later gets what has
    come so far, and the rest as it comes. Answers of ``invoke`` and of ``stream`` are kept apart.
    A hit says ``{"toolops": {"hit": True}}`` in its response metadata; a stream that is none says
    ``False``. Never kept are errors, and
    answers that are empty or cut off. The model's own ``rate_limiter`` is asked for real calls
    only.

    Models try again by themselves; with ``max_retries=0`` they leave that to the policy. Safe to
    use from any threads and event loops.

    Args:
        model: The model; it is left as it is.
        ops: The runtime. None: :func:`toolops_plugins.get_default`.
        policy: What is asked of its calls, all of it; ``MODEL_POLICY.replace(...)`` adds to the
            default. With ``semantic=Semantic(on="question")`` questions in other words share an
            answer. Callbacks get a ``ChatResult``, or the list of chunks of a stream. ``hedge`` has
            no place, since streams cannot be hedged. Default: kept for an hour, retried, and behind
            a circuit breaker.
        after_tools: Whether a call that ends in tool results may share the answer to its question
            in other words. Default False.
        usage_on_hit: "keep": a hit carries the token counts of the call that made it. "zero": it
            carries none. Default "keep".

    Returns:
        The copy.

    Raises:
        ConfigurationError: A value is wrong, or does not fit the runtime, or the model is guarded
            already.
    """
    if usage_on_hit not in ("keep", "zero"):
        raise ConfigurationError("usage_on_hit", f'must be "keep" or "zero", not {usage_on_hit!r}')
    if not isinstance(model, BaseChatModel):
        raise ConfigurationError(
            "model", f"must be a chat model, not a {type(model).__name__}; bind tools afterwards"
        )
    if isinstance(getattr(type(model), "__toolops_guard__", None), _Guard):
        raise ConfigurationError("model", "is guarded already")
    guard = _Guard(
        get_default() if ops is None else ops,
        policy,
        model,
        after_tools=after_tools,
        keeps_usage=usage_on_hit == "keep",
    )
    copy = model.model_copy(update={"rate_limiter": None})
    copy.__class__ = _subclass(type(model), guard)
    return copy


def _subclass(kind: type[M], guard: _Guard) -> type[M]:
    """Return a class that differs from the model's in nothing but the methods that are guarded."""
    body: dict[str, Any] = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "__toolops_guard__": guard,
        "_generate": guard.generating(kind),
    }
    # What a model has not by itself it has by way of the others.
    for name, make in (
        ("_agenerate", guard.agenerating),
        ("_stream", guard.streaming),
        ("_astream", guard.astreaming),
    ):
        if getattr(kind, name) is not getattr(BaseChatModel, name):
            body[name] = make(kind)
    return cast("type[M]", type(kind)(kind.__name__, (kind,), body))  # type: ignore[misc] # the metaclass makes a class


class _Own:
    """One caller's call.

    Args:
        make: Makes it; gets the run manager.
        run: The run manager of the caller.
    """

    __slots__ = ("make", "over", "ran", "run")

    def __init__(self, make: Callable[[Any], Any], run: Any) -> None:
        self.make = make
        self.run = run
        self.ran = False
        self.over = False

    def __call__(self) -> Any:
        if self.over:  # a refresh in the background, of which a run that has ended must not hear
            return self.make(None)
        self.ran = True
        return self.make(self.run)


class _Guard:
    """The four guarded methods of one model, and what they share."""

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
        policy = worth_trying(policy)
        if policy.semantic is not None:
            policy = policy.replace(semantic=by_answers(policy.semantic))
        self._after_tools = after_tools
        self._keeps_usage = keeps_usage
        self._limiter: BaseRateLimiter | None = model.rate_limiter
        name = model_name(model)
        policy = _of_one_model(policy, name)
        whole = letting_through(policy, _is_whole)
        fallback = policy.fallback
        streamed = letting_through(policy, _is_whole_stream).replace(
            hedge=None, fallback=[fallback] if isinstance(fallback, str) else fallback
        )
        wrap = partial(ops.tool, ignore=["own"])
        self._generate = wrap(policy=whole, name=name)(_generate)
        self._agenerate = wrap(policy=whole, name=name)(_agenerate)
        self._stream = wrap(policy=streamed, name=f"{name} stream")(_stream)
        self._astream = wrap(policy=streamed, name=f"{name} stream")(_astream)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Guard:
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

            own = _Own(make, _counted(run_manager))
            try:
                result = self._generate(*self._asked(model, messages, stop, kwargs), own)
            finally:
                own.over = True
            return self._taken(result, own)

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

            own = _Own(make, _counted(run_manager))
            try:
                result = await self._agenerate(*self._asked(model, messages, stop, kwargs), own)
            finally:
                own.over = True
            return self._taken(result, own)

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
                return inner(model, messages, stop=stop, **kwargs)

            if _UNDER_WAY.get() is self:  # called by the model itself, within a guarded call
                yield from inner(model, messages, stop=stop, run_manager=run_manager, **kwargs)
                return
            own = _Own(make, _counted(run_manager))
            chunks = self._stream(*self._asked(model, messages, stop, kwargs), own)
            for number, item in enumerate(chunks):
                chunk = self._chunk(item, own, first=not number)
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
            async def make(_: Any) -> AsyncIterator[ChatGenerationChunk]:
                if self._limiter is not None:
                    await self._limiter.aacquire(blocking=True)
                async for chunk in inner(model, messages, stop=stop, **kwargs):
                    yield chunk

            if _UNDER_WAY.get() is self:
                chunks = inner(model, messages, stop=stop, run_manager=run_manager, **kwargs)
                async for chunk in chunks:
                    yield chunk
                return
            own = _Own(make, _counted(run_manager))
            chunks = self._astream(*self._asked(model, messages, stop, kwargs), own)
            first = True
            async for item in chunks:
                chunk, first = self._chunk(item, own, first=first), False
                if run_manager is not None:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

        return _astream

    @contextmanager
    def _under_way(self) -> Iterator[None]:
        token = _UNDER_WAY.set(self)
        try:
            yield
        finally:
            _UNDER_WAY.reset(token)

    def _asked(
        self, model: BaseChatModel, messages: Any, stop: Any, kwargs: Mapping[str, Any]
    ) -> tuple[str, Any]:
        """Return the question, and all else that the answer hangs on."""
        try:
            question, turns = asked(messages, after_tools=self._after_tools)
            return question, [turns, model_identity(model), stop, sent(kwargs)]
        except Exception as error:  # noqa: BLE001 - of users' classes; the call goes past the cache
            return "", Unknown(error)

    def _taken(self, result: Any, own: _Own) -> ChatResult:
        """Return what the runtime gave as a result."""
        if isinstance(result, str):  # a fallback's
            result = AIMessage(result)
        if isinstance(result, AIMessage):
            result = ChatResult(generations=[ChatGeneration(message=result)])
        elif not own.ran:
            for generation in result.generations:
                mark_hit(generation.message, keeps_usage=self._keeps_usage)
        return cast("ChatResult", result)

    def _chunk(self, item: Any, own: _Own, *, first: bool) -> ChatGenerationChunk:
        """Return what the runtime gave as a chunk; the first one says where they come from."""
        if isinstance(item, str):  # a fallback's
            item = AIMessageChunk(content=item)
        if isinstance(item, AIMessageChunk):
            item = ChatGenerationChunk(message=item)
        message = item.message
        if first:
            # A model that streams is not told its run, so that the handler can only know by this.
            message.response_metadata["toolops"] = {"hit": not own.ran}
        if not own.ran and not self._keeps_usage and message.usage_metadata is not None:
            message.usage_metadata = NO_TOKENS.copy()
        return cast("ChatGenerationChunk", item)


_UNDER_WAY: ContextVar[_Guard | None] = ContextVar("toolops_langchain_model", default=None)


def _generate(question: str, scope: Any, own: _Own) -> Any:  # noqa: ARG001 - they make the key
    return own()


async def _agenerate(question: str, scope: Any, own: _Own) -> Any:  # noqa: ARG001 - as above
    return await own()


def _stream(question: str, scope: Any, own: _Own) -> Iterator[Any]:  # noqa: ARG001 - as above
    yield from own()


async def _astream(question: str, scope: Any, own: _Own) -> AsyncIterator[Any]:  # noqa: ARG001 - as above
    async for chunk in own():
        yield chunk


def _counted(run_manager: Any) -> Any:
    """Note that the runtime counts this run, so that no callback handler does; return it."""
    if run_manager is not None:
        note_run(run_manager.run_id)
    return run_manager


def _of_one_model(policy: Policy, name: str) -> Policy:
    """Return the policy with what counts calls, which both ways of asking a model share."""
    changes: dict[str, Any] = {}
    for part in ("breaker", "rate_limit", "bulkhead"):
        chosen = getattr(policy, part)
        if chosen is not None and chosen.name is None:
            changes[part] = replace(chosen, name=name)
    return policy.replace(**changes)


def _is_whole(result: Any) -> bool:
    return isinstance(result, ChatResult) and are_whole(result.generations)


def _is_whole_stream(chunks: Any) -> bool:
    return bool(chunks) and are_whole([reduce(add, chunks)])
