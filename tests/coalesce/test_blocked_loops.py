"""An event loop leads a flight, and is blocked by whoever waits for one of its followers.

Agents do this: a blocking call on a running loop hands its tools to threads, and waits for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest
from callers import LONG, Latch, Loop, Work, start
from servers import wait_for

from toolops_plugins import Cache, DeadlineExceeded, ToolOps
from toolops_plugins.coalesce import loop_liveness


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Every look at a loop that is waited for, and whether it was found lost; they follow fast."""
    seen: list[bool] = []

    class Seen(loop_liveness.LoopLiveness):
        def is_dead(self, *args: Any, **kwargs: Any) -> bool:
            seen.append(super().is_dead(*args, **kwargs))
            return seen[-1]

    monkeypatch.setattr(loop_liveness, "LoopLiveness", Seen)
    monkeypatch.setattr(loop_liveness, "PATIENCE", 0.005)
    # However busy the machine is, a loop turns within so many looks.
    monkeypatch.setattr(loop_liveness, "SILENCE", 60)
    return seen


def block(loop: Loop, callers: Callable[[], list[Future[Any]]]) -> Future[list[Any]]:
    """Have the loop's own thread start callers in other threads and wait for them."""
    answers: Future[list[Any]] = Future()

    def block_here() -> None:
        try:
            answers.set_result([caller.result(LONG) for caller in callers()])
        except BaseException as error:
            answers.set_exception(error)

    loop.loop.call_soon_threadsafe(block_here)
    return answers


@pytest.mark.parametrize("way", ["thread", "thread with a deadline", "loop"])
def test_callers_that_block_the_leading_loop_share_a_run_of_their_own(
    ops: ToolOps, loops: Callable[[], Loop], looks: list[bool], way: str
) -> None:
    work = Work(ops, cache=Cache(ttl=60))
    leading = loops()
    leader = leading.start(work.aio(1))
    work.started.wait()

    def ask() -> Any:
        if way == "loop":
            return asyncio.run(work.aio(1))
        if way == "thread":
            return work.sync(1)
        with ops.deadline(LONG):
            return work.sync(1)

    blocked = block(leading, lambda: [start(ask) for _ in range(3)])
    wait_for(lambda: len(work.runs) == 2, "a second run", LONG)
    work.await_aboard(3)  # the leader is on the old flight
    work.release.open()
    assert blocked.result(LONG) == [[1]] * 3
    assert leader.result(LONG) == [1]
    assert work.runs == ["loop", "loop" if way == "loop" else "thread"]
    assert work.sync(1) == [1]
    report = ops.stats()["work"]
    assert (report.misses, report.coalesced, report.hits, report.errors) == (2, 2, 1, 0)


def test_a_follower_of_a_follower_is_served_too(
    ops: ToolOps, loops: Callable[[], Loop], looks: list[bool]
) -> None:
    """The loop is blocked by a caller of another flight, whose leader follows this one."""
    work = Work(ops)

    @ops.tool(name="outer", coalesce=True)
    async def outer() -> Any:
        return await work.aio(1)

    @ops.tool(name="outer", coalesce=True)
    def outer_sync() -> Any:
        return work.sync(1)

    leading = loops()
    leader = leading.start(work.aio(1))
    work.started.wait()
    between = loops().start(outer())
    work.await_aboard(2)
    blocked = block(leading, lambda: [start(outer_sync)])
    wait_for(lambda: len(work.runs) == 2, "a second run", LONG)
    work.release.open()
    assert [between.result(LONG), leader.result(LONG)] == [[1], [1]]
    assert blocked.result(LONG) == [[1]]


def test_a_deadline_ends_the_wait_for_a_loop_that_does_not_turn(
    ops: ToolOps, loops: Callable[[], Loop], looks: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_liveness, "SILENCE", 1_000_000)
    work = Work(ops)
    leading = loops()
    leader = leading.start(work.aio(1))
    work.started.wait()

    def ask_briefly() -> Any:
        with ops.deadline(0.05):
            return work.sync(1)

    blocked = block(leading, lambda: [start(ask_briefly)])
    assert isinstance(blocked.exception(LONG), DeadlineExceeded)
    assert work.aboard() == 1
    work.release.open()
    assert leader.result(LONG) == [1]
    assert work.runs == ["loop"]


def test_the_last_to_leave_a_blocked_loop_cancels_what_it_was_running(
    work: Work, loops: Callable[[], Loop], looks: list[bool]
) -> None:
    leading = loops()
    leader = leading.start(work.aio(1))
    work.started.wait()
    follower = start(work.sync, 1)
    work.await_aboard(2)
    leader.cancel()
    work.await_aboard(1)
    blocked = block(leading, lambda: [follower])
    wait_for(lambda: len(work.runs) == 2, "a second run", LONG)
    work.release.open()
    assert blocked.result(LONG) == [[1]]
    wait_for(lambda: len(work.finals) == 2, "the end of both", LONG)


