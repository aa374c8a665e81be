"""The ordered walk through the tiers: nearest first, promotion upward on a hit, writes to all.

Everything here that may need I/O is a flow (see :mod:`toolops_plugins.steps`), walked by the same
drivers as the calls themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from toolops_plugins.cache.entry import Entry, Mark, Tier
from toolops_plugins.errors import ConfigurationError, TierError
from toolops_plugins.steps import Io, Step, as_tier_error, is_callers

__all__ = ["Found", "Tiers", "class_problem", "is_newer", "tier_list"]


class _Skip:
    """The mark of a tier whose lookup failed: a write to it would count, so it is left out."""


_SKIP = _Skip()
_SAME = 0.001  # seconds


def is_newer(entry: Entry, created: float) -> bool:
    """Return whether an entry was computed after another, which was ``created`` then.

    The times of one entry differ by less than a millisecond from one lookup to the next, where
    they are converted from a server's clock.
    """
    return entry.created > created + _SAME


class Found(NamedTuple):
    """What a lookup brought.

    Args:
        entry: The first fresh entry, or the freshest stale one, or None.
        tier: The label of the tier that it came from, or None.
        marks: A mark for each tier that was asked, for the write that may follow.
    """

    entry: Entry | None
    tier: str | None
    marks: tuple[Mark, ...]


class Tiers:
    """Tiers in the order in which they are asked. As safe to share as its tiers are.

    Args:
        tiers: Nearest first.
        on_trouble: Told of every tier that failed: its label and the error.
        on_recovery: Told of a tier that failed to read or to write and now does both: its label.

    Raises:
        ConfigurationError: Two tiers have one label.
    """

    def __init__(
        self,
        tiers: Sequence[Tier],
        on_trouble: Callable[[str, Exception], None],
        on_recovery: Callable[[str], None] = lambda _label: None,
    ) -> None:
        self.all = tuple(tiers)
        self.labels = tuple(tier.label for tier in tiers)
        if len(set(self.labels)) < len(self.labels):
            raise ConfigurationError(
                "tiers",
                f"two tiers have one label: {list(self.labels)}; give each a label= of its own",
            )
        self.remote = any(not tier.local for tier in self.all)
        self._on_trouble = on_trouble
        self._on_recovery = on_recovery
        self._failing: set[tuple[str, str]] = set()  # labels, with "read" or "write"
        # Without a TTL of its own, an entry lives no longer than the most patient tier keeps it.
        lives = [math.inf if tier.ttl is None else tier.ttl for tier in tiers]
        self.longest_ttl = max(lives, default=math.inf)

    def only(self, labels: Iterable[str]) -> Tiers:
        """Return these tiers without those that are not named.

        Raises:
            ConfigurationError: There is no tier of that label.
        """
        wanted = list(labels)
        for label in wanted:
            if label not in self.labels:
                raise ConfigurationError(
                    "tiers", f"there is no tier {label!r}; these are: {list(self.labels)}"
                )
        chosen = [tier for tier in self.all if tier.label in wanted]
        some = Tiers(chosen, self._on_trouble, self._on_recovery)
        some._failing = self._failing
        return some

    def _failed(self, tier: Tier, error: Exception, way: str) -> None:
        """Tell of trouble with a tier, of whatever kind; what is for the caller is raised again."""
        if is_callers(error):
            raise error
        self._failing.add((tier.label, way))
        self._on_trouble(tier.label, error)

    def _worked(self, tier: Tier, way: str) -> None:
        # A Redis that is full still reads: it has recovered when what failed works again.
        label = tier.label
        if (label, way) in self._failing:
            self._failing.discard((label, way))
            if not any(other == label for other, _ in tuple(self._failing)):
                self._on_recovery(label)

    def near(self, key: bytes, tags: Sequence[str]) -> tuple[Entry, str] | None:
        """Return what the first tier holds, and its label, if it can be asked without any I/O."""
        if self.all and self.all[0].local:
            try:
                entry, _ = self.all[0].get(key, tags)
            except Exception as error:  # noqa: BLE001 - trouble with a tier is a miss
                self._failed(self.all[0], error, "read")
                return None
            if entry is not None:
                return entry, self.all[0].label
        return None

    def lookup(
        self, key: bytes, tags: Sequence[str], now: float, newer_than: float = -math.inf
    ) -> Generator[Step, Any, Found]:
        """Ask tier by tier until one has a fresh entry, and promote that upward.

        Args:
            key: The key.
            tags: The tags of the call.
            now: The runtime's monotonic time.
            newer_than: A monotonic time: what was computed then or before does not count as
                fresh, since it is what is to be refreshed.
        """
        marks: list[Mark] = []
        best: Entry | None = None
        best_tier: str | None = None
        for tier in self.all:
            try:
                if tier.local:
                    entry, mark = tier.get(key, tags)
                else:
                    entry, mark = yield Io(tier.get, tier.aget, key, tags)
            except Exception as error:  # noqa: BLE001 - what is the caller's, that raises again
                self._failed(tier, error, "read")
                marks.append(_SKIP)
                continue
            if self._failing:
                self._worked(tier, "read")
            if entry is not None and entry.fresh_until > now and is_newer(entry, newer_than):
                if marks:
                    yield from self.store(key, entry, marks)
                return Found(entry, tier.label, tuple(marks))
            marks.append(mark)
            if entry is not None and (best is None or entry.fresh_until > best.fresh_until):
                best, best_tier = entry, tier.label
        return Found(best, best_tier, tuple(marks))

    def store(
        self, key: bytes, entry: Entry, marks: Sequence[Mark] | None = None
    ) -> Generator[Step, Any, None]:
        """Write an entry to every tier for which there is a mark (None: to all, as of now)."""
        tiers = self.all if marks is None else self.all[: len(marks)]
        for tier, mark in zip(tiers, marks or [None] * len(tiers), strict=True):
            if mark is _SKIP:
                continue
            try:
                if tier.local:
                    tier.set(key, entry, mark)
                else:
                    yield Io(tier.set, tier.aset, key, entry, mark)
            except Exception as error:  # noqa: BLE001 - what is the caller's, that raises again
                self._failed(tier, error, "write")
            else:
                if self._failing:
                    self._worked(tier, "write")

    @property
    def nearest(self) -> Tier | None:
        """The first tier, if it needs no I/O."""
        return self.all[0] if self.all and self.all[0].local else None

    def store_near(self, key: bytes, entry: Entry, marks: Sequence[Mark]) -> None:
        """Write an entry to the first tier only, if that needs no I/O."""
        tier = self.nearest
        if tier is not None and marks and marks[0] is not _SKIP:
            try:
                tier.set(key, entry, marks[0])
            except Exception as error:  # noqa: BLE001 - trouble with a tier costs the copy alone
                self._on_trouble(tier.label, error)

    def get_many(
        self, keys: Sequence[bytes], now: float
    ) -> Generator[Step, Any, dict[bytes, Entry]]:
        """Return the fresh entries of many untagged keys, asking each tier once for what is left.

        Args:
            keys: The keys.
            now: The runtime's monotonic time.
        """
        found: dict[bytes, Entry] = {}
        for depth, tier in enumerate(self.all):
            left = [key for key in dict.fromkeys(keys) if key not in found]
            if not left:
                break
            try:
                if tier.local:
                    got = {key: tier.get(key)[0] for key in left}
                else:
                    got = yield Io(tier.get_many, tier.aget_many, left)
            except Exception as error:  # noqa: BLE001 - what is the caller's, that raises again
                self._failed(tier, error, "read")
                continue
            if self._failing:
                self._worked(tier, "read")
            fresh = {k: e for k, e in got.items() if e is not None and e.fresh_until > now}
            found.update(fresh)
            if depth and fresh:
                yield from self._write_many(self.all[:depth], fresh)
        return found

    def set_many(self, entries: Mapping[bytes, Entry]) -> Generator[Step, Any, None]:
        """Write many entries to every tier, as of now."""
        yield from self._write_many(self.all, entries)

    def _write_many(
        self, tiers: Sequence[Tier], entries: Mapping[bytes, Entry]
    ) -> Generator[Step, Any, None]:
        for tier in tiers:
            try:
                if tier.local:
                    for key, entry in entries.items():
                        tier.set(key, entry)
                else:
                    yield Io(tier.set_many, tier.aset_many, entries)
            except Exception as error:  # noqa: BLE001 - what is the caller's, that raises again
                self._failed(tier, error, "write")
            else:
                if self._failing:
                    self._worked(tier, "write")

    def delete(self, keys: Sequence[bytes]) -> Generator[Step, Any, None]:
        """Forget keys in every tier; all at once where a tier can do that.

        Raises:
            TierError: A tier could not be reached, after all others were told.
        """
        yield from self._tell("delete", "adelete", each=keys)

    def invalidate(self, tags: Sequence[str]) -> Generator[Step, Any, None]:
        """Forget everything under any of the tags, in every tier.

        Raises:
            TierError: A tier could not be reached, after all others were told.
        """
        yield from self._tell("invalidate", "ainvalidate", tags)

    def clear(self) -> Generator[Step, Any, None]:
        """Forget everything, in every tier.

        Raises:
            TierError: A tier could not be reached, after all others were told.
        """
        yield from self._tell("clear", "aclear")

    def close(self) -> Generator[Step, Any, None]:
        """Release what every tier holds."""
        yield from self._tell("close", "aclose")

    def _tell(
        self, sync: str, aio: str, *args: Any, each: Sequence[Any] | None = None
    ) -> Generator[Step, Any, None]:
        # Farthest first: were the near tier emptied first, a call in between could fill it again
        # from the far one.
        trouble: TierError | None = None
        for tier in reversed(self.all):
            calls: list[tuple[str, str, tuple[Any, ...]]] = [(sync, aio, args)]
            if each is not None and hasattr(tier, f"{sync}_many"):
                calls = [(f"{sync}_many", f"{aio}_many", (each,))]
            elif each is not None:
                calls = [(sync, aio, (one,)) for one in each]
            for blocking, awaiting, given in calls:
                try:
                    if tier.local:
                        getattr(tier, blocking)(*given)
                    else:
                        yield Io(getattr(tier, blocking), getattr(tier, awaiting), *given)
                except Exception as error:  # noqa: BLE001 - what is the caller's, that raises again
                    self._failed(tier, error, "write")
                    trouble = trouble or as_tier_error(error)
        if trouble is not None:
            raise trouble


def tier_list(tiers: Any) -> tuple[Tier, ...]:
    """Return tiers in their order; one alone may stand for a list of one.

    Raises:
        ConfigurationError: It is no list of tiers.
    """
    if _is_tier(tiers):
        return (tiers,)
    if isinstance(tiers, type):
        raise ConfigurationError("tiers", class_problem(tiers))
    if isinstance(tiers, str | bytes | set | frozenset | Mapping) or not isinstance(
        tiers, Iterable
    ):
        shown = f"a {type(tiers).__name__}"  # a URL may hold a password
        raise ConfigurationError(
            "tiers", f"must be a list of tiers, nearest first, such as [Memory()], not {shown}"
        )
    found = tuple(tiers)
    for number, tier in enumerate(found):
        if isinstance(tier, type):
            raise ConfigurationError("tiers", class_problem(tier))
        if not _is_tier(tier):
            shown = f"a {type(tier).__name__}" if isinstance(tier, str | bytes) else repr(tier)
            raise ConfigurationError(
                "tiers",
                "must hold tiers only, such as Memory() and "
                f'Redis("redis://localhost:6379"), not {shown}',
            )
        if any(tier is other for other in found[:number]):
            raise ConfigurationError("tiers", f"holds {tier!r} twice; make one tier for each place")
    if sum(not getattr(tier, "named", True) for tier in found) > 1:
        # One is enough for a process, so this is most likely a slip.
        raise ConfigurationError(
            "tiers", "holds two Memory tiers; if it is to have both, give each a label= of its own"
        )
    return found


def _is_tier(tier: Any) -> bool:
    if isinstance(tier, type):
        return False
    return all(hasattr(tier, name) for name in ("get", "set", "local", "label"))


def class_problem(found: type) -> str:
    """Return what to tell whoever has given a class in place of an object of it."""
    needed = '"redis://localhost:6379"' if found.__name__ == "Redis" else ""
    name = found.__name__
    return f"needs an object, not the class {name}: write {name}({needed})"
