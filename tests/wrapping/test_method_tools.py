"""Methods, class methods and static methods that are tools, with their helpers."""

from __future__ import annotations

import abc
import asyncio
import copy
import enum
import functools
import inspect
import pickle
import typing
import weakref
from dataclasses import dataclass

import pydantic
import pytest

from toolops_plugins import Cache, ToolOps

ops = ToolOps("methods")
CACHE = Cache(ttl=60)


class Shop:
    """A shop."""

    runs: list[typing.Any] = []  # noqa: RUF012 - emptied by each test

    def __init__(self, name: str = "a") -> None:
        self.name = name

    @ops.tool(cache=CACHE)
    def quote(self, ticker: str, day: int = 0) -> str:
        """Return a quote."""
        self.runs.append((self.name, ticker, day))
        return f"{self.name} {ticker}"

    @ops.tool(cache=CACHE)
    async def aquote(self, ticker: str) -> str:
        self.runs.append((self.name, ticker))
        return f"{self.name} {ticker}"

    @ops.tool(cache=CACHE)
    def stream(self, count: int):
        self.runs.append(count)
        yield from range(count)

    @ops.tool(cache=CACHE)
    async def astream(self, count: int):
        self.runs.append(count)
        for number in range(count):
            yield number

    @ops.tool(cache=CACHE)
    @classmethod
    def rate(cls, currency: str) -> str:
        cls.runs.append(currency)
        return f"{cls.__name__} {currency}"

    @classmethod
    @ops.tool(cache=CACHE)
    def inner_rate(cls, currency: str) -> str:
        cls.runs.append(currency)
        return f"{cls.__name__} {currency}"

    @ops.tool(cache=CACHE)
    @staticmethod
    def tax(country: str) -> str:
        Shop.runs.append(country)
        return country

    @staticmethod
    @ops.tool(cache=CACHE)
    def inner_tax(country: str) -> str:
        Shop.runs.append(country)
        return country

    @property
    @ops.tool(cache=CACHE)
    def owner(self) -> str:
        self.runs.append("owner")
        return self.name


class Corner(Shop):
    pass


@pytest.fixture(autouse=True)
def _empty():
    Shop.runs.clear()
    ops.clear()
    yield
    ops.clear()


def aread(stream):
    async def main():
        return [item async for item in stream]

    return asyncio.run(main())


