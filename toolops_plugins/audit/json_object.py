"""Detection of the records in a JSON object, such as the response of a web service."""

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
"""Usual names of the array with the records."""
_NESTED: Final = 2  # largest number of objects around that array


def is_one_object(head: bytes) -> bool:
    """Return whether a file is a single object that contains the records, from its first bytes."""
    first, _, rest = head.partition(b"\n")
    if first.strip() == b"{":
        return True  # an indented object; the reader reports it if there are no records
    try:
        orjson.loads(first)
    except orjson.JSONDecodeError:
        pass  # it continues on the next line, or is longer than the head
    else:
        if rest.strip():
            return False
    return array_path(head, known=True) is not None


def array_path(head: bytes, *, known: bool = False) -> str | None:
    """Return the path of the array of records in an object, or None.

    The array contains objects or strings and is in the object or one level deeper. An array with a
    usual name is preferred.

    Args:
        head: The first bytes of the object.
        known: Whether to accept usual names only. Default False.
    """
    import ijson  # noqa: PLC0415 - only this format needs it

    around: list[str] = []  # the open objects as ".", and arrays as ""
    other: str | None = None
    array: str | None = None  # the path of an array whose first item comes next
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
        pass  # the object continues after the head
    return None if known else other
