"""Make each call of a framework's tool under a policy.

The policy sees the call's arguments by name, as they count in its key. The tool's body, with all
its arguments as the framework gave them, reaches the wrapped function by a context variable.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from toolops_plugins.adapters.detachable_call import DetachableCall
from toolops_plugins.adapters.model_costs import describe_tool
from toolops_plugins.adapters.signals import Signal, adapt_policy, release
from toolops_plugins.adapters.tool_arguments import ABSENT, FORM
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.policy import Policy
from toolops_plugins.runtime import ToolOps

if TYPE_CHECKING:
    from toolops_plugins.semantic.matches import Explanation

__all__ = ["SINGLE_USE", "Body", "PolicyAttribute", "ToolCall", "ToolGuard"]

Body = partial[Any]
"""A tool's own function or method, with all arguments of a call."""
SINGLE_USE = (Iterator, AsyncIterator, Awaitable)
"""Types of results that can be used once, and so are neither stored nor shared."""
_ABSENT_SHOWN = f"<{type(ABSENT).__name__}>"


class ToolCall(DetachableCall):
    """A call that is under way.

    Each subclass has a context variable of its own, so that tools of one framework that call tools
    of another keep apart.

    Args:
        body: What the call runs.
        arguments: Its arguments by name, as they count.

    Attributes:
        has_run: Whether this call's own body has run, rather than that of a call that it joined.
    """

    __slots__ = ("_token", "arguments", "body", "has_run")

    current: ClassVar[ContextVar[Any]]
    """The call that is under way around whoever asks, or None."""

    def __init_subclass__(cls) -> None:
        cls.current = ContextVar(f"{cls.__module__}.{cls.__name__}", default=None)

    def __init__(self, body: Body, arguments: dict[str, Any]) -> None:
        super().__init__()
        self.body = body
        self.arguments = arguments
        self.has_run = False

    def __enter__(self) -> Self:
        self._token = self.current.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over = True
        with suppress(ValueError):  # the coroutine was left behind, and is ended elsewhere
            self.current.reset(self._token)

    def start(self) -> AbstractContextManager[Callable[[], Any]]:
        """Return the body within the context to run it in."""
        if self.is_detached:
            return self.detach()
        self.has_run = True
        return nullcontext(self.body)

    def detach(self) -> AbstractContextManager[Callable[[], Any]]:
        """Return the body within a context that has nothing of a caller that does not wait."""
        return nullcontext(self.body)


class _Faces(NamedTuple):
    """The wrapped functions of a tool; both share keys, flights and states by their name.

    None stands for a way of calling that the tool does not have.
    """

    sync: Any
    aio: Any


