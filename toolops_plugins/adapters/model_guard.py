"""Guards of models: the calls of one model, each as one call of a wrapped function."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import AbstractContextManager, aclosing, closing
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast

from toolops_plugins.adapters.answer_schema import AnswerSchema
from toolops_plugins.adapters.context_variables import set_within
from toolops_plugins.adapters.detachable_call import DetachableCall
from toolops_plugins.adapters.fallback_answers import with_substitutes
from toolops_plugins.adapters.forgetting import ForgettableCall, aforget_calls, forget_calls
from toolops_plugins.adapters.invalid_answers import (
    InvalidAnswer,
    ends_invalid,
    over_valid,
    teach_invalid,
)
from toolops_plugins.adapters.live_values import LiveValues
from toolops_plugins.adapters.model_costs import ModelCounter, Reading
from toolops_plugins.adapters.model_policy import may_pass, name_parts, narrow_errors
from toolops_plugins.adapters.notices import warn_of_local_value, warn_of_untold_end
from toolops_plugins.adapters.signals import adapt_policy
from toolops_plugins.adapters.subclasses import refuse_pickle
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.policy import NOTHING, Policy
from toolops_plugins.runtime import ToolOps
from toolops_plugins.telemetry.events import CallKind

if TYPE_CHECKING:
    from toolops_plugins.semantic.matches import Explanation

__all__ = [
    "ModelCall",
    "ModelGuard",
    "aread_within",
    "check_model",
    "guard_of",
    "read_within",
    "require_guard",
    "without_scope",
]

_M = TypeVar("_M")
_G = TypeVar("_G", bound="ModelGuard")
_SCOPE_NOTE = (
    "Its scope is the model with its settings, tools and system prompt, the earlier turns, tenant "
    "and namespace."
)


class ModelCall(DetachableCall):
    """One caller's call of a guarded model.

    A subclass asks the model in ``call``, ``acall``, ``stream`` and ``astream``, as far as its
    guard needs these.
    """

    def answer_schema(self) -> AnswerSchema | None:
        """Return what the answer must fit to be stored, or None if that is anything."""
        return None

    def agent(self) -> str:
        """Return the name of the agent that makes the call, or nothing."""
        return ""

    def fits(self, schema: AnswerSchema, answer: Any) -> bool:
        """Return whether an answer fits the schema of this call.

        Args:
            schema: The schema.
            answer: The answer; of a stream, the list of its items.
        """
        raise NotImplementedError


class ModelGuard:
    """The wrapped functions of one model, which its copies share.

    Each of ``ask``, ``aask``, ``stream`` and ``astream`` takes a question, everything else that the
    answer depends on, and the caller's :class:`ModelCall`.

    Args:
        ops: The runtime.
        policy: The policy of the model's calls.
        name: The name under which they are counted.
        is_outage: Whether an error speaks against the service that was called.
        is_passing: Whether an error is worth another attempt.
        kind: The operation that the model is asked for. Default "chat".

    Attributes:
        policy: The policy, with names for its breaker, limit and bulkhead.
    """

    active: ClassVar[ContextVar[Any]] = ContextVar("toolops_model", default=None)
    """The guard whose call is under way around whoever asks; each adapter has its own variable."""
    ask: Any
    aask: Any
    stream: Any
    astream: Any

    def __init__(
        self,
        ops: ToolOps,
        policy: Policy,
        name: str,
        is_outage: Callable[[BaseException], bool] = may_pass,
        is_passing: Callable[[BaseException], bool] = may_pass,
        kind: CallKind = "chat",
    ) -> None:
        self.ops = ops
        self.name = name
        self.policy = name_parts(ops, narrow_errors(policy, is_outage, is_passing), name)
        self._counter = ModelCounter(ops, name, kind, policy.price, self.read_answer)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def read_answer(self, answer: Any) -> Reading | None:  # noqa: ARG002 - for adapters
        """Return what an answer says about the model that made it.

        Args:
            answer: The answer in the form that is kept; of a stream, the list of its items.
        """
        return None

    def live_values(self) -> LiveValues:
        """Return what makes functions and credentials into parts of one identity."""
        return LiveValues(self.ops.canon, partial(warn_of_local_value, self.ops, self.name))

    @property
    def is_active(self) -> bool:
        """True if a call of this model is under way around whoever asks."""
        return self.active.get() is self

    def activate(self) -> AbstractContextManager[None]:
        """Make what begins in this block part of a call; there must be no yield in it."""
        return set_within(self.active, self)

    def wrap_calls(self, policy: Policy, is_whole: Callable[[Any], bool]) -> None:
        """Make ``ask`` and ``aask``.

        Args:
            policy: The policy over answers.
            is_whole: Whether an answer may be stored.

        Raises:
            ConfigurationError: The policy does not fit the runtime.
        """
        teach_invalid(self.ops.codec)
        policy = adapt_policy(over_valid(with_substitutes(policy)), _only_valid(is_whole))
        wrap = self._wrapper(policy, self.name)
        self.ask, self.aask = wrap(_call), wrap(_acall)

    def wrap_streams(self, policy: Policy, is_whole: Callable[[Any], bool]) -> None:
        """Make ``stream`` and ``astream``.

        Args:
            policy: The policy over lists of items. A stream cannot be hedged, so ``hedge`` does not
                apply.
            is_whole: Whether a list of items may be stored.

        Raises:
            ConfigurationError: The policy does not fit the runtime.
        """
        teach_invalid(self.ops.codec)
        policy = over_valid(with_substitutes(policy, stream=True).replace(hedge=None))
        policy = adapt_policy(policy, _only_valid(is_whole))
        wrap = self._wrapper(policy, f"{self.name} stream")
        self.stream, self.astream = wrap(_stream), wrap(_astream)

    def _wrapper(self, policy: Policy, name: str) -> Callable[[Any], Any]:
        make = self.ops.tool(policy=self._counter.apply_price(policy), name=name, ignore=["own"])

        def wrap(function: Any) -> Any:
            wrapped = make(function)
            self._counter.describe(wrapped, _agent_of)
            return wrapped

        return wrap

    def warn_of_untold_end(self) -> None:
        """Tell, once, that a stream is not kept, since it may have been cut."""
        warn_of_untold_end(self.ops, f"{self.name} stream")

    def forget(self, question: str, scope: Any) -> None:
        """Forget the answers to a question, those of streams too.

        Args:
            question: The question.
            scope: Everything else that the answer depends on.

        Raises:
            TierError: A tier could not be reached; the others have forgotten.
        """
        forget_calls(self.ops, self._calls_of(question, scope))

    async def aforget(self, question: str, scope: Any) -> None:
        """As :meth:`forget`, without blocking the event loop."""
        await aforget_calls(self.ops, self._calls_of(question, scope))

    def explain(self, question: str, scope: Any, *, of_stream: bool = False) -> Explanation:
        """Explain how a question would be decided now.

        Args:
            question: The question.
            scope: Everything else that the answer depends on.
            of_stream: Explain a stream, whose answers are stored apart. Default False.

        Raises:
            ConfigurationError: The model's answers are not stored.
        """
        function = self._function(of_stream=of_stream)
        return without_scope(function.explain(question, scope, None), question)

    async def aexplain(self, question: str, scope: Any, *, of_stream: bool = False) -> Explanation:
        """As :meth:`explain`, without blocking the event loop."""
        function = self._function(of_stream=of_stream)
        return without_scope(await function.aexplain(question, scope, None), question)

    def _function(self, *, of_stream: bool) -> Any:
        return self.stream if of_stream else self.ask

    def _calls_of(self, question: str, scope: Any) -> list[ForgettableCall]:
        wrapped = [getattr(self, name, None) for name in ("ask", "stream")]
        return [(each, (question, scope, None)) for each in wrapped if each is not None]

    def make_subclass(
        self, kind: type[_M], methods: Mapping[str, Any], absent: Iterable[str] = ()
    ) -> type[_M]:
        """Return a class that differs from a model's in nothing but what is guarded.

        Args:
            kind: The model's class.
            methods: The methods that are guarded, by name.
            absent: Names of methods that the class is to have no more.
        """
        body = {
            "__module__": kind.__module__,
            "__qualname__": kind.__qualname__,
            "__doc__": kind.__doc__,
            "__toolops_guard__": self,
            "__reduce_ex__": refuse_pickle,
            **methods,
        }
        made: Any = type(kind)(kind.__name__, (kind,), body)  # type: ignore[misc] # the metaclass makes a class
        for name in absent:
            setattr(made, name, None)  # which in the body would be a field of pydantic's
        return cast("type[_M]", made)


def without_scope(explanation: Explanation, question: str) -> Explanation:
    """Return an explanation that names what is in a model's scope, but shows none of it."""
    note = _SCOPE_NOTE if explanation.reason == "nothing_near" else explanation.note
    return replace(explanation, question=question, scope="", note=note)


