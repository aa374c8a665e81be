"""Tells other processes, through a server's publish and subscribe, what they must forget.

What Redis itself holds needs no telling: its stamps and tombstones are seen by all. The bus is for
what processes keep in their own memory. A message that is sent while an end is not connected is
lost to it, so an end that subscribes again after a break forgets everything.
"""

from __future__ import annotations

import os
import socket
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Protocol

from toolops_plugins.cache.invalidation_messages import Messages
from toolops_plugins.cache.operation_deadline import until
from toolops_plugins.clock import SYSTEM_CLOCK, Clock

__all__ = ["Bus", "Carrier"]

_POLL = 0.2  # seconds between looks at whether to stop; a message is read as it comes
_MESSAGE = 1.0  # seconds in which a message that has begun must be whole
_SUBSCRIBING = 5.0  # seconds to find a server, connect and subscribe
_PATIENCE = 0.4  # seconds that closing waits for the thread
_SILENCE = 10.0  # seconds without a word after which the server is asked for one, and then given up
_FIRST_PAUSE = 0.1  # seconds before connecting again; doubles
_LONGEST_PAUSE = 5.0

# For the child of a fork.
_buses: weakref.WeakSet[Bus] = weakref.WeakSet()


class Carrier(Protocol):
    """What the bus needs of a tier; :class:`~toolops_plugins.cache.redis.Redis` has it."""

    @property
    def channel(self) -> str:
        """The name of the channel."""
        ...

    def moment(self) -> float:
        """Return the server's time as far as it is known."""
        ...

    def send(self, *command: Any) -> Any:
        """Run one command."""
        ...

    async def asend(self, *command: Any) -> Any:
        """Run one command."""
        ...

    def listener(self, attempt: int) -> tuple[Any, list[Callable[[], Any]]]:
        """Return a new client for one subscription, and what to call to release it."""
        ...


