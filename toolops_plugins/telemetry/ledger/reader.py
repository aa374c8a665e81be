"""The reading side of a ledger, for dashboards, reports and commands."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeAlias, TypeVar
from uuid import uuid4

import orjson

from toolops_plugins import check
from toolops_plugins.closing import SyncClosing
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.telemetry.ledger.levels import MINUTE, cover
from toolops_plugins.telemetry.ledger.records import Command, ProcessState, StoredNotice
from toolops_plugins.telemetry.ledger.store import Store
from toolops_plugins.telemetry.ledger.sums import DIMENSIONS, Cell, Decisions, Dimension, Summary
from toolops_plugins.telemetry.ledger.urls import open_store

__all__ = ["Key", "LedgerReader", "open_reader"]

Key: TypeAlias = tuple[str, ...]
"""The values of the dimensions that were asked for, in their order."""

Sums = TypeVar("Sums", Summary, Decisions)

_MOST_STEPS: Final = 10_000


def open_reader(url: str) -> LedgerReader:
    """Open a ledger for reading, with connections of its own.

    Args:
        url: ``sqlite:///file`` with a path from the working folder, ``sqlite:////file`` with an
            absolute one, or the URL of a Redis, as :class:`~toolops_plugins.cache.redis.Redis`
            takes it.

    Raises:
        ConfigurationError: The URL is none of these.
        LedgerError: The ledger is out of reach, of a newer version, or no ledger.
    """
    return LedgerReader(open_store(url))


class LedgerReader(SyncClosing):
    """Reads what processes have written to a ledger; see :func:`open_reader`.

    It makes no runtime. Every method asks the store anew, so figures are at most as old as the last
    write of each process: some seconds. Times are seconds since the epoch, and minutes UTC. Calls
    count in the minute in which they ended. The ends of a span are rounded outwards to the
    records that are kept there: minutes for two days, ten minutes for 15 days, hours for 100 days,
    and then days.

    Safe to use from any threads; methods block.

    Args:
        store: The store. The reader closes it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def place(self) -> str:
        """The URL, without user and password."""
        return self._store.place

    def now(self) -> float:
        """Return the ledger's present time: that of the Redis server, or of this host."""
        return self._store.now()

    def summaries(
        self,
        since: float,
        until: float | None = None,
        *,
        by: Sequence[Dimension] = ("tool",),
        where: Mapping[Dimension, str] | None = None,
    ) -> dict[Key, Summary]:
        """Return the sums of the calls in a span.

        Args:
            since: The start.
            until: The end. Default None: now.
            by: The dimensions that are told apart. ``()``: all calls together, under ``()``.
            where: Values that dimensions must have. Default: all calls.

        Returns:
            The sums by the values of ``by``; what was not called is absent.

        Raises:
            ConfigurationError: A dimension does not exist.
            LedgerError: The ledger is out of reach.
        """
        return self._sum(Summary, since, until, by, where)

    def decisions(
        self,
        since: float,
        until: float | None = None,
        *,
        by: Sequence[Dimension] = ("tool",),
        where: Mapping[Dimension, str] | None = None,
    ) -> dict[Key, Decisions]:
        """Return the decisions of the semantic cache in a span.

        Arguments, result and errors are those of :meth:`summaries`.
        """
        found = self._sum(Decisions, since, until, by, where)
        return {key: sums for key, sums in found.items() if sums.total or sums.checked}

    def series(
        self,
        since: float,
        until: float | None = None,
        *,
        step: float = 60.0,
        by: Sequence[Dimension] = (),
        where: Mapping[Dimension, str] | None = None,
    ) -> list[tuple[float, dict[Key, Summary]]]:
        """Return the sums of the calls in each step of a span, in the order of time.

        Where only longer records are kept than a step, each stands in the step of its start.

        Args:
            since: The start; rounded down to a multiple of ``step``.
            until: The end. Default None: now.
            step: Seconds of a step; rounded up to whole minutes. Default 60.
            by: As in :meth:`summaries`. Default: all calls together.
            where: As in :meth:`summaries`.

        Returns:
            The start of every step, and its sums; those of a step without calls are empty.

        Raises:
            ConfigurationError: A dimension does not exist, or there are more than 10,000 steps.
            LedgerError: The ledger is out of reach.
        """
        width = math.ceil(check.seconds("step", step, zero=False) / MINUTE) * MINUTE
        now = self.now()
        start, end = _span(since, until, now)
        first = math.floor(start / width) * width
        after = max(math.ceil(now if until is None else end), first + 1)
        if (after - first) / width > _MOST_STEPS:
            raise ConfigurationError("step", f"makes more than {_MOST_STEPS:,} steps of this span")
        steps: dict[int, dict[Key, Summary]] = {at: {} for at in range(first, after, width)}
        key_of = _make_key_of(by, where)
        namespace = (where or {}).get("namespace")
        for piece in cover(first, end, now, self._store.retention(), step=width):
            for at, cell, data in self._store.read(*piece, namespace):
                key = key_of(cell)
                if key is None:
                    continue
                # The first record may begin before the first step, if it is longer.
                sums = steps.setdefault(max(at - at % width, first), {})
                found = sums.get(key)
                if found is None:
                    found = sums[key] = Summary()
                found.add_record(orjson.loads(data))
        return sorted((float(at), sums) for at, sums in steps.items())

    def processes(self) -> list[ProcessState]:
        """Return the processes that have written in the last two minutes, latest start first.

        Raises:
            LedgerError: The ledger is out of reach.
        """
        return sorted(self._store.processes(), key=lambda each: (-each.started, each.id))

    def notices(
        self, since: float, until: float | None = None, limit: int = 100
    ) -> list[StoredNotice]:
        """Return the latest notices of a span, latest first.

        Args:
            since: The start.
            until: The end. Default None: now.
            limit: Their maximum number. Default 100.

        Raises:
            LedgerError: The ledger is out of reach.
        """
        start, end = _span(since, until, self.now())
        return self._store.notices(start, end, check.count("limit", limit))

    def send(self, command: Command) -> Command:
        """Ask all processes of a namespace for a change; return the command with id and time.

        Each process that was made with ``Ledger(..., allow_commands=True)`` carries it out once,
        when it next writes, which is within seconds. After a minute the command is void.

        Raises:
            ConfigurationError: The command lacks a namespace, a name or tags.
            LedgerError: The ledger is out of reach, or read-only.
        """
        if not command.namespace:
            raise ConfigurationError("namespace", "of a command must not be empty")
        if command.kind == "invalidate":
            check.texts("tags", command.tags)
            if not command.tags:
                raise ConfigurationError("tags", "must name at least one tag")
        elif command.kind not in ("open_breaker", "close_breaker", "reset_breaker"):
            raise ConfigurationError("kind", f"{command.kind!r} is no command")
        elif not command.name:
            raise ConfigurationError("name", "of the breaker must not be empty")
        stamped = replace(command, id=uuid4().hex, sent=self.now())
        self._store.send(stamped)
        return stamped

    def close(self) -> None:
        """Release connections."""
        self._store.close()

    def __repr__(self) -> str:
        return f"LedgerReader({self.place!r})"

    def _sum(
        self,
        kind: type[Sums],
        since: float,
        until: float | None,
        by: Sequence[Dimension],
        where: Mapping[Dimension, str] | None,
    ) -> dict[Key, Sums]:
        key_of = _make_key_of(by, where)
        namespace = (where or {}).get("namespace")
        now = self.now()
        start, end = _span(since, until, now)
        sums: dict[Key, Sums] = {}
        for piece in cover(start, end, now, self._store.retention()):
            for _, cell, data in self._store.read(*piece, namespace):
                key = key_of(cell)
                if key is None:
                    continue
                found = sums.get(key)
                if found is None:
                    found = sums[key] = kind()
                found.add_record(orjson.loads(data))
        return sums


def _span(since: float, until: float | None, now: float) -> tuple[float, float]:
    start = max(check.number("since", since), 0.0)
    # The clock of another process may be a little ahead.
    last = now + MINUTE
    return start, last if until is None else min(check.number("until", until), last)


def _make_key_of(
    by: Sequence[Dimension], where: Mapping[Dimension, str] | None
) -> Callable[[Cell], Key | None]:
    """Return a function that gives the key of a cell, or None if it is not asked for."""
    wanted = dict(where or {})
    for name in (*by, *wanted):
        if name not in DIMENSIONS:
            raise ConfigurationError(
                "by" if name in by else "where",
                f"has no dimension {name!r}; there are: {', '.join(DIMENSIONS)}",
            )
    places = [DIMENSIONS.index(name) for name in by]
    tests = [(DIMENSIONS.index(name), value) for name, value in wanted.items()]
    known: dict[Cell, Key | None] = {}

    def key_of(cell: Cell) -> Key | None:
        if cell not in known:
            fits = all(cell[place] == value for place, value in tests)
            known[cell] = tuple(cell[place] for place in places) if fits else None
        return known[cell]

    return key_of
