"""The emitter, which hands events, notices, starts and steps of calls to sinks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from toolops_plugins.clock import SYSTEM_CLOCK, Clock
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.telemetry.events import CallEvent, CallStart, CallStep, Notice, SinkLike
from toolops_plugins.telemetry.log import ProblemLog
from toolops_plugins.telemetry.started_call import SinkEntry, StartedCall

if TYPE_CHECKING:
    from toolops_plugins.telemetry.runtime_state import StateSource

__all__ = ["Emitter"]


class Emitter:
    """Hands events to sinks, and keeps the failures of sinks away from calls.

    Notices are also written to the log; see :mod:`toolops_plugins.telemetry.log`. Emitting takes no
    lock: it walks a tuple that adding and removing replace. A sink that raises misses that one
    event, which is counted; KeyboardInterrupt and similar exceptions pass. Safe to use from any
    threads and event loops.

    Args:
        sinks: The first sinks.
        clock: The clock that limits how often the log repeats a cause.

    Attributes:
        clock: The clock.
        active: True if there is a sink; without one there is no need to make events.
        observed: True if there is a sink or a ledger; without one nothing need be measured.
        starters: The sinks with ``on_start``; without one there is no need to start calls.
        steppers: The sinks with ``on_step``; without one there is no need to make steps.

    Raises:
        ConfigurationError: A sink cannot be called, or is a coroutine function.
    """

    __slots__ = (
        "__weakref__",
        "_entries",
        "_lock",
        "_log",
        "_notices",
        "_plain",
        "_state",
        "_watchers",
        "active",
        "clock",
        "observed",
        "starters",
        "steppers",
    )

    active: bool
    observed: bool
    starters: tuple[SinkEntry, ...]
    steppers: tuple[SinkEntry, ...]

    def __init__(self, sinks: Iterable[SinkLike] = (), *, clock: Clock = SYSTEM_CLOCK) -> None:
        # Reentrant: a signal handler or a finalizer may call a tool while its thread is in here.
        self._lock = fork_safe(self, threading.RLock())
        self._notices: dict[str, int] = {}
        self.clock = clock
        self._log = ProblemLog(clock)
        self._state: StateSource | None = None
        self._watchers: tuple[Callable[[Notice], object], ...] = ()
        self._set_entries(tuple(SinkEntry(sink) for sink in sinks))

    def _set_entries(self, entries: tuple[SinkEntry, ...]) -> None:
        self._entries = entries
        self._plain = tuple(entry for entry in entries if entry.on_start is None)
        self.starters = tuple(entry for entry in entries if entry.on_start is not None)
        self.steppers = tuple(entry for entry in entries if entry.on_step is not None)
        self.active = bool(entries)
        self.observed = self.active or bool(self._watchers)

    def add(self, sink: SinkLike) -> Callable[[], None]:
        """Add a sink, and return a function that removes it again.

        A sink that is added twice receives everything twice. The function may be called more than
        once; an event that is being emitted meanwhile may still arrive, and so does the end of each
        call whose start the sink has received.

        Raises:
            ConfigurationError: The sink cannot be called, or is a coroutine function.
        """
        entry = SinkEntry(sink)
        with self._lock:
            self._set_entries((*self._entries, entry))
        if self._state is not None:
            self._connect(entry, self._state)

        def remove() -> None:
            with self._lock:
                self._set_entries(tuple(other for other in self._entries if other is not entry))

        return remove

    def watch(self, on_notice: Callable[[Notice], object]) -> None:
        """Call a function, which raises nothing, with every notice from now on.

        It is no sink, so no call makes an event for it.
        """
        with self._lock:
            self._watchers = (*self._watchers, on_notice)
            self.observed = True

    def connect(self, state: StateSource) -> None:
        """Hand the source of a runtime's state to every sink with ``on_runtime``, once each.

        Args:
            state: Returns the present state of the runtime, or None once it is gone.
        """
        self._state = state
        for entry in self._entries:
            self._connect(entry, state)

    def _connect(self, entry: SinkEntry, state: StateSource) -> None:
        if entry.on_runtime is not None:
            try:
                entry.on_runtime(state)
            except Exception as error:  # noqa: BLE001 - as for events
                self.count_failure(entry, error, 0.0, "")

    def emit(self, event: CallEvent, started: StartedCall | None = None) -> None:
        """Hand an event to every sink.

        Args:
            event: The event.
            started: The start of the call. Default None: no sink has been told of one.
        """
        self.emit_plain(event)
        if started is not None:
            started.end(event)
        elif self.starters:
            StartedCall(self, CallStart(event.name)).end(event)

    def emit_plain(self, event: CallEvent) -> None:
        """Hand an event to the sinks without ``on_start``."""
        for entry in self._plain:
            try:
                entry.on_call(event)
            except Exception as error:  # noqa: BLE001 - a sink must not disturb the user's call
                self.count_failure(entry, error, event.started, event.namespace)

    def emit_whole(self, start: CallStart, event: CallEvent) -> None:
        """Hand the start and the end of a call, both of which are over, to every sink."""
        starters = self.starters
        if len(starters) != 1:
            started = StartedCall(self, start)
            try:
                started.begin()
            finally:
                self.emit(event, started)
            return
        # As above in half the time, since hits come here.
        (entry,) = starters
        state = None
        try:
            state = entry.on_start(start)
        except Exception as error:  # noqa: BLE001 - a sink must not disturb the user's call
            self.count_failure(entry, error, start.started, start.namespace)
        finally:
            try:
                if self._plain:
                    self.emit_plain(event)
            finally:
                try:
                    entry.on_call(event, state)
                except Exception as error:  # noqa: BLE001 - a sink must not disturb the user's call
                    self.count_failure(entry, error, event.started, event.namespace)

    def step(
        self,
        step: CallStep,
        states: Mapping[SinkEntry, object],
        others: Mapping[SinkEntry, object],
    ) -> None:
        """Hand a step to every sink that takes steps.

        Args:
            step: The step.
            states: What the ``on_start`` of each sink has returned for the call.
            others: The same for the other call that the step concerns, if there is one.
        """
        for entry in self.steppers:
            other = others.get(entry)
            try:
                entry.on_step(
                    step if other is None else step._replace(other=other), states.get(entry)
                )
            except Exception as error:  # noqa: BLE001 - a sink must not disturb the user's call
                self.count_failure(entry, error, 0.0, step.namespace)

    def notice(self, notice: Notice) -> None:
        """Count a notice, write it to the log, and hand it to every sink that takes notices."""
        self._count_notice(notice.kind)
        report = self._log.write_notice(*notice)
        if report is not None and report.failures:
            calls = notice.calls if notice.kind == "breaker" else report.failures
            notice = notice._replace(calls=calls, seconds=report.seconds)
        self._send(notice)

    def notice_rarely(self, notice: Notice) -> None:
        """Count a notice that many calls make, and emit the first, then one a minute at most.

        That one says in ``calls`` how many there were since the last one.
        """
        self._count_notice(notice.kind)
        report = self._log.write_notice(*notice)
        if report is not None:
            self._send(notice._replace(calls=report.more + 1))

    def warn(
        self,
        name: str,
        reason: str,
        *,
        started: float = 0.0,
        namespace: str = "",
        error: str = "",
        place: str = "",
    ) -> None:
        """Warn that a call of a name bypasses the cache: in the log, and by a "bypass" notice.

        It warns of the first call, and then once a minute at most, with their number.

        Args:
            name: The name that the calls are counted by, such as a tool's.
            reason: The machine word that its events carry too.
            started: Seconds since the epoch.
            namespace: The runtime's namespace.
            error: The type of the exception, or of the argument, that is the cause.
            place: The parameter that is the cause; see :class:`Notice`.
        """
        self.notice_rarely(Notice("bypass", name, reason, started, namespace, error, place=place))

    @property
    def notices(self) -> dict[str, int]:
        """The number of notices up to now by their kind, in the order of the kinds' names."""
        with self._lock:
            return dict(sorted(self._notices.items()))

    @property
    def dropped(self) -> dict[str, int]:
        """Events and notices that the present sinks failed to take, by the sink's type or name."""
        counts: dict[str, int] = {}
        for entry in self._entries:
            counts[entry.label] = counts.get(entry.label, 0) + entry.dropped
        return counts

    def count_failure(
        self, entry: SinkEntry, error: Exception, started: float, namespace: str
    ) -> None:
        """Count a failure of a sink, and emit a notice of the first, then one a minute at most."""
        with self._lock:
            entry.dropped += 1
        # Rarely, since a broken sink fails at every call, and each notice may make another fail.
        kind = type(error).__name__
        self.notice_rarely(Notice("sink_failed", entry.label, kind, started, namespace))

    def _count_notice(self, kind: str) -> None:
        with self._lock:
            self._notices[kind] = self._notices.get(kind, 0) + 1

    def _send(self, notice: Notice) -> None:
        for watch in self._watchers:
            watch(notice)
        for entry in self._entries:
            if entry.on_notice is None:
                continue
            try:
                entry.on_notice(notice)
            except Exception as error:  # noqa: BLE001 - a sink must not disturb the user's call
                self.count_failure(entry, error, notice.started, notice.namespace)
