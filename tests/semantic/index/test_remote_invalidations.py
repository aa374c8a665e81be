"""An index that has missed invalidations by other processes learns of them when it is back.

Two runtimes stand for two processes: each has its index and its subscription.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from callers import LONG
from chroma_servers import make_row
from servers import Server, start_valkey, wait_for

from toolops_plugins import Memory, Redis, Semantic, SemanticCache, ToolOps
from toolops_plugins.invalidation import History, Recorded
from toolops_plugins.semantic.index.remote_invalidations import (
    Position,
    RemoteInvalidations,
    Source,
)

FRANCE, AGAIN = "What is the capital of France?", "what's the capital of France"
SPAIN, ALSO = "What is the capital of Spain?", "what's the capital of Spain"

Open = Callable[[str], Any]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that the test may stop."""
    server = start_valkey(tmp_path / "valkey")
    yield server
    server.stop()


@pytest.fixture
def open_(tmp_path: Path, server: Server) -> Iterator[Open]:
    """Opens the process of a name; its tool answers with the number of the run."""
    runs = itertools.count(1)
    made: list[ToolOps] = []

    def open_(name: str) -> Any:
        # Without a TTL in Redis, so that what is found again comes from the index.
        tiers = [Memory(), Redis(server.url, socket_timeout=10, connect_timeout=10)]
        ops = ToolOps("shop", tiers, semantic=SemanticCache(tmp_path / name))
        made.append(ops)

        @ops.readonly(
            name=f"ask {name}",
            semantic=Semantic(on="question", threshold=0.8),
            tags=["asked:{question}"],
        )
        def ask(question: str) -> int:
            return next(runs)

        ask.ops = ops
        return ask

    yield open_
    for ops in made:
        ops.close()


def close(ask: Any) -> None:
    ask.ops.semantic.flush()
    ask.ops.close()


def test_who_was_down_drops_what_it_has_missed_and_no_more(open_, server):
    one, two = open_("one"), open_("two")
    assert [two(question) for question in (FRANCE, SPAIN)] == [1, 2]
    close(two)
    one.ops.invalidate([f"asked:{FRANCE}"])
    two = open_("two")
    assert [two(question) for question in (ALSO, AGAIN)] == [2, 3]
    close(two)
    two = open_("two")  # what was computed since is not dropped again
    assert [two(question) for question in (ALSO, FRANCE)] == [2, 3]


def test_who_was_down_drops_everything_after_a_clear(open_, server):
    one, two = open_("one"), open_("two")
    assert [two(question) for question in (FRANCE, SPAIN)] == [1, 2]
    close(two)
    one.ops.clear()
    two = open_("two")
    assert [two(question) for question in (AGAIN, ALSO)] == [3, 4]


def test_who_has_missed_more_than_is_recorded_drops_everything(open_, server):
    two = open_("two")
    assert [two(question) for question in (FRANCE, SPAIN)] == [1, 2]
    close(two)
    one = open_("one")
    one.ops.invalidate(["x" * 70_000])
    two = open_("two")
    assert [two(question) for question in (ALSO, AGAIN)] == [3, 4]


def test_a_record_that_was_lost_while_a_process_was_down_is_a_loss_of_everything(open_, server):
    two = open_("two")
    assert two(FRANCE) == 1
    close(two)
    server.command("FLUSHALL")
    two = open_("two")
    assert two(AGAIN) == 2
    assert two(AGAIN) == 2


def test_a_record_that_the_server_drops_is_no_loss_to_who_listens(open_, server):
    one, two = open_("one"), open_("two")
    assert [two(question) for question in (FRANCE, SPAIN)] == [1, 2]
    assert two.ops._shared.bus.ready.wait(LONG)
    wait_for(lambda: not two.ops.semantic.answers.index.remote.is_behind, "the start", LONG)
    server.command("DEL", "toolops:shop:void")
    one.ops.invalidate([f"asked:{FRANCE}"])
    wait_for(lambda: two(AGAIN) > 2, "the message", LONG)
    assert two(ALSO) == 2


def test_entries_from_before_the_first_record_are_kept(open_, server, tmp_path):
    with ToolOps("shop", semantic=SemanticCache(tmp_path / "two")) as ops:

        @ops.readonly(
            name="ask two",
            semantic=Semantic(on="question", threshold=0.8),
            tags=["asked:{question}"],
        )
        def ask(question: str) -> int:
            return 100

        assert ask(FRANCE) == 100
    two = open_("two")
    assert two(AGAIN) == 100