WAYS = {
    "method": lambda shop: (shop.quote, lambda tool: tool("ACME"), ("ACME",)),
    "coroutine": lambda shop: (shop.aquote, lambda tool: asyncio.run(tool("ACME")), ("ACME",)),
    "stream": lambda shop: (shop.stream, lambda tool: list(tool(3)), (3,)),
    "astream": lambda shop: (shop.astream, lambda tool: aread(tool(3)), (3,)),
    "class method": lambda shop: (type(shop).rate, lambda tool: tool("EUR"), ("EUR",)),
    "class method by instance": lambda shop: (shop.rate, lambda tool: tool("EUR"), ("EUR",)),
    "static method": lambda shop: (type(shop).tax, lambda tool: tool("DE"), ("DE",)),
    "static method by instance": lambda shop: (shop.tax, lambda tool: tool("DE"), ("DE",)),
    "inner static method": lambda shop: (shop.inner_tax, lambda tool: tool("DE"), ("DE",)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [Shop, Corner])
def test_helpers_take_the_arguments_of_the_tool(way, kind):
    tool, ask, args = WAYS[way](kind())
    first = ask(tool)
    assert ask(tool) == first
    assert len(Shop.runs) == 1
    tool.invalidate(*args)
    assert ask(tool) == first
    assert len(Shop.runs) == 2
    asyncio.run(tool.ainvalidate(*args))
    assert ask(tool) == first
    assert len(Shop.runs) == 3
    assert len(tool.key(*args)) == 64
    assert tool.policy.cache is CACHE
    assert tool.name.startswith("tests.core.test_method_tools.Shop.") or "Shop." in tool.name


def test_one_receiver_is_not_the_other():
    one, two = Shop("a"), Shop("b")
    assert (one.quote("X"), two.quote("X")) == ("a X", "b X")
    assert one.quote.key("X") != two.quote.key("X")
    one.quote.invalidate("X", day=0)
    one.quote("X")
    two.quote("X")
    assert Shop.runs == [("a", "X", 0), ("b", "X", 0), ("a", "X", 0)]


def test_by_the_class_the_receiver_comes_first():
    shop = Shop()
    assert Shop.quote(shop, "X") == shop.quote("X") == "a X"
    assert Shop.quote.key(shop, "X") == shop.quote.key("X")
    Shop.quote.invalidate(shop, "X")
    shop.quote("X")
    assert len(Shop.runs) == 2


def test_class_methods_that_are_tools_inside():
    assert Shop.inner_rate("EUR") == Shop().inner_rate("EUR") == "Shop EUR"
    assert Corner.inner_rate("EUR") == "Corner EUR"
    assert Shop.runs == ["EUR", "EUR"]


def test_a_property_of_a_tool():
    shop = Shop()
    assert shop.owner == shop.owner == "a"
    assert Shop.runs == ["owner"]


def test_it_looks_like_the_method_that_it_was():
    shop = Shop()
    assert inspect.isfunction(Shop.quote)
    assert str(inspect.signature(shop.quote)) == "(ticker: 'str', day: 'int' = 0) -> 'str'"
    assert str(inspect.signature(Shop.quote)).startswith("(self, ticker")
    assert str(inspect.signature(Shop.rate)) == "(currency: 'str') -> 'str'"
    assert type(shop.quote).__annotations__ == {}  # which is made when it is asked for
    assert typing.get_type_hints(shop.quote) == {"ticker": str, "day": int, "return": str}
    assert shop.quote.__doc__ == "Return a quote."
    assert shop.quote.__name__ == "quote"
    assert shop.quote.__qualname__ == "Shop.quote"
    assert shop.quote.__self__ is shop
    assert shop.quote.__func__ is Shop.quote
    assert inspect.iscoroutinefunction(shop.aquote)
    assert inspect.iscoroutinefunction(Shop.aquote)
    assert asyncio.iscoroutinefunction(shop.aquote)
    assert not inspect.iscoroutinefunction(shop.quote)
    assert inspect.isgeneratorfunction(Shop.stream)
    assert inspect.isasyncgenfunction(shop.astream)
    assert "Shop.quote" in repr(shop.quote)
    with pytest.raises(AttributeError, match="nothing"):
        shop.quote.nothing  # noqa: B018 - that is the point


def test_bound_tools_are_equal_by_tool_and_receiver():
    shop = Shop()
    assert shop.quote == shop.quote
    assert hash(shop.quote) == hash(shop.quote)
    assert shop.quote != Shop().quote
    assert shop.quote != shop.aquote
    assert shop.quote != 1
    assert weakref.WeakMethod(shop.quote)()("X") == "a X"


def test_bound_tools_can_be_copied_and_pickled():
    shop = Shop("z")
    for again in (pickle.loads(pickle.dumps(shop.quote)), copy.deepcopy(shop.quote)):
        assert again("X") == "z X"
        assert again.__self__ is not shop
    assert copy.copy(shop.quote) == shop.quote


def test_a_bound_tool_can_be_wrapped_and_called_again():
    shop = Shop()
    again = ops.tool(name="again")(shop.quote)
    assert again("X") == "a X"
    assert again.__name__ == "quote"
    assert again.__module__ == Shop.__module__
    assert ops.call(shop.quote, "X") == "a X"
    assert asyncio.run(ops.acall(shop.aquote, "X")) == "a X"
    assert functools.partial(shop.quote, day=3)("X") == "a X"


def test_decorators_around_a_tool_in_a_class():
    def loud(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs).upper()

        return wrapper

    class Loud(Shop):
        @loud
        @ops.tool(cache=CACHE)
        def quote(self, ticker):
            """Return a quote, loudly."""
            return f"loud {ticker}"

        @ops.tool(cache=CACHE)
        @ops.tool(name="inner")
        def twice(self, ticker):
            self.runs.append(ticker)
            return ticker

    shop = Loud()
    assert shop.quote("x") == "LOUD X"
    assert shop.quote.__doc__ == "Return a quote, loudly."
    assert shop.twice("x") == shop.twice("x") == "x"
    shop.twice.invalidate("x")
    shop.twice("x")
    assert Shop.runs == ["x", "x"]


def test_super_reaches_the_parents_tool():
    class Own(Shop):
        def quote(self, ticker):
            return "own " + super().quote(ticker)

    assert Own().quote("X") == "own a X"


def test_it_may_stand_in_classes_of_every_kind():
    class Model(pydantic.BaseModel):
        name: str = "m"

        @ops.tool(cache=CACHE)
        def quote(self, ticker: str) -> str:
            return f"{self.name} {ticker}"

        @ops.tool(cache=CACHE)
        @classmethod
        def rate(cls, currency: str) -> str:
            return currency

    @dataclass(frozen=True)
    class Data:
        name: str = "d"

        @ops.tool(cache=CACHE)
        def quote(self, ticker: str) -> str:
            return f"{self.name} {ticker}"

    class Kind(enum.Enum):
        ONE = "one"

        @ops.tool(cache=CACHE)
        def quote(self, ticker: str) -> str:
            return f"{self.value} {ticker}"

    class Slots:
        __slots__ = ("__weakref__",)

        @ops.tool(cache=CACHE)
        def quote(self, ticker: str) -> str:
            return f"s {ticker}"

    class Base(abc.ABC):
        @abc.abstractmethod
        @ops.tool(cache=CACHE)
        def quote(self, ticker: str) -> str: ...

    class Real(Base):
        @ops.tool(cache=CACHE)
        def quote(self, ticker: str) -> str:
            return f"r {ticker}"

    made = [Model(), Data(), Kind.ONE, Slots(), Real()]
    assert [each.quote("X") for each in made] == ["m X", "d X", "one X", "s X", "r X"]
    assert Model.rate("EUR") == "EUR"
    assert list(Kind) == [Kind.ONE]
    for each in made:
        each.quote.invalidate("X")
    with pytest.raises(TypeError, match="abstract"):
        Base()
