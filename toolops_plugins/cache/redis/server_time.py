"""The clock of a server, as seen from the monotonic clock of this process.

The clocks of two hosts differ, and each may be set at any time. So nothing that processes share
carries the time of the host that wrote it: times are those of the server, which all of them ask.
A process asks once in a while (``TIME``) and adds the difference to its own monotonic clock, as NTP
does with a single server (Mills, RFC 5905): half of the round trip is the error at most.
"""

from __future__ import annotations

import math
import time
from typing import Any, Final

from toolops_plugins.clock import Clock

__all__ = ["EXACT", "ServerTime", "tell_time"]

_INTERVAL: Final = 30.0  # seconds after which the server is asked again
EXACT: Final = 0.005  # seconds of error with which a first answer is good enough
_SLACK: Final = 0.05  # seconds by which a clock may drift before the difference is taken anew


class ServerTime:
    """Converts between a runtime's monotonic clock and a server's clock. Thread-safe.

    A difference that agrees with the known one within their errors does not replace it, so that
    the times of an entry stay the same from one lookup to the next.

    Args:
        clock: The clock of the runtime. If a test turns it, entries age with it.
    """

    __slots__ = ("_apart", "_asked", "_clock", "_error", "_offset", "offset")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        real = time.monotonic()
        # The server is asked on real time, whatever the runtime's clock is.
        self._apart = clock.monotonic() - real if clock.monotonic is not time.monotonic else 0.0
        self._offset = math.nan
        self._error = math.inf
        self._asked = -math.inf
        self.offset = 0.0
        """Seconds to add to the runtime's monotonic time in order to get the server's."""

    def due(self) -> bool:
        """Return whether the server is to be asked before the next conversion."""
        return time.monotonic() - self._asked >= _INTERVAL

    def begin(self) -> None:
        """Let others go on with what is known, while one asks."""
        if self._error < math.inf:
            self._asked = time.monotonic()

    def renew(self) -> None:
        """Ask again before the next conversion: there may be another server."""
        self._asked = -math.inf

    def learn(self, offset: float, error: float) -> None:
        """Take an answer.

        Args:
            offset: The server's seconds since the epoch less this host's monotonic time.
            error: Seconds by which that may be wrong.
        """
        if not abs(offset - self._offset) <= self._error + error + _SLACK or (
            error < self._error / 2 and self._error > _SLACK
        ):
            self._offset, self._error = offset, error
            self.offset = offset - self._apart
        self._asked = time.monotonic()

    def moment(self) -> float:
        """Return the server's time as far as it is known, and this host's before that."""
        if self._error == math.inf:
            return self._clock.time()
        return self._clock.monotonic() + self.offset

    def shift(self, created: float, now: float) -> float:
        """Return what to add to the times of an entry in order to have them on this clock.

        Args:
            created: When it was computed, by the server's clock.
            now: The runtime's monotonic time. Whatever a clock that was set back says, or an answer
                that was garbled, nothing is younger than new.
        """
        shift = -self.offset
        return shift if created + shift <= now else now - created

    def guess(self) -> None:
        """Take this host's clock for the server's, where the server refuses to tell its time."""
        self.learn(time.time() - time.monotonic(), 0.0)


def tell_time(client: Any, key: str) -> Any:
    """Ask a server for its time; an action of :mod:`toolops_plugins.cache.redis.connection`.

    In a cluster it is the node of ``key`` that is asked, so that all processes ask the same one;
    another one if that is gone.

    Returns:
        What :meth:`ServerTime.learn` takes, or None if the user may not ask.
    """
    return _atell_time(client, key) if hasattr(client, "aclose") else _tell_time(client, key)


def _tell_time(client: Any, key: str) -> tuple[float, float] | None:
    from redis import exceptions as known  # noqa: PLC0415 - redis is imported on first use

    began = time.monotonic()
    try:
        if not hasattr(client, "get_node_from_key"):
            return _difference(client.execute_command("TIME"), began)
        try:
            node = client.get_node_from_key(key)
            reply = client.execute_command("TIME", target_nodes=[node])
        except (known.ConnectionError, known.TimeoutError):
            began = time.monotonic()
            reply = client.execute_command("TIME", target_nodes=[client.get_random_node()])
        return _difference(reply, began)
    except known.ResponseError as error:
        _accept_refusal(error)
        return None


async def _atell_time(client: Any, key: str) -> tuple[float, float] | None:
    from redis import exceptions as known  # noqa: PLC0415 - as above

    began = time.monotonic()
    try:
        if not hasattr(client, "get_node_from_key"):
            return _difference(await client.execute_command("TIME"), began)
        await client.initialize()
        try:
            node = client.get_node_from_key(key)
            reply = await client.execute_command("TIME", target_nodes=[node])
        except (known.ConnectionError, known.TimeoutError):
            began = time.monotonic()
            reply = await client.execute_command("TIME", target_nodes=[client.get_random_node()])
        return _difference(reply, began)
    except known.ResponseError as error:
        _accept_refusal(error)
        return None


def _difference(reply: Any, began: float) -> tuple[float, float]:
    now = time.monotonic()
    if isinstance(reply, dict):  # a cluster's client answers by node
        reply = next(iter(reply.values()))
    return int(reply[0]) + int(reply[1]) / 1e6 - (began + now) / 2, (now - began) / 2


def _accept_refusal(error: Exception) -> None:
    """Return if the user may not ask for the time, else raise the error."""
    from redis.exceptions import NoPermissionError  # noqa: PLC0415 - as above

    if not isinstance(error, NoPermissionError) and "unknown command" not in str(error).lower():
        raise error
