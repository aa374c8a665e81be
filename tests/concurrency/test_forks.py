"""A forked child starts empty, whatever threads, tasks and callers its parent had."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from callers import LONG, Latch, Loop, in_child, new_loops, start
from servers import wait_for

import toolops_plugins
from toolops_plugins import (
    Bulkhead,
    Cache,
    CircuitBreaker,
    RateLimit,
    Timeout,
    ToolOps,
    default_runtime,
)
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import CircuitOpen
from toolops_plugins.resilience.bulkhead import Gate
from toolops_plugins.testing import FakeClock

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


@pytest.fixture
def ops() -> Iterator[ToolOps]:
    with ToolOps("forks") as ops:
        yield ops


@pytest.fixture
def loops() -> Iterator[Callable[[], Loop]]:
    yield from new_loops()


class Held:
    """A tool, plain or not, whose calls in the parent wait until they are let go."""

    def __init__(self, ops: ToolOps, **policy: Any) -> None:
        self.ops = ops
        self.parent = os.getpid()
        self.inside = 0
        self.go = Latch()

        @ops.tool(name="hold", **policy)
        def plain(n: int = 0) -> int:
            if os.getpid() == self.parent:
                self.inside += 1
                self.go.wait()
            return n

        @ops.tool(name="hold", **policy)
        async def coroutine(n: int = 0) -> int:
            if os.getpid() == self.parent:
                self.inside += 1
                await self.go.opened()
            return n

        self.plain, self.coroutine = plain, coroutine

    def gate(self) -> Gate:
        found = self.ops._planner.gates.find("hold")
        assert found is not None
        return found


@pytest.fixture
def hold(ops: ToolOps) -> Iterator[Callable[..., Held]]:
    made: list[Held] = []

    def make(**policy: Any) -> Held:
        made.append(Held(ops, **policy))
        return made[-1]

    yield make
    for one in made:
        one.go.open()


@pytest.mark.parametrize("queue", [0, 5])
@pytest.mark.parametrize("timeout", [None, Timeout(attempt=LONG)])
def test_a_bulkhead_is_empty_in_a_forked_child(
    hold: Callable[..., Held], loops: Callable[[], Loop], queue: int, timeout: Timeout | None
) -> None:
    tool = hold(bulkhead=Bulkhead(2, queue=queue), timeout=timeout)
    callers = [start(tool.plain)]
    loop = loops()
    callers.append(loop.start(tool.coroutine()))
    wait_for(lambda: tool.inside == 2, "two inside", LONG)
    if queue:
        callers += [start(tool.plain), loop.start(tool.coroutine())]
        wait_for(lambda: tool.gate().queue_length == 2, "two waiting", LONG)

    def child() -> bool:
        here = [tool.plain(n) for n in range(3)]
        there = asyncio.run(tool.coroutine(7))
        gate = tool.gate()
        return (here, there) == ([0, 1, 2], 7) and gate.occupancy == gate.queue_length == 0

    assert in_child(child) == 0
    tool.go.open()
    assert [caller.result(LONG) for caller in callers] == [0] * len(callers)
    assert tool.gate().occupancy == 0


def test_a_caller_that_forks_inside_a_bulkhead_leaves_it_in_both_processes(ops: ToolOps) -> None:
    codes: list[int] = []

    @ops.tool(bulkhead=Bulkhead(1), name="fork_inside")
    def fork_inside(deep: int) -> int:
        if deep:
            codes.append(in_child(lambda: fork_inside(deep - 1) == deep - 1))
        return deep

    gate_of = ops._planner.gates.find
    assert fork_inside(2) == 2
    gate = gate_of("fork_inside")
    assert gate is not None
    assert gate.occupancy == 0
    assert codes == [0]


def test_a_child_that_goes_on_in_a_body_gives_back_no_place_of_its_own() -> None:
    gate = Gate(Bulkhead(2), "x")
    with gate:
        place, era = gate.place(), gate.era

        def child() -> bool:
            with gate:
                place.release()  # taken in the parent
                gate.release_from(era)
                if gate.occupancy != 1:
                    return False
            gate.release()  # taken in the parent, by who does not say so
            try:
                gate.release()
            except RuntimeError:
                return gate.occupancy == 0
            return False

        assert in_child(child) == 0
        assert gate.occupancy == 1
    assert gate.occupancy == 0


@pytest.mark.parametrize("algorithm", ["token_bucket", "sliding_window"])
def test_a_rate_limit_keeps_what_was_spent_and_forgets_the_line(
    ops: ToolOps, algorithm: Any
) -> None:
    clock = FakeClock()
    limiter = ToolOps(clock=clock).limiter(RateLimit("2/10s", algorithm=algorithm), "x")
    line = [limiter.reserve() for _ in range(9)]
    line[5].cancel()

    def child() -> bool:
        first = limiter.reserve().delay
        return 0 < first <= 10

    assert in_child(child) == 0
    assert limiter.reserve().delay == pytest.approx(line[5].delay)


def test_the_probes_of_a_breaker_have_their_places_back() -> None:
    clock = FakeClock()
    ops = ToolOps(clock=clock)
    breaker = ops._breaker(CircuitBreaker(window=1, open_for=5, probes=2), "x")
    breaker.admit().fail(OSError(), 0.0)
    clock.advance(6)
    under_way = [breaker.admit(), breaker.admit()]

    def child() -> bool:
        for _ in range(2):
            breaker.admit().succeed(0.1)
        return breaker.state == "closed"

    assert in_child(child) == 0
    for permit in under_way:
        permit.succeed(0.1)
    assert breaker.state == "closed"


def test_a_breaker_that_was_forked_in_the_middle_of_a_change_asks_again() -> None:
    clock = FakeClock()
    breaker = ToolOps(clock=clock)._breaker(CircuitBreaker(window=1), "x")
    breaker.admit().fail(OSError(), 0.0)
    breaker._state.common_ticket = 0  # type: ignore[attr-defined]  # as it was before

    def child() -> bool:
        try:
            breaker.admit()
        except CircuitOpen:
            return True
        return False

    assert in_child(child) == 0


def test_a_busy_flight_and_thread_block_no_caller_in_the_child(
    hold: Callable[..., Held],
) -> None:
    tool = hold(cache=Cache(ttl=60), timeout=Timeout(attempt=LONG))
    callers = [start(tool.plain, n) for n in range(3)]
    wait_for(lambda: tool.inside == 3, "three under way", LONG)
    assert in_child(lambda: [tool.plain(n) for n in range(4)] == [0, 1, 2, 3]) == 0
    tool.go.open()
    assert [caller.result(LONG) for caller in callers] == [0, 1, 2]


def test_coroutines_of_the_parent_clean_nothing_up_in_the_child(
    ops: ToolOps, hold: Callable[..., Held], loops: Callable[[], Loop]
) -> None:
    """Their connections are the parent's; and nobody is warned of tasks that never end."""
    parent = os.getpid()
    wrong: list[str] = []
    answers: list[int] = []
    tool = hold(bulkhead=Bulkhead(1, queue=5))

    @ops.tool(cache=Cache(ttl=0.001, stale_ttl=60, beta=0))
    async def answer(n: int) -> int:
        if not answers:
            return n
        try:
            return await tool.coroutine(n)
        finally:
            if os.getpid() != parent:
                wrong.append("cleaned up")

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            wrong.append(record.getMessage())

    def child() -> bool:
        logging.getLogger("asyncio").addHandler(Handler())
        gc.collect()
        return not wrong

    loop = loops()
    inside = loop.start(tool.coroutine(0))
    wait_for(lambda: tool.inside == 1, "one who has the place", LONG)

    def refreshes() -> bool:
        answers.append(loop.start(answer(1)).result(LONG))
        return tool.gate().queue_length == 1

    wait_for(refreshes, "a refresh that waits for the place", LONG)
    assert in_child(child) == 0
    tool.go.open()
    assert inside.result(LONG) == 0
    assert set(answers) == {1}


def test_locks_that_other_threads_hold_are_free_in_the_child(ops: ToolOps) -> None:
    class Owner:
        def __init__(self) -> None:
            self.begun = 0
            self._lock = fork_safe(self, threading.Lock())
            self._other = fork_safe(self, threading.RLock(), "_other")

        def reset_after_fork(self) -> None:
            # All locks are free already, those of others too.
            with self._lock, self._other, default_runtime._lock:
                self.begun += 1

    owner = Owner()
    taken, go = threading.Event(), threading.Event()

    def hold() -> None:
        with owner._lock, owner._other, default_runtime._lock:
            taken.set()
            go.wait(LONG)

    holder = start(hold)
    taken.wait(LONG)

    def child() -> bool:
        toolops_plugins.get_default()
        return owner.begun >= 1 and owner._lock.acquire(timeout=1)

    try:
        assert in_child(child) == 0
    finally:
        go.set()
    holder.result(LONG)
    assert owner.begun == 0
    assert sys.modules[default_runtime.__name__] is default_runtime
