"""Coalesced callers in any order: every schedule ends for every caller."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from callers import LONG, Latch, Loop, start
from hypothesis import given
from hypothesis import strategies as st
from properties import examples
from servers import wait_for

from toolops_plugins import DeadlineExceeded, ToolOps

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

    def sync_in_a_hurry(self) -> Any:
        with self.ops.deadline(0.001):
            return self.sync()

    async def aio_in_a_hurry(self) -> Any:
        with self.ops.deadline(0.001):
            return await self.aio()


@pytest.fixture(scope="module")
def two_loops() -> Iterator[list[Loop]]:
    made = [Loop(), Loop()]
    yield made
    for loop in made:
        loop.close()


@examples(0.7)
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
            # Callers in a hurry may all have left before the body could begin: then none will.
            wait_for(
                lambda: play.runs or all(call.done() for _, call in calls), "the first run", LONG
            )
        elif step == "thread":
            calls.append((step, start(play.sync)))
        elif step == "hurried thread":
            calls.append((step, start(play.sync_in_a_hurry)))
        elif step in ("loop0", "loop1"):
            calls.append((step, two_loops[int(step[-1])].start(play.aio())))
        elif step == "hurried loop0":
            calls.append((step, two_loops[0].start(play.aio_in_a_hurry())))
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
            assert error.args in [each.args for each in play.errors]
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