class _Stop:
    """Tells a thread to stop, and wakes it whether it waits for its server or for a pause.

    No event: the collector may call :meth:`set` in the very thread that holds an event's lock.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._is_set = False
        self._wake: SimpleQueue[None] = SimpleQueue()
        self.connection: Any = None

    def set(self) -> None:
        self._is_set = True
        self._wake.put(None)
        sock = getattr(self.connection, "_sock", None)
        if sock is not None and self._pid == os.getpid():  # in a child it is the parent's
            with suppress(Exception):  # it is closed already
                sock.shutdown(socket.SHUT_RDWR)

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, seconds: float) -> None:
        with suppress(Empty):
            self._wake.get(timeout=seconds)


class Bus:
    """One process's end of the broadcast of a namespace.

    ``start`` makes a daemon thread with a connection of its own; it holds the bus weakly, and so
    ends with it. Safe for use from any threads and event loops. A forked child is an end of its
    own, and has no such thread until it calls ``start`` itself.

    Args:
        tier: The way to the server; bound.
        on_void: Called in the bus's thread as ``on_void(keys, tags, everything)`` with what others
            published. ``everything`` is also True after a break, in which messages may have been
            lost, and on a first subscription that did not succeed at once. What it raises is
            dropped.
        clock: Its monotonic time tells how long the server has been silent.
        messages: Makes bytes of messages, and reads them. None: they are not signed.
    """

    def __init__(
        self,
        tier: Carrier,
        on_void: Callable[[list[bytes], list[str], bool], None],
        clock: Clock = SYSTEM_CLOCK,
        messages: Messages | None = None,
    ) -> None:
        self._messages = messages or Messages()
        self._tier = tier
        self._on_void = on_void
        self._clock = clock
        self._begin()
        _buses.add(self)

    def _begin(self) -> None:
        self._origin = os.urandom(8).hex()  # what this end published itself is not news to it
        self._lock = threading.Lock()
        self._stop = _Stop()
        self._thread: threading.Thread | None = None
        self._was_closed = False
        self.ready = threading.Event()
        """Set while it hears what others publish."""

    def after_fork(self) -> None:
        """Become an end of its own in a forked child, which has no thread of its parent's."""
        self._begin()

    def start(self) -> bool:
        """Begin to listen, unless this process does already; return whether it has begun now."""
        with self._lock:
            if self._thread is not None:
                return False
            # A thread has its own event to stop it: one that is slow to end stays stopped.
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
        """Stop listening, within half a second; ``start`` begins again."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._stop.set()
            self._was_closed = True
            self.ready.clear()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_PATIENCE)

    def moment(self) -> float:
        """Return the server's time as far as it is known, for a later :meth:`publish`."""
        return self._tier.moment()

    def publish(
        self,
        keys: Sequence[bytes] = (),
        tags: Sequence[str] = (),
        *,
        everything: bool = False,
        moment: float | None = None,
    ) -> None:
        """Tell the others what became void.

        Args:
            keys: Keys of entries.
            tags: Tags of entries.
            everything: Whether it is all that there is.
            moment: Seconds since the epoch at which the invalidation began. None: now.

        Raises:
            TierError: The server could not be told.
        """
        self._tier.send(*self._message(keys, tags, everything=everything, moment=moment))

    async def apublish(
        self,
        keys: Sequence[bytes] = (),
        tags: Sequence[str] = (),
        *,
        everything: bool = False,
        moment: float | None = None,
    ) -> None:
        """As :meth:`publish`."""
        await self._tier.asend(*self._message(keys, tags, everything=everything, moment=moment))

    def _message(
        self,
        keys: Sequence[bytes],
        tags: Sequence[str],
        *,
        everything: bool,
        moment: float | None,
    ) -> tuple[str, str, bytes]:
        data = self._messages.encode(self._origin, keys, tags, everything=everything, moment=moment)
        return "PUBLISH", self._tier.channel, data

    def note_subscription(self, stop: _Stop, *, missed: bool) -> None:
        """Note that the subscription stands.

        Args:
            stop: That of the thread which has it.
            missed: Whether there was one before, and a break.
        """
        if missed:
            self.tell([], [], everything=True)
        with self._lock:
            if not stop.is_set():
                self.ready.set()

    def note_loss(self, stop: _Stop) -> None:
        """Note that the subscription is lost."""
        with self._lock:
            if not stop.is_set():
                self.ready.clear()

    def subscribe(self, attempt: int) -> tuple[Any, list[Callable[[], Any]], Clock]:
        """Return a subscription, what to call to release it, and a clock."""
        client, closers = self._tier.listener(attempt)
        subscription = client.pubsub()
        closers = [subscription.close, *closers]
        try:
            with until(monotonic() + _SUBSCRIBING):
                subscription.subscribe(self._tier.channel)
        except BaseException:
            _release(closers)
            raise
        return subscription, closers, self._clock

    def receive(self, data: Any) -> None:
        """Take a message of another end."""
        message = self._messages.decode(data, self._origin)
        if message is not None:
            self.tell(message.keys, message.tags, everything=message.everything)

    def tell(self, keys: list[bytes], tags: list[str], *, everything: bool) -> None:
        """Call ``on_void``."""
        with suppress(Exception):  # an error there must not end the listening
            self._on_void(keys, tags, everything)


# The thread's part. It must hold no bus while it waits: who drops a runtime drops all of it.


def _listen(reference: weakref.ref[Bus], stop: _Stop, missed: bool) -> None:  # noqa: FBT001 - private
    """Keep a subscription until ``stop``; ``missed``: there was one before, and a break."""
    pause = _FIRST_PAUSE
    attempt = 0
    while not stop.is_set():
        with suppress(Exception):  # whatever ended it: the next attempt begins anew
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
    """Yield messages until ``stop``; raise when the connection is lost."""
    bus = reference()
    if bus is None:
        return
    subscription, closers, clock = bus.subscribe(attempt)
    del bus
    stop.connection = subscription.connection
    try:
        heard = clock.monotonic()
        asked = False
        while not stop.is_set():
            with until(monotonic() + _POLL + _MESSAGE):
                message = subscription.get_message(timeout=_POLL)
            if message is not None:
                heard = clock.monotonic()
                asked = False
                yield message
            elif clock.monotonic() - heard > _SILENCE:
                if asked:
                    return
                subscription.ping()
                heard = clock.monotonic()
                asked = True
    finally:
        stop.connection = None
        _release(closers)


def _release(closers: list[Callable[[], Any]]) -> None:
    for close in closers:
        with suppress(Exception):  # a connection that broke is closed already
            close()


def _after_fork() -> None:
    for bus in list(_buses):
        bus.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
