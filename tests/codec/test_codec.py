"""Round trips of values, which are exact or refused."""

from __future__ import annotations

import copy
import inspect
import math
import struct
import subprocess
import sys
import threading
from collections import Counter, OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum, auto
from functools import cached_property
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from toolops_plugins.codec import Codec, Payload
from toolops_plugins.errors import ConfigurationError, NotEncodableError, UnknownFormatError
from toolops_plugins.policy import NOTHING


class Colour(Enum):
    RED = 1
    GREEN = "g"


class Mode(StrEnum):
    FAST = "fast"


class Level(IntEnum):
    HIGH = 3


class Right(Flag):
    READ = auto()
    WRITE = auto()


@dataclass
class Point:
    x: Any
    y: Any = 0


@dataclass(frozen=True, slots=True)
class Frozen:
    name: Any
    doubled: Any = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "doubled", [self.name, self.name])


class Pair(NamedTuple):
    left: Any
    right: Any


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", arbitrary_types_allowed=True)
    title: Any
    count: int = 3
    _private: int = pydantic.PrivateAttr(7)


class Root(pydantic.RootModel[list[int]]):
    pass


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents


def make_codec() -> Codec:
    codec = Codec()
    for kind in (Colour, Mode, Level, Right, Point, Frozen, Pair, Model, Root):
        codec.register(kind)
    codec.register(Money, "money", encode=lambda m: (m.cents,), decode=lambda t: Money(*t))
    return codec


CODEC = make_codec()


def mark(value: Any) -> Any:
    """Return a hashable stand-in that is equal for values of equal type and content only."""
    kind = type(value)
    if kind is float:
        return kind, "nan" if math.isnan(value) else struct.pack("d", value)
    if kind is complex:
        return kind, mark(value.real), mark(value.imag)
    if kind in (list, tuple, Pair):
        return kind, tuple(map(mark, value))
    if kind in (set, frozenset):
        return kind, frozenset(Counter(map(mark, value)).items())
    if kind is dict:
        return kind, tuple((mark(k), mark(v)) for k, v in value.items())
    if kind is bytearray:
        return kind, bytes(value)
    if kind in (datetime, time):
        return kind, value.replace(tzinfo=None, fold=0), value.fold, mark(value.tzinfo)
    if kind is ZoneInfo:
        return kind, value.key
    if kind is timezone:
        return kind, value.__getinitargs__()
    if kind is Decimal:
        return kind, str(value)
    if isinstance(value, np.ndarray | np.generic):
        return kind, str(value.dtype), value.shape, value.tobytes()
    if kind in (Point, Frozen):
        return kind, *(mark(getattr(value, name)) for name in value.__dataclass_fields__)
    if kind in (Model, Root):
        return kind, mark(value.__getstate__())
    if kind is Money:
        return kind, value.cents
    return kind, value


