"""N equal calls at once, from any mix of threads and event loops, are one run.

Every test waits for events and barriers. Threads that are to wait for one another are real, as are
the loops; where a caller's own patience is the subject, its deadline is a few milliseconds.
"""

from __future__ import annotations

import asyncio
import gc
import traceback
import weakref
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any

import pytest
from callers import LONG, Latch, Loop, Work, start
from servers import wait_for

from toolops_plugins import Cache, DeadlineExceeded, Timeout, ToolOps
from toolops_plugins.testing import FakeClock

# One run


@pytest.mark.parametrize("leader", ["thread", "loop"])
def test_equal_calls_from_any_mix_of_threads_and_loops_run_once(
    work: Work, loops: Callable[[], Loop], leader: str
) -> None:
    first = loops()
    calls = [start(work.sync, 1) if leader == "thread" else first.start(work.aio(1))]
    work.started.wait()
    calls += [start(work.sync, 1) for _ in range(5)]
    for loop in (first, loops(), loops()):
        calls += [loop.start(work.aio(1)) for _ in range(5)]
    work.await_aboard(21)
    work.release.open()
    results = [call.result(LONG) for call in calls]
    assert results == [[1]] * 21
    assert work.runs == [leader]
    # What one caller does to its result is nobody else's business.
    assert len({id(result) for result in results}) == 21


def test_calls_with_other_arguments_run_separately(work: Work) -> None:
    calls = [start(work.sync, n) for n in (1, 2, 1, 2)]
    work.await_aboard(2, 1)
    work.await_aboard(2, 2)
    work.release.open()
    assert [call.result(LONG) for call in calls] == [[1], [2], [1], [2]]
    assert len(work.runs) == 2


def test_without_coalescing_every_call_runs(ops: ToolOps) -> None:
    work = Work(ops, cache=Cache(ttl=60), coalesce=False)
    calls = [start(work.sync, 1) for _ in range(3)]
    wait_for(lambda: len(work.runs) == 3, "three runs", LONG)
    work.release.open()
    assert [call.result(LONG) for call in calls] == [[1]] * 3


async def test_ten_thousand_waiters_cost_one_call(work: Work) -> None:
    tasks = [asyncio.create_task(work.aio(1)) for _ in range(10_000)]
    await work.reach_aboard(10_000)
    work.release.open()
    assert await asyncio.gather(*tasks) == [[1]] * 10_000
    assert work.runs == ["loop"]


def test_results_name_the_leader_and_the_followers(ops: ToolOps) -> None:
    work = Work(ops)
    calls = [start(work.sync, 1) for _ in range(4)]
    work.await_aboard(4)
    work.release.open()
    for call in calls:
        call.result(LONG)
    report = ops.stats()["work"]
    assert (report.misses, report.coalesced, report.attempts) == (1, 3, 1)


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}])
def test_empty_results_are_shared_too(work: Work, value: Any) -> None:
    work.outcome = lambda n: value
    calls = [start(work.sync, 1) for _ in range(3)]
    work.await_aboard(3)
    work.release.open()
    assert [call.result(LONG) for call in calls] == [value] * 3
    assert len(work.runs) == 1


# Errors


def test_the_leaders_error_reaches_all(work: Work, loops: Callable[[], Loop]) -> None:
    error = LookupError("no such thing")

    def fail(n: int) -> None:
        raise error

    work.outcome = fail
    loop = loops()
    calls = [start(work.sync, 1) for _ in range(5)]
    calls += [loop.start(work.aio(1)) for _ in range(5)]
    work.await_aboard(10)
    work.release.open()
    errors = [call.exception(LONG) for call in calls]
    assert [(type(each), each.args) for each in errors] == [(LookupError, error.args)] * 10
    assert sum(each is error for each in errors) == 1
    assert len(work.runs) == 1


async def test_a_thousand_followers_do_not_lengthen_the_traceback(work: Work) -> None:
    def fail(n: int) -> None:
        raise LookupError("no such thing")

    work.outcome = fail
    lengths = []

    async def ask() -> None:
        try:
            await work.aio(1)
        except LookupError as error:
            lengths.append(len(traceback.extract_tb(error.__traceback__)))

    tasks = [asyncio.create_task(ask()) for _ in range(1_001)]
    await work.reach_aboard(1_001)
    work.release.open()
    await asyncio.gather(*tasks)
    assert len(lengths) == 1_001
    assert len(set(lengths)) == 1


def test_errors_are_not_remembered(work: Work) -> None:
    def fail(n: int) -> None:
        raise LookupError

    work.release.open()
    work.outcome = fail
    with pytest.raises(LookupError):
        work.sync(1)
    work.outcome = lambda n: n
    assert work.sync(1) == 1


