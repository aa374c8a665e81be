"""N equal calls at once, from any mix of threads and event loops: one run, and nobody hangs.

Every test waits for events and barriers. Threads that are to wait for one another are real, as are
the loops; where a caller's own patience is the subject, its deadline is a few milliseconds.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import wait_for

from toolops_plugins import Cache, DeadlineExceeded, Timeout, ToolOps
from toolops_plugins.testing import FakeClock

LONG = 20.0  # seconds after which a caller is taken to hang; only a failing test waits them


class Latch:
    """Opens once; threads and tasks of any loops may wait for it."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    def open(self) -> None:
        with self._lock:
            self._event.set()
            waiting, self._waiting = self._waiting, []
        for loop, future in waiting:
            try:
                loop.call_soon_threadsafe(lambda f=future: f.done() or f.set_result(None))
            except RuntimeError:  # the loop was closed
                continue

    def is_open(self) -> bool:
        return self._event.is_set()

    def wait(self) -> None:
        assert self._event.wait(LONG), "the latch was never opened"

    async def opened(self) -> None:
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._event.is_set():
                return
            future: asyncio.Future[None] = loop.create_future()
            self._waiting.append((loop, future))
        await asyncio.wait_for(future, LONG)


class Work:
    """One key with a synchronous and an asynchronous face, whose body waits to be released."""

    def __init__(self, ops: ToolOps, **policy: Any) -> None:
        self.ops = ops
        self.runs: list[str] = []
        self.started = Latch()
        self.release = Latch()
        self.finals: list[str] = []
        self.ended = Latch()
        self.outcome: Callable[[int], Any] = lambda n: [n]
        policy = policy or {"coalesce": True}

        @ops.tool(name="work", **policy)
        def in_thread(n: int) -> Any:
            self.runs.append("thread")
            self.started.open()
            try:
                self.release.wait()
                return self.outcome(n)
            finally:
                self.finals.append("thread")
                self.ended.open()

        @ops.tool(name="work", **policy)
        async def on_loop(n: int) -> Any:
            self.runs.append("loop")
            self.started.open()
            try:
                await self.release.opened()
                return self.outcome(n)
            finally:
                self.finals.append("loop")
                self.ended.open()

        self.sync, self.aio = in_thread, on_loop

    def aboard(self, n: int = 1) -> int:
        return self.ops._shared.flights.waiting(bytes.fromhex(self.sync.key(n)))

    def await_aboard(self, count: int, n: int = 1) -> None:
        wait_for(lambda: self.aboard(n) == count, f"{count} aboard", LONG)

    async def reach_aboard(self, count: int, n: int = 1) -> None:
        async with asyncio.timeout(LONG):
            while self.aboard(n) != count:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0)


