"""The deadline of the current thread's operation on a server.

The timeout of a socket bounds one read only: a server that sends byte by byte can hold a reader for
as long as it likes. So each operation sets a deadline here, and every wait inside it takes the time
that is left. On event loops one timer bounds the whole operation, and this module is not used.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

__all__ = ["DEADLINE", "Deadline", "until"]


class Deadline(threading.local):
    """The time limits of one thread.

    Attributes:
        end: Monotonic time at which the operation must end. None: no limit.
        replies: Whether the socket's timeout also bounds each reply, counted from its request.
            False for subscriptions, which receive messages without a request.
    """

    end: float | None = None
    replies = False

    def left(self) -> float | None:
        """Return the seconds that are left, or None if there is no limit.

        Raises:
            TimeoutError: No time is left.
        """
        if self.end is None:
            return None
        left = self.end - monotonic()
        if left <= 0.0:
            raise TimeoutError("no time is left for this operation")
        return left


DEADLINE = Deadline()


@contextmanager
def until(end: float) -> Iterator[None]:
    """Bound all waits of this thread in the block, but not each reply."""
    previous = DEADLINE.end, DEADLINE.replies
    DEADLINE.end, DEADLINE.replies = end, False
    try:
        yield
    finally:
        DEADLINE.end, DEADLINE.replies = previous
