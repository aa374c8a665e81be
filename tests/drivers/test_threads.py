"""Plain functions in the thread pool: when they run there, their shares, and dropped calls."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from callers import LONG, Latch, start
from servers import wait_for

from toolops_plugins import (
    AttemptTimeout,
    Bulkhead,
    BulkheadFull,
    Cache,
    CircuitBreaker,
    ConfigurationError,
    DeadlineExceeded,
    Hedge,
    Notice,
    Policy,
    RateLimit,
    Rejected,
    Retry,
    Timeout,
    ToolOps,
    TotalTimeout,
    runtime,
)
from toolops_plugins.concurrency.pool import Pool
from toolops_plugins.drivers.thread import _Race
from toolops_plugins.errors import ThreadPoolFull
from toolops_plugins.testing import FakeClock

SHORT = 0.03


class Busy:
    """A runtime whose threads are all held by one tool until they are let go."""

    def __init__(self, threads: int = 1) -> None:
        self.ops = ToolOps("threads", max_threads=threads, retry_budget=None)
        self.go = Latch()
        self.inside = 0
        self.ran: list[Any] = []

        @self.ops.tool(name="hung", timeout=Timeout(attempt=LONG))
        def hung() -> None:
            self.inside += 1
            self.go.wait()

        self.hung = hung
        self.callers = [start(hung) for _ in range(threads)]
        wait_for(lambda: self.inside == max(1, threads // 2), "threads that are held", LONG)

    def send(self, mark: Any = "m") -> Any:
        self.ran.append(mark)
        return mark

    def end(self) -> None:
        """Let the threads go, and wait until whatever waited for them has run."""
        self.go.open()
        for caller in self.callers:
            caller.result(LONG)
        pool = self.ops._pool
        wait_for(lambda: not pool.queue_length and not pool._busy, "an empty pool", LONG)


@pytest.fixture
def busy() -> Iterator[Busy]:
    busy = Busy()
    yield busy
    busy.go.open()


# Abandoned work

RETRY = Retry(attempts=3, wait=0.0)


def attempt(busy: Busy) -> None:
    tool = busy.ops.tool(retry=RETRY, timeout=Timeout(attempt=SHORT))(busy.send)
    with pytest.raises(ThreadPoolFull):
        tool()


def total(busy: Busy) -> None:
    tool = busy.ops.tool(retry=RETRY, timeout=Timeout(total=SHORT))(busy.send)
    with pytest.raises(TotalTimeout):
        tool()


def deadline(busy: Busy) -> None:
    tool = busy.ops.tool(retry=RETRY)(busy.send)
    with busy.ops.deadline(SHORT), pytest.raises(DeadlineExceeded):
        tool()


def deadline_of_a_flight(busy: Busy) -> None:
    tool = busy.ops.tool(retry=RETRY, coalesce=True)(busy.send)
    with busy.ops.deadline(SHORT), pytest.raises(DeadlineExceeded):
        tool()


def first_item_of_a_stream(busy: Busy) -> None:
    @busy.ops.tool(retry=RETRY, timeout=Timeout(attempt=SHORT))
    def numbers() -> Iterator[Any]:
        yield busy.send()

    with pytest.raises(ThreadPoolFull):
        list(numbers())


def attempt_of_a_task(busy: Busy) -> None:
    policy = Policy(retry=RETRY, timeout=Timeout(attempt=SHORT))
    with pytest.raises(ThreadPoolFull):
        asyncio.run(busy.ops.acall(busy.send, policy=policy))


def total_of_a_task(busy: Busy) -> None:
    policy = Policy(retry=RETRY, timeout=Timeout(total=SHORT))
    with pytest.raises(TotalTimeout):
        asyncio.run(busy.ops.acall(busy.send, policy=policy))


def deadline_of_a_task(busy: Busy) -> None:
    async def ask() -> None:
        with busy.ops.deadline(SHORT):
            await busy.ops.acall(busy.send, policy=Policy(retry=RETRY, coalesce=True))

    with pytest.raises(DeadlineExceeded):
        asyncio.run(ask())


def cancel_task(busy: Busy) -> None:
    async def ask() -> None:
        task = asyncio.create_task(busy.ops.acall(busy.send, policy=Policy(retry=RETRY)))
        while not busy.ops._pool.queue_length:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()

    asyncio.run(ask())


def left_task(busy: Busy) -> None:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    task = loop.create_task(busy.ops.acall(busy.send))
    loop.run_until_complete(asyncio.sleep(0))
    assert busy.ops._pool.queue_length == 1
    task.cancel()
    loop.run_until_complete(asyncio.wait({task}))
    loop.close()


def interrupt_map(busy: Busy) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        busy.ops.map(busy.send, items(), limit=2)


@pytest.mark.parametrize(
    "give_up",
    [
        attempt,
        total,
        deadline,
        deadline_of_a_flight,
        first_item_of_a_stream,
        attempt_of_a_task,
        total_of_a_task,
        deadline_of_a_task,
        cancel_task,
        left_task,
        interrupt_map,
    ],
)
def test_a_queued_function_whose_caller_gives_up_never_runs(
    busy: Busy, give_up: Callable[[Busy], None]
) -> None:
    give_up(busy)
    assert busy.ran == []
    busy.end()
    assert busy.ran == []


def test_hedges_wait_for_no_thread(busy: Busy) -> None:
    tool = busy.ops.tool(hedge=Hedge(min_calls=1, least=SHORT), name="hedged")(busy.send)
    assert [tool(1), tool(2), tool(3)] == [1, 2, 3]
    busy.end()
    assert busy.ran == [1, 2, 3]


def test_the_loser_of_a_race_takes_no_further_step() -> None:
    class Standing(FakeClock):
        def sleep(self, seconds: float) -> None:
            waiting.set()
            passed.wait(LONG)

    waiting, passed, release, ran = (*(threading.Event() for _ in range(3)), [])
    with ToolOps("threads", clock=Standing()) as ops:
        limit = RateLimit("2/h")

        @ops.tool(hedge=Hedge(min_calls=1), rate_limit=limit, name="t")
        def tool(mark: str) -> str:
            ran.append(mark)
            if mark == "slow":
                release.wait(LONG)
            return mark

        tool("first")
        slow = start(tool, "slow")
        assert waiting.wait(LONG)  # its hedge waits for the rate limit
        release.set()
        assert slow.result(LONG) == "slow"
        passed.set()
        wait_for(lambda: not ops._pool._busy, "an idle pool", LONG)
        assert ran == ["first", "slow"]
        # What the hedge did not spend has come back.
        assert ops.limiter(limit, "t").reserve().delay == pytest.approx(1800)


@pytest.mark.parametrize("policy", [{"coalesce": True}, {"cache": Cache(ttl=60)}])
def test_a_flight_that_everybody_has_left_is_not_retried(
    ops: ToolOps, policy: dict[str, Any]
) -> None:
    release, ran = threading.Event(), []

    @ops.tool(retry=RETRY, **policy)
    def tool(mark: int) -> None:
        ran.append(mark)
        release.wait(LONG)
        raise OSError

    with ops.deadline(SHORT), pytest.raises(DeadlineExceeded):
        tool(1)
    release.set()
    wait_for(lambda: not ops._pool._busy, "an idle pool", LONG)
    assert ran == [1]


# A rejection of ours


def test_waiting_for_a_thread_is_no_failure_of_the_callee(busy: Busy) -> None:
    ops = busy.ops
    tool = ops.tool(
        name="t",
        timeout=Timeout(attempt=SHORT),
        breaker=CircuitBreaker(window=2, min_calls=1),
        retry=Retry(attempts=5, wait=0.0),
    )(busy.send)
    total = ops.tool(
        name="u", timeout=Timeout(total=SHORT), breaker=CircuitBreaker(window=2, min_calls=1)
    )(busy.send)
    events: list[Any] = []
    ops.add_sink(events.append)
    for _ in range(4):
        with pytest.raises(ThreadPoolFull, match=r"t got no thread in time: all 1 .* by 'hung'"):
            tool()
        with pytest.raises(TotalTimeout) as caught:
            total()
        assert isinstance(caught.value.__cause__, ThreadPoolFull)
    assert {ops.breakers.find(name).snapshot()[:4] for name in "tu"} == {("closed", 0.0, 0.0, 0)}
    rejected = [event for event in events if event.name == "t"]
    assert {(event.outcome, event.reason, event.attempts) for event in rejected} == {
        ("rejected", "thread_pool_full", 0)
    }
    assert issubclass(ThreadPoolFull, Rejected)
    assert not issubclass(ThreadPoolFull, TimeoutError)


def test_an_attempt_has_its_time_from_when_it_begins(busy: Busy) -> None:
    began = threading.Event()

    @busy.ops.tool(timeout=Timeout(attempt=5.0))
    def slow() -> str:
        began.set()
        return "made"

    caller = start(slow)
    wait_for(lambda: busy.ops._pool.queue_length, "a call that waits", LONG)
    busy.end()
    assert caller.result(LONG) == "made"
    assert began.is_set()


def test_one_hung_tool_leaves_threads_for_all_others() -> None:
    busy = Busy(threads=8)
    try:
        others = [
            busy.ops.tool(timeout=Timeout(attempt=LONG), name=f"tool {n}")(busy.send)
            for n in range(4)
        ]
        assert [tool(n) for n, tool in enumerate(others)] == [0, 1, 2, 3]
        assert asyncio.run(busy.ops.acall(busy.send, 4)) == 4
        late = busy.ops.tool(timeout=Timeout(attempt=SHORT), name="hung")(busy.send)
        with pytest.raises(ThreadPoolFull, match="'hung' holds its share of 4 of the 8 threads"):
            late()
    finally:
        busy.end()


def test_the_log_says_which_tool_holds_the_threads(
    busy: Busy, caplog: pytest.LogCaptureFixture
) -> None:
    notices: list[Notice] = []

    class Sink:
        def on_call(self, event: Any) -> None:
            pass

        def on_notice(self, notice: Notice) -> None:
            notices.append(notice)

    busy.ops.add_sink(Sink())
    tool = busy.ops.tool(timeout=Timeout(attempt=SHORT), name="t")(busy.send)
    for _ in range(3):
        with pytest.raises(ThreadPoolFull):
            tool()
    lines = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert lines == [
        (
            "Calls of 't' wait for a thread: all 1 threads are held: 1 by 'hung'; "
            "ToolOps(max_threads=...) makes more (namespace 'threads')"
        )
    ]
    assert {(n.kind, n.name) for n in notices} == {("threads_full", "t")}


# The places of a bulkhead


class Crowd:
    """A body that never ends by itself, and counts how many are inside."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.go = Latch()
        self._lock = threading.Lock()

    def enter(self) -> None:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)

    def leave(self) -> None:
        with self._lock:
            self.inside -= 1

    def plain(self) -> str:
        self.enter()
        try:
            self.go.wait()
        finally:
            self.leave()
        return "made"

    def stream(self) -> Iterator[str]:
        yield self.plain()

    async def stubborn(self) -> str:
        self.enter()
        try:
            while not self.go.is_open():
                try:
                    await self.go.opened()
                except asyncio.CancelledError:
                    continue
        finally:
            self.leave()
        return "made"

    async def stubborn_stream(self) -> AsyncIterator[str]:
        yield await self.stubborn()


