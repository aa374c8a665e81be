"""Declared return types are stored, and results that no codec takes are reported once."""

from __future__ import annotations

import enum
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from dataclasses import InitVar, dataclass, field
from typing import Annotated, Any, Generic, NamedTuple, NewType, Optional, TypedDict, TypeVar

import pydantic
import pytest
from callers import Notices
from hypothesis import given
from hypothesis import strategies as st

from toolops_plugins import Cache, Codec, ConfigurationError, Memory, Redis, ToolOps
from toolops_plugins.codec.return_types import return_classes
from toolops_plugins.errors import NotEncodableError, UnknownFormatError

T = TypeVar("T")


class Colour(enum.Enum):
    RED = 1


@dataclass
class Line:
    text: str
    colour: Colour = Colour.RED


class Note(NamedTuple):
    line: Line


class Page(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    lines: list[Line] = pydantic.Field(default_factory=list)
    note: Note | None = None
    _seen: list[int] = pydantic.PrivateAttr(default_factory=list)
    _first: Line | None = pydantic.PrivateAttr(default=None)


class Envelope(pydantic.BaseModel, Generic[T]):
    content: T


@dataclass
class Box(Generic[T]):
    content: T


PAGE_OF = TypeVar("PAGE_OF", bound=Page)


class Row(TypedDict):
    page: Page


Alias = NewType("Alias", Page)  # type: ignore[valid-newtype]  # pydantic's plugin is not used


def page() -> Page:
    make_local = Page(lines=[Line("a")], note=Note(Line("b")), extra={"c": [1]})
    make_local._seen.append(7)
    make_local._first = Line("d")
    return make_local


HINTS: list[tuple[Any, Any]] = [
    (Page, page),
    ("Page", page),
    (Page | None, page),
    (Optional["Page"], page),
    (Page | Line | None, lambda: Line("x")),
    (list[Page], lambda: [page()]),
    ("list[Page]", lambda: [page(), page()]),
    (list["Page"], lambda: [page()]),
    (dict[str, list[Page]], lambda: {"a": [page()]}),
    (tuple[Page, ...], lambda: (page(),)),
    (Annotated[Page, "what it is"], page),
    (Envelope[Page], lambda: Envelope[Page](content=page())),
    (Envelope[int], lambda: Envelope[int](content=1)),
    (Box[Page], lambda: Box(page())),
    (Box[Page], lambda: Box[Page](page())),
    (Row, lambda: {"page": page()}),
    (Note, lambda: Note(Line("b"))),
    (Colour, lambda: [Colour.RED]),
    (Alias, page),
    (PAGE_OF, page),
]


@pytest.mark.parametrize(("hint", "make"), HINTS, ids=[str(h)[-40:] for h, _ in HINTS])
@pytest.mark.parametrize("way", ["sync", "aio"])
async def test_what_a_function_declares_to_return_is_stored(hint: Any, make: Any, way: str) -> None:
    ops = ToolOps()
    ran = []

    def plain() -> Any:
        ran.append(1)
        return make()

    async def aio() -> Any:
        ran.append(1)
        return make()

    body = plain if way == "sync" else aio
    body.__annotations__["return"] = hint
    tool = ops.readonly(body, ttl=60)
    seen = [await tool() if way == "aio" else tool() for _ in range(3)]
    assert len(ran) == 1
    assert all(each == make() and type(each) is type(make()) for each in seen)
    data = ops.codec.data(ops.codec.encode(make()))
    again = ops.codec.decode(ops.codec.load(ops.codec.encode(make()).codec, data))
    assert again == make()
    if type(again) is Page:
        assert (again._seen, again._first, again.model_extra) == (
            [7],
            Line("d"),
            {"extra": {"c": [1]}},
        )
    ops.close()


async def test_the_items_of_a_declared_stream_are_stored() -> None:
    ops = ToolOps()
    ran = []

    @ops.readonly(ttl=60)
    def pages() -> Iterator[Page]:
        ran.append(1)
        yield page()

    @ops.readonly(ttl=60)
    async def apages() -> AsyncIterator[Page]:
        ran.append(2)
        yield page()

    for _ in range(2):
        assert list(pages()) == [page()]
        assert [each async for each in apages()] == [page()]
    assert ran == [1, 2]
    ops.close()


def test_a_class_that_is_defined_later_or_in_a_function_is_found() -> None:
    ops = ToolOps()
    ran = []

    @ops.readonly(ttl=60)
    def fetch() -> Later:
        ran.append(1)
        return Later()

    @dataclass
    class Later:
        parts: list[Line] = field(default_factory=lambda: [Line("a")])

    assert fetch() == fetch() == Later()
    assert len(ran) == 1
    ops.close()


def test_two_classes_of_one_name_come_back_as_themselves() -> None:
    ops = ToolOps()
    kinds = []

    def make(tax: float) -> Any:
        @dataclass
        class Price:
            net: float

            def gross(self) -> float:
                return self.net * tax

        kinds.append(Price)

        @ops.readonly(ttl=60, name=f"price {tax}")
        def price() -> Price:
            return Price(100.0)

        return price

    tools = [make(1.2), make(1.5)]
    for _ in range(2):
        assert [type(tool()) for tool in tools] == kinds
        assert [tool().gross() for tool in tools] == [120.0, 150.0]
    ops.close()


def test_what_is_declared_is_shared_through_redis(valkey: Any, namespace: str) -> None:
    ran = []
    for _ in range(2):
        ops = ToolOps(namespace, tiers=[Memory(), Redis(valkey.url)])

        @ops.readonly(ttl=60, name="fetch")
        def fetch() -> dict[str, Page]:
            ran.append(1)
            return {"a": page()}

        assert fetch() == {"a": page()}
        ops.close()
    assert len(ran) == 1


def test_an_explicit_registration_wins_whenever_it_comes() -> None:
    ops = ToolOps()

    @ops.readonly(ttl=60)
    def fetch(n: int) -> Line:
        return Line(str(n))

    fetch(1)
    before = ops.codec.data(ops.codec.encode(Line("a")))
    ops.codec.register(Line, "line")
    assert b'"line"' in ops.codec.data(ops.codec.encode(Line("a")))
    assert ops.codec.decode(ops.codec.load("json+", before)) == Line("a")
    assert fetch(1) == Line("1")
    ops.close()


def test_a_class_that_cannot_be_stored_by_its_fields_stays_unknown() -> None:
    class Base:
        __slots__ = ("hidden",)

    @dataclass(slots=True)
    class Slotted(Base):
        x: int

    class Nothing:
        pass

    def with_slots() -> Slotted:
        return Slotted(1)

    def unknown() -> Missing: ...  # type: ignore[name-defined]  # noqa: F821 - as it says
    def other() -> Nothing:
        return Nothing()

    codec = Codec()
    for function in (with_slots, unknown, other, len, str.upper, int):
        for kind in return_classes(function):
            codec.register_from_annotation(kind)
    assert return_classes(with_slots) == [Slotted]
    assert return_classes(unknown) == []
    for value in (Slotted(1), Nothing()):
        with pytest.raises(NotEncodableError):
            codec.encode([value])


def test_no_more_than_a_thousand_are_registered_by_themselves() -> None:
    codec = Codec()
    kinds = [enum.Enum("Kind", {"A": n}) for n in range(1100)]
    for kind in kinds:
        codec.register_from_annotation(kind)
    assert sum(codec._tagged_json.knows(kind) for kind in kinds) == 1000


# -- registration ----------------------------------------------------------------------------


def through_bytes(codec: Codec, value: Any) -> Any:
    payload = codec.encode(value)
    return codec.decode(codec.load(payload.codec, codec.data(payload)))


def test_a_model_is_registered_with_what_it_holds() -> None:
    codec = Codec()
    codec.register(Page)
    again = through_bytes(codec, [page()])[0]
    assert again == page()
    assert again._first == Line("d")
    assert through_bytes(codec, [Note(Line("x")), Colour.RED]) == [Note(Line("x")), Colour.RED]


@given(st.lists(st.integers()), st.dictionaries(st.text(), st.integers()), st.text())
def test_models_come_back_equal_in_value_and_type(
    seen: list[int], extra: dict[str, int], text: str
) -> None:
    codec = Codec()
    codec.register(Page)
    make_local = Page(lines=[Line(text)], more=extra)
    make_local._seen = seen
    again = through_bytes(codec, {"a": make_local})["a"]
    assert type(again) is Page
    assert again == make_local
    assert again._seen == seen
    assert again.model_fields_set == make_local.model_fields_set


def test_a_model_whose_instances_hold_a_lock_is_refused_at_registration() -> None:
    class Client(pydantic.BaseModel):
        host: str = "h"
        _lock: Any = pydantic.PrivateAttr(default_factory=threading.Lock)

    with pytest.raises(
        ConfigurationError, match=r"Client holds _thread.lock in .*'_lock'.*encode="
    ):
        Codec().register(Client)
    codec = Codec()
    codec.register(Client, encode=lambda c: c.host, decode=lambda host: Client(host=host))
    with pytest.raises(NotEncodableError, match="does not give back"):
        codec.encode([Client()])  # two clients are unequal, since their locks are


def test_a_class_whose_fields_begin_as_a_lock_is_refused_too() -> None:
    class Model(pydantic.BaseModel):
        lock: Any = pydantic.Field(default_factory=threading.Lock)

    @dataclass
    class Record:
        lock: Any = field(default_factory=threading.Lock)

    @dataclass
    class Outer:
        inner: Inner = field(default_factory=lambda: Inner())

    @dataclass
    class Inner:
        number: int = 1

    for kind in (Model, Record):
        with pytest.raises(ConfigurationError, match=r"_thread.lock"):
            Codec().register(kind)
    codec = Codec()
    codec.register(Outer)  # whose part may be registered later
    codec.register(Inner)
    assert through_bytes(codec, Outer()) == Outer()


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return type(other) is Money and other.cents == self.cents

    __hash__ = None  # type: ignore[assignment]  # not needed here


class Bag:
    def __init__(self, items: set[str]) -> None:
        self.items = items


@pytest.mark.parametrize(
    ("encode", "decode"),
    [
        (lambda m: m.cents // 10, lambda n: Money(n * 10)),
        (lambda m: m.cents, lambda n: n),
        (lambda m: m.cents, lambda n: type("Money", (Money,), {})(n)),
        (lambda m: m.cents, lambda _: 1 / 0),
        (lambda m: [m.cents], lambda n: Money(n)),
    ],
)
def test_what_does_not_come_back_equal_in_value_and_type_is_refused(
    encode: Any, decode: Any
) -> None:
    codec = Codec()
    codec.register(Money, encode=encode, decode=decode)
    with pytest.raises(NotEncodableError, match=r"\$\.a"):
        codec.encode({"a": Money(5)})


def test_a_type_without_equality_is_known_by_its_form() -> None:
    codec = Codec()
    codec.register(Bag, encode=lambda b: b.items, decode=Bag)
    items = {str(n) for n in range(100)}
    for n in range(100, 1000):
        items.add(str(n))
    for n in range(200, 1000):
        items.discard(str(n))
    assert through_bytes(codec, [Bag(items)])[0].items == items
    codec.register(Money, encode=lambda m: float("nan"), decode=lambda _: Money(1))
    assert through_bytes(codec, [Money(1)]) == [Money(1)]


def test_dataclasses_of_all_sorts_come_back() -> None:
    @dataclass
    class Made:
        a: int
        b: InitVar[int] = 0
        c: int = field(init=False)

        def __post_init__(self, b: int) -> None:
            self.c = self.a + b

    codec = Codec()
    codec.register(Made)
    codec.register(Box)
    assert through_bytes(codec, Made(1, 2)) == Made(1, 2)
    assert through_bytes(codec, [Box[int](1)]) == [Box(1)]
    assert not hasattr(through_bytes(codec, [Box[int](1)])[0], "__orig_class__")


# -- what is said ----------------------------------------------------------------------------


class Opaque:
    pass


@dataclass
class Holder:
    thing: Any


@pytest.mark.parametrize(
    ("make", "detail"),
    [
        (Opaque, "Opaque"),
        (lambda: {"items": [1, Opaque()]}, "Opaque at $.items[1]"),
        (lambda: {"ann@example.com": Opaque()}, "Opaque at $[...]"),
        (lambda: {("secret",): Opaque()}, "Opaque at $[...]"),
        (lambda: Holder([Opaque()]), "Opaque at $.thing[0]"),
        (lambda: Page(lines=[], more=Opaque()), "Opaque at $.more"),
    ],
)
def test_a_result_that_no_codec_takes_is_reported_once(
    make: Any, detail: str, caplog: pytest.LogCaptureFixture
) -> None:
    ops = ToolOps()
    ops.codec.register(Holder)
    ops.codec.register(Page)
    notices = Notices(ops)
    ran = []

    @ops.readonly(ttl=60, name="fetch")
    def fetch() -> Any:
        ran.append(1)
        return make()

    for _ in range(3):
        fetch()
    assert len(ran) == 3
    assert {n.kind for n in notices.all} == {"not_encodable"}
    assert {n.name for n in notices.all} == {"fetch"}
    assert notices.all[0].detail.endswith(detail)
    (record,) = caplog.records
    text = record.getMessage()
    assert record.name == "toolops_plugins.cache"
    for part in ("'fetch'", detail, "codec.register("):
        assert part in text
    assert "secret" not in text
    assert "example" not in text
    ops.close()


def test_a_local_class_is_not_kept_alive_by_looking_for_it() -> None:
    def make_local() -> weakref.ref[Any]:
        @dataclass
        class Local:
            x: int

        def f() -> Local: ...

        assert return_classes(f) == []  # f does not refer to it
        return weakref.ref(Local)

    import gc

    reference = make_local()
    gc.collect()
    assert reference() is None


def test_bytes_that_name_a_class_which_is_not_declared_are_unknown() -> None:
    data = ToolOps().codec
    data.register(Line)
    with pytest.raises(UnknownFormatError):
        Codec().load("json+", data.data(data.encode([Line("a")])))


def test_the_cache_option_still_decides() -> None:
    ops = ToolOps()
    ran = []

    @ops.tool(cache=Cache(ttl=60, when=lambda line: line.text != "a"))
    def fetch(text: str) -> Line:
        ran.append(text)
        return Line(text)

    for text in ("a", "a", "b", "b"):
        assert fetch(text) == Line(text)
    assert ran == ["a", "a", "b"]
    ops.close()
