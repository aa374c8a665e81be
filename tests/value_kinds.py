"""Values of every kind that a tool or node may return, and a description that tells them apart.

A cache may keep a value or not; what it gives back is what it was given, in value and type at every
depth. ``describe`` says so without the ``==`` of the values, by which a Counter equals a dict.
"""

from __future__ import annotations

import dataclasses
import decimal
import enum
import fractions
import functools
import ipaddress
import re
import threading
import uuid
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import BaseModel, PrivateAttr, SecretStr

__all__ = ["KINDS", "PLAIN", "describe"]


class Color(enum.Enum):
    """A plain enum."""

    RED = 1


class Level(enum.IntEnum):
    """An enum whose members are numbers."""

    LOW = 1


class Point(NamedTuple):
    """A named tuple."""

    x: int
    y: int


OldPoint = namedtuple("OldPoint", "x y")


@dataclasses.dataclass
class Cart:
    """A dataclass, one of whose fields no constructor takes."""

    items: list[Any]
    total: int = dataclasses.field(default=0, init=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    """A dataclass without a ``__dict__``."""

    item: str


class Order(BaseModel):
    """A pydantic model with what is no field."""

    number: int
    note: str = ""
    secret: SecretStr = SecretStr("s")
    _seen: int = PrivateAttr(default=0)


class Line(BaseModel):
    """A plain pydantic model."""

    number: int
    note: str = ""


class MyDict(dict):
    """A dict with an attribute."""


class MyStr(str):
    """A str of one's own."""

    __slots__ = ()


class Plain:
    """A class that defines nothing."""

    def __init__(self) -> None:
        self.a = 1


class Agreeable:
    """Equal to everything."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = object.__hash__


class Quarrelsome:
    """Cannot be compared."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("do not compare me")

    __hash__ = object.__hash__


def _own_dict() -> MyDict:
    made = MyDict(a=1)
    made.note = "attribute"
    return made


def _seen_order() -> Order:
    made = Order(number=1)
    made._seen = 3
    return made


def _filled_cart() -> Cart:
    made = Cart([1])
    made.total = 7
    return made


def _cycle() -> list[Any]:
    made: list[Any] = [1]
    made.append(made)
    return made


def _noted() -> ValueError:
    made = ValueError("x", 3)
    made.add_note("a note")
    return made


PLAIN: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "text": lambda: "four ü 😀",
    "empty text": lambda: "",
    "number": lambda: 4,
    "float": lambda: 2.5,
    "bool": lambda: True,
    "list": lambda: [1, "a", None, [True, 2.0]],
    "dict": lambda: {"a": {"b": [1, 2.5]}, "c": None},
    "long list": lambda: list(range(5_000)),
}
"""Kinds that everything keeps."""

