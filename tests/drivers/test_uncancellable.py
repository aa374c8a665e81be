"""Coroutines that resist their cancellation: no caller waits for them.

Each body waits for a latch that is opened only after its caller has returned: whoever waits for the
body waits for ever.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from callers import LONG, Latch

from toolops_plugins import (
    AttemptTimeout,
    Cache,
    DeadlineExceeded,
    Hedge,
    Policy,
    Retry,
    Timeout,
    ToolOps,
    TotalTimeout,
)
from toolops_plugins.coalesce import async_streams
from toolops_plugins.concurrency import tasks
from toolops_plugins.concurrency.pool import Pool
from toolops_plugins.concurrency.tasks import end_tasks
from toolops_plugins.semantic.judge import Judge
from toolops_plugins.testing import FakeClock

SHORT = 0.02


class Stubborn:
    """A body that answers its cancellation by a long clean-up, and fails in the end."""

    def __init__(self) -> None:
        self.began = 0
        self.cancelled = 0
        self.ended = 0
        self.go = Latch()

    async def body(self, n: int = 0) -> int:
        self.began += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            await self.go.opened()
            self.ended += 1
            raise OSError("the clean-up failed") from None
        return n

    async def stream(self) -> AsyncIterator[int]:
        yield await self.body()

    async def second_item(self) -> AsyncIterator[int]:
        yield 1
        yield await self.body()

    async def reach(self) -> None:
        async with asyncio.timeout(LONG):
            while not self.began:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0)


@pytest.fixture
def ops() -> ToolOps:
    return ToolOps("resistance", retry_budget=None)


async def attempt(ops: ToolOps, body: Stubborn) -> None:
    tool = ops.tool(timeout=Timeout(attempt=SHORT))(body.body)
    with pytest.raises(AttemptTimeout):
        await tool()


async def attempt_of_a_flight(ops: ToolOps, body: Stubborn) -> None:
    tool = ops.tool(timeout=Timeout(attempt=SHORT), cache=Cache(ttl=60))(body.body)
    results = await asyncio.gather(*(tool(1) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [AttemptTimeout] * 3


async def attempts(ops: ToolOps, body: Stubborn) -> None:
    tool = ops.tool(timeout=Timeout(attempt=SHORT), retry=Retry(attempts=3, wait=0.0))(body.body)
    with pytest.raises(AttemptTimeout):
        await tool()
    assert body.began == 3


async def total(ops: ToolOps, body: Stubborn) -> None:
    tool = ops.tool(timeout=Timeout(total=SHORT), retry=Retry())(body.body)
    with pytest.raises(TotalTimeout):
        await tool()


async def deadline(ops: ToolOps, body: Stubborn) -> None:
    tool = ops.tool(body.body)
    with ops.deadline(SHORT), pytest.raises(DeadlineExceeded):
        await tool()


async def deadline_of_a_flight(ops: ToolOps, body: Stubborn) -> None:
    tool = ops.tool(coalesce=True)(body.body)
    with ops.deadline(SHORT), pytest.raises(DeadlineExceeded):
        await tool()


async def deadline_of_call(ops: ToolOps, body: Stubborn) -> None:
    with ops.deadline(SHORT), pytest.raises(DeadlineExceeded):
        await ops.acall(body.body)


async def hedge(ops: ToolOps, body: Stubborn) -> None:
    calls = []

    @ops.tool(hedge=Hedge(min_calls=1))
    async def tool() -> str:
        calls.append(1)
        if len(calls) == 2:
            await body.body()
        return f"call {len(calls)}"

    await tool()
    assert await tool() == "call 3"


async def deadline_past_the_cap_of_flights(ops: ToolOps, body: Stubborn) -> None:
    ops = ToolOps("resistance", max_flights=1)
    other = asyncio.Event()

    @ops.tool(coalesce=True)
    async def first() -> None:
        await other.wait()

    task = asyncio.create_task(first())
    await asyncio.sleep(0)
    tool = ops.tool(coalesce=True)(body.body)
    with ops.deadline(SHORT), pytest.raises(DeadlineExceeded):
        await tool()
    other.set()
    await task


async def judge(ops: ToolOps, body: Stubborn) -> None:
    async def agree(question: str, cached: object, fresh: object) -> bool:
        return bool(await body.body())

    failures: list[str] = []
    judging = Judge(agree, SHORT, Pool(), lambda stage, error: failures.append(stage))
    assert not await judging.aask("why?", 1, 2)
    assert failures == ["judge"]


async def cancel_call(ops: ToolOps, body: Stubborn, **policy: Any) -> None:
    task = asyncio.create_task(ops.tool(**policy)(body.body)())
    await body.reach()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


async def cancel_flight(ops: ToolOps, body: Stubborn) -> None:
    await cancel_call(ops, body, coalesce=True)


async def cancel_attempt(ops: ToolOps, body: Stubborn) -> None:
    await cancel_call(ops, body, timeout=Timeout(attempt=LONG))


async def cancel_race(ops: ToolOps, body: Stubborn) -> None:
    calls = []

    @ops.tool(hedge=Hedge(min_calls=1))
    async def tool() -> None:
        calls.append(1)
        if len(calls) > 1:
            await body.body()

    await tool()
    task = asyncio.create_task(tool())
    await body.reach()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


async def gather_calls(ops: ToolOps, body: Stubborn) -> None:
    async def fail() -> int:
        await body.reach()
        raise LookupError

    with pytest.raises(LookupError):
        await ops.gather(body.body(), fail(), limit=2)


async def cancel_gather(ops: ToolOps, body: Stubborn) -> None:
    task = asyncio.create_task(ops.gather(body.body(), body.body(), body.body(), limit=2))
    await body.reach()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


async def first_item(ops: ToolOps, body: Stubborn) -> None:
    tool = ops.tool(timeout=Timeout(attempt=SHORT))(body.stream)
    with pytest.raises(AttemptTimeout):
        await anext(tool())


async def second_item(ops: ToolOps, body: Stubborn) -> None:
    stream = ops.tool(coalesce=True)(body.second_item)()
    assert await anext(stream) == 1
    reading = asyncio.create_task(anext(stream))
    await body.reach()
    reading.cancel()
    await asyncio.wait({reading})
    assert reading.cancelled()
    await stream.aclose()


async def close_runtime(ops: ToolOps, body: Stubborn) -> None:
    async def resist() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            body.began += 1
            body.cancelled += 1
            await body.go.opened()
            body.ended += 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(async_streams, "_CLEANING", SHORT)
        for policy in ({}, {"coalesce": True}):
            stream = ops.tool(**policy)(resist)()
            assert await anext(stream) == 1
            await stream.aclose()
            del stream  # nothing that is collected now may interrupt the clean-up


async def refresh(ops: ToolOps, body: Stubborn) -> None:
    clock = FakeClock()
    ops = ToolOps("refresh", clock=clock)
    calls = []

    @ops.tool(cache=Cache(ttl=10, stale_ttl=100, jitter=0))
    async def tool() -> int:
        calls.append(1)
        if len(calls) > 1:
            await body.body()
        return 1

    await tool()
    clock.advance(11)
    assert await tool() == 1
    await body.reach()
    await ops._on_loop().drain(SHORT)


WAYS: list[Callable[[ToolOps, Stubborn], Coroutine[Any, Any, None]]] = [
    attempt,
    attempt_of_a_flight,
    attempts,
    total,
    deadline,
    deadline_of_a_flight,
    deadline_of_call,
    deadline_past_the_cap_of_flights,
    judge,
    hedge,
    cancel_flight,
    cancel_attempt,
    cancel_race,
    gather_calls,
    cancel_gather,
    first_item,
    second_item,
    close_runtime,
    refresh,
]


@pytest.mark.parametrize("way", WAYS)
async def test_no_caller_waits_for_a_body_that_resists(
    ops: ToolOps,
    way: Callable[[ToolOps, Stubborn], Coroutine[Any, Any, None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    body = Stubborn()
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
    async with asyncio.timeout(LONG):
        await way(ops, body)
        assert body.ended == 0
        body.go.open()
        while body.ended < body.began:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)
    assert body.cancelled == body.began
    gc.collect()
    assert complaints == []
    assert [record for record in caplog.records if record.name == "asyncio"] == []
    assert not ops._shared.flights


@pytest.mark.parametrize("way", WAYS)
def test_a_loop_that_ends_meanwhile_leaves_no_warning(
    way: Callable[[ToolOps, Stubborn], Coroutine[Any, Any, None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    body = Stubborn()
    ops = ToolOps("resistance", retry_budget=None)

    async def main(ops: ToolOps) -> None:
        await asyncio.wait_for(way(ops, body), LONG)
        asyncio.get_running_loop().call_later(SHORT, body.go.open)

    asyncio.run(main(ops))
    assert body.ended <= body.began
    del ops
    gc.collect()
    assert [record for record in caplog.records if record.name == "asyncio"] == []


async def test_a_body_that_does_not_resist_has_cleaned_up_when_its_caller_returns(
    ops: ToolOps,
) -> None:
    cleaned = []

    async def deep() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    for policy in (
        Policy(timeout=Timeout(attempt=SHORT)),
        Policy(timeout=Timeout(total=SHORT), coalesce=True),
        Policy(timeout=Timeout(attempt=SHORT), cache=Cache(ttl=60), hedge=Hedge()),
    ):
        cleaned.clear()
        with pytest.raises(TimeoutError):
            await ops.acall(deep, policy=policy)
        assert cleaned == [True]
    with ops.deadline(SHORT), pytest.raises(DeadlineExceeded):
        await ops.acall(deep)
    assert cleaned == [True] * 2


@pytest.mark.parametrize("policy", [{}, {"coalesce": True}, {"cache": Cache(ttl=60)}])
async def test_closing_a_stream_waits_for_its_clean_up(
    ops: ToolOps, policy: dict[str, Any]
) -> None:
    cleaned = []

    @ops.tool(**policy)
    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(SHORT)
            cleaned.append(True)

    stream = numbers()
    await anext(stream)
    await stream.aclose()
    assert cleaned == [True]


async def test_a_value_that_comes_too_late_is_not_a_result(ops: ToolOps) -> None:
    @ops.tool(timeout=Timeout(attempt=SHORT))
    async def tool() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "late"
        return "in time"

    with pytest.raises(AttemptTimeout):
        await tool()


def test_a_task_of_a_closed_loop_is_dropped_without_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.new_event_loop()

    async def stubborn() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    async def leave() -> None:
        await end_tasks([asyncio.create_task(stubborn())])

    loop.run_until_complete(leave())
    loop.close()

    async def leave_another() -> None:
        task = asyncio.create_task(asyncio.sleep(0))
        await end_tasks([task])

    asyncio.run(leave_another())
    gc.collect()
    assert [record for record in caplog.records if record.name == "asyncio"] == []


async def test_the_error_of_a_task_that_had_ended_already_is_retrieved_too() -> None:
    """As of the first of two racers, whose caller is cancelled in the moment in which it fails."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))

    async def fail() -> None:
        raise LookupError

    task = asyncio.create_task(fail())
    await asyncio.wait((task,))
    await end_tasks((task,))
    del task
    gc.collect()
    assert not complaints


async def test_a_task_is_detached_while_another_loop_detaches_its_own() -> None:
    release = asyncio.Event()
    begun = [asyncio.create_task(release.wait()) for _ in range(3)]

    class Overtaken:
        def get_loop(self) -> asyncio.AbstractEventLoop:
            tasks._detached.add(begun[2])  # as another thread does in this moment
            return asyncio.get_running_loop()

    first: Any = Overtaken()
    tasks._detached.add(first)
    try:
        for task in begun[:2]:
            tasks.detach(task)
    finally:
        tasks._detached.discard(first)
        tasks.detach(begun[2])
        release.set()
        await asyncio.gather(*begun)
    assert not tasks._detached
