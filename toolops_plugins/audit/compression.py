"""Decompression of logs. The format is recognised by the first bytes, not by the file name."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from toolops_plugins.errors import ConfigurationError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Decompressed", "decompress", "inner_name"]

_ENDINGS: Final = (".gz", ".gzip", ".bz2", ".xz", ".lzma", ".zst")
_SIZE: Final = 65_536  # bytes that are read ahead, and used to recognise a format
_REFUSED: Final = {
    b"PK\x03\x04": "is a zip archive; unpack it first",
    b"PAR1": "is a Parquet file; export it as JSONL or CSV first",
    b"SQLite format 3": "is an SQLite database; export a table as JSONL or CSV first",
}
_TAR_MARK: Final = slice(257, 262)


class Decompressed(io.RawIOBase):
    """The contents of a compressed stream. Damage ends the stream and sets :attr:`problem`.

    Args:
        inner: The decompressing reader.
    """

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self._inner = inner
        self._read: Callable[[int], bytes] = getattr(inner, "read1", None) or inner.read
        self.problem: str | None = None

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read bytes; return 0 at the end and at damage."""
        view = memoryview(buffer).cast("B")
        try:
            data = b"" if self.problem else self._read(len(view))
        except EOFError:
            self.problem = "the compressed file is cut off: the rest is missing"
            return 0
        except _damage_errors() as error:
            self.problem = f"the compressed file is damaged, its rest cannot be read: {error}"
            return 0
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the decompressor, but not the stream that it reads."""
        self._inner.close()
        super().close()


def decompress(stream: io.BufferedReader) -> io.BufferedReader:
    """Return a stream of the decompressed contents; the stream itself if it is not compressed.

    The formats are gzip, bzip2, xz and Zstandard.

    Raises:
        ConfigurationError: The file has a format that is not a log, such as zip or Parquet.
    """
    head = stream.peek(1)
    for magic, problem in _REFUSED.items():
        if head.startswith(magic):
            raise ConfigurationError("FILE", problem)
    inner = _reader(head, stream)
    if inner is not None:
        stream = io.BufferedReader(Decompressed(inner), _SIZE)
        head = stream.peek(1)
    if head[_TAR_MARK] == b"ustar":
        raise ConfigurationError("FILE", "is a tar archive; unpack it first")
    return stream


def _reader(head: bytes, stream: io.BufferedReader) -> Any:
    # Imported on use, because logs are rarely compressed.
    if head.startswith(b"\x1f\x8b"):
        import gzip  # noqa: PLC0415 - as it says

        return gzip.GzipFile(fileobj=stream)
    if head.startswith(b"BZh"):
        import bz2  # noqa: PLC0415 - as it says

        return bz2.BZ2File(stream)
    if head.startswith(b"\xfd7zXZ\x00"):
        import lzma  # noqa: PLC0415 - as it says

        return lzma.LZMAFile(stream)
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return _Zstandard(stream)
    return None


class _Zstandard:
    """A reader of Zstandard frames that reports a truncated file, unlike that of ``zstandard``."""

    def __init__(self, stream: io.BufferedReader) -> None:
        from zstandard import ZstdDecompressor  # noqa: PLC0415 - as above

        self._stream = stream
        self._start = ZstdDecompressor().decompressobj
        self._frame = self._start()
        self._fresh = False  # whether the frame is still unread
        self._ready = b""

    def read(self, count: int) -> bytes:
        while not self._ready:
            data = self._frame.unused_data if self._frame.eof else b""
            if self._frame.eof:
                self._frame, self._fresh = self._start(), True
            data = data or self._stream.read1(_SIZE)
            if not data:
                if not self._fresh:
                    raise EOFError
                return b""
            self._fresh = False
            self._ready = self._frame.decompress(data)
        data, self._ready = self._ready[:count], self._ready[count:]
        return data

    def close(self) -> None:
        """Do nothing."""


def _damage_errors() -> tuple[type[Exception], ...]:
    from lzma import LZMAError  # noqa: PLC0415 - as above

    from zstandard import ZstdError  # noqa: PLC0415 - as above

    return OSError, zlib.error, LZMAError, ZstdError


def inner_name(name: str) -> str:
    """Return the name of a file without the extension of its compression."""
    path = PurePath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in _ENDINGS else name
