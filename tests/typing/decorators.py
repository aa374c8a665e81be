"""The types of wrapped functions, checked by two type checkers in `make lint` and never run.

An ignore that nothing needs is an error, so those here are tests of what must not pass.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Generic, TypeVar, assert_type, overload

import toolops_plugins
from toolops_plugins import Cache, CircuitBreaker, Explanation, Policy, Retry, Timeout, ToolOps

ops = ToolOps("typing")
T = TypeVar("T")


# -- functions of every kind, bare and with options ----------------------------------------------


@ops.tool(cache=Cache(ttl=60), retry=Retry(attempts=2), timeout=Timeout(total=5))
def plain(ticker: str, day: int = 0) -> dict[str, int]:
    return {ticker: day}


@ops.tool
async def coroutine(ticker: str) -> int:
    return len(ticker)


@ops.tool(policy=Policy(cache=Cache(ttl=60)))
def stream(count: int) -> Iterator[int]:
    yield count


@ops.tool(cache=Cache(ttl=60))
async def astream(count: int) -> AsyncIterator[int]:
    yield count


@ops.readonly
def read(ticker: str) -> float:
    return float(len(ticker))


@ops.readonly(ttl=60, breaker=CircuitBreaker())
async def aread(ticker: str) -> float:
    return float(len(ticker))


@ops.sideeffect
def write(ticker: str, amount: int) -> bool:
    return bool(ticker) and amount > 0


@ops.sideeffect(idempotent=True, name="write")
async def awrite(ticker: str) -> bool:
    return bool(ticker)


@toolops_plugins.tool
def default_tool(ticker: str) -> int:
    return len(ticker)


@toolops_plugins.tool(cache=Cache(ttl=5))
async def default_option(ticker: str) -> int:
    return len(ticker)


@toolops_plugins.readonly
def default_read(count: int) -> Iterator[int]:
    yield count


@toolops_plugins.readonly(ttl=5)
async def default_aread(count: int) -> AsyncIterator[int]:
    yield count


@toolops_plugins.sideeffect
def default_write(ticker: str) -> None:
    assert ticker


@toolops_plugins.sideeffect(timeout=Timeout(total=5))
def default_awrite(ticker: str) -> None:
    assert ticker


assert_type(plain("ACME", day=1), dict[str, int])
assert_type(stream(3), Iterator[int])
assert_type(astream(3), AsyncIterator[int])
assert_type(read("ACME"), float)
assert_type(write("ACME", 1), bool)
assert_type(default_tool("ACME"), int)
assert_type(default_read(3), Iterator[int])
assert_type(default_aread(3), AsyncIterator[int])
default_write("ACME")
default_awrite("ACME")

assert_type(plain.key("ACME"), str)
assert_type(plain.policy, Policy)
assert_type(plain.name, str)
plain.invalidate("ACME")
assert_type(plain.explain("ACME", day=1), Explanation)
assert_type(read.explain(ticker="ACME"), Explanation)
assert_type(plain.explain("ACME").to_json(), str)
read.invalidate(ticker="ACME")
default_tool.invalidate("ACME")


# -- generic and overloaded functions ------------------------------------------------------------


@ops.tool(cache=Cache(ttl=60))
def first(items: list[T], default: T | None = None) -> T | None:
    return items[0] if items else default


@ops.readonly
async def afirst(items: list[T]) -> T:
    return items[0]


@overload
def both(value: int) -> int: ...
@overload
def both(value: str, upper: bool) -> str: ...
@ops.tool
def both(value: Any, upper: Any = None) -> Any:
    return value if upper is None else str(value)


def _halve(value: Any) -> Any:
    return value


@overload
def halve(value: int) -> float: ...
@overload
def halve(value: str) -> str: ...
def halve(value: Any) -> Any:
    return _halve(value)


wrapped = ops.tool(halve)
wrapped_by_options = ops.readonly(ttl=5)(halve)

assert_type(first([1]), int | None)
assert_type(first(["a"], default="b"), str | None)
assert_type(both(1), int)
assert_type(both("a", upper=True), str)
assert_type(wrapped(1), float)
assert_type(wrapped("a"), str)
assert_type(wrapped_by_options("a"), str)


# -- methods -------------------------------------------------------------------------------------


class Shop:
    @ops.tool(cache=Cache(ttl=60))
    def price(self, ticker: str) -> float:
        return float(len(ticker))

    @ops.readonly
    async def aprice(self, ticker: str) -> float:
        return float(len(ticker))

    @ops.sideeffect
    def order(self, ticker: str, amount: int) -> bool:
        return bool(ticker) and amount > 0

    @ops.readonly(ttl=5)
    def prices(self, count: int) -> Iterator[float]:
        yield float(count)

    @ops.tool
    async def aprices(self, count: int) -> AsyncIterator[float]:
        yield float(count)

    @classmethod
    @ops.tool
    def rate(cls, currency: str) -> float:
        return float(len(currency))

    @classmethod
    @ops.readonly(ttl=5)
    async def arate(cls, currency: str) -> float:
        return float(len(currency))

    @ops.tool
    @classmethod
    def outer_rate(cls, currency: str) -> float:
        return float(len(currency))

    @staticmethod
    @ops.tool
    def tax(country: str) -> float:
        return float(len(country))

    @ops.readonly(ttl=5)
    @staticmethod
    def outer_tax(country: str) -> float:
        return float(len(country))

    @ops.tool
    def bare(self) -> int:
        return 1


class Corner(Shop):
    pass


class Box(Generic[T]):
    def __init__(self, item: T) -> None:
        self.item = item

    @ops.tool
    def get(self, number: int) -> T:
        return self.item


shop = Shop()
assert_type(shop.price("ACME"), float)
assert_type(Corner().price("ACME"), float)
assert_type(Shop.price(shop, "ACME"), float)
assert_type(shop.order("ACME", amount=1), bool)
assert_type(shop.prices(3), Iterator[float])
assert_type(shop.aprices(3), AsyncIterator[float])
assert_type(shop.bare(), int)
assert_type(Shop.rate("EUR"), float)
assert_type(shop.rate("EUR"), float)
assert_type(Corner.rate("EUR"), float)
assert_type(Shop.outer_rate("EUR"), float)
assert_type(shop.outer_rate("EUR"), float)
assert_type(Shop.tax("DE"), float)
assert_type(shop.tax("DE"), float)
assert_type(Shop.outer_tax("DE"), float)
assert_type(shop.outer_tax("DE"), float)
assert_type(Box(1).get(2), int)

shop.price.invalidate("ACME")
shop.aprice.invalidate("ACME")
Shop.price.invalidate(shop, "ACME")
Shop.rate.invalidate("EUR")
shop.rate.invalidate("EUR")
Shop.tax.invalidate("DE")
shop.tax.invalidate("DE")
assert_type(shop.price.key("ACME"), str)
assert_type(shop.price.explain("ACME"), Explanation)
assert_type(Shop.rate.key("EUR"), str)
assert_type(shop.price.policy, Policy)


# -- what else can be called ---------------------------------------------------------------------


class Quote:
    def __call__(self, ticker: str) -> float:
        return float(len(ticker))


def takes(function: Callable[[str], float]) -> None:
    assert_type(function("ACME"), float)


partial = ops.tool(functools.partial(plain.__wrapped__, day=1))
assert_type(partial("ACME"), Any)
assert_type(ops.tool(Quote())("ACME"), float)
assert_type(ops.tool(shop.price)("ACME"), float)
ops.tool(Quote()).invalidate("ACME")
takes(read)
takes(shop.price)
takes(Shop.rate)


# -- what must not pass --------------------------------------------------------------------------

plain(1)  # type: ignore[arg-type] # a wrong argument is seen through the wrapper
plain.key(ticker=1)  # type: ignore[arg-type] # and through its helpers
plain.explain(1)  # type: ignore[arg-type] # as above
shop.price(1)  # type: ignore[arg-type] # and through a method
shop.price.invalidate(1)  # type: ignore[arg-type] # and through the helpers of a method
shop.price.invalidate(shop, "ACME")  # type: ignore[call-arg, arg-type] # which has its receiver
Shop.rate(1)  # type: ignore[arg-type] # a class method
Shop.tax(1)  # type: ignore[arg-type] # a static method
read(1)  # type: ignore[arg-type] # a preset
write("ACME")  # type: ignore[call-arg] # a missing argument
default_read("three")  # type: ignore[arg-type] # the package's own decorators
wrapped(1.5)  # type: ignore[call-overload] # none of the overloads
takes(coroutine)  # type: ignore[arg-type] # what has to be awaited
ops.tool(retry=3)  # type: ignore[call-overload] # a part of a policy has its type
ops.readonly(ttl="5")  # type: ignore[call-overload] # and so has an option
toolops_plugins.sideeffect(idempotent="yes")  # type: ignore[call-overload] # everywhere
ops.tool(3)  # type: ignore[call-overload] # a number is no function


async def calls() -> None:
    assert_type(await coroutine("ACME"), int)
    assert_type(await aread("ACME"), float)
    assert_type(await awrite("ACME"), bool)
    assert_type(await default_option("ACME"), int)
    assert_type(await afirst(["a"]), str)
    assert_type(await shop.aprice("ACME"), float)
    assert_type(await Shop.arate("EUR"), float)
    await shop.aprice.ainvalidate("ACME")
    assert_type(await shop.aprice.aexplain("ACME"), Explanation)
    await coroutine(1)  # type: ignore[arg-type] # a wrong argument of a coroutine function
    assert_type(ops.call(plain.__wrapped__, "ACME"), Any)
    assert_type(await ops.gather(coroutine("a"), coroutine("b"), limit=2), list[int])
    assert_type(ops.map(len, ["a"]), list[int])
    async with ops as same:
        assert_type(same, ToolOps)
