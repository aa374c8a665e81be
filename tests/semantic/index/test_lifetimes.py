"""Lifetimes of rows under clocks that differ or are set."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chroma_servers import ChromaServer, make_row

from toolops_plugins import Cache, Semantic, SemanticCache, ToolOps
from toolops_plugins.semantic.index import shared
from toolops_plugins.semantic.index.lifetimes import Lifetimes
from toolops_plugins.testing import FakeClock

FRANCE = "What is the capital of France?"
AGAIN = "what's the capital of France"
YEAR = 365 * 86_400.0


class Shifted(FakeClock):
    """A clock whose wall can be set without any time passing."""

    def __init__(self, ahead: float = 0.0) -> None:
        super().__init__()
        self.ahead = ahead

    def time(self) -> float:
        return super().time() + self.ahead


def make_tool(ops: ToolOps, ttl: float = 60.0) -> tuple[Any, list[str]]:
    asked: list[str] = []

    @ops.readonly(
        name="ask",
        cache=Cache(ttl=ttl, jitter=0.0, beta=0.0),
        semantic=Semantic(on="question", threshold=0.8),
    )
    def ask(question: str) -> int:
        asked.append(question)
        return len(asked)

    return ask, asked


@pytest.mark.parametrize("turn", [-3_600.0, -YEAR, 30.0])
def test_a_wall_clock_that_is_set_prolongs_nothing(tmp_path: Path, turn: float) -> None:
    clock = Shifted()
    with ToolOps("t", semantic=SemanticCache(tmp_path, near_ttl=1.0), clock=clock) as ops:
        ask, asked = make_tool(ops)
        ask(FRANCE)
        clock.ahead = turn
        clock.advance(59)
        clock.advance(2)
        ask(AGAIN)
        assert asked == [FRANCE, AGAIN]


@pytest.fixture
def write_ahead(tmp_path: Path) -> Iterator[Any]:
    """Return a function that writes an answer by another host's clock and reopens the folder."""

    def write(ahead: float, ttl: float = 60.0) -> tuple[Any, list[str], Shifted]:
        with ToolOps("t", semantic=SemanticCache(tmp_path), clock=Shifted(ahead)) as other:
            make_tool(other, ttl)[0](FRANCE)
        shared._by_place.clear()  # as if that had been another process
        clock = Shifted()
        ops = ToolOps("t", semantic=SemanticCache(tmp_path, near_ttl=5.0), clock=clock)
        made.append(ops)
        ask, asked = make_tool(ops, ttl)
        return ask, asked, clock

    made: list[ToolOps] = []
    yield write
    for ops in made:
        ops.close()


@pytest.mark.parametrize("ahead", [0.0, 300.0, 3_000.0])
def test_a_writer_whose_clock_is_ahead_prolongs_nothing(write_ahead: Any, ahead: float) -> None:
    ask, asked, clock = write_ahead(ahead)
    assert (ask(AGAIN), asked) == (1, [])
    clock.advance(59)
    assert (ask(AGAIN), asked) == (1, [])
    clock.advance(2)
    ask(AGAIN)
    assert asked == [AGAIN]


@pytest.mark.parametrize("ahead", [2 * 3_600.0, YEAR])
def test_a_writer_whose_clock_is_far_ahead_is_not_believed(write_ahead: Any, ahead: float) -> None:
    ask, asked, _ = write_ahead(ahead)
    ask(AGAIN)
    assert asked == [AGAIN]


def test_a_writer_whose_clock_is_behind_shortens_a_life_at_most(write_ahead: Any) -> None:
    ask, asked, clock = write_ahead(-30.0)
    assert (ask(AGAIN), asked) == (1, [])
    clock.advance(31)
    ask(AGAIN)
    assert asked == [AGAIN]


def test_rows_on_a_server_end_too(chroma_server: ChromaServer, collection: str) -> None:
    options: dict[str, Any] = {"url": chroma_server.url, "collection": collection, "timeout": 40}
    other = SemanticCache(clock=Shifted(300.0), **options)
    other.put(FRANCE, "Paris", ttl=60)
    other.flush()
    clock = Shifted()
    cache = SemanticCache(clock=clock, **options)
    assert cache.find(AGAIN).value == "Paris"
    clock.advance(59)
    assert asyncio.run(_find(cache)) == "Paris"
    clock.ahead = -100.0
    clock.advance(2)
    assert cache.find(AGAIN) is None
    other.close()
    cache.close()


async def _find(cache: SemanticCache) -> Any:
    match = await cache.afind(AGAIN)
    await cache.aclose()
    return None if match is None else match.value


def test_what_is_remembered_of_rows_from_the_future_is_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr("toolops_plugins.semantic.index.lifetimes._MOST", 3)
    clock = FakeClock()
    lifetimes = Lifetimes(clock)
    for number in range(9):
        row = make_row(number, created=clock.time() + 60.0, expires=clock.time() + 90.0)
        assert lifetimes.left(row) == pytest.approx(30.0)
    assert len(lifetimes._seen) == 3
    assert lifetimes.left(make_row(1)) == math.inf
