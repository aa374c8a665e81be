"""Signatures of what is stored outside this process: HMAC-SHA256 (RFC 2104).

One secret serves many purposes. Each gets a key of its own, derived by HKDF (RFC 5869), so that
what was signed for one purpose, or in one place, is never valid in another.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

__all__ = ["SIZE", "Signer", "derive_key"]

SIZE: Final = hashlib.sha256().digest_size
"""Bytes of a signature."""

_SALT: Final = b"toolops_plugins"


def derive_key(secret: bytes, purpose: str) -> bytes:
    """Return 32 bytes of key for one purpose, by HKDF-SHA256.

    Args:
        secret: Any bytes; what it is worth is what the key is worth.
        purpose: Names what the key is for.
    """
    extracted = hmac.digest(_SALT, secret, "sha256")
    return hmac.digest(extracted, purpose.encode() + b"\x01", "sha256")


class Signer:
    """Signs sequences of bytes for one purpose in one place. Thread-safe.

    Args:
        secret: Shared by all who sign and verify.
        purpose: What is signed.
        place: Where it is valid, such as a namespace.
    """

    __slots__ = ("_key",)

    def __init__(self, secret: bytes, purpose: str, *place: str) -> None:
        names = [name.encode("utf-8", "surrogatepass") for name in place]
        self._key = hmac.digest(derive_key(secret, purpose), _framed(names), "sha256")

    def sign(self, *parts: bytes) -> bytes:
        """Return the signature of parts, in this order."""
        return hmac.digest(self._key, _framed(parts), "sha256")

    def sign_short(self, *parts: bytes) -> bytes:
        """Return the first half of the signature, which is as hard to guess as a key of AES."""
        return self.sign(*parts)[: SIZE // 2]

    def verify_short(self, signature: bytes, *parts: bytes) -> bool:
        """As :meth:`verify`, for the first half of a signature."""
        return hmac.compare_digest(self.sign_short(*parts), signature)

    def verify(self, signature: bytes, *parts: bytes) -> bool:
        """Return whether this is the signature of the parts; takes the same time for any."""
        return hmac.compare_digest(self.sign(*parts), signature)


def _framed(parts: tuple[bytes, ...] | list[bytes]) -> bytes:
    """Return the parts with their lengths, so that no byte can move from one to the next."""
    return b"".join([piece for part in parts for piece in (len(part).to_bytes(8, "big"), part)])
