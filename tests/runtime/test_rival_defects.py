"""Defects of the rival ToolOps 1.0.0 that this library does not have, one test for each.

Its semantic cache, which embeds the hexadecimal digest of the key, is a matter for the issue that
brings ours.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from servers import Server, wait_for

from toolops_plugins import (
    Cache,
    CircuitBreaker,
    CircuitOpen,
    Memory,
    Redis,
    Retry,
    ToolOps,
)
from toolops_plugins.testing import FakeClock


def test_retries_do_not_skip_the_breaker() -> None:
    ops = ToolOps(clock=FakeClock(), retry_budget=None)
    calls = []

    @ops.tool(retry=Retry(attempts=6), breaker=CircuitBreaker(window=2, min_calls=2))
    def fail() -> None:
        calls.append(1)
        raise ConnectionError("down")

    with pytest.raises(CircuitOpen):
        fail()
    assert len(calls) == 2
    with pytest.raises(CircuitOpen):
        fail()
    assert len(calls) == 2


async def test_retries_do_not_skip_the_breaker_on_a_loop_either() -> None:
    ops = ToolOps(clock=FakeClock(), retry_budget=None)
    calls = []

    @ops.tool(retry=Retry(attempts=6), breaker=CircuitBreaker(window=2, min_calls=2))
    async def fail() -> None:
        calls.append(1)
        raise ConnectionError("down")

    with pytest.raises(CircuitOpen):
        await fail()
    assert len(calls) == 2


async def test_a_cancelled_leader_does_not_leave_its_followers_hanging() -> None:
    ops = ToolOps()
    started, release = asyncio.Event(), asyncio.Event()
    calls = []

    @ops.tool(coalesce=True)
    async def quote(ticker: str) -> str:
        calls.append(ticker)
        started.set()
        await release.wait()
        return ticker.lower()

    leader = asyncio.create_task(quote("ACME"))
    await started.wait()
    followers = [asyncio.create_task(quote("ACME")) for _ in range(3)]
    await asyncio.sleep(0)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    release.set()
    async with asyncio.timeout(10):
        assert await asyncio.gather(*followers) == ["acme"] * 3
    assert calls == ["ACME"]


async def test_a_plain_tool_that_is_called_on_a_running_loop_does_not_deadlock() -> None:
    ops = ToolOps()

    @ops.readonly
    def quote(ticker: str) -> str:
        return ticker.lower()

    @ops.readonly
    async def report(ticker: str) -> str:
        return f"report on {quote(ticker)}"

    async with asyncio.timeout(10):
        assert quote("ACME") == "acme"
        assert quote("ACME") == "acme"
        assert await report("ACME") == "report on acme"
        assert await asyncio.gather(*(report(f"T{n % 3}") for n in range(9)))


async def test_redis_works_on_first_use_on_a_running_loop(valkey: Server, namespace: str) -> None:
    """Nobody connects anything beforehand."""
    calls = []
    ops = ToolOps(namespace, [Redis(valkey.url)])

    @ops.tool(cache=Cache(ttl=60))
    async def quote(ticker: str) -> str:
        calls.append(ticker)
        return ticker.lower()

    async with asyncio.timeout(10):
        assert await quote("ACME") == "acme"
        assert await quote("ACME") == "acme"
    assert calls == ["ACME"]
    assert ops.stats().total.hits_by_tier == {"L1": 1}
    await ops.aclose()


@pytest.mark.allow_blocking("a plain function that is called on a loop blocks it, by its nature")
async def test_redis_works_on_first_use_of_a_plain_tool_on_a_running_loop(
    valkey: Server, namespace: str
) -> None:
    calls = []
    ops = ToolOps(namespace, [Memory(), Redis(valkey.url)])

    @ops.tool(cache=Cache(ttl=60, tiers=["L2"]))
    def quote(ticker: str) -> str:
        calls.append(ticker)
        return ticker.lower()

    assert quote("ACME") == "acme"
    assert quote("ACME") == "acme"
    assert calls == ["ACME"]
    await ops.aclose()
    ops.close()


def test_redis_works_in_one_loop_after_another(valkey: Server, namespace: str) -> None:
    calls = []
    ops = ToolOps(namespace, [Redis(valkey.url)])

    @ops.tool(cache=Cache(ttl=60))
    async def quote(ticker: str) -> str:
        calls.append(ticker)
        return ticker.lower()

    for _ in range(3):
        assert asyncio.run(quote("ACME")) == "acme"
    assert calls == ["ACME"]
    ops.close()


@pytest.mark.parametrize("value", [None, False, 0, 0.0, "", b"", [], {}, (), set()])
async def test_none_and_its_like_are_cached(value: object) -> None:
    ops = ToolOps()
    calls = []

    @ops.tool(cache=Cache(ttl=60))
    def plain() -> object:
        calls.append(1)
        return value

    @ops.tool(cache=Cache(ttl=60))
    async def aio() -> object:
        calls.append(1)
        return value

    for _ in range(3):
        for result in (plain(), await aio()):
            assert result == value
            assert type(result) is type(value)
    assert len(calls) == 2


async def test_none_is_cached_in_redis_too(valkey: Server, namespace: str) -> None:
    calls = []
    async with ToolOps(namespace, [Redis(valkey.url)]) as ops:

        @ops.tool(cache=Cache(ttl=60))
        async def nothing() -> None:
            calls.append(1)

        for _ in range(3):
            assert await nothing() is None
    assert len(calls) == 1


async def test_mutating_a_result_does_not_poison_the_cache() -> None:
    ops = ToolOps()
    own = {"prices": [1, 2], "by": {"name": "x"}}

    @ops.tool(cache=Cache(ttl=60))
    async def quote() -> dict[str, object]:
        return own

    for _ in range(3):  # a miss, then hits
        answer = await quote()
        assert answer == {"prices": [1, 2], "by": {"name": "x"}}
        if answer is not own:
            answer["prices"].append("spoilt")
            answer["by"].clear()
            answer["more"] = True
    # What the function itself keeps may change as well.
    own["prices"].append(3)
    assert await quote() == {"prices": [1, 2], "by": {"name": "x"}}


def test_mutating_a_shared_result_does_not_reach_other_callers() -> None:
    ops = ToolOps()
    started, release = threading.Event(), threading.Event()

    @ops.tool(coalesce=True)
    def quote() -> list[int]:
        started.set()
        release.wait(10)
        return [1]

    results: list[list[int]] = []
    threads = [threading.Thread(target=lambda: results.append(quote())) for _ in range(3)]
    for thread in threads:
        thread.start()
    key = bytes.fromhex(quote.key())
    wait_for(lambda: ops._shared.flights.count_callers(key) == 3, "three callers")
    release.set()
    for thread in threads:
        thread.join()
    results[0].append(2)
    assert sorted(map(len, results)) == [1, 1, 2]


@pytest.mark.parametrize("options", [{}, {"secret": ["who"]}])
@pytest.mark.parametrize("name", ["api_key", "password", "who"])
def test_bob_does_not_get_the_answer_of_alice(options: dict[str, list[str]], name: str) -> None:
    ops = ToolOps()
    events = []
    ops.add_sink(events.append)
    if name == "who":

        @ops.tool(cache=Cache(ttl=60), **options)
        def inbox(who: str) -> str:
            return f"mail of {who}"

    elif name == "api_key":

        @ops.tool(cache=Cache(ttl=60))
        def inbox(api_key: str) -> str:
            return f"mail of {api_key}"

    else:

        @ops.tool(cache=Cache(ttl=60))
        def inbox(password: str) -> str:
            return f"mail of {password}"

    assert inbox("alice-swordfish") == "mail of alice-swordfish"
    assert inbox("bob-tulip") == "mail of bob-tulip"
    assert inbox("alice-swordfish") == "mail of alice-swordfish"
    assert inbox.key("alice-swordfish") != inbox.key("bob-tulip")
    # And nothing of it shows.
    told = repr(events) + repr(ops.stats()) + repr(ops) + repr(inbox.policy)
    assert "swordfish" not in told
    assert "tulip" not in told


async def test_asynchronous_generators_work() -> None:
    ops = ToolOps()
    calls = []

    @ops.tool(cache=Cache(ttl=60), retry=Retry(attempts=2))
    async def words(text: str) -> AsyncIterator[str]:
        calls.append(text)
        for word in text.split():
            yield word

    for _ in range(3):
        assert [word async for word in words("to be or not")] == ["to", "be", "or", "not"]
    assert calls == ["to be or not"]


def test_memory_is_bounded() -> None:
    memory = Memory(max_items=100, max_bytes=100_000)
    ops = ToolOps(tiers=[memory], max_flights=10)

    @ops.tool(cache=Cache(ttl=60, tags=["n:{n}"]))
    def page(n: int, size: int) -> str:
        return "x" * size

    for n in range(2_000):
        page(n, 10)
        assert len(memory) <= 100
    for n in range(200):
        page(n, 20_000)
        assert memory.nbytes <= 100_000
    assert not ops._shared.flights


def test_the_state_of_tools_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names may come from outside, such as one for each function of a server."""
    from toolops_plugins import Policy

    monkeypatch.setattr("toolops_plugins.runtime._PLANS", 64)
    ops = ToolOps()
    ops._stats._max_tools = 100
    policy = Policy(cache=Cache(ttl=60))
    for n in range(200):
        assert ops.call(len, "four", policy=policy, name=f"tool{n}") == 4
    assert len(ops._called) == 64
    assert len(ops.stats()) <= 110
