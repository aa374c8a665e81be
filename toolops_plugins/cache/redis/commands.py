"""What a Redis tier keeps under which key, and the commands by which it does so.

What is stored under an entry's key is eight bytes of *generation* and the envelope of the entry.
``delete`` leaves a tombstone, a new generation without an envelope, so that a result computed
before the deletion is told from one computed after it: a write that passes a mark is made by a
script that drops it unless the generation is still the mark's. A tag is a random *stamp* under a
key of its own. An envelope names the stamps that its tags had at the lookup; it counts only while
they are the current ones, so that deleting a stamp forgets all entries of the tag at once. A
lookup creates the stamps that are missing: a mark that recorded "there was none" could not tell
an invalidation since. All of it takes only commands and scripts on single keys, as clusters demand.

Each operation is written once, as a generator of actions, and walked by a blocking or an awaiting
driver (see :mod:`toolops_plugins.cache.redis.connection`).

The times in an envelope are those of the server's clock
(see :mod:`toolops_plugins.cache.redis.server_time`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import quote

from toolops_plugins.cache.entry import Entry, Mark
from toolops_plugins.cache.envelope import Envelope
from toolops_plugins.cache.redis.connection import (
    READING,
    WRITING,
    Command,
    Work,
    many,
    one,
    primaries,
    scan,
)
from toolops_plugins.cache.redis.server_time import EXACT, ServerTime, tell_time
from toolops_plugins.clock import Clock
from toolops_plugins.errors import (
    NotEncodableError,
    TamperedError,
    TierError,
    UnknownFormatError,
)

__all__ = [
    "NO_GENERATION",
    "STAMP_MARGIN",
    "TOMBSTONE_LIFE",
    "WRITE",
    "Seen",
    "StampPair",
    "Store",
    "chunks",
    "run",
    "shift_entry",
    "text_of",
]

_CHUNK = 500  # commands sent at once; bounds what client and server hold
NO_GENERATION = bytes(8)
TOMBSTONE_LIFE = 600_000  # ms; a computation that began before a deletion must end before this
STAMP_MARGIN = 60_000  # ms by which a stamp outlives every entry that names it

# KEYS: the entry's. ARGV: envelope, life in ms, the mark's generation or "" for "computed now".
# pcall, since a key that holds no string is to be overwritten, as SET itself would do.
WRITE = r"""
local held = redis.pcall('GET', KEYS[1])
local generation = ''
if type(held) == 'string' then
  generation = string.sub(held, 1, 8)
  if ARGV[3] ~= '' and generation ~= ARGV[3] then return 0 end
elseif ARGV[3] ~= '' then
  generation = ARGV[3]
