"""The states by which processes share what they learn, so that nothing counts twice.

Everything learned is stored under its *source*, the process that learned it. A state holds the
shares of all sources that its writer knows, and a reader takes only the newest share of each
source. So states may be merged in any order, any number of times, including one's own: the shares
form a join-semilattice (Shapiro et al., Conflict-free replicated data types, 2011).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from toolops_plugins.semantic.bounded.changes import Doubts
from toolops_plugins.semantic.bounded.evidence import FEATURES
from toolops_plugins.semantic.bounded.labels import WINDOW, Labels
from toolops_plugins.semantic.bounded.records import Table

__all__ = ["Pace", "Share", "State", "dump", "load", "newest"]

_MAGIC: Final = b"TOB\x03"
_HEAD: Final = struct.Struct("<4sII")  # magic with version, checksum of the rest, length of header
_SOURCES: Final = 16


class Pace(NamedTuple):
    """The requests of a process under one bound.

    Args:
        ring: The cells of its last requests.
        requests: All its requests.
        hits: All its hits.
    """

    ring: NDArray[np.int8]
    requests: int
    hits: int


class Share(NamedTuple):
    """The part of a state that one process learned.

    Args:
        source: The name of the process.
        learned: Labels that it has learned from since it began; the larger is the newer share.
        stamp: Seconds since the epoch of the last label.
        labels: The last labels.
        groups: The records of groups.
        scopes: The records of scopes.
        paces: Its requests, by bound.
        doubts: The groups that it doubted.
    """

    source: str
    learned: int
    stamp: float
    labels: Labels
    groups: Table
    scopes: Table
    paces: dict[float, Pace]
    doubts: Doubts

    @property
    def age(self) -> tuple[float, str]:
        """The sort key of a share, unique to it."""
        return self.stamp, self.source


class State(NamedTuple):
    """Everything that a process knows.

    Args:
        shares: The shares of all sources, itself included.
        joined: The keys of answers that agree without being equal, by group.
    """

    shares: list[Share]
    joined: list[list[int]]


def newest(shares: Iterable[Share]) -> list[Share]:
    """Return the newest shares that together hold enough labels, the oldest first."""
    kept: list[Share] = []
    labels = 0
    for share in sorted(shares, key=lambda each: each.age, reverse=True):
        if labels >= WINDOW or len(kept) >= _SOURCES:
            break
        kept.append(share)
        labels += len(share.labels.right)
    return kept[::-1]


def dump(state: State) -> bytes:
    """Return a state as bytes."""
    parts: list[bytes] = []
    heads: list[dict[str, Any]] = []
    for share in state.shares:
        rings = [pace.ring for pace in share.paces.values()]
        doubted, confirmed = share.doubts
        arrays = [*share.labels, *share.groups, *share.scopes, *rings, doubted]
        if confirmed is not None:
            arrays.append(confirmed)
        parts += [array.astype(array.dtype.newbyteorder("<")).tobytes() for array in arrays]
        heads.append(
            {
                "source": share.source,
                "learned": share.learned,
                "stamp": share.stamp,
                "labels": len(share.labels.right),
                "groups": len(share.groups.keys),
                "scopes": len(share.scopes.keys),
                "paces": [
                    (bound, len(pace.ring), pace.requests, pace.hits)
                    for bound, pace in share.paces.items()
                ],
                "doubted": len(doubted),
                "confirmed": None if confirmed is None else len(confirmed),
            }
        )
    header = orjson.dumps({"features": FEATURES, "shares": heads, "joined": state.joined})
    body = header + b"".join(parts)
    return _HEAD.pack(_MAGIC, zlib.crc32(body), len(header)) + body


def load(data: bytes) -> State | None:
    """Return the state that was written as these bytes, or None if it is broken."""
    try:
        magic, checksum, length = _HEAD.unpack_from(data)
        body = memoryview(data)[_HEAD.size :]
        if magic != _MAGIC or zlib.crc32(body) != checksum:
            return None
        header = orjson.loads(body[:length])
        if tuple(header["features"]) != FEATURES:
            return None
        reader = _Reader(body[length:])
        shares = [reader.share(head) for head in header["shares"]]
        return State(shares, header["joined"])
    except (struct.error, ValueError, KeyError, TypeError):
        return None


class _Reader:
    """A reader of arrays from bytes."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def _array(self, kind: type[np.generic], rows: int, columns: int = 0) -> NDArray[Any]:
        count = rows * (columns or 1)
        array = np.frombuffer(self._data, np.dtype(kind).newbyteorder("<"), count, self._at)
        self._at += array.nbytes
        array = array.astype(kind)
        return array.reshape(rows, columns) if columns else array

    def _table(self, rows: int) -> Table:
        return Table(self._array(np.int64, rows), self._array(np.float32, rows, 2))

    def share(self, head: dict[str, Any]) -> Share:
        labels = head["labels"]
        return Share(
            head["source"],
            head["learned"],
            head["stamp"],
            Labels(
                self._array(np.float32, labels, len(FEATURES)),
                self._array(np.float32, labels),
                self._array(np.bool_, labels),
            ),
            self._table(head["groups"]),
            self._table(head["scopes"]),
            {
                bound: Pace(self._array(np.int8, length), requests, hits)
                for bound, length, requests, hits in head["paces"]
            },
            Doubts(
                self._array(np.int64, head["doubted"]),
                None if head["confirmed"] is None else self._array(np.int64, head["confirmed"]),
            ),
        )
