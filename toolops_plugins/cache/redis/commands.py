"""The keys and commands of a Redis tier.

The value of an entry's key is a *generation* of eight bytes and the envelope of the entry.
``delete`` leaves a tombstone, which is a new generation without an envelope. A write that passes a
mark runs a script that drops the entry unless the generation is still that of the mark. So a result
computed before a deletion is never stored after it.

Each tag has a random *stamp* under a key of its own. An envelope names the stamps that its tags had
at the lookup, and the entry is valid only while they are current. So deleting one stamp invalidates
all entries of the tag. A lookup creates missing stamps, because a mark of a missing stamp could not
detect an invalidation.

All commands and scripts touch a single key, as clusters require. Each operation is written once, as
a generator of actions, and run by a blocking or an awaiting driver (see
:mod:`toolops_plugins.cache.redis.connection`). Times in an envelope are by the server's clock (see
:mod:`toolops_plugins.cache.redis.server_time`).
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
    "Commands",
    "Seen",
    "StampPair",
    "chunks",
    "run",
    "shift_entry",
    "text_of",
]

_CHUNK = 500  # commands in one pipeline; bounds the memory of client and server
NO_GENERATION = bytes(8)
TOMBSTONE_LIFE = 600_000  # ms; a computation that began before a deletion must end within it
STAMP_MARGIN = 60_000  # ms by which a stamp outlives every entry that names it

# KEYS: the key of the entry. ARGV: envelope, lifetime in ms, generation of the mark, or "" for
# "computed now". pcall, so that a key of another type is overwritten, as SET would do.
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
    """The stamps of a tier and of a key; used with a secret only."""

    space: str = ""
    own: str = ""


class Seen(NamedTuple):
    """The mark of a lookup: the state that must be unchanged when its result is written."""

    generation: bytes
    stamps: Mapping[str, str | None]
    clears: int
    place: StampPair = StampPair()


class Commands:
    """The operations of a tier, without a connection. Safe for any threads.

    Args:
        namespace: Separates the keys of this runtime from those of others; any text.
        label: Separates the keys of this tier from those of others.
        ttl: Longest lifetime of an entry in seconds.
        envelope: Converts entries to bytes.
        clock: The source of time.
        cluster: Whether the servers form a cluster.
        on_trouble: Called with a kind and the error when stored bytes cannot be read. None: ignore.
    """

    signed = False
    """True if entries and stamps are signed."""

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
        # Quoted text has no glob character, colon or brace. So no prefix matches the keys of
        # another tier, and the keys of a cluster are spread over all slots.
        place, own = (quote(text, "", errors="surrogatepass") for text in (namespace, label))
        self.channel = f"toolops:{place}:void"
        self.prefix = f"toolops:{place}:{own}:"
        self._prefix = self.prefix.encode()
        self._prefix_length = len(self._prefix)
        self.space_name = f"{self.prefix}space"
        self.plain = Seen(NO_GENERATION, {}, 0)
        self._ttl = ttl
        self._envelope = envelope
        self._clock = clock
        self.server = ServerTime(clock)
        self._cluster = cluster
        self._on_trouble = on_trouble
        self._clears = 0

    def get_request(self, key: bytes) -> bytes:
        """Return the request for the value of an entry's key."""
        digits = key.hex().encode()
        return b"*2\r\n$3\r\nGET\r\n$%d\r\n%b%b\r\n" % (
            self._prefix_length + len(digits),
            self._prefix,
            digits,
        )

    def ask_time(self) -> Work[None]:
        """Request the server's time, if a request is due."""
        server = self.server
        if not server.due():
            return
        server.begin()
        try:
            answer = yield READING, tell_time, self.channel
            if answer is not None and answer[1] > EXACT:  # the first request had to connect
                again = yield READING, tell_time, self.channel
                answer = min(answer, again or answer, key=lambda each: each[1])
        except TierError:
            server.renew()
            raise
        if answer is None:
            server.guess()
        else:
            server.learn(*answer)

    def lookup(self, key: bytes, tags: Sequence[str]) -> Work[tuple[Entry | None, Mark]]:
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
            with suppress(TierError):  # a write that passes this mark will be dropped
                stamps |= yield from self._stamps(missing)
        return entry, mark

    def lookup_many(self, keys: list[bytes]) -> Work[dict[bytes, Entry]]:
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

    def store(self, entries: Mapping[bytes, Entry], mark: Seen | None) -> Work[None]:
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
        # This also extends each stamp beyond the lifetime of the new entries.
        stamps = yield from self._stamps(sorted({tag for e in kept.values() for tag in e.tags}))
        if mark is not None:
            # A void entry would only displace a valid one. An invalidation after this check is
            # detected by the stamps.
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
                self._report("not_encodable", error)
                continue
            name = self.prefix + key.hex()
            commands.append(("EVAL", WRITE, 1, name, sealed, lives[key], generation))
        yield from run(WRITING, commands)

    def _stamps(self, tags: Sequence[str]) -> Work[dict[str, str]]:
        """Return the stamps of tags, make missing ones, and extend the lifetime of all."""
        # SET with both NX and GET would be shorter, but needs Redis 7.
        life = int(self._ttl * 1000) + STAMP_MARGIN
        commands: list[Command] = []
        for tag in tags:
            name = self._stamp(tag)
            commands.append(("SET", name, secrets.token_hex(8), "NX", "PX", life))
            commands.append(("PEXPIRE", name, life))
            commands.append(("GET", name))
        replies = yield from run(WRITING, commands)
        # A stamp deleted in this very moment is replaced by one that no lookup will accept.
        return {tag: text_of(stamp) or "" for tag, stamp in zip(tags, replies[2::3], strict=True)}

    def delete_many(self, keys: Sequence[bytes]) -> Work[None]:
        """Replace each entry with a tombstone."""
        commands: list[Command] = [
            ("SET", self.prefix + key.hex(), secrets.token_bytes(8), "PX", TOMBSTONE_LIFE)
            for key in keys
        ]
        yield from run(WRITING, commands)

    def invalidate(self, tags: Sequence[str]) -> Work[None]:
        """Void the stamps of tags."""
        yield from self._unlink([self._stamp(tag) for tag in tags])

    def tags_in_use(self, tags: Sequence[str]) -> Work[list[str]]:
        """Return the tags with a lookup or an entry since their last invalidation."""
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
            # Even if the scan fails: voiding too many marks is safe, voiding too few is not.
            self._clears += 1
            self.plain = Seen(NO_GENERATION, {}, self._clears)

    def try_write(self) -> Work[None]:
        """Write and delete a test key, with the script that writes entries."""
        name = f"{self.prefix}check:{secrets.token_hex(8)}"
        yield WRITING, one, ("EVAL", WRITE, 1, name, b"", 60_000, b"")
        yield from self._unlink([name])

    # Helpers ------------------------------------------------------------------------------------

    def read(self, key: bytes, data: bytes | None, seen: Seen) -> tuple[Entry | None, Seen]:
        """Return the entry if it is valid, and ``seen`` with the generation of ``data``."""
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
        place: StampPair,  # noqa: ARG002 - for signed entries
    ) -> tuple[Entry, tuple[str, ...]] | None:
        """Return an entry that has not expired, and the stamps of its tags."""
        found = self._open_envelope(key, data)
        if found is None:
            return None
        now = self._clock.monotonic()
        entry = shift_entry(found[0], self.server.shift(found[0].created, now))
        # The lifetime on the server may have been extended by somebody else.
        return (entry, found[1]) if entry.stale_until > now else None

    def _open_envelope(self, key: bytes, data: bytes) -> tuple[Entry, tuple[str, ...]] | None:
        """Return an entry with times of the server's clock, and the stamps that it names."""
        if len(data) == len(NO_GENERATION):
            return None  # a tombstone
        try:
            return self._envelope.open(key, data[8:])
        except (UnknownFormatError, TamperedError) as error:
            tampered = isinstance(error, TamperedError)
            self._report("tampered" if tampered else "unknown_format", error)
            return None

    def _report(self, kind: str, error: Exception) -> None:
        if self._on_trouble is not None:
            self._on_trouble(kind, error)

    def _stamp(self, tag: str) -> str:
        return f"{self.prefix}tag:{sha256(tag.encode('utf-8', 'surrogatepass')).hexdigest()}"


def chunks(number: int) -> int:
    """Return the number of pipelines for ``number`` commands, at least one."""
    return max(1, -(-number // _CHUNK))


def run(write: bool, commands: list[Command]) -> Work[list[Any]]:  # noqa: FBT001 - as a step has it
    """Run commands on single keys in pipelines, and return their replies."""
    if len(commands) == 1:
        return [(yield write, one, commands[0])]
    replies: list[Any] = []
    for start in range(0, len(commands), _CHUNK):
        replies += yield write, many, commands[start : start + _CHUNK]
    return replies


def shift_entry(entry: Entry, seconds: float) -> Entry:
    """Return the entry with its times shifted to another clock."""
    payload, created, fresh_until, stale_until, took, price, tags, kind = entry
    return Entry(
        payload, created + seconds, fresh_until + seconds, stale_until + seconds, took, price, tags,
        kind,
    )  # fmt: skip


def text_of(stamp: bytes | None) -> str | None:
    """Return a stamp as text; any bytes are accepted."""
    return None if stamp is None else stamp.decode("latin-1")
