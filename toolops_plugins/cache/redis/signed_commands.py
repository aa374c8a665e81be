"""The signed entries of a Redis tier, which can be neither forged nor replayed.

As :mod:`~toolops_plugins.cache.redis.commands`, with these differences. Stamps are signed
(:mod:`~toolops_plugins.cache.redis.stamps`). The whole tier has a stamp under ``space``, which
``clear`` replaces, and each recently deleted key has one under ``key:``. Every entry names the
stamps of the tier, of its key and of its tags. They are read with the entry, in one round trip, and
an entry that names other stamps is void. The name of a tag's key is an HMAC of the tag.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from toolops_plugins.cache.entry import Entry, Mark
from toolops_plugins.cache.redis.commands import (
    NO_GENERATION,
    STAMP_MARGIN,
    WRITE,
    Commands,
    Seen,
    StampPair,
    run,
    shift_entry,
    text_of,
)
from toolops_plugins.cache.redis.connection import READING, WRITING, Command, Work, mget
from toolops_plugins.cache.redis.stamps import Stamps
from toolops_plugins.codec.signing import derive_key
from toolops_plugins.errors import NotEncodableError, TamperedError, TierError

__all__ = ["SignedCommands", "own_tags"]

_SPACE = b"s"
_NONE = "\0"  # stands for a stamp that cannot be accepted
_PLACE = ("\0space", "\0key")  # the names, in an entry, of the stamps of the tier and of its key
_FRESH = 1.0  # seconds; a result that is older comes from another tier
_CHUNK = 500  # keys in one request


def own_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Return the tags of an entry without the names of the tier's and the key's stamps."""
    return tuple(tags[2:] if tuple(tags[:2]) == _PLACE else tags)


