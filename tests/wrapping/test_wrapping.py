"""Wrapped callables of every kind look and behave as before."""

from __future__ import annotations

import functools
import gc
import inspect
import logging
import math
import operator
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from callers import Notices

import toolops_plugins
from toolops_plugins import (
    Cache,
    CircuitBreaker,
    ConfigurationError,
    Policy,
    Retry,
    Timeout,
    ToolOps,
)
from toolops_plugins.testing import FakeClock

CACHE = Policy(cache=Cache(ttl=60))


# Kinds


async def test_every_kind_of_function(ops: ToolOps) -> None:
    runs = []

    @ops.tool(cache=Cache(ttl=60))
    def plain(n: int) -> int:
        runs.append("plain")
        return n + 1

    @ops.tool(cache=Cache(ttl=60))
    async def coroutine(n: int) -> int:
        runs.append("coroutine")
        return n + 1

    @ops.tool(cache=Cache(ttl=60))
    def generator(n: int) -> Iterator[int]:
        runs.append("generator")
        yield n + 1

    @ops.tool(cache=Cache(ttl=60))
    async def asynchronous(n: int) -> AsyncIterator[int]:
        runs.append("asynchronous")
        yield n + 1

    for _ in range(2):
        assert plain(1) == 2
        assert await coroutine(1) == 2
        assert list(generator(1)) == [2]
        assert [item async for item in asynchronous(1)] == [2]
    assert runs == ["plain", "coroutine", "generator", "asynchronous"]


class Shop:
    """Has no canonical form: every shop is itself."""

    ops = ToolOps("shop")
    runs: list[Any] = []  # noqa: RUF012 - emptied by each test

    def __init__(self, name: str) -> None:
        self.name = name

    @ops.tool(cache=Cache(ttl=60))
    def quote(self, ticker: str) -> str:
        self.runs.append(ticker)
        return f"{ticker} at {self.name}"

    @ops.tool(cache=Cache(ttl=60))
    async def aquote(self, ticker: str) -> str:
        self.runs.append(ticker)
        return f"{ticker} at {self.name}"

    @ops.tool(cache=Cache(ttl=60))
    def quotes(self, *tickers: str) -> Iterator[str]:
        self.runs.append(tickers)
        for ticker in tickers:
            yield f"{ticker} at {self.name}"

    @classmethod
    @ops.tool(cache=Cache(ttl=60))
    def inner_class(cls, n: int) -> str:
        cls.runs.append(n)
        return f"{cls.__name__} {n}"

    @ops.tool(cache=Cache(ttl=60))
    @classmethod
    def outer_class(cls, n: int) -> str:
        cls.runs.append(n)
        return f"{cls.__name__} {n}"

    @staticmethod
    @ops.tool(cache=Cache(ttl=60))
    def inner_static(n: int) -> int:
        Shop.runs.append(n)
        return n + 1

    @ops.tool(cache=Cache(ttl=60))
    @staticmethod
    def outer_static(n: int) -> int:
        Shop.runs.append(n)
        return n + 1

    @classmethod
    @ops.tool(cache=Cache(ttl=60))
    async def class_coroutine(cls, n: int) -> str:
        cls.runs.append(n)
        return f"{cls.__name__} {n}"


class Branch(Shop):
    """Inherits the wrapped methods."""


@dataclass
class Store:
    """Has a canonical form: equal stores are one."""

    name: str

    ops = ToolOps("store")

    @ops.tool(cache=Cache(ttl=60))
    def quote(self, ticker: str) -> str:
        Shop.runs.append(ticker)
        return f"{ticker} at {self.name}"


@pytest.fixture(autouse=True)
def _empty() -> None:
    Shop.runs.clear()
    Shop.ops.clear()
    Store.ops.clear()


async def test_methods_of_two_objects_do_not_share() -> None:
    one, two = Shop("one"), Shop("two")
    for _ in range(2):
        assert one.quote("A") == "A at one"
        assert two.quote("A") == "A at two"
        assert await one.aquote("A") == "A at one"
        assert await two.aquote("A") == "A at two"
        assert list(one.quotes("A", "B")) == ["A at one", "B at one"]
        assert list(two.quotes("A", "B")) == ["A at two", "B at two"]
    assert Shop.runs == ["A"] * 4 + [("A", "B")] * 2


