"""Blocks in which each call is made anew: nothing from before answers it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from callers import LONG, Latch, start
from servers import Server, start_valkey, wait_for

from toolops_plugins import Cache, CallEvent, Memory, Redis, Semantic, SemanticCache, ToolOps
from toolops_plugins.policy import NOTHING
from toolops_plugins.testing import FakeClock

FACES = pytest.mark.parametrize("face", ["sync", "async", "stream", "astream"])
KEPT = Cache(ttl=60, jitter=0, beta=0)


class Prices:
    """A tool that counts its runs, and returns the number of each.

    Args:
        ops: The runtime.
        face: How it is called.
        policy: Its policy. Default: results are kept for a minute.
    """

    def __init__(self, ops: ToolOps, face: str, **policy: Any) -> None:
        self.runs: list[str] = []
        self.error: Exception | None = None
        self.face = face
        wrap = ops.tool(name=f"price {face[-6:]}", **(policy or {"cache": KEPT}))

        def run(question: str) -> int:
            self.runs.append(question)
            if self.error is not None:
                raise self.error
            return len(self.runs)

        async def arun(question: str) -> int:
            return run(question)

        def stream(question: str) -> Iterator[int]:
            yield run(question)

        async def astream(question: str) -> Any:
            yield run(question)

        faces = {"sync": run, "async": arun, "stream": stream, "astream": astream}
        self.tool: Any = wrap(faces[face])

    def __call__(self, question: str = "q") -> int:
        if self.face.startswith("a"):
            return asyncio.run(self.ask(question))
        result = self.tool(question)
        return int(next(iter(list(result))) if self.face == "stream" else result)

    async def ask(self, question: str = "q") -> int:
        """Call it on this event loop, or in a thread."""
        if not self.face.startswith("a"):
            return await asyncio.to_thread(self, question)
        result = self.tool(question)
        if self.face == "async":
            return int(await result)
        (item,) = [item async for item in result]
        return int(item)


@FACES
def test_a_call_is_made_anew_and_its_result_stays(ops: ToolOps, face: str) -> None:
    price = Prices(ops, face)
    assert [price(), price()] == [1, 1]
    with ops.force_refresh():
        assert price() == 2
    assert [price(), len(price.runs)] == [2, 2]


@FACES
def test_equal_calls_of_one_block_are_made_once(ops: ToolOps, face: str) -> None:
    price = Prices(ops, face)
    price()

    async def ask_all() -> list[int]:
        return await asyncio.gather(*(price.ask() for _ in range(20)))

    with ops.force_refresh():
        assert set(asyncio.run(ask_all())) == {2}
        assert price() == 2
    with ops.force_refresh():
        assert price() == 3


@FACES
def test_every_tier_and_process_gets_the_new_result(valkey: Server, face: str) -> None:
    with (
        ToolOps("regenerate", [Memory(), Redis(valkey.url)]) as one,
        ToolOps("regenerate", [Memory(), Redis(valkey.url)]) as other,
    ):
        here, there = Prices(one, face), Prices(other, face)
        assert [here(), there(), there()] == [1, 1, 1]
        assert not there.runs
        wait_for(lambda: other._shared.bus.ready.is_set(), "its subscription")
        with one.force_refresh():
            assert here() == 2
        wait_for(lambda: there() == 2, "the new result in the other process's memory")
        assert not there.runs
        one.clear()


@FACES
def test_an_error_reaches_the_caller(face: str) -> None:
    clock = FakeClock()
    with ToolOps("regenerate", clock=clock) as ops:
        price = Prices(ops, face, cache=Cache(ttl=60, stale_if_error=3600, jitter=0, beta=0))
        price()
        price.error = OSError("away")
        with pytest.raises(OSError, match="away"), ops.force_refresh():
            price()
        price.error = None
        assert price() == 3


def test_an_error_that_is_stored_is_forgotten_too(ops: ToolOps) -> None:
    price = Prices(ops, "sync", cache=Cache(ttl=60, negative=OSError, negative_ttl=60))
    price.error = OSError("away")
    for _ in range(2):
        with pytest.raises(OSError, match="away"):
            price()
    assert len(price.runs) == 1
    price.error = None
    with ops.force_refresh():
        assert price() == 2


def test_a_call_that_is_under_way_is_neither_joined_nor_stored(ops: ToolOps) -> None:
    begun, release, runs = Latch(), Latch(), []

    @ops.tool(cache=KEPT)
    def price(question: str) -> str:
        runs.append(question)
        if len(runs) == 1:
            begun.open()
            release.wait()
            return "old"
        return "new"

    slow = start(price, "q")
    begun.wait()
    with ops.force_refresh():
        assert price("q") == "new"
    release.open()
    assert slow.result(LONG) == "old"
    assert [price("q"), len(runs)] == ["new", 2]


def test_only_what_the_block_starts_is_made_anew(ops: ToolOps) -> None:
    price = Prices(ops, "async")
    entered, leave = threading.Event(), threading.Event()

    async def inside() -> list[int]:
        with ops.force_refresh():
            in_task = await asyncio.create_task(price.ask())
            in_thread = await asyncio.to_thread(lambda: asyncio.run(price.ask("other")))
            entered.set()
            await asyncio.to_thread(leave.wait, LONG)
            return [in_task, in_thread]

    assert [price(), price("other")] == [1, 2]
    block = start(lambda: asyncio.run(inside()))
    assert entered.wait(LONG)
    assert [price(), price("other"), len(price.runs)] == [3, 4, 4]  # of the block, and no more
    with ToolOps("calls") as another:
        mine = Prices(another, "async")
        with ops.force_refresh():
            assert [mine(), mine()] == [1, 1]
    leave.set()
    assert block.result(LONG) == [3, 4]


def test_a_block_that_is_left_in_another_context_is_over_everywhere(ops: ToolOps) -> None:
    price = Prices(ops, "sync")
    price()

    @contextmanager
    def fixture() -> Iterator[None]:
        with ops.force_refresh():
            yield

    async def enter_and_leave() -> list[int]:
        block = fixture()
        await asyncio.create_task(_run(block.__enter__))
        seen = [await price.ask()]  # this task was never inside
        await asyncio.create_task(_run(lambda: block.__exit__(None, None, None)))
        return [*seen, await price.ask()]

    assert asyncio.run(enter_and_leave()) == [1, 1]
    assert not ops._shared.forced_refreshes


async def _run(function: Callable[[], Any]) -> None:
    function()


def test_blocks_within_blocks(ops: ToolOps) -> None:
    price = Prices(ops, "sync")
    price()
    with ops.force_refresh():
        assert price() == 2
        with ops.force_refresh():
            assert [price(), price()] == [3, 3]
        assert price() == 3
    assert price() == 3


@pytest.mark.parametrize("aio", [False, True], ids=["sync", "async"])
def test_a_cache_aside_misses_once(ops: ToolOps, *, aio: bool) -> None:
    aside = ops.aside(name="vectors", cache=KEPT)(lambda text: None)
    aside.store("old", "q")
    assert aside.lookup("q") == "old"

    async def renew() -> None:
        if aio:
            assert await aside.alookup("q") is NOTHING
            await aside.astore("new", "q")
        else:
            assert aside.lookup("q") is NOTHING
            aside.store("new", "q")
        assert aside.lookup("q") == "new"

    with ops.force_refresh():
        asyncio.run(renew())
    assert aside.lookup("q") == "new"


def test_no_answer_to_other_words_is_served(tmp_path) -> None:
    with ToolOps("regenerate", semantic=SemanticCache(tmp_path)) as ops:
        price = Prices(ops, "sync", cache=KEPT, semantic=Semantic(on="question", threshold=0.9))
        first, other = "What is the capital of France?", "what is the capital of france"
        assert [price(first), price(other)] == [1, 1]
        with ops.force_refresh():
            assert price(other) == 2
            assert price(first) == 3
        assert [price(other), price(first)] == [2, 3]
        with ops.force_refresh():
            assert price(first) == 4
        assert [price(first), len(price.runs)] == [4, 4]


@FACES
def test_a_call_whose_result_cannot_be_forgotten_is_made_and_not_stored(
    tmp_path, face: str
) -> None:
    server = start_valkey(tmp_path)
    events: list[CallEvent] = []
    try:
        tiers = [Memory(), Redis(server.url)]
        with ToolOps("regenerate", tiers, sinks=[events.append]) as ops:
            price = Prices(ops, face)
            price()
            server.stop()
            with ops.force_refresh():
                assert [price(), price()] == [2, 3]
            assert [event.outcome for event in events] == ["miss", "bypass", "bypass"]
            assert {event.reason for event in events[1:]} == {"not_forgotten"}
    finally:
        server.stop()
