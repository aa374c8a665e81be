"""The invalidation bus: tells other processes, by publish and subscribe, which entries are void.

Entries in Redis need no message: all processes see their stamps and tombstones. The bus serves the
entries in the memory of each process. A process misses the messages that are sent while it is not
connected, so it drops all entries when it subscribes again after a break. What must not be dropped,
such as the entries of a semantic index, learns what it has missed from a record in Redis.
"""

from __future__ import annotations

import os
import socket
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Protocol

from toolops_plugins.cache.invalidation_log import InvalidationLog, LogCarrier
from toolops_plugins.cache.invalidation_messages import Message, Messages
from toolops_plugins.cache.operation_deadline import until
from toolops_plugins.clock import SYSTEM_CLOCK, Clock
from toolops_plugins.invalidation import History

__all__ = ["Bus", "Carrier"]

_POLL = 0.2  # seconds between checks whether to stop; messages are read at once
_MESSAGE_TIMEOUT = 1.0  # seconds to receive the rest of a message
_SUBSCRIBE_TIMEOUT = 5.0  # seconds to resolve, connect and subscribe
_CLOSE_TIMEOUT = 0.4  # seconds that close() waits for the thread
_SILENCE = 10.0  # seconds without data before a ping, and before the connection is given up
_REMINDER = 60.0  # seconds between two reads of the record, which a full server drops if unused
_FIRST_PAUSE = 0.1  # seconds before the first reconnect; doubles
_LONGEST_PAUSE = 5.0

# All buses of this process, to be reset in the child of a fork.
_buses: weakref.WeakSet[Bus] = weakref.WeakSet()


class Carrier(LogCarrier, Protocol):
    """The part of a tier that the bus uses; :class:`~toolops_plugins.cache.redis.Redis` has it."""

    def listener(self, attempt: int) -> tuple[Any, list[Callable[[], Any]]]:
        """Return a new client for one subscription, and the functions that release it."""
        ...


class _Stop:
    """A stop flag that wakes the thread, whether it waits for the server or sleeps.

    It is not a ``threading.Event``: the garbage collector may call :meth:`set` in the very thread
    that holds the lock of an event. Nor is it a ``SimpleQueue``, whose timed waits may never end.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._is_set = False
        self._wake = threading.Lock()
        self._wake.acquire()
        self.connection: Any = None

    def set(self) -> None:
        self._is_set = True
        with suppress(RuntimeError):  # it has been released, and nobody has taken it since
            self._wake.release()
        sock = getattr(self.connection, "_sock", None)
        if sock is not None and self._pid == os.getpid():  # in a child it is the parent's
            with suppress(Exception):  # it is closed already
                sock.shutdown(socket.SHUT_RDWR)

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, seconds: float) -> None:
        self._wake.acquire(timeout=seconds)


class Bus:
    """The bus of a namespace, as seen by one process.

    ``start`` runs a daemon thread with its own connection. The thread refers to the bus weakly and
    ends with it. Safe for use from any threads and event loops. After a fork, the child has its own
    identity, and no thread until it calls ``start``.

    Args:
        tier: The tier whose server carries the messages; bound to a runtime.
        on_void: Called in the thread of the bus as ``on_void(keys, tags, everything)`` for each
            message of another process. ``everything`` is also True after a break, in which messages
            may have been lost, and after a first subscription that needed several attempts.
            Exceptions of the callback are ignored.
        clock: Measures for how long the server has been silent.
        messages: Encodes and decodes messages. Default None: unsigned messages.
        on_news: Called after ``on_void`` with the message of another process, and with None
            whenever a subscription stands, before which messages may have been missed. Its
            exceptions are ignored. Default None: nothing is called.
    """

    def __init__(
        self,
        tier: Carrier,
        on_void: Callable[[list[bytes], list[str], bool], None],
        clock: Clock = SYSTEM_CLOCK,
        messages: Messages | None = None,
        on_news: Callable[[Message | None], None] | None = None,
    ) -> None:
        self._messages = messages or Messages()
        self._log = InvalidationLog(tier, self._messages)
        self._on_news = on_news
        self._tier = tier
        self._on_void = on_void
        self._clock = clock
        self._reset()
        _buses.add(self)

    def _reset(self) -> None:
        self._origin = os.urandom(
            8
        ).hex()  # identifies this process, which ignores its own messages
        self._lock = threading.Lock()
        self._stop = _Stop()
        self._thread: threading.Thread | None = None
        self._was_closed = False
        self.ready = threading.Event()
        """Set while the subscription stands."""

    def after_fork(self) -> None:
        """Reset the bus in a forked child, which does not have the threads of its parent."""
        self._reset()

    def start(self) -> bool:
        """Start the thread, unless it runs already; return whether it was started."""
        with self._lock:
            if self._thread is not None:
                return False
            # Each thread has its own stop flag, so a thread that is slow to end stays stopped.
            stop = self._stop = _Stop()
            self._thread = threading.Thread(
                target=_listen,
                args=(weakref.ref(self, lambda _: stop.set()), stop, self._was_closed),
                name="toolops-bus",
                daemon=True,
            )
            self._thread.start()
        return True

    def close(self) -> None:
        """Stop the thread within half a second; ``start`` starts it again."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._stop.set()
            self._was_closed = True
            self.ready.clear()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_CLOSE_TIMEOUT)

    def moment(self) -> float:
        """Return the estimated time of the server, for a later :meth:`publish`."""
        return self._tier.moment()

    def publish(
        self,
        keys: Sequence[bytes] = (),
        tags: Sequence[str] = (),
        *,
        everything: bool = False,
        moment: float | None = None,
    ) -> None:
        """Send an invalidation to the other processes.

        Args:
            keys: Keys of void entries.
            tags: Tags of void entries.
            everything: Whether all entries are void.
            moment: Start of the invalidation, in seconds since the epoch by the server's clock.
                Default None: now.

        Raises:
            TierError: The message could not be recorded and sent.
        """
        self._log.publish(self._message(keys, tags, everything=everything, moment=moment))

    async def apublish(
        self,
        keys: Sequence[bytes] = (),
        tags: Sequence[str] = (),
        *,
        everything: bool = False,
        moment: float | None = None,
    ) -> None:
        """As :meth:`publish`."""
        await self._log.apublish(self._message(keys, tags, everything=everything, moment=moment))

    def history(self, known: tuple[str, int] | None = None) -> History:
        """Return the latest invalidations, those of this process included.

        Args:
            known: The id of the record and the last number in it that is known already. Default
                None: nothing is known.

        Raises:
            TierError: They could not be read.
        """
        return self._log.read(self._origin, known)

    async def ahistory(self, known: tuple[str, int] | None = None) -> History:
        """As :meth:`history`."""
        return await self._log.aread(self._origin, known)

    def _message(
        self,
        keys: Sequence[bytes],
        tags: Sequence[str],
        *,
        everything: bool,
        moment: float | None,
    ) -> bytes:
        return self._messages.encode(self._origin, keys, tags, everything=everything, moment=moment)

    def note_subscription(self, stop: _Stop, *, missed: bool) -> None:
        """Record that the subscription stands.

        Args:
            stop: The stop flag of the subscribed thread.
            missed: Whether messages may have been missed before.
        """
        if missed:
            self.notify([], [], everything=True)
        with self._lock:
            if stop.is_set():
                return
            self.ready.set()
        self._tell(None)

    def note_loss(self, stop: _Stop) -> None:
        """Record that the subscription is lost."""
        with self._lock:
            if not stop.is_set():
                self.ready.clear()

    def subscribe(self, attempt: int) -> tuple[Any, list[Callable[[], Any]], Clock]:
        """Return a subscription, the functions that release it, and a clock."""
        client, closers = self._tier.listener(attempt)
        subscription = client.pubsub()
        closers = [subscription.close, *closers]
        try:
            with until(monotonic() + _SUBSCRIBE_TIMEOUT):
                subscription.subscribe(self._tier.channel)
        except BaseException:
            _release(closers)
            raise
        return subscription, closers, self._clock

    def receive(self, data: Any) -> None:
        """Handle a message of another process."""
        message = self._messages.decode(data, self._origin)
        if message is not None:
            self.notify(message.keys, message.tags, everything=message.everything)
            self._tell(message)

    def notify(self, keys: list[bytes], tags: list[str], *, everything: bool) -> None:
        """Call ``on_void``."""
        with suppress(Exception):  # an error of the callback must not end the thread
            self._on_void(keys, tags, everything)

    def remind(self) -> None:
        """Read the record of invalidations, where it is followed, lest the server drops it."""
        if self._on_news is not None:
            with suppress(Exception):  # the tier has recorded the failure
                self._tier.send("GET", self._tier.channel)

    def _tell(self, message: Message | None) -> None:
        if self._on_news is not None:
            with suppress(Exception):  # an error of the callback must not end the thread
                self._on_news(message)


