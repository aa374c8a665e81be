"""The time at which an operation of this thread has to be over, for the sockets that it reads.

A socket's own timeout is that of each byte: a server that trickles keeps a reader for as long as it
likes. So whoever begins an operation says here when it ends, and every wait inside takes what is
left. On event loops there is a timer round the whole operation, and none of this is needed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

__all__ = ["DEADLINE", "Deadline", "until"]


class Deadline(threading.local):
    """What bounds the waits of one thread.

    Attributes:
        end: The monotonic time at which the operation has to be over, or None: no bound.
        replies: Whether each reply is also bounded by the socket's timeout, as counted from its
            request. False for subscriptions, to which messages come without a request.
    """

    end: float | None = None
    replies = False

    def left(self) -> float | None:
        """Return the seconds that are left, or None if there is no bound.

        Raises:
            TimeoutError: None are left.
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
    before = DEADLINE.end, DEADLINE.replies
    DEADLINE.end, DEADLINE.replies = end, False
    try:
        yield
    finally:
        DEADLINE.end, DEADLINE.replies = before