any_text = st.text(st.characters(exclude_categories=()), max_size=8)
offsets = st.builds(
    timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)), any_text | st.just("x")
) | st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)))
zone_infos = st.sampled_from([*map(ZoneInfo, ("UTC", "Europe/Berlin", "Asia/Kolkata"))])
zones = st.none() | zone_infos | offsets
atoms = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1])
    | st.floats()
    | st.sampled_from([-0.0, 5e-324])
    | any_text
    | st.binary(max_size=8)
    | st.complex_numbers()
    | st.dates()
    | st.times(timezones=st.none() | offsets)
    | st.datetimes(timezones=zones, allow_imaginary=True)
    | st.builds(lambda d, f: d.replace(fold=f), st.datetimes(timezones=zones), st.integers(0, 1))
    | st.timedeltas()
    | offsets
    | zone_infos
    | st.decimals(allow_nan=False)
    | st.sampled_from([Decimal("NaN"), Decimal("-0E+99"), Decimal("1.10")])
    | st.uuids()
    | st.builds(PurePosixPath, any_text)
    | st.builds(PureWindowsPath, any_text)
    | st.builds(Path, any_text)
    | st.sampled_from([*Colour, *Mode, *Level, Right.READ, Right.READ | Right.WRITE, Right(0)])
)
frozen = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple) | st.lists(inner, max_size=3).map(frozenset)
    ),
    max_leaves=4,
)
keys = frozen | st.builds(Pair, frozen, frozen)
numpy_dtypes = (
    hnp.scalar_dtypes()
    | hnp.byte_string_dtypes(min_len=1)
    | hnp.unicode_string_dtypes(min_len=1)
    | hnp.array_dtypes(hnp.integer_dtypes() | hnp.floating_dtypes())
)
arrays = hnp.arrays(numpy_dtypes, hnp.array_shapes(min_dims=0, min_side=0, max_side=3))
scalars = hnp.scalar_dtypes().flatmap(lambda d: hnp.arrays(d, ())).map(lambda a: a[()])
# A signalling NaN has no hash, so it is no key.
more = st.just(Decimal("sNaN123")) | st.binary(max_size=8).map(bytearray)
leaves = atoms | more | arrays | scalars
dict_keys = any_text | st.just("~") | keys
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        # Not sets() and dictionaries(): these print the whole strategy when a key comes twice.
        | st.lists(keys, max_size=4).map(set)
        | st.lists(st.tuples(dict_keys, inner), max_size=4).map(dict)
        | st.builds(Point, inner, inner)
        | st.builds(Frozen, inner)
        | st.builds(Pair, inner, inner)
        | st.builds(Model, title=inner, extra=inner)
        | st.builds(Root, st.lists(st.integers(), max_size=3))
        | st.builds(Money, st.integers())
    ),
    max_leaves=12,
)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.just("~"), inner, max_size=4)
    ),
)


def through_bytes(codec: Codec, value: Any) -> Any:
    payload = codec.encode(value)
    return codec.decode(codec.load(payload.codec, codec.data(payload)))


EDGES = [
    math.nan,
    math.inf,
    -0.0,
    2**64,
    -(2**63) - 1,
    "\ud800",
    {"\ud800": 1},
    {"~": 1},
    {"~": ["t", 1]},
    {"~": None},
    {1: 2},
    {None: 2, "a": 3},
    {(): ()},
    (1,),
    Mode.FAST,
    UUID(int=1),
    np.float64(1),
    True,
    b"",
    Decimal("sNaN123"),
]


@pytest.mark.parametrize("edge", EDGES, ids=repr)
def test_what_json_would_change_comes_back_at_every_depth(edge: Any) -> None:
    for value in (edge, [edge], {"a": edge}, [{"a": [edge]}], (edge, []), {1: edge}, [1, [edge]]):
        assert mark(CODEC.decode(CODEC.encode(value))) == mark(value)
        assert mark(through_bytes(CODEC, value)) == mark(value)


def test_two_nans_in_a_set_stay_two():
    value = {(float("nan"),), (float("nan"),)}
    assert len(CODEC.decode(CODEC.encode(value))) == len(value) == 2


@given(values)
def test_every_supported_value_comes_back_exactly(value: Any) -> None:
    wanted = mark(value)
    payload = CODEC.encode(value)
    assert mark(CODEC.decode(payload)) == wanted
    data = CODEC.data(payload)
    loaded = CODEC.load(payload.codec, data)
    assert CODEC.data(loaded) == data
    assert mark(CODEC.decode(loaded)) == wanted  # the value that load() made
    assert mark(CODEC.decode(loaded)) == wanted  # and one made anew
    assert mark(value) == wanted


@given(plain)
def test_what_json_holds_exactly_is_plain_json(value: Any) -> None:
    payload = CODEC.encode(value)
    assert payload.codec == "json"
    assert orjson.loads(CODEC.data(payload)) == value
    assert mark(through_bytes(CODEC, value)) == mark(value)


