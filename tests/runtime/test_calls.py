"""Calls without a decorator: call, acall, gather and map."""

from __future__ import annotations

import asyncio
import functools
import gc
from collections.abc import AsyncIterator, Iterator

import pytest

from toolops_plugins import (
    Cache,
    ConfigurationError,
    Policy,
    ToolOps,
)

CACHE = Policy(cache=Cache(ttl=60))


@pytest.fixture
def ops() -> ToolOps:
    return ToolOps("wrapping")


async def _acoroutine(n: int) -> int:
    """Await."""
    return n


def _agenerator(n: int) -> Iterator[int]:
    """Yield."""
    yield n


async def _anasyncgenerator(n: int) -> AsyncIterator[int]:
    """Yield, in time."""
    yield n


async def test_call_and_acall(ops: ToolOps) -> None:
    runs = []

    def plain(n: int, *, step: int = 1) -> int:
        runs.append(n)
        return n + step

    async def coroutine(n: int) -> int:
        runs.append(n)
        return n + 1

    for _ in range(2):
        assert ops.call(plain, 1, step=2, policy=CACHE) == 3
        assert await ops.acall(plain, 1, step=2, policy=CACHE) == 3
        assert await ops.acall(coroutine, 1, policy=CACHE) == 2
    assert len(runs) == 2
    assert ops.call(plain, 1) == await ops.acall(plain, 1) == 2
    assert len(runs) == 4
    assert ops.call(functools.partial(plain, 1), step=2, policy=CACHE) == 3
    assert len(runs) == 4


async def test_calls_of_one_name_share(ops: ToolOps) -> None:
    assert ops.call(lambda n: n + 1, 1, policy=CACHE, name="next") == 2
    assert ops.call(lambda n: n + 100, 1, policy=CACHE, name="next") == 2


async def test_calls_refuse_unsupported_functions(ops: ToolOps) -> None:
    with pytest.raises(ConfigurationError, match="acall"):
        ops.call(_acoroutine, 1)
    for function in (_agenerator, _anasyncgenerator):
        with pytest.raises(ConfigurationError, match="decorator"):
            await ops.acall(function, 1)
        with pytest.raises(ConfigurationError):
            ops.call(function, 1)


async def test_gather_bounds_and_orders(ops: ToolOps) -> None:
    running = most = 0

    async def work(n: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(10 - n):
            await asyncio.sleep(0)
        running -= 1
        return n

    assert await ops.gather(*(work(n) for n in range(10)), limit=3) == list(range(10))
    assert most == 3
    assert await ops.gather() == []


async def test_gather_raises_the_first_error_once_all_have_ended(ops: ToolOps) -> None:
    started, ended = [], []

    async def work(n: int) -> int:
        started.append(n)
        try:
            if n == 2:
                raise LookupError(n)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(n)
        return n

    with pytest.raises(LookupError):
        await ops.gather(*(work(n) for n in range(9)), limit=3)
    assert sorted(started) == sorted(ended)
    assert {0, 1, 2} <= set(ended) < set(range(9))


async def test_gather_returns_errors_if_asked(ops: ToolOps) -> None:
    async def work(n: int) -> int:
        if n % 2:
            raise LookupError(n)
        return n

    results = await ops.gather(*(work(n) for n in range(4)), return_exceptions=True)
    assert results[::2] == [0, 2]
    assert [type(result) for result in results[1::2]] == [LookupError] * 2


@pytest.mark.parametrize("turns", range(4))
async def test_gather_leaves_no_coroutine_unawaited_when_it_is_cancelled(
    ops: ToolOps, turns: int
) -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    async def gather() -> None:
        await ops.gather(*(work() for _ in range(5)), limit=2)

    task = asyncio.create_task(gather())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gc.collect()  # pytest makes an error of "was never awaited"


def test_map_bounds_and_orders(ops: ToolOps) -> None:
    assert ops.map(lambda n: n * n, range(20), limit=3) == [n * n for n in range(20)]
    assert ops.map(len, []) == []
    with pytest.raises(ConfigurationError) as caught:
        ops.map(len, [""], limit=0)
    assert caught.value.parameter == "limit"


def test_map_raises_the_first_error_in_order_once_all_have_ended(ops: ToolOps) -> None:
    ended = []

    def work(n: int) -> int:
        ended.append(n)
        if n in (2, 4):
            raise LookupError(n)
        return n

    with pytest.raises(LookupError, match="2"):
        ops.map(work, range(6))
    assert sorted(ended) == list(range(6))
