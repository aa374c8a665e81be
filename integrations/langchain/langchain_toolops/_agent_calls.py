"""Functions of a runtime for the calls of an agent, made when they are first needed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from langchain_core.runnables.config import var_child_runnable_config

from langchain_toolops._event_runs import current_agent
from langchain_toolops._graph_signals import is_graph_signal
from langchain_toolops._inner_runs import InnerRuns
from langchain_toolops._other_retries import note_failure, note_tried, was_failed
from toolops_plugins import Cache, Explanation, Policy, ToolOps
from toolops_plugins.adapters.internals import fork_safe
from toolops_plugins.adapters.model_costs import ModelCounter, describe_tool
from toolops_plugins.adapters.model_guard import ModelCall, without_scope
from toolops_plugins.adapters.model_policy import name_parts
from toolops_plugins.adapters.notices import report_problem
from toolops_plugins.adapters.signals import Signal, adapt_policy, release
from toolops_plugins.policy import NOTHING

__all__ = ["AgentCall", "Faces", "Functions", "HandlerCall"]

LOGGER = "langchain_toolops"

Faces: TypeAlias = tuple[Callable[..., Any], Callable[..., Awaitable[Any]]]
_NAMES = 1_000
"""Names of models or tools whose functions are remembered; others are made anew."""


class HandlerCall(ModelCall):
    """One caller's call of its handler, and what it brought for this caller.

    Args:
        handler: Called without arguments, it makes the real call.
        pack: Returns a result of the handler in the form that the runtime keeps, by the runs in
            which it was made.
        make_runs: Makes what notes the runs of an attempt.
    """

    def __init__(
        self,
        handler: Callable[[], Any],
        pack: Callable[[Any, Any], Any],
        make_runs: Callable[[], InnerRuns] = InnerRuns,
    ) -> None:
        super().__init__()
        self._handler = handler
        self._pack = pack
        self._make_runs = make_runs
        self._results: list[tuple[Any, Any]] = []
        self.is_foreign = False
        """Whether the caller's result is one that its own handler has not brought."""
        self.find_key: Callable[[], str] | None = None
        """Returns the key under which the result may be kept; None where it is not kept."""

    def call(self) -> Any:
        """Make the call, and return what the runtime is to keep of it."""
        self._detach()
        runs = self._make_runs()
        try:
            with runs.watch():
                result = self._handler()
            return self._note(result, runs)
        except Exception as error:  # noqa: BLE001 - it is raised again, unless it is none
            return self._note_error(error, runs)

    async def acall(self) -> Any:
        """Make the call of a handler that makes an awaitable."""
        self._detach()
        runs = self._make_runs()
        try:
            with runs.watch():
                result = await self._handler()
            return self._note(result, runs)
        except Exception as error:  # noqa: BLE001 - it is raised again, unless it is none
            return self._note_error(error, runs)

    def own_result(self, value: Any) -> Any:
        """Return the handler's result of which ``value`` is the form that is kept; else None."""
        for form, result in self._results:
            if form is value:
                return result
        return None

    def _detach(self) -> None:
        # What goes on behind an answer must not stream into the graph that has had it.
        if self.is_detached:
            var_child_runnable_config.set(None)

    def _note(self, result: Any, runs: InnerRuns) -> Any:
        form = self._pack(result, runs)
        self._results.append((form, result))
        return form

    def _note_error(self, error: Exception, runs: InnerRuns) -> Signal:
        if not is_graph_signal(error):
            if runs.failed > 1:
                note_tried(error)
            raise error
        signal = Signal(error)
        self._results.append((signal, signal))
        return signal