def start(function: Callable[..., Any], *args: Any) -> Future[Any]:
    """Call a function in a thread of its own."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(function(*args))
        except BaseException as error:
            future.set_exception(error)

    # Daemon threads, so that a caller that hangs fails its test and not the whole run.
    threading.Thread(target=run, daemon=True).start()
    return future


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def start(self, coroutine: Any) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(LONG)

    def close(self) -> None:
        if not self.loop.is_closed():
            if self._thread.is_alive():
                self.start(self._cancel_all()).result(LONG)
            self.stop()
            self.loop.close()

    async def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.loop.shutdown_default_executor()


@pytest.fixture
def loops() -> Iterator[Callable[[], Loop]]:
    made: list[Loop] = []

    def make() -> Loop:
        made.append(Loop())
        return made[-1]

    yield make
    for loop in made:
        loop.close()


@pytest.fixture
def ops() -> Iterator[ToolOps]:
    runtime = ToolOps("coalescing")
    yield runtime
    wait_for(lambda: not runtime._shared.flights, "an empty table of flights", LONG)
    assert not runtime._shared.flights._tasks


@pytest.fixture
def work(ops: ToolOps) -> Work:
    return Work(ops)


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


def test_calls_with_other_arguments_fly_apart(work: Work) -> None:
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


def test_outcomes_tell_who_led_and_who_followed(ops: ToolOps) -> None:
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


def test_a_result_that_nothing_can_copy_is_shared_as_it_is(work: Work) -> None:
    lock = threading.Lock()
    work.outcome = lambda n: lock
    calls = [start(work.sync, 1) for _ in range(3)]
    work.await_aboard(3)
    work.release.open()
    assert all(call.result(LONG) is lock for call in calls)


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
    assert all(call.exception(LONG) is error for call in calls)
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


async def test_when_the_last_goes_the_work_has_cleaned_up_before_it_is_gone(ops: ToolOps) -> None:
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
async def test_cancelled_in_the_very_moment_of_landing(work: Work, turns: int) -> None:
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
        with ops.deadline(0.02):
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


async def test_an_impatient_task_leaves_the_others_unharmed(ops: ToolOps, work: Work) -> None:
    async def ask_briefly() -> Any:
        with ops.deadline(0.02):
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
    with pytest.raises(DeadlineExceeded), ops.deadline(0.01):
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
    wait_for(lambda: ops._shared.flights.waiting(key) == 2, "two aboard", LONG)
    clock.advance(6)
    release.open()
    assert follower.result(LONG) == 4
    leader.exception(LONG)


# Lost leaders


@pytest.mark.parametrize("death", [KeyboardInterrupt, SystemExit])
def test_followers_survive_the_death_of_the_leading_thread(
    work: Work, loops: Callable[[], Loop], death: type[BaseException]
) -> None:
    def outcome(n: int) -> Any:
        if len(work.runs) == 1:
            raise death
        return n

    work.outcome = outcome
    leader = start(work.sync, 1)
    work.started.wait()
    loop = loops()
    followers = [start(work.sync, 1) for _ in range(3)]
    followers += [loop.start(work.aio(1)) for _ in range(3)]
    work.await_aboard(7)
    work.release.open()
    assert isinstance(leader.exception(LONG), death)
    assert [follower.result(LONG) for follower in followers] == [1] * 6
    assert len(work.runs) <= 1 + 6  # one that died, and no more than one for each who was left


@pytest.mark.parametrize("death", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_the_death_of_the_work_reaches_a_leader_with_a_deadline(
    ops: ToolOps, work: Work, death: type[BaseException]
) -> None:
    def die(n: int) -> None:
        assert len(work.runs) < 5, "the body is run again and again"
        raise death

    work.outcome = die
    work.release.open()

    def ask() -> Any:
        with ops.deadline(LONG):
            return work.sync(1)

    assert isinstance(start(ask).exception(LONG), death)
    assert len(work.runs) == 1


def test_followers_survive_the_end_of_asyncio_run(work: Work, loops: Callable[[], Loop]) -> None:
    goodbye = Latch()

    async def main() -> None:
        task = asyncio.create_task(work.aio(1))
        await goodbye.opened()
        assert not task.done()  # asyncio.run cancels it

    def outcome(n: int) -> Any:
        return n

    work.outcome = outcome
    leading = start(asyncio.run, main())
    work.started.wait()
    loop = loops()
    followers = [start(work.sync, 1), start(work.sync, 1), loop.start(work.aio(1))]
    work.await_aboard(4)
    goodbye.open()
    leading.result(LONG)
    work.release.open()
    assert [follower.result(LONG) for follower in followers] == [1] * 3


def test_followers_survive_a_loop_that_stops_in_mid_flight(
    work: Work, loops: Callable[[], Loop]
) -> None:
    goodbye = Latch()
    stopping = asyncio.new_event_loop()

    async def main() -> asyncio.Task[Any]:
        task = asyncio.create_task(work.aio(1))
        await goodbye.opened()
        return task

    leading = start(stopping.run_until_complete, main())
    work.started.wait()
    loop = loops()
    followers = [start(work.sync, 1), loop.start(work.aio(1))]
    work.await_aboard(3)
    goodbye.open()
    task = leading.result(LONG)
    # The loop stands still, and the work with it, so somebody else has to do it.
    wait_for(lambda: len(work.runs) == 2, "a second run", LONG)
    work.release.open()
    assert [follower.result(LONG) for follower in followers] == [[1], [1]]
    # When it runs again, its own caller is served as well.
    assert stopping.run_until_complete(task) == [1]
    stopping.close()


@pytest.mark.parametrize("follower", ["thread", "loop"])
@pytest.mark.filterwarnings("default::ResourceWarning")
def test_followers_survive_a_loop_that_is_closed_in_mid_flight(
    ops: ToolOps, loops: Callable[[], Loop], follower: str
) -> None:
    work = Work(ops)
    goodbye = Latch()
    closing = asyncio.new_event_loop()
    closing.set_exception_handler(lambda *_: None)  # it tells of tasks that were destroyed
    kept = []

    async def main() -> None:
        kept.append(asyncio.create_task(work.aio(1)))
        await goodbye.opened()

    def lead() -> None:
        closing.run_until_complete(main())
        closing.close()

    leading = start(lead)
    work.started.wait()
    waiting = start(work.sync, 1) if follower == "thread" else loops().start(work.aio(1))
    work.await_aboard(2)
    goodbye.open()
    leading.result(LONG)
    work.release.open()
    assert waiting.result(LONG) == [1]
    # Nothing of a task that never ended may be raised where it is collected at last.
    kept.clear()
    gc.collect()


@pytest.mark.filterwarnings("default::ResourceWarning")
def test_a_caller_that_is_destroyed_makes_no_noise(work: Work) -> None:
    closing = asyncio.new_event_loop()
    closing.set_exception_handler(lambda *_: None)

    async def main() -> asyncio.Task[Any]:
        task = asyncio.create_task(work.aio(1))
        await work.started.opened()
        return task

    task = closing.run_until_complete(main())
    closing.close()
    del task
    gc.collect()  # pytest makes an error of whatever this cannot raise
    work.release.open()
    assert work.sync(1) == [1]


def test_one_asyncio_run_after_another(work: Work) -> None:
    work.release.open()
    assert asyncio.run(work.aio(1)) == [1]
    assert asyncio.run(work.aio(1)) == [1]
    assert work.runs == ["loop", "loop"]


# Circles


def test_a_thread_that_asks_for_its_own_key_runs_apart(ops: ToolOps) -> None:
    depth = []

    @ops.tool(coalesce=True)
    def again() -> int:
        depth.append(1)
        return again() if len(depth) < 4 else len(depth)

    assert start(again).result(LONG) == 4


async def test_a_task_that_asks_for_its_own_key_runs_apart(ops: ToolOps) -> None:
    depth = []

    @ops.tool(coalesce=True)
    async def again() -> int:
        depth.append(1)
        return await again() if len(depth) < 4 else len(depth)

    async with asyncio.timeout(LONG):
        assert await again() == 4


async def test_a_child_task_that_asks_for_its_parents_key_runs_apart(ops: ToolOps) -> None:
    depth = []

    @ops.tool(coalesce=True)
    async def again() -> int:
        depth.append(1)
        if len(depth) < 3:
            return (await asyncio.gather(again(), asyncio.sleep(0)))[0]
        return len(depth)

    async with asyncio.timeout(LONG):
        assert await again() == 3


class Ring:
    """Tools that each ask the next one for the last one's key, all of them started at once."""

    def __init__(self, ops: ToolOps, size: int) -> None:
        self.barrier = [Latch() for _ in range(size)]
        self.names = [f"ring{number}" for number in range(size)]
        self.size = size
        self.sync: list[Any] = []
        self.aio: list[Any] = []
        self.runs = [0] * size
        for number in range(size):
            self.sync.append(ops.tool(name=self.names[number], coalesce=True)(self._sync(number)))
            self.aio.append(ops.tool(name=self.names[number], coalesce=True)(self._aio(number)))

    def _first(self, number: int) -> bool:
        self.runs[number] += 1
        self.barrier[number].open()
        return self.runs[number] == 1

    def _sync(self, number: int) -> Any:
        def ask() -> str:
            if not self._first(number):
                return "apart"
            for latch in self.barrier:
                latch.wait()
            return f"{number}{self.sync[(number + 1) % self.size]()}"

        return ask

    def _aio(self, number: int) -> Any:
        async def ask() -> str:
            if not self._first(number):
                return "apart"
            for latch in self.barrier:
                await latch.opened()
            return f"{number}{await self.aio[(number + 1) % self.size]()}"

        return ask


