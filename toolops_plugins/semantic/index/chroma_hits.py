"""Which of Chroma's results are live entries of the right scope, and whether to ask for more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolops_plugins.semantic.index.chroma_scopes import similarity
from toolops_plugins.semantic.index.rows import Row

__all__ = ["Decode", "Hits"]

Decode: TypeAlias = Callable[[str, str | None, Any], tuple[Row, NDArray[np.float32] | None] | None]
"""Returns a record's row, and its vector where a similarity must not be taken from Chroma; or None
for a record that is to be passed over."""

_MOST = 300  # results of a query; Chroma Cloud gives no more
_FLOOR = 0.3  # similarity below which nobody asks for the rest of a scope


class Hits:
    """The neighbours of some questions, found in one query, or two.

    Used by alternating :meth:`question` and :meth:`take` until there is no question left.

    Args:
        scopes: The scope of each question.
        folded: The questions' vectors, folded with their scopes, as rows.
        k: How many neighbours at most for each.
        now: The moment at which entries must be live, in seconds since the epoch.
        vectors: The questions' vectors as they are, as rows.
        decode: Makes rows of records.
    """

    def __init__(
        self,
        scopes: Sequence[bytes],
        folded: NDArray[np.float32],
        k: int,
        now: float,
        vectors: NDArray[np.float32],
        decode: Decode,
    ) -> None:
        self.found: list[list[tuple[Row, float]]] = [[] for _ in scopes]
        self._scopes = [scope.hex() for scope in scopes]
        self._folded = folded
        self._k = k
        self._now = now
        self._vectors = vectors
        self._decode = decode
        self._open = list(range(len(scopes)))  # the questions that are still to be asked
        self._count = min(k + max(8, k // 2), _MOST)  # some may have expired

    def question(self) -> dict[str, Any] | None:
        """Return the arguments of the next query, or None if there is nothing left to ask."""
        if not self._open:
            return None
        return {
            "query_embeddings": self._folded[self._open],
            "n_results": self._count,
            "include": ["metadatas", "documents", "distances"],
        }

    def take(self, answer: Any) -> None:
        """Take the answer to the last question."""
        more: list[int] = []
        for place, number in enumerate(self._open):
            hits: list[tuple[Row, float]] = []
            distances = answer["distances"][place]
            for id_, document, record, distance in zip(
                answer["ids"][place],
                answer["documents"][place],
                answer["metadatas"][place],
                distances,
                strict=True,
            ):
                if not record or record.get("scope") != self._scopes[number]:
                    continue
                decoded = self._decode(id_, document, record)
                if decoded is None:
                    continue
                row, vector = decoded
                if self._now < row.expires:
                    if vector is None:
                        cosine = similarity(distance)
                    else:
                        # The vector in Chroma's index may have been moved towards a question.
                        cosine = float(vector @ self._vectors[number])
                    hits.append((row, min(1.0, cosine)))
            hits.sort(key=lambda hit: -hit[1])
            self.found[number] = hits[: self._k]
            # No entry of the scope that was not returned is nearer than the last that was.
            full = len(distances) >= self._count
            if len(hits) < self._k and full and similarity(distances[-1]) > _FLOOR:
                more.append(number)
        self._open = more if self._count < _MOST else []
        self._count = _MOST
