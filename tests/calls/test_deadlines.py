"""Deadlines of blocks, also of blocks that are left in another context."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from callers import LONG, start
from servers import wait_for

from toolops_plugins import Bulkhead, Cache, DeadlineExceeded, RateLimit, Retry, ToolOps
from toolops_plugins.calls.context import DEADLINE, current_deadline
from toolops_plugins.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ops(clock: FakeClock) -> Iterator[ToolOps]:
    with ToolOps("deadlines", clock=clock) as ops:
        yield ops


def test_a_block_that_is_left_in_another_context_is_over_in_both(
    ops: ToolOps, clock: FakeClock
) -> None:
    tool = ops.tool(lambda: "made")
    here, there = contextvars.copy_context(), contextvars.copy_context()
    block = ops.deadline(5)
    here.run(block.__enter__)
    clock.advance(6)
    with pytest.raises(DeadlineExceeded):
        here.run(tool)
    there.run(block.__exit__, None, None, None)
    assert here.run(tool) == there.run(tool) == "made"


def test_the_deadline_around_it_stands_again(ops: ToolOps, clock: FakeClock) -> None:
    tool = ops.tool(lambda: "made")
    here, there = contextvars.copy_context(), contextvars.copy_context()
    outer, inner = ops.deadline(10), ops.deadline(5)
    here.run(outer.__enter__)
    here.run(inner.__enter__)
    there.run(inner.__exit__, None, None, None)
    clock.advance(6)
    assert here.run(tool) == "made"
    clock.advance(6)
    with pytest.raises(DeadlineExceeded):
        here.run(tool)
    assert there.run(tool) == "made"


def test_a_deadline_left_in_another_context_does_not_shorten_the_next(
    ops: ToolOps, clock: FakeClock
) -> None:
    here, there = contextvars.copy_context(), contextvars.copy_context()
    block = ops.deadline(1)
    here.run(block.__enter__)
    there.run(block.__exit__, None, None, None)
    following = ops.deadline(50)
    here.run(following.__enter__)
    found = here.run(current_deadline)
    assert found is not None
    assert found.at == clock.monotonic() + 50


async def test_a_generator_may_hold_it_and_be_closed_by_another_task(
    ops: ToolOps, clock: FakeClock
) -> None:
    @ops.tool
    async def tool() -> str:
        return "made"

    async def steps() -> AsyncIterator[str]:
        with ops.deadline(5):
            yield await tool()

    generator = steps()
    assert await asyncio.create_task(anext(generator)) == "made"
    clock.advance(6)
    await asyncio.create_task(generator.aclose())
    assert await tool() == "made"


async def test_a_fixture_may_hold_it_whose_ends_run_in_two_tasks(ops: ToolOps) -> None:
    @asynccontextmanager
    async def fetch_in_time() -> AsyncIterator[None]:
        with ops.deadline(5):
            yield

    fixture = fetch_in_time()
    await asyncio.create_task(fixture.__aenter__())
    await asyncio.create_task(fixture.__aexit__(None, None, None))

    @contextmanager
    def fetch_in_time_too() -> Iterator[None]:
        with ops.deadline(5):
            yield

    one = fetch_in_time_too()
    contextvars.copy_context().run(one.__enter__)
    one.__exit__(None, None, None)
    assert DEADLINE.get() is None


KEPT = Cache(ttl=600, beta=0.0)
POLICIES = pytest.mark.parametrize(
    "policy",
    [{}, {"cache": KEPT}, {"coalesce": True}, {"cache": KEPT, "coalesce": False}],
)


@POLICIES
def test_it_bounds_the_waits_of_a_function_that_stays_in_its_callers_thread(
    ops: ToolOps, clock: FakeClock, policy: dict[str, Any]
) -> None:
    began = clock.monotonic()
    limit = RateLimit("1/h")
    limited = ops.tool(rate_limit=limit, name="limited", **policy)(lambda n: n)
    failing = ops.tool(retry=Retry(attempts=9, wait=10, jitter=None), name="failing", **policy)(
        lambda n: n / 0
    )
    assert limited(1) == 1
    for tool in (limited, failing):
        with ops.deadline(5, in_thread=False), pytest.raises(DeadlineExceeded):
            tool(2)
    assert clock.monotonic() == began + 10
    assert ops.limiter(limit, "limited").reserve().delay == pytest.approx(3590)
    assert not ops._shared.flights


@POLICIES
def test_a_result_that_comes_late_is_returned_and_kept(
    ops: ToolOps, clock: FakeClock, policy: dict[str, Any]
) -> None:
    made = []

    @ops.tool(**policy)
    def slow(n: int) -> int:
        made.append(n)
        clock.advance(30)
        return n

    with ops.deadline(5, in_thread=False):
        assert slow(1) == 1
    if "cache" in policy:
        with ops.deadline(5, in_thread=False):
            assert slow(1) == 1
        assert made == [1]


def test_a_leader_without_time_leaves_the_flight_to_its_followers() -> None:
    ops = ToolOps("deadlines")
    made = []

    @ops.tool(cache=Cache(ttl=60), bulkhead=Bulkhead(1, queue=9), name="t")
    def tool(n: int) -> int:
        made.append(n)
        return n

    gate = ops._planner.gates.find("t")
    assert gate is not None
    gate.acquire()

    def ask_briefly() -> int:
        with ops.deadline(0.1, in_thread=False):
            return tool(1)

    leader = start(ask_briefly)
    wait_for(lambda: gate.queue_length == 1, "a leader that waits", LONG)
    followers = [start(tool, 1) for _ in range(3)]
    assert isinstance(leader.exception(LONG), DeadlineExceeded)
    gate.release()
    assert [follower.result(LONG) for follower in followers] == [1, 1, 1]
    assert made == [1]


@POLICIES
def test_an_abandoned_call_ends_without_a_complaint(
    policy: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    ops = ToolOps("deadlines")
    loop = asyncio.new_event_loop()
    complaints: list[dict[str, object]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))

    @ops.tool(**policy)
    async def stuck() -> None:
        await asyncio.Event().wait()

    async def ask() -> None:
        with ops.deadline(50, in_thread=False):
            await stuck()

    context = contextvars.copy_context()
    coroutine = ask()
    task = context.run(loop.create_task, coroutine)
    loop.run_until_complete(asyncio.sleep(0))
    task.cancel()
    loop.run_until_complete(asyncio.wait({task}))
    loop.close()
    del task, coroutine
    gc.collect()
    assert complaints == []
    assert caplog.records == []
