"""Policies apply to coroutine functions behind plain functions."""

from __future__ import annotations

import asyncio
import functools
import inspect
import types
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import httpx
import pytest
from openai import AsyncOpenAI

from toolops_plugins import Cache, CircuitBreaker, ConfigurationError, Retry, Timeout, ToolOps

POLICY: dict[str, Any] = {"cache": Cache(ttl=60), "retry": Retry(attempts=3, wait=0)}


@pytest.fixture
def ops():
    with ToolOps(retry_budget=None) as ops:
        yield ops


class Source:
    """A coroutine function that fails twice and then answers."""

    def __init__(self, failures=2):
        self.failures = failures
        self.runs = []

    async def __call__(self, ticker):
        self.runs.append(ticker)
        await asyncio.sleep(0)
        if len(self.runs) <= self.failures:
            raise ConnectionError("reset")
        return {"ticker": ticker}


def trace(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def run_here(function):
    """Run the coroutine from a plain function, as many command lines do."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return asyncio.run(function(*args, **kwargs))

    return wrapper


def hide(source):
    async def quote(ticker):
        return await source(ticker)

    return quote


class Shop:
    def __init__(self, source):
        self.source = source

    @trace
    async def quote(self, ticker):
        return await self.source(ticker)


class Called:
    def __init__(self, source):
        self.source = source

    @trace
    async def __call__(self, ticker):
        return await self.source(ticker)


def by_generator(source):
    @types.coroutine
    def quote(ticker):
        return (yield from source(ticker).__await__())

    return quote


WAYS = {
    "of a generator": by_generator,
    "decorated": lambda source: trace(hide(source)),
    "twice": lambda source: trace(trace(hide(source))),
    "partial": lambda source: functools.partial(trace(hide(source))),
    "decorated partial": lambda source: trace(functools.partial(hide(source))),
    "method": lambda source: Shop(source).quote,
    "object": Called,
    "async object": lambda source: source,
    "mock": lambda source: AsyncMock(side_effect=source.__call__),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_returned_awaitable_is_awaited_under_the_policies(ops, way):
    source = Source()
    tool = ops.tool(**POLICY)(WAYS[way](source))

    async def main():
        return await tool("ACME"), await tool("ACME"), await tool(ticker="ACME")

    # As asyncio.run(tool("ACME")) does, the first call is made where no loop runs.
    assert asyncio.run(tool("ACME")) == {"ticker": "ACME"}
    assert asyncio.run(main()) == ({"ticker": "ACME"},) * 3
    assert source.runs == ["ACME"] * (3 if way != "mock" else len(source.runs))
    assert ops.stats().total.attempts == len(source.runs)


@pytest.mark.parametrize("way", ["decorated", "method", "object", "partial"])
async def test_concurrent_first_calls_are_one(ops, way):
    source = Source(failures=0)
    tool = ops.tool(**POLICY)(WAYS[way](source))
    results = await asyncio.gather(*(tool("ACME") for _ in range(5)))
    assert results == [{"ticker": "ACME"}] * 5
    assert source.runs == ["ACME"]


async def test_a_time_limit_and_a_breaker_hold(ops):
    never = asyncio.Event()

    @ops.tool(timeout=Timeout(attempt=0.01), breaker=CircuitBreaker(window=2))
    @trace
    async def hang():
        await never.wait()

    for _ in range(2):
        with pytest.raises(TimeoutError):
            await hang()
    assert {breaker.state for breaker in ops.breakers.items().values()} == {"open"}


def test_methods_and_class_methods_of_a_class(ops):
    class Bank:
        runs: list[Any] = []  # noqa: RUF012 - for the test alone

        def __init__(self, owner):
            self.owner = owner

        @ops.tool(**POLICY)
        @trace
        async def balance(self, currency):
            self.runs.append((self.owner, currency))
            return self.owner, currency

        @classmethod
        @ops.tool(**POLICY)
        @trace
        async def rate(cls, currency):
            cls.runs.append(currency)
            return cls.__name__, currency

    async def main():
        ann, bob = Bank("ann"), Bank("bob")
        for _ in range(2):
            assert await ann.balance("EUR") == ("ann", "EUR")
            assert await bob.balance("EUR") == ("bob", "EUR")
            assert await Bank.rate("EUR") == ("Bank", "EUR")
        assert Bank.runs == [("ann", "EUR"), ("bob", "EUR"), "EUR"]

    asyncio.run(main())


def test_a_wrapper_that_runs_its_coroutine_stays_a_plain_function(ops):
    source = Source()
    tool = ops.tool(**POLICY)(run_here(hide(source)))
    for _ in range(3):
        assert tool("ACME") == {"ticker": "ACME"}
    assert len(source.runs) == 3
    assert not inspect.iscoroutinefunction(tool)
    assert tool("OTHER") == {"ticker": "OTHER"}


def test_a_wrapper_that_fails_before_there_is_a_coroutine(ops):
    @functools.wraps(hide(None))
    def refuse(ticker):
        raise PermissionError(ticker)

    tool = ops.tool(cache=Cache(ttl=60))(refuse)
    for _ in range(2):
        with pytest.raises(PermissionError):
            tool("ACME")


async def test_a_clients_method(ops):
    asked = []

    def answer(request):
        asked.append(request.url.path)
        if len(asked) == 1:
            return httpx.Response(500)
        return httpx.Response(200, json={"object": "list", "data": []})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        client = AsyncOpenAI(api_key="k", base_url="http://x", http_client=http, max_retries=0)
        create = ops.tool(retry=Retry(attempts=3, wait=0))(client.chat.completions.create)
        made = await create(model="m", messages=[])
        assert made.object == "list"
    assert len(asked) == 2


# --- what is refused --------------------------------------------------------------------------


class Later:
    def __await__(self):
        yield from ()
        return 1


REFUSED = {
    "lambda": lambda: lambda ticker: Source()(ticker),
    "mock": lambda: MagicMock(side_effect=hide(Source())),
    "awaitable": lambda: lambda ticker: Later(),
}


@pytest.mark.parametrize("way", REFUSED)
@pytest.mark.parametrize("policy", [{}, POLICY, {"fallback": 1}, {"breaker": CircuitBreaker()}])
def test_a_plain_function_that_returns_an_awaitable_is_refused(ops, way, policy):
    tool = ops.tool(**policy)(REFUSED[way]())
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="coroutine function"):
            tool("ACME")
    with pytest.raises(ConfigurationError):
        ops.call(REFUSED[way](), "ACME")
    breakers = ops.breakers.items().values()
    assert all(breaker.snapshot().calls == 0 for breaker in breakers)


async def test_a_task_is_refused_and_lives_on(ops):
    tasks = []

    def begin(ticker):
        tasks.append(asyncio.ensure_future(Source(failures=0)(ticker)))
        return tasks[0]

    with pytest.raises(ConfigurationError, match="Task"):
        ops.tool(begin)("ACME")
    assert await tasks[0] == {"ticker": "ACME"}


@pytest.mark.parametrize("way", [*WAYS, "lambda"])
async def test_acall_awaits_any_awaitable(ops, way):
    source = Source()
    make = {**WAYS, "lambda": lambda source: lambda ticker: source(ticker)}[way]
    policy = ops.tool(**POLICY)(lambda: None).policy
    function = make(source)
    for _ in range(2):
        assert await ops.acall(function, "ACME", policy=policy) == {"ticker": "ACME"}
    assert len(source.runs) == 3


# --- generators -------------------------------------------------------------------------------


def test_a_hidden_generator_is_each_callers_own(ops):
    @ops.tool(**POLICY)
    @trace
    def count(to):
        yield from range(to)

    assert [list(count(3)) for _ in range(3)] == [[0, 1, 2]] * 3


async def test_a_hidden_async_generator_is_each_callers_own(ops):
    @ops.tool(**POLICY)
    @trace
    async def count(to):
        for number in range(to):
            yield number

    for _ in range(3):
        assert [number async for number in count(3)] == [0, 1, 2]
