"""Copies of results that no codec takes, for types that copying is known not to affect.

To copy some objects is to read them: iterators, files, responses, cursors, objects that hold one of
these, and objects that define how they are copied or pickled. So nothing is copied as a test. A
result is examined first, and can be copied only where each part of it is of a known type, or an
instance of a plain class whose whole state can be.
"""

from __future__ import annotations

import dataclasses
import sys
import types
from array import array
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from datetime import date, datetime, time, timedelta, timezone
from enum import Enum
from re import Pattern
from typing import Any

from toolops_plugins.policy.base import NOTHING, Nothing
from toolops_plugins.standard_types import standard_name

__all__ = ["LARGE", "copy_value", "count_parts"]

LARGE = 10_000
"""Parts from which a value is large: no event loop copies it, or examines all of it."""

_ATOMS = frozenset(
    (
        *(
            type(None),
            bool,
            int,
            float,
            complex,
            str,
            bytes,
            bytearray,
            range,
            slice,
            array,
            Pattern,
        ),
        *(date, datetime, time, timedelta, timezone),
        *(type(Ellipsis), type(NotImplemented), Nothing, type),
    )
)
_SEQUENCES = frozenset((list, tuple, set, frozenset, deque))
_MAPPINGS = frozenset((dict, OrderedDict, defaultdict, Counter, types.SimpleNamespace))
# No attribute of an instance is read, since that may make a proxy load its object.
_FOREIGN = frozenset(
    (
        *(("numpy", "ndarray"), ("pandas", "DataFrame"), ("pandas", "Series")),
        *(("polars", "DataFrame"), ("polars", "Series"), ("pyarrow", "Table")),
    )
)
"""Types of other packages that copy themselves, by package and name."""
_COPYING = ("__reduce_ex__", "__reduce__", "__getstate__")
_COPY_HOOKS = (
    *("__deepcopy__", "__copy__", "__setstate__", "__getnewargs__", "__getnewargs_ex__"),
    *("__getattr__", "__getattribute__", "__new__"),
)
_OF_TUPLES = ("__getnewargs__", "__new__", "__getattribute__")
_READ = frozenset(
    (
        *("__next__", "__anext__", "__aiter__", "__await__", "__enter__", "__aenter__", "__del__"),
        *("read", "readline", "readinto", "recv", "send", "fileno", "close", "aclose", "next"),
        *("fetchone", "fetchmany", "fetchall", "stream", "detach", "acquire", "wait"),
        *("get_nowait", "receive", "receive_nowait", "add_done_callback"),
    )
)
"""Methods of objects that are read or held."""
_READ_PREFIXES = ("iter_", "aiter_", "aread", "get_next")


def copy_value(value: Any) -> Any:
    """Return a copy of a value that :func:`count_parts` accepts, or NOTHING if that fails."""
    try:
        return deepcopy(value)
    except Exception:  # noqa: BLE001 - its constructor may refuse, or it has too many levels
        return NOTHING


def count_parts(value: Any, most: float = float("inf")) -> int | None:
    """Return the number of parts of a value, or None if copying it may have an effect.

    Args:
        value: The value.
        most: Parts after which the count stops. Default: no limit.
    """
    try:
        if getattr(type(value), "__toolops_shareable__", False) is True:
            return 1
        return _count_parts(value, most)
    except Exception:  # noqa: BLE001 - a class or metaclass may raise anything
        return None


def _count_parts(value: Any, most: float) -> int | None:
    count = 0
    seen: set[int] = set()
    pending = [value]
    while pending and count < most:
        part = pending.pop()
        count += 1
        kind = type(part)
        if kind in _ATOMS or issubclass(kind, Enum) or part is NOTHING:
            continue
        if id(part) in seen:
            continue
        seen.add(id(part))
        inside = _parts_of(part, kind)
        if inside is None:
            return None
        pending += inside
    return count


