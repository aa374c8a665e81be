"""Scopes folded into vectors, which separate many scopes in one index without a filter.

Chroma answers a query with a metadata filter by scanning: tens of milliseconds where one without
takes two. So a scope becomes part of the vector. A question x of unit length in scope s is stored
as (x, b c(s)) / sqrt(1 + b^2), where the code c(s) is a unit vector drawn at random, but always
the same for the same scope. The inner product of two folded vectors of one scope is
(<x, y> + b^2) / (1 + b^2), from which the similarity <x, y> follows exactly; between scopes whose
codes have the cosine r it is lower by b^2 (1 - r) / (1 + b^2). Codes of 32 dimensions hardly ever
have a cosine above 0.6, so the neighbours in the own scope come first. Which scope a result is of
is checked on the result itself: the code only guides the search.

The idea is that of random indexing (Kanerva and others, 2000): random directions in a few dozen
dimensions are nearly orthogonal.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["CODE", "fold", "similarity"]

CODE = 32
"""Dimensions of a scope's code."""

# Measured on 30,000 questions of banking77 in 1,000 scopes, and on 30 questions in each of 1,000
# scopes: asked for 16, Chroma's index finds of the 16 nearest in scope 32 % and 7 % with b^2 = 0.6,
# 95 % and 24 % with 1.2, 100 % and 94 % with 2, 100 % and 100 % with 3.
_WEIGHT = 3.0  # b^2
_SCALE = 1.0 / math.sqrt(1.0 + _WEIGHT)


def fold(scopes: Sequence[bytes], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each vector with the code of its scope, of unit length if the vector was.

    Args:
        scopes: One digest for each vector.
        vectors: Unit vectors as rows.
    """
    known = {scope: _code(scope) for scope in set(scopes)}
    count, width = vectors.shape
    folded = np.empty((count, width + CODE), dtype=np.float32)
    folded[:, :width] = vectors
    for row, scope in enumerate(scopes):
        folded[row, width:] = known[scope]
    folded *= _SCALE
    return folded


def similarity(distance: float) -> float:
    """Return the cosine of two questions of one scope from Chroma's distance.

    Args:
        distance: One minus the inner product of the folded vectors.
    """
    return (1.0 - distance) * (1.0 + _WEIGHT) - _WEIGHT


def _code(scope: bytes) -> NDArray[np.float32]:
    """Return b c(s): bits of a hash as signs, which needs no generator that might ever change."""
    bits = np.frombuffer(hashlib.sha256(b"toolops scope" + scope).digest(), dtype=np.uint8)
    signs = np.unpackbits(bits)[:CODE].astype(np.float32) * 2.0 - 1.0
    code: NDArray[np.float32] = signs * np.float32(math.sqrt(_WEIGHT / CODE))
    return code
