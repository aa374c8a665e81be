"""The clock of a server, as seen from the monotonic clock of this process.

The clocks of two hosts differ, and each may be set at any time. So nothing that processes share
carries the time of the host that wrote it: times are those of the server, which all of them ask.
A process asks once in a while (``TIME``) and adds the difference to its own monotonic clock, as NTP
does with a single server (Mills, RFC 5905): half of the round trip is the error at most.
"""

from __future__ import annotations

import math
import time
from typing import Final

from toolops_plugins.clock import Clock

__all__ = ["ServerTime"]

_INTERVAL: Final = 30.0  # seconds after which the server is asked again
_SLACK: Final = 0.05  # seconds by which a clock may drift before the difference is taken anew


class ServerTime:
    """Converts between a runtime's monotonic clock and a server's clock. Thread-safe.

    A difference that agrees with the known one within their errors does not replace it, so that
    the times of an entry stay the same from one lookup to the next.

    Args:
        clock: The clock of the runtime. If a test turns it, entries age with it.
    """

    __slots__ = ("_apart", "_asked", "_error", "_offset", "offset")

    def __init__(self, clock: Clock) -> None:
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

    def begin(self) -> float:
        """Return the real monotonic time before a question; others go on with what is known."""
        now = time.monotonic()
        if self._error < math.inf:
            self._asked = now
        return now

    def renew(self) -> None:
        """Ask again before the next conversion: there may be another server."""
        self._asked = -math.inf

    def learn(self, answer: float, began: float) -> None:
        """Take an answer.

        Args:
            answer: The server's seconds since the epoch.
            began: What :meth:`begin` returned.
        """
        now = time.monotonic()
        error = (now - began) / 2
        offset = answer - (began + now) / 2
        if not abs(offset - self._offset) <= self._error + error + _SLACK or (
            error < self._error / 2 and self._error > _SLACK
        ):
            self._offset, self._error = offset, error
            self.offset = offset - self._apart
        self._asked = now

    def guess(self) -> None:
        """Take this host's clock for the server's, where the server refuses to tell its time."""
        self.learn(time.time(), time.monotonic())