BULKHEAD = Bulkhead(2, name="crowd")
LIMITED = Policy(bulkhead=BULKHEAD, timeout=Timeout(attempt=SHORT))


@pytest.fixture
def crowd(ops: ToolOps) -> Iterator[Crowd]:
    crowd = Crowd()
    yield crowd
    crowd.go.open()
    gate = ops._planner.gates.find("crowd")
    assert gate is not None
    wait_for(
        lambda: gate.occupancy == gate.queue_length == crowd.inside == 0, "an empty gate", LONG
    )


def ask_in_threads(ops: ToolOps, function: Callable[[], Any]) -> list[BaseException | None]:
    tool = ops.tool(policy=LIMITED)(function)
    return [start(tool).exception(LONG) for _ in range(8)]


def test_a_place_is_held_until_the_thread_has_left(ops: ToolOps, crowd: Crowd) -> None:
    errors = ask_in_threads(ops, crowd.plain)
    assert [type(error) for error in errors] == [AttemptTimeout] * 2 + [BulkheadFull] * 6
    assert crowd.most == 2


def test_a_place_is_held_until_the_first_item_of_a_stream_is_there(
    ops: ToolOps, crowd: Crowd
) -> None:
    tool = ops.tool(policy=LIMITED)(crowd.stream)
    errors = [start(lambda: list(tool())).exception(LONG) for _ in range(8)]
    assert [type(error) for error in errors] == [AttemptTimeout] * 2 + [BulkheadFull] * 6
    assert crowd.most == 2


