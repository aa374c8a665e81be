"""Texts that are embedded together."""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from toolops_plugins.adapters.embedding_vectors import (
    Packed,
    RawVector,
    VectorLengths,
    list_vectors,
    pack_vector,
)

__all__ = ["NO_BATCH", "Batch", "Found", "Key", "Role"]

Role: TypeAlias = str
Key: TypeAlias = tuple[Role, str]
Found: TypeAlias = Packed | RawVector

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
        has_failed: Whether its last attempt has failed.
    """

    __slots__ = ("_is_certain", "has_failed", "kept", "number", "parties", "role", "texts", "took",
                 "vectors", "whose")  # fmt: skip

    def __init__(self, role: Role, texts: list[str]) -> None:
        self.number = next(_numbers)
        self.role = role
        self.texts = texts
        self.vectors: list[Found] | None = None
        self.took = 0.0
        self.parties = 0
        self.kept = False
        self.whose = ""
        self.has_failed = False
        self._is_certain = True

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Note whether what is done in this block fails."""
        self.has_failed = False
        try:
            yield
        except Exception:
            self.has_failed = True
            raise

    def take(
        self, given: Any, took: float, lengths: VectorLengths, *, is_certain: bool = True
    ) -> None:
        """Take what the embedder gave, and the seconds that it took.

        Args:
            given: The vectors, in the order of the texts.
            took: The seconds.
            lengths: The lengths of the embedder's vectors.
            is_certain: Whether it is certain that these are this embedder's vectors. False: none is
                kept.

        Raises:
            ValueError: The vectors are not as many as the texts.
        """
        vectors = list_vectors(given, len(self.texts))
        packed = [
            pack_vector(vector, text) for vector, text in zip(vectors, self.texts, strict=True)
        ]
        pairs = zip(self.texts, packed, strict=True)
        sizes = [(text, len(vector) // 8) for text, vector in pairs if vector is not None]
        length = lengths.learn(self.role, sizes, self.whose) if is_certain else None
        self._is_certain = is_certain and length is not None
        self.took = took / len(self.texts)
        self.vectors = [
            RawVector(vector)
            if known is None or (length is not None and len(known) != length * 8)
            else known
            for vector, known in zip(vectors, packed, strict=True)
        ]

    def keys(self) -> list[Key]:
        """Return the keys of its texts, in order."""
        return [(self.role, text) for text in self.texts]

    def found(self) -> dict[Key, Found]:
        """Return what came of the texts."""
        return dict(zip(self.keys(), self.vectors or (), strict=False))

    def sound(self) -> dict[Key, Packed]:
        """Return the vectors that may be kept."""
        if not self._is_certain:
            return {}
        return {key: each for key, each in self.found().items() if isinstance(each, bytes)}

    def is_within(self, keys: Container[Key]) -> bool:
        """Return whether all of its texts are among some keys."""
        return all(key in keys for key in self.keys())


NO_BATCH = Batch("", [])
"""Stands for a batch where only the caller's own place is asked for."""