def test_an_object_that_takes_the_place_of_a_dead_one_does_not_get_its_answers() -> None:
    """CPython gives the same address again at once."""
    for n in range(50):
        assert Shop(f"shop {n}").quote("A") == f"A at shop {n}"


def test_methods_of_equal_objects_share_where_they_have_a_canonical_form() -> None:
    assert Store("one").quote("A") == "A at one"
    assert Store("one").quote("A") == "A at one"
    assert Store("two").quote("A") == "A at two"
    changing = Store("one")
    changing.name = "two"
    assert changing.quote("A") == "A at two"
    assert Shop.runs == ["A", "A"]


async def test_class_methods_and_static_methods_in_both_orders() -> None:
    for _ in range(2):
        assert Shop.inner_class(1) == Shop("x").inner_class(1) == "Shop 1"
        assert Shop.outer_class(1) == Shop("x").outer_class(1) == "Shop 1"
        assert Branch.inner_class(1) == Branch("x").inner_class(1) == "Branch 1"
        assert Branch.outer_class(1) == "Branch 1"
        assert Shop.inner_static(1) == Shop("x").inner_static(1) == 2
        assert Shop.outer_static(1) == Branch("x").outer_static(1) == 2
        assert await Shop.class_coroutine(1) == "Shop 1"
        assert await Branch.class_coroutine(1) == "Branch 1"
    assert len(Shop.runs) == 8


def test_methods_take_their_receiver_where_a_key_is_asked_for() -> None:
    shop = Shop("one")
    shop.quote("A")
    assert Shop.quote.key(shop, "A") != Shop.quote.key(shop, "B")
    assert Shop.quote.key(shop, "A") != Shop.quote.key(Shop("one"), "A")
    Shop.quote.invalidate(shop, "A")
    shop.quote("A")
    assert len(Shop.runs) == 2


def test_bound_methods(ops: ToolOps) -> None:
    class Counter:
        def __init__(self, step: int) -> None:
            self.step = step
            self.runs = 0

        def add(self, n: int) -> int:
            self.runs += 1
            return n + self.step

    one, ten = Counter(1), Counter(10)
    add_one, add_ten = (ops.tool(cache=Cache(ttl=60))(counter.add) for counter in (one, ten))
    for _ in range(2):
        assert add_one(5) == 6
        assert add_ten(5) == 15
    assert (one.runs, ten.runs) == (1, 1)
    assert add_one.key(5) != add_ten.key(5)
    assert list(inspect.signature(add_one).parameters) == ["n"]


async def test_bound_arguments_of_a_partial_count(ops: ToolOps) -> None:
    runs = []

    def power(base: int, exponent: int, *, scale: int = 1) -> int:
        runs.append(base)
        return scale * base**exponent

    async def apower(base: int, exponent: int) -> int:
        runs.append(base)
        return base**exponent

    wrap = ops.tool(cache=Cache(ttl=60))
    of_two = wrap(functools.partial(power, 2))
    of_three = wrap(functools.partial(power, 3))
    square = wrap(functools.partial(power, exponent=2))
    scaled = wrap(functools.partial(functools.partial(power, 2), scale=10))
    cube = wrap(functools.partial(apower, exponent=3))
    for _ in range(2):
        assert (of_two(3), of_three(3), square(5), scaled(3)) == (8, 27, 25, 80)
        assert scaled(3, scale=100) == 800
        assert await cube(2) == 8
    assert len(runs) == 6
    assert square(2) == 4
    assert of_two(2) == 4  # the same call as the one before
    assert len(runs) == 7
    assert inspect.iscoroutinefunction(cube)
    assert inspect.signature(of_two) == inspect.signature(functools.partial(power, 2))