@pytest.mark.parametrize("kinds", ["tt", "ll", "tl", "ttt", "lll", "tlt", "ltl"])
def test_nobody_waits_in_a_ring(ops: ToolOps, loops: Callable[[], Loop], kinds: str) -> None:
    ring = Ring(ops, len(kinds))
    calls = []
    for number, kind in enumerate(kinds):
        calls.append(start(ring.sync[number]) if kind == "t" else loops().start(ring.aio[number]()))
    results = [call.result(LONG) for call in calls]
    assert any("apart" in result for result in results)
    assert all(runs <= len(kinds) for runs in ring.runs)


async def test_nobody_waits_in_a_ring_on_one_loop(ops: ToolOps) -> None:
    ring = Ring(ops, 3)
    async with asyncio.timeout(LONG):
        results = await asyncio.gather(*(ask() for ask in ring.aio))
    assert sum("apart" in result for result in results) >= 1


def test_nobody_waits_in_a_ring_through_two_runtimes() -> None:
    one, two = ToolOps("one"), ToolOps("two")
    started, ready = Latch(), Latch()
    runs = []

    @one.tool(coalesce=True)
    def first() -> str:
        runs.append("first")
        started.open()
        if runs.count("first") > 1:
            return "apart"
        ready.wait()
        return "1" + second()

    @two.tool(coalesce=True)
    def second() -> str:
        runs.append("second")
        ready.open()
        if runs.count("second") > 1:
            return "apart"
        started.wait()
        return "2" + first()

    calls = [start(first), start(second)]
    assert any("apart" in call.result(LONG) for call in calls)