def spoil(value: Any) -> None:
    """Change everything that can be changed in a value."""
    if isinstance(value, list | tuple | set | frozenset):
        for item in value:
            spoil(item)
    elif isinstance(value, dict):
        for item in value.values():
            spoil(item)
    elif isinstance(value, Point | Model):
        spoil(vars(value))
        value.x = value.title = "spoilt"
    elif isinstance(value, Frozen):
        spoil(value.name)
        spoil(value.doubled)
    elif isinstance(value, Money):
        value.cents = -1
    elif isinstance(value, np.ndarray):
        value.fill(0)
    if isinstance(value, list | set | dict | bytearray):
        value.clear()


@given(values)
def test_a_result_that_is_changed_changes_nothing_for_others(value: Any) -> None:
    wanted = mark(value)
    payload = CODEC.encode(value)
    loaded = CODEC.load(payload.codec, CODEC.data(payload))
    for _ in range(2):
        spoil(CODEC.decode(payload))
        spoil(CODEC.decode(loaded))
    spoil(value)
    assert mark(CODEC.decode(payload)) == wanted
    assert mark(CODEC.decode(loaded)) == wanted


@given(frozen)
def test_an_immutable_value_is_shared_and_has_no_bytes(value: Any) -> None:
    payload = CODEC.encode(value)
    assert payload.data is None
    assert CODEC.decode(payload) is value
    assert payload.size > 0
    loaded = CODEC.load(payload.codec, CODEC.data(payload))
    assert loaded.data is None
    assert CODEC.decode(loaded) is CODEC.decode(loaded)


@pytest.mark.parametrize("value", [([],), ("a", {}), (bytearray(),), (np.float64(1),)])
def test_a_tuple_that_holds_what_can_be_changed_is_not_shared(value: Any) -> None:
    payload = CODEC.encode(value)
    assert payload.shared is NOTHING
    assert CODEC.decode(payload) is not value


class Zone(tzinfo):
    def utcoffset(self, _: datetime | None) -> timedelta:
        return timedelta(hours=1)


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Array(np.ndarray):
    pass


Loose = namedtuple("Loose", "a")  # the untyped kind
UNKNOWN = [
    OrderedDict(a=1),
    defaultdict(list),
    Counter("a"),
    Text("a"),
    Number(1),
    Loose(1),
    Zone(),
    datetime(2020, 1, 1, tzinfo=Zone()),
    object(),
    Point,
    len,
    np.array([object()], dtype=object),
    np.zeros(2).view(Array),
    np.ma.array([1], mask=[True]),
    np.zeros(1, dtype=np.dtype("i4", metadata={"a": 1})),
    range(3),
    memoryview(b"a"),
    ValueError("a"),
    pydantic.SecretStr("a"),
]


@pytest.mark.parametrize("value", UNKNOWN, ids=lambda v: type(v).__name__)
def test_what_is_not_registered_is_refused_at_every_depth(value: Any) -> None:
    for wrapped in (value, [value], {"a": [value]}, (value,), {"a": (1, value)}, Point(value)):
        with pytest.raises(NotEncodableError):
            CODEC.encode(wrapped)


@pytest.mark.parametrize("value", [Text("a"), Number(1), Loose(1), Mode.FAST, Level.HIGH])
def test_a_key_of_a_subclass_is_never_flattened(value: Any) -> None:
    with pytest.raises(NotEncodableError):
        Codec().encode({value: 1})
    with pytest.raises(NotEncodableError):
        Codec().encode([value])


@pytest.mark.parametrize(
    ("value", "way"),
    [
        ({"items": [1, 2, 3, object()]}, "$.items[3]"),
        ({"a b": (object(),)}, "$['a b'][0]"),
        ({1: {"x": object()}}, "$[None].x"),
        ([Point(1, [object()])], "$[0].y[0]"),
        (object(), "$"),
        ([datetime(2020, 1, 1, tzinfo=Zone())], "$[0].tzinfo"),
    ],
)
def test_a_refusal_names_the_path_and_the_type(value: Any, way: str) -> None:
    with pytest.raises(NotEncodableError) as refused:
        CODEC.encode(value)
    message = str(refused.value)
    assert message.startswith(f"{way}: ")
    assert "object" in message or "Zone" in message


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    twins: dict[str, Any] = {}
    twins["a"] = [twins, twins]
    point = Point(1)
    point.x = point
    deep: Any = ()
    for _ in range(5000):
        deep = (deep,)
    deep_list: Any = []
    for _ in range(5000):
        deep_list = [deep_list]
    for value in (loop, twins, point, [deep], deep_list, (loop,)):
        with pytest.raises(NotEncodableError, match=r"nested too deeply|[Rr]ecursion"):
            CODEC.encode(value)
    with pytest.raises(NotEncodableError, match="nested too deeply"):
        CODEC.data(CODEC.encode(deep))


