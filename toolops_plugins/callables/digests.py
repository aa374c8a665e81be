"""SHA-256 digests."""

from __future__ import annotations

__all__ = ["sha256", "short_digest"]


def sha256(data: bytes) -> bytes:
    """Return the digest of bytes."""
    import hashlib  # noqa: PLC0415 - loads OpenSSL, in 3 ms; the first runtime has done so

    return hashlib.sha256(data).digest()


def short_digest(data: bytes) -> str:
    """Return 16 hexadecimal digits of the digest of bytes."""
    return sha256(data).hex()[:16]