def test_a_place_is_held_when_a_deadline_has_left_the_thread(ops: ToolOps, crowd: Crowd) -> None:
    tool = ops.tool(bulkhead=BULKHEAD)(crowd.plain)

    def ask() -> Any:
        with ops.deadline(SHORT):
            return tool()

    errors = [start(ask).exception(LONG) for _ in range(8)]
    assert [type(error) for error in errors] == [DeadlineExceeded] * 2 + [BulkheadFull] * 6
    assert crowd.most == 2


async def test_a_place_is_held_when_the_caller_of_a_thread_was_cancelled(
    ops: ToolOps, crowd: Crowd
) -> None:
    tasks = [
        asyncio.create_task(ops.acall(crowd.plain, policy=Policy(bulkhead=BULKHEAD)))
        for _ in range(2)
    ]
    async with asyncio.timeout(LONG):
        while crowd.inside < 2:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.001)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for _ in range(4):
        with pytest.raises(BulkheadFull):
            await ops.acall(crowd.plain, policy=LIMITED)
    assert crowd.most == 2


@pytest.mark.allow_leaks("the bodies end when the fixture lets them")
@pytest.mark.parametrize("kind", ["coroutine", "stream"])
async def test_a_place_is_held_by_a_coroutine_that_resists_its_cancellation(
    ops: ToolOps, crowd: Crowd, kind: str
) -> None:
    if kind == "coroutine":
        tool = ops.tool(policy=LIMITED)(crowd.stubborn)
    else:
        stream = ops.tool(policy=LIMITED)(crowd.stubborn_stream)

        async def tool() -> Any:
            return [item async for item in stream()]

    results = await asyncio.gather(*(tool() for _ in range(8)), return_exceptions=True)
    kinds = [type(result) for result in results]
    assert kinds.count(AttemptTimeout) == 2
    assert kinds.count(BulkheadFull) == 6
    assert crowd.most == 2
    crowd.go.open()
    async with asyncio.timeout(LONG):
        while crowd.inside:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.001)


