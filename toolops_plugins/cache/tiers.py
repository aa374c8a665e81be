"""The tiers of a runtime: the nearest one, their failures, and invalidation in all of them.

Lookups and writes are in :mod:`toolops_plugins.calls.aio.tiers`. Invalidation is written as
generators of I/O (see :mod:`toolops_plugins.steps`), for callers in threads and on event loops.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from toolops_plugins.cache.entry import Entry, Mark, Tier
from toolops_plugins.errors import ConfigurationError, TierError
from toolops_plugins.steps import Io, as_tier_error, is_caller_error

__all__ = ["SKIP", "LookupResult", "Tiers", "class_problem", "is_newer", "tier_list"]


class _Skip:
    """The mark of a tier whose lookup failed. Nothing is written to that tier."""


SKIP = _Skip()
"""The only mark of its class."""
_SAME = 0.001  # seconds


def is_newer(entry: Entry, created: float) -> bool:
    """Return whether an entry is newer than one computed at ``created``.

    Times converted from a server's clock vary by less than a millisecond between two lookups of the
    same entry, so a smaller difference does not count.
    """
    return entry.created > created + _SAME


class LookupResult(NamedTuple):
    """The result of a lookup.

    Args:
        entry: The first fresh entry, else the freshest stale one, else None.
        tier: The label of the tier that had the entry, or None.
        marks: The marks of the tiers that were asked, for the write that may follow.
    """

    entry: Entry | None
    tier: str | None
    marks: tuple[Mark, ...]


class Tiers:
    """The tiers of a runtime, in lookup order. As safe to share as the tiers themselves.

    Args:
        tiers: The tiers, nearest first.
        on_trouble: Called with the label and the error whenever a tier fails.
        on_recovery: Called with the label when a tier that failed can read and write again.

    Raises:
        ConfigurationError: Two tiers have the same label.
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
        self.failing: set[tuple[str, str]] = set()
        """Labels of tiers that have failed, each with "read" or "write"."""
        # An entry without a TTL lives as long as the tier with the longest TTL stores it.
        ttls = [math.inf if tier.ttl is None else tier.ttl for tier in tiers]
        self.longest_ttl = max(ttls, default=math.inf)

    def only(self, labels: Iterable[str]) -> Tiers:
        """Return the subset of tiers with the given labels.

        Raises:
            ConfigurationError: A label belongs to no tier.
        """
        wanted = list(labels)
        for label in wanted:
            if label not in self.labels:
                raise ConfigurationError(
                    "tiers", f"there is no tier {label!r}; these are: {list(self.labels)}"
                )
        chosen = [tier for tier in self.all if tier.label in wanted]
        some = Tiers(chosen, self._on_trouble, self._on_recovery)
        some.failing = self.failing
        return some

    def record_failure(
        self, tier: Tier, error: Exception, way: str, *, again: bool = False
    ) -> None:
        """Report a failure of a tier. Raise the error again if it belongs to the caller.

        Args:
            tier: The tier.
            error: Its error.
            way: The use that failed: "read" or "write".
            again: Whether the same call has reported a failure of this tier before. Default False.
        """
        if is_caller_error(error):
            raise error
        self.failing.add((tier.label, way))
        if not again:
            self._on_trouble(tier.label, error)

    def record_success(self, tier: Tier, way: str) -> None:
        """Report that a tier works, if it had failed."""
        # A full Redis still answers reads, so reads and writes are tracked apart.
        label = tier.label
        if (label, way) in self.failing:
            self.failing.discard((label, way))
            if not any(other == label for other, _ in tuple(self.failing)):
                self._on_recovery(label)

    def near(self, key: bytes, tags: Sequence[str]) -> tuple[Entry, str] | None:
        """Look up the first tier, if that needs no I/O; return the entry and the tier's label."""
        if self.all and self.all[0].local:
            try:
                entry, _ = self.all[0].get(key, tags)
            except Exception as error:  # noqa: BLE001 - a failure of a tier is a miss
                self.record_failure(self.all[0], error, "read")
                return None
            if entry is not None:
                return entry, self.all[0].label
        return None

    @property
    def nearest(self) -> Tier | None:
        """The first tier, if it needs no I/O, else None."""
        return self.all[0] if self.all and self.all[0].local else None

    def store_near(self, key: bytes, entry: Entry, marks: Sequence[Mark]) -> None:
        """Write an entry to the first tier alone, if that needs no I/O."""
        tier = self.nearest
        if tier is not None and marks and marks[0] is not SKIP:
            try:
                tier.set(key, entry, marks[0])
            except Exception as error:  # noqa: BLE001 - a failure costs only the copy
                self._on_trouble(tier.label, error)

    def delete(self, keys: Sequence[bytes]) -> Generator[Io, Any, None]:
        """Delete keys in every tier, in one request where the tier supports that.

        Raises:
            TierError: A tier failed. The other tiers have done their part.
        """
        yield from self._broadcast("delete", "adelete", each=keys)

    def invalidate(self, tags: Sequence[str]) -> Generator[Io, Any, None]:
        """Delete all entries with one of the tags, in every tier.

        Raises:
            TierError: A tier failed. The other tiers have done their part.
        """
        yield from self._broadcast("invalidate", "ainvalidate", tags)

    def clear(self) -> Generator[Io, Any, None]:
        """Delete all entries, in every tier.

        Raises:
            TierError: A tier failed. The other tiers have done their part.
        """
        yield from self._broadcast("clear", "aclear")

    def close(self) -> Generator[Io, Any, None]:
        """Release the resources of every tier."""
        yield from self._broadcast("close", "aclose")

    def _broadcast(
        self, sync: str, aio: str, *args: Any, each: Sequence[Any] | None = None
    ) -> Generator[Io, Any, None]:
        # Farthest first. Otherwise a call in between could fill the near tier from the far one.
        trouble: TierError | None = None
        for tier in reversed(self.all):
            calls: list[tuple[str, str, tuple[Any, ...]]] = [(sync, aio, args)]
            if each is not None and hasattr(tier, f"{sync}_many"):
                calls = [(f"{sync}_many", f"{aio}_many", (each,))]
            elif each is not None:
                calls = [(sync, aio, (one,)) for one in each]
            for blocking, awaiting, arguments in calls:
                try:
                    if tier.local:
                        getattr(tier, blocking)(*arguments)
                    else:
                        yield Io(getattr(tier, blocking), getattr(tier, awaiting), *arguments)
                except Exception as error:  # noqa: BLE001 - an error of the caller is raised again
                    self.record_failure(tier, error, "write")
                    trouble = trouble or as_tier_error(error)
        if trouble is not None:
            raise trouble


def tier_list(tiers: Any) -> tuple[Tier, ...]:
    """Return ``tiers`` as a tuple; a single tier counts as a list of one.

    Raises:
        ConfigurationError: The argument is not a list of tiers.
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
        # A process needs only one, so this is most likely a mistake.
        raise ConfigurationError(
            "tiers", "holds two Memory tiers; to use both, give each a label= of its own"
        )
    return found


def _is_tier(tier: Any) -> bool:
    if isinstance(tier, type):
        return False
    return all(hasattr(tier, name) for name in ("get", "set", "local", "label"))


def class_problem(found: type) -> str:
    """Return the error text for a class that was passed in place of an instance."""
    needed = '"redis://localhost:6379"' if found.__name__ == "Redis" else ""
    name = found.__name__
    return f"needs an object, not the class {name}: write {name}({needed})"
