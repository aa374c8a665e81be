"""The writing side of a ledger: a thread that writes what the calls of a runtime have counted."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final
from uuid import uuid4

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.telemetry.events import Notice
from toolops_plugins.telemetry.ledger.levels import MINUTE
from toolops_plugins.telemetry.ledger.pending import PendingSums
from toolops_plugins.telemetry.ledger.process_end import close_at_child_exit, close_at_exit
from toolops_plugins.telemetry.ledger.records import (
    Command,
    LedgerError,
    ProcessState,
    StoredNotice,
)
from toolops_plugins.telemetry.ledger.steady_time import SteadyTime, read_counter
from toolops_plugins.telemetry.ledger.store import COMMAND_SECONDS, Batch, Record, Store
from toolops_plugins.telemetry.ledger.sums import Cell
from toolops_plugins.telemetry.ledger.tally import plain_name
from toolops_plugins.telemetry.runtime_state import LimitReport, RuntimeState

__all__ = ["Writer"]

_CHUNK: Final = 400
"""Records of one batch; bounds the time that a server or file is busy with it."""
_MOST_NOTICES: Final = 500
_COUNT_OTHERS: Final = frozenset({"breaker", "tier_recovered", "ledger_recovered"})
"""Kinds of notices whose ``calls`` does not say how often they happened."""
_EARLY: Final = 0.02
"""Seconds before the end of a minute at which its last calls are written."""
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_CLOSE_SECONDS: Final = 1.5
"""Seconds that closing waits for the last write."""


class _Alarm:
    """Wakes a thread. Not an event, in whose lock the garbage collector may ring it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self.is_set = False

    def set(self) -> None:
        self.is_set = True
        with suppress(RuntimeError):  # it rings already
            self._lock.release()

    def wait(self, seconds: float) -> bool:
        if not self.is_set:
            self._lock.acquire(timeout=max(seconds, 0.0))
        return self.is_set