async def test_a_place_is_held_by_a_coroutine_that_a_plain_function_makes(
    ops: ToolOps, crowd: Crowd
) -> None:
    async def inside() -> str:
        crowd.enter()
        try:
            await crowd.go.opened()
        finally:
            crowd.leave()
        return "made"

    policy = Policy(bulkhead=BULKHEAD)
    tasks = [asyncio.create_task(ops.acall(lambda: inside(), policy=policy)) for _ in range(2)]
    async with asyncio.timeout(LONG):
        while crowd.inside < 2:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.001)
    with pytest.raises(BulkheadFull):
        await ops.acall(lambda: inside(), policy=policy)
    crowd.go.open()
    assert await asyncio.gather(*tasks) == ["made"] * 2


async def test_a_coroutine_that_is_made_too_late_is_closed_and_holds_no_place(
    ops: ToolOps, crowd: Crowd
) -> None:
    async def never() -> None: ...

    def slow() -> Any:
        crowd.plain()
        return never()

    task = asyncio.create_task(ops.acall(slow, policy=Policy(bulkhead=BULKHEAD)))
    async with asyncio.timeout(LONG):
        while not crowd.inside:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


@pytest.mark.parametrize("policy", [{}, {"timeout": Timeout(total=LONG)}])
async def test_a_place_is_not_lost_when_its_caller_is_cancelled_as_it_is_granted(
    ops: ToolOps, policy: dict[str, Any]
) -> None:
    @ops.tool(bulkhead=Bulkhead(1, queue=1), name="granted", **policy)
    async def tool() -> None:
        await asyncio.Event().wait()

    gate = ops._planner.gates.get("granted", Bulkhead(1, queue=1))
    for turns in range(12):
        gate.acquire()
        task = asyncio.create_task(tool())
        async with asyncio.timeout(LONG):
            while not gate.queue_length:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0)
        gate.release()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        for _ in range(12):
            await asyncio.sleep(0)
        assert (gate.occupancy, gate.queue_length) == (0, 0), f"after {turns} turns"


