"""The ledger: what all processes have counted, minute by minute, in Redis or a SQLite file."""

from toolops_plugins.telemetry.ledger.config import Ledger
from toolops_plugins.telemetry.ledger.reader import LedgerReader, open_reader
from toolops_plugins.telemetry.ledger.records import (
    Command,
    CommandKind,
    LedgerError,
    ProcessState,
    StoredNotice,
)
from toolops_plugins.telemetry.ledger.sums import DIMENSIONS, Decisions, Dimension, Summary
from toolops_plugins.telemetry.runtime_state import BreakerReport, LimitReport, TierState

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
