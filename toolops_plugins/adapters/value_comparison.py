"""Compare a value with what a serializer made of it, in value and type at any depth.

A serializer may bring back less than it was given without a word: a dict for a Counter, a list for
a tuple, a text for an exception. ``==`` does not tell, since ``Counter(a=1) == {"a": 1}`` and a
class may define it as it likes; so it is not asked here. What cannot be compared counts as
different.
"""

from __future__ import annotations

import enum
import pickle
import re
import sys
import types
from collections import deque
from collections.abc import Callable, Collection
from datetime import date, datetime, time, timedelta, timezone
from functools import cached_property
from inspect import getattr_static
from io import BytesIO
from math import copysign
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from toolops_plugins.keys.encoding_failures import looks_like_field, type_name
from toolops_plugins.keys.object_state import has_hidden_state, state_of
from toolops_plugins.standard_types import PATHS, standard_name

__all__ = ["find_difference", "type_name"]

_ATOMS = frozenset((type(None), bool, int, str, bytes, type(...), type(NotImplemented), bytearray))
"""Types whose ``==`` tells all."""
_BY_IDENTITY = (enum.Enum, type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)
_FIELDS_SET = frozenset(("__pydantic_fields_set__", "__fields_set__"))
"""Which fields of a model were given, which pydantic's own equality leaves out too."""
_ROOTS: tuple[type[Any], ...] = (dict, list, tuple, set, frozenset, deque, str, int, float, bytes)
_PLAIN: dict[type, Callable[[Any], Any]] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
    bytes: bytes.__bytes__,
}