def _parts_of(part: Any, kind: type) -> list[Any] | None:
    """Return the parts inside of a part, or None if they are unknown."""
    if kind in _SEQUENCES:
        return list(part)
    if kind in _MAPPINGS:
        members = vars(part) if kind is types.SimpleNamespace else part
        factory = [part.default_factory] if kind is defaultdict else []
        return [*members, *members.values(), *factory]
    if kind is type or issubclass(kind, type):
        return []  # copying a class gives the class
    if standard_name(kind) or _is_foreign(part, kind):
        return []
    if not kind.__flags__ & (1 << 9):  # Py_TPFLAGS_HEAPTYPE: a type of C code
        return None
    return _instance_parts(part, kind)


def _is_foreign(part: Any, kind: type) -> bool:
    package = (kind.__module__ or "").partition(".")[0]
    if (package, kind.__name__) in _FOREIGN:
        held = getattr(part, "dtype", None)
        return not getattr(held, "hasobject", False) or package != "numpy"
    numpy = sys.modules.get("numpy")
    return package == "numpy" and numpy is not None and isinstance(part, numpy.generic)


def _instance_parts(part: Any, kind: type) -> list[Any] | None:
    """Return the whole state of an instance of a class, if it is copied as any plain object is."""
    if not _has_plain_copy(kind):
        return None
    inside: list[Any] = []
    for base in kind.__mro__:
        for name, member in vars(base).items():
            if isinstance(member, types.MemberDescriptorType) and name != "__weakref__":
                try:
                    inside.append(member.__get__(part))
                except AttributeError:  # it is not set
                    continue
    with suppress(AttributeError):  # it has slots only
        inside += object.__getattribute__(part, "__dict__").values()
    if isinstance(part, tuple):
        inside += tuple.__iter__(part)
    return inside


def _has_plain_copy(kind: type) -> bool:
    """Return whether a class leaves copying to Python, or to a known maker of classes.

    Its instances must not be of the kind that is read, nor have more state than attributes and
    slots.
    """
    pydantic = sys.modules.get("pydantic")
    model = pydantic.BaseModel if pydantic is not None else None
    is_model = model is not None and issubclass(kind, model)
    known = model if is_model else object
    # The __getnewargs__ of a named tuple returns its items.
    is_record = issubclass(kind, tuple) and hasattr(kind, "_fields") and kind.__base__ is tuple
    if not is_record and kind.__base__ is not object and not _derives_from_plain(kind):
        return False
    for name in _COPYING:
        own = getattr(kind, name, None)
        if own is not getattr(known, name, None) and not _is_generated(own):
            return False
    for name in _COPY_HOOKS:
        own = getattr(kind, name, None)
        if own is None or own is getattr(known, name, None) or _is_generated(own):
            continue
        if not (is_record and name in _OF_TUPLES):
            return False
    return not any(_read_signs(kind, is_model=is_model))


def _derives_from_plain(kind: type) -> bool:
    """Return whether a class has no ancestor in C code, with hidden state, but ``object``."""
    return all(base is object or base.__flags__ & (1 << 9) for base in kind.__mro__)


def _is_generated(own: Any) -> bool:
    """Return whether a method was generated by dataclasses or attrs, for classes with slots."""
    return getattr(own, "__module__", None) in ("dataclasses", "attr._make") or own in (
        getattr(dataclasses, "_dataclass_getstate", NOTHING),
        getattr(dataclasses, "_dataclass_setstate", NOTHING),
    )


def _read_signs(kind: type, *, is_model: bool) -> Iterator[bool]:
    for base in kind.__mro__[:-1]:
        if is_model and base.__module__.startswith("pydantic."):
            continue
        for name, member in vars(base).items():
            if name in _READ or name.startswith(_READ_PREFIXES):
                yield callable(member) or isinstance(member, property)
        # An iterable without a length can perhaps be iterated only once.
        yield not is_model and "__iter__" in vars(base) and not hasattr(kind, "__len__")
