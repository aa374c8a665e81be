"""An answer that was invalidated is not served, whatever was under way at that time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from callers import LONG, Latch, start
from servers import wait_for

from toolops_plugins import Semantic, SemanticCache, ToolOps

FRANCE = "What is the capital of France?"
AGAIN = "what's the capital of France"
PLEASE = "Tell me the capital of France, please."


@pytest.fixture
def ops(tmp_path: Path) -> Iterator[ToolOps]:
    with ToolOps("invalid", semantic=SemanticCache(tmp_path / "index")) as runtime:
        yield runtime


class Held:
    """A tool whose runs have different answers, and of which the first waits."""

    def __init__(self, ops: ToolOps) -> None:
        self.started, self.release = Latch(), Latch()
        number = itertools.count(1)

        @ops.readonly(
            retry=None, semantic=Semantic(on="question", threshold=0.5), tags=["asked:{question}"]
        )
        def ask(question: str) -> int:
            mine = next(number)
            if mine == 1:
                self.started.open()
                self.release.wait()
            return mine

        self.ask = ask


def by_key(ops: ToolOps, held: Held, question: str) -> None:
    held.ask.invalidate(question)


def by_tag(ops: ToolOps, held: Held, question: str) -> None:
    ops.invalidate([f"asked:{question}"])


def by_clear(ops: ToolOps, held: Held, question: str) -> None:
    ops.clear()


WAYS = [by_key, by_tag, by_clear]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("invalidated", [FRANCE, AGAIN])
def test_nobody_joins_a_call_in_other_words_after_its_invalidation(ops, way, invalidated):
    held = Held(ops)
    first = start(held.ask, FRANCE)
    held.started.wait()
    joined = start(held.ask, AGAIN)
    flights = ops._shared.flights
    key = bytes.fromhex(held.ask.key(FRANCE))
    wait_for(lambda: flights.count_callers(key) == 2, "the second question joins", LONG)
    way(ops, held, invalidated)
    later = start(held.ask, AGAIN)
    assert later.result(LONG) == 2  # while the first one is still under way
    held.release.open()
    assert first.result(LONG) == joined.result(LONG) == 1  # they began before
    assert held.ask(AGAIN) == 2
    if invalidated == FRANCE:
        assert held.ask(PLEASE) == 2


def test_what_joins_and_leaves_leaves_nothing_behind(ops):
    held = Held(ops)
    first = start(held.ask, FRANCE)
    held.started.wait()
    joined = start(held.ask, AGAIN)
    in_flight = ops.semantic.answers.in_flight
    key = bytes.fromhex(held.ask.key(FRANCE))
    wait_for(lambda: ops.semantic.list_joiners([key]), "the second question joins", LONG)
    assert ops.semantic.list_joiners([bytes(32)]) == []
    held.release.open()
    assert first.result(LONG) == joined.result(LONG) == 1
    wait_for(lambda: not in_flight._joined and not in_flight._under_way, "both have left", LONG)


@pytest.mark.parametrize("way", WAYS)
def test_an_entry_that_is_invalidated_while_the_judge_thinks_is_not_served(tmp_path, way):
    asked, answer = Latch(), Latch()

    def judge(question: str, cached: Any, fresh: Any) -> bool:
        if fresh is None:
            asked.open()
            answer.wait()
        return True

    semantic = SemanticCache(tmp_path, judge=judge, judge_band=1.0, judge_timeout=LONG)
    with ToolOps("invalid", semantic=semantic) as ops:
        held = Held(ops)
        held.release.open()
        assert held.ask(FRANCE) == 1
        caller = start(held.ask, AGAIN)
        asked.wait()
        way(ops, held, FRANCE)
        answer.open()
        assert caller.result(LONG) == 2