end
if #generation ~= 8 then generation = string.rep('\0', 8) end
redis.call('SET', KEYS[1], generation .. ARGV[1], 'PX', ARGV[2])
return 1
"""


class StampPair(NamedTuple):
    """The stamps of a tier and of a key, where they are signed."""

    space: str = ""
    own: str = ""


class Seen(NamedTuple):
    """The mark of a lookup: what must be unchanged when its result is written."""

    generation: bytes
    stamps: Mapping[str, str | None]
    clears: int
    place: StampPair = StampPair()


class Store:
    """The operations of one tier in one namespace; holds no connection. Safe for any threads.

    Args:
        namespace: What keeps keys from those of other runtimes; any text.
        label: What keeps them from those of other tiers.
        ttl: Seconds for which an entry is kept at most.
        envelope: Turns entries into bytes.
        clock: The source of time.
        cluster: Whether the servers form a cluster.
        on_trouble: Called with a kind and the error when bytes cannot be read, or None.
    """

    signed = False
    """Whether entries and stamps are signed."""

    def __init__(
        self,
        namespace: str,
        label: str,
        ttl: float,
        envelope: Envelope,
        clock: Clock,
        cluster: bool,  # noqa: FBT001 - named by its only caller
        on_trouble: Callable[[str, Exception], None] | None,
    ) -> None:
        # Quoted text holds no glob character, colon or brace. So no prefix covers another's keys,
        # and the keys of a cluster spread over its slots.
        place, own = (quote(text, "", errors="surrogatepass") for text in (namespace, label))
        self.channel = f"toolops:{place}:void"
        self.prefix = f"toolops:{place}:{own}:"
        self.space_name = f"{self.prefix}space"
        self.plain = Seen(NO_GENERATION, {}, 0)
        self._ttl = ttl
        self._envelope = envelope
        self._clock = clock
        self.server = ServerTime(clock)
        self._cluster = cluster
        self._on_trouble = on_trouble
        self._clears = 0

    def ask_time(self) -> Work[None]:
        """Learn the server's time, if that is due."""
        server = self.server
        if not server.due():
            return
        server.begin()
        try:
            answer = yield READING, tell_time, self.channel
            if answer is not None and answer[1] > EXACT:  # it has connected meanwhile
                again = yield READING, tell_time, self.channel
                answer = min(answer, again or answer, key=lambda each: each[1])
        except TierError:
            server.renew()
            raise
        if answer is None:
            server.guess()
        else:
            server.learn(*answer)

    def look(self, key: bytes, tags: Sequence[str]) -> Work[tuple[Entry | None, Mark]]:
        """Look an entry up by key and tags."""
        yield from self.ask_time()
        clears = self._clears
        wanted = tuple(sorted(set(tags)))
        data, *held = yield from run(
            READING, [("GET", self.prefix + key.hex()), *(("GET", self._stamp(t)) for t in wanted)]
        )
        stamps = {tag: text_of(stamp) for tag, stamp in zip(wanted, held, strict=True)}
        entry, mark = self.read(key, data, Seen(NO_GENERATION, stamps, clears))
        missing = [tag for tag, stamp in stamps.items() if stamp is None]
        if missing:
            with suppress(TierError):  # then a write that passes this mark will be dropped
                stamps |= yield from self._stamps(missing)
        return entry, mark

    def look_many(self, keys: list[bytes]) -> Work[dict[bytes, Entry]]:
        """Look entries up by key, whatever their tags."""
        yield from self.ask_time()
        replies = yield from run(READING, [("GET", self.prefix + key.hex()) for key in keys])
        opened = {
            key: found
            for key, data in zip(keys, replies, strict=True)
            if data is not None and (found := self._open(key, data, StampPair())) is not None
        }
        tags = sorted({tag for entry, _ in opened.values() for tag in entry.tags})
        held = yield from run(READING, [("GET", self._stamp(tag)) for tag in tags])
        current = dict(zip(tags, map(text_of, held), strict=True))
        return {
            key: entry
            for key, (entry, stamps) in opened.items()
            if all(current[tag] == stamp for tag, stamp in zip(entry.tags, stamps, strict=True))
        }

    def keep(self, entries: Mapping[bytes, Entry], mark: Seen | None) -> Work[None]:
        """Write entries that were computed since ``mark``, or now."""
        if mark is not None and mark.clears != self._clears:
            return
        yield from self.ask_time()
        now = self._clock.monotonic()
        lives = {
            key: int(min(self._ttl, entry.stale_until - now) * 1000)
            for key, entry in entries.items()
        }
        kept = {key: entry for key, entry in entries.items() if lives[key] > 0}
        # This also has each stamp outlive the entries that are about to name it.
        stamps = yield from self._stamps(sorted({tag for e in kept.values() for tag in e.tags}))
        if mark is not None:
            # What is void already would only take the place of something that is not. Should it
            # become void from here on, then its stamps tell.
            if any(stamps.get(tag, seen) != seen for tag, seen in mark.stamps.items()):
                return
            generation = mark.generation
        else:
            generation = b""
        commands: list[Command] = []
        for key, entry in kept.items():
            try:
                on_server = shift_entry(entry, self.server.offset)
                sealed = self._envelope.seal(key, on_server, [stamps[tag] for tag in entry.tags])
            except NotEncodableError as error:
                self._tell("not_encodable", error)
                continue
            name = self.prefix + key.hex()
            commands.append(("EVAL", WRITE, 1, name, sealed, lives[key], generation))
        yield from run(WRITING, commands)

    def _stamps(self, tags: Sequence[str]) -> Work[dict[str, str]]:
        """Return the stamps of tags, new ones for those that had none, and extend their lives."""
        # SET with both NX and GET would make it shorter, but exists only from Redis 7 on.
        life = int(self._ttl * 1000) + STAMP_MARGIN
        commands: list[Command] = []
        for tag in tags:
            name = self._stamp(tag)
            commands.append(("SET", name, secrets.token_hex(8), "NX", "PX", life))
            commands.append(("PEXPIRE", name, life))
            commands.append(("GET", name))
        replies = yield from run(WRITING, commands)
        # A stamp that was deleted in this very moment becomes one that no lookup will ever see.
        return {tag: text_of(stamp) or "" for tag, stamp in zip(tags, replies[2::3], strict=True)}

    def bury_many(self, keys: Sequence[bytes]) -> Work[None]:
        """Put a tombstone in the place of each entry."""
        commands: list[Command] = [
            ("SET", self.prefix + key.hex(), secrets.token_bytes(8), "PX", TOMBSTONE_LIFE)
            for key in keys
        ]
        yield from run(WRITING, commands)

    def restamp(self, tags: Sequence[str]) -> Work[None]:
        """Void the stamps of tags."""
        yield from self._unlink([self._stamp(tag) for tag in tags])

    def tags_in_use(self, tags: Sequence[str]) -> Work[list[str]]:
        """Return those of the tags under which a lookup or an entry was made since it was void."""
        held = yield from run(READING, [("GET", self._stamp(tag)) for tag in tags])
        return [tag for tag, stamp in zip(tags, held, strict=True) if stamp is not None]

    def _unlink(self, names: Iterable[Any]) -> Work[None]:
        yield from run(WRITING, [("UNLINK", name) for name in names])

    def clear(self) -> Work[None]:
        """Delete every key under the prefix."""
        nodes = (yield READING, primaries, None) if self._cluster else [None]
        try:
            for node in nodes:
                cursor = -1
                while cursor:
                    place = max(cursor, 0), f"{self.prefix}*", node
                    cursor, names = yield READING, scan, place
                    if isinstance(cursor, dict):  # a cluster's client answers by node
                        cursor = next(iter(cursor.values()))
                    yield from self._unlink(names)
        finally:
            # Also when it broke off: a mark too many is void, rather than one too few.
            self._clears += 1
            self.plain = Seen(NO_GENERATION, {}, self._clears)

    def try_write(self) -> Work[None]:
        """Write and delete a key, as an entry is written."""
        name = f"{self.prefix}check:{secrets.token_hex(8)}"
        yield WRITING, one, ("EVAL", WRITE, 1, name, b"", 60_000, b"")
        yield from self._unlink([name])

    # What the operations share ------------------------------------------------------------------

    def read(self, key: bytes, data: bytes | None, seen: Seen) -> tuple[Entry | None, Seen]:
        """Return the entry, if it counts, and ``seen`` with the generation of ``data``."""
        if data is None:
            return None, seen
        generation = data[:8]
        if generation != NO_GENERATION:
            seen = seen._replace(generation=generation)
        found = self._open(key, data, seen.place)
        if found is None:
            return None, seen
        entry, stamps = found
        if entry.tags != tuple(seen.stamps) or stamps != tuple(seen.stamps.values()):
            return None, seen
        return entry, seen

    def _open(
        self,
        key: bytes,
        data: bytes,
        place: StampPair,  # noqa: ARG002 - for entries that are signed
    ) -> tuple[Entry, tuple[str, ...]] | None:
        """Return an entry that still lives, and the stamps of its tags."""
        found = self._unsealed(key, data)
        if found is None:
            return None
        now = self._clock.monotonic()
        entry = shift_entry(found[0], self.server.shift(found[0].created, now))
        # A life that somebody prolonged on the server must not bring back the dead.
        return (entry, found[1]) if entry.stale_until > now else None

    def _unsealed(self, key: bytes, data: bytes) -> tuple[Entry, tuple[str, ...]] | None:
        """Return an entry with the server's times, and the stamps that it names."""
        if len(data) == len(NO_GENERATION):
            return None  # a tombstone
        try:
            return self._envelope.open(key, data[8:])
        except (UnknownFormatError, TamperedError) as error:
            tampered = isinstance(error, TamperedError)
            self._tell("tampered" if tampered else "unknown_format", error)
            return None

    def _tell(self, kind: str, error: Exception) -> None:
        if self._on_trouble is not None:
            self._on_trouble(kind, error)

    def _stamp(self, tag: str) -> str:
        return f"{self.prefix}tag:{sha256(tag.encode('utf-8', 'surrogatepass')).hexdigest()}"


def chunks(number: int) -> int:
    """Return in how many chunks so many commands are sent, at least one."""
    return max(1, -(-number // _CHUNK))


def run(write: bool, commands: list[Command]) -> Work[list[Any]]:  # noqa: FBT001 - as a step has it
    """Run commands on single keys, in chunks, and return their replies."""
    if len(commands) == 1:
        return [(yield write, one, commands[0])]
    replies: list[Any] = []
    for start in range(0, len(commands), _CHUNK):
        replies += yield write, many, commands[start : start + _CHUNK]
    return replies


def shift_entry(entry: Entry, seconds: float) -> Entry:
    """Return the entry with its times on another clock."""
    payload, created, fresh_until, stale_until, took, price, tags, kind = entry
    return Entry(
        payload, created + seconds, fresh_until + seconds, stale_until + seconds, took, price, tags,
        kind,
    )  # fmt: skip


def text_of(stamp: bytes | None) -> str | None:
    """Return a stamp as text, whatever bytes are in its place."""
    return None if stamp is None else stamp.decode("latin-1")
