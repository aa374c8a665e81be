"""The selection of Chroma's results: live entries of the right scope."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolops_plugins.semantic.index.chroma_scopes import similarity
from toolops_plugins.semantic.index.rows import Row

__all__ = ["Decode", "Hits"]

Decode: TypeAlias = Callable[[str, str | None, Any], tuple[Row, NDArray[np.float32] | None] | None]
"""Returns a record's row, with its vector where Chroma's similarity is not trusted, or None for a
record to skip."""

_MOST = 300  # results of a query, the limit of Chroma Cloud
_FLOOR = 0.3  # similarity below which the rest of a scope is not queried


class Hits:
    """The neighbours of questions, found in one or two queries.

    Call :meth:`question` and :meth:`take` in turn until there is no question left.

    Args:
        scopes: The scope of each question.
        folded: The questions' vectors, folded with their scopes, as rows.
        k: Neighbours at most, for each question.
        now: The time at which entries must be live, in seconds since the epoch.
        vectors: The questions' vectors, not folded, as rows.
        decode: Decodes records into rows.
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
        self._open = list(range(len(scopes)))  # the open questions
        self._count = min(k + max(8, k // 2), _MOST)  # some may have expired

    def question(self) -> dict[str, Any] | None:
        """Return the arguments of the next query, or None if all questions are answered."""
        if not self._open:
            return None
        return {
            "query_embeddings": self._folded[self._open],
            "n_results": self._count,
            "include": ["metadatas", "documents", "distances"],
        }

    def take(self, answer: Any) -> None:
        """Process the answer to the last query."""
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
                        # An attacker may have changed the vector in Chroma's index.
                        cosine = float(vector @ self._vectors[number])
                    hits.append((row, min(1.0, cosine)))
            hits.sort(key=lambda hit: -hit[1])
            self.found[number] = hits[: self._k]
            # All other entries of the scope are farther than the last one returned.
            full = len(distances) >= self._count
            if len(hits) < self._k and full and similarity(distances[-1]) > _FLOOR:
                more.append(number)
        self._open = more if self._count < _MOST else []
        self._count = _MOST
