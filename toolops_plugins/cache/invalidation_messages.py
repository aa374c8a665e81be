"""The messages of the bus, as bytes and back; signed where there is a secret.

A signed message is an HMAC-SHA256 and JSON, which may be encrypted. It names the end that sent it,
and counts; one that was taken already, or is far behind those that were, is dropped, so that a
message played back has no effect. An end that has just begun to listen may take one of before:
then an entry or two are looked up again that need not be.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from toolops_plugins.codec.encryption import Cipher
from toolops_plugins.codec.signing import SIZE, Signer
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import CodecError, TamperedError

__all__ = ["Message", "Messages", "SignedMessages"]

_WINDOW: Final = 1_024  # messages of one end that may overtake each other
_ORIGINS: Final = 1_000  # ends of which it is remembered what was taken


class Message(NamedTuple):
    """What one end tells the others.

    Args:
        origin: Names the end.
        keys: Keys of entries that became void.
        tags: Tags of entries that became void.
        everything: Whether it is all that there is.
        moment: Seconds since the epoch at which the invalidation began, by the server's clock; None
            in a message that is not signed.
    """

    origin: str
    keys: list[bytes]
    tags: list[str]
    everything: bool
    moment: float | None = None


class Messages:
    """Messages as plain JSON, which anybody can write who can write to the server."""

    def encode(
        self,
        origin: str,
        keys: Sequence[bytes],
        tags: Sequence[str],
        *,
        everything: bool,
        moment: float | None = None,  # noqa: ARG002 - for those that are signed
    ) -> bytes:
        """Return a message as bytes; the arguments are those of :class:`Message`."""
        return json.dumps(_form(origin, keys, tags, everything=everything)).encode()

    def decode(self, data: bytes, own: str) -> Message | None:
        """Return a message, or None: it is not ours, of another version, or of this very end.

        Args:
            data: The bytes.
            own: The name of this end.
        """
        try:
            found = _message(json.loads(data))
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return None if found.origin == own else found


class SignedMessages(Messages):
    """Messages that only holders of the secret can write. Thread-safe.

    Args:
        secret: Shared by all ends.
        channel: Where they are sent; a message of another channel is refused.
        cipher: Encrypts them, or None.
        on_refused: Told of messages that are not signed with the secret.
        on_heard: Told of every message that is taken.
        clock: Seconds since the epoch, for messages without a moment.
    """

    def __init__(
        self,
        secret: bytes,
        channel: str,
        cipher: Cipher | None = None,
        on_refused: Callable[[TamperedError], None] | None = None,
        on_heard: Callable[[Message], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._signer = Signer(secret, "bus", channel)
        self._place = b"bus\0" + channel.encode()
        self._cipher = cipher
        self._on_refused = on_refused
        self._on_heard = on_heard
        self._clock = clock
        self._numbers = itertools.count(1)
        # By origin: the highest number that was taken, and which of those below it, as bits.
        self._taken: dict[str, tuple[int, int]] = {}
        self._unreadable: dict[bytes, None] = {}
        self._lock = fork_safe(self, threading.Lock())

    def encode(
        self,
        origin: str,
        keys: Sequence[bytes],
        tags: Sequence[str],
        *,
        everything: bool,
        moment: float | None = None,
    ) -> bytes:
        """As :meth:`Messages.encode`, signed."""
        form = _form(origin, keys, tags, everything=everything)
        form["moment"] = self._clock() if moment is None else moment
        form["number"] = next(self._numbers)
        body = json.dumps(form).encode()
        if self._cipher is not None:
            body = self._cipher.encrypt(body, self._place)
        return self._signer.sign(body) + body

    def decode(self, data: bytes, own: str) -> Message | None:
        """As :meth:`Messages.decode`; None also for one that is not signed, or was taken before.

        One that is signed and cannot be read, since it is encrypted with another key or of another
        version, stands for everything: while a deployment is under way, nobody keeps what is void.
        """
        signature, body = data[:SIZE], data[SIZE:]
        if not self._signer.verify(signature, body):
            if self._on_refused is not None:
                self._on_refused(TamperedError("a message of the bus has no valid signature"))
            return None
        try:
            # What was signed before encryption was asked for is read as it is.
            if self._cipher is not None and body[:1] != b"{":
                body = self._cipher.decrypt(body, self._place)
            form = json.loads(body)
            found = _message(form)._replace(moment=float(form["moment"]))
            number = int(form["number"])
        except (CodecError, ValueError, TypeError, KeyError):
            return self._unread(signature)
        if found.origin == own or not self._take(found.origin, number):
            return None
        if self._on_heard is not None:
            self._on_heard(found)
        return found

    def _unread(self, signature: bytes) -> Message | None:
        """Return that all is void: one of ours says what, but with a key that is not known here."""
        with self._lock:
            if signature in self._unreadable:
                return None
            self._unreadable[signature] = None
            while len(self._unreadable) > _ORIGINS:
                del self._unreadable[next(iter(self._unreadable))]
        return Message("", [], [], everything=True)

    def _take(self, origin: str, number: int) -> bool:
        """Return whether a message is new, and note it; as IPsec does (RFC 4303, appendix A2)."""
        with self._lock:
            highest, bits = self._taken.pop(origin, (0, 0))
            behind = highest - number
            if behind < 0:
                bits = (bits << -behind | 1) & ((1 << _WINDOW) - 1) if -behind < _WINDOW else 1
                highest, new = number, True
            else:
                new = behind < _WINDOW and not bits >> behind & 1
                bits |= 1 << behind if new else 0
            self._taken[origin] = highest, bits
            while len(self._taken) > _ORIGINS:
                del self._taken[next(iter(self._taken))]
            return new


def _form(
    origin: str, keys: Sequence[bytes], tags: Sequence[str], *, everything: bool
) -> dict[str, Any]:
    return {
        "origin": origin,
        "keys": [key.hex() for key in keys],
        "tags": list(tags),
        "everything": everything,
    }


def _message(form: Any) -> Message:
    keys = [bytes.fromhex(key) for key in form["keys"]]
    tags = [str(tag) for tag in form["tags"]]
    return Message(str(form["origin"]), keys, tags, form["everything"] is True)
