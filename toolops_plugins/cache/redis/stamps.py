"""Signed stamps: which generation of a key, a tag or a tier is the current one.

A stamp is replaced when its name is invalidated, and each entry names the stamps that it was
computed under; so it counts only while they are the current ones. Whoever can write to the server
could bring an old entry back together with the old stamp, whose signature is as good as ever. So a
stamp carries a number that only grows from one of its name to the next, and a process that has
seen a stamp, or heard of an invalidation, takes no older one for it.

A stamp also says whether it was made since there was none, or because of an invalidation. What was
computed before an invalidation is not written under the stamp that followed: a process that was
deceived in one tier must not pass the old answer on as new in another.

The number is microseconds since the epoch by the server's clock, or one more than that of the stamp
before: clocks of hosts that differ do no harm.
"""

from __future__ import annotations

import os
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from toolops_plugins.codec.signing import Signer
from toolops_plugins.concurrency.fork_locks import fork_safe

__all__ = ["Stamps"]

_MOST: Final = 10_000  # names of which the newest stamp is remembered
_NUMBER: Final = 8
_NONCE: Final = 8  # two invalidations at once make two stamps; the first bit: it was one
_VOID: Final = 0x80
_LENGTH: Final = 43  # of the text


class Stamps:
    """Makes and checks the stamps of one tier. Thread-safe; what is remembered is bounded.

    Args:
        secret: Signs them.
        namespace: The namespace of the tier.
        label: The tier.
        lasting: The name that is remembered however many others come.
    """

    def __init__(self, secret: bytes, namespace: str, label: str, lasting: bytes = b"") -> None:
        self._signer = Signer(secret, "stamp", namespace, label)
        self._lasting = lasting
        # By name: the number of the newest stamp, the stamp, and the last invalidation.
        self._newest: dict[bytes, tuple[int, str, int]] = {}
        self._lock = fork_safe(self, threading.Lock())

    def __len__(self) -> int:
        """Return how many names are remembered."""
        return len(self._newest)

    def make(
        self, name: bytes, now: float, before: str | None = None, *, void: bool = False
    ) -> str:
        """Return a new stamp, newer than all that are known of its name.

        Args:
            name: Whose stamp it is.
            now: Seconds since the epoch.
            before: The stamp that it replaces, or None.
            void: Whether the name is invalidated by it.
        """
        number = max(int(now * 1e6), 0)
        known = self._newest.get(name)
        if known is not None and known[0] >= number:
            number = known[0] + 1
        if before is not None and (old := self._read(name, before)) is not None:
            number = max(number, old[0] + 1)
        random = os.urandom(_NONCE)
        first = random[0] | _VOID if void else random[0] & ~_VOID
        head = number.to_bytes(_NUMBER, "big") + bytes([first]) + random[1:]
        stamp = head + self._signer.sign_short(name, head)
        return urlsafe_b64encode(stamp).decode("ascii").rstrip("=")

    def newest(self, name: bytes) -> str | None:
        """Return the newest stamp of a name that was seen, or None."""
        known = self._newest.get(name)
        return None if known is None else known[1]

    def is_known(self, name: bytes) -> bool:
        """Return whether a stamp of the name was seen, or an invalidation heard of."""
        return name in self._newest

    def is_signed(self, name: bytes, stamp: str) -> bool:
        """Return whether the stamp was made for this name, however old it is."""
        return self._read(name, stamp) is not None

    def invalidated(self, name: bytes) -> float:
        """Return when a name was invalidated last, in seconds since the epoch, or 0."""
        known = self._newest.get(name)
        return 0.0 if known is None else known[2] / 1e6

    def accept(self, name: bytes, stamp: str) -> bool:
        """Return whether a stamp may be the current one; none older than it is from now on."""
        known = self._newest.get(name)
        # Not in constant time: it stands in Redis, where whoever might measure it can read it.
        if known is not None and known[1] == stamp:
            return True
        read = self._read(name, stamp)
        if read is None or (known is not None and read[0] < known[0]):
            return False
        number, void = read
        self._note(name, number, stamp, number if void else 0)
        return True

    def expire(self, name: bytes, moment: float) -> None:
        """Accept no stamp from before a moment, since then the name was invalidated.

        Args:
            name: The name.
            moment: Seconds since the epoch, by the server's clock.
        """
        known = self._newest.get(name)
        number = max(int(moment * 1e6), 0)
        if known is None or known[0] < number:
            self._note(name, number, "", number)

    def forget(self, name: bytes) -> None:
        """Forget all names but one: what they held is void by that one."""
        with self._lock:
            known = self._newest.get(name)
            self._newest = {} if known is None else {name: known}

    def _note(self, name: bytes, number: int, stamp: str, void: int) -> None:
        with self._lock:
            newest = self._newest
            known = newest.pop(name, (-1, "", 0))
            void = max(void, known[2])
            newest[name] = (*known[:2], void) if known[0] > number else (number, stamp, void)
            while len(newest) > _MOST:
                oldest = next(iter(newest))
                if oldest == self._lasting:
                    newest[oldest] = newest.pop(oldest)
                else:
                    del newest[oldest]

    def _read(self, name: bytes, stamp: str) -> tuple[int, bool] | None:
        """Return a stamp's number and whether it invalidates; None: it is not of the name."""
        if len(stamp) != _LENGTH:
            return None
        try:
            data = urlsafe_b64decode(stamp + "=")
        except ValueError:
            return None
        head = data[: _NUMBER + _NONCE]
        if not self._signer.verify_short(data[len(head) :], name, head):
            return None
        return int.from_bytes(head[:_NUMBER], "big"), bool(head[_NUMBER] & _VOID)
