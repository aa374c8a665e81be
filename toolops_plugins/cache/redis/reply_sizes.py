"""Limits on the sizes that a Redis server declares in its replies.

Parsers trust the server: if it declares half a gigabyte, they read half a gigabyte. This module
inspects the bytes on their way to the parser, skips the contents of strings, and raises at the
first declared size that is too large
(https://redis.io/docs/latest/develop/reference/protocol-spec/).
"""

from __future__ import annotations

from typing import Final

__all__ = ["ReplySizes", "ReplyTooLargeError"]

_STRINGS: Final = b"$=!"
_AGGREGATES: Final = b"*~%>|"
_LONGEST_LINE: Final = 1 << 20  # bytes
_MOST_ITEMS: Final = 1 << 20


class ReplyTooLargeError(Exception):
    """A server declares a reply that is larger than the limit.

    Args:
        text: The message.
        stored: Whether the reply may be a value that somebody stored under a key. False: the server
            itself misbehaves.
    """

    def __init__(self, text: str, *, stored: bool = False) -> None:
        super().__init__(text)
        self.stored = stored


class ReplySizes:
    """Checks the replies of one connection; it must see every byte that is read.

    Args:
        largest: Largest accepted string, in bytes.
    """

    __slots__ = ("_line", "_skip", "largest")

    def __init__(self, largest: int) -> None:
        self.largest = largest
        self._skip = 0  # remaining bytes of a string
        self._line = b""  # the start of an incomplete line

    def feed(self, data: bytes) -> None:
        """Inspect the next bytes.

        Raises:
            ReplyTooLargeError: They declare a size above the limit.
        """
        position, self._skip = self._skip, 0
        length = len(data)
        while position < length:
            end = data.find(b"\n", position)
            if end < 0:
                self._line += data[position:]
                if len(self._line) > _LONGEST_LINE:
                    raise ReplyTooLargeError("the server sends an endless line")
                return
            line = self._line + data[position:end]
            self._line = b""
            position = end + 1
            if line[:1] in _STRINGS:
                size = _number(line)
                self.check(size)
                if size >= 0:
                    position += size + 2
            elif line[:1] in _AGGREGATES and _number(line) > _MOST_ITEMS:
                raise ReplyTooLargeError(f"the server declares {_number(line):,} items")
        self._skip = position - length

    def check(self, size: int) -> None:
        """Raise if a string of ``size`` bytes is above the limit."""
        if size > self.largest:
            raise ReplyTooLargeError(
                f"the server declares {size:,} bytes, and {self.largest:,} are accepted",
                stored=True,
            )


def _number(line: bytes) -> int:
    try:
        return int(line[1:])
    except ValueError:
        return -1  # the parser reports it
