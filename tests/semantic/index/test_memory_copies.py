"""The copies of an answer in the memory tier, which are deleted with their entry."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from callers import LONG
from servers import Server, wait_for

from toolops_plugins import Cache, Memory, Policy, Redis, Semantic, SemanticCache, ToolOps
from toolops_plugins.semantic.index.index import Index
from toolops_plugins.semantic.index.memory_copies import Copies
from toolops_plugins.testing import FakeClock

FRANCE = "What is the capital of France?"
AGAIN = "what's the capital of France"
PLEASE = "Tell me the capital of France, please."


class Numbered:
    """A tool whose every run has another answer."""

    def __init__(self, ops: ToolOps, number: Any = None, **policy: Any) -> None:
        number = number or itertools.count(1)

        @ops.readonly(name="ask", semantic=Semantic(on="question", threshold=0.8), **policy)
        def ask(question: str) -> int:
            return next(number)

        @ops.readonly(name="ask", semantic=Semantic(on="question", threshold=0.8), **policy)
        async def aask(question: str) -> int:
            return next(number)

        self.ask, self.aask = ask, aask


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ops(tmp_path: Path, clock: FakeClock) -> Iterator[ToolOps]:
    with ToolOps("copies", semantic=SemanticCache(tmp_path / "index"), clock=clock) as runtime:
        yield runtime


def test_invalidating_a_question_invalidates_what_was_served_of_it(ops):
    tool = Numbered(ops)
    assert [tool.ask(q) for q in (FRANCE, AGAIN, AGAIN, PLEASE)] == [1, 1, 1, 1]
    tool.ask.invalidate(FRANCE)
    assert [tool.ask(q) for q in (AGAIN, AGAIN, FRANCE, PLEASE)] == [2, 2, 2, 2]


async def test_so_it_is_on_an_event_loop(ops):
    tool = Numbered(ops)
    assert [await tool.aask(q) for q in (FRANCE, AGAIN, AGAIN)] == [1, 1, 1]
    await tool.aask.ainvalidate(FRANCE)
    assert [await tool.aask(q) for q in (AGAIN, AGAIN, FRANCE)] == [2, 2, 2]


def by_tag(ops: ToolOps) -> None:
    ops.invalidate(["asked:" + FRANCE])


def by_clear(ops: ToolOps) -> None:
    ops.clear()


def by_key(ops: ToolOps) -> None:
    (event,) = [e for e in ops.seen if e.outcome == "miss"]
    ops.invalidate(keys=[event.key])


def by_tag_of_the_index(ops: ToolOps) -> None:
    ops.semantic.invalidate(["asked:" + FRANCE])


def by_clearing_the_index(ops: ToolOps) -> None:
    ops.semantic.clear()
    ops.invalidate(keys=[next(e.key for e in ops.seen)])


@pytest.mark.parametrize(
    "forget", [by_tag, by_clear, by_key, by_tag_of_the_index, by_clearing_the_index]
)
def test_whatever_forgets_an_entry_forgets_what_was_served_of_it(ops, forget):
    ops.seen = []
    ops.add_sink(ops.seen.append)
    tool = Numbered(ops, tags=lambda question: ["asked:" + question])
    assert [tool.ask(q) for q in (FRANCE, AGAIN, AGAIN)] == [1, 1, 1]
    forget(ops)
    assert tool.ask(AGAIN) == 2


def test_a_refreshed_answer_replaces_what_was_served_of_the_old_one(ops, clock):
    tool = Numbered(ops, cache=Cache(ttl=30, jitter=0.0, beta=0.0))
    assert [tool.ask(q) for q in (FRANCE, AGAIN)] == [1, 1]
    ops.invalidate(keys=[tool.ask.key(FRANCE)])
    assert [tool.ask(q) for q in (FRANCE, AGAIN)] == [2, 2]


def test_a_question_that_was_invalidated_is_not_answered_by_an_older_entry(ops):
    tool = Numbered(ops)
    assert [tool.ask(q) for q in (FRANCE, AGAIN)] == [1, 1]
    tool.ask.invalidate(AGAIN)
    assert [tool.ask(q) for q in (AGAIN, AGAIN)] == [2, 2]
    assert tool.ask(FRANCE) == 1


def test_other_entries_keep_their_copies(ops):
    tool = Numbered(ops)
    spain, also = "What is the capital of Spain?", "what's the capital of Spain"
    assert [tool.ask(q) for q in (FRANCE, spain, AGAIN, also)] == [1, 2, 1, 2]
    tool.ask.invalidate(spain)
    assert [tool.ask(q) for q in (AGAIN, also)] == [1, 3]


@pytest.mark.parametrize("moment", ["before it is noted", "after it is noted"])
def test_a_copy_that_is_made_while_its_entry_goes_is_not_kept(ops, moment, monkeypatch):
    tool = Numbered(ops)
    tool.ask(FRANCE)
    note = Copies.note

    def forget_then_note(self: Copies, *args: Any) -> None:
        monkeypatch.undo()
        if moment == "after it is noted":
            note(self, *args)
        tool.ask.invalidate(FRANCE)
        if moment == "before it is noted":
            note(self, *args)

    monkeypatch.setattr(Copies, "note", forget_then_note)
    # It was looked up before, but somebody may have joined the call since.
    assert [tool.ask(AGAIN), tool.ask(AGAIN)] == [2, 2]


def test_streams_are_copied_and_forgotten_too(ops):
    number = itertools.count(1)

    @ops.readonly(semantic=Semantic(on="question", threshold=0.8))
    def ask(question: str) -> Iterator[int]:
        yield next(number)

    assert [list(ask(q)) for q in (FRANCE, AGAIN, AGAIN)] == [[1], [1], [1]]
    ask.invalidate(FRANCE)
    assert list(ask(AGAIN)) == [2]


def test_a_lookup_aside_forgets_too(ops):
    policy = Policy(
        cache=Cache(ttl=60.0), semantic=Semantic(on="question", threshold=0.8), tags=("all",)
    )
    aside = ops.aside(lambda question: None, policy=policy, name="aside")
    aside.store(1, FRANCE)
    assert [aside.lookup(q) for q in (AGAIN, AGAIN)] == [1, 1]
    ops.invalidate(keys=[aside.key(FRANCE)])
    assert aside.lookup(AGAIN) != 1


def test_other_processes_hear_of_it(tmp_path: Path, valkey: Server, namespace: str) -> None:
    # Two runtimes stand for two processes: each has its memory, its index and its subscription.
    made = [
        ToolOps(
            namespace,
            [Memory(), Redis(valkey.url, socket_timeout=10, connect_timeout=10)],
            semantic=SemanticCache(tmp_path / name),
        )
        for name in "ab"
    ]
    numbers = itertools.count(1)
    one, two = (Numbered(ops, numbers, tags=lambda question: ["asked:" + question]) for ops in made)

    def is_empty() -> bool:
        return len(made[1].semantic) == 0 and not made[1].semantic.answers.index.copies

    try:
        for number, invalidate in enumerate(
            [
                lambda: one.ask.invalidate(FRANCE),
                lambda: made[0].invalidate(["asked:" + FRANCE]),
                lambda: made[0].invalidate(keys=[one.ask.key(FRANCE)]),
            ],
            1,
        ):
            # Computed by the one, and known to the other from Redis.
            assert [tool.ask(q) for tool, q in [(two, FRANCE), (one, FRANCE), (two, AGAIN)]] == [
                number
            ] * 3
            bus = made[1]._shared.bus
            assert bus is not None
            assert bus.ready.wait(LONG)
            invalidate()
            wait_for(is_empty, "what the bus brings", LONG)
        assert two.ask(AGAIN) == 4
    finally:
        for ops in made:
            ops.close()


# The notes


def make_copies() -> tuple[Copies, FakeClock, list[str], Callable[..., None]]:
    clock = FakeClock()
    copies, dropped = Copies(clock, most=3), list[str]()

    def note(id_: str, key: str, *tags: str) -> None:
        copies.note(id_, tags, key.encode(), 60.0, lambda k: dropped.append(k.decode()))

    return copies, clock, dropped, note


def test_copies_are_bounded_and_those_past_the_bound_are_dropped():
    copies, _, dropped, note = make_copies()
    for id_, key in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")]:
        note(id_, key)
    assert (len(copies), dropped) == (3, ["2"])
    for key in "5678":
        note("d", key)
    assert len(copies) <= 3


def test_copies_whose_time_is_over_are_forgotten_and_not_dropped():
    copies, clock, dropped, note = make_copies()
    note("a", "1")
    clock.advance(61)
    note("b", "2")
    assert (len(copies), dropped) == (1, [])
    copies.forget(["a"])
    assert dropped == []


def test_copies_are_forgotten_by_id_tag_or_all_at_once():
    copies, _, dropped, note = make_copies()
    note("a", "1", "red")
    note("b", "2", "blue")
    note("c", "3", "blue", "red")
    copies.forget(["a", "never heard of"])
    copies.forget(tags=["blue", "green"])
    assert (sorted(dropped), len(copies)) == (["1", "2", "3"], 0)
    note("a", "4")
    copies.forget(everything=True)
    assert (dropped[-1], len(copies)) == ("4", 0)


def test_an_index_remembers_a_bounded_number_of_invalidated_questions(tmp_path, monkeypatch):
    monkeypatch.setattr("toolops_plugins.semantic.index.index._VOIDED", 2)
    with SemanticCache(tmp_path) as cache:
        for question in "abcd":
            cache.delete(question)
        index: Index = cache.answers.index
        assert len(index._voided) == 2
