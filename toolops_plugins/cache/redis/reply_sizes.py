"""The declared sizes in a stream of replies in Redis' protocol, read before what they declare.

Parsers trust a server: one that declares half a gigabyte is read for half a gigabyte. This looks at
the bytes on their way to the parser, whichever that is, skips what is inside of strings, and raises
at the first declaration that is too large (https://redis.io/docs/latest/develop/reference/protocol-spec/).
"""

from __future__ import annotations

from typing import Final

__all__ = ["ReplySizes", "ReplyTooLargeError"]

_STRINGS: Final = b"$=!"
_AGGREGATES: Final = b"*~%>|"
_LONGEST_LINE: Final = 1 << 20  # bytes
_MOST_ITEMS: Final = 1 << 20


class ReplyTooLargeError(Exception):
    """A server declares a reply that is larger than what is accepted.

    Args:
        text: What it declares.
        stored: Whether it may be what somebody has stored under a key; else it is the server.
    """

    def __init__(self, text: str, *, stored: bool = False) -> None:
        super().__init__(text)
        self.stored = stored


class ReplySizes:
    """Checks the replies of one connection; needs every byte that is read from it.

    Args:
        largest: Bytes of a string that are accepted at most.
    """

    __slots__ = ("_largest", "_line", "_skip")

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._skip = 0  # bytes of a string that are still to come
        self._line = b""  # the beginning of a line that is still to end

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            ReplyTooLargeError: They declare too much.
        """
        position, self._skip = self._skip, 0
        length = len(data)
        while position < length:
            end = data.find(b"\n", position)
            if end < 0:
                self._line += data[position:]
                if len(self._line) > _LONGEST_LINE:
                    raise ReplyTooLargeError("the server sends a line without an end")
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
        """Raise if a string of so many bytes is too large."""
        if size > self._largest:
            raise ReplyTooLargeError(
                f"the server declares {size:,} bytes, and {self._largest:,} are accepted",
                stored=True,
            )


def _number(line: bytes) -> int:
    try:
        return int(line[1:])
    except ValueError:
        return -1  # the parser is the one to complain
