"""A flight lands whatever interrupts its leader, between whichever two instructions that comes."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from callers import LONG, new_runtime, start

from toolops_plugins import Cache, ToolOps, ToolOpsError
from toolops_plugins.coalesce import pulse, starvation, streams


@pytest.fixture
def ops() -> Iterator[ToolOps]:
    yield from new_runtime()


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "PATIENCE", 0.005)
    monkeypatch.setattr(pulse, "SILENCE", 1_000)


in_its_thread = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
"""An interrupt may also strike a thread of the test before or after what it catches."""


class Bombardment:
    """Threads that make calls, in which KeyboardInterrupts strike at random.

    They come as a signal or a debugger brings them, wherever the interpreter looks for them, which
    is after calls and on loops: a tracer would raise between the exit of a block and its lock.

    Args:
        call: Takes a number; what threads do at once for the same numbers.
        threads: How many do it.
        rounds: Numbers that each thread goes through.
    """

    def __init__(self, call: Callable[[int], Any], threads: int, rounds: int) -> None:
        self._call = call
        self._rounds = rounds
        self._over = 0
        self.struck = 0
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def _run(self) -> None:
        numbers = iter(range(self._rounds))
        while True:
            with suppress(KeyboardInterrupt):
                for number in numbers:
                    self._call(number)
                break
        # What was sent last may come still.
        while True:
            with suppress(KeyboardInterrupt):
                self._over += 1
                break

    def run(self, seed: int) -> None:
        draw = random.Random(seed)
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            for thread in self._threads:
                thread.start()
            while alive := [thread for thread in self._threads if thread.is_alive()]:
                victim = draw.choice(alive)
                time.sleep(draw.random() * 1e-3)
                self.struck += ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(victim.ident or 0), ctypes.py_object(KeyboardInterrupt)
                )
        finally:
            sys.setswitchinterval(interval)
        for thread in self._threads:
            thread.join(LONG)


@in_its_thread
def test_callers_that_are_interrupted_anywhere_leave_no_key_that_hangs(ops: ToolOps) -> None:
    @ops.tool(coalesce=True)
    def work(n: int) -> int:
        for _ in range(50):
            pass
        return n

    bombardment = Bombardment(work, 4, 1_500)
    bombardment.run(7)
    assert bombardment.struck > 0
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(1_500), timeout=LONG)) == list(range(1_500))


@pytest.mark.parametrize("death", [KeyboardInterrupt, SystemExit])
async def test_a_body_that_dies_on_a_loop_leaves_no_key_that_hangs(
    ops: ToolOps, death: type[BaseException]
) -> None:
    runs = []

    @ops.tool(coalesce=True)
    async def work() -> int:
        runs.append(1)
        await asyncio.sleep(0)
        if len(runs) == 1:
            raise death
        return len(runs)

    def run() -> BaseException | None:
        try:
            asyncio.run(work())
        except BaseException as error:
            return error
        return None

    assert isinstance(await asyncio.wrap_future(start(run)), death)
    assert await work() == 2


# Streams


@in_its_thread
def test_readers_that_are_interrupted_anywhere_keep_no_part_of_a_stream(ops: ToolOps) -> None:
    wrong = []

    @ops.tool(cache=Cache(ttl=60))
    def numbers(n: int) -> Iterator[int]:
        yield from range(3)

    def read(n: int) -> None:
        try:
            found = list(numbers(n))
        except Exception as error:
            found = [0, 1, 2] if "broke off" in str(error) else [error]
        if found != [0, 1, 2]:
            wrong.append(found)

    bombardment = Bombardment(read, 3, 600)
    bombardment.run(7)
    assert bombardment.struck > 0
    assert not wrong
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(lambda n: list(numbers(n)), range(600), timeout=LONG))
    assert again == [[0, 1, 2]] * 600
    gc.collect()


# What an interrupt leaves, without chance


def test_a_flight_whose_leader_has_gone_is_landed_by_who_waits_for_it(ops: ToolOps) -> None:
    table = ops._shared.flights

    def interrupted() -> None:  # between the table and the work, and once more on its way out
        table._board(key, None, object(), 0)

    @ops.tool(coalesce=True)
    def work() -> int:
        return 1

    key = bytes.fromhex(work.key())
    interrupted()
    assert table.waiting(key) == 1
    assert [call.result(LONG) for call in [start(work) for _ in range(3)]] == [1] * 3


async def test_a_flight_that_never_took_off_is_led_by_the_next_on_its_loop(ops: ToolOps) -> None:
    table = ops._shared.flights

    @ops.tool(coalesce=True)
    async def work() -> int:
        return 1

    table._board(bytes.fromhex(work.key()), asyncio.get_running_loop(), object(), 0)
    assert await work() == 1


async def test_a_flight_that_never_took_off_is_left_by_followers_elsewhere(ops: ToolOps) -> None:
    table = ops._shared.flights

    @ops.tool(name="work", coalesce=True)
    def work() -> int:
        return 1

    @ops.tool(name="work", coalesce=True)
    async def awork() -> int:
        return 1

    table._board(bytes.fromhex(work.key()), asyncio.get_running_loop(), object(), 0)
    callers = [start(work), start(lambda: asyncio.run(awork()))]
    assert [await asyncio.wrap_future(caller) for caller in callers] == [1, 1]


def test_a_generator_whose_pull_was_interrupted_is_broken_off(ops: ToolOps) -> None:
    recording = streams.Recording(lambda: iter([1, 2]), ops.codec, shares=True)  # type: ignore[arg-type, return-value]  # as good as a generator here
    readers = [object(), object()]
    assert all(recording.join(reader) for reader in readers)
    recording._pulling = True
    for reader in readers:
        with pytest.raises(ToolOpsError, match="broke off"):
            next(recording.read(reader))


def test_a_leader_in_a_greenlet_that_waits_is_no_lost_leader(ops: ToolOps) -> None:
    greenlet = pytest.importorskip("greenlet")
    places = []

    def lead() -> None:
        places.append(starvation.Place())
        greenlet.getcurrent().parent.switch()

    led = greenlet.greenlet(lead)
    led.switch()
    assert places[0].is_occupied()
    assert start(places[0].is_occupied).result(LONG)
    led.switch()
    assert not places[0].is_occupied()