async def test_callable_objects(ops: ToolOps) -> None:
    class Adder:
        """Adds."""

        def __init__(self, step: int) -> None:
            self.step = step
            self.runs = 0

        def __call__(self, n: int) -> int:
            self.runs += 1
            return n + self.step

    class AsyncAdder(Adder):
        async def __call__(self, n: int) -> int:
            self.runs += 1
            return n + self.step

    one, ten, hundred = Adder(1), Adder(10), AsyncAdder(100)
    wrapped_one, wrapped_ten, wrapped_hundred = map(
        ops.tool(cache=Cache(ttl=60)), [one, ten, hundred]
    )
    for _ in range(2):
        assert wrapped_one(5) == 6
        assert wrapped_ten(5) == 15
        assert await wrapped_hundred(5) == 105
    assert (one.runs, ten.runs, hundred.runs) == (1, 1, 1)
    assert wrapped_one.__name__ == "Adder"
    assert inspect.iscoroutinefunction(wrapped_hundred)
    assert not inspect.iscoroutinefunction(wrapped_one)
    assert list(inspect.signature(wrapped_one).parameters) == ["n"]


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (len, ("four",)),
        (math.sqrt, (2.0,)),
        (math.hypot, (3, 4)),
        (str.upper, ("a",)),
        (dict.fromkeys, ("ab", 1)),
        ("text".upper, ()),
        (operator.add, (1, 2)),
        (max, (1, 2, 3)),
        (sorted, ([3, 1, 2],)),
        (functools.lru_cache(lambda n: n + 1), (1,)),
        (np.add, (1, 2)),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_builtins(ops: ToolOps, function: Any, args: Any) -> None:
    wrapped = ops.tool(cache=Cache(ttl=60))(function)
    assert wrapped(*args) == wrapped(*args) == function(*args)
    assert ops.stats().total.hits == 1


def _step(step: int) -> Callable[[int], int]:
    def add(n: int) -> int:
        return n + step

    return add