@given(st.integers(1, 300), st.sampled_from(["list", "tuple", "dict"]))
def test_nesting_comes_back_or_is_refused(depth: int, form: str) -> None:
    value: Any = 1.0
    for _ in range(depth):
        value = {"list": [value], "tuple": (value, []), "dict": {"a": value}}[form]
    try:
        payload = CODEC.encode(value)
    except NotEncodableError:
        assert depth > 80
        return
    assert mark(CODEC.decode(payload)) == mark(value)
    assert mark(CODEC.decode(CODEC.load(payload.codec, CODEC.data(payload)))) == mark(value)


def test_no_recursion_error_leaves_however_deep_the_stack_is() -> None:
    value: Any = [1.5]
    frozen: Any = (1,)
    for _ in range(60):
        value = [value]
        frozen = (frozen,)
    tagged = [frozen, value]
    data = CODEC.data(CODEC.encode(tagged))
    refusals = []

    def fall(levels: int) -> None:
        if levels:
            return fall(levels - 1)
        for step in (
            lambda: CODEC.encode(value),
            lambda: CODEC.encode(tagged),
            lambda: CODEC.load("json+", data),
        ):
            with pytest.raises((NotEncodableError, UnknownFormatError)) as refused:
                step()
            refusals.append(refused.type)
        assert CODEC.encode(frozen).shared is frozen
        return None

    fall(sys.getrecursionlimit() - len(inspect.stack(0)) - 50)
    assert refusals == [NotEncodableError, NotEncodableError, UnknownFormatError]


def test_what_contains_the_same_list_twice_comes_back_as_two() -> None:
    inner = [1]
    decoded = CODEC.decode(CODEC.encode([inner, inner]))
    decoded[0].append(2)
    assert decoded == [[1, 2], [1]]


@given(st.binary(max_size=60), st.sampled_from(["json", "json+", "error", "local", "pickle", ""]))
def test_random_bytes_are_an_unknown_format(data: bytes, codec_id: str) -> None:
    try:
        payload = CODEC.load(codec_id, data)
    except UnknownFormatError:
        return
    CODEC.decode(payload)


@given(values, st.data())
def test_damaged_data_is_an_unknown_format(value: Any, draw: st.DataObject) -> None:
    payload = CODEC.encode([value])
    data = bytearray(CODEC.data(payload))
    place = draw.draw(st.integers(0, len(data) - 1))
    data[place] ^= draw.draw(st.integers(1, 255))
    for damaged in (bytes(data), bytes(data[:place])):
        try:
            CODEC.decode(CODEC.load(payload.codec, damaged))
        except UnknownFormatError:
            continue


jsonable = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from([*"fidtSFan@"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=2) | st.just("~"), inner, max_size=2)
        | st.tuples(
            st.sampled_from([*CODEC._tagged_json._read]), st.lists(inner | st.text(), max_size=4)
        ).map(lambda t: {"~": [t[0], *t[1]]})
        | st.tuples(st.sampled_from([*CODEC._names]), inner).map(lambda t: {"~": ["@", *t]})
    ),
)


@given(jsonable)
def test_forged_tags_are_an_unknown_format_or_a_value(forged: Any) -> None:
    try:
        data = orjson.dumps(forged)
    except TypeError:
        return
    for codec_id in ("json+", "error"):
        try:
            payload = CODEC.load(codec_id, data)
        except UnknownFormatError:
            continue
        CODEC.decode(payload)