class Writer:
    """Writes the sums of a runtime's calls to a ledger, in the background.

    A daemon thread starts with the first call that is counted, and writes every few seconds. It
    ends with :meth:`close`, and when the runtime is garbage collected. A call after that starts it
    again. No method raises: trouble makes a notice, the sums wait in bounded memory, and the pause
    before the next try grows from a second to a minute. A batch that may or may not have arrived is
    sent again with its number, by which the store knows it.

    Safe to use from any threads and event loops; only :meth:`close` and :meth:`flush` block. A
    forked child begins anew.

    Args:
        make_store: Opens the store; called in the thread.
        place: The ledger's URL, without user and password.
        namespace: The runtime's namespace.
        pop_records: Returns what was counted since the last time; see :meth:`Stats.pop_records`.
        state_of: Returns the present state of the runtime, or None if it is gone.
        notify: Emits a notice.
        execute: Carries out a command. None: commands are ignored.
        interval: Seconds between two writes.
        max_pending: Records that may wait.
    """

    def __init__(
        self,
        make_store: Callable[[], Store],
        place: str,
        namespace: str,
        pop_records: Callable[[], dict[tuple[str, str, str, str], Record]],
        state_of: Callable[[], RuntimeState | None],
        notify: Callable[[Notice], None],
        execute: Callable[[Command], None] | None,
        *,
        interval: float,
        max_pending: int,
    ) -> None:
        self._make_store = make_store
        self._place = place
        # No store takes the half of a character that a namespace may have.
        self._namespace = namespace.encode("utf-8", "replace").decode()
        self._pop_records = pop_records
        self._state_of = state_of
        self._notify = notify
        self._execute = execute
        self._interval = interval
        # Held for an instant, also by calls, and by a signal handler's calls within these. The
        # other one is held while a batch is written.
        self._lock = fork_safe(self, threading.RLock())
        self._writing = fork_safe(self, threading.Lock(), "_writing")
        self._pending = PendingSums(max_pending)
        self._begin()
        close_at_exit(self)

    def _begin(self) -> None:
        """Begin as a writer of this process that has written nothing."""
        self._id = uuid4().hex
        self._thread: threading.Thread | None = None
        self._alarm = _Alarm()
        self._store: Store | None = None
        self._serial = 0
        self._unconfirmed: Batch | None = None
        self._pending.clear()
        self._notices: dict[tuple[str, ...], StoredNotice] = {}
        self._time = SteadyTime()
        self._started = 0.0
        self._pause = 0.0
        self._retry_at = 0.0
        self._changes: dict[str, float] = {}  # the time of each breaker's last change
        self._executed: OrderedDict[str, None] = OrderedDict()

    def reset_after_fork(self) -> None:
        """Leave what the parent has counted to the parent, in a forked child."""
        store = self._store
        self._begin()
        self._store = store  # it notices the fork itself, and opens connections of its own
        close_at_child_exit()

    # -- called by calls -------------------------------------------------------------------------

    def wake(self) -> None:
        """Start the thread, unless it runs."""
        if self._thread is None:
            self._start()

    def on_notice(self, notice: Notice) -> None:
        """Keep a notice for the next write."""
        key = tuple(
            plain_name(each)
            for each in (notice.kind, notice.name, notice.detail, notice.error, notice.place)
        )
        kind, name, detail, error, place = key
        # Of a breaker it is the number of rejected calls, and of a recovery that of the failures.
        count = 1 if kind in _COUNT_OTHERS else max(notice.calls, 1)
        with self._lock:
            found = self._notices.get(key)
            if found is not None:
                count += found.count
            elif len(self._notices) >= _MOST_NOTICES:
                return
            at = notice.started if found is None else found.at
            self._notices[key] = StoredNotice(
                kind, name, detail, at, notice.namespace, error, notice.calls, notice.seconds,
                place, _host(), os.getpid(), count,
            )  # fmt: skip
            if kind == "breaker":
                self._changes[name] = notice.started

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            alarm = self._alarm = _Alarm()
            thread = threading.Thread(
                target=_work, args=(self, alarm), name="toolops-ledger", daemon=True
            )
            self._thread = thread
            try:
                thread.start()
            except RuntimeError:  # the system starts no more threads, or the interpreter ends
                self._thread = None

    # -- called by the thread, and at the end ----------------------------------------------------

    def pause(self) -> float:
        """Return the seconds until the next write: the interval, or the end of the minute."""
        left = MINUTE - self._time.read(time.time(), read_counter()) % MINUTE - _EARLY
        return min(self._interval, left if left > 0 else left + MINUTE)

    def flush(self, *, last: bool = False, seconds: float | None = None) -> None:
        """Write what was counted, and that this process lives.

        Args:
            last: Whether this is the last write, which is tried although another one failed a
                moment ago, and left out if nothing was counted. Default False.
            seconds: The longest time to wait for another thread that writes. Default None: no
                limit.
        """
        if not self._writing.acquire(timeout=-1 if seconds is None else seconds):
            return
        try:
            self._flush(last=last)
        except Exception as error:  # noqa: BLE001 - nobody else could handle it
            self._fail(_describe_failure(error).removeprefix(f"{self._place}: "))
        finally:
            self._writing.release()

    def end(self) -> None:
        """Let the thread write a last time and end, without waiting for it."""
        with suppress(Exception):  # called by the garbage collector, in any thread
            self._alarm.set()

    def close(self, seconds: float = _CLOSE_SECONDS) -> None:
        """Write a last time, end the thread, and release connections.

        Args:
            seconds: The longest time to wait for it. Default 1.5.
        """
        with self._lock:
            thread, self._thread = self._thread, None
            self._alarm.set()
        if thread is None:
            self._finish(seconds)
        elif thread is not threading.current_thread():
            thread.join(seconds)

    def _finish(self, seconds: float | None = None) -> None:
        self.flush(last=True, seconds=seconds)
        store, self._store = self._store, None
        if store is not None:
            with suppress(LedgerError):
                store.close()

    def _flush(self, *, last: bool) -> None:
        records = self._pop_records()
        waiting = records or self._pending or self._notices or self._unconfirmed
        if not waiting and (last or not self._started):
            return
        store, problem = None, None
        clock_time = time.time()
        if last or read_counter() >= self._retry_at:
            try:
                store = self._open()
                clock_time = store.now()
            except Exception as error:  # noqa: BLE001 - raised when the sums are safe
                problem = error
        now = self._time.read(clock_time, read_counter())
        minute = int(now) // MINUTE * MINUTE
        for (tool, *more), record in records.items():
            self._pending.add(minute, Cell(self._namespace, plain_name(tool), *more), record)
        if problem is not None:
            raise problem
        if store is not None:
            self._write(store, now)
            if self._pause:
                self._pause = self._retry_at = 0.0
                self._tell("ledger_recovered", self._place)

    def _open(self) -> Store:
        if self._store is None:
            self._store = self._make_store()
        return self._store

    def _write(self, store: Store, now: float) -> None:
        self._started = self._started or now
        commands: Iterable[Command] = ()
        while True:
            if self._unconfirmed is None:
                self._serial += 1
                with self._lock:
                    notices, self._notices = list(self._notices.values()), {}
                self._unconfirmed = Batch(
                    self._id, self._serial, self._pending.pop(_CHUNK), notices, self._state()
                )
            commands = store.add(self._unconfirmed)
            self._unconfirmed = None
            if not self._pending:
                break
        self._carry_out(commands, now)

    def _state(self) -> ProcessState:
        found = self._state_of() or RuntimeState(self._namespace)
        return ProcessState(
            id=self._id,
            host=_host(),
            pid=os.getpid(),
            namespace=self._namespace,
            version=_version(),
            started=self._started,
            allow_commands=self._execute is not None,
            breakers=tuple(
                replace(
                    each,
                    name=plain_name(each.name),
                    since=self._changes.get(each.name, self._started),
                    error=plain_name(each.error),
                )
                for each in found.breakers
            ),
            limits=_limits_of(found.limits),
            bulkheads=_limits_of(found.bulkheads),
            tiers=found.tiers,
            index=dict(found.index),
            dropped={plain_name(name): count for name, count in found.dropped.items()},
            lost=self._pending.lost,
        )

    def _carry_out(self, commands: Iterable[Command], now: float) -> None:
        if self._execute is None:
            return
        for command in commands:
            # Also if it is from later on: a clock that is set back must not keep it alive.
            if command.id in self._executed or abs(now - command.sent) > COMMAND_SECONDS:
                continue
            self._executed[command.id] = None
            if len(self._executed) > 1_000:
                self._executed.popitem(last=False)
            try:
                self._execute(command)
            except Exception as error:  # noqa: BLE001 - a tier may be down, or a breaker gone
                detail = f"{command.kind}: {type(error).__name__}"
                self._tell("stage_failed", command.name or "ledger", detail)

    def _fail(self, problem: str) -> None:
        self._pause = min(self._pause * 2 or _FIRST_PAUSE, _LONGEST_PAUSE)
        self._retry_at = read_counter() + self._pause
        self._tell("ledger_failed", self._place, problem)

    def _tell(self, kind: Any, name: str, detail: str = "") -> None:
        with suppress(Exception):  # a handler of the user's may raise anything
            self._notify(Notice(kind, name, detail, time.time(), self._namespace))


def _describe_failure(error: Exception) -> str:
    """Return the ledger's own words on an error, or the type of another one, without its text."""
    cause = error.__cause__
    if cause is None:
        return str(error) if isinstance(error, LedgerError) else type(error).__name__
    code = getattr(cause, "sqlite_errorname", "")  # such as SQLITE_FULL
    return f"{type(cause).__name__}{', ' if code else ''}{code}"


def _work(writer: Writer, alarm: _Alarm) -> None:
    while not alarm.wait(writer.pause()):
        writer.flush()
    writer._finish()  # noqa: SLF001 - of this module


def _limits_of(limits: Iterable[LimitReport]) -> tuple[LimitReport, ...]:
    return tuple(replace(each, name=plain_name(each.name)) for each in limits)


@cache
def _host() -> str:
    return plain_name(socket.gethostname())


@cache
def _version() -> str:
    try:
        return version("toolops-plugins")
    except PackageNotFoundError:
        return ""