@pytest.mark.allow_blocking("a plain function that is called on a loop blocks it, by its nature")
async def test_a_plain_call_on_a_loop_does_not_wait_for_a_flight_of_that_loop(work: Work) -> None:
    leader = asyncio.create_task(work.aio(1))
    await work.started.opened()
    work.release.open()  # but the leader cannot notice before this task lets go
    assert work.sync(1) == [1]
    assert work.runs == ["loop", "thread"]
    assert await leader == [1]


@pytest.mark.allow_blocking("as above")
async def test_a_plain_call_on_a_loop_does_not_wait_for_a_thread_either(work: Work) -> None:
    """The thread may need this loop to get on."""
    loop = asyncio.get_running_loop()
    came = []

    def outcome(n: int) -> Any:
        if not came:
            came.append(n)
            return asyncio.run_coroutine_threadsafe(asyncio.sleep(0, n), loop).result(LONG)
        return n

    work.outcome = outcome
    leader = start(work.sync, 1)
    await work.started.opened()
    work.release.open()
    await asyncio.to_thread(wait_for, lambda: came, "the leader on its way", LONG)
    assert work.sync(1) == 1
    assert await asyncio.wrap_future(leader) == 1


@pytest.mark.allow_blocking("as above")
async def test_a_plain_call_that_a_loop_makes_leads_others(work: Work) -> None:
    followers = []

    def outcome(n: int) -> Any:
        followers.extend(start(work.sync, 1) for _ in range(2))
        work.await_aboard(3)
        return n

    work.outcome = outcome
    work.release.open()
    assert work.sync(1) == 1
    assert [follower.result(LONG) for follower in followers] == [1, 1]
    assert work.runs == ["thread"]


# Starvation


@pytest.mark.allow_blocking("executors look whether a thread is idle, which the guard cannot tell")
@pytest.mark.parametrize("own_executor", [False, True])
async def test_followers_that_fill_the_executor_do_not_starve_their_leader(
    ops: ToolOps, own_executor: bool
) -> None:
    loop = asyncio.get_running_loop()
    executor = ThreadPoolExecutor(2)
    if not own_executor:
        loop.set_default_executor(executor)
    followed = asyncio.Event()
    runs = []

    @ops.tool(name="report", coalesce=True)
    def sync() -> str:
        runs.append("thread")
        return "report"

    @ops.tool(name="report", coalesce=True)
    async def aio() -> str:
        runs.append("loop")
        await followed.wait()
        return await loop.run_in_executor(executor, str, "report")

    leader = asyncio.create_task(aio())
    await asyncio.sleep(0)
    followers = [loop.run_in_executor(executor, sync) for _ in range(2)]
    key = bytes.fromhex(sync.key())
    while ops._shared.flights.waiting(key) < 3:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0)
    followed.set()
    async with asyncio.timeout(LONG):
        assert await leader == "report"
        assert await asyncio.gather(*followers) == ["report"] * 2
    assert len(runs) <= 2
    executor.shutdown()


def test_time_limits_inside_time_limits_do_not_starve_each_other() -> None:
    """Plain functions with a time limit run in the runtime's pool, and so does what they call."""
    ops = ToolOps(max_threads=1)

    @ops.tool(timeout=Timeout(attempt=2))
    def inner() -> str:
        return "inner"

    @ops.tool(timeout=Timeout(attempt=LONG))
    def outer() -> str:
        return inner()

    assert outer() == "inner"


