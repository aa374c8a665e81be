"""Flights on a loop, whose work begins in the turn of its leader."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from contextlib import suppress
from typing import Any

import pytest
from callers import LONG, Latch, start
from servers import wait_for

from toolops_plugins import Timeout, ToolOps
from toolops_plugins.coalesce.flights import Flights


async def test_work_that_waits_for_nothing_takes_no_turn_of_the_loop(ops: ToolOps) -> None:
    turns: list[int] = []

    @ops.tool(coalesce=True)
    async def work() -> int:
        return 1

    asyncio.get_running_loop().call_soon(turns.append, 1)
    assert await work() == 1
    assert not turns


async def test_every_step_of_the_work_belongs_to_one_task_of_its_own(ops: ToolOps) -> None:
    tasks: list[asyncio.Task[Any] | None] = []

    @ops.tool(coalesce=True)
    async def work() -> None:
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0)
        tasks.append(asyncio.current_task())

    await work()
    assert tasks[0] is tasks[1]
    assert tasks[0] is not asyncio.current_task()


async def test_a_limit_in_the_first_step_strikes_the_work_and_not_its_leader(ops: ToolOps) -> None:
    @ops.tool(coalesce=True)
    async def work() -> str:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            return "over"
        return "not reached"

    leader = asyncio.create_task(work())
    await asyncio.sleep(0)
    followers = [asyncio.create_task(work()) for _ in range(3)]
    await asyncio.sleep(0)
    leader.cancel()
    assert await asyncio.gather(*followers) == ["over"] * 3
    assert leader.cancelled()


async def test_an_error_in_the_first_step_has_the_context_of_its_leader_alone(ops: ToolOps) -> None:
    @ops.tool(coalesce=True)
    async def fail() -> None:
        raise LookupError("work")

    async def ask_while_handling() -> None:
        try:
            {}["before"]
        except KeyError:
            await fail()

    with pytest.raises(LookupError) as caught:
        await ask_while_handling()
    assert isinstance(caught.value.__context__, KeyError)
    with pytest.raises(LookupError) as caught:
        await fail()
    assert caught.value.__context__ is None


async def test_calls_inside_of_calls_do_not_use_up_the_stack(ops: ToolOps) -> None:
    @ops.tool(coalesce=True)
    async def descend(depth: int) -> int:
        return 1 + await descend(depth - 1) if depth else 0

    assert await descend(200) == 200


@pytest.mark.parametrize(
    "options",
    [
        {"coalesce": True},
        {"timeout": Timeout(attempt=LONG)},
        {"coalesce": True, "timeout": Timeout(attempt=LONG)},
    ],
    ids=["flights", "attempts", "both"],
)
async def test_calls_inside_of_calls_leave_the_stack_to_the_tools(
    ops: ToolOps, options: dict[str, Any]
) -> None:
    # As an agent that calls an agent: each has many frames of its own.
    async def think(frames: int, depth: int) -> int:
        return await think(frames - 1, depth) if frames else await descend(depth)

    @ops.tool(**options)
    async def descend(depth: int) -> int:
        return 1 + await think(60, depth - 1) if depth else 0

    assert await descend(20) == 20


def test_all_callers_of_another_loop_are_woken_by_one_callback(ops: ToolOps) -> None:
    release = Latch()
    wakes: list[Any] = []

    class CountingLoop(asyncio.SelectorEventLoop):
        def call_soon_threadsafe(self, callback: Any, *args: Any, **options: Any) -> Any:
            wakes.append(callback)
            return super().call_soon_threadsafe(callback, *args, **options)

    @ops.tool(name="work", coalesce=True)
    def work() -> int:
        release.wait()
        return 1

    @ops.tool(name="work", coalesce=True)
    async def awork() -> int:
        raise AssertionError("the thread leads")

    key = bytes.fromhex(work.key())
    flights = ops._shared.flights
    leader = start(work)
    wait_for(lambda: flights.count_callers(key) == 1, "the leader aboard", LONG)
    loop = CountingLoop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    followers = [asyncio.run_coroutine_threadsafe(awork(), loop) for _ in range(50)]
    wait_for(lambda: flights.count_callers(key) == 51, "all aboard", LONG)
    wakes.clear()
    release.open()
    assert [follower.result(LONG) for follower in followers] == [1] * 50
    assert leader.result(LONG) == 1
    assert len(wakes) == 1
    loop.call_soon_threadsafe(loop.stop)
    thread.join(LONG)
    loop.close()


class WorkError(Exception):
    """An exception that can be weakly referenced."""


@pytest.mark.parametrize("turns", [0, 1])
async def test_an_error_that_its_leader_has_handled_is_freed_at_once(turns: int) -> None:
    flights = Flights()
    failures: list[weakref.ref[WorkError]] = []

    async def fail() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        failure = WorkError()
        failures.append(weakref.ref(failure))
        try:
            raise failure
        finally:
            del failure

    gc.collect()
    gc.disable()
    try:
        with suppress(WorkError):
            await flights.arun(b"key", fail)
        await asyncio.sleep(0)
        assert failures[0]() is None
    finally:
        gc.enable()


async def test_a_child_holds_its_parents_tasks_and_forgets_their_flights() -> None:
    flights = Flights()
    release = asyncio.Event()
    running = asyncio.create_task(flights.arun(b"key", release.wait))
    await asyncio.sleep(0)
    assert len(flights) == 1
    flights.reset_after_fork()  # as in a child, where no loop runs the task
    assert len(flights) == 0
    assert await flights.arun(b"key", _give_seven) == (7, True)
    release.set()
    assert await running == (True, True)


async def _give_seven() -> int:
    return 7
