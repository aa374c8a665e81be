"""The conversion of rows to Chroma's records and back.

A record is readable for people: its document is the question. Its metadata are

- ``scope`` (hexadecimal), ``expires`` (seconds since the epoch; missing for no end), ``tags`` (a
  list) for filters, all off the hot path;
- ``hits`` and ``used``, which change independently;
- ``entry``: everything else as JSON, with the answer's bytes in base64;
- ``vector``: the question's vector in half precision and base64. Chroma keeps vectors only in its
  index, whose files do not survive a process that is killed during a write; they are restored from
  here. Half precision moves a cosine by about 0.00002.
- ``signature``, where there is a secret: see :mod:`~toolops_plugins.semantic.index.protection`.
Then
  the entry also has expiry and tags, and these count. An encrypted entry has the question too, its
  document is a placeholder, and ``tags`` are digests.

Removed metadata are written as None, since Chroma merges old and new ones.
"""

from __future__ import annotations

import json
import math
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolops_plugins.codec import JSON, TAGGED
from toolops_plugins.errors import TamperedError
from toolops_plugins.semantic.index.protection import Protection
from toolops_plugins.semantic.index.rows import Row

__all__ = ["decode", "document", "metadata", "parts", "safe", "usage", "vector"]

_ID = 32  # hexadecimal digits
_COUNT = 2**53  # the largest whole number that all of JSON, Chroma and SQLite hold
_DIGEST = 16  # bytes of a scope and of an answer
_CODECS = frozenset((JSON, TAGGED))  # a cached exception is no answer to a question


def safe(text: str) -> str:
    """Return valid Unicode: Chroma refuses a whole batch for a lone surrogate."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def document(row: Row, protection: Protection | None = None) -> str:
    """Return the document of a record."""
    if protection is not None and protection.encrypts:
        return "encrypted"
    return safe(row.text or "")


def usage(row: Row) -> dict[str, Any]:
    """Return the part of the metadata that changes."""
    return {"hits": row.hits, "used": row.used}


def metadata(
    row: Row, vector: NDArray[np.float32], protection: Protection | None = None
) -> dict[str, Any]:
    """Return the whole metadata.

    Args:
        row: The row.
        vector: Its question's vector, of unit length.
        protection: Signs it; None: no signature.
    """
    entry: dict[str, Any] = {
        "codec": row.codec,
        "answer": row.answer.hex(),
        "created": row.created,
        "took": row.took,
        "price": row.price,
        "data": b64encode(row.data).decode("ascii"),
    }
    if row.seen:
        entry["seen"] = row.seen
    if row.text is None:
        entry["traits"] = row.traits
    elif row.text != safe(row.text) or (protection is not None and protection.encrypts):
        entry["text"] = row.text
    scope = row.scope.hex()
    found = usage(row) | {
        "scope": scope,
        "expires": row.expires if math.isfinite(row.expires) else None,
        "vector": b64encode(vector.astype("<f2").tobytes()).decode("ascii"),
    }
    if protection is None:
        return found | {
            "tags": [safe(tag) for tag in row.tags] or None,
            "entry": json.dumps(entry, separators=(",", ":")),
        }
    # A server rounds numbers in JSON and may normalise the Unicode of tags.
    entry["expires"] = row.expires if math.isfinite(row.expires) else None
    entry["tags"] = row.tags
    return found | {
        "tags": [protection.tag(tag) for tag in row.tags] or None,
        "entry": protection.encode_entry(entry, row.id, scope),
        "signature": protection.signature(row, found["vector"]),
    }


def decode(
    id: str,  # noqa: A002 - Chroma's name for it
    text: str | None,
    record: Any,
    protection: Protection | None = None,
) -> Row | None:
    """Return the row, or None for a foreign or invalid record.

    Args:
        id: The record's id.
        text: Its document.
        record: Its metadata.
        protection: Checks the signature; None: no check.

    Raises:
        TamperedError: There is a secret, and the signature is missing or wrong.
    """
    try:
        row = _row(id, text, record, protection)
        if row is not None and protection is not None:
            protection.check(row, record.get("vector"), record.get("signature"))
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError):
        row = None
    if row is None and protection is not None:
        raise TamperedError("a record is not of the form that is signed")
    return row


def _row(id: str, text: str | None, record: Any, protection: Protection | None) -> Row | None:  # noqa: A002 - as above
    if len(id) != _ID or len(bytes.fromhex(id)) != _ID // 2:
        return None
    if protection is None:
        if record.get("signature") is not None:
            return None  # signed, but not readable without a secret
        entry = json.loads(record["entry"])
    else:
        entry = protection.decode_entry(record["entry"], id, record["scope"])
    scope, answer = bytes.fromhex(record["scope"]), bytes.fromhex(entry["answer"])
    if len(scope) != _DIGEST or len(answer) != _DIGEST or entry["codec"] not in _CODECS:
        return None
    traits = None
    if "traits" in entry:
        text, traits = None, _text(entry["traits"], none=True)
    else:
        text = _text(entry.get("text", text))
    expires = (record if protection is None else entry).get("expires")
    found = Row(
        id=id,
        scope=scope,
        text=text,
        codec=str(_text(entry["codec"])),
        data=b64decode(entry["data"], validate=True),
        answer=answer,
        created=_number(entry["created"]),
        expires=math.inf if expires is None else _number(expires),
        tags=_tags(record.get("tags") if protection is None else entry["tags"]),
        took=_number(entry["took"]),
        price=_number(entry["price"]),
        traits=traits,
        # Not signed, since they change independently; any value is taken as a count and a time.
        hits=int(min(max(_number(record["hits"]), 0), _COUNT)),
        used=min(max(_number(record["used"]), 0.0), float(_COUNT)),
    )
    # Not signed: invalidations that must withstand an attacker are compared with ``created``.
    found.seen = int(_number(entry.get("seen", 0)))
    return found


def vector(record: Any, dimension: int) -> NDArray[np.float32] | None:
    """Return the unit vector from the metadata, or None if there is none.

    Args:
        record: The metadata.
        dimension: The length of the vector.
    """
    try:
        found = np.frombuffer(b64decode(record["vector"], validate=True), dtype="<f2")
    except (KeyError, TypeError, ValueError):
        return None
    wide = found.astype(np.float32)
    length = float(np.linalg.norm(wide))
    if wide.shape != (dimension,) or not 0.0 < length < math.inf:
        return None
    return wide / np.float32(length)


def _text(value: Any, *, none: bool = False) -> str | None:
    if isinstance(value, str) or (none and value is None):
        return value
    raise TypeError("no text")


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("no number")
    return float(value)


def _tags(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise TypeError("no list")
    return tuple(str(_text(tag)) for tag in value)


def parts(rows: Sequence[Row], size: int, weight: int) -> Iterable[slice]:
    """Yield slices of at most ``size`` rows and, but for single rows, ``weight`` bytes of data."""
    start = load = 0
    for stop, row in enumerate(rows):
        own = len(row.data) + len(row.text or row.traits or "")
        if stop > start and (stop - start >= size or load + own > weight):
            yield slice(start, stop)
            start, load = stop, 0
        load += own
    if start < len(rows):
        yield slice(start, len(rows))
