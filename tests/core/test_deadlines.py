"""The deadline of a caller: a block that may be left in another context than it was entered in."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from toolops_plugins import Cache, DeadlineExceeded, ToolOps
from toolops_plugins.flow import DEADLINE, current_deadline
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


def test_one_that_was_left_elsewhere_does_not_shorten_the_next(
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
    async def bounded() -> AsyncIterator[None]:
        with ops.deadline(5):
            yield

    fixture = bounded()
    await asyncio.create_task(fixture.__aenter__())
    await asyncio.create_task(fixture.__aexit__(None, None, None))

    @contextmanager
    def bounded_too() -> Iterator[None]:
        with ops.deadline(5):
            yield

    one = bounded_too()
    contextvars.copy_context().run(one.__enter__)
    one.__exit__(None, None, None)
    assert DEADLINE.get() is None


@pytest.mark.parametrize("policy", [{}, {"cache": Cache(ttl=60)}, {"coalesce": True}])
def test_a_call_that_is_left_behind_ends_without_a_word(
    policy: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    ops = ToolOps("deadlines")
    loop = asyncio.new_event_loop()
    complaints: list[dict[str, object]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))

    @ops.tool(**policy)  # type: ignore[call-overload]  # the keywords of a policy, as a dict
    async def stuck() -> None:
        await asyncio.Event().wait()

    async def ask() -> None:
        with ops.deadline(50):
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
