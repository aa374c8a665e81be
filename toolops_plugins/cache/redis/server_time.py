"""The time of a server, estimated from the monotonic clock of this process.

The clocks of two hosts differ, and each may be set at any time. So shared entries carry the time of
the server, not of the host that wrote them. A process asks the server for its time (``TIME``) every
half minute and adds the offset to its own monotonic clock, as NTP does with a single server (Mills,
RFC 5905). The error is at most half of the round trip.
"""

from __future__ import annotations

import math
import time
from typing import Any, Final

from toolops_plugins.clock import Clock

__all__ = ["EXACT", "ServerTime", "tell_time"]

_INTERVAL: Final = 30.0  # seconds between two requests for the server's time
EXACT: Final = 0.005  # largest error, in seconds, of a first answer that needs no second one
_SLACK: Final = 0.05  # seconds by which a clock may drift before the offset is replaced


class ServerTime:
    """Converts between a runtime's monotonic clock and a server's clock. Thread-safe.

    A new offset replaces the known one only if they differ by more than their errors, so the times
    of an entry stay the same from one lookup to the next.

    Args:
        clock: The clock of the runtime. If a test advances it, entries age with it.
    """

    __slots__ = ("_apart", "_clock", "_error", "_offset", "_requested", "offset")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        real = time.monotonic()
        # Requests are scheduled in real time, even if the runtime has a fake clock.
        self._apart = clock.monotonic() - real if clock.monotonic is not time.monotonic else 0.0
        self._offset = math.nan
        self._error = math.inf
        self._requested = -math.inf
        self.offset = 0.0
        """Seconds to add to the runtime's monotonic time to get the server's time."""

    def due(self) -> bool:
        """Return whether the server's time must be requested before the next conversion."""
        return time.monotonic() - self._requested >= _INTERVAL

    def begin(self) -> None:
        """Mark a request as under way; other threads use the known offset meanwhile."""
        if self._error < math.inf:
            self._requested = time.monotonic()

    def renew(self) -> None:
        """Request the time again before the next conversion; the server may have changed."""
        self._requested = -math.inf

    def learn(self, offset: float, error: float) -> None:
        """Record an answer.

        Args:
            offset: The server's seconds since the epoch minus this host's monotonic time.
            error: The largest error of the offset, in seconds.
        """
        if not abs(offset - self._offset) <= self._error + error + _SLACK or (
            error < self._error / 2 and self._error > _SLACK
        ):
            self._offset, self._error = offset, error
            self.offset = offset - self._apart
        self._requested = time.monotonic()

    def moment(self) -> float:
        """Return the estimated time of the server; of this host while there is no estimate."""
        if self._error == math.inf:
            return self._clock.time()
        return self._clock.monotonic() + self.offset

    def shift(self, created: float, now: float) -> float:
        """Return the seconds to add to the times of an entry to get the runtime's monotonic time.

        Args:
            created: Time of computation by the server's clock.
            now: The runtime's monotonic time. An entry is never placed in the future, even if a
                clock was set back or an answer was garbled.
        """
        shift = -self.offset
        return shift if created + shift <= now else now - created

    def guess(self) -> None:
        """Use this host's clock, for a server that refuses ``TIME``."""
        self.learn(time.time() - time.monotonic(), 0.0)


def tell_time(client: Any, key: str) -> Any:
    """Request a server's time; an action of :mod:`toolops_plugins.cache.redis.connection`.

    In a cluster all processes ask the node that owns ``key``; if it is down, a random node.

    Returns:
        The arguments of :meth:`ServerTime.learn`, or None if the user lacks the permission.
    """
    return _atell_time(client, key) if hasattr(client, "aclose") else _tell_time(client, key)


def _tell_time(client: Any, key: str) -> tuple[float, float] | None:
    from redis import exceptions as known  # noqa: PLC0415 - redis is imported on first use

    began = time.monotonic()
    try:
        if not hasattr(client, "get_node_from_key"):
            return _offset(client.execute_command("TIME"), began)
        try:
            node = client.get_node_from_key(key)
            reply = client.execute_command("TIME", target_nodes=[node])
        except (known.ConnectionError, known.TimeoutError):
            began = time.monotonic()
            reply = client.execute_command("TIME", target_nodes=[client.get_random_node()])
        return _offset(reply, began)
    except known.ResponseError as error:
        _accept_refusal(error)
        return None


async def _atell_time(client: Any, key: str) -> tuple[float, float] | None:
    from redis import exceptions as known  # noqa: PLC0415 - as above

    began = time.monotonic()
    try:
        if not hasattr(client, "get_node_from_key"):
            return _offset(await client.execute_command("TIME"), began)
        await client.initialize()
        try:
            node = client.get_node_from_key(key)
            reply = await client.execute_command("TIME", target_nodes=[node])
        except (known.ConnectionError, known.TimeoutError):
            began = time.monotonic()
            reply = await client.execute_command("TIME", target_nodes=[client.get_random_node()])
        return _offset(reply, began)
    except known.ResponseError as error:
        _accept_refusal(error)
        return None


def _offset(reply: Any, began: float) -> tuple[float, float]:
    """Return the server's offset and its error, from a reply to a request made at ``began``."""
    now = time.monotonic()
    if isinstance(reply, dict):  # a cluster's client answers by node
        reply = next(iter(reply.values()))
    return int(reply[0]) + int(reply[1]) / 1e6 - (began + now) / 2, (now - began) / 2


def _accept_refusal(error: Exception) -> None:
    """Raise the error, unless it says that the user lacks the permission for ``TIME``."""
    from redis.exceptions import NoPermissionError  # noqa: PLC0415 - as above

    if not isinstance(error, NoPermissionError) and "unknown command" not in str(error).lower():
        raise error
