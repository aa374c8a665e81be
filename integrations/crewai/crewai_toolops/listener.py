"""A listener on CrewAI's event bus, which feeds a runtime's statistics and sinks."""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeAlias

from crewai.events.base_event_listener import BaseEventListener
from crewai.events.base_events import BaseEvent
from crewai.events.event_bus import CrewAIEventsBus, crewai_event_bus, is_replaying
from crewai.events.types.llm_events import LLMStreamChunkEvent
from crewai.hooks.tool_hooks import (
    ToolCallHookContext,
    get_before_tool_call_hooks,
    register_before_tool_call_hook,
    unregister_before_tool_call_hook,
)
from crewai.utilities.string_utils import sanitize_tool_name

from crewai_toolops._event_dedup import has_cache_answer, has_tool_note, note_cache_answer
from crewai_toolops._event_pairs import Begin, End, Pairs
from crewai_toolops._event_reader import BEGINS, ENDS, begin_of, end_of, key_of, role_of
from crewai_toolops._llm_guard import inside_guard
from crewai_toolops.prices import ModelPrices, names_of
from toolops_plugins import ToolOps
from toolops_plugins.adapters.installation import Installation
from toolops_plugins.adapters.internals import check
from toolops_plugins.adapters.model_guard import guard_of
from toolops_plugins.adapters.options import runtime_of
from toolops_plugins.adapters.run_events import Prices as AnyPrices
from toolops_plugins.adapters.run_events import Run, RunReporter
from toolops_plugins.prices.tables import TokenPrice

__all__ = ["Prices", "ToolOpsListener", "install", "uninstall"]

logger = logging.getLogger("crewai_toolops")

_ROLES = 1_000
"""Agents whose roles are remembered."""
_KINDS: tuple[type[BaseEvent], ...] = (*BEGINS, *ENDS, LLMStreamChunkEvent)

Prices: TypeAlias = Mapping[str, TokenPrice | tuple[float, float]] | AnyPrices


class _Counts:
    """The calls that one listener tells a runtime of."""

    def __init__(self, ops: ToolOps | None, prices: Prices | None, max_calls: int) -> None:
        self.ops = runtime_of(ops)
        if isinstance(prices, Mapping):
            prices = ModelPrices(prices)
        self._reporter = RunReporter(self.ops, prices)
        self.pairs = Pairs(check.count("max_calls", max_calls))
        # By the agent's id: events of models tell the role with what a kickoff has filled in.
        self._roles: OrderedDict[str, str] = OrderedDict()

    def count(self, source: Any, event: Any) -> None:
        """Take note of an event, and tell of the call whose second half it is."""
        chat = getattr(event, "call_id", None)
        if chat is not None and (guard_of(source) is not None or inside_guard()):
            return
        if isinstance(event, LLMStreamChunkEvent):
            if event.chunk or event.tool_call is not None:
                self.pairs.add_token(event.call_id, event.timestamp.timestamp())
            return
        self._note_role(event)
        key = key_of(source, event)
        begin: Begin | None
        end: End | None
        if isinstance(event, BEGINS):
            begin = begin_of(event)
            end = self.pairs.add_begin(key, begin)
        else:
            end = end_of(source, event)
            end = end._replace(agent=self._roles.get(str((end.details or {}).get("agent_id")), ""))
            begin = self.pairs.add_end(key, end)
        if begin is not None and end is not None:
            self._tell(begin, end, None if chat is None else self.pairs.first(chat))

    def _note_role(self, event: Any) -> None:
        agent = getattr(event, "agent", None)
        role = role_of(agent)
        if role:
            self._roles[str(getattr(agent, "id", None))] = role
            if len(self._roles) > _ROLES:
                self._roles.popitem(last=False)

    def _tell(self, begin: Begin, end: End, first: float | None) -> None:
        clock, tell = self.ops.clock, self._reporter.tell
        # By the times of the events: the bus hands them over when it comes to it.
        began = clock.monotonic() - max(0.0, end.at - begin.at)
        run = Run(
            end.kind, end.name, end.model, began, begin.at, provider=end.provider, agent=end.agent
        )
        if end.kind == "chat":
            if first is not None:
                run.first = began + max(0.0, first - begin.at)
            details = {
                **(self._reporter.details(run, [end.model], end.usage) or {}),
                **(end.details or {}),
            }
            price = self._reporter.money(run, names_of(end.model), end.usage)
            tell(run, end.outcome, details, price=price, error=end.error)
            return
        outcome = end.outcome
        if end.kind == "tool":
            if has_tool_note(begin.event_id, end.name):
                return
            if outcome == "miss" and has_cache_answer(begin.event_id):
                outcome = "hit"
        asked = outcome in ("hit", "miss")
        tell(
            run,
            outcome,
            {**(self._reporter.details(run) or {}), **(end.details or {})} or None,
            tier="crewai" if outcome == "hit" else None,
            key=begin.event_id.replace("-", "") if asked else None,
            reason=end.reason,
            error=end.error,
        )


