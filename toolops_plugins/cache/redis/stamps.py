"""Signed stamps: the current generation of a key, a tag or a tier.

An invalidation replaces the stamp of a name. Each entry names the stamps that it was computed
under, and is valid only while they are current. An attacker who can write to the server could
restore an old entry together with its old stamp, whose signature is still valid. So each stamp has
a number that grows with every replacement, and a process accepts no stamp that is older than the
newest one, or the last invalidation, that it knows of.

A stamp also records whether it was made by an invalidation or because there was none. An entry that
was computed before an invalidation is not written under the stamp that followed. So a process that
was deceived in one tier does not copy the old answer to another.

The number is the time in microseconds since the epoch by the server's clock, or one more than the
number of the previous stamp. So it does not matter if the clocks of hosts differ.
"""

from __future__ import annotations

import os
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from toolops_plugins.codec.signing import Signer
from toolops_plugins.concurrency.fork_locks import fork_safe

__all__ = ["Stamps"]

_MOST: Final = 10_000  # names whose newest stamp is remembered
_NUMBER: Final = 8
_NONCE: Final = 8  # random bytes, so concurrent invalidations make different stamps
_VOID: Final = 0x80  # bit of the first random byte: the stamp was made by an invalidation
_LENGTH: Final = 43  # characters of a stamp


class Stamps:
    """Makes and verifies the stamps of one tier. Thread-safe; memory is bounded.

    Args:
        secret: The key that signs.
        namespace: The namespace of the tier.
        label: The label of the tier.
        permanent: A name that is never dropped from memory.
    """

    def __init__(self, secret: bytes, namespace: str, label: str, permanent: bytes = b"") -> None:
        self._signer = Signer(secret, "stamp", namespace, label)
        self._permanent = permanent
        # By name: the number of the newest stamp, the stamp, and the last invalidation.
        self._newest: dict[bytes, tuple[int, str, int]] = {}
        self._lock = fork_safe(self, threading.Lock())

    def __len__(self) -> int:
        """Return how many names are remembered."""
        return len(self._newest)

    def make(
        self, name: bytes, now: float, before: str | None = None, *, void: bool = False
    ) -> str:
        """Return a new stamp, newer than every known stamp of the name.

        Args:
            name: The name of the key, tag or tier.
            now: Seconds since the epoch.
            before: The stamp that it replaces. Default None.
            void: Whether the stamp is made by an invalidation.
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
        """Return the newest known stamp of a name, or None."""
        known = self._newest.get(name)
        return None if known is None else known[1]

    def is_known(self, name: bytes) -> bool:
        """Return whether a stamp or an invalidation of the name is known."""
        return name in self._newest

    def is_signed(self, name: bytes, stamp: str) -> bool:
        """Return whether the signature is valid for this name, whatever the age of the stamp."""
        return self._read(name, stamp) is not None

    def last_invalidation(self, name: bytes) -> float:
        """Return the time of the last invalidation of a name in seconds since the epoch, or 0."""
        known = self._newest.get(name)
        return 0.0 if known is None else known[2] / 1e6

    def accept(self, name: bytes, stamp: str) -> bool:
        """Return whether a stamp may be current. From then on no older one is accepted."""
        known = self._newest.get(name)
        # Not in constant time: whoever could measure it can read the stamp in Redis anyway.
        if known is not None and known[1] == stamp:
            return True
        read = self._read(name, stamp)
        if read is None or (known is not None and read[0] < known[0]):
            return False
        number, void = read
        self._note(name, number, stamp, number if void else 0)
        return True

    def expire(self, name: bytes, moment: float) -> None:
        """Record an invalidation; no older stamp is accepted from then on.

        Args:
            name: The name.
            moment: Time of the invalidation, in seconds since the epoch by the server's clock.
        """
        known = self._newest.get(name)
        number = max(int(moment * 1e6), 0)
        if known is None or known[0] < number:
            self._note(name, number, "", number)

    def forget(self, name: bytes) -> None:
        """Drop all names but one, which voids the entries of all others."""
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
                if oldest == self._permanent:
                    newest[oldest] = newest.pop(oldest)
                else:
                    del newest[oldest]

    def _read(self, name: bytes, stamp: str) -> tuple[int, bool] | None:
        """Return the number of a stamp and whether it invalidates; None if it is not valid."""
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
