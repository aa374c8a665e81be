"""Texts that are embedded together, and the form in which what comes of them is kept."""

from __future__ import annotations

import itertools
import sys
from array import array
from collections.abc import Iterable, Sequence
from typing import TypeAlias

__all__ = ["NO_BATCH", "Batch", "Key", "Packed", "Role", "pack_vector", "unpack_vector"]

Role: TypeAlias = str
Key: TypeAlias = tuple[Role, str]
Packed: TypeAlias = bytes
"""A vector as eight bytes for each number: exact, immutable, and far quicker than as text."""

_numbers = itertools.count(1)


class Batch:
    """Texts that are embedded together, and who needs them.

    Attributes:
        number: Tells it from all others of this process.
        role: What they are to the model.
        texts: The texts.
        vectors: What came of them, in order, or None before.
        took: Seconds that each text is worth: its share of what the embedder took.
        parties: Callers that need it; guarded by the owner's lock.
        kept: Whether somebody has begun to keep what came of it; guarded likewise.
        whose: The tenant that may share it.
    """

    __slots__ = ("kept", "number", "parties", "role", "texts", "took", "vectors", "whose")

    def __init__(self, role: Role, texts: list[str]) -> None:
        self.number = next(_numbers)
        self.role = role
        self.texts = texts
        self.vectors: list[Packed] | None = None
        self.took = 0.0
        self.parties = 0
        self.kept = False
        self.whose = ""

    def take(self, vectors: Sequence[Iterable[float]], took: float) -> None:
        """Take what the embedder gave, and the seconds that it took.

        Raises:
            ValueError: These are not as many as the texts.
        """
        if len(vectors) != len(self.texts):
            raise ValueError(
                f"the embedder gave {len(vectors)} vectors for {len(self.texts)} texts"
            )
        self.took = took / len(self.texts)
        self.vectors = [pack_vector(vector) for vector in vectors]

    def found(self) -> dict[Key, Packed]:
        """Return what came of the texts."""
        keys = [(self.role, text) for text in self.texts]
        return dict(zip(keys, self.vectors or (), strict=False))


def pack_vector(vector: Iterable[float]) -> Packed:
    """Return a vector as it is kept."""
    numbers = array("d", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def unpack_vector(vector: Packed) -> list[float]:
    """Return the numbers of a vector that was kept."""
    numbers = array("d")
    numbers.frombytes(vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


NO_BATCH = Batch("", [])
"""Stands for a batch where only the caller's own place is asked for."""
