"""Tasks that are waited for and detached."""

from __future__ import annotations

import asyncio

import pytest

from toolops_plugins.concurrency import tasks


async def test_a_task_that_has_ended_is_waited_for_without_a_turn_of_the_loop() -> None:
    ended = asyncio.get_running_loop().create_future()
    ended.set_result(1)
    turns: list[int] = []
    asyncio.get_running_loop().call_soon(turns.append, 1)
    await tasks.wait_for_end(ended, 20)
    assert not turns


@pytest.mark.parametrize("seconds", [None, 20])
async def test_a_task_is_waited_for_until_it_ends(seconds: float | None) -> None:
    ended = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(ended.set_result, 1)
    await tasks.wait_for_end(ended, seconds)
    assert ended.done()


def test_a_task_of_a_closed_loop_is_no_longer_held(caplog: pytest.LogCaptureFixture) -> None:
    async def begin() -> asyncio.Task[bool]:
        task = asyncio.create_task(asyncio.Event().wait())
        await asyncio.sleep(0)
        tasks.detach(task)
        return task

    loops = [asyncio.new_event_loop() for _ in range(2)]
    first = loops[0].run_until_complete(begin())
    assert first in tasks._detached
    loops[0].close()
    second = loops[1].run_until_complete(begin())
    assert first not in tasks._detached
    assert second in tasks._detached
    second.cancel()
    loops[1].run_until_complete(asyncio.wait((second,)))
    loops[1].close()
    assert second not in tasks._detached
    del first, second
    assert not caplog.records  # asyncio says nothing of a task that can never end
