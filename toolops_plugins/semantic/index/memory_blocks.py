"""Runs of vectors with their rows, which are read without a lock, and where in them a row is.

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

SCALE: Final = np.float32(32_767)  # what a component of 1.0 is stored as

_SLOTS: Final = 16  # bits of a place that tell the slot within its block


class VectorBlock:
    """Vectors and rows of one scope, side by side.

    A block only grows at its end, and what it holds never moves inside it. One writer at a time;
    any number of readers, without a lock. A reader takes the number of rows first and the array
    after it: the writer fills the array before it appends the rows, and an array that has become
    too small is replaced, not resized.

    Args:
        scope: The scope of all its rows.
        codes: Their vectors, one in each line. The block keeps the array.
        rows: The rows. The block keeps the list.
        number: What names the block in its index; never used twice.
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
        """How many rows have not been removed."""
        return len(self.rows) - self.dead

    def extend(self, rows: Sequence[Row], codes: Codes) -> None:
        """Append rows with their vectors."""
        start = len(self.rows)
        end = start + len(rows)
        if end > len(self.codes):
            # Room for an eighth more: a copy costs each row microseconds in all, and what is
            # allocated and empty stays near a twentieth.
            grown = np.empty((end + min(end >> 3, 32), self.codes.shape[1]), np.int16)
            grown[:start] = self.codes[:start]
            grown[start:end] = codes
            self.codes = grown
        else:
            self.codes[start:end] = codes
        self.rows.extend(rows)

    def drop(self, slot: int) -> None:
        """Forget the row at ``slot``; its vector stays behind until the block is replaced."""
        self.rows[slot] = None
        self.dead += 1

    def alive(self) -> tuple[list[Row], Codes]:
        """Return what has not been removed."""
        if not self.dead:
            return list(self), self.codes[: len(self.rows)]
        slots = [slot for slot, row in enumerate(self.rows) if row is not None]
        return list(self), self.codes[slots]


class SlotMap:
    """In which block and at which slot every row is. To be used by one thread at a time."""

    __slots__ = ("_numbers", "_of", "blocks")

    def __init__(self) -> None:
        # One int an id: a hundred thousand tuples would be as many objects more for the garbage
        # collector to walk.
        self._of: dict[str, int] = {}
        self.blocks: dict[int, VectorBlock] = {}
        self._numbers = 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._of)

    def __contains__(self, id: object) -> bool:  # noqa: A002 - what rows call it
        """Tell whether there is a row with this id."""
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
        """Return a new block with these rows, which are from now on to be found there.

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
        """Forget a row; return it and the block in which it was."""
        block, slot = self.find(id)
        row = None if block is None else block.rows[slot]
        if block is None or row is None:
            return None
        block.drop(slot)
        del self._of[id]
        return block, row

    def holds(self, block: VectorBlock) -> bool:
        """Tell whether a block has not been forgotten."""
        return self.blocks.get(block.number) is block

    def forget(self, block: VectorBlock) -> None:
        """Forget a block whose rows are elsewhere by now, or gone."""
        del self.blocks[block.number]

    def _point(self, block: VectorBlock, start: int, rows: Sequence[Row]) -> None:
        first = (block.number << _SLOTS) + start
        self._of.update(zip([row.id for row in rows], range(first, first + len(rows)), strict=True))


def encode(vectors: Floats) -> Codes:
    """Return unit vectors in the form in which blocks hold them."""
    codes: Codes = np.rint(np.clip(vectors, -1.0, 1.0) * SCALE).astype(np.int16)
    return codes


def decode(codes: Codes) -> Floats:
    """Return vectors as they were before :func:`encode`, but for its rounding."""
    vectors: Floats = codes.astype(np.float32) / SCALE
    return vectors