@pytest.mark.parametrize(
    ("one", "two", "args"),
    [
        (operator.itemgetter(0), operator.itemgetter(1), (["a", "b"],)),
        (operator.attrgetter("real"), operator.attrgetter("imag"), (1 + 2j,)),
        (operator.methodcaller("upper"), operator.methodcaller("lower"), ("Ab",)),
        (np.add, np.multiply, (3, 4)),
        (functools.lru_cache(_step(1)), functools.lru_cache(_step(2)), (1,)),
        (np.vectorize(lambda n: n + 1), np.vectorize(lambda n: n + 2), (1,)),
        (len, max, ([1, 2, 3, 9],)),
        (math.floor, math.ceil, (1.5,)),
        (str.upper, str.lower, ("Ab",)),
        ("Ab".upper, "Cd".upper, ()),
        ((5).__add__, (6).__add__, (1,)),
        (np.add.reduce, np.multiply.reduce, ([3, 4],)),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_callables_written_in_c_do_not_get_each_others_answers(
    ops: ToolOps, one: Any, two: Any, args: Any
) -> None:
    wrapped_one, wrapped_two = map(ops.tool(cache=Cache(ttl=60)), [one, two])
    for _ in range(2):
        assert wrapped_one(*args) == one(*args)
        assert wrapped_two(*args) == two(*args)


@pytest.mark.parametrize("wanted", [1, "text", None, [len], object()])
def test_an_object_that_is_not_callable_is_refused(ops: ToolOps, wanted: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ops.tool(coalesce=True)(wanted)
    assert caught.value.parameter == "function"


def test_classes_cannot_be_wrapped(ops: ToolOps) -> None:
    with pytest.raises(ConfigurationError, match="class Shop"):
        ops.tool(Shop)


# Closures and lambdas


def _adder(ops: ToolOps, step: int) -> Any:
    @ops.tool(cache=Cache(ttl=60))
    def add(n: int) -> int:
        return n + step

    return add


def test_closures_of_one_name_are_kept_apart_with_a_warning(
    ops: ToolOps, caplog: pytest.LogCaptureFixture
) -> None:
    notices = Notices(ops)
    with caplog.at_level(logging.WARNING, "toolops_plugins"):
        one, ten = _adder(ops, 1), _adder(ops, 10)
    assert [one(5), ten(5), one(5), ten(5)] == [6, 15, 6, 15]
    assert one.key(5) != ten.key(5)
    assert notices.reasons == ["name_taken"]
    assert "name_taken" in caplog.text


def test_lambdas_of_one_name_are_kept_apart(ops: ToolOps) -> None:
    wrap = ops.tool(cache=Cache(ttl=60))
    one, two = wrap(lambda n: n + 1), wrap(lambda n: n + 2)
    assert [one(5), two(5), one(5), two(5)] == [6, 7, 6, 7]


def test_a_closure_does_not_get_the_answers_of_a_dead_one(ops: ToolOps) -> None:
    """A tool that is made for each request holds that request's user."""

    def inbox_of(user: str) -> Any:
        @ops.tool(cache=Cache(ttl=60))
        def inbox() -> str:
            return f"mail of {user}"

        return inbox

    for user in ("alice", "bob", "carol"):
        assert inbox_of(user)() == f"mail of {user}"
        gc.collect()


def test_a_lambda_does_not_get_the_answers_of_a_dead_one(ops: ToolOps) -> None:
    for step in (1, 2, 3):
        assert ops.tool(cache=Cache(ttl=60))(lambda n, step=step: n + step)(5) == 5 + step
        gc.collect()


def test_call_does_not_mix_up_closures_either(ops: ToolOps) -> None:
    for step in (1, 2, 3):

        def add(n: int) -> int:
            return n + step  # noqa: B023 - called at once

        assert ops.call(add, 5, policy=CACHE) == 5 + step
        del add
        gc.collect()


def test_functions_that_hold_nothing_share_with_themselves(ops: ToolOps) -> None:
    """One that is defined again, such as by a reload, is the same function."""
    notices = Notices(ops)
    runs = []
    Shop.runs = runs

    def define() -> Any:
        def twice(n: int) -> int:
            Shop.runs.append(n)
            return 2 * n

        return ops.tool(cache=Cache(ttl=60))(twice)

    assert define()(4) == define()(4) == 8
    assert runs == [4]
    assert not notices.all


def test_a_name_of_ones_own_is_kept(ops: ToolOps) -> None:
    def make() -> Any:
        runs: list[int] = []

        @ops.tool(name="mine", cache=Cache(ttl=60))
        def f(n: int) -> int:
            runs.append(n)
            return n

        return f

    one, two = make(), make()
    assert one.name == two.name == "mine"
    assert one.key(1) == two.key(1)


# What it looks like


def test_with_and_without_parentheses(ops: ToolOps) -> None:
    @ops.tool
    def bare(n: int) -> int:
        return n

    @ops.tool()
    def empty(n: int) -> int:
        return n

    @ops.readonly
    def store(n: int) -> int:
        return n

    @ops.readonly(ttl=5)
    def briefly(n: int) -> int:
        return n

    @ops.sideeffect
    def change(n: int) -> int:
        return n

    @ops.sideeffect(idempotent=True)
    def put(n: int) -> int:
        return n

    assert [f(1) for f in (bare, empty, store, briefly, change, put)] == [1] * 6
    assert bare.policy == Policy()
    assert store.policy.cache.ttl == 300
    assert store.policy.coalesces
    assert store.policy.retry == Retry()
    assert briefly.policy.cache.ttl == 5
    assert change.policy.retry is None
    assert put.policy.retry == Retry()
    assert not change.policy.coalesces


def test_the_plain_decorators_use_the_default_runtime() -> None:
    before = toolops_plugins.get_default()
    mine = ToolOps("mine")
    toolops_plugins.set_default(mine)
    try:

        @toolops_plugins.tool
        def one() -> int:
            return 1

        @toolops_plugins.readonly(ttl=5)
        def two() -> int:
            return 2

        @toolops_plugins.sideeffect()
        def three() -> int:
            return 3
    finally:
        toolops_plugins.set_default(before)
    assert (one(), two(), three()) == (1, 2, 3)
    assert mine.stats().total.calls == 3


def _docs_of(ticker: str, /, day: int = 1, *rest: int, exact: bool = False, **more: Any) -> str:
    """Say something.

    Args:
        ticker: Which.
    """
    return f"{ticker} {day} {rest} {exact} {more}"


async def _acoroutine(n: int) -> int:
    """Await."""
    return n


def _agenerator(n: int) -> Iterator[int]:
    """Yield."""
    yield n


async def _anasyncgenerator(n: int) -> AsyncIterator[int]:
    """Yield, in time."""
    yield n


@pytest.mark.parametrize("function", [_docs_of, _acoroutine, _agenerator, _anasyncgenerator])
@pytest.mark.parametrize("preset", ["tool", "readonly", "sideeffect"])
def test_looks_are_preserved(ops: ToolOps, function: Any, preset: str) -> None:
    wrapped = getattr(ops, preset)(function)
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__"):
        assert getattr(wrapped, name) == getattr(function, name)
    assert inspect.signature(wrapped) == inspect.signature(function)
    assert wrapped.__wrapped__ is function
    for look in (
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
        inspect.isfunction,
    ):
        assert look(wrapped) == look(function)
    assert wrapped.name == f"{function.__module__}.{function.__qualname__}"


def test_attributes_of_the_function_are_preserved(ops: ToolOps) -> None:
    def f() -> None:
        pass

    f.route = "/f"
    assert ops.tool(f).route == "/f"


def test_a_tool_can_be_wrapped_once_more(ops: ToolOps) -> None:
    runs = []

    @ops.tool(cache=Cache(ttl=60))
    @ops.tool(retry=Retry(attempts=2, wait=0.0))
    def flaky(n: int) -> int:
        runs.append(n)
        if len(runs) == 1:
            raise ConnectionError
        return n

    assert flaky(1) == flaky(1) == 1
    assert len(runs) == 2
    assert flaky.policy.cache is not None


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        (("A", 1, 2), {"day": 3}),
        (("A",), {"ticker": "B", "nope": 1}),
    ],
)
@pytest.mark.parametrize("policy", [Policy(), CACHE, Policy(retry=Retry(attempts=3))])
def test_a_wrong_call_is_pythons_own_error(
    ops: ToolOps, args: tuple[Any, ...], kwargs: dict[str, Any], policy: Policy
) -> None:
    def quote(ticker: str, *, day: int = 1) -> str:
        return ticker

    if not args or "ticker" in kwargs or len(args) > 1:
        with pytest.raises(TypeError) as expected:
            quote(*args, **kwargs)
    wrapped = ToolOps(clock=FakeClock()).tool(policy=policy)(quote)
    with pytest.raises(TypeError) as caught:
        wrapped(*args, **kwargs)
    assert type(caught.value) is TypeError
    assert str(caught.value) == str(expected.value)


async def test_a_wrong_call_is_the_callers_fault_and_not_the_callees() -> None:
    """It is not tried again, and opens no circuit: models call tools wrongly all the time."""
    clock = FakeClock()
    ops = ToolOps(clock=clock)
    for cache in (None, Cache(ttl=60)):
        events = []
        remove = ops.add_sink(events.append)
        name = f"quote{cache is None}"
        breaker = CircuitBreaker(window=2, min_calls=2)

        @ops.tool(name=name, cache=cache, retry=Retry(attempts=3), breaker=breaker)
        def quote(ticker: str) -> str:
            return ticker

        @ops.tool(name="a" + name, cache=cache, retry=Retry(attempts=3), breaker=breaker)
        async def aquote(ticker: str) -> str:
            return ticker

        for _ in range(3):
            with pytest.raises(TypeError):
                quote()
            with pytest.raises(TypeError):
                await aquote("A", "B")
        assert quote("A") == await aquote("A") == "A"
        assert not clock.slept
        assert max(event.attempts for event in events) <= 1
        remove()


def test_a_type_error_of_the_function_itself_is_a_failure_like_any_other(ops: ToolOps) -> None:
    ops = ToolOps(clock=FakeClock())
    runs = []

    @ops.tool(retry=Retry(attempts=3, on=TypeError), cache=Cache(ttl=60))
    def break_it(n: int) -> Any:
        runs.append(n)
        return n + "text"  # type: ignore[operator] # that is the point

    with pytest.raises(TypeError, match="unsupported operand"):
        break_it(1)
    assert len(runs) == 3


@pytest.mark.parametrize("policy", [Policy(), CACHE, Policy(timeout=Timeout(attempt=5))])
def test_stop_iteration_reaches_the_caller(ops: ToolOps, policy: Policy) -> None:
    @ops.tool(policy=policy)
    def enough() -> None:
        raise StopIteration("enough")

    for _ in range(2):
        with pytest.raises(StopIteration) as caught:
            enough()
        assert caught.value.value == "enough"
    with pytest.raises(StopIteration):
        ops.call(enough)


def test_a_fallback_is_given_the_stop_iteration_itself(ops: ToolOps) -> None:
    given: list[BaseException] = []
    events = []
    ops.add_sink(events.append)

    @ops.tool(fallback=lambda error: given.append(error) or "instead")
    def enough() -> str:
        raise StopIteration("enough")

    assert enough() == "instead"
    assert [type(error) for error in given] == [StopIteration]
    assert events[0].error == "StopIteration"