class _DifferenceError(Exception):
    """Carries the difference up to the value that holds it, collecting the path on the way."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.steps: list[str] = []


def find_difference(before: Any, after: Any, *, texts: Collection[type[str]] = ()) -> str | None:
    """Return where and how two values differ, without their content, or None if they are equal.

    Plain values take about as long as to serialize them twice, others some microseconds for each
    part. It runs no code of their classes but the ``==`` and ``hash()`` of members of sets. Order
    in dicts counts; a NaN equals a NaN; exceptions, views of memory and values with state in C that
    nobody knows are never equal. Which fields of a pydantic model were set does not count, and
    neither does what a ``cached_property`` remembers.

    Args:
        before: The original.
        after: What a serializer brought back.
        texts: Classes of texts that may come back as plain ones.
    """
    try:
        if _dump_plain(before) == _dump_plain(after):
            return None
    except Exception:  # noqa: BLE001, S110 - of a value that is not plain
        pass
    try:
        _Comparison(texts).compare(before, after)
    except _DifferenceError as found:
        path = "".join(reversed(found.steps))
        return f"{path.removeprefix('.')}: {found.problem}" if path else found.problem
    except RecursionError:
        return f"{type_name(type(before))} is nested too deeply"
    except Exception as error:  # noqa: BLE001 - of members of sets, or of attributes
        return f"{type_name(type(before))} raises {type(error).__name__} when it is compared"
    return None


class _PlainPickler(pickle.Pickler):
    """Writes values of built-in types alone, each with its exact type; nothing is ever read."""

    def __init__(self, file: BytesIO) -> None:
        super().__init__(file, protocol=5)
        self.fast = True  # without references, which differ between equal values

    def reducer_override(self, obj: Any) -> Any:
        """Refuse everything but built-in types."""
        raise TypeError(type(obj).__name__)


def _dump_plain(value: Any) -> bytes:
    """Return bytes that are equal for equal plain values only, written in C."""
    file = BytesIO()
    _PlainPickler(file).dump(value)
    return file.getvalue()


class _Comparison:
    """One comparison; it remembers the pairs that it has seen, for values that hold themselves."""

    def __init__(self, texts: Collection[type[str]]) -> None:
        self._texts = texts
        self._seen: dict[int, int] = {}

    def compare(self, before: Any, after: Any) -> None:
        kind = type(before)
        if kind in self._texts and type(after) is str:
            before, kind = str.__str__(before), str
        if kind is not type(after):
            raise _DifferenceError(f"{type_name(kind)} comes back as {type_name(type(after))}")
        if kind in _ATOMS:
            if before != after:
                raise _changed(kind)
            return
        if before is after:
            return
        known = _COMPARERS.get(kind)
        if known:
            if not known(before, after):
                raise _changed(kind)
            return
        seen = self._seen
        if seen.get(id(before)) == id(after):
            return
        seen[id(before)] = id(after)
        if kind is dict:
            self._compare_dicts(before, after)
        elif kind is list or kind is tuple:
            self._compare_items(before, after)
        else:
            self._compare_parts(kind, before, after)

    def _compare_parts(self, kind: type, before: Any, after: Any) -> None:
        if kind is datetime or kind is time:
            if before.replace(tzinfo=None) != after.replace(tzinfo=None):
                raise _changed(kind)
            self._step(".fold", before.fold, after.fold)
            self._step(".tzinfo", before.tzinfo, after.tzinfo)
        elif issubclass(kind, _BY_IDENTITY):
            raise _DifferenceError(f"{type_name(kind)} comes back as another object")
        elif issubclass(kind, BaseException):
            raise _DifferenceError(f"an exception ({type_name(kind)}) is not kept")
        elif _is_numpy(kind):
            _compare_numpy(kind, before, after)
        elif issubclass(kind, BaseModel):
            self._compare_models(before, after)
        elif standard_name(kind) in PATHS:
            self.compare(str(before), str(after))
        elif standard_name(kind) == "Decimal":
            self.compare(tuple(before.as_tuple()), tuple(after.as_tuple()))
        else:
            self._compare_instances(kind, before, after)

    def _compare_items(self, before: Any, after: Any) -> None:
        if len(before) != len(after):
            raise _changed(type(before))
        index = -1
        try:
            for item, other in zip(before, after, strict=True):
                index += 1
                if type(item) not in _ATOMS or type(item) is not type(other) or item != other:
                    self.compare(item, other)
        except _DifferenceError as found:
            found.steps.append(f"[{index}]")
            raise

    def _compare_dicts(self, before: dict[Any, Any], after: dict[Any, Any]) -> None:
        if len(before) != len(after):
            raise _changed(type(before))
        key: Any = None
        try:
            pairs = zip(dict.items(before), dict.items(after), strict=True)
            for (key, item), (other_key, other) in pairs:
                if type(key) is not str or type(other_key) is not str or key != other_key:
                    self.compare(key, other_key)
                if type(item) not in _ATOMS or type(item) is not type(other) or item != other:
                    self.compare(item, other)
        except _DifferenceError as found:
            found.steps.append(_step_of(key))
            raise

    def _compare_sets(self, before: Any, after: Any) -> None:
        members = {each: each for each in after}
        if len(before) != len(members):
            raise _changed(type(before))
        for each in before:
            if each not in members:
                raise _changed(type(before))
            self.compare(each, members[each])

    def _compare_models(self, before: BaseModel, after: BaseModel) -> None:
        kind, fields, others = type(before), vars(before), vars(after)
        for name in kind.model_fields:
            self._step(f".{name}", fields.get(name), others.get(name))
        more = (fields.keys() | others.keys()) - kind.model_fields.keys()
        for name in sorted(more):
            if not isinstance(getattr_static(kind, name, None), cached_property):
                self._step(f".{name}", fields.get(name), others.get(name))
        self._step("", before.__pydantic_extra__, after.__pydantic_extra__)
        self._step("", before.__pydantic_private__ or None, after.__pydantic_private__ or None)

    def _compare_instances(self, kind: type, before: Any, after: Any) -> None:
        root = next((root for root in _ROOTS if issubclass(kind, root)), None)
        if kind is object or (root is None and has_hidden_state(kind)):
            raise _DifferenceError(f"{type_name(kind)} cannot be compared")
        if root is dict:
            self._compare_dicts(before, after)
        elif root is set or root is frozenset:
            self._compare_sets(before, after)
        elif root is not None and root in _PLAIN:
            self.compare(_PLAIN[root](before), _PLAIN[root](after))
        elif root is not None:
            self._compare_items([*root.__iter__(before)], [*root.__iter__(after)])
        for name in ("default_factory", "maxlen"):  # of a defaultdict and a deque
            self._step(f".{name}", getattr(before, name, None), getattr(after, name, None))
        state, other = _state(kind, before), _state(kind, after)
        if state or other:
            self._compare_dicts(state, other)

    def _step(self, step: str, before: Any, after: Any) -> None:
        try:
            self.compare(before, after)
        except _DifferenceError as found:
            found.steps.append(step)
            raise


def _is_numpy(kind: type) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and issubclass(kind, numpy.ndarray | numpy.generic)


def _compare_numpy(kind: type, before: Any, after: Any) -> None:
    """Compare arrays and scalars by type, shape and bytes."""
    dtype = getattr(before, "dtype", None)
    is_plain = kind.__module__ == "numpy" and (
        kind.__name__ == "ndarray"
        if hasattr(before, "__array_finalize__")
        else kind.__name__ not in ("void", "record")
    )
    if not is_plain or dtype is None or dtype.hasobject or dtype.kind == "T":
        raise _DifferenceError(f"{type_name(kind)} cannot be compared")
    same = (
        dtype == after.dtype
        and str(dtype) == str(after.dtype)
        and dtype.metadata == after.dtype.metadata
        and before.shape == after.shape
        and before.tobytes() == after.tobytes()
    )
    if not same:
        raise _changed(kind)
    if before.flags.writeable and not after.flags.writeable:
        raise _DifferenceError(f"{type_name(kind)} comes back read-only")


def _same_float(before: float, after: float) -> bool:
    if before != before:  # noqa: PLR0124 - a NaN
        return after != after  # noqa: PLR0124 - as above
    return before == after and copysign(1.0, before) == copysign(1.0, after)


def _same_complex(before: complex, after: complex) -> bool:
    return _same_float(before.real, after.real) and _same_float(before.imag, after.imag)


def _by_text(before: Any, after: Any) -> bool:
    return repr(before) == repr(after)


_COMPARERS: dict[type, Callable[[Any, Any], bool]] = {
    float: _same_float,
    complex: _same_complex,
    date: date.__eq__,
    timedelta: timedelta.__eq__,
    timezone: _by_text,
    ZoneInfo: lambda before, after: before.key is not None and before.key == after.key,
    UUID: UUID.__eq__,
    range: _by_text,
    re.Pattern: lambda before, after: (
        type(before.pattern) is type(after.pattern)
        and (before.pattern, before.flags) == (after.pattern, after.flags)
    ),
    memoryview: lambda *_: False,
}


def _state(kind: type, value: Any) -> dict[str, Any]:
    """Return the attributes and slots of an instance, sorted, but for what is only remembered."""
    return {
        name: item
        for name, item in sorted(state_of(value).items())
        if name not in _FIELDS_SET
        and not isinstance(getattr_static(kind, name, None), cached_property)
    }


def _changed(kind: type) -> _DifferenceError:
    return _DifferenceError(f"{type_name(kind)} comes back with another value")


def _step_of(key: Any) -> str:
    """Return the path to a value of a dict, without content that is no name."""
    if type(key) is str and looks_like_field(key):
        return f".{key}"
    return f"[{type_name(type(key))}]"
