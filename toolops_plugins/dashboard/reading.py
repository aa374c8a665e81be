"""Reads of the ledger, shared by all sessions and kept for a few seconds.

Each read is an aggregate that the ledger computes. Ten browsers that look at one page cost the
ledger as much as one. A failed read is kept as long as a good one, so that a server which is down
is not asked by every page at every refresh.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import streamlit as st

from toolops_plugins.dashboard import options
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.telemetry.ledger import (
    Command,
    Decisions,
    Dimension,
    LedgerError,
    LedgerReader,
    ProcessState,
    StoredNotice,
    Summary,
    open_reader,
)

__all__ = [
    "decisions",
    "namespaces",
    "notices",
    "now",
    "processes",
    "send",
    "series",
    "summaries",
]

T = TypeVar("T")
Groups = Mapping[tuple[str, ...], Summary]

_FRESH = 2.0  # seconds; less than the shortest refresh, so that each refresh reads anew
_PAST = 60.0  # seconds, for a window that is over, in which only late writers change anything


class _Connection:
    """A reader of one ledger, made when it is first needed and again after a failure."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._reader: LedgerReader | None = None
        self._lock = threading.Lock()

    def read(self, work: Callable[[LedgerReader], T]) -> T:
        """Return the result of a function of the reader.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        with self._lock:
            if self._reader is None:
                self._reader = open_reader(self._url)
            reader = self._reader
        try:
            return work(reader)
        except LedgerError:
            with self._lock:
                if self._reader is reader:
                    self._reader = None
            reader.close()
            raise


@st.cache_resource(show_spinner=False, max_entries=8)
def _connection(url: str) -> _Connection:
    return _Connection(url)


def _read(url: str, method: str, arguments: dict[str, Any]) -> Any:
    try:
        return _connection(url).read(lambda reader: getattr(reader, method)(**arguments))
    except (LedgerError, ConfigurationError) as error:
        return LedgerError(str(error))


# As resources, since data would be pickled for each reader, and histograms are large.
_read_fresh = st.cache_resource(ttl=_FRESH, max_entries=200, show_spinner=False)(_read)
_read_past = st.cache_resource(ttl=_PAST, max_entries=50, show_spinner=False)(_read)


def _ask(method: str, *, past: bool = False, **arguments: Any) -> Any:
    found = (_read_past if past else _read_fresh)(options.current().ledger, method, arguments)
    if isinstance(found, LedgerError):
        raise LedgerError(str(found))  # another one, since raising adds to its traceback
    return found


def summaries(
    since: float,
    until: float | None = None,
    *,
    by: tuple[Dimension, ...] = (),
    where: Mapping[Dimension, str] | None = None,
) -> Groups:
    """Return the sums of a window; see :meth:`LedgerReader.summaries`."""
    found: Groups = _ask(
        "summaries", past=until is not None, since=since, until=until, by=by, where=where or {}
    )
    return found


def series(
    since: float,
    *,
    step: float,
    by: tuple[Dimension, ...] = (),
    where: Mapping[Dimension, str] | None = None,
) -> list[tuple[float, Groups]]:
    """Return the sums of each step of a window; see :meth:`LedgerReader.series`."""
    found: list[tuple[float, Groups]] = _ask(
        "series", since=since, until=None, step=step, by=by, where=where or {}
    )
    return found


def processes(namespace: str | None = None) -> list[ProcessState]:
    """Return the states of the processes that use a namespace, or of all."""
    found: list[ProcessState] = _ask("processes")
    return [state for state in found if namespace in (None, state.namespace)]


def notices(since: float, namespace: str | None, limit: int) -> list[StoredNotice]:
    """Return the latest notices of a namespace, or of all; the newest first."""
    found: list[StoredNotice] = _ask("notices", since=since, limit=limit)
    found = [notice for notice in found if namespace in (None, notice.namespace)]
    return sorted(found, key=lambda notice: notice.at, reverse=True)


def decisions(since: float, where: Mapping[Dimension, str]) -> Mapping[tuple[str, ...], Decisions]:
    """Return the decisions of the semantic cache by tool."""
    found: Mapping[tuple[str, ...], Decisions] = _ask(
        "decisions", since=since, by=("tool",), where=where
    )
    return found


def namespaces(now: float) -> list[str]:
    """Return the namespaces of the last 30 days, and those of the running processes."""
    day = now // 86_400 * 86_400
    counted = _ask("summaries", past=True, since=day - 30 * 86_400, until=None, by=("namespace",))
    return sorted({*(key[0] for key in counted), *(state.namespace for state in processes())})


def now() -> float:
    """Return the ledger's present time in seconds since the epoch."""
    found: float = _ask("now")
    return found


def send(command: Command) -> None:
    """Hand a command to the processes, by the ledger.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    _connection(options.current().ledger).read(lambda reader: reader.send(command))
