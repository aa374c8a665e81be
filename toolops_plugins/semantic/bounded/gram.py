"""The Gram matrix of the embeddings, and its inverse."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolops_plugins.concurrency.blas import BLAS_LOCK
from toolops_plugins.semantic.bounded.groups import Vector

__all__ = ["Gram"]

Matrix: TypeAlias = NDArray[np.float32]

_RIDGE = 0.5
_WIDEST = 384
"""Dimensions in use: inverting a larger matrix would block callers for too long."""

_BATCH = 256


class Gram:
    """The sum of ``x x'`` over all entries, and the inverse of that plus a ridge.

    With it ``x' P s``, where ``s`` is the sum of a group's vectors, is what ridge regression on the
    indicator of the group predicts for ``x``: an estimate of the chance that ``x`` belongs there
    that discounts what all questions have in common (Hastie, Tibshirani, Friedman, The Elements of
    Statistical Learning, 2nd ed., 4.2). ``x' P x`` is the leverage: how new ``x`` is.

    Not thread-safe: its owner holds a lock.
    """

    def __init__(self) -> None:
        self._gram: Matrix | None = None
        self._batch: list[Vector] = []
        self._count = 0
        self._fitted = 0
        self._inverse: Matrix | None = None

    def add(self, vector: Vector) -> None:
        """Add an entry."""
        self._count += 1
        self._batch.append(vector[:_WIDEST])
        if len(self._batch) >= _BATCH:
            self._flush()

    def remove(self, vector: Vector | None) -> None:
        """Remove an entry; without its vector, scale the sum down by its share."""
        self._flush()
        if self._gram is None or self._count <= 1:
            self._gram, self._count = None, 0
            return
        self._count -= 1
        if vector is None:
            self._gram *= self._count / (self._count + 1)
        else:
            part = vector[:_WIDEST]
            self._gram -= np.outer(part, part)

    def _flush(self) -> None:
        if not self._batch:
            return
        rows = np.stack(self._batch)
        self._batch.clear()
        with BLAS_LOCK:
            product = rows.T @ rows
        self._gram = product if self._gram is None else self._gram + product

    def refresh(self) -> None:
        """Invert again if the number of entries has changed by a tenth since the last time."""
        if self._count and abs(self._count - self._fitted) > 8 + self._fitted // 10:
            self._flush()
            if self._gram is None:
                return
            ridge = self._gram.astype(np.float64)
            ridge.flat[:: len(ridge) + 1] += _RIDGE
            with BLAS_LOCK:
                self._inverse = np.linalg.inv(ridge).astype(np.float32)
            self._fitted = self._count

    def whiten(self, x: Vector) -> Vector | None:
        """Return ``P x``, or None without entries."""
        if self._inverse is None:
            return None
        product: Vector = self._inverse @ x[:_WIDEST]
        return product
