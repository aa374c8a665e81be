"""Work on a loop that needs a thread while its followers hold all threads."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.pool import ThreadPool
from queue import SimpleQueue
from typing import Any

import anyio
import pytest
from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async
from callers import LONG, Latch, Loop, start
from servers import wait_for
from starlette.concurrency import run_in_threadpool

from toolops_plugins import Cache, ToolOps
from toolops_plugins.coalesce import loop_liveness, watch
from toolops_plugins.coalesce.flight import Flight
from toolops_plugins.coalesce.starvation import Backlog, ThreadCall

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_liveness, "PATIENCE", 0.02)
    monkeypatch.setattr(loop_liveness, "SILENCE", 500)


class Quote:
    """A tool whose asynchronous body needs a thread once it is released."""

    def __init__(self, ops: ToolOps, need: Callable[[], Awaitable[Any]]) -> None:
        self.ops = ops
        self.runs: list[str] = []
        self.release = Latch()

        @ops.tool(name="quote", cache=Cache(ttl=60))
        def in_thread() -> str:
            self.runs.append("thread")
            return "thread"

        @ops.tool(name="quote", cache=Cache(ttl=60))
        async def on_loop() -> str:
            self.runs.append("loop")
            await self.release.opened()
            await need()
            return "loop"

        self.sync, self.aio = in_thread, on_loop

    def aboard(self) -> int:
        return self.ops._shared.flights.count_callers(bytes.fromhex(self.sync.key()))

    async def herd(
        self, follow: Callable[[], Awaitable[Any]], size: int, threads: int
    ) -> list[Any]:
        """Lead, have as many follow, and release the body once they hold all threads."""
        leader = asyncio.create_task(self.aio())
        while not self.runs:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)
        herd = [asyncio.ensure_future(follow()) for _ in range(size)]
        async with asyncio.timeout(LONG):
            while self.aboard() <= threads and len(self.runs) == 1:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.001)
            self.release.open()
            return await asyncio.gather(leader, *herd)


def limit_threads(threads: int) -> ThreadPoolExecutor:
    """Make a pool of so many threads the default one of the running loop."""
    pool = ThreadPoolExecutor(threads)
    asyncio.get_running_loop().set_default_executor(pool)
    return pool


def set_of(answers: list[Any]) -> set[Any]:
    return set(answers)


async def a_thread() -> None:
    await asyncio.to_thread(threading.get_ident)


async def a_name() -> None:
    loop = asyncio.get_running_loop()
    await loop.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)


@pytest.mark.parametrize(
    "need", [a_thread, a_name, partial(run_in_threadpool, threading.get_ident)]
)
@pytest.mark.parametrize("followers", ["threads", "loops in threads", "threads of threads"])
async def test_asyncio(ops: ToolOps, need: Any, followers: str) -> None:
    quote = Quote(ops, need)
    limit_threads(3)

    def in_a_pool_of_its_own() -> Any:
        with ThreadPoolExecutor(2) as inner:
            return inner.submit(quote.sync).result(LONG)

    call = {
        "threads": quote.sync,
        "loops in threads": lambda: asyncio.run(quote.aio()),
        "threads of threads": in_a_pool_of_its_own,
    }[followers]
    answers = await quote.herd(lambda: asyncio.to_thread(call), 12, 3)
    assert set_of(answers) <= {"loop", "thread"}
    assert len(answers) == 13
    assert len(quote.runs) <= 4


@pytest.mark.parametrize("size", [10, 51])
async def test_starlette(ops: ToolOps, size: int) -> None:
    """As FastAPI runs what is not asynchronous: by a limiter of forty tokens."""
    quote = Quote(ops, partial(run_in_threadpool, threading.get_ident))
    limiter = anyio.to_thread.current_default_thread_limiter()
    if size < 40:
        limiter.total_tokens = 3
    answers = await quote.herd(
        lambda: run_in_threadpool(quote.sync), size, int(limiter.total_tokens)
    )
    assert len(answers) == size + 1
    assert len(quote.runs) <= 4
    limiter.total_tokens = 40


async def test_a_loop_in_a_thread_of_anyio(ops: ToolOps) -> None:
    quote = Quote(ops, partial(run_in_threadpool, threading.get_ident))
    limiter = anyio.to_thread.current_default_thread_limiter()
    limiter.total_tokens = 2
    answers = await quote.herd(lambda: run_in_threadpool(lambda: asyncio.run(quote.aio())), 6, 2)
    assert len(answers) == 7
    limiter.total_tokens = 40


@pytest.mark.allow_leaks("asgiref keeps its one thread for good")
@pytest.mark.parametrize(("face", "sensitive"), [("sync", True), ("sync", False), ("aio", True)])
async def test_asgiref(ops: ToolOps, face: str, sensitive: bool) -> None:
    """As Django runs views: those that are not asynchronous share one thread."""
    need = sync_to_async(threading.get_ident, thread_sensitive=sensitive)
    quote = Quote(ops, need)
    limit_threads(2)
    call = quote.sync if face == "sync" else async_to_sync(quote.aio)
    view = sync_to_async(call, thread_sensitive=sensitive)
    answers = await quote.herd(view, 6, 1 if sensitive else 2)
    assert len(answers) == 7


@pytest.mark.allow_leaks("asgiref keeps its one thread for good")
async def test_asgiref_with_a_thread_for_each_request(ops: ToolOps) -> None:
    quote = Quote(ops, sync_to_async(threading.get_ident))
    async with ThreadSensitiveContext():
        view = sync_to_async(async_to_sync(quote.aio))
        answers = await quote.herd(view, 3, 1)
    assert len(answers) == 4


async def test_a_pool_of_the_applications(ops: ToolOps) -> None:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(2) as pool:
        quote = Quote(ops, lambda: loop.run_in_executor(pool, threading.get_ident))
        answers = await quote.herd(lambda: loop.run_in_executor(pool, quote.sync), 6, 2)
    assert len(answers) == 7
    assert len(quote.runs) <= 4


def test_a_loop_that_does_not_show_its_pool(ops: ToolOps) -> None:
    uvloop = pytest.importorskip("uvloop")
    quote = Quote(ops, a_thread)

    def in_a_pool_of_its_own() -> Any:
        with ThreadPoolExecutor(2) as inner:
            return inner.submit(quote.sync).result(LONG)

    async def main() -> list[Any]:
        limit_threads(3)
        return await quote.herd(lambda: asyncio.to_thread(in_a_pool_of_its_own), 6, 3)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert len(runner.run(main())) == 7


class Own:
    """A pool that nobody knows: its workers get functions from a queue."""

    def __init__(self, threads: int) -> None:
        self.jobs: SimpleQueue[Any] = SimpleQueue()
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def work(self) -> None:
        while (job := self.jobs.get()) is not None:
            job()

    def run(self, function: Callable[[], Any]) -> Awaitable[Any]:
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def job() -> None:
            value = function()
            loop.call_soon_threadsafe(lambda: future.done() or future.set_result(value))

        self.jobs.put(job)
        return future

    def close(self) -> None:
        for _ in self.threads:
            self.jobs.put(None)


async def test_a_pool_that_nobody_knows(ops: ToolOps) -> None:
    pool = Own(2)
    quote = Quote(ops, lambda: pool.run(threading.get_ident))
    answers = await quote.herd(lambda: pool.run(quote.sync), 6, 2)
    assert len(answers) == 7
    assert len(quote.runs) <= 4
    pool.close()


async def test_the_pool_of_multiprocessing(ops: ToolOps) -> None:
    loop = asyncio.get_running_loop()
    with ThreadPool(2) as pool:

        def run(function: Callable[[], Any]) -> Awaitable[Any]:
            future = loop.create_future()
            tell = future.set_result
            pool.apply_async(function, callback=lambda v: loop.call_soon_threadsafe(tell, v))
            return future

        quote = Quote(ops, lambda: run(threading.get_ident))
        answers = await quote.herd(lambda: run(quote.sync), 6, 2)
        assert len(answers) == 7
        assert len(quote.runs) <= 4
        await asyncio.to_thread(pool.close)
        await asyncio.to_thread(pool.join)


def test_a_runtimes_own_pool() -> None:
    ops = ToolOps("own pool", max_threads=2)
    quote = Quote(ops, lambda: ops.acall(threading.get_ident))

    async def main() -> list[Any]:
        return await quote.herd(lambda: ops.acall(quote.sync), 6, 2)

    assert len(asyncio.run(main())) == 7


def test_a_thread_that_leads_and_needs_a_thread_of_the_pool_that_its_followers_hold(
    ops: ToolOps,
) -> None:
    runs: list[int] = []
    release = Latch()
    pool = ThreadPoolExecutor(3)

    @ops.tool(coalesce=True)
    def recurse() -> int:
        runs.append(1)
        if len(runs) > 1:
            return len(runs)
        release.wait()
        return pool.submit(int, 1).result(LONG)

    calls = [pool.submit(recurse) for _ in range(9)]
    key = bytes.fromhex(recurse.key())
    wait_for(lambda: ops._shared.flights.count_callers(key) == 3, "three aboard", LONG)
    release.open()
    assert len([call.result(LONG) for call in calls]) == 9
    pool.shutdown()


# Where nobody has to leave


def test_patience_doubles_with_each_flight_that_was_given_up() -> None:
    queue: SimpleQueue[Any] = SimpleQueue()
    looks = []

    def worker(queue: SimpleQueue[Any]) -> None:
        queue.get()
        for generation in range(3):
            flight = Flight(b"", None, generation=generation)
            looker = watch.Watch(flight)
            looks.append(1)
            while looker.look() is watch.Verdict.PENDING:
                looks[-1] += 1

    queue.put("first")
    queue.put("waits")
    start(worker, queue).result(LONG)
    assert looks == [1 + watch._FOR_A_THREAD * 2**generation for generation in range(3)]


def test_queues_that_shrink_are_not_stuck(loops: Callable[[], Loop]) -> None:
    loop = loops()
    backlog = Backlog(loop.loop)
    pool = ThreadPoolExecutor(1)
    loop.loop.call_soon_threadsafe(loop.loop.set_default_executor, pool)
    release = threading.Semaphore(0)
    jobs = [pool.submit(release.acquire, timeout=LONG) for _ in range(5)]
    wait_for(lambda: pool._work_queue.qsize() == 4, "four that wait", LONG)
    wait_for(lambda: loop.loop._default_executor is pool, "the pool", LONG)  # type: ignore[attr-defined]  # private
    assert [backlog.look() for _ in range(3)] == [0, 1, 2]
    release.release()
    wait_for(lambda: pool._work_queue.qsize() == 3, "three that wait", LONG)
    assert [backlog.look() for _ in range(2)] == [0, 1]
    for _ in jobs:
        release.release()
    for job in jobs:
        job.result(LONG)
    assert backlog.look() == 0


def test_a_place_is_occupied_while_its_function_runs() -> None:
    taken, release = Latch(), Latch()
    places = []

    def inside() -> None:
        places.append(ThreadCall())
        taken.open()
        release.wait()

    running = start(inside)
    taken.wait()
    assert places[0].is_on_stack()
    assert places[0].waits_for_thread()
    release.open()
    running.result(LONG)
    assert not places[0].is_on_stack()


async def test_whatever_it_sees_a_follower_leaves_work_on_a_loop_in_the_end(
    loops: Callable[[], Loop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LONGEST", 5)
    loop = loops().loop
    task = asyncio.current_task()
    for generation, looks in ((0, 5), (1, 10)):
        flight = Flight(b"", loop, generation=generation)
        flight.task = task  # type: ignore[assignment]  # any will do
        looker = watch.Watch(flight)
        seen = [looker.look() for _ in range(looks)]
        assert seen == [watch.Verdict.PENDING] * (looks - 1) + [watch.Verdict.STUCK]
