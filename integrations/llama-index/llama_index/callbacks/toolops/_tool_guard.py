"""What stands between LlamaIndex and a tool's body: one call of a wrapped function."""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple

from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse
from llama_index.core.tools import ToolOutput
from llama_index_instrumentation.span import active_span_id

from llama_index.callbacks.toolops._tool_arguments import Arguments
from llama_index.callbacks.toolops._tool_codec_types import teach_tools
from llama_index.callbacks.toolops.events import tell_hit
from toolops_plugins import Policy, ToolOps
from toolops_plugins.adapters.fallback_answers import Substitute, with_substitutes
from toolops_plugins.adapters.signals import Signal, adapt_policy, release
from toolops_plugins.calls.context import REFRESH
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.keys.signature import is_secret_name
from toolops_plugins.policy import NOTHING

__all__ = ["Guard"]

Body = partial[Any]
"""What a tool runs, with all its arguments."""

_WORKFLOWS = "workflows.runtime.types.results"
"""Where LlamaIndex's workflows keep their signals, and what a step under way has been told."""
_STREAMED = (Iterator, AsyncIterator, Awaitable, StreamingResponse, AsyncStreamingResponse)


class _Call:
    """A call under way; the body reaches the wrapped function by the context, past the key."""

    __slots__ = ("_refresh", "_token", "body", "fell", "ran")

    def __init__(self, body: Body) -> None:
        self.body = body
        self.ran = False
        """Whether its own body was run, rather than that of another call which it joined."""
        self.fell = False
        """Whether its result is the policy's fallback."""
        self._refresh = REFRESH.get()

    def __enter__(self) -> None:
        self._token = _CALL.set(self)

    def __exit__(self, *_: object) -> None:
        with suppress(ValueError):  # the coroutine was left behind, and is ended elsewhere
            _CALL.reset(self._token)

    @contextmanager
    def running(self) -> Iterator[Body]:
        """Return its body; in a refresh its caller has been served, and his span has ended."""
        if REFRESH.get() is self._refresh:
            self.ran = True
            yield self.body
            return
        token = active_span_id.set(None)
        try:
            yield self.body
        finally:
            with suppress(ValueError):  # as above
                active_span_id.reset(token)


_CALL: ContextVar[_Call | None] = ContextVar("toolops_llama_index_tool", default=None)


class _Faces(NamedTuple):
    """The wrapped functions of a tool; both ways share keys, flights and states by their name."""

    sync: Any
    aio: Any