def test_deadlines_in_the_pool_do_not_starve_each_other() -> None:
    ops = ToolOps(max_threads=2)
    together = threading.Barrier(2)

    @ops.tool(coalesce=True)
    def double(n: int) -> int:
        return 2 * n

    def ask(n: int) -> int:
        together.wait(LONG)
        return double(n)

    with ops.deadline(2):
        assert ops.map(ask, range(4), limit=2) == [0, 2, 4, 6]


def test_maps_inside_maps_do_not_starve_each_other() -> None:
    ops = ToolOps(max_threads=2)
    together = threading.Barrier(2)

    def inner(n: int) -> int:
        return n

    def outer(n: int) -> int:
        together.wait(LONG)
        return sum(ops.map(inner, range(n), limit=2))

    assert start(lambda: ops.map(outer, [3, 4], limit=2)).result(LONG) == [3, 6]


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
        with ops.deadline(0.02):
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

    def hurried() -> str:
        with ops.deadline(LONG):
            return sync()

    assert await asyncio.to_thread(hurried) == "ada"


# Fork


def _in_child(work: Callable[[], bool]) -> int:
    """Return the exit code of a forked child that does the work; 0 is success."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)  # ends a child that hangs
        code = 0 if work() else 2
    finally:
        os._exit(code)


fork = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


@fork
def test_a_child_that_is_forked_in_mid_flight_can_use_the_runtime() -> None:
    ops = ToolOps()
    work = Work(ops, cache=Cache(ttl=60))
    leader = start(work.sync, 1)
    work.await_aboard(1)

    def child() -> bool:
        work.release.open()
        with ops.deadline(5):
            return bool(
                not ops._shared.flights
                and work.sync(1) == [1]
                and work.sync(2) == [2]
                and asyncio.run(work.aio(3)) == [3]
            )

    code = _in_child(child)
    work.release.open()
    assert leader.result(LONG) == [1]
    assert code == 0


@fork
def test_a_body_may_fork(ops: ToolOps) -> None:
    @ops.tool(coalesce=True)
    def inner() -> str:
        return "inner"

    @ops.tool(coalesce=True)
    def outer() -> int:
        return _in_child(lambda: inner() == "inner" and inner() == "inner")

    assert outer() == 0


@fork
@pytest.mark.parametrize(
    "lock",
    [
        lambda ops: ops._tiers.all[0]._lock,
        lambda ops: ops._shared.flights._lock,
        lambda ops: ops._pool._lock,
        lambda ops: ops._stats._lock,
        lambda ops: ops._shared.emitter._lock,
        lambda ops: ops._planner._lock,
        lambda ops: ops.breakers._lock,
    ],
    ids=["memory", "flights", "pool", "stats", "emitter", "planner", "breakers"],
)
def test_a_child_does_not_wait_for_a_lock_that_another_thread_held(lock: Any) -> None:
    ops = ToolOps()
    taken, let_go = Latch(), Latch()

    @ops.tool(cache=Cache(ttl=60), timeout=Timeout(attempt=5))
    def work(n: Any) -> Any:
        return n

    work(1)

    def hold() -> None:
        with lock(ops):
            taken.open()
            let_go.wait()

    holder = start(hold)
    taken.wait()

    def child() -> bool:
        fresh = ops.tool(cache=Cache(ttl=60))(lambda: 5)
        right = [work(n) for n in range(100)] == list(range(100)) and fresh() == 5
        return right and work(object()) is not None and bool(ops.stats())

    code = _in_child(child)
    let_go.open()
    holder.result(LONG)
    assert code == 0


# The collector


def test_a_caller_that_is_collected_inside_the_table_does_not_lock_it(work: Work) -> None:
    """The collector may run anywhere, and with it the end of a coroutine that was left behind."""
    flights = work.ops._shared.flights
    closing = asyncio.new_event_loop()
    closing.set_exception_handler(lambda *_: None)
    ended = []

    async def call() -> None:
        try:
            await work.aio(1)
        finally:
            ended.append(1)

    async def main() -> None:
        closing.create_task(call())  # noqa: RUF006 - that nobody holds it is the point
        await work.started.opened()

    closing.run_until_complete(main())
    closing.close()

    class Table(dict[bytes, Any]):
        def __setitem__(self, key: bytes, flight: Any) -> None:
            gc.collect()  # the flight of the closed loop has just gone, and its callers with it
            assert ended
            super().__setitem__(key, flight)

    flights._table = Table(flights._table)
    work.release.open()
    assert start(work.sync, 1).result(LONG) == [1]
    assert ended


# Any schedule

CALLERS = st.sampled_from(["thread", "loop0", "loop1", "hurried thread", "hurried loop0"])
STEPS = st.one_of(
    CALLERS,
    st.tuples(st.just("cancel"), st.integers(0, 11)),
    st.tuples(st.just("end"), st.sampled_from(["value", "error", "death"])),
    st.just("settle"),
)


class Schedule:
    """Bodies that end as the schedule says, and callers that are told apart."""

    def __init__(self) -> None:
        self.ops = ToolOps("schedule")
        self.runs = 0
        self.told = 0
        self.lock = threading.Lock()
        self.ends: list[tuple[Latch, str]] = []
        self.errors: list[Exception] = []
        self.over = False
        self.sync = self.ops.tool(name="body", coalesce=True)(self._in_thread())
        self.aio = self.ops.tool(name="body", coalesce=True)(self._on_loop())

    def _begin(self) -> int:
        with self.lock:
            self.runs += 1
            self._grow(self.runs)
            return self.runs - 1

    def _grow(self, size: int) -> None:
        while len(self.ends) < size:
            self.ends.append((Latch(), "value"))
            if self.over:
                self.ends[-1][0].open()

    def _finish(self, number: int, death: type[BaseException]) -> Any:
        how = self.ends[number][1]
        if how == "value":
            return number
        if how == "death":
            raise death
        error = LookupError(number)
        self.errors.append(error)
        raise error

    def _in_thread(self) -> Any:
        def body() -> Any:
            number = self._begin()
            self.ends[number][0].wait()
            return self._finish(number, SystemExit)

        return body

    def _on_loop(self) -> Any:
        async def body() -> Any:
            number = self._begin()
            await self.ends[number][0].opened()
            return self._finish(number, asyncio.CancelledError)

        return body

    def end(self, how: str) -> None:
        with self.lock:
            self._grow(self.told + 1)
            latch, _ = self.ends[self.told]
            self.ends[self.told] = (latch, how)
            self.told += 1
        latch.open()

    def end_all(self) -> None:
        with self.lock:
            self.over = True
            latches = [latch for latch, _ in self.ends]
        for latch in latches:
            latch.open()

    def hurried_sync(self) -> Any:
        with self.ops.deadline(0.001):
            return self.sync()

    async def hurried_aio(self) -> Any:
        with self.ops.deadline(0.001):
            return await self.aio()


@pytest.fixture(scope="module")
def two_loops() -> Iterator[list[Loop]]:
    made = [Loop(), Loop()]
    yield made
    for loop in made:
        loop.close()


@settings(max_examples=150)
@given(schedule=st.lists(STEPS, min_size=2, max_size=12))
def test_every_caller_of_any_schedule_ends_as_it_may(
    two_loops: list[Loop], schedule: list[Any]
) -> None:
    play = Schedule()
    calls: list[tuple[str, Future[Any]]] = []
    cancelled: set[int] = set()
    dead = 0
    for step in schedule:
        if step == "settle":
            wait_for(lambda: play.runs or not calls, "the first run", LONG)
        elif step == "thread":
            calls.append((step, start(play.sync)))
        elif step == "hurried thread":
            calls.append((step, start(play.hurried_sync)))
        elif step in ("loop0", "loop1"):
            calls.append((step, two_loops[int(step[-1])].start(play.aio())))
        elif step == "hurried loop0":
            calls.append((step, two_loops[0].start(play.hurried_aio())))
        elif step[0] == "end":
            dead += step[1] == "death"
            play.end(step[1])
        elif step[1] < len(calls) and "loop" in calls[step[1]][0]:
            calls[step[1]][1].cancel()
            cancelled.add(step[1])
    play.end_all()
    deaths = 0
    for number, (kind, call) in enumerate(calls):
        try:
            error = call.exception(LONG)
        except BaseException as raised:  # a cancelled future raises here
            error = raised
        if error is None:
            assert 0 <= call.result() < play.runs
        elif isinstance(error, LookupError):
            assert error in play.errors
        elif isinstance(error, DeadlineExceeded):
            assert kind.startswith("hurried")
        elif isinstance(error, SystemExit):
            deaths += 1
        else:
            assert type(error).__name__ == "CancelledError", repr(error)
            deaths += number not in cancelled
    assert deaths <= dead
    # A run begins with a first caller, and anew only after an end or once all had left.
    assert play.runs <= len(calls)
    wait_for(lambda: not play.ops._shared.flights, "an empty table of flights", LONG)