# The functions of the thread. They hold no reference to the bus while they wait, so that a runtime
# that is dropped takes its bus with it.


def _listen(reference: weakref.ref[Bus], stop: _Stop, missed: bool) -> None:  # noqa: FBT001 - private
    """Keep a subscription until ``stop`` is set; ``missed``: messages may have been missed."""
    pause = _FIRST_PAUSE
    attempt = 0
    while not stop.is_set():
        with suppress(Exception):  # the next attempt begins from scratch
            for message in _messages(reference, stop, attempt):
                bus = reference()
                if bus is None:
                    break
                if message["type"] == "subscribe":
                    bus.note_subscription(stop, missed=missed)
                    pause = _FIRST_PAUSE
                elif message["type"] == "message":
                    bus.receive(message["data"])
                del bus
        bus = reference()
        if bus is not None:
            bus.note_loss(stop)
        del bus
        missed = True
        attempt += 1
        stop.wait(pause)
        pause = min(_LONGEST_PAUSE, pause * 2)


def _messages(reference: weakref.ref[Bus], stop: _Stop, attempt: int) -> Iterator[Any]:
    """Yield messages until ``stop`` is set; raise when the connection is lost."""
    bus = reference()
    if bus is None:
        return
    subscription, closers, clock = bus.subscribe(attempt)
    del bus
    stop.connection = subscription.connection
    try:
        last_data = last_reminder = clock.monotonic()
        ping_pending = False
        while not stop.is_set():
            with until(monotonic() + _POLL + _MESSAGE_TIMEOUT):
                message = subscription.get_message(timeout=_POLL)
            if message is not None:
                last_data = clock.monotonic()
                ping_pending = False
                yield message
            elif clock.monotonic() - last_data > _SILENCE:
                if ping_pending:
                    return
                subscription.ping()
                last_data = clock.monotonic()
                ping_pending = True
            if clock.monotonic() - last_reminder >= _REMINDER:
                last_reminder = clock.monotonic()
                bus = reference()
                if bus is None:
                    return
                bus.remind()
                del bus
    finally:
        stop.connection = None
        _release(closers)


def _release(closers: list[Callable[[], Any]]) -> None:
    for close in closers:
        with suppress(Exception):  # a broken connection is closed already
            close()


def _after_fork() -> None:
    for bus in list(_buses):
        bus.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