@pytest.mark.parametrize(
    "forged",
    [
        {"~": ["@", "subprocess.Popen", ["true"]]},
        {"~": ["@", "builtins.eval", "1"]},
        {"~": ["a", "|O", [1], "AAAAAAAAAAA="]},
        {"~": ["a", "<f8", [10**12], "AAAAAAAAAAA="]},
        {"~": ["p", "Popen", "x"]},
        {"~": ["nope"]},
        {"~": ["t"], "b": 1},
        {"~": ["@", "Point", {"x": 1}]},
        {"~": ["@", "Point", {"x": 1, "y": 2, "z": 3}]},
        {"~": ["@", "Colour", "BLUE"]},
        {"~": ["zi", "../../etc/passwd"]},
        {"~": ["zi", "No/Where"]},
    ],
)
def test_what_data_names_resolves_only_if_it_is_registered(forged: Any) -> None:
    with pytest.raises(UnknownFormatError):
        CODEC.load("json+", orjson.dumps(forged))


def test_a_name_that_this_process_does_not_know_is_an_unknown_format() -> None:
    payload = CODEC.encode([Point(1)])
    with pytest.raises(UnknownFormatError):
        Codec().load(payload.codec, CODEC.data(payload))


def test_an_enum_that_is_not_registered_stays_in_memory() -> None:
    payload = Codec().encode(Colour.RED)
    assert Codec().decode(payload) is Colour.RED
    with pytest.raises(NotEncodableError, match="Colour"):
        Codec().data(payload)


def test_a_local_payload_gives_its_value_and_no_bytes() -> None:
    value = object()
    payload = Payload.local(value)
    assert CODEC.decode(payload) is value
    assert payload.size > 0
    with pytest.raises(NotEncodableError):
        CODEC.data(payload)


def test_dataclasses_come_back_without_running_their_init_again() -> None:
    value = Frozen("a")
    object.__setattr__(value, "doubled", "changed since")
    again = CODEC.decode(CODEC.encode([value]))[0]
    assert again.doubled == "changed since"
    assert again == value


def test_an_attribute_that_no_field_declares_is_refused_not_lost() -> None:
    point = Point(1)
    point.note = "x"
    with pytest.raises(NotEncodableError, match="note"):
        CODEC.encode(point)


def test_what_a_class_computes_by_itself_is_left_out() -> None:
    @dataclass
    class Lazy:
        x: int

        @cached_property
        def double(self) -> int:
            return 2 * self.x

    class LazyModel(pydantic.BaseModel):
        x: int

        @pydantic.computed_field
        @cached_property
        def double(self) -> int:
            return 2 * self.x

    codec = Codec()
    for kind in (Lazy, LazyModel):
        codec.register(kind)
        value = kind(x=2)
        assert value.double == 4
        again = through_bytes(codec, value)
        assert "double" not in vars(again)
        assert again.double == 4


def test_slots_of_a_model_need_an_encoder() -> None:
    class Quote(pydantic.BaseModel):
        __slots__ = ("hidden",)
        price: int = 1

    with pytest.raises(ConfigurationError, match="are not all of it"):
        Codec().register(Quote)


def test_slots_that_are_no_fields_need_an_encoder() -> None:
    class Base:
        __slots__ = ("hidden",)

    @dataclass(slots=True)
    class Slotted(Base):
        x: int

    class Kind(dict[str, int]):
        pass

    @dataclass
    class Derived(Kind):
        x: int

    for kind in (Slotted, Derived):
        with pytest.raises(ConfigurationError, match="encode"):
            Codec().register(kind)


def test_models_keep_extras_private_attributes_and_which_fields_were_set() -> None:
    model = Model(title=("a",), more={1})
    model._private = 9
    again = through_bytes(CODEC, model)
    assert again == model
    assert again._private == 9
    assert again.model_extra == {"more": {1}}
    assert again.model_fields_set == model.model_fields_set == {"title", "more"}


def test_a_model_without_all_of_its_fields_is_refused() -> None:
    with pytest.raises(NotEncodableError, match="fields"):
        CODEC.encode(Model.model_construct(count=1))


