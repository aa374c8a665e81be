"""The ledger: what all processes have counted, minute by minute, in Redis or a SQLite file."""

from toolops_plugins.telemetry.ledger.config import Ledger
from toolops_plugins.telemetry.ledger.reader import LedgerReader, open_reader
from toolops_plugins.telemetry.ledger.records import (
    DIMENSIONS,
    BreakerReport,
    Command,
    CommandKind,
    Decisions,
    Dimension,
    LedgerError,
    LimitReport,
    ProcessState,
    StoredNotice,
    Summary,
    TierState,
)

__all__ = [
    "DIMENSIONS",
    "BreakerReport",
    "Command",
    "CommandKind",
    "Decisions",
    "Dimension",
    "Ledger",
    "LedgerError",
    "LedgerReader",
    "LimitReport",
    "ProcessState",
    "StoredNotice",
    "Summary",
    "TierState",
    "open_reader",
]
