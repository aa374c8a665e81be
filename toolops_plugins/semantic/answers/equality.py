"""The equality of answers: what is the same but for its form has the same digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson

from toolops_plugins.keys.canonical import Canon

__all__ = [
    "FEW_WORDS",
    "as_fields",
    "digest_of",
    "fold",
    "is_categorical",
    "is_free_text",
    "read_json",
]

FEW_WORDS: Final = 12
"""Longer texts, in words, are free text: two right answers are hardly ever identical."""


_MOST_JSON: Final = 50_000
"""Characters of a text, at most, that is read as JSON, since that happens on event loops."""


def is_free_text(value: Any) -> bool:
    """Return whether an answer is free text, which is not compared by equality."""
    return isinstance(value, str) and len(value.split(maxsplit=FEW_WORDS)) > FEW_WORDS


def is_categorical(value: Any) -> bool:
    """Return whether equality says all of an answer: a number, a single word, or nothing."""
    if isinstance(value, str):
        return len(value.split(maxsplit=1)) < 2 and read_json(value) is None
    return value is None or isinstance(value, bool | int | float | bytes)


def digest_of(canon: Canon, value: Any, data: bytes, secret: bytes | None) -> bytes:
    """Return 16 bytes that are equal for equal answers.

    Case, white space and the full stop of texts do not count, nor the order of keys and the white
    space of JSON.

    Args:
        canon: The canonical encoding.
        value: The answer.
        data: Its encoded form, used where it has no canonical form.
        secret: Key of the digest, so that guessed answers cannot be tested; or None.
    """
    if isinstance(value, str):
        parsed = read_json(value)
        if parsed is None:
            form = b"t" + fold(value).encode("utf-8", "surrogatepass")
        else:
            form = b"j" + orjson.dumps(parsed, option=orjson.OPT_SORT_KEYS)
    else:
        try:
            form = b"c" + canon.encode(value)
        except Exception:  # noqa: BLE001 - methods of a user's class may raise anything
            form = b"d" + data
    return hashlib.blake2b(form, digest_size=16, key=(secret or b"")[:64]).digest()


def fold(text: str) -> str:
    """Return a text without what does not count: case, white space and its full stop."""
    return " ".join(text.split()).casefold().rstrip(" .")


def read_json(text: str) -> Any:
    """Return the object or the list that a text is in JSON, also within a fence; else None."""
    if len(text) > _MOST_JSON:
        return None
    bare = text.strip()
    if bare.startswith("```") and bare.endswith("```"):
        bare = bare[3:-3].removeprefix("json").strip()
    if bare[:1] not in ("{", "[") or bare[-1:] not in ("}", "]"):
        return None
    try:
        return orjson.loads(bare)
    except orjson.JSONDecodeError:
        return None


def as_fields(value: Any) -> Any:
    """Return a model of pydantic or a dataclass as a dictionary of its fields, others as is."""
    kind = type(value)
    fields = getattr(kind, "model_fields", None) or getattr(kind, "__dataclass_fields__", None)
    if not isinstance(fields, Mapping):
        return value
    return {name: getattr(value, name, None) for name in fields}