def test_hedges_hold_places_too(ops: ToolOps, crowd: Crowd) -> None:
    calls = []

    @ops.tool(policy=LIMITED, hedge=Hedge(min_calls=1, least=0.001))
    def tool() -> str:
        calls.append(1)
        return "made" if len(calls) == 1 else crowd.plain()

    assert tool() == "made"
    errors = [start(tool).exception(LONG) for _ in range(4)]
    assert {type(error) for error in errors} <= {AttemptTimeout, BulkheadFull}
    assert crowd.most == 2


# When a plain function moves

STAYS = {
    "nothing": {},
    "cache": {"cache": Cache(ttl=60)},
    "coalesce": {"coalesce": True},
    "retry": {"retry": Retry()},
    "bulkhead": {"bulkhead": Bulkhead(2)},
    "pinned": {"timeout": Timeout(attempt=5, total=10, in_thread=False)},
    "pinned, shared": {
        "timeout": Timeout(attempt=5, total=10, in_thread=False),
        "cache": Cache(ttl=60),
        "retry": Retry(),
    },
}
MOVES = {
    "attempt": {"timeout": Timeout(attempt=LONG)},
    "total": {"timeout": Timeout(total=LONG)},
    "both": {"timeout": Timeout(attempt=LONG, total=LONG), "cache": Cache(ttl=60)},
    "hedge": {"hedge": Hedge(min_calls=1)},
}


@pytest.mark.parametrize("deadline", [False, True])
@pytest.mark.parametrize("policy", STAYS.values(), ids=STAYS)
def test_a_function_stays_in_its_callers_thread(
    ops: ToolOps, policy: dict[str, Any], deadline: bool
) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("create table t (n)")

    @ops.tool(name="rows", **policy)
    def rows(n: int) -> list[Any]:
        connection.execute("insert into t values (?)", (n,))
        return connection.execute("select n from t").fetchall()

    @ops.tool(name="each", **policy)
    def each(n: int) -> Iterator[Any]:
        connection.execute("insert into t values (?)", (n,))
        yield from connection.execute("select n from t").fetchall()

    if deadline:
        with ops.deadline(LONG, in_thread=False):
            assert (rows(1), list(each(2))) == ([(1,)], [(1,), (2,)])
    else:
        assert (rows(1), list(each(2))) == ([(1,)], [(1,), (2,)])
    connection.close()