def guard_of(llm: Any) -> ModelGuard | None:
    """Return the guard of a model, or None where it has none."""
    guard = getattr(type(llm), "__toolops_guard__", None)
    return guard if isinstance(guard, ModelGuard) else None


def require_guard(llm: Any, kind: type[_G]) -> _G:
    """Return the guard of a model.

    Args:
        llm: What was given.
        kind: The class of the adapter's guards.

    Raises:
        ConfigurationError: The model is not guarded by this adapter.
    """
    guard = guard_of(llm)
    if not isinstance(guard, kind):
        raise ConfigurationError("llm", f"must be a guarded model, not {llm!r:.200}")
    return guard


def check_model(llm: Any, kind: type | tuple[type, ...], description: str, hint: str = "") -> None:
    """Check what a user wants to guard.

    Args:
        llm: What was given.
        kind: The framework's class of models, or several.
        description: What it must be, such as "a model of LangChain".
        hint: What to do about it, behind a semicolon; or nothing.

    Raises:
        ConfigurationError: It is no such model, or is guarded already.
    """
    if not isinstance(llm, kind):
        raise ConfigurationError("llm", f"must be {description}, not {llm!r:.200}{hint}")
    if guard_of(llm) is not None:
        raise ConfigurationError("llm", "is guarded already")


