"""Coalesced callers in trouble: death, circles and forks leave nobody waiting."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from callers import LONG, Latch, Loop, Work, in_child, start
from servers import wait_for

from toolops_plugins import Cache, Timeout, ToolOps

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
    work.release.open()
    assert work.sync(1) == [1]
    gc.collect()  # pytest makes an error of whatever this cannot raise
    assert work.finals == ["thread", "loop"]  # the one that was destroyed, at last


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
def test_nobody_waits_in_a_circle(ops: ToolOps, loops: Callable[[], Loop], kinds: str) -> None:
    ring = Ring(ops, len(kinds))
    calls = []
    for number, kind in enumerate(kinds):
        calls.append(start(ring.sync[number]) if kind == "t" else loops().start(ring.aio[number]()))
    results = [call.result(LONG) for call in calls]
    assert any("apart" in result for result in results)
    assert all(runs <= len(kinds) for runs in ring.runs)


async def test_nobody_waits_in_a_circle_on_one_loop(ops: ToolOps) -> None:
    ring = Ring(ops, 3)
    async with asyncio.timeout(LONG):
        results = await asyncio.gather(*(ask() for ask in ring.aio))
    assert sum("apart" in result for result in results) >= 1


def test_nobody_waits_in_a_circle_through_two_runtimes() -> None:
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
    while ops._shared.flights.count_callers(key) < 3:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0)
    followed.set()
    async with asyncio.timeout(LONG):
        assert await leader == "report"
        assert await asyncio.gather(*followers) == ["report"] * 2
    assert len(runs) <= 3  # a follower that gives up may have to run it, one after the other
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


# Fork


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

    code = in_child(child)
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
        return in_child(lambda: inner() == "inner" and inner() == "inner")

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

    code = in_child(child)
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
