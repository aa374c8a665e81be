"""Copies of results that no codec takes, of types that are known to be copied without any effect.

To copy some things is to read them: iterators, files, responses, cursors, whatever holds one of
those, and whatever defines how it is copied or pickled in a way of its own. So nothing is copied in
order to find out. A result is looked through first, and counts as copyable only where each part of
it is of a known type, or an instance of a plain class whose whole state is.
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
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from re import Pattern
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from toolops_plugins.policy.base import NOTHING, Nothing

__all__ = ["LARGE", "copy_value", "count_parts"]

LARGE = 10_000
"""Parts from which a value is large: no event loop copies it, nor looks through the rest of it."""

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
        *(date, datetime, time, timedelta, timezone, ZoneInfo, Decimal, Fraction, UUID),
        *(PosixPath, PurePosixPath, PureWindowsPath, WindowsPath),
        *(type(Ellipsis), type(NotImplemented), Nothing, type),
    )
)
_SEQUENCES = frozenset((list, tuple, set, frozenset, deque))
_MAPPINGS = frozenset((dict, OrderedDict, defaultdict, Counter, types.SimpleNamespace))
# No instance is asked for anything here: an attribute of a proxy may be what it loads.
_FOREIGN = frozenset(
    (
        *(("numpy", "ndarray"), ("pandas", "DataFrame"), ("pandas", "Series")),
        *(("polars", "DataFrame"), ("polars", "Series"), ("pyarrow", "Table")),
    )
)
"""Types of other packages that copy themselves, by package and name."""
_COPYING = ("__reduce_ex__", "__reduce__", "__getstate__")
_OWN_WAYS = (
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
"""Methods of what is read, or held, and not only looked at."""
_READ_PREFIXES = ("iter_", "aiter_", "aread", "get_next")


def copy_value(value: Any) -> Any:
    """Return a copy of a value that :func:`count_parts` counts, or NOTHING if that fails."""
    try:
        return deepcopy(value)
    except Exception:  # noqa: BLE001 - its constructor may refuse; too many levels are an error too
        return NOTHING


def count_parts(value: Any, most: float = float("inf")) -> int | None:
    """Return how many parts a value has; None: copying it may have an effect.

    Args:
        value: The value.
        most: Parts after which no more is looked at. Default: without a limit.
    """
    try:
        if getattr(type(value), "__toolops_shareable__", False) is True:
            return 1
        return _count_parts(value, most)
    except Exception:  # noqa: BLE001 - a class, and its class, may raise whatever is asked of them
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
        inside = _inside(part, kind)
        if inside is None:
            return None
        pending += inside
    return count


def _inside(part: Any, kind: type) -> list[Any] | None:
    """Return what a part of a value holds; None: nobody knows."""
    if kind in _SEQUENCES:
        return list(part)
    if kind in _MAPPINGS:
        members = vars(part) if kind is types.SimpleNamespace else part
        factory = [part.default_factory] if kind is defaultdict else []
        return [*members, *members.values(), *factory]
    if kind is type or issubclass(kind, type):
        return []  # copying a class gives the class
    if _is_foreign(part, kind):
        return []
    if not kind.__flags__ & (1 << 9):  # Py_TPFLAGS_HEAPTYPE: a type of C code
        return None
    return _state(part, kind)


def _is_foreign(part: Any, kind: type) -> bool:
    package = (kind.__module__ or "").partition(".")[0]
    if (package, kind.__name__) in _FOREIGN:
        held = getattr(part, "dtype", None)
        return not getattr(held, "hasobject", False) or package != "numpy"
    numpy = sys.modules.get("numpy")
    return package == "numpy" and numpy is not None and isinstance(part, numpy.generic)


def _state(part: Any, kind: type) -> list[Any] | None:
    """Return all that an instance of a class holds, if it is copied as any object is."""
    if not _is_plain(kind):
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


def _is_plain(kind: type) -> bool:
    """Return whether a class leaves it to Python, or to a known maker of classes, to copy it.

    Its instances must not be such as are read, nor have more state than attributes and slots.
    """
    pydantic = sys.modules.get("pydantic")
    model = pydantic.BaseModel if pydantic is not None else None
    is_model = model is not None and issubclass(kind, model)
    known = model if is_model else object
    # A named tuple is made of its items, which is what its own __getnewargs__ says.
    is_record = issubclass(kind, tuple) and hasattr(kind, "_fields") and kind.__base__ is tuple
    if not is_record and kind.__base__ is not object and not _derives_from_plain(kind):
        return False
    for name in _COPYING:
        own = getattr(kind, name, None)
        if own is not getattr(known, name, None) and not _is_generated(own):
            return False
    for name in _OWN_WAYS:
        own = getattr(kind, name, None)
        if own is None or own is getattr(known, name, None) or _is_generated(own):
            continue
        if not (is_record and name in _OF_TUPLES):
            return False
    return not any(_is_read(kind, is_model=is_model))


def _derives_from_plain(kind: type) -> bool:
    """Return whether a class has no ancestor of C code but ``object``, whose state is hidden."""
    return all(base is object or base.__flags__ & (1 << 9) for base in kind.__mro__)


def _is_generated(own: Any) -> bool:
    """Return whether a method was made by dataclasses or attrs, for classes with slots."""
    return getattr(own, "__module__", None) in ("dataclasses", "attr._make") or own in (
        getattr(dataclasses, "_dataclass_getstate", NOTHING),
        getattr(dataclasses, "_dataclass_setstate", NOTHING),
    )


def _is_read(kind: type, *, is_model: bool) -> Iterator[bool]:
    for base in kind.__mro__[:-1]:
        if is_model and base.__module__.startswith("pydantic."):
            continue
        for name, member in vars(base).items():
            if name in _READ or name.startswith(_READ_PREFIXES):
                yield callable(member) or isinstance(member, property)
        # What can be iterated and has no length is iterated once, as far as anybody knows.
        yield not is_model and "__iter__" in vars(base) and not hasattr(kind, "__len__")