def read_within(
    items: Iterator[Any], context: Callable[[], AbstractContextManager[Any]]
) -> Generator[Any, None, None]:
    """Yield the items of an iterator, whose own work is done within a context.

    Args:
        items: The iterator; it is closed at the end.
        context: Makes the context.
    """
    try:
        while True:
            # Not around the yield: a generator shares the context of whoever reads it.
            with context():
                item = next(items, NOTHING)
            if item is NOTHING:
                return
            yield item
    finally:
        if hasattr(items, "close"):
            with context():
                items.close()


async def aread_within(
    items: AsyncIterator[Any], context: Callable[[], AbstractContextManager[Any]]
) -> AsyncGenerator[Any, None]:
    """Yield the items of an asynchronous iterator, as :func:`read_within` does."""
    try:
        while True:
            with context():
                item = await anext(items, NOTHING)
            if item is NOTHING:
                return
            yield item
    finally:
        if hasattr(items, "aclose"):
            with context():
                await items.aclose()


def _only_valid(is_whole: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return a predicate that takes no answer that misses its schema."""

    def is_valid(value: Any) -> bool:
        invalid = type(value) is InvalidAnswer or ends_invalid(value)
        return not invalid and is_whole(value)

    return is_valid


def _check(own: ModelCall, answer: Any) -> Any:
    """Return an answer, wrapped if it misses the schema of its call."""
    schema = _schema_of(own)
    return answer if schema is None or own.fits(schema, answer) else InvalidAnswer(answer)


def _schema_of(own: ModelCall) -> AnswerSchema | None:
    try:
        return own.answer_schema()
    except Exception:  # noqa: BLE001 - of users' classes: what nobody can read asks for nothing
        return None


def _agent_of(args: tuple[Any, ...]) -> str:
    own = args[-1] if args else None
    return own.agent() if isinstance(own, ModelCall) else ""


def _call(question: str, scope: Any, own: Any) -> Any:  # noqa: ARG001 - they make the key
    return _check(own, own.call())


async def _acall(question: str, scope: Any, own: Any) -> Any:  # noqa: ARG001 - as above
    return _check(own, await own.acall())


def _stream(question: str, scope: Any, own: Any) -> Iterator[Any]:  # noqa: ARG001 - as above
    schema = _schema_of(own)
    items: list[Any] = []
    with closing(own.stream()) as stream:
        for item in stream:
            if schema is not None:
                items.append(item)
            yield item
    if schema is not None and not own.fits(schema, items):
        yield InvalidAnswer()


async def _astream(question: str, scope: Any, own: Any) -> AsyncIterator[Any]:  # noqa: ARG001 - as above
    schema = _schema_of(own)
    items: list[Any] = []
    async with aclosing(own.astream()) as stream:
        async for item in stream:
            if schema is not None:
                items.append(item)
            yield item
    if schema is not None and not own.fits(schema, items):
        yield InvalidAnswer()
