"""The messages of the invalidation bus, signed if there is a secret.

A signed message is an HMAC-SHA256 followed by JSON, which may be encrypted. It carries its sender
and a sequence number. A message that was received before, or is far behind the newest one, is
dropped, so a replayed message has no effect. A process that has just subscribed may accept one old
message; then a few entries are looked up again without need.
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

_WINDOW: Final = 1_024  # messages of one sender that may arrive out of order
_ORIGINS: Final = 1_000  # senders whose sequence numbers are remembered


class Message(NamedTuple):
    """An invalidation that one process sends to the others.

    Args:
        origin: Identifies the sender.
        keys: Keys of void entries.
        tags: Tags of void entries.
        everything: Whether all entries are void.
        moment: Start of the invalidation, in seconds since the epoch by the server's clock; None in
            an unsigned message.
        place: Identifies the semantic index on a server from which the sender has deleted the
            entries; "": it has deleted none.
    """

    origin: str
    keys: list[bytes]
    tags: list[str]
    everything: bool
    moment: float | None = None
    place: str = ""


class Messages:
    """Unsigned messages in JSON; everybody with access to the server can forge one.

    Attributes:
        place: The place in the messages that are sent; see :class:`Message`.
    """

    place = ""

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
        return json.dumps(self._form(origin, keys, tags, everything=everything)).encode()

    def decode(self, data: bytes, own: str) -> Message | None:
        """Return the message, or None if it is malformed or was sent by this process.

        Args:
            data: The bytes.
            own: The identity of this process.
        """
        found = self.read(data)
        return None if found is None or found.origin == own else found

    def read(self, data: bytes) -> Message | None:
        """Return a recorded message, whoever sent it and however old it is; None if malformed."""
        try:
            return _message(json.loads(data))
        except (ValueError, TypeError, KeyError, RecursionError):
            return None

    def _form(
        self, origin: str, keys: Sequence[bytes], tags: Sequence[str], *, everything: bool
    ) -> dict[str, Any]:
        form = {
            "origin": origin,
            "keys": [key.hex() for key in keys],
            "tags": list(tags),
            "everything": everything,
        }
        return form | {"place": self.place} if self.place else form


class SignedMessages(Messages):
    """Messages that only holders of the secret can write. Thread-safe.

    Args:
        secret: Key shared by all processes.
        channel: The name of the channel; a message of another channel is refused.
        cipher: Encrypts messages. Default None: not encrypted.
        on_refusal: Called with the error when a message has no valid signature.
        on_message: Called with every message that is accepted.
        clock: Returns seconds since the epoch, for messages without a moment.
    """

    def __init__(
        self,
        secret: bytes,
        channel: str,
        cipher: Cipher | None = None,
        on_refusal: Callable[[TamperedError], None] | None = None,
        on_message: Callable[[Message], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._signer = Signer(secret, "bus", channel)
        self._place = b"bus\0" + channel.encode()
        self._cipher = cipher
        self._on_refusal = on_refusal
        self._on_message = on_message
        self._clock = clock
        self._numbers = itertools.count(1)
        # By sender: the highest number received, and a bit for each number below it in the window.
        self._received: dict[str, tuple[int, int]] = {}
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
        form = self._form(origin, keys, tags, everything=everything)
        form["moment"] = self._clock() if moment is None else moment
        form["number"] = next(self._numbers)
        body = json.dumps(form).encode()
        if self._cipher is not None:
            body = self._cipher.encrypt(body, self._place)
        return self._signer.sign(body) + body

    def decode(self, data: bytes, own: str) -> Message | None:
        """As :meth:`Messages.decode`; also None if the signature is invalid or the message old.

        A signed message that cannot be read, because it is encrypted with another key or has
        another version, counts as an invalidation of everything. So no void entry survives while a
        deployment is under way.
        """
        opened = self._open(data)
        if opened is None:
            return None
        found, number = opened
        if number is None:
            return self._invalidate_everything(data[:SIZE])
        if found.origin == own or not self._accept_number(found.origin, number):
            return None
        if self._on_message is not None:
            self._on_message(found)
        return found

    def read(self, data: bytes) -> Message | None:
        """As :meth:`Messages.read`; None if the signature is invalid.

        One that cannot be read counts as an invalidation of everything.
        """
        opened = self._open(data)
        return None if opened is None else opened[0]

    def _open(self, data: bytes) -> tuple[Message, int | None] | None:
        """Return a signed message and its number; without a number if it cannot be read."""
        signature, body = data[:SIZE], data[SIZE:]
        if not self._signer.verify(signature, body):
            if self._on_refusal is not None:
                self._on_refusal(TamperedError("a message of the bus has no valid signature"))
            return None
        try:
            # Senders that do not encrypt yet are understood too.
            if self._cipher is not None and body[:1] != b"{":
                body = self._cipher.decrypt(body, self._place)
            form = json.loads(body)
            found = _message(form)._replace(moment=float(form["moment"]))
            return found, int(form["number"])
        except (CodecError, ValueError, TypeError, KeyError):
            return _EVERYTHING, None

    def _invalidate_everything(self, signature: bytes) -> Message | None:
        """Return a message that voids everything, once for each unreadable message."""
        with self._lock:
            if signature in self._unreadable:
                return None
            self._unreadable[signature] = None
            while len(self._unreadable) > _ORIGINS:
                del self._unreadable[next(iter(self._unreadable))]
        return _EVERYTHING

    def _accept_number(self, origin: str, number: int) -> bool:
        """Record a sequence number; return whether it is new (RFC 4303, appendix A2)."""
        with self._lock:
            highest, bits = self._received.pop(origin, (0, 0))
            behind = highest - number
            if behind < 0:
                bits = (bits << -behind | 1) & ((1 << _WINDOW) - 1) if -behind < _WINDOW else 1
                highest, new = number, True
            else:
                new = behind < _WINDOW and not bits >> behind & 1
                bits |= 1 << behind if new else 0
            self._received[origin] = highest, bits
            while len(self._received) > _ORIGINS:
                del self._received[next(iter(self._received))]
            return new


def _message(form: Any) -> Message:
    keys = [bytes.fromhex(key) for key in form["keys"]]
    tags = [str(tag) for tag in form["tags"]]
    place = str(form.get("place", ""))
    return Message(str(form["origin"]), keys, tags, form["everything"] is True, place=place)


_EVERYTHING: Final = Message("", [], [], everything=True)
