"""What stands between CrewAI and a tool's body: one call of a wrapped function."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, Self

from crewai.tools.base_tool import _default_cache_function
from crewai.tools.tool_failure import ToolFailure

from crewai_toolops._event_dedup import note_tool
from crewai_toolops._tool_arguments import FORM, Arguments
from crewai_toolops._tool_failures import OnError, failure_of, is_signal, passing
from toolops_plugins import Policy, ToolOps
from toolops_plugins.adapters.signals import Signal, adapt_policy, release
from toolops_plugins.calls.context import REFRESH

__all__ = ["Body", "Guard", "running"]

Body = partial[Any]
"""What a tool runs, with all its arguments."""


class _Call:
    """A call under way; the body reaches the wrapped function by the context, past the key."""

    __slots__ = ("_refresh", "_token", "arguments", "body", "ran", "tool")

    def __init__(self, tool: object, body: Body, arguments: dict[str, Any]) -> None:
        self.tool = tool
        self.body = body
        self.arguments = arguments
        self.ran = False
        """Whether its own body was run, rather than that of another call which it joined."""
        self._refresh = REFRESH.get()

    def __enter__(self) -> Self:
        self._token = _CALL.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ValueError):  # the coroutine was left behind, and is ended elsewhere
            _CALL.reset(self._token)

    def begun(self) -> Body:
        """Return its body, which is about to run; in a refresh its caller has been served."""
        self.ran = self.ran or REFRESH.get() is self._refresh
        return self.body


_CALL: ContextVar[_Call | None] = ContextVar("toolops_crewai_tool", default=None)


def running(tool: object) -> bool:
    """Return whether the body of a tool is under way around whoever asks."""
    call = _CALL.get()
    return call is not None and call.tool is tool


class _Faces(NamedTuple):
    """The wrapped functions of a tool; both ways share keys, flights and states by their name.

    None stands for a way that the tool does not have.
    """

    sync: Any
    aio: Any


class Guard:
    """The policy of one tool, or of all tools of a class. Safe to use from any threads and loops.

    Args:
        ops: The runtime.
        label: The name of the tool in keys and statistics.
        policy: What is asked of its calls.
        arguments: Its arguments.
        secret: Arguments that are secret, beside those whose name says so.
        ignore: Arguments that do not count in the key.
        on_error: Whether errors are returned as a ``ToolFailure``, or raised.
        sync: Whether it has a body for threads.
        aio: Whether it has one for event loops.
        source: The function that it runs, which is another one once it has been edited.

    Raises:
        ConfigurationError: The policy does not fit the tool or the runtime.
    """

    def __init__(
        self,
        ops: ToolOps,
        label: str,
        policy: Policy,
        arguments: Arguments,
        secret: Sequence[str],
        ignore: Sequence[str],
        on_error: OnError,
        *,
        sync: bool,
        aio: bool,
        source: Any = None,
    ) -> None:
        self.ops = ops
        self._source = source
        self.policy = policy
        self._on_error = on_error
        self._arguments = arguments
        self._formed = FORM in arguments.signature.parameters
        self._secret = secret
        self._ignore = ignore

        def faces(policy: Policy) -> _Faces:
            told = adapt_policy(_apart(policy) if self._formed else policy, _is_wanted)
            return self._faces(label, told, sync=sync, aio=aio)

        self._shared = faces(policy)
        shares = policy.coalesces or policy.cache is not None
        alone = policy.replace(cache=None, semantic=None, coalesce=False)
        self._alone = faces(alone) if shares else self._shared

    def __deepcopy__(self, memo: dict[int, Any]) -> Guard:
        return self

    def _faces(self, label: str, policy: Policy, *, sync: bool, aio: bool) -> _Faces:
        def run(**_: Any) -> Any:
            try:
                value = _under_way().begun()()
                # CrewAI would do so with what it is given, and the policies would see none of it.
                return asyncio.run(value) if asyncio.iscoroutine(value) else value
            except Exception as error:  # noqa: BLE001 - raised again unless it is no failure
                return passing(error)

        async def arun(**_: Any) -> Any:
            try:
                return await _under_way().begun()()
            except Exception as error:  # noqa: BLE001 - raised again unless it is no failure
                return passing(error)

        def face(function: Any) -> Any:
            function.__signature__ = self._arguments.signature
            function.__toolops_source__ = self._source
            wrap = self.ops.tool(
                policy=policy, name=label, secret=self._secret, ignore=self._ignore
            )
            return wrap(function)

        return _Faces(face(run) if sync else None, face(arun) if aio else None)

    # -- calls -------------------------------------------------------------------------------

    def run(
        self, tool: object, form: bytes | None, body: Body, args: Any, kwargs: dict[str, Any]
    ) -> Any:
        """Make a call in this thread.

        Args:
            tool: The tool; its own calls of itself are part of the call.
            form: What tells it from others of its name; None: nothing.
            body: What it runs, with all its arguments.
            args: The positional arguments.
            kwargs: The keyword arguments.

        Raises:
            Exception: What the body raised, or a policy in its place, unless that is to be
                returned as a ``ToolFailure``.
        """
        call = self._opened(tool, form, body, args, kwargs)
        if call is None:
            return body()
        with call:
            try:
                value = self._shared.sync(**call.arguments)
                if not call.ran and not _is_shareable(value):
                    value = self._alone.sync(**call.arguments)
                return release(value)
            except Exception as error:  # noqa: BLE001 - told as a value, or raised again
                return self._told(error)

    async def arun(
        self, tool: object, form: bytes | None, body: Body, args: Any, kwargs: dict[str, Any]
    ) -> Any:
        """Make a call on this event loop; see :meth:`run`."""
        call = self._opened(tool, form, body, args, kwargs)
        if call is None:
            return await body()
        with call:
            try:
                value = await self._shared.aio(**call.arguments)
                if not call.ran and not _is_shareable(value):
                    value = await self._alone.aio(**call.arguments)
                return release(value)
            except Exception as error:  # noqa: BLE001 - told as a value, or raised again
                return self._told(error)

    def _opened(
        self, tool: object, form: bytes | None, body: Body, args: Any, kwargs: dict[str, Any]
    ) -> _Call | None:
        """Return a new call, or None where there is nothing to guard."""
        if running(tool) or not self.ops.active:
            return None
        counted = self._counted(form, args, kwargs)
        if counted is None:
            return None  # the tool itself will say so, in the words that its users know
        note_tool(getattr(tool, "name", ""))
        return _Call(tool, body, counted)

    def _counted(self, form: bytes | None, args: Any, kwargs: Any) -> dict[str, Any] | None:
        counted = self._arguments.counted(args, kwargs)
        if counted is not None and self._formed:
            counted[FORM] = form
        return counted

    def _told(self, error: Exception) -> ToolFailure:
        if self._on_error == "raise" or is_signal(error):
            raise error
        return failure_of(error)

    # -- keys --------------------------------------------------------------------------------

    def key(self, form: bytes | None, args: Any, kwargs: dict[str, Any]) -> str:
        """Return the key of a call, in hexadecimal.

        Raises:
            ConfigurationError: Results are neither kept nor shared.
            TypeError: The arguments do not fit the tool.
        """
        counted = self._counted(form, args, kwargs)
        if counted is None:
            raise TypeError("the arguments do not fit the tool")
        key: str = (self._shared.sync or self._shared.aio).key(**counted)
        return key


def _under_way() -> _Call:
    call = _CALL.get()
    if call is None:  # pragma: no cover - the runtime keeps the context of each call
        raise RuntimeError("a guarded tool was called without its context")
    return call


def _is_shareable(value: Any) -> bool:
    """Return whether a result may be given to other calls as well."""
    # Another call's signal is nothing to this one, and the others can be used once.
    return type(value) is not Signal and not isinstance(value, Iterator | AsyncIterator | Awaitable)


def _is_wanted(value: Any) -> bool:
    """Return whether the result of the call under way may be kept: the tool itself has a say."""
    if isinstance(value, ToolFailure) or not _is_shareable(value):
        return False
    call = _under_way()
    asked = getattr(call.tool, "cache_function", None)
    if asked is None or asked is _default_cache_function:
        return True
    arguments = {name: given for name, given in call.arguments.items() if name != FORM}
    return bool(asked(arguments, value))


def _apart(policy: Policy) -> Policy:
    """Return a policy whose own functions do not see :data:`FORM`, which counts all the same."""
    cache = policy.cache
    if cache is not None:
        if cache.key is not None:
            policy = policy.replace(cache=replace(cache, key=_keyed(cache.key)))
        elif cache.key_params is not None:
            policy = policy.replace(cache=replace(cache, key_params=(*cache.key_params, FORM)))
        cache = policy.cache
        if cache is not None and callable(cache.tags):
            policy = policy.replace(cache=replace(cache, tags=_unformed(cache.tags)))
    if callable(policy.tags):
        policy = policy.replace(tags=_unformed(policy.tags))
    return policy


def _keyed(key: Callable[..., Any]) -> Callable[..., Any]:
    def keyed(*args: Any, **kwargs: Any) -> Any:
        form = kwargs.pop(FORM)
        return form, key(*args, **kwargs)

    return keyed


def _unformed(function: Callable[..., Any]) -> Callable[..., Any]:
    def unformed(*args: Any, **kwargs: Any) -> Any:
        kwargs.pop(FORM, None)
        return function(*args, **kwargs)

    return unformed