@pytest.mark.parametrize("patience", [None, LONG])
def test_stop_iteration_reaches_leader_and_followers(
    ops: ToolOps, work: Work, patience: float | None
) -> None:
    def fail(n: int) -> None:
        raise StopIteration("enough")

    def ask() -> Any:
        if patience is None:
            return work.sync(1)
        with ops.deadline(patience):
            return work.sync(1)

    work.outcome = fail
    calls = [start(ask) for _ in range(3)]
    work.await_aboard(3)
    work.release.open()
    assert [type(call.exception(LONG)) for call in calls] == [StopIteration] * 3


# Cancellation


@pytest.mark.parametrize("leaving", [[0], [3], [0, 1], [0, 4], [1, 2, 3], [0, 1, 2, 3]])
async def test_callers_that_are_cancelled_leave_the_others_unharmed(
    work: Work, leaving: list[int]
) -> None:
    tasks = [asyncio.create_task(work.aio(1)) for _ in range(5)]
    await work.started.opened()
    await work.reach_aboard(5)
    for number in leaving:
        tasks[number].cancel()
    await asyncio.wait([tasks[number] for number in leaving])
    assert work.aboard() == 5 - len(leaving)
    assert not work.finals
    work.release.open()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for number, result in enumerate(results):
        if number in leaving:
            assert isinstance(result, asyncio.CancelledError)
        else:
            assert result == [1]
    assert work.runs == ["loop"]


async def test_a_cancelled_leader_does_not_take_a_thread_with_it(work: Work) -> None:
    leader = asyncio.create_task(work.aio(1))
    await work.started.opened()
    follower = start(work.sync, 1)
    await work.reach_aboard(2)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    work.release.open()
    assert await asyncio.wrap_future(follower) == [1]
    assert work.runs == ["loop"]


async def test_the_last_caller_leaves_after_the_work_has_cleaned_up(ops: ToolOps) -> None:
    steps: list[str] = []
    started = asyncio.Event()

    @ops.tool(coalesce=True)
    async def fetch() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            steps.append("cleaning")
            await asyncio.sleep(0)  # what closes a connection waits as well
            await asyncio.sleep(0)
            steps.append("clean")

    async def ask() -> None:
        try:
            await fetch()
        except asyncio.CancelledError:
            steps.append("cancelled")
            raise

    tasks = [asyncio.create_task(ask()) for _ in range(2)]
    await started.wait()
    tasks[0].cancel()
    await asyncio.wait(tasks[:1])
    assert steps == ["cancelled"]
    tasks[1].cancel()
    await asyncio.wait(tasks)
    assert steps == ["cancelled", "cleaning", "clean", "cancelled"]


def test_the_last_caller_may_be_on_another_loop_or_in_a_thread(
    ops: ToolOps, work: Work, loops: Callable[[], Loop]
) -> None:
    one, two = loops(), loops()
    leader = one.start(work.aio(1))
    work.started.wait()
    follower = two.start(work.aio(1))

    def ask_briefly() -> Any:
        with ops.deadline(0.05):
            return work.sync(1)

    thread = start(ask_briefly)
    leader.cancel()
    follower.cancel()
    assert isinstance(thread.exception(LONG), DeadlineExceeded)
    work.ended.wait()
    assert work.finals == ["loop"]
    assert not work.release.is_open()