class ToolGuard(ABC):
    """The policy of one tool, or of several that share their results.

    Safe to use from any threads and event loops at once.

    Args:
        ops: The runtime.
        name: The tool's name in keys and statistics.
        policy: The policy of its calls.
        signature: Its arguments, as they count.
        sync: Whether it has a body for threads.
        aio: Whether it has one for event loops.
        secret: Arguments that are secret, beside those whose name says so.
        ignore: Arguments that do not count in the key.
        source: The function that it runs, which is another one after an edit. None: not known.
        refusal: Why results are neither stored nor shared, whatever the policy says. None: they
            are.

    Raises:
        ConfigurationError: The policy does not fit the tool or the runtime.
    """

    call_type: ClassVar[type[ToolCall]]
    """The framework's kind of call."""
    refusal_option: ClassVar[str] = "policy"
    """The parameter that a refusal comes from."""

    def __init__(
        self,
        ops: ToolOps,
        name: str,
        policy: Policy,
        signature: inspect.Signature,
        *,
        sync: bool,
        aio: bool,
        secret: Sequence[str] = (),
        ignore: Sequence[str] = (),
        source: Any = None,
        refusal: str | None = None,
    ) -> None:
        alone = policy.replace(cache=None, semantic=None, coalesce=False)
        self.ops = ops
        self.name = name
        self.policy = policy if refusal is None else alone
        self._refusal = refusal
        self._signature = signature
        self._source = source
        self._options: dict[str, Any] = {"name": name, "secret": secret, "ignore": ignore}
        self._shared = self._faces(self.policy, sync=sync, aio=aio)
        shares = self.policy.coalesces or self.policy.cache is not None
        self._alone = self._faces(alone, sync=sync, aio=aio) if shares else self._shared

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def _faces(self, policy: Policy, *, sync: bool, aio: bool) -> _Faces:
        whole = adapt_policy(self.adapt(policy), self.may_store)
        current = self.call_type.current

        def run(**_: Any) -> Any:
            try:
                with current.get().start() as body:
                    return self.run_body(body)
            except Exception as error:  # noqa: BLE001 - raised again unless it is a signal
                return self._signal(error)

        async def arun(**_: Any) -> Any:
            try:
                with current.get().start() as body:
                    return await body()
            except Exception as error:  # noqa: BLE001 - raised again unless it is a signal
                return self._signal(error)

        def face(function: Any) -> Any:
            function.__signature__ = self._signature
            function.__toolops_source__ = self._source
            wrapped = self.ops.tool(policy=whole, **self._options)(function)
            describe_tool(wrapped, self.agent)
            return wrapped

        awaitable = face(arun) if aio else None
        if not sync:
            return _Faces(None, awaitable)
        try:
            return _Faces(face(run), awaitable)
        except ConfigurationError as error:
            # Only the asynchronous face can ask a judge, or a fallback, that has to be awaited; and
            # the tool may be used by that one alone.
            if awaitable is None:
                raise
            return _Faces(_refuse(error), awaitable)

    # -- calls -------------------------------------------------------------------------------

    def run(self, body: Body, args: tuple[Any, ...], kwargs: dict[str, Any], *given: Any) -> Any:
        """Make a call in this thread.

        Args:
            body: What the tool runs, with all its arguments.
            args: The positional arguments.
            kwargs: The keyword arguments.
            given: What the adapter adds, as its ``open_call`` takes it.

        Raises:
            Exception: What the body raised, or a policy in its place.
        """
        face = self._shared.sync
        call = None if face is None else self.open_call(body, args, kwargs, *given)
        if call is None:
            return body()
        with call:
            try:
                if self.may_share():
                    value = face(**call.arguments)
                    if call.has_run or self.is_shareable(value):
                        return self.finish(call, value)
                return self.finish(call, self._alone.sync(**call.arguments))
            except Exception as error:  # noqa: BLE001 - for the adapter to raise or to answer
                return self.fail(error)

    async def arun(
        self, body: Body, args: tuple[Any, ...], kwargs: dict[str, Any], *given: Any
    ) -> Any:
        """Make a call on this event loop; see :meth:`run`."""
        face = self._shared.aio
        call = None if face is None else self.open_call(body, args, kwargs, *given)
        if call is None:
            return await body()
        with call:
            try:
                if self.may_share():
                    value = await face(**call.arguments)
                    if call.has_run or self.is_shareable(value):
                        return self.finish(call, value)
                return self.finish(call, await self._alone.aio(**call.arguments))
            except Exception as error:  # noqa: BLE001 - as above
                return self.fail(error)

    def key_of(self, arguments: dict[str, Any] | None) -> str:
        """Return the key of a call, in hexadecimal.

        Args:
            arguments: Its arguments by name. None: they do not fit the tool.

        Raises:
            ConfigurationError: Results are neither stored nor shared.
            TypeError: The arguments do not fit the tool.
        """
        key: str = self._function().key(**self._check(arguments))
        return key

    def explain_call(self, arguments: dict[str, Any] | None) -> Explanation:
        """Explain how a call would be decided now.

        Args:
            arguments: As for :meth:`key_of`.

        Raises:
            ConfigurationError: As for :meth:`key_of`.
            TypeError: As for :meth:`key_of`.
        """
        return _without_form(self._function().explain(**self._check(arguments)))

    async def aexplain_call(self, arguments: dict[str, Any] | None) -> Explanation:
        """As :meth:`explain_call`, without blocking the event loop."""
        return _without_form(await self._function().aexplain(**self._check(arguments)))

    def _function(self) -> Any:
        """Return a wrapped function; both have the same keys."""
        return self._shared.aio or self._shared.sync

    def _check(self, arguments: dict[str, Any] | None) -> dict[str, Any]:
        self.check_stores()
        if arguments is None:
            raise TypeError(f"the arguments do not fit {self.name}")
        return arguments

    def check_stores(self) -> None:
        """Refuse to name a key where results are neither stored nor shared.

        Raises:
            ConfigurationError: They are not.
        """
        if self._refusal is not None:
            raise ConfigurationError(
                self.refusal_option, f"{self.name} keeps no results: {self._refusal}"
            )

    def _signal(self, error: Exception) -> Signal:
        # A tool that cannot be run in this way fails in every attempt, and is no broken service.
        if isinstance(error, NotImplementedError) or self.is_signal(error):
            return Signal(error)
        raise error

    # -- what an adapter says ----------------------------------------------------------------

    @abstractmethod
    def open_call(
        self, body: Body, args: tuple[Any, ...], kwargs: dict[str, Any], *given: Any
    ) -> ToolCall | None:
        """Return a new call, or None to run the body without a policy.

        Args:
            body: As for :meth:`run`.
            args: As for :meth:`run`.
            kwargs: As for :meth:`run`.
            given: As for :meth:`run`.
        """

    def adapt(self, policy: Policy) -> Policy:
        """Return the policy as its functions are to be called by the runtime."""
        return policy

    def run_body(self, body: Callable[[], Any]) -> Any:
        """Run a body in this thread."""
        return body()

    def agent(self) -> str:
        """Return the name of the agent that makes the call here, or nothing."""
        return ""

    def may_share(self) -> bool:
        """Return whether a call that begins here may get, and leave, a shared result."""
        return True

    @abstractmethod
    def is_signal(self, error: Exception) -> bool:
        """Return whether an exception of the body is no failure."""

    def is_shareable(self, value: Any) -> bool:
        """Return whether a result may be given to other calls; a signal concerns one call alone."""
        return type(value) is not Signal and not isinstance(value, SINGLE_USE)

    def may_store(self, value: Any) -> bool:
        """Return whether a result may be stored."""
        return self.is_shareable(value)

    def finish(self, call: ToolCall, value: Any) -> Any:  # noqa: ARG002 - for adapters
        """Return what the caller gets of a call that has ended; raise what a signal carries."""
        return release(value)

    def fail(self, error: Exception) -> Any:
        """Return what the caller gets in place of an error, or raise it."""
        raise error


class PolicyAttribute:
    """The attribute ``policy`` of wrapped tools; a field of that name of their own wins.

    Args:
        guard_of: Returns the guard of a tool, or raises AttributeError.
    """

    def __init__(self, guard_of: Callable[[Any], ToolGuard]) -> None:
        self._guard_of = guard_of

    def __get__(self, tool: Any, owner: type | None = None) -> Policy:
        if tool is None:
            raise AttributeError("policy")
        return self._guard_of(tool).policy


def _without_form(explanation: Explanation) -> Explanation:
    """Return an explanation that shows arguments of the tool only."""
    scope = {
        name: shown
        for name, shown in explanation.scope.items()
        if name != FORM and shown != _ABSENT_SHOWN
    }
    return replace(explanation, scope=scope)


def _refuse(error: ConfigurationError) -> Callable[..., Any]:
    def refuse(**_: Any) -> Any:
        raise ConfigurationError(error.parameter, error.problem)

    return refuse
