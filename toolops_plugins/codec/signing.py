"""Signatures of entries outside of this process: HMAC-SHA256 (RFC 2104).

One secret serves many purposes. Each has a key of its own, derived by HKDF (RFC 5869), so that a
signature for one purpose or place is never valid in another.
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
        secret: Any bytes. The key is as hard to guess as they are.
        purpose: The name of the key's purpose.
    """
    extracted = hmac.digest(_SALT, secret, "sha256")
    return hmac.digest(extracted, purpose.encode() + b"\x01", "sha256")


class Signer:
    """Signs sequences of bytes for one purpose in one place. Thread-safe.

    Args:
        secret: The secret of all who sign and verify.
        purpose: The kind of data that is signed.
        place: Where the signature is valid, such as a namespace.
    """

    __slots__ = ("_key",)

    def __init__(self, secret: bytes, purpose: str, *place: str) -> None:
        names = [name.encode("utf-8", "surrogatepass") for name in place]
        self._key = hmac.digest(derive_key(secret, purpose), _frame(names), "sha256")

    def sign(self, *parts: bytes) -> bytes:
        """Return the signature of the parts in this order."""
        return hmac.digest(self._key, _frame(parts), "sha256")

    def sign_short(self, *parts: bytes) -> bytes:
        """Return the first half of the signature, which is as hard to guess as an AES key."""
        return self.sign(*parts)[: SIZE // 2]

    def verify_short(self, signature: bytes, *parts: bytes) -> bool:
        """Return whether this is the first half of the parts' signature; see :meth:`verify`."""
        return hmac.compare_digest(self.sign_short(*parts), signature)

    def verify(self, signature: bytes, *parts: bytes) -> bool:
        """Return whether this is the signature of the parts, in the same time for any signature."""
        return hmac.compare_digest(self.sign(*parts), signature)


def _frame(parts: tuple[bytes, ...] | list[bytes]) -> bytes:
    """Return the parts with their lengths, so that no byte can move from one part to the next."""
    return b"".join([piece for part in parts for piece in (len(part).to_bytes(8, "big"), part)])