KINDS: dict[str, Callable[[], Any]] = PLAIN | {
    "exception": lambda: ValueError("x"),
    "exception with a note": _noted,
    "exception inside": lambda: {"errors": [KeyError("k")]},
    "Counter": lambda: Counter("aab"),
    "defaultdict": lambda: defaultdict(list, {"a": [1]}),
    "OrderedDict": lambda: OrderedDict(b=1, a=2),
    "deque": lambda: deque([1, 2]),
    "deque with a bound": lambda: deque([1, 2], maxlen=2),
    "dict subclass": _own_dict,
    "str subclass": lambda: MyStr("a"),
    "list of str subclasses": lambda: [MyStr("a")],
    "tuple": lambda: (1, 2),
    "empty tuple": lambda: (),
    "tuple inside": lambda: {"a": [(1, ("b",))]},
    "tuple as a key": lambda: {(1, 2): "a"},
    "NamedTuple": lambda: Point(1, 2),
    "namedtuple": lambda: OldPoint(1, 2),
    "namedtuple inside": lambda: [Point(1, 2)],
    "lone surrogate": lambda: "\ud800",
    "lone surrogate inside": lambda: {"\udfff": ["a\ud800b"]},
    "bytes": lambda: b"\x00\xff",
    "bytearray": lambda: bytearray(b"a"),
    "bytearray inside": lambda: [bytearray(b"a"), b"b"],
    "memoryview": lambda: memoryview(b"a"),
    "ZoneInfo": lambda: ZoneInfo("Europe/Berlin"),
    "aware datetime": lambda: datetime(2026, 1, 2, 3, tzinfo=ZoneInfo("Europe/Berlin")),
    "folded datetime": lambda: datetime(
        2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Rome")
    ),
    "datetime in UTC": lambda: datetime(2026, 1, 2, tzinfo=UTC),
    "naive datetime": lambda: datetime(2026, 1, 2, 3, 4, 5, 6),
    "named timezone": lambda: timezone(timedelta(hours=1), "ours"),
    "time": lambda: time(1, 2, 3, 4, tzinfo=UTC),
    "date": lambda: date(2026, 1, 2),
    "timedelta": lambda: timedelta(days=-1, microseconds=3),
    "numpy scalar": lambda: np.float32(1.5),
    "numpy float": lambda: np.float64(1.5),
    "numpy int": lambda: [np.int64(3)],
    "numpy bool": lambda: np.bool_(1),
    "numpy text": lambda: np.str_("a"),
    "numpy datetime": lambda: np.datetime64("2026-01-02", "ns"),
    "numpy array": lambda: np.arange(6, dtype=np.int16).reshape(2, 3),
    "numpy array with nan": lambda: np.array([np.nan, 1.0]),
    "numpy array in Fortran order": lambda: np.asfortranarray(np.arange(6).reshape(2, 3)),
    "numpy array inside": lambda: {"a": [np.zeros(2)]},
    "numpy array of objects": lambda: np.array([{"a": 1}, None], dtype=object),
    "numpy records": lambda: np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    "numpy record": lambda: np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])[0],
    "numpy recarray": lambda: np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    "numpy masked array": lambda: np.ma.masked_array([1, 2], mask=[0, 1]),
    "set": lambda: {1, "a"},
    "frozenset": lambda: frozenset((1, 2)),
    "set of tuples": lambda: {(1, 2)},
    "enum": lambda: Color.RED,
    "IntEnum": lambda: Level.LOW,
    "enum inside": lambda: {"level": Level.LOW, Color.RED: 1},
    "Decimal": lambda: decimal.Decimal("1.10"),
    "Decimal nan": lambda: decimal.Decimal("NaN"),
    "Fraction": lambda: fractions.Fraction(1, 3),
    "Path": lambda: Path("a/b"),
    "UUID": lambda: uuid.UUID(int=7),
    "IP address": lambda: ipaddress.ip_address("10.0.0.1"),
    "regular expression": lambda: re.compile("a.", re.IGNORECASE),
    "range": lambda: range(3),
    "slice": lambda: slice(1, 2),
    "dataclass": _filled_cart,
    "dataclass with slots": lambda: Slotted("a"),
    "pydantic model": lambda: Line(number=1),
    "pydantic model with a private attribute": _seen_order,
    "SecretStr": lambda: SecretStr("s"),
    "int keys": lambda: {1: "a", 2: "b"},
    "mixed keys": lambda: {True: "a", 2.5: "b", None: "c", "1": "d"},
    "nan": lambda: float("nan"),
    "minus zero": lambda: -0.0,
    "infinity": lambda: [float("inf"), -float("inf")],
    "complex": lambda: complex(1, -0.0),
    "big number": lambda: 2**80,
    "function": lambda: describe,
    "lambda": lambda: lambda: 1,
    "partial": lambda: functools.partial(int, base=2),
    "class": lambda: Color,
    "object": object,
    "lock": threading.Lock,
    "SimpleNamespace": lambda: SimpleNamespace(a=1),
    "plain instance": Plain,
    "equal to everything": Agreeable,
    "not to be compared": lambda: [Quarrelsome()],
    "ellipsis": lambda: ...,
    "cycle": _cycle,
}


def describe(value: Any, depth: int = 0) -> Any:
    """Return a description of a value: its type and content at every depth."""
    kind = type(value)
    if depth > 8:
        return "deep"
    if isinstance(value, np.ndarray | np.generic):
        content = value.tolist() if value.dtype.hasobject else value.tobytes()
        return kind, str(value.dtype), value.shape, repr(content), bool(value.flags.writeable)
    parts: list[Any] = [kind]
    if isinstance(value, dict):
        parts += [(describe(k, depth + 1), describe(v, depth + 1)) for k, v in value.items()]
        parts.append(getattr(value, "default_factory", None))
    elif isinstance(value, set | frozenset):
        parts += sorted(repr(describe(each, depth + 1)) for each in value)
    elif isinstance(value, list | tuple | deque):
        parts += [describe(each, depth + 1) for each in value]
        parts.append(getattr(value, "maxlen", None))
    elif isinstance(value, BaseException):
        parts += [describe(value.args, depth + 1)]
    elif isinstance(value, memoryview):
        parts.append(value.tobytes())
    elif isinstance(value, SecretStr):
        parts.append(value.get_secret_value())
    elif isinstance(value, BaseModel):
        parts.append(describe(value.__pydantic_private__, depth + 1))
    elif isinstance(value, datetime):
        parts += [value.fold, describe(value.tzinfo)]
    if kind.__module__ not in ("builtins", "functools", "enum") and not isinstance(value, type):
        state = {**getattr(value, "__dict__", {})}
        parts.append(sorted((k, repr(describe(v, depth + 1))) for k, v in state.items()))
    text = "" if isinstance(value, list | tuple | dict | set | frozenset) else repr(value)
    parts.append(re.sub(r" at 0x[0-9a-f]+", "", text))
    return tuple(parts)