class AgentCall(NamedTuple):
    """One call that is to be made.

    Args:
        name: The name of the model or the tool.
        own: The caller's own call.
        take: Returns the caller's result of what another call has brought, or NOTHING where that is
            of no use to this caller; then the call is made once more for this caller alone.
        args: Positional arguments of the wrapped function.
        kwargs: Its keyword arguments.
        names: The names of its variable parameters.
        shared: Whether the call may be kept and shared.
        request: The request of the agent.
    """

    name: str
    own: HandlerCall
    take: Callable[[Any], Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    names: tuple[str, ...]
    shared: bool
    request: Any


class Functions:
    """The functions of one policy, by the name of what is called. Thread-safe.

    Args:
        ops: The runtime.
        policy: The policy of all of them.
        faces: Makes the function that is wrapped, with a plain and an asynchronous face, for the
            names of its variable parameters.
        ignore: Its parameters that do not count in the key.
        may_store: Whether a result may be kept.
        counter_of: Makes what prices and describes the calls of a model, of its name. None: these
            are calls of tools.

    Raises:
        ConfigurationError: The runtime cannot share answers by meaning, as the policy asks.
    """

    def __init__(
        self,
        ops: ToolOps,
        policy: Policy,
        faces: Callable[[Sequence[str]], Faces],
        ignore: tuple[str, ...],
        may_store: Callable[[Any], bool],
        counter_of: Callable[[str], ModelCounter] | None = None,
    ) -> None:
        self._ops = ops
        self._counter_of = counter_of
        self._policy = adapt_policy(policy, may_store)
        self._alone = self._policy.replace(cache=None, semantic=None, coalesce=False)
        self._faces = faces
        self._ignore = ignore
        self._made: OrderedDict[tuple[str, tuple[str, ...], bool, bool, bool], Any] = OrderedDict()
        self._lock = fork_safe(self, threading.Lock())
        self._warned = False
        if policy.semantic is not None:
            # So that what does not fit the runtime is told now, and not by the first call.
            probe = Policy(cache=Cache(), semantic=policy.semantic)
            ops.tool(policy=probe, name="langchain.probe", ignore=ignore)(faces(())[1])

    @property
    def needs_key(self) -> bool:
        """True if results are kept or shared, so that a key is needed."""
        return self._policy.coalesces or self._policy.cache is not None

    def run(self, call: AgentCall) -> Any:
        """Make one call, and return its caller's result."""
        with self._note_failure(call):
            if call.shared:
                value = self._share(call, aio=False)(*call.args, **call.kwargs)
                taken = _result(call, value)
                if taken is not NOTHING:
                    return taken
            call.own.find_key = None
            alone = self._function(call, aio=False, alone=True)
            return _result(call, alone(*call.args, **call.kwargs))

    async def arun(self, call: AgentCall) -> Any:
        """As :meth:`run`, without blocking the event loop."""
        with self._note_failure(call):
            if call.shared:
                value = await self._share(call, aio=True)(*call.args, **call.kwargs)
                taken = _result(call, value)
                if taken is not NOTHING:
                    return taken
            call.own.find_key = None
            alone = self._function(call, aio=True, alone=True)
            return _result(call, await alone(*call.args, **call.kwargs))

    def explain(self, call: AgentCall) -> Explanation:
        """Explain how a call would be decided now; its first argument is the question.

        Raises:
            ConfigurationError: Its result is not stored.
        """
        function = self._function(call, aio=True, alone=not call.shared)
        return without_scope(function.explain(*call.args, **call.kwargs), call.args[0])

    async def aexplain(self, call: AgentCall) -> Explanation:
        """As :meth:`explain`, without blocking the event loop."""
        function = self._function(call, aio=True, alone=not call.shared)
        return without_scope(await function.aexplain(*call.args, **call.kwargs), call.args[0])

    @contextmanager
    def _note_failure(self, call: AgentCall) -> Iterator[None]:
        try:
            yield
        except Exception:
            if self._policy.retry is not None:
                note_failure(call.request)
            raise
        finally:
            call.own.is_over = True

    def _share(self, call: AgentCall, *, aio: bool) -> Any:
        function = self._function(call, aio=aio, alone=False)
        if self._policy.cache is not None:
            call.own.find_key = partial(function.key, *call.args, **call.kwargs)
        return function

    def _is_tried_again(self, call: AgentCall) -> bool:
        """Return whether other middleware tries this failed call again; warn of it once."""
        retry = self._policy.retry
        if retry is None or not was_failed(call.request):
            return False
        if not self._warned:
            self._warned = True
            report_problem(
                LOGGER,
                ("retries", call.name),
                "Other middleware tries failed calls of %(name)r again, and so does the policy"
                " (%(attempts)d attempts). After its attempts each further call is tried once;"
                " leave retries to one of them: a policy with retry=None, or no retry middleware",
                name=call.name,
                attempts=retry.attempts,
            )
        return True

    def _function(self, call: AgentCall, *, aio: bool, alone: bool) -> Any:
        once = self._is_tried_again(call)
        known = call.name, call.names, aio, alone, once
        found = self._made.get(known)
        if found is None:
            policy = self._alone if alone else self._policy
            policy = name_parts(self._ops, policy, call.name)
            if once:
                policy = policy.replace(retry=None)
            counter = None if self._counter_of is None else self._counter_of(call.name)
            if counter is not None:
                policy = counter.apply_price(policy)
            wrap = self._ops.tool(policy=policy, name=call.name, ignore=self._ignore)
            found = wrap(self._faces(call.names)[aio])
            if counter is None:
                describe_tool(found, current_agent, encloses=True)
            else:
                counter.describe(found, lambda _: current_agent(), encloses=True)
            with self._lock:
                self._made[known] = found
                if len(self._made) > _NAMES:
                    self._made.popitem(last=False)
        return found


def _result(call: AgentCall, value: Any) -> Any:
    """Return what the runtime gave as the caller's result, or NOTHING."""
    mine = call.own.own_result(value)
    if type(value) is Signal:
        # Another graph's interrupt is nothing to this one.
        return NOTHING if mine is None else release(value)
    call.own.is_foreign = mine is None
    return call.take(value) if mine is None else mine