# Work that takes its time


@pytest.mark.parametrize("way", ["thread", "loop"])
def test_slow_work_on_a_loop_that_turns_runs_once(
    work: Work,
    loops: Callable[[], Loop],
    looks: list[bool],
    way: str,
) -> None:
    leader = loops().start(work.aio(1))
    work.started.wait()
    follower = start(work.sync, 1) if way == "thread" else loops().start(work.aio(1))
    patience = 2 * (loop_liveness.GRACE + loop_liveness.SILENCE)
    wait_for(lambda: len(looks) > patience, "many looks", LONG)
    assert not any(looks)
    work.release.open()
    assert [leader.result(LONG), follower.result(LONG)] == [[1], [1]]
    assert work.runs == ["loop"]


@pytest.mark.allow_blocking("that a body blocks its loop is the subject")
def test_work_that_blocks_its_own_loop_runs_once(
    ops: ToolOps, loops: Callable[[], Loop], looks: list[bool]
) -> None:
    """A body that computes, or that calls what blocks, gets on all the same."""
    started, release = Latch(), Latch()
    runs = []

    @ops.tool(name="heavy", coalesce=True)
    async def heavy() -> str:
        runs.append("loop")
        started.open()
        release.wait()
        return "heavy"

    @ops.tool(name="heavy", coalesce=True)
    def sync() -> str:
        runs.append("thread")
        return "heavy"

    leader = loops().start(heavy())
    started.wait()
    follower = start(sync)
    patience = 2 * (loop_liveness.GRACE + loop_liveness.SILENCE)
    wait_for(lambda: len(looks) > patience, "many looks", LONG)
    assert not any(looks)
    release.open()
    assert [leader.result(LONG), follower.result(LONG)] == ["heavy", "heavy"]
    assert runs == ["loop"]


@pytest.mark.allow_blocking("that a body blocks its loop is the subject")
def test_work_that_blocks_its_own_loop_by_a_thread_that_asks_for_it(
    ops: ToolOps, loops: Callable[[], Loop]
) -> None:
    """Such a thread has the context of the work, and is told from that, without a wait."""

    @ops.tool(name="again", coalesce=True)
    def sync() -> str:
        return "apart"

    @ops.tool(name="again", coalesce=True)
    async def again() -> str:
        with ThreadPoolExecutor(1) as executor:
            return executor.submit(copy_context().run, sync).result(LONG)

    assert loops().start(again()).result(LONG) == "apart"


# The pulse


def count_looks(watch: loop_liveness.LoopLiveness, task: Any = None) -> int:
    for number in range(1, 1_000):
        if watch.is_dead(task):
            return number
    return 0


async def test_a_loop_that_does_not_turn_is_dead_after_both_periods() -> None:
    watch = loop_liveness.LoopLiveness(asyncio.get_running_loop())
    assert count_looks(watch) == loop_liveness.GRACE + loop_liveness.SILENCE


async def test_a_loop_that_turns_is_never_dead() -> None:
    watch = loop_liveness.LoopLiveness(asyncio.get_running_loop())
    for _ in range(10 * (loop_liveness.GRACE + loop_liveness.SILENCE)):
        assert not watch.is_dead(None)
        await asyncio.sleep(0)
    assert count_looks(watch) >= loop_liveness.SILENCE  # until it turns no more


async def test_a_loop_is_asked_once_a_period_and_not_within_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    asked = []
    ask = loop.call_soon_threadsafe
    monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *args: asked.append(ask(*args)))
    watch = loop_liveness.LoopLiveness(loop)
    for _ in range(loop_liveness.GRACE - 1):
        assert not watch.is_dead(None)
    assert not asked
    for _ in range(loop_liveness.SILENCE):
        assert not watch.is_dead(None)
    assert len(asked) == 1
    for _ in range(10 * loop_liveness.GRACE):
        await asyncio.sleep(0)
        assert not watch.is_dead(None)
    assert len(asked) <= 11


async def test_a_loop_that_runs_the_work_itself_is_alive_until_it_runs_something_else() -> None:
    watch = loop_liveness.LoopLiveness(asyncio.get_running_loop())
    assert count_looks(watch, asyncio.current_task()) == 0
    assert count_looks(watch) == loop_liveness.SILENCE


def test_a_loop_that_stands_still_is_dead_at_the_second_look() -> None:
    loop = asyncio.new_event_loop()
    assert count_looks(loop_liveness.LoopLiveness(loop)) == 2
    loop.close()
    assert count_looks(loop_liveness.LoopLiveness(loop)) == 2
