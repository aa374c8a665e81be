"""The envelope: an entry as one byte string, for tiers outside this process.

::

    magic "tOe" | version | flags | kind | length of codec id | length of tags |
    created | fresh until | stale until | took | price | codec id | tags | data | seal

Numbers are big-endian. Times are 64-bit floats, seconds since the epoch by the server's clock. Tags
are empty or a JSON list of strings that alternates tag and stamp. Flag 1: the data is a zstd frame.
Flag 2: codec id, tags and data are encrypted together (:mod:`toolops_plugins.codec.encryption`);
the lengths are those of the plain text. The seal covers the key and all bytes before the seal, so
an entry that was moved to another key is refused. With a secret the seal is an HMAC-SHA256
(RFC 2104); without one it is a CRC-32, which detects accidental damage only.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
import threading
import zlib
from collections.abc import Sequence
from typing import Any, Final, Literal

import orjson

from toolops_plugins import check
from toolops_plugins.cache.entry import Entry
from toolops_plugins.codec import ERROR, Codec
from toolops_plugins.codec.encryption import Cipher
from toolops_plugins.codec.signing import derive_key
from toolops_plugins.errors import (
    ConfigurationError,
    NotEncodableError,
    TamperedError,
    UnknownFormatError,
)

__all__ = ["Envelope"]

_MAGIC: Final = b"tOe"
_VERSION: Final = 2
_COMPRESSED: Final = 1
_ENCRYPTED: Final = 2
_KINDS: Final[tuple[Literal["value", "error", "stream"], ...]] = ("value", "error", "stream")
_HEADER: Final = struct.Struct(">3sBBBBI5d")
_CRC: Final = struct.Struct(">I")
_HMAC_SIZE: Final = hashlib.sha256().digest_size
_TAGS_LARGEST: Final = 1024 * 1024
_WINDOW: Final = 8 * 1024 * 1024  # the largest window that every zstd decoder must support


class _Zstd(threading.local):
    """The compressor and decompressor of a thread; zstandard's objects are not thread-safe."""

    def __init__(self) -> None:
        import zstandard  # noqa: PLC0415 - only a large value needs it

        self.error = zstandard.ZstdError
        self.parameters = zstandard.get_frame_parameters
        self.compress = zstandard.ZstdCompressor().compress
        self.decompress = zstandard.ZstdDecompressor().decompress


_zstd: _Zstd | None = None


def _compressor() -> _Zstd:
    global _zstd  # noqa: PLW0603 - shared by all envelopes, so that a thread has one, not many
    if _zstd is None:
        _zstd = _Zstd()  # if two threads race here, either object will do
    return _zstd