class SignedCommands(Commands):
    """The operations of a tier with signed stamps. Safe for any threads."""

    signed = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        namespace, label = args[:2]
        secret = self._envelope.secret
        if secret is None:
            raise ValueError("signed commands need an envelope with a secret")
        self.stamps = Stamps(secret, namespace, label, permanent=_SPACE)
        self._tag_key = derive_key(secret, "tag")
        self._space_extended = -1e9  # monotonic time of the last extension of the tier's stamp

    # Lookups ------------------------------------------------------------------------------------

    def lookup(self, key: bytes, tags: Sequence[str]) -> Work[tuple[Entry | None, Mark]]:
        """Look an entry up by key and tags."""
        yield from self.ask_time()
        clears = self._clears
        wanted = tuple(sorted(set(tags))) if tags else ()
        names = [self.prefix + key.hex(), self.space_name, self._key_name(key)]
        if wanted:
            names += [self._stamp(tag) for tag in wanted]
        data, space, own, *held = yield from self._read_all(names)
        place, broken = self._place(key, space, own)
        stamps: dict[str, str | None] = {}
        for tag, stamp in zip(wanted, held, strict=True):
            name = _tag(tag)
            stamps[tag] = self._accept(name, stamp, broken)
        seen = Seen(NO_GENERATION, stamps, clears, place)
        entry, seen = self.read(key, data, seen)
        if not broken:
            return entry, seen
        renewed: dict[bytes, str] = {}
        with suppress(TierError):  # a write that passes this mark will be dropped
            renewed = yield from self._renew(broken)
        place = StampPair(renewed.get(_SPACE, place.space), renewed.get(_key(key), place.own))
        stamps |= {tag: renewed[_tag(tag)] for tag in wanted if _tag(tag) in renewed}
        return None, seen._replace(stamps=stamps, place=place)

    def names(self, key: bytes) -> list[str]:
        """Return the names of the keys to read for an entry without tags."""
        digits = key.hex()
        return [self.prefix + digits, self.space_name, f"{self.prefix}key:{digits}"]

    def read_plain(self, key: bytes, replies: Sequence[Any]) -> tuple[Entry | None, Mark] | None:
        """Return the result of :meth:`lookup` for a call without tags, or None if that must run.

        Args:
            key: The key.
            replies: The values of the keys in :meth:`names`.
        """
        data, space, own = replies
        name = b"k" + key
        if own is not None or space is None or self.stamps.is_known(name):
            return None
        current = space.decode("latin-1")
        if current != self.stamps.newest(_SPACE):
            return None
        place = StampPair(current, "")
        return self.read(key, data, Seen(NO_GENERATION, {}, self._clears, place))

    def lookup_many(self, keys: list[bytes]) -> Work[dict[bytes, Entry]]:
        """Look entries up by key, whatever their tags."""
        yield from self.ask_time()
        names = [self.space_name]
        for key in keys:
            names += (self.prefix + key.hex(), self._key_name(key))
        space, *replies = yield from self._read_all(names)
        broken: dict[bytes, str | None] = {}
        found: dict[bytes, tuple[Entry, tuple[str, ...]]] = {}
        for key, data, own in zip(keys, replies[::2], replies[1::2], strict=True):
            place, _ = self._place(key, space, own, broken)
            if data is not None and (opened := self._open(key, data, place)) is not None:
                found[key] = opened
        tags = sorted({tag for entry, _ in found.values() for tag in entry.tags})
        held = yield from self._read_all([self._stamp(tag) for tag in tags])
        current = {
            tag: self._accept(_tag(tag), stamp, broken)
            for tag, stamp in zip(tags, held, strict=True)
        }
        if broken:
            with suppress(TierError):
                yield from self._renew(broken)
        return {
            key: entry
            for key, (entry, stamps) in found.items()
            if all(
                current[tag] == stamp and stamp
                for tag, stamp in zip(entry.tags, stamps, strict=True)
            )
        }

    def _read_all(self, names: list[str]) -> Work[list[Any]]:
        if self._cluster:
            replies: list[Any] = yield from run(READING, [("GET", name) for name in names])
            return replies
        if len(names) <= _CHUNK:
            return (yield READING, mget, names) if names else []
        replies = []
        for start in range(0, len(names), _CHUNK):
            replies += yield READING, mget, names[start : start + _CHUNK]
        return replies

    def _place(
        self,
        key: bytes,
        space: bytes | None,
        own: bytes | None,
        broken: dict[bytes, str | None] | None = None,
    ) -> tuple[StampPair, dict[bytes, str | None]]:
        """Return the current stamps of tier and key, and collect those that must be renewed."""
        broken = {} if broken is None else broken
        before = self.stamps.newest(_SPACE)
        current = self._accept(_SPACE, space, broken) or _NONE
        if current != _NONE and before is not None and current != before:
            # The tier was cleared, so all other known stamps belong to void entries.
            self.stamps.forget(_SPACE)
        name = _key(key)
        if own is None and not self.stamps.is_known(name):
            return StampPair(current, ""), broken  # not deleted recently
        return StampPair(current, self._accept(name, own, broken) or _NONE), broken

    def _accept(
        self, name: bytes, held: bytes | None, broken: dict[bytes, str | None]
    ) -> str | None:
        """Return the stamp if it may be current, else add it to ``broken``."""
        stamp = text_of(held)
        if stamp is not None and self.stamps.accept(name, stamp):
            return stamp
        if stamp is not None or self.stamps.is_known(name):
            # The stamp was overwritten: it is forged, or older than the newest known one.
            if stamp is not None and not self.stamps.is_signed(name, stamp):
                self._report("tampered", TamperedError("a stamp has no valid signature"))
            broken[name] = self.stamps.make(name, self.server.moment(), stamp)
        else:
            broken[name] = None
        return None

    def _renew(self, broken: Mapping[bytes, str | None]) -> Work[dict[bytes, str]]:
        """Write new stamps in place of those that were refused or are missing."""
        life = self._stamp_life()
        commands: list[Command] = []
        for name, stamp in broken.items():
            place = self._name_of(name)
            if stamp is None:
                stamp = self.stamps.make(name, self.server.moment())  # noqa: PLW2901 - the one to write
                commands.append(("SET", place, stamp, "NX", "PX", life))
            else:
                commands.append(("SET", place, stamp, "PX", life))
            commands.append(("GET", place))
        replies = yield from run(WRITING, commands)
        found: dict[bytes, str] = {}
        for name, held in zip(broken, replies[1::2], strict=True):
            current = text_of(held)
            # A stamp that is not accepted is replaced by one that no lookup will accept.
            good = current is not None and self.stamps.accept(name, current)
            found[name] = current if good and current is not None else _NONE
        if found.get(_SPACE, _NONE) != _NONE:
            self.stamps.forget(_SPACE)
        return found

    def _open(
        self, key: bytes, data: bytes, place: StampPair
    ) -> tuple[Entry, tuple[str, ...]] | None:
        """Return an entry and the stamps of its tags, if it names the stamps of tier and key."""
        found = self._open_envelope(key, data)
        if found is None:
            return None
        (payload, created, fresh, stale, took, price, tags, kind), stamps = found
        if stamps[:2] != place or tags[:2] != _PLACE or _NONE in place:
            return None
        now = self._clock.monotonic()
        shift = self.server.shift(created, now)
        stale += shift
        if stale <= now:
            return None
        entry = Entry(payload, created + shift, fresh + shift, stale, took, price, tags[2:], kind)
        return entry, stamps[2:]

    # Writes -------------------------------------------------------------------------------------

    def store(self, entries: Mapping[bytes, Entry], mark: Any) -> Work[None]:
        """Write entries that were computed since ``mark``, or now."""
        if mark is not None and (
            mark.clears != self._clears
            or _NONE in mark.place
            or mark.place.space != self.stamps.newest(_SPACE)
        ):
            return
        yield from self.ask_time()
        now = self._clock.monotonic()
        end = now + self._ttl
        lives = {
            key: int((min(end, entry.stale_until) - now) * 1000) for key, entry in entries.items()
        }
        kept = {key: entry for key, entry in entries.items() if lives[key] > 0}
        places = yield from self._places(list(kept), mark)
        # This also extends each stamp beyond the lifetime of the new entries.
        stamps = yield from self._stamps(sorted({tag for e in kept.values() for tag in e.tags}))
        generation = b""
        if mark is not None:
            # A void entry would only displace a valid one. An invalidation after this check is
            # detected by the stamps.
            if any(stamps.get(tag, seen) != seen for tag, seen in mark.stamps.items()):
                return
            generation = mark.generation
        commands: list[Command] = self._extensions()
        for key, entry in kept.items():
            if _NONE in places[key] or (entry.created < now - _FRESH and self._is_old(key, entry)):
                continue
            # The server drops it after its lifetime; restoring it must not extend that.
            bounded = entry._replace(
                tags=(*_PLACE, *entry.tags),
                fresh_until=min(entry.fresh_until, end),
                stale_until=min(entry.stale_until, end),
            )
            try:
                sealed = self._envelope.seal(
                    key,
                    shift_entry(bounded, self.server.offset),
                    [*places[key], *(stamps[tag] for tag in entry.tags)],
                )
            except NotEncodableError as error:
                self._report("not_encodable", error)
                continue
            name = self.prefix + key.hex()
            commands.append(("EVAL", WRITE, 1, name, sealed, lives[key], generation))
            if places[key].own:
                commands.append(("PEXPIRE", self._key_name(key), self._stamp_life()))
        yield from run(WRITING, commands)

    def _is_old(self, key: bytes, entry: Entry) -> bool:
        """Return whether a result is older than its last invalidation in this tier."""
        names = (_SPACE, _key(key), *map(_tag, entry.tags))
        created = entry.created + self.server.offset
        return any(self.stamps.last_invalidation(name) > created for name in names)

    def _places(self, keys: list[bytes], mark: Seen | None) -> Work[dict[bytes, StampPair]]:
        if mark is not None:
            return dict.fromkeys(keys, mark.place)
        names = [self.space_name, *(self._key_name(key) for key in keys)]
        space, *owns = yield from self._read_all(names)
        broken: dict[bytes, str | None] = {}
        places = {
            key: self._place(key, space, own, broken)[0]
            for key, own in zip(keys, owns, strict=True)
        }
        if not broken:
            return places
        renewed = yield from self._renew(broken)
        return {
            key: StampPair(renewed.get(_SPACE, place.space), renewed.get(_key(key), place.own))
            for key, place in places.items()
        }

    def _extensions(self) -> list[Command]:
        """Return the commands that extend the tier's stamp beyond the lifetime of new entries."""
        now = self._clock.monotonic()
        if now - self._space_extended < self._ttl / 2:
            return []
        self._space_extended = now
        return [("PEXPIRE", self.space_name, self._stamp_life())]

    def _stamps(self, tags: Sequence[str]) -> Work[dict[str, str]]:
        """Return the stamps of tags, make missing ones, and extend the lifetime of all."""
        life = self._stamp_life()
        commands: list[Command] = []
        for tag in tags:
            name = self._stamp(tag)
            new = self.stamps.make(_tag(tag), self.server.moment())
            commands.append(("SET", name, new, "NX", "PX", life))
            commands.append(("PEXPIRE", name, life))
            commands.append(("GET", name))
        replies = yield from run(WRITING, commands)
        found: dict[str, str] = {}
        for tag, held in zip(tags, replies[2::3], strict=True):
            stamp = text_of(held)
            good = stamp is not None and self.stamps.accept(_tag(tag), stamp)
            # As above; the next lookup renews it.
            found[tag] = stamp if good and stamp is not None else _NONE
        return found

    # Invalidations ------------------------------------------------------------------------------

    def delete_many(self, keys: Sequence[bytes]) -> Work[None]:
        """Replace each entry with a tombstone, and the stamp of its key with a new one."""
        yield from self._replace([_key(key) for key in keys])
        yield from super().delete_many(keys)

    def invalidate(self, tags: Sequence[str]) -> Work[None]:
        """Replace the stamps of tags."""
        yield from self._replace([_tag(tag) for tag in tags])

    def clear(self) -> Work[None]:
        """Replace the stamp of the tier, and delete all other keys under the prefix."""
        yield from self._replace([_SPACE])
        self.stamps.forget(_SPACE)
        self._space_extended = self._clock.monotonic()
        yield from super().clear()

    def _replace(self, names: Sequence[bytes]) -> Work[None]:
        yield from self.ask_time()
        places = [self._name_of(name) for name in names]
        # Read from the primary, because a replica may return an older stamp.
        held = yield from run(WRITING, [("GET", place) for place in places])
        commands: list[Command] = []
        for name, place, before in zip(names, places, held, strict=True):
            stamp = self.stamps.make(name, self.server.moment(), text_of(before), void=True)
            self.stamps.accept(name, stamp)
            commands.append(("SET", place, stamp, "PX", self._stamp_life()))
        yield from run(WRITING, commands)

    def _unlink(self, names: Any) -> Work[None]:
        space = self.space_name.encode()
        yield from super()._unlink([name for name in names if name != space])

    def is_own(self, space: bytes) -> bool:
        """Return whether the stamp of a tier was made with this secret."""
        return self.stamps.is_signed(_SPACE, space.decode("latin-1"))

    def expire(
        self, keys: Sequence[bytes], tags: Sequence[str], moment: float, *, everything: bool
    ) -> None:
        """Accept no stamp that is older than an invalidation by another process."""
        if everything:
            self.stamps.expire(_SPACE, moment)
        for key in keys:
            self.stamps.expire(_key(key), moment)
        for tag in tags:
            self.stamps.expire(_tag(tag), moment)

    # Names --------------------------------------------------------------------------------------

    def _stamp_life(self) -> int:
        return int(self._ttl * 2000) + STAMP_MARGIN

    def _key_name(self, key: bytes) -> str:
        return f"{self.prefix}key:{key.hex()}"

    def _stamp(self, tag: str) -> str:
        return self._tag_name(_tag(tag))

    def _tag_name(self, name: bytes) -> str:
        return f"{self.prefix}tag:{hmac.digest(self._tag_key, name, 'sha256').hex()}"

    def _name_of(self, name: bytes) -> str:
        if name == _SPACE:
            return self.space_name
        return self._key_name(name[1:]) if name[:1] == b"k" else self._tag_name(name)


def _key(key: bytes) -> bytes:
    return b"k" + key


def _tag(tag: str) -> bytes:
    return b"t" + tag.encode("utf-8", "surrogatepass")
