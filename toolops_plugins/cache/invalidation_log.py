"""The latest invalidations of a namespace, recorded on its server.

The bus tells running processes. A process that keeps entries on its disk also needs to know what
was invalidated while it was down, or while its subscription was interrupted. So each message is
also appended to a string in Redis, of a bounded length: a header with the record's id, the number
of the latest message that was dropped and that of the latest one, then the messages. Numbers are
microseconds since the epoch, or one more than the previous number. A process that finds another id,
or that has read less than was dropped, has missed something that it can no longer learn.
"""

from __future__ import annotations

import os
from typing import Any, Final, Protocol

from toolops_plugins.cache.invalidation_messages import Messages
from toolops_plugins.errors import TierError
from toolops_plugins.invalidation import History, Recorded

__all__ = ["InvalidationLog", "LogCarrier"]

_LIMIT: Final = 64 * 1024
"""Bytes of all recorded messages; some thousand of them with a key or a tag or two."""

# KEYS: the record. ARGV: message, or "" to create a missing record only; time in microseconds; the
# id of a new record; the channel on which to publish; the limit in bytes.
_APPEND: Final = r"""
local held = redis.pcall('GET', KEYS[1])
local id, floor, last, frames
if type(held) == 'string' then
  id, floor, last, frames = string.match(held, '^(%x+) (%d+) (%d+)\n(.*)$')
end
local before = id
if not id then id, floor, last, frames = ARGV[3], ARGV[2], ARGV[2], '' end
if ARGV[1] == '' then
  if before then return {id, last} end
else
  last = string.format('%.0f', math.max(tonumber(last) + 1, tonumber(ARGV[2])))
  frames = frames .. last .. ' ' .. #ARGV[1] .. '\n' .. ARGV[1]
  while #frames > tonumber(ARGV[5]) do
    local number, size, start = string.match(frames, '^(%d+) (%d+)\n()')
    if not number then number, size, start = last, 0, #frames + 1 end
    floor = number
    frames = string.sub(frames, start + size)
  end
end
redis.call('SET', KEYS[1], id .. ' ' .. floor .. ' ' .. last .. '\n' .. frames)
if ARGV[1] ~= '' then redis.call('PUBLISH', ARGV[4], ARGV[1]) end
return {id, last}
"""


class LogCarrier(Protocol):
    """The part of a tier that the record uses."""

    @property
    def channel(self) -> str:
        """The name of the channel of the namespace."""
        ...

    def moment(self) -> float:
        """Return the estimated time of the server."""
        ...

    def send(self, *command: Any) -> Any:
        """Run a command that does not write."""
        ...

    async def asend(self, *command: Any) -> Any:
        """Run a command that does not write."""
        ...

    def change(self, *command: Any) -> Any:
        """Run a command that writes."""
        ...

    async def achange(self, *command: Any) -> Any:
        """Run a command that writes."""
        ...


class InvalidationLog:
    """The record of the invalidations of a namespace. Safe to use from any threads and loops.

    Args:
        carrier: The tier whose server has the record.
        messages: Encodes and decodes messages.
    """

    def __init__(self, carrier: LogCarrier, messages: Messages) -> None:
        self._carrier = carrier
        self._messages = messages
        self._own_id = ""  # of the record that this process has begun

    def publish(self, data: bytes) -> None:
        """Record a message, and send it to the processes that listen.

        Raises:
            TierError: It could not be recorded; those who listen were told if that was possible.
        """
        try:
            self._carrier.change(*self._append(data))
        except TierError:
            self._carrier.send("PUBLISH", self._carrier.channel, data)
            raise

    async def apublish(self, data: bytes) -> None:
        """As :meth:`publish`."""
        try:
            await self._carrier.achange(*self._append(data))
        except TierError:
            await self._carrier.asend("PUBLISH", self._carrier.channel, data)
            raise

    def read(self, own: str, known: tuple[str, int] | None = None) -> History:
        """Return the recorded invalidations; a missing record is begun.

        Args:
            own: The identity of this process.
            known: The id of the record and the last number in it that is known already.

        Raises:
            TierError: The server could not be reached, or the record is not readable.
        """
        found = self._carrier.send("GET", self._carrier.channel)
        if found is not None:
            return self._history(found, own, known)
        id_ = _new_id()
        return self._new_history(id_, self._carrier.change(*self._append(b"", id_))) or self.read(
            own, known
        )

    async def aread(self, own: str, known: tuple[str, int] | None = None) -> History:
        """As :meth:`read`."""
        found = await self._carrier.asend("GET", self._carrier.channel)
        if found is not None:
            return self._history(found, own, known)
        id_ = _new_id()
        return self._new_history(
            id_, await self._carrier.achange(*self._append(b"", id_))
        ) or await self.aread(own, known)

    def _append(self, data: bytes, id_: str | None = None) -> tuple[Any, ...]:
        # The key has the name of the channel, which is none of an entry.
        channel = self._carrier.channel
        now = max(int(self._carrier.moment() * 1e6), 0)
        return "EVAL", _APPEND, 1, channel, data, now, id_ or _new_id(), channel, _LIMIT

    def _history(self, data: bytes, own: str, known: tuple[str, int] | None) -> History:
        try:
            header, frames = _parse(data)
            id_, floor, last = header.split()
            skipped = known[1] if known is not None and known[0].encode() == id_ else 0
            entries: list[Recorded] = []
            for number, body in frames:
                message = self._messages.read(body) if number > skipped else None
                if message is not None:
                    entries.append(
                        Recorded(
                            number,
                            message.keys,
                            message.tags,
                            message.everything,
                            message.origin == own,
                            message.place,
                        )
                    )
            name = id_.decode("ascii")
            return History(name, int(floor), int(last), entries, name == self._own_id)
        except ValueError as error:
            raise TierError("the record of invalidations in Redis is not readable") from error

    def _new_history(self, id_: str, reply: Any) -> History | None:
        """Return the history of a record that was missing; None if another process has begun it."""
        if reply[0] != id_.encode():
            return None
        self._own_id = id_
        number = int(reply[1])
        return History(id_, number, number, is_new=True)


def _parse(data: bytes) -> tuple[bytes, list[tuple[int, bytes]]]:
    """Return the header of a record, and its messages with their numbers.

    Raises:
        ValueError: It is none.
    """
    end = data.index(b"\n")
    header, frames = data[:end], []
    while (start := end + 1) < len(data):
        head = data.index(b"\n", start)
        number, size = map(int, data[start:head].split())
        end = head + size
        if end >= len(data):
            raise ValueError("a message is cut off")
        frames.append((number, data[head + 1 : end + 1]))
    return header, frames


def _new_id() -> str:
    return os.urandom(8).hex()