@pytest.mark.parametrize("policy", MOVES.values(), ids=MOVES)
def test_a_function_moves_where_it_has_to_be_left(ops: ToolOps, policy: dict[str, Any]) -> None:
    tool = ops.tool(**policy)(lambda n: threading.get_ident())
    assert [tool(n) for n in range(3)][-1] != threading.get_ident()


def test_a_deadline_keeps_a_function_in_its_callers_thread_where_that_is_asked(
    ops: ToolOps,
) -> None:
    tool = ops.tool(lambda: threading.get_ident())
    shared = ops.tool(coalesce=True)(lambda n: threading.get_ident())
    pinned = ops.tool(timeout=Timeout(in_thread=False))(lambda: threading.get_ident())
    here = threading.get_ident()
    with ops.deadline(LONG, in_thread=False):
        assert tool() == shared(1) == pinned() == here
        with ops.deadline(LONG):  # as around it
            assert tool() == here
    with ops.deadline(LONG):
        assert tool() != here
        assert shared(2) != here
        assert pinned() == here
        with ops.deadline(LONG, in_thread=False):
            assert tool() == here


def test_a_deadline_leaves_a_function_that_runs_in_a_thread_anyway(ops: ToolOps) -> None:
    go = threading.Event()
    for policy in ({}, {"coalesce": True}):
        tool = ops.tool(timeout=Timeout(attempt=LONG), **policy)(lambda: go.wait(LONG))
        with ops.deadline(SHORT), pytest.raises(DeadlineExceeded):
            tool()
    go.set()


def test_a_pinned_function_is_checked_before_each_attempt(ops: ToolOps) -> None:
    made = []

    @ops.tool(
        timeout=Timeout(total=SHORT, in_thread=False),
        retry=Retry(attempts=5, wait=10.0, jitter=None),
    )
    def flaky() -> None:
        made.append(1)
        raise OSError

    with pytest.raises(TotalTimeout):
        flaky()
    assert made == [1]


def test_a_hedge_of_a_function_that_may_not_move_is_refused(ops: ToolOps) -> None:
    with pytest.raises(ConfigurationError, match="hedge"):
        ops.tool(hedge=Hedge(), timeout=Timeout(in_thread=False))(lambda: 1)
    with pytest.raises(ConfigurationError, match="in_thread"):
        Timeout(in_thread="no")  # type: ignore[arg-type]  # that is what is tested

    @ops.tool(hedge=Hedge(), timeout=Timeout(in_thread=False))
    async def coroutine() -> None: ...


def test_a_runtime_that_is_not_active_moves_nothing(ops: ToolOps) -> None:
    tool = ops.tool(timeout=Timeout(attempt=LONG))(lambda: threading.get_ident())
    ops.active = False
    assert tool() == threading.get_ident()


# What a call sets in its context

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
IN_THREADS = {**MOVES, "deadline": {}, "deadline, shared": {"coalesce": True}}
IN_TASKS = {
    "cache": {"cache": Cache(ttl=60)},
    "coalesce": {"coalesce": True},
    "attempt": {"timeout": Timeout(attempt=LONG)},
    "all": {
        "cache": Cache(ttl=60),
        "timeout": Timeout(attempt=LONG, total=LONG),
        "retry": Retry(),
        "hedge": Hedge(min_calls=1, least=LONG),
    },
}


@pytest.mark.parametrize("policy", IN_THREADS.values(), ids=IN_THREADS)
def test_context_variables_of_a_function_in_a_thread_are_set_for_its_caller(
    ops: ToolOps, policy: dict[str, Any]
) -> None:
    @ops.tool(**policy)
    def tool(value: str) -> str:
        before = variable.get()
        variable.set(value)
        return before

    def ask() -> list[str]:
        seen = []
        with ops.deadline(LONG):
            for value in ("a", "b", "c"):
                seen += [tool(value), variable.get()]
        return seen

    assert contextvars.copy_context().run(ask) == ["unset", "a", "a", "b", "b", "c"]