def test_a_time_zone_that_pydantic_made_comes_back() -> None:
    class Event(pydantic.BaseModel):
        at: datetime

    event = Event.model_validate_json('{"at": "2024-05-01T12:00:00+02:00"}')
    codec = Codec()
    codec.register(Event)
    again = through_bytes(codec, event)
    assert again == event
    assert type(again.at.tzinfo) is type(event.at.tzinfo)
    assert again.at.isoformat() == event.at.isoformat()


def test_an_integer_of_more_digits_than_python_prints_comes_back() -> None:
    assert through_bytes(CODEC, [10**5000, -(10**5000)]) == [10**5000, -(10**5000)]


def test_a_zone_keeps_its_rules_and_not_its_offset_of_the_day() -> None:
    winter = datetime(2024, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    again = through_bytes(CODEC, [winter])[0]
    assert (again + timedelta(days=180)).utcoffset() == timedelta(hours=2)
    assert through_bytes(CODEC, [datetime(2024, 1, 1, tzinfo=UTC)])[0].tzinfo is UTC


def test_arrays_come_back_writable_and_own_their_memory() -> None:
    array = np.asfortranarray(np.arange(6).reshape(2, 3))
    array.flags.writeable = False
    again = through_bytes(CODEC, array)
    again[0, 0] = 9
    assert again.flags.owndata
    assert array[0, 0] == 0


def test_numpy_strings_keep_what_arrays_would_strip() -> None:
    for value in (np.str_("a\0"), np.bytes_(b"a\0"), np.str_(""), np.str_("\ud800")):
        again = through_bytes(CODEC, value)
        assert type(again) is type(value)
        assert again == value


@pytest.mark.parametrize(
    "dtype", ["<U0", ">f8", "<M8[ns]", "|V3", [("a", "<i4", (2,)), ("b", ">f8")]]
)
def test_dtypes_come_back(dtype: Any) -> None:
    array = np.zeros((2, 0, 1), dtype=dtype)
    assert mark(through_bytes(CODEC, array)) == mark(array)
    array = np.zeros((2, 1), dtype=dtype)
    assert mark(through_bytes(CODEC, array)) == mark(array)


def test_a_user_s_function_that_fails_is_a_refusal_or_an_unknown_format() -> None:
    def fail(_: Any) -> Any:
        raise KeyError("no")

    codec = Codec()
    codec.register(Money, encode=fail, decode=fail)
    with pytest.raises(NotEncodableError, match=r"\$\[1\]: KeyError"):
        codec.encode([1, Money(1)])
    with pytest.raises(UnknownFormatError):
        codec.load("json+", b'{"~":["@","Money",1]}')


def test_registration_refuses_what_is_ambiguous() -> None:
    codec = Codec()
    codec.register(Point, "p")
    codec.register(Point, "p")  # again is no conflict
    for wrong in (
        lambda: codec.register(Pair, "p"),
        lambda: codec.register(Point, "q"),
        lambda: codec.register(dict, encode=list, decode=dict),
        lambda: codec.register(Money),
        lambda: codec.register(Money, encode=lambda m: m.cents),
        lambda: codec.register(Money(1)),
        lambda: codec.register(Pair, ""),
        lambda: codec.register_error(Money),
        lambda: codec.register_error(Quota, "ValueError"),
    ):
        with pytest.raises(ConfigurationError):
            wrong()
    assert codec.decode(codec.encode([Point(1)])) == [Point(1)]


def test_a_class_that_a_notebook_made_anew_replaces_the_old_one() -> None:
    codec = Codec()
    source = "from dataclasses import dataclass\n@dataclass\nclass Cell:\n    x: int\n"
    for _ in range(2):
        scope: dict[str, Any] = {"__name__": __name__}
        exec(source, scope)  # as a notebook does
        codec.register(scope["Cell"])
        assert type(through_bytes(codec, scope["Cell"](1))) is scope["Cell"]


class Quota(Exception):  # noqa: N818 - as users name them
    def __init__(self, code: int, *, user: str) -> None:
        super().__init__(f"quota {code}")
        self.code = code
        self.user = user


class Odd(Exception):  # noqa: N818 - as above
    def __str__(self) -> str:
        return str(id(self))


class Own(Exception):  # noqa: N818 - as above
    def __reduce__(self) -> Any:
        return eval, ("1",)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no", 3, (1, b"x")),
        KeyError("k"),
        OSError(2, "gone", "/tmp/x"),
        FileNotFoundError(2, "gone"),
        TimeoutError(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        ImportError("no", name="n", path="p"),
        Quota(5, user="bob"),
        StopIteration(3),
    ],
    ids=lambda e: type(e).__name__,
)
def test_an_exception_comes_back_as_a_new_one(error: Exception) -> None:
    codec = Codec()
    codec.register_error(Quota)
    error.add_note("seen by the agent")
    try:
        raise error  # noqa: TRY301 - so that it has a traceback
    except Exception as raised:
        payload = codec.encode_error(raised)
    first = codec.decode(payload)
    again = codec.decode(codec.load(payload.codec, codec.data(payload)))
    assert first is not error
    assert first is not again
    for twin in (first, again):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert twin.args == error.args
        assert vars(twin) == vars(error)
        assert twin.__traceback__ is None
    assert getattr(again, "filename", None) == getattr(error, "filename", None)
    assert getattr(again, "name", None) == getattr(error, "name", None)


