"""Plain functions and tiers under a limit, called from threads and from event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from callers import Latch

from toolops_plugins import (
    AttemptTimeout,
    Cache,
    DeadlineExceeded,
    Policy,
    Redis,
    Timeout,
    ToolOps,
    TotalTimeout,
)

SHORT = 0.05


@pytest.fixture
def latch() -> Iterator[Latch]:
    latch = Latch()
    yield latch
    latch.open()


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        (Timeout(attempt=SHORT), AttemptTimeout),
        (Timeout(attempt=SHORT, total=20), AttemptTimeout),
        (Timeout(total=SHORT), TotalTimeout),
        (Timeout(attempt=20, total=SHORT), TotalTimeout),
    ],
)
async def test_a_plain_function_that_is_too_slow_for_a_task_is_abandoned(
    ops: ToolOps, latch: Latch, limits: Timeout, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await ops.acall(latch.wait, policy=Policy(timeout=limits))
    assert not latch.is_open()


async def test_a_plain_function_that_is_too_slow_for_the_deadline_of_a_task_is_abandoned(
    ops: ToolOps, latch: Latch
) -> None:
    with ops.deadline(SHORT), pytest.raises(DeadlineExceeded):
        await ops.acall(latch.wait)
    assert not latch.is_open()


def call(tool: Callable[[], Any]) -> Any:
    return tool()


def await_call(tool: Callable[[], Any]) -> Any:
    async def main() -> Any:
        return await tool()

    return asyncio.run(main())


@pytest.mark.parametrize("way", [call, await_call])
@pytest.mark.parametrize("coalesce", [False, True])
def test_a_tier_on_a_server_is_read_and_written_within_a_limit(
    way: Callable[[Callable[[], Any]], Any], coalesce: bool, valkey: Any, namespace: str
) -> None:
    made: list[int] = []

    def count() -> int:
        made.append(1)
        return len(made)

    async def acount() -> int:
        return count()

    for _ in range(2):  # a runtime that writes, and one that reads what was written
        tiers = [Redis(valkey.url, socket_timeout=10, connect_timeout=10)]
        with ToolOps(namespace, tiers=tiers) as ops:
            body: Any = acount if way is await_call else count
            tool = ops.tool(body, name="count", cache=Cache(ttl=60), coalesce=coalesce)
            with ops.deadline(20):
                assert way(tool) == 1
    assert made == [1]
