"""A logistic regression over a sliding window of labels."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolops_plugins.concurrency.blas import BLAS_LOCK

__all__ = ["Floats", "Logistic", "logistic"]

Floats: TypeAlias = NDArray[np.float64]

_RIDGE = 3.0
_RIDGE_INTERCEPT = 0.05
_STEPS = 12
_FARTHEST = 30.0
"""Logits are clipped to this distance from 0, where exp() is still exact enough."""


def logistic(z: Floats) -> Floats:
    """Return 1 / (1 + exp(-z))."""
    shares: Floats = 1.0 / (1.0 + np.exp(-np.clip(z, -_FARTHEST, _FARTHEST)))
    return shares


class Logistic:
    """A ridge logistic regression on standardised features, with its posterior covariance.

    Immutable after the fit.

    Args:
        features: One row for each label.
        right: 1.0 or 0.0 for each label.
        start: Start weights from an earlier fit; None: 0.
    """

    __slots__ = ("_covariance", "_mean", "_scale", "weights")

    def __init__(self, features: Floats, right: Floats, start: Floats | None = None) -> None:
        self._mean = features.mean(axis=0)
        self._scale = 1.0 / (features.std(axis=0) + 1e-6)
        rows = self._rows(features)
        ridge = np.full(rows.shape[1], _RIDGE)
        ridge[-1] = _RIDGE_INTERCEPT
        with BLAS_LOCK:
            self.weights = _newton(rows, right, ridge, start)
            self._covariance = np.linalg.inv(_hessian(rows, ridge, self.weights))

    def _rows(self, features: Floats) -> Floats:
        rows = np.empty((len(features), features.shape[1] + 1))
        np.multiply(features - self._mean, self._scale, out=rows[:, :-1])
        rows[:, -1] = 1.0
        return rows

    def score(self, features: Floats) -> float:
        """Return the logit of the probability that a candidate is right.

        The uncertainty of the weights shrinks it towards 0, like the mean of the probability over
        their posterior (MacKay, The evidence framework applied to classification networks,
        1992).
        """
        row = np.empty(len(features) + 1)
        np.subtract(features, self._mean, out=row[:-1])
        row[:-1] *= self._scale
        row[-1] = 1.0
        spread = float(row @ self._covariance @ row)
        return float(row @ self.weights) / math.sqrt(1 + math.pi / 8 * spread)

    def unseen(self, features: Floats, right: Floats) -> Floats:
        """Return the leave-one-out scores of the labels of the fit.

        By one Newton step for each (Pregibon, Logistic regression diagnostics, 1981).
        """
        rows = self._rows(features)
        with BLAS_LOCK:
            z = rows @ self.weights
            spread = np.einsum("ij,jk,ik->i", rows, self._covariance, rows, optimize=True)
        p = logistic(z)
        rest = 1 - np.minimum(p * (1 - p) * spread, 0.9)
        scores: Floats = (z - spread * (right - p) / rest) / np.sqrt(
            1 + math.pi / 8 * spread / rest
        )
        return scores


def _newton(rows: Floats, right: Floats, ridge: Floats, start: Floats | None) -> Floats:
    """Return the most likely weights."""
    weights = np.zeros(len(ridge)) if start is None else start
    loss = _loss(rows, right, ridge, weights)
    for _ in range(_STEPS):
        slope = rows.T @ (right - logistic(rows @ weights)) - ridge * weights
        step = np.linalg.solve(_hessian(rows, ridge, weights), slope)
        # A full step can increase the loss where the labels are nearly separable.
        while (there := _loss(rows, right, ridge, weights + step)) > loss:
            step /= 2
            if np.abs(step).max() < 1e-9:
                return weights
        weights = weights + step
        gain, loss = loss - there, there
        if gain < 1e-4:
            break
    return weights


def _hessian(rows: Floats, ridge: Floats, weights: Floats) -> Floats:
    p = logistic(rows @ weights)
    hessian: Floats = (rows * (p * (1 - p))[:, None]).T @ rows
    hessian.flat[:: len(ridge) + 1] += ridge
    return hessian


def _loss(rows: Floats, right: Floats, ridge: Floats, weights: Floats) -> float:
    z = rows @ weights
    return float(np.logaddexp(0.0, z).sum() - right @ z + 0.5 * (ridge * weights) @ weights)