class ToolOpsListener(BaseEventListener):
    """Counts what CrewAI runs, in the runtime's ``stats()`` and for its sinks.

    It listens from the moment it is made until it is closed, or until the ``scoped_handlers()`` of
    CrewAI's bus around it end; :func:`install` is what most users want, and tells what is counted::

        with ToolOpsListener(ops, prices={"gpt-4o": (2.5, 10.0)}):
            crew.kickoff()

    Two listeners of one runtime count each call twice. Safe to use from any threads and event
    loops: CrewAI calls it in threads of the bus, and with the chunks of streams in those of their
    models. It never raises into a call, waits for anything, or changes an event.

    Args:
        ops: As for :func:`install`.
        prices: As for :func:`install`.
        tool_hook: As for :func:`install`.
        max_calls: As for :func:`install`.

    Raises:
        ConfigurationError: A value is wrong.
    """

    def __init__(
        self,
        ops: ToolOps | None = None,
        *,
        prices: Prices | None = None,
        tool_hook: bool = False,
        max_calls: int = 10_000,
    ) -> None:
        self._counts: _Counts | None = _Counts(ops, prices, max_calls)
        self._tool_hook = tool_hook
        super().__init__()

    def setup_listeners(self, crewai_event_bus: CrewAIEventsBus) -> None:
        """Register the handlers with the bus; doing it again puts back those that are missing."""
        for kind in _KINDS:
            crewai_event_bus.register_handler(kind, self._on_event)
        if self._tool_hook and self._before_tool not in get_before_tool_call_hooks():
            register_before_tool_call_hook(self._before_tool)

    def attach(self) -> None:
        """Register the handlers with CrewAI's bus that are missing there."""
        self.setup_listeners(crewai_event_bus)

    def close(self) -> None:
        """Listen no more; leaves the bus as it was. Calls that are under way are not counted.

        CrewAI may still be on its way with events of calls that have ended: ``flush()`` of its bus
        waits for them. May be called more than once.
        """
        self._counts = None
        for kind in _KINDS:
            crewai_event_bus.off(kind, self._on_event)
        unregister_before_tool_call_hook(self._before_tool)

    def __enter__(self) -> Self:
        """Return the listener, which listens already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the listener."""
        self.close()

    def _on_event(self, source: Any, event: Any) -> None:
        counts = self._counts
        try:
            if counts is None:
                self.close()  # scoped_handlers() has put it back when they ended
            elif not is_replaying():
                counts.count(source, event)
        except Exception as error:  # noqa: BLE001 - nobody but us is to hear of our mistakes
            logger.debug("%s was not counted: %s", type(event).__name__, type(error).__name__)

    def _before_tool(self, context: ToolCallHookContext) -> None:
        """Look whether CrewAI's own cache is about to answer, as CrewAI does just after."""
        try:
            handler = getattr(context.agent, "tools_handler", None)
            cache = getattr(handler, "cache", None)
            if cache is None:
                return
            given = json.dumps(context.tool_input) if context.tool_input else ""
            name = sanitize_tool_name(context.tool_name)
            if cache.read(tool=name, input=given) is not None:
                note_cache_answer()
        except Exception as error:  # noqa: BLE001 - it would abort or disturb the user's call
            logger.debug("A call of a tool was not looked at: %s", type(error).__name__)


_installation = Installation()


def install(
    ops: ToolOps | None = None,
    *,
    prices: Prices | None = None,
    tool_hook: bool = False,
    max_calls: int = 10_000,
) -> None:
    """Count what CrewAI runs in this process, in the runtime's ``stats()`` and for its sinks.

    ::

        install(ops, prices={"gpt-4o": (2.5, 10.0)})

    The rows are "chat:<model>", "tool:<name>", "agent:<role>", "task:<name>" and "crew:<name>",
    with roles as they were written: what a kickoff fills in is no part of them. A task without a
    name is "task:<role of its agent>", since descriptions may hold what users have asked. Each row
    counts its own calls, so a crew stands beside the models that its agents have called; but money
    is only ever that of models.

    - What a runtime counts already is not counted here: tools of ``wrap_tool`` and
      ``ToolOpsMixin``, and models of ``guard_llm``, whichever runtime theirs is. Their hits and
      what these saved stand in rows of their own.
    - What CrewAI's own cache answers is a "hit" of tier "crewai", and other calls of agents that
      have such a cache are a "miss". Where a model calls functions, only ``tool_hook`` tells the
      one from the other: CrewAI's events do not, and without it all are a "miss".
    - A call that a tool hook has stopped is "rejected", with the reason "blocked". A tool that
      returns a ``ToolFailure`` has an "error", whose reason is that of the failure.
    - CrewAI tells of each attempt: three attempts at a rate-limited model are three calls.
    - A model tells no more than its class emits: of a ``BaseLLM`` of your own that emits no events
      nothing is heard. What was cancelled has no end, and is not counted. What a checkpoint replays
      is not counted again.
    - Sinks get the ids of the agent and the task, the model, its tokens and the seconds to its
      first token as ``event.details``. They are called in threads of CrewAI's bus, so the last of
      them perhaps after the kickoff has returned: ``crewai_event_bus.flush()`` waits for them.

    There is one installation in a process. Installing the same again does nothing, but for putting
    back handlers that somebody has removed; installing for another runtime, or with other values,
    takes the place of what is installed, and calls that are under way then are not counted. Safe
    to call from any threads.

    Args:
        ops: The runtime. None: :func:`toolops_plugins.get_default`.
        prices: Prices by model, as :class:`~crewai_toolops.ModelPrices` takes them, or a callable
            over model and usage that returns money. None: published prices, where the extra
            ``prices`` of the core is installed; else models are free.
        tool_hook: Whether a hook of CrewAI's, before each call of any tool, looks whether CrewAI's
            own cache holds its answer. Default False.
        max_calls: Calls that may be under way at once; of more, the oldest are not counted.
            Default 10,000.

    Raises:
        ConfigurationError: A value is wrong.
    """
    runtime = _Counts(ops, prices, max_calls).ops  # so that wrong values leave all as it is

    def make() -> ToolOpsListener:
        return ToolOpsListener(runtime, prices=prices, tool_hook=tool_hook, max_calls=max_calls)

    _installation.put(make, runtime, prices, max_calls, tool_hook)


def uninstall() -> None:
    """Take back what :func:`install` has done; nothing if nothing is installed.

    Calls that are under way are not counted. Safe to call from any threads.
    """
    _installation.take()