@pytest.mark.parametrize(
    "error",
    [Quota(1, user="a"), ValueError(object()), ExceptionGroup("g", [ValueError()]), Odd(), Own()],
    ids=lambda e: type(e).__name__,
)
def test_an_exception_that_would_not_come_back_is_refused(error: Exception) -> None:
    codec = Codec()
    codec.register_error(Odd)
    codec.register_error(Own)
    with pytest.raises(NotEncodableError):
        codec.encode_error(error)
    assert codec.decode(Payload.local(error)) is error


def test_threads_share_a_codec_and_a_loaded_payload() -> None:
    loaded = CODEC.load("json", b'{"a":[1]}')
    results: list[Any] = []
    start = threading.Barrier(8)

    def work(number: int) -> None:
        kind = type(f"T{number}", (Money,), {})
        start.wait()
        CODEC.register(kind, encode=lambda m: m.cents, decode=kind)
        assert through_bytes(CODEC, [kind(number)])[0].cents == number
        results.append(CODEC.decode(loaded))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [{"a": [1]}] * 8
    assert len({id(result) for result in results}) == 8


def test_size_grows_with_the_value() -> None:
    for small, large in (
        ("a", "a" * 1000),
        (["a"], ["a" * 1000]),
        (("a",), ("a" * 1000,)),
        (Path("a"), Path("a" * 1000)),
    ):
        difference = CODEC.encode(large).size - CODEC.encode(small).size
        assert 900 <= difference <= 3100


def test_payloads_compare_by_what_they_hold_and_show_no_value() -> None:
    payload = CODEC.encode({"a": 1})
    assert payload == CODEC.load("json", CODEC.data(payload))
    assert payload != CODEC.encode({"a": 2})
    assert CODEC.encode(1) != CODEC.encode(True)
    assert payload != "payload"
    assert "hunter2" not in repr(CODEC.encode("hunter2"))


def test_the_module_needs_neither_numpy_nor_pydantic() -> None:
    array = np.arange(3.0)
    data = CODEC.data(CODEC.encode(array))
    script = (
        "import sys, toolops_plugins.cache.envelope as e\n"
        "from toolops_plugins.codec import Codec\n"
        "heavy = {'numpy', 'pydantic', 'zstandard', 'redis'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        f"print(Codec().decode(Codec().load('json+', {data!r})).tolist())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout == "[0.0, 1.0, 2.0]\n", done.stderr


def test_there_is_a_codec_to_start_with() -> None:
    value = {"id": uuid4(), "at": date(2020, 1, 1), "none": None, "path": PurePath("a"), 1: {2}}
    assert through_bytes(Codec(), copy.deepcopy(value)) == value
    assert isinstance(through_bytes(Codec(), value)["id"], UUID)
    assert through_bytes(Codec(), [time(1, 2)]) == [time(1, 2)]
