"""The interface between a ledger and the place that keeps its records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from toolops_plugins.telemetry.ledger.levels import DAY, LEVELS
from toolops_plugins.telemetry.ledger.records import Command, ProcessState, StoredNotice
from toolops_plugins.telemetry.ledger.sums import Cell

__all__ = [
    "COMMAND_SECONDS",
    "MOST_NOTICES",
    "NOTICE_SECONDS",
    "NOT_WRITTEN",
    "PROCESS_SECONDS",
    "VERSION",
    "Batch",
    "Record",
    "Store",
    "add_record",
    "by_level",
]

VERSION = 1
"""The version of the stored form. A ledger of a newer one is not touched."""

NOT_WRITTEN = "no process has written to it yet"
"""The end of the error about a ledger that does not exist yet."""

PROCESS_SECONDS = 120.0
"""Seconds after its last write for which a process is listed."""

COMMAND_SECONDS = 60.0
"""Seconds after which a command that nobody carried out is void."""

MOST_NOTICES = 10_000
"""The maximum number of notices that are kept; the oldest are dropped."""

NOTICE_SECONDS = 30 * DAY
"""Seconds for which notices are kept."""

Record: TypeAlias = dict[str, dict[str, Any]]
"""Dictionaries of numbers that add up by name; see :meth:`Summary.to_record`."""


class Batch(NamedTuple):
    """One write of a process.

    Args:
        writer: Identifies the writer, in all processes.
        serial: Grows with each batch of the writer; a batch that was added is not added again.
        sums: The records to add, by minute and cell. The minutes are seconds since the epoch.
        notices: The notices since the last write.
        state: The state of the process.
    """

    writer: str
    serial: int
    sums: Mapping[tuple[int, Cell], Record]
    notices: Sequence[StoredNotice]
    state: ProcessState


class Store(Protocol):
    """A place that keeps records. Its methods block, and are safe to call from any thread.

    They raise :class:`~toolops_plugins.telemetry.ledger.records.LedgerError` with one clear line.
    """

    place: str
    """The URL, without user and password."""

    def retention(self) -> Mapping[int, int]:
        """Return the seconds for which each level is kept."""
        ...

    def now(self) -> float:
        """Return the time by which minutes are told, in seconds since the epoch."""
        ...

    def add(self, batch: Batch) -> Sequence[Command]:
        """Add a batch, and return the commands for its namespace that are not void."""
        ...

    def read(
        self, level: int, start: int, end: int, namespace: str | None = None
    ) -> Iterable[tuple[int, Cell, bytes]]:
        """Return the records of a level that begin in a span: time, cell and JSON.

        Args:
            level: The level.
            start: The start of the span.
            end: Its end.
            namespace: The only namespace that is asked for; others may be left out. Default None:
                all.
        """
        ...

    def processes(self) -> list[ProcessState]:
        """Return the processes that have written of late."""
        ...

    def notices(self, since: float, until: float, limit: int) -> list[StoredNotice]:
        """Return the latest notices of a span, latest first."""
        ...

    def send(self, command: Command) -> None:
        """Store a command for the processes of its namespace."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


def add_record(into: Record, record: Mapping[str, Mapping[str, Any]]) -> None:
    """Add the numbers of a record to those of another."""
    for group, numbers in record.items():
        sums = into.setdefault(group, {})
        for name, number in numbers.items():
            sums[name] = sums.get(name, 0) + number


def by_level(
    sums: Mapping[tuple[int, Cell], Record], now: float, retention: Mapping[int, int]
) -> dict[tuple[int, int, Cell], Record]:
    """Return the records to add, by level, time and cell.

    Args:
        sums: Records by minute and cell.
        now: The present time.
        retention: Seconds for which each level is kept; what is older is left out.
    """
    found: dict[tuple[int, int, Cell], Record] = {}
    for (minute, cell), record in sums.items():
        for level in LEVELS:
            if minute >= now - retention[level] - level:
                add_record(found.setdefault((level, minute - minute % level, cell), {}), record)
    return found