class Envelope:
    """Converts entries to bytes and back. Thread-safe.

    Args:
        codec: Encodes the results.
        secret: Key that signs every envelope; all processes that share the cache need the same
            one. With a secret, nothing is parsed before its signature is verified, and an envelope
            that is unsigned or signed with another secret is refused. Without one, signed
            envelopes are refused as unknown. Default None: not signed.
        cipher: Encrypts results and tags. Signed envelopes that are not encrypted can still be
            read. Needs a secret. Default None: not encrypted.
        compress_over: Size in bytes above which data is compressed, if that makes it smaller.
            Default 1024.

    Raises:
        ConfigurationError: The secret is empty or not bytes, or ``compress_over`` is negative.
    """

    def __init__(
        self,
        codec: Codec,
        secret: bytes | None = None,
        compress_over: int = 1024,
        *,
        cipher: Cipher | None = None,
    ) -> None:
        if secret is not None and (not isinstance(secret, bytes) or not secret):
            raise ConfigurationError("secret", "must be non-empty bytes, or None")
        self._codec = codec
        self._last_tags: tuple[bytes, tuple[str, ...], tuple[str, ...]] = (b"[]", (), ())
        self._cipher = cipher
        self.secret = secret
        """The key that signs, or None."""
        self._compress_over = check.count("compress_over", compress_over, least=0)
        self._secret = None if secret is None else derive_key(secret, "envelope")

    @property
    def largest(self) -> int:
        """The largest size of an envelope in bytes, with space for its tags."""
        return self._codec.max_value_bytes + 1024 * 1024

    def seal(self, key: bytes, entry: Entry, stamps: Sequence[str] = ()) -> bytes:
        """Return an entry as bytes.

        Args:
            key: The key of the entry. The envelope is valid under this key only.
            entry: The entry.
            stamps: The stamps of ``entry.tags``, in the same order. Empty: an empty stamp for each.

        Raises:
            NotEncodableError: The payload has no bytes, or a tag or stamp has no UTF-8 form.
            ValueError: ``stamps`` is not empty and differs in length from the tags.
        """
        payload = entry.payload
        data = self._codec.data(payload)
        flags = 0
        if self._compress_over < len(data):
            smaller = _compressor().compress(data)
            if len(smaller) < len(data):
                data = smaller
                flags = _COMPRESSED
        tags = b""
        if entry.tags or stamps:
            pairs = zip(entry.tags, stamps or [""] * len(entry.tags), strict=True)
            try:
                tags = orjson.dumps([text for pair in pairs for text in pair])
            except TypeError as error:
                raise NotEncodableError(f"tags: {error}") from None
        codec_id = payload.codec.encode()
        header = _HEADER.pack(
            _MAGIC,
            _VERSION,
            flags if self._cipher is None else flags | _ENCRYPTED,
            _KINDS.index(entry.kind),
            len(codec_id),
            len(tags),
            entry.created,
            entry.fresh_until,
            entry.stale_until,
            entry.took,
            entry.price,
        )
        if self._cipher is None:
            body = b"".join((header, codec_id, tags, data))
        else:
            content = b"".join((codec_id, tags, data))
            body = header + self._cipher.encrypt(content, key + header)
        return body + self._seal(key, body)

    def is_encrypted(self, data: bytes) -> bool:
        """Return whether the header declares encryption. The signature is not verified."""
        return data[:3] == _MAGIC and len(data) > 4 and bool(data[4] & _ENCRYPTED)

    def open(self, key: bytes, data: bytes) -> tuple[Entry, tuple[str, ...]]:
        """Return the entry in an envelope, and the stamps of its tags.

        Args:
            key: The key under which the envelope was found.
            data: The envelope.

        Raises:
            TamperedError: There is a secret, and it did not sign this envelope for this key.
            UnknownFormatError: The data is not an envelope, is damaged, or has a version, codec or
                type that this process does not know.
        """
        body = self._verify(key, data)
        try:
            (
                magic,
                version,
                flags,
                kind_number,
                codec_length,
                tags_length,
                created,
                fresh_until,
                stale_until,
                took,
                price,
            ) = _HEADER.unpack_from(body)
            kind = _KINDS[kind_number]
        except (struct.error, IndexError):
            raise UnknownFormatError("no header of an envelope") from None
        if magic != _MAGIC or version != _VERSION or flags > _COMPRESSED | _ENCRYPTED:
            raise UnknownFormatError(f"version {version} of the envelope is not known")
        if flags & _ENCRYPTED:
            if self._cipher is None:
                raise UnknownFormatError("the entry is encrypted, and there is no key")
            header = body[: _HEADER.size]
            body = header + self._cipher.decrypt(body[_HEADER.size :], key + header)
        tags_start = _HEADER.size + codec_length
        data_start = tags_start + tags_length
        # The comparison is also false for a NaN.
        if len(body) < data_start or not fresh_until <= stale_until or tags_length > _TAGS_LARGEST:
            raise UnknownFormatError("the envelope contradicts itself")
        codec_id = body[_HEADER.size : tags_start].decode("ascii", "replace")
        if (kind == "error") is not (codec_id == ERROR):
            raise UnknownFormatError(f"a {kind} of codec {codec_id!r}")
        content = body[data_start:]
        if flags & _COMPRESSED:
            content = _decompress(content, self._codec.max_value_bytes)
        tags: tuple[str, ...] = ()
        stamps: tuple[str, ...] = ()
        if tags_length:
            raw = body[tags_start:data_start]
            last = self._last_tags  # in a tier with a secret they are mostly the same
            if raw != last[0]:
                self._last_tags = last = (raw, *_parse_tags(raw))
            _, tags, stamps = last
        payload = self._codec.load(codec_id, content)
        entry = Entry(payload, created, fresh_until, stale_until, took, price, tags, kind)
        return entry, stamps

    def _seal(self, key: bytes, body: bytes) -> bytes:
        if self._secret is None:
            return _CRC.pack(zlib.crc32(body, zlib.crc32(key)))
        # The length of the key comes first, so that no byte can move from the key to the body.
        return hmac.digest(self._secret, _CRC.pack(len(key)) + key + body, "sha256")

    def _verify(self, key: bytes, data: bytes) -> bytes:
        """Return an envelope without its seal, once the seal is verified."""
        if self._secret is None:
            body, seal = data[: -_CRC.size], data[-_CRC.size :]
            if self._seal(key, body) != seal:
                raise UnknownFormatError("the envelope is damaged, signed, or of another key")
            return body
        body, seal = data[:-_HMAC_SIZE], data[-_HMAC_SIZE:]
        if not hmac.compare_digest(self._seal(key, body), seal):
            raise TamperedError("the signature of the envelope is missing or wrong")
        return body


def _decompress(frame: bytes, largest: int) -> bytes:
    zstd = _compressor()
    try:
        # decompress() ignores its limit for a frame that declares its size, so the declared size
        # is checked first. A frame that declares none reports 2**64 - 1.
        header = zstd.parameters(frame)
        if header.content_size > largest or header.window_size > max(largest, _WINDOW):
            raise UnknownFormatError("compressed data of unknown size, or too large")
        return zstd.decompress(frame, max_output_size=largest, allow_extra_data=False)
    except zstd.error as error:
        raise UnknownFormatError(f"malformed zstd frame: {error}") from None


def _parse_tags(data: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    try:
        flat: Any = orjson.loads(data)
    except orjson.JSONDecodeError:
        flat = None
    if type(flat) is not list or len(flat) % 2 or any(type(text) is not str for text in flat):
        raise UnknownFormatError("malformed tags")
    return tuple(flat[::2]), tuple(flat[1::2])
