"""The tools for users' tests."""

from __future__ import annotations

import asyncio

import pytest

from toolops_plugins import (
    Bulkhead,
    Cache,
    CircuitBreaker,
    ConfigurationError,
    Hedge,
    RateLimit,
    Retry,
    Timeout,
    ToolOps,
)
from toolops_plugins.testing import Chaos, ChaosError, FakeClock, composed, set_active


def test_a_fake_clock_advances_on_command_and_on_sleep():
    clock = FakeClock(start=100)
    clock.advance(5)
    clock.sleep(2)
    asyncio.run(clock.asleep(3))
    assert clock.monotonic() == clock.time() == 110
    assert clock.slept == [2, 3]
    with pytest.raises(ConfigurationError, match="seconds"):
        clock.advance(-1)


def test_inactive_runtimes_leave_functions_alone():
    ops, other = ToolOps("a"), ToolOps("b")
    made = []
    tool = ops.tool(cache=Cache(ttl=60), retry=Retry())(lambda number: made.append(number))
    with set_active(False, ops):
        assert other.active
        tool(1)
        tool(1)
        with set_active(False):
            assert not other.active
        assert not ops.active
        assert other.active
    assert ops.active
    tool(1)
    tool(1)
    assert made == [1, 1, 1]
    assert ops.stats().total.calls == 2


def chaos_log(chaos, calls=200):
    @chaos
    def fetch(number):
        return number

    log = []
    for number in range(calls):
        try:
            log.append(fetch(number))
        except ChaosError:
            log.append(None)
    return log


def test_chaos_is_repeatable_by_its_seed():
    one, two, three = (chaos_log(Chaos(error_rate=0.3, seed=seed)) for seed in (1, 1, 2))
    assert one == two != three
    assert 30 < one.count(None) < 90


def test_chaos_counts():
    chaos = Chaos(error_rate=0.5, seed=3)
    failed = chaos_log(chaos).count(None)
    assert (chaos.calls, chaos.failed) == (200, failed)


async def test_chaos_takes_every_kind_of_function():
    chaos = Chaos(error_rate=1, error=OSError("cut"))
    calm = Chaos(latency=(0, 0.001))

    def plain():
        return 1

    async def coroutine():
        return 1

    def stream():
        yield 1

    async def astream():
        yield 1

    assert await asyncio.to_thread(calm(plain)) == await calm(coroutine)() == 1
    assert await asyncio.to_thread(list, calm(stream)()) == [1]
    assert [item async for item in calm(astream)()] == [1]
    with pytest.raises(OSError, match="cut"):
        chaos(plain)()
    with pytest.raises(OSError, match="cut"):
        await chaos(coroutine)()
    with pytest.raises(OSError, match="cut"):
        list(chaos(stream)())
    with pytest.raises(OSError, match="cut"):
        [item async for item in chaos(astream)()]
    assert calm(coroutine).__name__ == "coroutine"


@pytest.mark.parametrize(
    ("name", "value"), [("error_rate", 2), ("latency", -1), ("latency_rate", "often")]
)
def test_chaos_refuses_wrong_values(name, value):
    with pytest.raises(ConfigurationError, match=name):
        Chaos(**{name: value})


def test_the_layers_of_a_function_can_be_seen():
    ops = ToolOps("layers")
    cache = Cache(ttl=60)

    @ops.tool(
        cache=cache,
        retry=Retry(),
        breaker=CircuitBreaker(),
        timeout=Timeout(attempt=1, total=9),
        rate_limit=RateLimit("9/s"),
        bulkhead=Bulkhead(3),
        hedge=Hedge(),
        fallback=None,
    )
    def everything(): ...

    layers = composed(everything)
    assert [name for name, _ in layers] == [
        "fallback", "coalesce", "cache", "total timeout", "retry", "breaker", "hedge",
        "rate limit", "bulkhead", "attempt timeout",
    ]  # fmt: skip
    assert dict(layers)["cache"] is cache
    assert dict(layers)["total timeout"] == 9
    assert composed(ops.tool(lambda: None)) == []
    with pytest.raises(ConfigurationError, match="wrapped function"):
        composed(len)
