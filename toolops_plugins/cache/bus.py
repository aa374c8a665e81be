"""Tells other processes, through a server's publish and subscribe, what they must forget.

What Redis itself holds needs no telling: its stamps and tombstones are seen by all. The bus is for
what processes keep in their own memory. A message that is sent while an end is not connected is
lost to it, so an end that subscribes again after a break forgets everything.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

import orjson

from toolops_plugins.clock import SYSTEM_CLOCK, Clock

__all__ = ["Bus", "Carrier"]

_POLL = 0.2  # seconds between looks at whether to stop; a message is read as it comes
_SILENCE = 10.0  # seconds without a word after which the server is asked for one, and then given up
_FIRST_PAUSE = 0.1  # seconds before connecting again; doubles
_LONGEST_PAUSE = 5.0


class Carrier(Protocol):
    """What the bus needs of a tier; :class:`~toolops_plugins.cache.redis.Redis` has it."""

    @property
    def channel(self) -> str:
        """The name of the channel."""
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


class Bus:
    """One process's end of the broadcast of a namespace.

    ``start`` makes a daemon thread with a connection of its own. Safe for use from any threads
    and event loops. A forked child has no such thread until it calls ``start`` itself.

    Args:
        tier: The way to the server; bound.
        on_void: Called in the bus's thread as ``on_void(keys, tags, everything)`` with what others
            published. ``everything`` is also True after a break, in which messages may have been
            lost, and on a first subscription that did not succeed at once. What it raises is
            dropped.
        origin_id: Names this end; what it published itself is not given to ``on_void``.
        clock: Its monotonic time tells how long the server has been silent.
    """

    def __init__(
        self,
        tier: Carrier,
        on_void: Callable[[list[bytes], list[str], bool], None],
        origin_id: str,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._tier = tier
        self._on_void = on_void
        self._origin = origin_id
        self._clock = clock
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._was_closed = False
        self.ready = threading.Event()
        """Set while it hears what others publish."""

    def start(self) -> bool:
        """Begin to listen, unless this process does already; return whether it has begun now."""
        if self._pid != os.getpid():
            self._begin()  # a child must not wait for locks of threads that it does not have
        with self._lock:
            if self._thread is not None:
                return False
            # A thread has its own event to stop it: one that is slow to end stays stopped.
            self._stop = threading.Event()
            self._thread = threading.Thread(
                target=self._listen,
                args=(self._stop, self._was_closed),
                name="toolops-bus",
                daemon=True,
            )
            self._thread.start()
            return True

    def close(self) -> None:
        """Stop listening, within half a second; ``start`` begins again."""
        if self._pid != os.getpid():
            return
        with self._lock:
            thread, self._thread = self._thread, None
            self._stop.set()
            self._was_closed = True
            self.ready.clear()
        if thread is not None and thread is not threading.current_thread():
            thread.join(2 * _POLL)

    def publish(
        self, keys: Sequence[bytes] = (), tags: Sequence[str] = (), *, everything: bool = False
    ) -> None:
        """Tell the others what became void.

        Args:
            keys: Keys of entries.
            tags: Tags of entries.
            everything: Whether it is all that there is.

        Raises:
            TierError: The server could not be told.
        """
        self._tier.send(*self._message(keys, tags, everything=everything))

    async def apublish(
        self, keys: Sequence[bytes] = (), tags: Sequence[str] = (), *, everything: bool = False
    ) -> None:
        """As :meth:`publish`."""
        await self._tier.asend(*self._message(keys, tags, everything=everything))

    def _message(
        self, keys: Sequence[bytes], tags: Sequence[str], *, everything: bool
    ) -> tuple[str, str, bytes]:
        message = {
            "origin": self._origin,
            "keys": [key.hex() for key in keys],
            "tags": list(tags),
            "everything": everything,
        }
        return "PUBLISH", self._tier.channel, orjson.dumps(message)

    def _listen(self, stop: threading.Event, missed: bool) -> None:  # noqa: FBT001 - private
        """Keep a subscription until ``stop``; ``missed``: there was one before, and a break."""
        pause = _FIRST_PAUSE
        attempt = 0
        while not stop.is_set():
            with suppress(Exception):  # whatever ended it: the next attempt begins anew
                for message in self._subscription(stop, attempt):
                    if message["type"] == "subscribe":
                        if missed:
                            self._tell([], [], everything=True)
                        pause = _FIRST_PAUSE
                        with self._lock:
                            if not stop.is_set():
                                self.ready.set()
                    elif message["type"] == "message":
                        self._receive(message["data"])
            with self._lock:
                if not stop.is_set():
                    self.ready.clear()
            missed = True
            attempt += 1
            stop.wait(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

    def _subscription(self, stop: threading.Event, attempt: int) -> Any:
        """Yield messages until ``stop``; raise when the connection is lost."""
        client, closers = self._tier.listener(attempt)
        subscription = client.pubsub()
        try:
            subscription.subscribe(self._tier.channel)
            heard = self._clock.monotonic()
            asked = False
            while not stop.is_set():
                message = subscription.get_message(timeout=_POLL)
                if message is not None:
                    heard = self._clock.monotonic()
                    asked = False
                    yield message
                elif self._clock.monotonic() - heard > _SILENCE:
                    if asked:
                        return
                    subscription.ping()
                    heard = self._clock.monotonic()
                    asked = True
        finally:
            for close in (subscription.close, *closers):
                with suppress(Exception):  # a connection that broke is closed already
                    close()

    def _receive(self, data: Any) -> None:
        try:
            message = orjson.loads(data)
            if message["origin"] == self._origin:
                return
            keys = [bytes.fromhex(key) for key in message["keys"]]
            tags = [str(tag) for tag in message["tags"]]
            everything = message["everything"] is True
        except (ValueError, TypeError, KeyError):
            return  # not ours, or of a version that this one does not know
        self._tell(keys, tags, everything=everything)

    def _tell(self, keys: list[bytes], tags: list[str], *, everything: bool) -> None:
        with suppress(Exception):  # an error there must not end the listening
            self._on_void(keys, tags, everything)
