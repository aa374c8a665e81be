"""Background refreshes whose event loop ends, stops or blocks before they are done."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from callers import LONG, Latch, Loop, new_loops, start
from servers import wait_for

from toolops_plugins import Cache, ToolOps
from toolops_plugins.coalesce import loop_liveness
from toolops_plugins.testing import FakeClock


@pytest.fixture
def loops() -> Iterator[Callable[[], Loop]]:
    yield from new_loops()


class Prices:
    """A tool whose results are stale after a minute, and whose runs end when they are let."""

    def __init__(self, **cache: Any) -> None:
        self.clock = FakeClock()
        self.ops = ToolOps("refresh", clock=self.clock)
        self.begun = 0
        self.ended = 0
        self.turns = 0
        self.error: Exception | None = None
        self.held = Latch()
        self.held.open()
        policy = Cache(**{"ttl": 60, "stale_ttl": 3600, "jitter": 0, "beta": 0, **cache})

        @self.ops.tool(name="price", cache=policy)
        def in_thread() -> int:
            return self._end(self._begin())

        @self.ops.tool(name="price", cache=policy)
        async def on_loop() -> int:
            number = self._begin()
            for _ in range(self.turns):
                await asyncio.sleep(0)
            await self.held.opened()
            return self._end(number)

        self.sync, self.aio = in_thread, on_loop

    def _begin(self) -> int:
        self.begun += 1
        return self.begun

    def _end(self, number: int) -> int:
        if self.error is not None:
            raise self.error
        self.ended += 1
        return number

    async def request(self) -> int:
        value: int = await self.aio()
        for _ in range(10):  # so that what was begun behind its back gets to its body
            await asyncio.sleep(0)
        return value

    def age(self) -> None:
        self.clock.advance(61)


def test_a_loop_for_each_call_is_served_fresh_results_within_a_few_calls() -> None:
    prices = Prices()
    prices.turns = 50
    values = []
    for _ in range(9):
        values.append(asyncio.run(prices.request()))
        prices.age()
    # Stale once, while a refresh was begun that ended with its loop; then fetched by the next.
    assert values == [1, 1, 3, 3, 5, 5, 7, 7, 9]
    assert prices.ended == 5


def test_a_refresh_that_was_cancelled_before_its_first_step_is_made_up_for() -> None:
    prices = Prices()
    prices.turns = 50

    async def ask() -> int:
        value: int = await prices.aio()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        return value

    assert asyncio.run(ask()) == 1
    prices.age()
    assert asyncio.run(ask()) == 1
    assert prices.begun == 1
    assert asyncio.run(ask()) == 2


def test_the_next_caller_of_any_kind_fetches() -> None:
    prices = Prices()
    prices.turns = 50
    assert asyncio.run(prices.request()) == 1
    prices.age()
    assert asyncio.run(prices.request()) == 1
    assert prices.sync() == 3
    assert prices.sync() == 3


def test_many_next_callers_fetch_once(loops: Callable[[], Loop]) -> None:
    prices = Prices()
    prices.turns = 50
    asyncio.run(prices.request())
    prices.age()
    asyncio.run(prices.request())
    prices.held = Latch()
    loop = loops()
    calls = [loop.start(prices.aio()) for _ in range(5)]
    key = bytes.fromhex(prices.aio.key())
    wait_for(lambda: prices.ops._shared.flights.count_callers(key) == 5, "five aboard", LONG)
    prices.held.open()
    assert [call.result(LONG) for call in calls] == [3] * 5


def test_a_foreground_fetch_that_fails_leaves_the_stale_result() -> None:
    prices = Prices()
    prices.turns = 50
    asyncio.run(prices.request())
    prices.age()
    asyncio.run(prices.request())
    prices.error = LookupError()
    assert asyncio.run(prices.request()) == 1
    prices.error = None
    prices.turns = 0

    async def refresh() -> int:
        stale = await prices.aio()
        await prices.ops.aclose()  # waits for what goes on in the background
        return stale

    assert asyncio.run(refresh()) == 1
    assert prices.ended == 2


def test_a_fresh_result_is_not_refreshed_ahead_again_and_again() -> None:
    prices = Prices(beta=1e9)
    prices.turns = 50
    prices._end = lambda number: (prices.clock.advance(1), number)[1]
    assert asyncio.run(prices.request()) == 1
    prices.clock.advance(50)
    assert [asyncio.run(prices.request()) for _ in range(5)] == [1] * 5
    assert prices.begun == 2
    prices.age()
    assert asyncio.run(prices.request()) == 3


def test_a_long_lived_loop_refreshes_in_the_background(loops: Callable[[], Loop]) -> None:
    prices = Prices()
    loop = loops()
    assert loop.start(prices.aio()).result(LONG) == 1
    for number in range(1, 4):
        prices.age()
        assert loop.start(prices.aio()).result(LONG) == number
        wait_for(lambda: prices.ended == number + 1, "the refresh", LONG)  # noqa: B023 - at once


@pytest.mark.parametrize("ending", ["stopped", "closed"])
def test_a_loop_that_has_stopped_in_mid_refresh_does_not_hold_the_key(ending: str) -> None:
    prices = Prices()
    prices.turns = 50
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    assert loop.run_until_complete(prices.request()) == 1
    prices.age()
    assert loop.run_until_complete(prices.request()) == 1
    if ending == "closed":
        for task in asyncio.all_tasks(loop):
            task._log_destroy_pending = False
        loop.close()
    assert prices.sync() == 3
    if ending == "stopped":
        tasks = asyncio.all_tasks(loop)
        loop.run_until_complete(asyncio.wait(tasks))
        loop.close()
    assert prices.sync() in (2, 3)


def hold_refresh(prices: Prices, loop: Loop) -> None:
    """Start a refresh on a loop, and hold it until ``prices.held`` is opened."""
    assert loop.start(prices.aio()).result(LONG) == 1
    prices.age()
    prices.held = Latch()
    assert loop.start(prices.aio()).result(LONG) == 1
    wait_for(lambda: prices.begun == 2, "the refresh", LONG)


@pytest.mark.allow_blocking("that a loop is blocked is the subject")
def test_a_loop_that_is_blocked_does_not_hold_the_key(
    loops: Callable[[], Loop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_liveness, "PATIENCE", 0.001)
    prices, loop = Prices(), loops()
    hold_refresh(prices, loop)
    blocked, release = threading.Event(), threading.Event()
    loop.loop.call_soon_threadsafe(lambda: (blocked.set(), release.wait(LONG)))
    blocked.wait(LONG)
    wait_for(lambda: prices.sync() == 3, "a fetch in the foreground", LONG)
    prices.held.open()
    release.set()


def test_a_refresh_on_a_loop_that_turns_is_left_alone(
    loops: Callable[[], Loop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_liveness, "PATIENCE", 0.5)
    prices, loop = Prices(), loops()
    hold_refresh(prices, loop)
    assert [start(prices.sync).result(LONG) for _ in range(20)] == [1] * 20
    prices.held.open()
    wait_for(lambda: prices.sync() == 2, "the refreshed result", LONG)
