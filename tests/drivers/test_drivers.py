"""Time limits, hedges and background work under both drivers, on real threads and loops."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading

import pytest

from toolops_plugins import (
    AttemptTimeout,
    Bulkhead,
    BulkheadFull,
    Cache,
    ConfigurationError,
    DeadlineExceeded,
    Hedge,
    Policy,
    RateLimit,
    RateLimited,
    Retry,
    RetryBudget,
    Timeout,
    ToolOps,
    TotalTimeout,
)
from toolops_plugins.coalesce.flights import Flights
from toolops_plugins.concurrency.pool import Pool
from toolops_plugins.drivers.loop import LoopDriver
from toolops_plugins.testing import FakeClock


class Body:
    """A function, plain or not, whose calls block until they are let go."""

    def __init__(self):
        self.began = []
        self.ended = []
        self.cancelled = []
        self.go = threading.Event()
        self.lock = threading.Lock()

    def __call__(self, number=0):
        with self.lock:
            self.began.append(number)
        self.go.wait(20)
        self.ended.append(number)
        return number


@pytest.fixture
def body():
    body = Body()
    yield body
    body.go.set()


def test_a_slow_plain_function_is_abandoned(ops, body):
    tool = ops.tool(timeout=Timeout(attempt=0.05))(lambda number: body(number))
    with pytest.raises(AttemptTimeout) as caught:
        tool(1)
    assert caught.value.seconds == 0.05
    assert isinstance(caught.value, TimeoutError)
    assert body.began == [1]
    assert not body.ended


async def test_a_coroutine_that_is_too_slow_is_cancelled(ops):
    cleaned = []

    @ops.tool(timeout=Timeout(attempt=0.05))
    async def slow():
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    with pytest.raises(AttemptTimeout):
        await slow()
    assert cleaned == [True]


def test_an_attempt_that_is_too_slow_is_retried_within_the_total(ops, body):
    tool = ops.tool(timeout=Timeout(attempt=0.03, total=20), retry=Retry(attempts=3, wait=0.0))(
        lambda: body()
    )
    with pytest.raises(AttemptTimeout):
        tool()
    assert len(body.began) == 3


@pytest.mark.parametrize("wait", [0.0, 30.0])
async def test_the_total_ends_attempts_and_waits(ops, wait):
    made = []

    async def flaky():
        made.append(1)
        if wait:
            raise OSError
        await asyncio.Event().wait()

    tool = ops.tool(timeout=Timeout(total=0.1), retry=Retry(attempts=99, wait=wait, jitter=None))(
        flaky
    )
    with pytest.raises(TotalTimeout):
        await tool()
    assert len(made) <= 1  # none at all where the machine stood still for so long


@pytest.mark.parametrize("wait", [0.0, 30.0])
def test_the_total_ends_attempts_and_waits_in_a_thread_too(ops, body, wait):
    def flaky():
        if wait:
            raise OSError
        return body()

    tool = ops.tool(timeout=Timeout(total=0.1), retry=Retry(attempts=99, wait=wait, jitter=None))(
        flaky
    )
    with pytest.raises(TotalTimeout):
        tool()


async def test_a_timeout_of_the_functions_own_is_its_own(ops):
    @ops.tool(timeout=Timeout(attempt=5, total=10))
    async def own():
        raise TimeoutError("mine")

    @ops.tool(timeout=Timeout(attempt=5, total=10))
    def plain():
        raise TimeoutError("mine")

    for call in (own(), ops.acall(plain.__wrapped__, policy=Policy(timeout=Timeout(attempt=5)))):
        with pytest.raises(TimeoutError, match="mine") as caught:
            await call
        assert type(caught.value) is TimeoutError


def test_context_variables_reach_the_pool(ops):
    variable = contextvars.ContextVar("variable")
    variable.set("here")
    tool = ops.tool(timeout=Timeout(attempt=20))(lambda: (variable.get(), threading.get_ident()))
    value, thread = tool()
    assert value == "here"
    assert thread != threading.get_ident()


async def test_context_variables_reach_plain_functions_of_a_loop(ops):
    variable = contextvars.ContextVar("variable")
    variable.set("here")
    assert await ops.acall(variable.get) == "here"


def test_a_deadline_is_each_callers_own(ops, body):
    tool = ops.tool(cache=Cache(ttl=60))(lambda number: body(number))
    with ops.deadline(0.05), pytest.raises(DeadlineExceeded):
        tool(1)
    body.go.set()
    assert tool(1) == 1  # joins the flight that went on, or finds its result


def test_a_deadline_holds_without_a_flight_and_is_never_lengthened(ops, body):
    tool = ops.tool(lambda: body())
    with ops.deadline(0.05), ops.deadline(50), pytest.raises(DeadlineExceeded):
        tool()


async def test_a_deadline_that_has_passed_makes_no_call(ops):
    made = []

    @ops.tool(cache=Cache(ttl=60))
    async def tool():
        made.append(1)

    with ops.deadline(0), pytest.raises(DeadlineExceeded):
        await tool()
    assert not made


async def test_a_hedge_overtakes_a_straggler_and_cancels_it(ops):
    calls, cancelled = [], []

    @ops.tool(hedge=Hedge(quantile=0.5, min_calls=5))
    async def tool(straggle):
        calls.append(straggle)
        if straggle and len(calls) == 6:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.append(True)
        return len(calls)

    for _ in range(5):
        await tool(False)
    assert await tool(True) == 7
    assert cancelled == [True]


def test_a_hedge_overtakes_a_straggler_in_threads(ops, body):
    calls = []

    @ops.tool(hedge=Hedge(quantile=0.5, min_calls=5))
    def tool(straggle):
        calls.append(straggle)
        return body() if straggle and len(calls) == 6 else len(calls)

    for _ in range(5):
        tool(False)
    events = []
    ops.add_sink(events.append)
    assert tool(True) == 7
    assert events[0].hedged
    assert events[0].attempts == 2


async def test_both_racers_may_fail_and_the_first_error_counts(ops):
    number = 0
    second = asyncio.Event()

    @ops.tool(hedge=Hedge(quantile=0.5, min_calls=1))
    async def tool(fail):
        nonlocal number
        number += 1
        mine = number
        if fail and mine == 2:
            await second.wait()
        if fail:
            second.set()
            raise OSError(f"racer {mine}")

    await tool(False)
    with pytest.raises(OSError, match="racer 2"):
        await tool(True)
    assert number == 3


def test_a_hedged_function_that_ends_in_time_runs_once(ops):
    made = []
    tool = ops.tool(hedge=Hedge(min_calls=1, least=20))(lambda: made.append(1))
    for _ in range(3):
        tool()
    assert len(made) == 3


async def test_a_bulkhead_bounds_tasks_and_queues(ops):
    gate, running, most = asyncio.Event(), 0, 0

    @ops.tool(bulkhead=Bulkhead(2, queue=2))
    async def tool():
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1

    tasks = [asyncio.ensure_future(tool()) for _ in range(5)]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert [type(task.exception()) for task in done] == [BulkheadFull]
    gate.set()
    await asyncio.wait(tasks)
    assert most == 2


def test_waiting_at_a_bulkhead_ends_with_the_total(ops, body):
    tool = ops.tool(bulkhead=Bulkhead(1, queue=5), timeout=Timeout(total=0.2))(body.__call__)
    results = []

    def call():
        with pytest.raises(TotalTimeout):
            tool()
        results.append(1)

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2


async def test_a_stale_answer_is_refreshed_in_the_background_of_a_loop():
    clock = FakeClock()
    made = []
    async with ToolOps("drivers", clock=clock) as ops:

        @ops.tool(cache=Cache(ttl=10, stale_ttl=100, jitter=0))
        async def tool():
            made.append(1)
            return len(made)

        assert await tool() == 1
        clock.advance(11)
        assert await tool() == 1
        await ops._on_loop().drain()
        assert await tool() == 2


def test_a_stale_answer_is_refreshed_in_the_background_of_a_thread():
    clock = FakeClock()
    refreshed = threading.Event()
    with ToolOps("drivers", clock=clock) as ops:
        ops.add_sink(lambda event: event.outcome == "refresh" and refreshed.set())
        made = []
        tool = ops.tool(cache=Cache(ttl=10, stale_ttl=100, jitter=0))(
            lambda: made.append(1) or len(made)
        )
        assert tool() == 1
        clock.advance(11)
        assert tool() == 1
        assert refreshed.wait(20)
        assert tool() == 2


def test_an_outage_is_not_multiplied():
    clock = FakeClock()
    made = []
    with ToolOps("drivers", clock=clock, retry_budget=RetryBudget(ratio=0.2, clock=clock)) as ops:

        @ops.tool(retry=Retry(attempts=5, wait=0.0))
        def down(number):
            made.append(number)
            raise OSError

        for number in range(1000):
            with pytest.raises(OSError):
                down(number)
    assert 1000 < len(made) < 1350


def test_one_limit_for_all_that_share_its_name(ops):
    limit = RateLimit("2/h", wait=0, name="provider")
    one = ops.tool(rate_limit=limit)(lambda: 1)
    two = ops.tool(rate_limit=limit)(lambda: 2)
    assert [one(), two()] == [1, 2]
    with pytest.raises(RateLimited):
        one()
    with pytest.raises(ConfigurationError, match="in use with another policy"):
        ops.tool(rate_limit=RateLimit("3/h", name="provider"))(lambda: 3)


async def test_gather_bounds_the_calls_under_way_and_keeps_the_order(ops):
    running = most = 0

    async def job(number):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return number

    assert await ops.gather(*map(job, range(20)), limit=3) == list(range(20))
    assert most == 3


async def test_gather_stops_at_the_first_error_or_keeps_all(ops):
    ended = []

    async def job(number):
        if number == 1:
            raise OSError(number)
        try:
            await asyncio.Event().wait() if number != 2 else None
        finally:
            ended.append(number)
        return number

    with pytest.raises(OSError):
        await ops.gather(*map(job, range(6)), limit=2)
    assert min(ended) == 0  # the call that waited was cancelled, and saw to its end
    assert 5 not in ended
    results = await ops.gather(job(1), job(2), return_exceptions=True)
    assert isinstance(results[0], OSError)
    assert results[1] == 2
    with pytest.raises(ConfigurationError, match="limit"):
        await ops.gather(limit=0)


def test_map_bounds_the_calls_under_way_and_keeps_the_order(ops):
    lock, running, most = threading.Lock(), 0, 0

    def job(number):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1
        return number * 2

    assert ops.map(job, range(50), limit=3) == [n * 2 for n in range(50)]
    assert 1 <= most <= 3
    with pytest.raises(ZeroDivisionError):
        ops.map(lambda n: 1 / n, [1, 0, 2])


def test_a_pool_is_bounded_and_reuses_its_threads():
    pool = Pool(limit=3)
    go, done = threading.Event(), threading.Semaphore(0)
    seen = set()

    def job():
        seen.add(threading.get_ident())
        go.wait(20)
        done.release()

    for _ in range(10):
        pool.submit(job)
    go.set()
    for _ in range(10):
        assert done.acquire(timeout=20)
    assert len(seen) <= 3
    assert len(pool) <= 3


def test_an_offer_is_refused_when_the_queue_is_full():
    pool = Pool(limit=1, backlog=2)
    go = threading.Event()
    taken = [pool.offer(lambda: go.wait(20)) for _ in range(10)]
    assert taken[:2] == [True, True]
    assert taken.count(True) <= 4
    assert taken[-1] is False
    go.set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_a_runtime_of_its_own(ops, body):
    tool = ops.tool(cache=Cache(ttl=60), timeout=Timeout(attempt=20))(lambda n: n + 1)
    held = ops.tool(cache=Cache(ttl=60), name="held")(lambda: body())
    assert tool(1) == 2
    holder = threading.Thread(target=held)
    holder.start()
    while not body.began:
        pass
    child = os.fork()
    if child == 0:
        status = 1
        try:
            body.go.set()
            # A value from before, a new one through a pool that has lost its threads, and a key
            # whose leader lives in the parent only.
            if (tool(1), tool(2), held()) == (2, 3, 0):
                status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    body.go.set()
    holder.join()
    assert os.waitstatus_to_exitcode(status) == 0


async def test_an_event_of_another_thread_is_awaited_in_real_time():
    clock = FakeClock()
    driver = LoopDriver(clock, Flights(), Pool())
    event, waits = threading.Event(), threading.Event()

    def set_event() -> None:
        waits.wait(20)
        event.set()

    thread = threading.Thread(target=set_event)
    thread.start()
    task = asyncio.create_task(driver.wait(event, 20.0))
    await asyncio.sleep(0)
    waits.set()
    await task
    thread.join()
    assert event.is_set()
    assert clock.slept == []
