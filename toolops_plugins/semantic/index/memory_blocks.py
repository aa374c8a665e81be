"""Blocks of vectors with their rows, read without a lock, and the map of rows to slots.

Vectors are kept as 16-bit fixed-point numbers: half the memory of float32, half the traffic on the
memory bus that bounds a scan, and a cosine that is off by about 1e-5 (at most 2.5e-4 at 256
dimensions).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolops_plugins.semantic.index.rows import Row

__all__ = ["SCALE", "Codes", "Floats", "SlotMap", "VectorBlock", "decode", "encode"]

Codes: TypeAlias = NDArray[np.int16]
Floats: TypeAlias = NDArray[np.float32]

SCALE: Final = np.float32(32_767)  # the stored form of 1.0

_SLOTS: Final = 16  # bits of a location for the slot within the block


class VectorBlock:
    """The vectors and rows of a part of one scope.

    A block only grows at its end, and rows never move within it. One writer at a time;
    any number of readers, without a lock. A reader takes the number of rows before the array: the
    writer fills the array before it appends the rows, and replaces an array that is too small
    instead of resizing it.

    Args:
        scope: The scope of all its rows.
        codes: Their vectors, one in each line. The block keeps the array.
        rows: The rows. The block keeps the list.
        number: The unique number of the block in its index.
    """

    __slots__ = ("codes", "dead", "number", "rows", "scope")

    def __init__(self, scope: bytes, codes: Codes, rows: list[Row | None], number: int) -> None:
        self.scope = scope
        self.codes = codes
        self.rows = rows
        self.number = number
        self.dead = 0

    def __iter__(self) -> Iterator[Row]:
        """Iterate over the rows that have not been removed."""
        return (row for row in tuple(self.rows) if row is not None)

    @property
    def live(self) -> int:
        """The number of rows that are not removed."""
        return len(self.rows) - self.dead

    def extend(self, rows: Sequence[Row], codes: Codes) -> None:
        """Append rows with their vectors."""
        start = len(self.rows)
        end = start + len(rows)
        if end > len(self.codes):
            # An eighth more: copies cost microseconds a row in total, and about a twentieth of
            # the memory stays unused.
            grown = np.empty((end + min(end >> 3, 32), self.codes.shape[1]), np.int16)
            grown[:start] = self.codes[:start]
            grown[start:end] = codes
            self.codes = grown
        else:
            self.codes[start:end] = codes
        self.rows.extend(rows)

    def drop(self, slot: int) -> None:
        """Remove the row at ``slot``; its vector stays until the block is replaced."""
        self.rows[slot] = None
        self.dead += 1

    def alive(self) -> tuple[list[Row], Codes]:
        """Return the rows that are not removed, with their vectors."""
        if not self.dead:
            return list(self), self.codes[: len(self.rows)]
        slots = [slot for slot, row in enumerate(self.rows) if row is not None]
        return list(self), self.codes[slots]


class SlotMap:
    """The block and slot of every row. Used by one thread at a time."""

    __slots__ = ("_numbers", "_of", "blocks")

    def __init__(self) -> None:
        # One int an id: a hundred thousand tuples would slow the garbage collector.
        self._of: dict[str, int] = {}
        self.blocks: dict[int, VectorBlock] = {}
        self._numbers = 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._of)

    def __contains__(self, id: object) -> bool:  # noqa: A002 - what rows call it
        """Return whether there is a row with this id."""
        return id in self._of

    def __iter__(self) -> Iterator[str]:
        """Iterate over the ids of all rows."""
        return iter(self._of)

    def rows(self) -> Iterator[Row]:
        """Iterate over all rows."""
        return (row for block in self.blocks.values() for row in block)

    def find(self, id: str) -> tuple[VectorBlock | None, int]:  # noqa: A002 - what rows call it
        """Return the block of a row, None if there is no such row, and its slot."""
        place = self._of.get(id)
        if place is None:
            return None, 0
        return self.blocks[place >> _SLOTS], place & ((1 << _SLOTS) - 1)

    def row(self, id: str) -> Row | None:  # noqa: A002 - what rows call it
        """Return the row with this id."""
        block, slot = self.find(id)
        return None if block is None else block.rows[slot]

    def make(self, scope: bytes, rows: Sequence[Row], codes: Codes) -> VectorBlock:
        """Return a new block with these rows, and record their slots.

        The block keeps the array.
        """
        self._numbers += 1
        block = VectorBlock(scope, codes, list(rows), self._numbers)
        self.blocks[block.number] = block
        self._point(block, 0, rows)
        return block

    def extend(self, block: VectorBlock, rows: Sequence[Row], codes: Codes) -> None:
        """Append rows to a block."""
        start = len(block.rows)
        block.extend(rows, codes)
        self._point(block, start, rows)

    def drop(self, id: str) -> tuple[VectorBlock, Row] | None:  # noqa: A002 - what rows call it
        """Remove a row; return it and its block."""
        block, slot = self.find(id)
        row = None if block is None else block.rows[slot]
        if block is None or row is None:
            return None
        block.drop(slot)
        del self._of[id]
        return block, row

    def holds(self, block: VectorBlock) -> bool:
        """Return whether a block is in use."""
        return self.blocks.get(block.number) is block

    def forget(self, block: VectorBlock) -> None:
        """Remove a block whose rows were moved or removed."""
        del self.blocks[block.number]

    def _point(self, block: VectorBlock, start: int, rows: Sequence[Row]) -> None:
        first = (block.number << _SLOTS) + start
        self._of.update(zip([row.id for row in rows], range(first, first + len(rows)), strict=True))


def encode(vectors: Floats) -> Codes:
    """Return unit vectors in the form of blocks."""
    codes: Codes = np.rint(np.clip(vectors, -1.0, 1.0) * SCALE).astype(np.int16)
    return codes


def decode(codes: Codes) -> Floats:
    """Return the vectors, up to the rounding of :func:`encode`."""
    vectors: Floats = codes.astype(np.float32) / SCALE
    return vectors
