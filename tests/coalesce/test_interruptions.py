"""Flights whose leader is interrupted, between any two instructions."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import pytest
from callers import LONG, start

from toolops_plugins import ToolOps, ToolOpsError
from toolops_plugins.coalesce import loop_liveness, starvation, streams
from toolops_plugins.coalesce.flight import Flight
from toolops_plugins.coalesce.starvation import ThreadCall


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_liveness, "PATIENCE", 0.005)
    monkeypatch.setattr(loop_liveness, "SILENCE", 1_000)


# In CPython 3.14 an interrupt can come between the `__enter__` of a lock and the body of `with`,
# so that any lock may stay held (python/cpython#148874, fixed in 3.15).
if sys.version_info[:2] != (3, 14):

    def test_interrupts_anywhere_leave_no_key_that_hangs(root: Path) -> None:
        seed = random.SystemRandom().randrange(10**6)
        ended = subprocess.run(
            [sys.executable, root / "tests/bombardment.py", str(seed)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == 0, f"seed {seed}: {ended.stdout}{ended.stderr[-4_000:]}"
        assert ended.stdout.count("interrupts") == 3


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


# What an interrupt leaves, without chance


def test_a_flight_whose_leader_has_gone_is_ended_by_a_waiting_caller(ops: ToolOps) -> None:
    table = ops._shared.flights

    def interrupt() -> None:  # between the table and the work, and once more on its way out
        table.lead(Flight(key, None, ThreadCall()))

    @ops.tool(coalesce=True)
    def work() -> int:
        return 1

    key = bytes.fromhex(work.key())
    interrupt()
    assert table.count_callers(key) == 1
    assert [call.result(LONG) for call in [start(work) for _ in range(3)]] == [1] * 3


async def test_a_flight_that_never_took_off_is_led_by_the_next_on_its_loop(ops: ToolOps) -> None:
    table = ops._shared.flights

    @ops.tool(coalesce=True)
    async def work() -> int:
        return 1

    table.lead(Flight(bytes.fromhex(work.key()), asyncio.get_running_loop()))
    assert await work() == 1


async def test_a_flight_that_never_took_off_is_left_by_followers_elsewhere(ops: ToolOps) -> None:
    table = ops._shared.flights

    @ops.tool(name="work", coalesce=True)
    def work() -> int:
        return 1

    @ops.tool(name="work", coalesce=True)
    async def awork() -> int:
        return 1

    table.lead(Flight(bytes.fromhex(work.key()), asyncio.get_running_loop()))
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


def test_a_leader_in_a_greenlet_that_waits_is_no_dead_leader(ops: ToolOps) -> None:
    greenlet = pytest.importorskip("greenlet")
    places = []

    def lead() -> None:
        places.append(starvation.ThreadCall())
        greenlet.getcurrent().parent.switch()

    led = greenlet.greenlet(lead)
    led.switch()
    assert places[0].is_on_stack()
    assert start(places[0].is_on_stack).result(LONG)
    led.switch()
    assert not places[0].is_on_stack()
