"""Numpy dtypes and arrays as JSON values, and back; numpy is imported on first use."""

from __future__ import annotations

import importlib
import math
from typing import Any

from toolops_plugins.keys.encoding_failures import EncodingFailure

__all__ = ["describe_dtype", "read_array"]

_KINDS = "biufcmMSUV"  # all but objects and numpy's variable-length strings
_DESCR_PARTS = 1_000  # of the description of a dtype
_DIMENSIONS = 64
_EMPTY_ITEMS = 1 << 24  # of an array whose items have no bytes


def describe_dtype(numpy: Any, dtype: Any) -> Any:
    """Return a dtype's description in numpy's file format.

    Raises:
        EncodingFailure: The description does not make the same dtype again.
    """
    if not dtype.hasobject and dtype.kind in _KINDS and dtype.metadata is None:
        descr = numpy.lib.format.dtype_to_descr(dtype)
        again = numpy.lib.format.descr_to_dtype(descr)
        if again == dtype and again.type is dtype.type and _parts(descr) <= _DESCR_PARTS:
            return descr
    raise EncodingFailure(
        f"a numpy dtype of {dtype!r} has no codec", f"a numpy dtype of {dtype.kind!r}"
    )


def read_array(descr: Any, shape: list[int], data: bytes) -> Any:
    """Return the array for a dtype's description, a shape and bytes in C order.

    Raises:
        ValueError: They do not fit each other, or one is over its bound.
    """
    if _parts(descr) > _DESCR_PARTS or len(shape) > _DIMENSIONS:
        raise ValueError("an array of too many fields or dimensions")
    numpy = importlib.import_module("numpy")
    dtype = numpy.lib.format.descr_to_dtype(descr)
    items = math.prod(shape)
    if dtype.hasobject or items * dtype.itemsize != len(data):
        raise ValueError("the bytes of an array do not fit its shape")
    if not dtype.itemsize and items > _EMPTY_ITEMS:
        raise ValueError("an array of too many items without bytes")
    # A copy, so that the array is writable and owns its memory.
    return numpy.ndarray(shape, dtype, buffer=data).copy()


def _parts(descr: Any) -> int:
    """Return the number of parts in a dtype's description; a text counts by its length."""
    pending, count = [descr], 0
    while pending and count <= _DESCR_PARTS:
        item = pending.pop()
        count += 1
        if isinstance(item, list | tuple):
            pending += item[: _DESCR_PARTS + 1]
        elif isinstance(item, str):
            count += len(item) // 64
    return count
