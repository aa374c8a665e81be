"""A bounded pool of daemon threads that one hung tool cannot use up.

``concurrent.futures`` joins its threads at exit, so that a call that hangs past its timeout would
keep the interpreter from ending. The threads of this pool are daemons.

Every submitted function has a :class:`Ticket`. A caller that stops waiting drops the ticket, and a
function that has not begun by then never runs.

The threads are shared by dynamic thresholds (Choudhury and Hahne, Dynamic Queue Length Thresholds
for Shared-Memory Packet Switches, 1998): an owner gets another thread only while more are free than
it holds. One owner whose functions hang ends up with half of the threads, a second one with half of
the rest, and some are left for all others.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import ThreadPoolFull

__all__ = ["BULK", "Outcome", "Pool", "Ticket"]

BULK = "ops.map"
"""The owner of work whose caller bounds its number; it leaves a quarter of the threads free."""

_HUNG = 1.0
"""Seconds of work after which a thread counts as hung if others wait for one."""


class Outcome:
    """The result or error of a function that runs in the pool. One thread may wait for it."""

    __slots__ = ("_done", "error", "value")

    def __init__(self) -> None:
        self._done = threading.Lock()
        self._done.acquire()
        self.value: Any = None
        self.error: BaseException | None = None

    def run(self, function: Callable[[], Any]) -> None:
        """Run the function, store its result or error, and wake the thread that waits."""
        try:
            self.value = function()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self.error = error
        finally:
            self._done.release()

    def wait(self, seconds: float | None) -> bool:
        """Wait at most ``seconds`` (None: without limit); return whether there is an outcome."""
        if seconds is None:
            return self._done.acquire()
        return self._done.acquire(timeout=min(max(seconds, 0.0), threading.TIMEOUT_MAX))

    def result(self) -> Any:
        """Return the value or raise the error; for one call."""
        error, self.error = self.error, None
        if error is None:
            return self.value
        try:
            raise error
        finally:
            del error  # it would refer to itself through its traceback


class Ticket:
    """A function that was submitted to the pool.

    Attributes:
        owner: The tool whose share of the threads it uses, or None.
        started_at: The ``time.monotonic`` at which it began to run; None while it is queued.
        queued_at: The time at which it was queued, or None if it got a thread at once.
    """

    __slots__ = ("_pool", "function", "owner", "queued_at", "started_at")

    def __init__(self, pool: Pool, function: Callable[[], Any], owner: str | None) -> None:
        self._pool = pool
        self.function: Callable[[], Any] | None = function
        self.owner = owner
        self.started_at: float | None = None
        self.queued_at: float | None = None

    @property
    def queue_seconds(self) -> float:
        """Seconds that it waited for a thread."""
        if self.queued_at is None or self.started_at is None:
            return 0.0
        return self.started_at - self.queued_at

    def drop(self) -> bool:
        """Take the function back unless it has begun; return whether it will never run."""
        return self._pool.drop(self)


class _Worker:
    """A thread of the pool, with the ticket of its next function."""

    __slots__ = ("asleep", "ticket")

    def __init__(self, ticket: Ticket) -> None:
        self.asleep = threading.Lock()
        self.asleep.acquire()
        self.ticket: Ticket | None = ticket


class Pool:
    """A pool whose threads start on demand and end after some idle time.

    Safe to use from any threads and event loops.

    Args:
        limit: The maximum number of threads; further work is queued. Default 64.
        backlog: The maximum length of the queue for :meth:`offer`. Default 1,000.
        idle: Seconds after which an idle thread ends. Default 10.
    """

    def __init__(self, limit: int = 64, *, backlog: int = 1_000, idle: float = 10.0) -> None:
        self._limit = limit
        self._backlog = backlog
        self._idle_seconds = idle
        self.on_full: weakref.WeakMethod[Callable[[str, str], object]] | None = None
        """Called with an owner that waits for a thread, and a text that says who holds them. Weak,
        since an idle thread would otherwise keep a runtime alive."""
        # Reentrant: the garbage collector may end a caller at any point, which drops its ticket.
        self._lock = fork_safe(self, threading.RLock())
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Start empty in a forked child, which has none of its parent's threads."""
        self._idle: list[_Worker] = []
        self._busy: dict[_Worker, Ticket] = {}
        self._held: dict[str | None, int] = {}
        self._waiting: OrderedDict[str | None, OrderedDict[Ticket, None]] = OrderedDict()
        self._queued = 0
        self._inside = threading.local()

    def __len__(self) -> int:
        """Return the number of threads."""
        return len(self._busy) + len(self._idle)

    @property
    def queue_length(self) -> int:
        """The number of functions that wait for a thread."""
        return self._queued

    def submit(
        self, function: Callable[[], Any], owner: str | None = None, *, beyond: bool = False
    ) -> Ticket:
        """Run ``function``, which must not raise, as soon as there is a thread for it.

        Work that a thread of the pool submits gets a thread beyond the limit if need be: that
        thread will wait for it, and all threads doing so would be a deadlock.

        Args:
            function: Takes no arguments.
            owner: The name of the tool whose share of the threads it uses. None: of no tool.
            beyond: Whether to start a thread beyond the limit if need be. Default False.

        Raises:
            ThreadPoolFull: The system starts no thread, and the pool has none to wait for.
        """
        return self._put(Ticket(self, function, owner), beyond=beyond, offered=False)

    def offer(self, function: Callable[[], Any], owner: str | None = None) -> bool:
        """Run ``function`` later, unless the queue is full; return whether it will run."""
        if self._queued >= self._backlog:
            return False
        try:
            self._put(Ticket(self, function, owner), beyond=False, offered=True)
        except ThreadPoolFull:
            return False
        return True

    def is_inside(self) -> bool:
        """Return whether the current thread belongs to the pool."""
        return getattr(self._inside, "yes", False)

    def has_room(self, owner: str | None) -> bool:
        """Return whether a function of ``owner`` would get a thread at once."""
        return self._admits(owner) or self.is_inside()

    def drop(self, ticket: Ticket) -> bool:
        """Take a function back unless it has begun; return whether it will never run."""
        with self._lock:
            line = self._waiting.get(ticket.owner)
            if line is None or ticket not in line:
                return False
            self._leave(line, ticket)
        ticket.function = None
        return True

    def describe(self, owner: str | None) -> str:
        """Return a text that says who holds the threads that ``owner`` waits for."""
        with self._lock:
            held = sorted(self._held.items(), key=lambda item: -item[1])
            busy, own = len(self._busy), self._held.get(owner, 0)
        if busy < self._limit:
            return f"{owner!r} holds its share of {own} of the {self._limit} threads"
        names = ", ".join(f"{count} by {name!r}" for name, count in held[:5] if name is not None)
        return f"all {self._limit} threads are held" + (f": {names}" if names else "")

    def rejection(self, owner: str | None) -> ThreadPoolFull:
        """Emit a notice, and return the error of a caller that got no thread in time."""
        text = self.describe(owner)
        self._notify_full(owner, text)
        return ThreadPoolFull(f"{owner or 'a function'} got no thread in time: {text}")

    def end_idle_threads(self) -> None:
        """End the idle threads."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.ticket = None
            worker.asleep.release()

    def end_with(self, owner: object) -> None:
        """End idle threads at once from when ``owner`` is garbage collected."""
        weakref.finalize(owner, self._retire).atexit = False

    def _retire(self) -> None:
        # Remaining users of the pool get a new thread for each function.
        self._idle_seconds = 0.0
        self.end_idle_threads()

    # -- under the lock --------------------------------------------------------------------------

    def _admits(self, owner: str | None) -> bool:
        free = self._limit - len(self._busy)
        if owner is BULK:
            return free > self._limit // 4
        return free > (0 if owner is None else self._held.get(owner, 0))

    def _assign(self, ticket: Ticket) -> tuple[_Worker, bool]:
        """Assign a function to an idle or new worker; return the worker, and whether it is new."""
        new = not self._idle
        worker = _Worker(ticket) if new else self._idle.pop()
        worker.ticket = ticket
        self._take(worker, ticket)
        return worker, new

    def _take(self, worker: _Worker, ticket: Ticket) -> None:
        self._busy[worker] = ticket
        self._held[ticket.owner] = self._held.get(ticket.owner, 0) + 1
        ticket.started_at = time.monotonic()

    def _free(self, worker: _Worker) -> None:
        ticket = self._busy.pop(worker, None)
        if ticket is not None:
            left = self._held[ticket.owner] - 1
            if left:
                self._held[ticket.owner] = left
            else:
                del self._held[ticket.owner]

    def _enqueue(self, ticket: Ticket) -> None:
        self._waiting.setdefault(ticket.owner, OrderedDict())[ticket] = None
        ticket.queued_at = time.monotonic()
        self._queued += 1

    def _leave(self, line: OrderedDict[Ticket, None], ticket: Ticket) -> None:
        del line[ticket]
        self._queued -= 1
        if not line:
            del self._waiting[ticket.owner]

    def _next(self) -> Ticket | None:
        """Dequeue the next function that may have a thread now; owners take turns."""
        for owner in tuple(self._waiting):
            if self._admits(owner):
                line = self._waiting[owner]
                ticket = next(iter(line))
                self._waiting.move_to_end(owner)
                self._leave(line, ticket)
                return ticket
        return None

    # -- threads ---------------------------------------------------------------------------------

    def _put(self, ticket: Ticket, *, beyond: bool, offered: bool) -> Ticket:
        with self._lock:
            if self._admits(ticket.owner) or beyond or (not offered and self.is_inside()):
                worker, new = self._assign(ticket)
            else:
                self._enqueue(ticket)
                worker, new = None, False
                hung = self._is_hung()
        if worker is None:
            if hung:
                self._notify_full(ticket.owner, self.describe(ticket.owner))
        elif new:
            self._start(worker)
        else:
            worker.asleep.release()
        return ticket

    def _is_hung(self) -> bool:
        now = time.monotonic()
        return any(now - (one.started_at or now) >= _HUNG for one in self._busy.values())

    def _notify_full(self, owner: str | None, text: str) -> None:
        notify = None if self.on_full is None else self.on_full()
        if notify is not None and owner is not None:
            with suppress(Exception):  # a user's sink may raise anything
                notify(owner, text)

    def _start(self, worker: _Worker) -> None:
        try:
            threading.Thread(target=self._work, args=(worker,), name="toolops", daemon=True).start()
        except RuntimeError as error:  # the system starts no more threads
            with self._lock:
                self._free(worker)
                ticket = worker.ticket
                if ticket is None:
                    return
                ticket.started_at = None
                if len(self):
                    self._enqueue(ticket)  # it waits for an existing thread
                    return
            raise ThreadPoolFull("the system starts no more threads") from error

    def _work(self, worker: _Worker) -> None:
        self._inside.yes = True
        while True:
            ticket = worker.ticket
            if ticket is None or ticket.function is None:
                return
            ticket.function()
            # An idle thread must not keep the objects of its last call alive.
            ticket.function = None
            worker.ticket = ticket = None
            if not self._rest(worker):
                return

    def _rest(self, worker: _Worker) -> bool:
        """Wait for the next function; return False if there is none and the thread ends."""
        with self._lock:
            self._free(worker)
            ticket = self._next() if self._waiting else None
            others: list[tuple[_Worker, bool]] = []
            if ticket is not None:
                worker.ticket = ticket
                self._take(worker, ticket)
                # One owner's free thread may admit functions of several others.
                while (further := self._next()) is not None:
                    others.append(self._assign(further))
            elif len(self) >= self._limit:
                return False  # this thread was beyond the limit
            else:
                self._idle.append(worker)
        for other, new in others:
            if not new:
                other.asleep.release()
                continue
            with suppress(ThreadPoolFull):  # the function is queued again for an existing thread
                self._start(other)
        if ticket is not None:
            return True
        if worker.asleep.acquire(timeout=self._idle_seconds):
            return True
        with self._lock:
            if worker in self._idle:
                self._idle.remove(worker)
                return False
        worker.asleep.acquire()  # another thread has just assigned it a function
        return True
