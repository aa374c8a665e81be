"""The records of a ledger beside its sums: states of processes, notices and commands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self, TypeAlias, get_args

import orjson

from toolops_plugins.errors import ToolOpsError
from toolops_plugins.telemetry.runtime_state import BreakerReport, LimitReport, TierState

__all__ = [
    "Command",
    "CommandKind",
    "LedgerError",
    "ProcessState",
    "StoredNotice",
]

CommandKind: TypeAlias = Literal["open_breaker", "close_breaker", "reset_breaker", "invalidate"]
"""A change that a ledger's reader may ask processes for."""


class LedgerError(ToolOpsError):
    """A ledger cannot be read or written: it is out of reach, no ledger, or of a newer version."""


@dataclass(frozen=True, slots=True)
class ProcessState:
    """A process that writes to the ledger; one for each of its runtimes.

    Args:
        id: Identifies the runtime in the process.
        host: The name of its host.
        pid: The process's number.
        namespace: The runtime's namespace.
        version: The version of this library.
        started: Seconds since the epoch at which the runtime first wrote.
        seen: Seconds since the epoch at which it last wrote.
        allow_commands: Whether it carries out commands.
        breakers: Its circuit breakers.
        limits: Its rate limits.
        bulkheads: Its bulkheads.
        tiers: Its cache tiers.
        index: Facts about its semantic index, such as "entries", by name.
        dropped: Events that sinks failed to take, by the sink's name.
        lost: Calls that the ledger had to drop for want of memory, while it was out of reach.
    """

    id: str
    host: str
    pid: int
    namespace: str
    version: str = ""
    started: float = 0.0
    seen: float = 0.0
    allow_commands: bool = False
    breakers: tuple[BreakerReport, ...] = ()
    limits: tuple[LimitReport, ...] = ()
    bulkheads: tuple[LimitReport, ...] = ()
    tiers: tuple[TierState, ...] = ()
    index: Mapping[str, Any] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    lost: int = 0

    @property
    def label(self) -> str:
        """Its host and number, such as "web-1:4711"."""
        return f"{self.host}:{self.pid}"

    def to_record(self) -> dict[str, Any]:
        """Return the state as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Return the state of a stored record. Fields of later versions are left out."""
        found = _select_fields(cls, record)
        parts = {
            "breakers": BreakerReport,
            "limits": LimitReport,
            "bulkheads": LimitReport,
            "tiers": TierState,
        }
        for name, kind in parts.items():
            items: Iterable[Mapping[str, Any]] = found.get(name, ())
            found[name] = tuple(kind(**_select_fields(kind, item)) for item in items)
        return cls(**found)


@dataclass(frozen=True, slots=True)
class StoredNotice:
    """A notice of a process; see :class:`~toolops_plugins.telemetry.events.Notice`.

    Args:
        kind: Its kind.
        name: The tier, tool, breaker or sink concerned.
        detail: A word or two more.
        at: Seconds since the epoch at which it first happened.
        namespace: The runtime's namespace.
        error: As in the notice.
        calls: As in the notice.
        seconds: As in the notice.
        place: As in the notice.
        host: The host of the process.
        pid: The process's number.
        count: How often it happened; equal notices of one write are counted together.
    """

    kind: str
    name: str
    detail: str = ""
    at: float = 0.0
    namespace: str = ""
    error: str = ""
    calls: int = 0
    seconds: float = 0.0
    place: str = ""
    host: str = ""
    pid: int = 0
    count: int = 1

    def to_record(self) -> dict[str, Any]:
        """Return the notice as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Return the notice of a stored record. Fields of later versions are left out."""
        return cls(**_select_fields(cls, record))


@dataclass(frozen=True, slots=True)
class Command:
    """A change that processes carry out when they next write, if they allow commands.

    Args:
        kind: "open_breaker", "close_breaker" and "reset_breaker" force a circuit breaker open or
            closed, or let it work on its own again; "invalidate" drops results by tag.
        namespace: The namespace of the runtimes concerned.
        name: The breaker's name.
        tags: The tags.
        id: Identifies the command; "" until it is sent.
        sent: Seconds since the epoch at which it was sent.
    """

    kind: CommandKind
    namespace: str
    name: str = ""
    tags: tuple[str, ...] = ()
    id: str = ""
    sent: float = 0.0

    def to_record(self) -> dict[str, Any]:
        """Return the command as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Return the command of a stored record. Fields of later versions are left out."""
        found = _select_fields(cls, record)
        return cls(**{**found, "tags": tuple(found.get("tags", ()))})

    @classmethod
    def from_json(cls, records: Iterable[bytes | str]) -> list[Self]:
        """Return the commands of stored records.

        Those that this version cannot read are left out: a ledger must not fail by what somebody
        else has put into it.
        """
        found = []
        for record in records:
            try:
                command = cls.from_record(orjson.loads(record))
            except (ValueError, TypeError, AttributeError):
                continue
            names = (command.id, command.namespace, command.name, *command.tags)
            if (
                command.kind in get_args(CommandKind)
                and isinstance(command.sent, int | float)
                and all(isinstance(name, str) for name in names)
            ):
                found.append(command)
        return found


def _select_fields(kind: Any, record: Mapping[str, Any]) -> dict[str, Any]:
    names = {each.name for each in fields(kind)}
    return {name: value for name, value in record.items() if name in names}