async def test_cancelled_before_the_body_began(work: Work) -> None:
    task = asyncio.create_task(work.aio(1))
    await work.reach_aboard(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.runs in ([], ["loop"])
    work.release.open()
    assert await work.aio(1) == [1]


@pytest.mark.parametrize("turns", range(12))
async def test_cancelled_in_the_very_moment_of_its_end(work: Work, turns: int) -> None:
    tasks = [asyncio.create_task(work.aio(1)) for _ in range(3)]
    await work.started.opened()
    await work.reach_aboard(3)
    work.release.open()
    for _ in range(turns):
        await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[1].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[2] == [1]
    assert all(r == [1] or isinstance(r, asyncio.CancelledError) for r in results[:2])
    assert work.runs == ["loop"]


async def test_a_body_that_cancels_itself_cancels_its_callers_one_by_one(ops: ToolOps) -> None:
    runs = []

    @ops.tool(coalesce=True)
    async def fetch() -> None:
        runs.append(1)
        await asyncio.sleep(0)
        raise asyncio.CancelledError

    tasks = [asyncio.create_task(fetch()) for _ in range(5)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert len(runs) <= 5


async def test_a_body_that_refuses_to_be_cancelled_holds_its_last_caller_only(ops: ToolOps) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    @ops.tool(coalesce=True)
    async def stubborn() -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await release.wait()
        return "after all"

    task = asyncio.create_task(stubborn())
    await started.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    late = asyncio.create_task(stubborn())  # a new caller starts anew, and does not wait for it
    await asyncio.sleep(0)
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    late.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late


# Deadlines


def test_an_impatient_thread_leaves_the_others_unharmed(ops: ToolOps, work: Work) -> None:
    def ask_briefly() -> Any:
        with ops.deadline(0.2):
            return work.sync(1)

    leader = start(ask_briefly)
    work.started.wait()
    followers = [start(work.sync, 1), start(ask_briefly), start(work.sync, 1)]
    assert isinstance(leader.exception(LONG), DeadlineExceeded)
    assert isinstance(followers.pop(1).exception(LONG), DeadlineExceeded)
    if work.aboard() == 2:  # else the leader was gone before anybody had followed
        assert work.runs == ["thread"]
    work.release.open()
    assert [follower.result(LONG) for follower in followers] == [[1], [1]]


def test_an_impatient_follower_leaves_the_flight_of_a_patient_leader(
    ops: ToolOps, work: Work
) -> None:
    def ask_briefly() -> Any:
        with ops.deadline(0.2):
            return work.sync(1)

    leader = start(work.sync, 1)
    work.started.wait()
    follower = start(work.sync, 1)
    work.await_aboard(2)
    assert isinstance(start(ask_briefly).exception(LONG), DeadlineExceeded)
    assert work.aboard() == 2
    work.release.open()
    assert [leader.result(LONG), follower.result(LONG)] == [[1], [1]]
    assert work.runs == ["thread"]


async def test_an_impatient_task_leaves_the_others_unharmed(ops: ToolOps, work: Work) -> None:
    async def ask_briefly() -> Any:
        with ops.deadline(0.2):
            return await work.aio(1)

    impatient = [asyncio.create_task(ask_briefly())]
    await work.started.opened()
    patient = [asyncio.create_task(work.aio(1)) for _ in range(2)]
    impatient.append(asyncio.create_task(ask_briefly()))
    results = await asyncio.gather(*impatient, return_exceptions=True)
    assert [type(result) for result in results] == [DeadlineExceeded] * 2
    work.release.open()
    assert await asyncio.gather(*patient) == [[1], [1]]
    assert work.runs == ["loop"]


async def test_when_the_last_deadline_passes_the_work_is_cancelled(
    ops: ToolOps, work: Work
) -> None:
    with pytest.raises(DeadlineExceeded), ops.deadline(0.2):
        await work.aio(1)
    assert work.finals == ["loop"]


def test_a_deadline_that_has_passed_starts_nothing(work: Work) -> None:
    clock = FakeClock()
    ops = ToolOps(clock=clock)
    work = Work(ops)
    with ops.deadline(5):
        clock.advance(6)
        with pytest.raises(DeadlineExceeded):
            work.sync(1)
    assert not work.runs


async def test_the_leaders_deadline_is_not_that_of_its_followers() -> None:
    """The body runs in the leader's context; what it calls must not give up for the leader."""
    clock = FakeClock()
    ops = ToolOps(clock=clock)
    release = asyncio.Event()

    @ops.tool(cache=Cache(ttl=60))
    async def inner() -> str:
        return "inner"

    @ops.tool(cache=Cache(ttl=60))
    async def outer() -> str:
        await release.wait()
        return await inner()

    async def impatient() -> str:
        with ops.deadline(5):
            return await outer()

    leader = asyncio.create_task(impatient())
    await asyncio.sleep(0)
    follower = asyncio.create_task(outer())
    await asyncio.sleep(0)
    clock.advance(6)
    release.set()
    await asyncio.wait({leader, follower})
    assert follower.result() == "inner"


def test_the_leading_threads_deadline_is_not_that_of_its_followers() -> None:
    clock = FakeClock()
    ops = ToolOps(clock=clock)
    inner = ops.tool(coalesce=True)(len)
    started, release = Latch(), Latch()

    @ops.tool(coalesce=True)
    def outer() -> int:
        started.open()
        release.wait()
        return inner("four")

    def impatient() -> int:
        with ops.deadline(5):
            return outer()

    leader = start(impatient)
    started.wait()
    follower = start(outer)
    key = bytes.fromhex(outer.key())
    wait_for(lambda: ops._shared.flights.count_callers(key) == 2, "two aboard", LONG)
    clock.advance(6)
    release.open()
    assert follower.result(LONG) == 4
    leader.exception(LONG)


async def test_a_refresh_in_the_background_has_no_callers_deadline() -> None:
    clock = FakeClock()
    ops = ToolOps(clock=clock)
    refreshing, release = asyncio.Event(), asyncio.Event()
    runs = []

    @ops.tool(coalesce=True)
    async def inner() -> int:
        return len(runs)

    @ops.tool(cache=Cache(ttl=60, jitter=0, beta=0, stale_ttl=60))
    async def outer() -> int:
        runs.append(1)
        if len(runs) > 1:
            refreshing.set()
            await release.wait()
        return await inner()

    assert await outer() == 1
    clock.advance(61)
    with ops.deadline(5):
        assert await outer() == 1  # stale, and refreshed behind its back
    await refreshing.wait()
    clock.advance(6)
    release.set()
    async with asyncio.timeout(LONG):
        while not ops.stats().total.refreshes:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)
    assert await outer() == 2
    assert len(runs) == 2


def test_work_without_callers_is_not_started() -> None:
    ops = ToolOps(max_threads=1)
    busy, release = Latch(), Latch()
    work = Work(ops)

    @ops.tool(timeout=Timeout(attempt=LONG))
    def block() -> None:
        busy.open()
        release.wait()

    blocking = start(block)
    busy.wait()
    with pytest.raises(DeadlineExceeded), ops.deadline(0.2):
        work.sync(1)  # queues for the only thread
    release.open()
    blocking.result(LONG)
    block()  # queues behind it
    assert not work.runs


# Limits


def test_past_the_cap_calls_run_apart() -> None:
    ops = ToolOps(max_flights=2)
    work = Work(ops)
    calls = [start(work.sync, n) for n in (1, 2)]
    wait_for(lambda: len(ops._shared.flights) == 2, "two flights", LONG)
    others = [start(work.sync, 3) for _ in range(3)]
    wait_for(lambda: len(work.runs) == 5, "five runs", LONG)
    assert len(ops._shared.flights) == 2
    followers = [start(work.sync, 1)]  # who finds a flight can still board it
    work.await_aboard(2)
    work.release.open()
    results = [call.result(LONG) for call in calls + others + followers]
    assert results == [[1], [2], [3], [3], [3], [1]]
    assert not ops._shared.flights


def test_a_deadline_holds_past_the_cap_too() -> None:
    ops = ToolOps(max_flights=1)
    work = Work(ops)
    first = start(work.sync, 1)
    work.started.wait()

    def ask_briefly() -> Any:
        with ops.deadline(0.2):
            return work.sync(2)

    second = start(ask_briefly)
    try:
        assert isinstance(second.exception(5), DeadlineExceeded)
    finally:
        work.release.open()
    assert first.result(LONG) == [1]


def test_contexts_that_live_on_do_not_keep_results(ops: ToolOps) -> None:
    """A body may leave something behind, such as a task that keeps a connection alive."""

    class Answer:
        pass

    contexts = []

    @ops.tool(coalesce=True)
    def fetch() -> Answer:
        contexts.append(copy_context())
        return Answer()

    answer = weakref.ref(fetch())
    gc.collect()
    assert answer() is None


# Invalidation


@pytest.mark.parametrize("by", ["key", "tag", "clear"])
def test_invalidated_in_mid_flight(by: str) -> None:
    ops = ToolOps()
    work = Work(ops, cache=Cache(ttl=60, tags=["n:{n}"]))
    work.outcome = lambda n: len(work.runs)
    early = [start(work.sync, 1) for _ in range(2)]
    work.await_aboard(2)
    if by == "key":
        work.sync.invalidate(1)
    elif by == "tag":
        ops.invalidate(tags=["n:1"])
    else:
        ops.clear()
    late = [start(work.sync, 1) for _ in range(2)]
    work.await_aboard(2)
    wait_for(lambda: len(work.runs) == 2, "a run after the invalidation", LONG)
    work.outcome = lambda n: "late"
    work.release.open()
    # All waiting callers get a result, and what is stored is what was computed afterwards.
    assert [call.result(LONG) for call in early + late] == ["late"] * 4
    assert work.sync(1) == "late"
    assert len(work.runs) == 2
    assert not ops._shared.flights


def test_what_was_invalidated_in_mid_flight_is_not_stored() -> None:
    ops = ToolOps()
    work = Work(ops, cache=Cache(ttl=60))
    early = start(work.sync, 1)
    work.started.wait()
    work.sync.invalidate(1)
    work.release.open()
    assert early.result(LONG) == [1]
    assert work.sync(1) == [1]
    assert len(work.runs) == 2


# Context


async def test_context_variables_are_visible_in_the_body(ops: ToolOps) -> None:
    user: ContextVar[str] = ContextVar("user", default="nobody")

    @ops.tool(coalesce=True)
    async def aio() -> str:
        return user.get()

    @ops.tool(coalesce=True)
    def sync() -> str:
        return user.get()

    user.set("ada")
    assert await aio() == "ada"
    assert await asyncio.to_thread(sync) == "ada"
    assert await ops.acall(user.get) == "ada"

    def hurry() -> str:
        with ops.deadline(LONG):
            return sync()

    assert await asyncio.to_thread(hurry) == "ada"
