"""Signed stamps: which generation of a key, a tag or a tier is the current one.

A stamp is replaced when its name is invalidated, and each entry names the stamps that it was
computed under; so it counts only while they are the current ones. Whoever can write to the server
could bring an old entry back together with the old stamp, whose signature is as good as ever. So a
stamp carries a number that only grows from one of its name to the next, and a process that has
seen a stamp, or heard of an invalidation, takes no older one for it.

The number is microseconds since the epoch, or one more than that of the stamp before: clocks of
hosts that differ do no harm.
"""

from __future__ import annotations

import os
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from toolops_plugins.locks import renewing
from toolops_plugins.signatures import Signer

__all__ = ["Stamps"]

_MOST: Final = 10_000  # names of which the newest stamp is remembered
_NUMBER: Final = 8
_NONCE: Final = 8  # two invalidations at once make two stamps
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
        self._newest: dict[bytes, tuple[int, str]] = {}
        self._lock = renewing(self, threading.Lock())

    def __len__(self) -> int:
        """Return how many names are remembered."""
        return len(self._newest)

    def make(self, name: bytes, now: float, before: str | None = None) -> str:
        """Return a new stamp, newer than all that are known of its name.

        Args:
            name: Whose stamp it is.
            now: Seconds since the epoch.
            before: The stamp that it replaces, or None.
        """
        number = max(int(now * 1e6), 0)
        known = self._newest.get(name)
        if known is not None and known[0] >= number:
            number = known[0] + 1
        if before is not None and (old := self._number(name, before)) is not None:
            number = max(number, old + 1)
        head = number.to_bytes(_NUMBER, "big") + os.urandom(_NONCE)
        stamp = head + self._signer.sign_briefly(name, head)
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
        return self._number(name, stamp) is not None

    def accept(self, name: bytes, stamp: str) -> bool:
        """Return whether a stamp may be the current one; none older than it is from now on."""
        known = self._newest.get(name)
        if known is not None and known[1] == stamp:
            return True
        number = self._number(name, stamp)
        if number is None or (known is not None and number < known[0]):
            return False
        self._note(name, number, stamp)
        return True

    def expire(self, name: bytes, moment: float) -> None:
        """Accept no stamp from before a moment, since then the name was invalidated.

        Args:
            name: The name.
            moment: Seconds since the epoch, by the clock of whoever invalidated.
        """
        known = self._newest.get(name)
        number = max(int(moment * 1e6), 0)
        if known is None or known[0] < number:
            self._note(name, number, "")

    def forget(self, name: bytes) -> None:
        """Forget all names but one: what they held is void by that one."""
        with self._lock:
            known = self._newest.get(name)
            self._newest = {} if known is None else {name: known}

    def _note(self, name: bytes, number: int, stamp: str) -> None:
        with self._lock:
            newest = self._newest
            known = newest.pop(name, None)
            newest[name] = known if known is not None and known[0] > number else (number, stamp)
            while len(newest) > _MOST:
                oldest = next(iter(newest))
                if oldest == self._lasting:
                    newest[oldest] = newest.pop(oldest)
                else:
                    del newest[oldest]

    def _number(self, name: bytes, stamp: str) -> int | None:
        """Return the number of a stamp, or None if it was not made for the name."""
        if len(stamp) != _LENGTH:
            return None
        try:
            data = urlsafe_b64decode(stamp + "=")
        except ValueError:
            return None
        head = data[: _NUMBER + _NONCE]
        if not self._signer.verify_brief(data[len(head) :], name, head):
            return None
        return int.from_bytes(head[:_NUMBER], "big")
