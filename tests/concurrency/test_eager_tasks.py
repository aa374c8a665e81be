"""Tasks whose first step runs in the turn of the task that starts them."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import textwrap
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar, copy_context
from typing import Any

import anyio
import pytest

from toolops_plugins.concurrency.eager_tasks import EagerTask, start_eagerly

variable: ContextVar[str] = ContextVar("variable", default="outside")


def begin(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return start_eagerly(coroutine, asyncio.get_running_loop(), copy_context())[0]


async def test_the_first_step_runs_at_once_in_the_task_and_its_context() -> None:
    seen: list[Any] = []

    async def work() -> str:
        variable.set("inside")
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())
        return variable.get()

    caller = asyncio.current_task()
    task = begin(work())
    assert seen == [task]
    assert asyncio.current_task() is caller
    assert await task == "inside"
    assert seen == [task, task]
    assert variable.get() == "outside"


async def test_the_result_or_error_of_a_coroutine_without_a_wait_is_that_of_its_task() -> None:
    async def work() -> int:
        return 1

    async def fail() -> None:
        raise LookupError("first step")

    assert await begin(work()) == 1
    with pytest.raises(LookupError, match="first step"):
        await begin(fail())


async def test_a_coroutine_without_a_wait_has_ended_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.get_running_loop()

    async def work(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        if turns == 1:
            raise LookupError("second step")
        return turns

    async def fail() -> None:
        raise LookupError("first step")

    started = EagerTask(*start_eagerly(work(0), loop, copy_context()))
    assert started.done()
    assert started.result() == 0
    failed = EagerTask(*start_eagerly(fail(), loop, copy_context()))
    assert failed.done()
    with pytest.raises(LookupError, match="first step"):
        failed.result()
    slow = EagerTask(*start_eagerly(work(2), loop, copy_context()))
    assert not slow.done()
    assert await slow.task == 2
    assert slow.done()
    assert slow.result() == 2
    late = EagerTask(*start_eagerly(work(1), loop, copy_context()))
    await asyncio.wait([late.task])
    with pytest.raises(LookupError, match="second step"):
        late.result()
    await asyncio.sleep(0)
    del failed, late
    gc.collect()
    assert not caplog.records  # of an exception that was never retrieved


async def test_tasks_of_ended_coroutines_do_not_pile_up() -> None:
    async def work() -> None:
        pass

    async def fail() -> None:
        raise LookupError

    turns: list[int] = []
    asyncio.get_running_loop().call_soon(turns.append, 1)
    for coroutine in (work, fail):
        for _ in range(3_000):
            started = EagerTask(
                *start_eagerly(coroutine(), asyncio.get_running_loop(), copy_context())
            )
            if not started.done():
                await asyncio.wait([started.task])
            with suppress(LookupError):
                started.result()
        assert len(asyncio.all_tasks()) < 1_100
    assert turns or sys.version_info >= (3, 12)  # where they end at once


async def test_a_coroutine_that_has_ended_cannot_be_cancelled() -> None:
    async def work() -> int:
        return 1

    task = begin(work())
    task.cancel()
    assert await task == 1


async def test_a_coroutine_that_cancels_its_own_task_and_waits_no_more_is_cancelled() -> None:
    async def work() -> int:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        return 1

    started = EagerTask(*start_eagerly(work(), asyncio.get_running_loop(), copy_context()))
    assert started.done()
    with pytest.raises(asyncio.CancelledError):
        raise started.outcome()[1] or AssertionError


@pytest.mark.parametrize("turns", range(4))
async def test_a_cancellation_reaches_the_place_where_the_coroutine_waits(turns: int) -> None:
    ends: list[str] = []

    async def inner() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("inner")

    async def work() -> None:
        try:
            # A cancelled task cancels the task that it waits for, and waits for the end of that.
            await asyncio.create_task(inner())
        except asyncio.CancelledError as error:
            ends.append(str(error))
            raise

    task = begin(work())
    await asyncio.sleep(0)  # inner begins
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel("over")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ends == ["inner", "over"]


async def test_a_cancellation_before_the_second_step() -> None:
    ends: list[str] = []

    async def work(wait: Callable[[], Coroutine[Any, Any, Any]]) -> str:
        try:
            await wait()
        except asyncio.CancelledError:
            ends.append(wait.__name__)
            await asyncio.sleep(0)
            return "cleaned up"
        return "not cancelled"

    async def turn() -> None:
        await asyncio.sleep(0)

    async def future() -> None:
        await asyncio.get_running_loop().create_future()

    async def shield() -> None:
        await asyncio.shield(asyncio.sleep(0))

    for wait in (turn, future, shield):
        task = begin(work(wait))
        task.cancel()
        assert await task == "cleaned up"
    assert ends == ["turn", "future", "shield"]


async def test_time_limits_and_scopes_in_the_first_step_belong_to_the_task() -> None:
    async def by_asyncio() -> str:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        return "over"

    async def by_anyio() -> str:
        with anyio.move_on_after(0.001) as scope:
            await anyio.sleep_forever()
        return "over" if scope.cancelled_caught else "not cancelled"

    assert [await task for task in (begin(by_asyncio()), begin(by_anyio()))] == ["over"] * 2


async def test_a_task_and_its_caller_wait_for_the_same_future() -> None:
    future = asyncio.get_running_loop().create_future()

    async def work() -> Any:
        return await future

    tasks = [begin(work()), asyncio.create_task(work()), begin(work())]
    await asyncio.sleep(0)
    future.set_result(1)
    assert [await task for task in tasks] == [1] * 3
    assert await begin(work()) == 1  # it has ended already

    failure = asyncio.get_running_loop().create_future()

    async def fail() -> Any:
        return await failure

    task = begin(fail())
    failure.set_exception(LookupError("later"))
    with pytest.raises(LookupError, match="later"):
        await task


async def test_errors_that_are_handled_on_the_way_go_on_step_by_step() -> None:
    async def work() -> list[str]:
        found = []
        for number in range(3):
            future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(future.set_exception, LookupError(number))
            try:
                await future
            except LookupError as error:
                found.append(str(error))
        return found

    assert await begin(work()) == ["0", "1", "2"]


async def test_tasks_start_tasks_in_their_first_steps() -> None:
    async def work(depth: int) -> list[Any]:
        if depth == 0:
            return []
        inner = begin(work(depth - 1))
        own = asyncio.current_task()
        return [own is not inner, *(await inner)]

    assert await begin(work(5)) == [True] * 5


async def test_a_task_factory_of_the_user_makes_the_task() -> None:
    made: list[Any] = []
    loop = asyncio.get_running_loop()

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **options)

    async def work() -> int:
        await asyncio.sleep(0)
        return 1

    loop.set_task_factory(factory)
    try:
        coroutine = work()
        task = begin(coroutine)
    finally:
        loop.set_task_factory(None)
    assert made == [coroutine]
    assert await task == 1


@pytest.mark.filterwarnings("error")
def test_a_coroutine_whose_loop_is_closed_before_its_second_step_cleans_up() -> None:
    ends: list[str] = []
    loop = asyncio.new_event_loop()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("cleaned up")

    async def main() -> None:
        task = begin(work())
        # Not what is tested: asyncio tells of every task that is collected before its end.
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # as asyncio.shield does
        loop.stop()

    task = loop.create_task(main())
    loop.run_forever()
    loop.close()
    del task
    gc.collect()
    assert ends == ["cleaned up"]


async def test_debug_mode_finds_nothing_to_tell(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 10

    async def work(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns

    try:
        assert [await begin(work(turns)) for turns in range(3)] == [0, 1, 2]
        await asyncio.sleep(0)
    finally:
        loop.set_debug(False)
    assert not caplog.records


@pytest.mark.parametrize("package", ["nest_asyncio", "nest_asyncio2"])
def test_a_first_step_may_run_the_loop_inside_of_itself(package: str) -> None:
    # In a process of its own, since these packages change asyncio for good. LlamaIndex and
    # notebooks use them.
    pytest.importorskip(package)
    program = f"""
    import asyncio
    import {package} as nest
    from toolops_plugins import Timeout, ToolOps

    nest.apply()
    ops = ToolOps()

    @ops.tool(coalesce=True, timeout=Timeout(attempt=60))
    async def inner(turns):
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns

    @ops.tool(coalesce=True, timeout=Timeout(attempt=60))
    async def outer(turns):
        result = asyncio.get_running_loop().run_until_complete(inner(turns))
        await asyncio.sleep(0)
        return result

    async def main():
        return [await outer(0), await outer(2)]

    print(asyncio.run(main()))
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert (done.stdout, done.stderr) == ("[0, 2]\n", "")


def test_a_loop_that_ends_does_not_complain_of_an_error_that_nobody_waits_for() -> None:
    complaints: list[dict[str, Any]] = []

    async def fail() -> None:
        raise LookupError("first step")

    tasks: list[asyncio.Task[Any]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, what: complaints.append(what))
        loop.call_soon(lambda: tasks.append(begin(fail())))  # in the last turn of the loop

    asyncio.run(main())
    if sys.version_info < (3, 12):  # later an eager task has ended by then
        assert tasks[0].cancelled()
    else:
        assert isinstance(tasks[0].exception(), LookupError)
    assert complaints == []