def test_who_starts_while_the_record_is_out_of_reach_serves_nothing_of_before(open_, server):
    two = open_("two")
    assert two(FRANCE) == 1
    close(two)
    server.stop()
    two = open_("two")
    assert [two(AGAIN), two(SPAIN), two(ALSO)] == [2, 3, 3]  # but its own answers it serves


def test_a_server_that_comes_back_lets_everybody_catch_up(open_, server):
    one, two = open_("one"), open_("two")
    assert [two(question) for question in (FRANCE, SPAIN)] == [1, 2]
    bus = two.ops._shared.bus
    assert bus.ready.wait(LONG)
    bus.close()  # its subscription is interrupted
    one.ops.invalidate([f"asked:{FRANCE}"])
    assert two("How do I boil an egg?") == 3  # the call subscribes again
    assert bus.ready.wait(LONG)
    wait_for(lambda: two(AGAIN) > 3, "what was missed", LONG)
    assert two(ALSO) == 2


# The numbers


def remote(position: Position | None = None, place: str = "") -> RemoteInvalidations:
    made = RemoteInvalidations()
    made.source = Source(lambda _: None, lambda _: None)  # type: ignore[arg-type]  # not read here
    made.place = place
    made.restore(position, 0)
    return made


def record(*entries: Recorded, floor: int = 0, id_: str = "a") -> History:
    return History(id_, floor, entries[-1].number if entries else floor, entries)


def test_a_row_is_void_by_the_number_that_was_known_when_its_call_began():
    found = remote(Position("a", 0))
    history = record(Recorded(5, [], ["red"], everything=False))
    found.take(history, missed=True, is_empty=False)
    found.follow(history, 3)
    assert [found.number_at(mark) for mark in (2, 3, 4)] == [0, 5, 5]
    early, late, other = make_row(1, tags=("red",)), make_row(1, tags=("red",)), make_row(2)
    late.seen = found.number_at(3)
    assert [found.covers(row) for row in (early, late, other)] == [True, False, False]


def test_what_others_have_deleted_on_the_server_is_not_deleted_again():
    found = remote(Position("a", 1), place="here")
    news = found.take(
        record(
            Recorded(1, [], ["known"], everything=False),
            Recorded(2, [], ["here"], everything=False, place="here"),
            Recorded(3, [], ["there"], everything=False, place="there"),
            Recorded(4, [bytes(32)], [], everything=False),
            Recorded(5, [], ["own"], everything=False, is_own=True),
            Recorded(6, [], [], everything=True, place="here"),
        ),
        missed=True,
        is_empty=False,
    )
    assert (news.tags, news.stored_tags) == (["here", "there"], ["there"])
    assert (news.ids, news.stored_ids) == (["0" * 32], ["0" * 32])
    assert (news.everything, news.stored_all) == (True, False)


@pytest.mark.parametrize(
    ("position", "floor", "id_", "is_empty", "lost"),
    [
        (Position("a", 5), 5, "a", False, False),
        (Position("a", 4), 5, "a", False, True),
        (Position("b", 9), 5, "a", False, True),
        (None, 5, "a", False, True),
        (None, 5, "a", True, False),
    ],
)
def test_what_cannot_be_learned_any_more_is_everything(position, floor, id_, is_empty, lost):
    found = remote(position)
    history = record(floor=floor, id_=id_)
    news = found.take(history, missed=True, is_empty=is_empty)
    assert news.everything is lost
    assert found.covers(make_row(1)) is lost


def test_names_and_marks_are_bounded(monkeypatch):
    module = "toolops_plugins.semantic.index.remote_invalidations"
    monkeypatch.setattr(f"{module}._MOST", 3)
    monkeypatch.setattr(f"{module}._STEPS", 3)
    found = remote(Position("a", 0))
    for number in range(1, 10):
        history = record(Recorded(number, [], [f"tag {number}"], everything=False))
        found.take(history, missed=False, is_empty=False)
        found.follow(history, number)
    assert (len(found._tags), len(found._marks)) == (3, 3)
    assert [found.number_at(mark) for mark in (6, 7, 9)] == [0, 7, 9]