class Guard:
    """The policy of one guarded tool. Safe to use from any threads and event loops at once.

    Args:
        ops: The runtime.
        name: The name of the tool in keys and statistics.
        policy: What is asked of its calls.
        arguments: Its arguments.
        secret: Arguments that are secret, beside those whose name says so.
        ignore: Arguments that do not count in the key.
        refuses: Why results are neither kept nor shared, whatever the policy says; or None.
        aio: Whether the tool can be awaited.
        source: The function that it runs, which is another one once it has been edited.

    Raises:
        ConfigurationError: The policy does not fit the tool or the runtime.
    """

    def __init__(
        self,
        ops: ToolOps,
        name: str,
        policy: Policy,
        arguments: Arguments,
        secret: Sequence[str],
        ignore: Sequence[str],
        refuses: str | None,
        *,
        aio: bool,
        source: Any = None,
    ) -> None:
        teach_tools(ops.codec)
        self._source = source
        self.ops = ops
        self.name = name
        self._arguments = arguments
        self._secret = frozenset(secret)
        self._refuses = refuses
        alone = policy.replace(cache=None, semantic=None, coalesce=False)
        self.policy = alone if refuses else policy

        def faces(policy: Policy) -> _Faces:
            told = adapt_policy(_noting(policy), self._is_wanted)
            return self._faces(told, secret, ignore, aio=aio)

        self._shared = faces(self.policy)
        shares = self.policy.coalesces or self.policy.cache is not None
        self._alone = faces(alone) if shares else self._shared

    def __deepcopy__(self, memo: dict[int, Any]) -> Guard:
        return self

    def _faces(
        self, policy: Policy, secret: Sequence[str], ignore: Sequence[str], *, aio: bool
    ) -> _Faces:
        def run(**_: Any) -> Any:
            try:
                with _under_way().running() as body:
                    return body()
            except Exception as error:  # noqa: BLE001 - raised again unless it is no failure
                return _passing(error)

        async def arun(**_: Any) -> Any:
            try:
                with _under_way().running() as body:
                    return await body()
            except Exception as error:  # noqa: BLE001 - raised again unless it is no failure
                return _passing(error)

        def face(function: Any) -> Any:
            function.__signature__ = self._arguments.signature
            function.__toolops_source__ = self._source
            return self.ops.tool(policy=policy, name=self.name, secret=secret, ignore=ignore)(
                function
            )

        awaited = face(arun) if aio else None
        try:
            return _Faces(face(run), awaited)
        except ConfigurationError as error:
            # A tool has both ways, though it may be used in one alone; and only what is awaited can
            # ask a judge, or a fallback, that has to be awaited.
            if awaited is None:
                raise
            return _Faces(_refusing(error), awaited)

    # -- calls -------------------------------------------------------------------------------

    def run(
        self,
        body: Body,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        dressed: Callable[[Any], Any] | None = None,
    ) -> Any:
        """Make a call in this thread.

        Args:
            body: What the tool runs, with all its arguments.
            args: The positional arguments.
            kwargs: The keyword arguments.
            dressed: Makes a result of the policy's fallback. None: it is one.

        Raises:
            Exception: What the body raised, or a policy in its place.
        """
        counted = self._arguments.counted(args, kwargs)
        if counted is None:  # which the tool itself will say, in the words that its users know
            return body()
        call = _Call(body)
        with call:
            if not _was_answered():
                value = self._shared.sync(**counted)
                if call.ran or _is_shareable(value):
                    return self._told(call, value, dressed)
            return self._told(call, self._alone.sync(**counted), dressed)

    async def arun(
        self,
        body: Body,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        dressed: Callable[[Any], Any] | None = None,
    ) -> Any:
        """Make a call on this event loop; see :meth:`run`."""
        counted = self._arguments.counted(args, kwargs)
        if counted is None:
            return await body()
        call = _Call(body)
        with call:
            if not _was_answered():
                value = await self._shared.aio(**counted)
                if call.ran or _is_shareable(value):
                    return self._told(call, value, dressed)
            return self._told(call, await self._alone.aio(**counted), dressed)

    def _told(self, call: _Call, value: Any, dressed: Callable[[Any], Any] | None) -> Any:
        if call.fell:
            return value if dressed is None else dressed(value)
        if not call.ran:
            tell_hit(self.name, "tool")
        return release(value)

    def _is_wanted(self, value: Any) -> bool:
        """Return whether a result may be kept."""
        if not _is_shareable(value):
            return False
        if not isinstance(value, ToolOutput):
            return True
        return not value.is_error and not self._shows_secret(value.raw_input)

    def _shows_secret(self, raw_input: Any) -> bool:
        """Return whether what an output says of its call names a secret."""
        if isinstance(raw_input, dict):
            return any(
                (isinstance(name, str) and (name in self._secret or is_secret_name(name)))
                or self._shows_secret(part)
                for name, part in raw_input.items()
            )
        return isinstance(raw_input, list | tuple) and any(map(self._shows_secret, raw_input))

    # -- keys --------------------------------------------------------------------------------

    def key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Return the key of a call, in hexadecimal.

        Raises:
            ConfigurationError: Results are neither kept nor shared.
            TypeError: The arguments do not fit the tool.
        """
        if self._refuses is not None:
            raise ConfigurationError("context", f"{self.name} keeps no results: {self._refuses}")
        counted = self._arguments.counted(args, self._arguments.without_context(kwargs))
        if counted is None:
            raise TypeError(f"the arguments do not fit {self.name}")
        face = self._shared.aio or self._shared.sync
        key: str = face.key(**counted)
        return key


def _under_way() -> _Call:
    call = _CALL.get()
    if call is None:  # pragma: no cover - the runtime keeps the context of each call
        raise RuntimeError("a guarded tool was called without its context")
    return call


def _passing(error: Exception) -> Signal:
    """Return what passes through the policies as no failure; raise the error if it is one."""
    # A step that waits for a human, or for any event, raises that; it will be run again.
    waiting = getattr(sys.modules.get(_WORKFLOWS), "WaitingForEvent", None)
    if waiting is not None and isinstance(error, waiting):
        return Signal(error)
    # The tool cannot be run in this way, which is no trouble that passes.
    if isinstance(error, NotImplementedError):
        return Signal(error)
    raise error


def _was_answered() -> bool:
    """Return whether the workflow's step under way has been told what it waited for.

    What a tool makes of such an event belongs to this one step: it is not in the arguments.
    """
    variable = getattr(sys.modules.get(_WORKFLOWS), "StepWorkerStateContextVar", None)
    step = variable.get(None) if variable is not None else None
    waiters = getattr(getattr(step, "state", None), "collected_waiters", None) or ()
    return any(waiter.resolved_event is not None for waiter in waiters)


def _is_shareable(value: Any) -> bool:
    """Return whether a result may be given to other calls as well."""
    if type(value) is Signal:
        return False  # another step's signal is nothing to this one
    if isinstance(value, ToolOutput):
        value = value.raw_output
    return not isinstance(value, _STREAMED)  # these can be used once


def _noting(policy: Policy) -> Policy:
    """Return the policy with a fallback which also notes that it has stood in."""
    policy = with_substitutes(policy)
    fallback = policy.fallback
    if fallback is NOTHING:
        return policy

    def noted(found: Substitute) -> Any:
        call = _CALL.get()
        if call is not None:
            call.fell = True
        return found.value

    if inspect.iscoroutinefunction(fallback):

        async def afell(error: Any, arguments: Any, stale: Any) -> Any:
            return noted(await fallback(error, arguments, stale))

        return policy.replace(fallback=afell)

    def fell(error: Any, arguments: Any, stale: Any) -> Any:
        found = fallback(error, arguments, stale)
        return _anoted(found, noted) if inspect.isawaitable(found) else noted(found)

    return policy.replace(fallback=fell)


async def _anoted(found: Awaitable[Substitute], noted: Callable[[Substitute], Any]) -> Any:
    return noted(await found)


def _refusing(error: ConfigurationError) -> Callable[..., Any]:
    def refuse(**_: Any) -> Any:
        raise ConfigurationError(error.parameter, error.problem)

    return refuse
