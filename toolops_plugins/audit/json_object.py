"""A JSON object that holds a log in one of its arrays, as the answers of web services do."""

from __future__ import annotations

import io
from typing import Final

import orjson

__all__ = ["USUAL", "array_path", "is_one_object"]

USUAL: Final = (
    "data", "records", "logs", "items", "results", "choices", "rows", "entries", "events", "runs",
    "calls", "requests", "traces", "spans", "observations", "questions", "queries", "log", "hits",
    "values", "value",
)  # fmt: skip
"""Usual names of the array in an object that holds all records."""
_NESTED: Final = 2  # objects around that array, at the most


def is_one_object(head: bytes) -> bool:
    """Return whether what begins with an object is that alone, with records inside of it."""
    first, _, rest = head.partition(b"\n")
    if first.strip() == b"{":
        return True  # printed over several lines; the reader will say what it expects
    try:
        orjson.loads(first)
    except orjson.JSONDecodeError:
        pass  # it goes on in the next line, or is longer than what was looked at
    else:
        if rest.strip():
            return False
    return array_path(head, known=True) is not None


def array_path(head: bytes, *, known: bool = False) -> str | None:
    """Return the field of an object that holds its records, by the object's first bytes, or None.

    It is an array of objects or texts, in the object or one level deeper. One with a usual name
    comes first.

    Args:
        head: The first bytes.
        known: Whether only usual names will do.
    """
    import ijson  # noqa: PLC0415 - only this format needs it

    around: list[str] = []  # what is open: the fields of objects, and arrays as ""
    other: str | None = None
    array: str | None = None  # the path of an array that has just begun
    try:
        for path, event, _ in ijson.parse(io.BytesIO(head)):
            if array is not None and event in ("start_map", "string"):
                if array.rpartition(".")[2].lower() in USUAL:
                    return array
                if event == "start_map":
                    other = other or array
            array = None
            if event == "start_array":
                if "" not in around and 1 <= len(around) <= _NESTED:
                    array = path
                around.append("")
            elif event == "start_map":
                around.append("." if "" not in around else "")
            elif event in ("end_array", "end_map"):
                around.pop()
    except ijson.JSONError:
        pass  # it goes on behind what was looked at
    return None if known else other
