"""The functions of a runtime through which the calls of an agent go, made as they are needed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from langchain_core.runnables.config import var_child_runnable_config

from langchain_toolops._graph_signals import is_graph_signal
from toolops_plugins import Cache, Policy, ToolOps
from toolops_plugins.adapters.model_policy import name_parts
from toolops_plugins.adapters.signals import Signal, adapt_policy, release
from toolops_plugins.calls.context import REFRESH
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.policy import NOTHING

__all__ = ["Asking", "Faces", "Functions", "Own"]

Faces: TypeAlias = tuple[Callable[..., Any], Callable[..., Awaitable[Any]]]
_NAMES = 1_000
"""Names of models or tools whose functions are remembered; others are made anew."""


class Own:
    """One caller's call of its handler, and what that has brought him.

    Args:
        handler: Called without arguments, it makes the real call.
        kept: Returns what the handler brought as the runtime is to keep it.
    """

    __slots__ = ("_brought", "_handler", "_kept", "_refresh", "over")

    def __init__(self, handler: Callable[[], Any], kept: Callable[[Any], Any]) -> None:
        self._handler = handler
        self._kept = kept
        self._brought: list[tuple[Any, Any]] = []
        self._refresh = REFRESH.get()  # in another one, the caller has been served
        self.over = False  # whether the caller has gone

    def call(self) -> Any:
        """Make the call, and return what the runtime is to keep of it."""
        self._detach()
        try:
            return self._noted(self._handler())
        except Exception as error:  # noqa: BLE001 - it is raised again, unless it is none
            return self._passing(error)

    async def acall(self) -> Any:
        """As :meth:`call`, for a handler that makes an awaitable."""
        self._detach()
        try:
            return self._noted(await self._handler())
        except Exception as error:  # noqa: BLE001 - it is raised again, unless it is none
            return self._passing(error)

    def mine(self, value: Any) -> Any:
        """Return what the handler brought where it became ``value``; else None."""
        for kept, brought in self._brought:
            if kept is value:
                return brought
        return None

    def _detach(self) -> None:
        # What goes on behind an answer must not stream into the graph that has had it.
        if self.over or REFRESH.get() is not self._refresh:
            var_child_runnable_config.set(None)

    def _noted(self, brought: Any) -> Any:
        kept = self._kept(brought)
        self._brought.append((kept, brought))
        return kept

    def _passing(self, error: Exception) -> Signal:
        if not is_graph_signal(error):
            raise error
        passing = Signal(error)
        self._brought.append((passing, passing))
        return passing


class Asking(NamedTuple):
    """One call that is to be made.

    Args:
        name: Of what is called.
        own: The caller's own call.
        take: Returns the caller's result of what another call has brought, or NOTHING where that is
            of no use to this caller; then the call is made once more for him alone.
        args: Positional arguments of the wrapped function.
        kwargs: Its keyword arguments.
        names: The names of its variable parameters.
        shared: Whether the call may be kept and shared.
    """

    name: str
    own: Own
    take: Callable[[Any], Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    names: tuple[str, ...]
    shared: bool


class Functions:
    """The functions of one policy, by the name of what is called. Thread-safe.

    Args:
        ops: The runtime.
        policy: The policy of all of them.
        faces: Makes the function that is wrapped, with a plain and an asynchronous face, for the
            names of its variable parameters.
        ignore: Its parameters that do not count in the key.
        wanted: Whether a result may be kept.

    Raises:
        ConfigurationError: The runtime cannot share answers by meaning, as the policy asks.
    """

    def __init__(
        self,
        ops: ToolOps,
        policy: Policy,
        faces: Callable[[Sequence[str]], Faces],
        ignore: tuple[str, ...],
        wanted: Callable[[Any], bool],
    ) -> None:
        self._ops = ops
        self._policy = adapt_policy(policy, wanted)
        self._alone = self._policy.replace(cache=None, semantic=None, coalesce=False)
        self._faces = faces
        self._ignore = ignore
        self._made: OrderedDict[tuple[str, tuple[str, ...], bool, bool], Any] = OrderedDict()
        self._lock = fork_safe(self, threading.Lock())
        if policy.semantic is not None:
            # So that what does not fit the runtime is told now, and not by the first call.
            probe = Policy(cache=Cache(), semantic=policy.semantic)
            ops.tool(policy=probe, name="langchain.probe", ignore=ignore)(faces(())[1])

    @property
    def keyed(self) -> bool:
        """Whether results are kept or shared, so that a key is needed."""
        return self._policy.coalesces or self._policy.cache is not None

    def run(self, call: Asking) -> Any:
        """Make one call, and return its caller's result."""
        try:
            if call.shared:
                value = self._function(call, aio=False, alone=False)(*call.args, **call.kwargs)
                taken = _taken(call, value)
                if taken is not NOTHING:
                    return taken
            alone = self._function(call, aio=False, alone=True)
            return _taken(call, alone(*call.args, **call.kwargs))
        finally:
            call.own.over = True

    async def arun(self, call: Asking) -> Any:
        """As :meth:`run`, without blocking the event loop."""
        try:
            if call.shared:
                value = await self._function(call, aio=True, alone=False)(*call.args, **call.kwargs)
                taken = _taken(call, value)
                if taken is not NOTHING:
                    return taken
            alone = self._function(call, aio=True, alone=True)
            return _taken(call, await alone(*call.args, **call.kwargs))
        finally:
            call.own.over = True

    def _function(self, call: Asking, *, aio: bool, alone: bool) -> Any:
        known = call.name, call.names, aio, alone
        found = self._made.get(known)
        if found is None:
            policy = self._alone if alone else self._policy
            policy = name_parts(self._ops, policy, call.name)
            wrap = self._ops.tool(policy=policy, name=call.name, ignore=self._ignore)
            found = wrap(self._faces(call.names)[aio])
            with self._lock:
                self._made[known] = found
                if len(self._made) > _NAMES:
                    self._made.popitem(last=False)
        return found


def _taken(call: Asking, value: Any) -> Any:
    """Return what the runtime gave as the caller's result, or NOTHING."""
    mine = call.own.mine(value)
    if type(value) is Signal:
        # Another graph's interrupt is nothing to this one.
        return NOTHING if mine is None else release(value)
    return call.take(value) if mine is None else mine