@pytest.mark.parametrize("policy", IN_TASKS.values(), ids=IN_TASKS)
async def test_context_variables_of_a_coroutine_are_set_for_its_caller(
    ops: ToolOps, policy: dict[str, Any]
) -> None:
    @ops.tool(**policy)
    async def tool(value: str) -> str:
        before = variable.get()
        variable.set(value)
        await asyncio.sleep(0)
        return before

    seen = []
    for value in ("a", "b", "c"):
        seen += [await tool(value), variable.get()]
    assert seen == ["unset", "a", "a", "b", "b", "c"]


async def test_context_variables_of_a_function_are_set_for_the_calling_task(ops: ToolOps) -> None:
    await ops.acall(variable.set, "here")
    assert variable.get() == "here"


@pytest.mark.parametrize("policy", IN_TASKS.values(), ids=IN_TASKS)
async def test_context_variables_set_before_an_error_are_set_too(
    ops: ToolOps, policy: dict[str, Any]
) -> None:
    policy = {key: value for key, value in policy.items() if key != "retry"}

    @ops.tool(**policy)
    async def tool() -> None:
        variable.set("failed")
        raise LookupError

    with pytest.raises(LookupError):
        await tool()
    assert variable.get() == "failed"


async def test_nothing_of_a_follower_is_overwritten(ops: ToolOps) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    @ops.tool(coalesce=True)
    async def tool() -> None:
        started.set()
        await release.wait()
        variable.set("the leader's")

    async def ask(mine: str) -> str:
        variable.set(mine)
        await tool()
        return variable.get()

    leader = asyncio.create_task(ask("a"))
    await started.wait()
    follower = asyncio.create_task(ask("b"))
    await asyncio.sleep(0)
    release.set()
    assert await asyncio.gather(leader, follower) == ["the leader's", "b"]


# Closing


def test_closing_waits_for_no_thread_that_hangs(busy: Busy) -> None:
    busy.ops.close()
    asyncio.run(asyncio.wait_for(busy.ops.aclose(), LONG))
    assert busy.inside == 1


EXIT = """
import asyncio, threading
from toolops_plugins import Cache, DeadlineExceeded, Hedge, Timeout, ToolOps

ops, never = ToolOps(max_threads=4), threading.Event()
hung = ops.tool(timeout=Timeout(attempt=0.01))(never.wait)
late = ops.tool(timeout=Timeout(attempt=0.01), name="late")(never.wait)

async def ask():
    tasks = [asyncio.create_task(ops.acall(never.wait)) for _ in range(8)]
    await asyncio.wait(tasks, timeout=0.01)
    for task in tasks:
        task.cancel()
    await ops.aclose()

for tool in (hung, late, hung, late):
    try:
        tool()
    except Exception as error:
        print(type(error).__name__)
asyncio.run(ask())
ops.close()
print("closed")
"""


def test_an_interpreter_with_threads_that_hang_ends() -> None:
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-c", EXIT],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.stdout.splitlines()[-1] == "closed"
    assert ended.returncode == 0
    assert [line for line in ended.stderr.splitlines() if not line.startswith("Calls of")] == []


async def test_closing_waits_for_no_refresh_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_DRAIN_SECONDS", SHORT)
    clock = FakeClock()
    ops = ToolOps("threads", clock=clock)
    ended: list[str] = []
    began = asyncio.Event()

    @ops.tool(cache=Cache(ttl=10, stale_ttl=100, jitter=0))
    async def tool() -> str:
        if clock.monotonic() > 1_000_005:
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("cancelled")
        return "made"

    await tool()
    clock.advance(11)
    assert await tool() == "made"
    await began.wait()
    await ops.aclose()
    assert ended == ["cancelled"]


def test_the_wait_for_a_racer_ends_however_short_it_is(
    ops: ToolOps, spinning_threads: None
) -> None:
    for _ in range(300):
        race = _Race(ops._in_threads(), Pool(), None, lambda _: None, ())
        assert race.next(1e-6) is None
