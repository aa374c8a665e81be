"""The thread pool: bounded, shared fairly, and free of work that nobody waits for."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakMethod

import pytest
from callers import LONG, in_child
from servers import wait_for

from toolops_plugins.concurrency import pool as pool_module
from toolops_plugins.concurrency.pool import BULK, Pool, Ticket
from toolops_plugins.errors import ThreadPoolFull


class Hold:
    """Functions that hold a thread each until they are let go, and note in which order they ran."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.ran: list[Any] = []
        self._lock = threading.Lock()

    def job(self, mark: Any) -> Callable[[], None]:
        def run() -> None:
            with self._lock:
                self.ran.append(mark)
            self.go.wait(LONG)

        return run

    def note(self, mark: Any) -> Callable[[], None]:
        return lambda: self.ran.append(mark)

    def reach(self, count: int) -> None:
        wait_for(lambda: len(self.ran) == count, f"{count} that run", LONG)


@pytest.fixture
def hold() -> Iterator[Hold]:
    hold = Hold()
    yield hold
    hold.go.set()


def empty(pool: Pool) -> None:
    wait_for(lambda: not pool.queue_length and not pool._busy, "an empty pool", LONG)


def test_one_owner_gets_no_more_threads_than_are_left_to_others(hold: Hold) -> None:
    pool = Pool(limit=8)
    for _ in range(20):
        pool.submit(hold.job("a"), "a")
    hold.reach(4)
    for _ in range(20):
        pool.submit(hold.job("b"), "b")
    hold.reach(6)
    for owner in "cd":
        pool.submit(hold.job(owner), owner)
    hold.reach(8)
    late = pool.submit(hold.job("e"), "e")
    assert sorted(hold.ran) == list("aaaabbcd")
    assert pool.queue_length == 16 + 18 + 1
    assert pool.describe("e") == ("all 8 threads are held: 4 by 'a', 2 by 'b', 1 by 'c', 1 by 'd'")
    assert late.drop()
    hold.go.set()
    empty(pool)
    assert sorted(hold.ran) == ["a"] * 20 + ["b"] * 20 + ["c", "d"]
    assert len(pool) <= 8


def test_an_owner_that_holds_its_share_is_described(hold: Hold) -> None:
    pool = Pool(limit=8)
    for _ in range(5):
        pool.submit(hold.job("a"), "a")
    hold.reach(4)
    assert pool.describe("a") == "'a' holds its share of 4 of the 8 threads"


def test_a_small_pool_gives_each_owner_a_thread(hold: Hold) -> None:
    pool = Pool(limit=1)
    pool.submit(hold.job("a"), "a")
    hold.reach(1)
    waiting = pool.submit(hold.note("b"), "b")
    assert waiting.started_at is None
    hold.go.set()
    empty(pool)
    assert hold.ran == ["a", "b"]
    assert waiting.queue_seconds > 0.0


def test_owners_take_turns(hold: Hold) -> None:
    pool = Pool(limit=1)
    pool.submit(hold.job("x"), "x")
    hold.reach(1)
    for number in range(3):
        pool.submit(hold.note(f"a{number}"), "a")
    for number in range(3):
        pool.submit(hold.note(f"b{number}"), "b")
    hold.go.set()
    empty(pool)
    assert hold.ran == ["x", "a0", "b0", "a1", "b1", "a2", "b2"]


def test_work_without_an_owner_may_have_all_threads_and_bulk_work_leaves_some(hold: Hold) -> None:
    pool = Pool(limit=8)
    for _ in range(8):
        pool.submit(hold.job(BULK), BULK)
    hold.reach(6)
    for _ in range(8):
        pool.submit(hold.job("none"))
    hold.reach(8)
    assert pool.queue_length == 8


def test_a_dropped_function_never_runs(hold: Hold) -> None:
    pool = Pool(limit=1)
    first = pool.submit(hold.job("held"), "a")
    hold.reach(1)
    tickets = [pool.submit(hold.note(n), "b") for n in range(4)]
    assert [tickets[1].drop(), tickets[3].drop()] == [True, True]
    assert not tickets[1].drop()
    assert not first.drop()
    assert pool.queue_length == 2
    hold.go.set()
    empty(pool)
    assert hold.ran == ["held", 0, 2]
    assert not tickets[0].drop()
    assert tickets[1].started_at is None


def test_a_dropped_function_is_not_held(hold: Hold) -> None:
    pool = Pool(limit=1)
    pool.submit(hold.job("held"))
    ticket = pool.submit(hold.note("never"))
    ticket.drop()
    assert ticket.function is None
    assert not pool._waiting


def test_a_thread_of_the_pool_gets_another_one_beyond_the_limit() -> None:
    pool = Pool(limit=1)
    seen: list[int] = []
    done = threading.Event()

    def deep(level: int) -> None:
        if level:
            inner = threading.Event()
            pool.submit(lambda: (deep(level - 1), inner.set()), "a")
            assert inner.wait(LONG)
        seen.append(level)

    pool.submit(lambda: (deep(3), done.set()), "a")
    assert done.wait(LONG)
    assert seen == [0, 1, 2, 3]
    wait_for(lambda: len(pool) <= 1, "one thread again", LONG)


def test_idle_threads_end_on_command_or_after_a_while() -> None:
    for pool in (Pool(idle=60), Pool(idle=0.01)):
        done = threading.Event()
        pool.submit(done.set)
        assert done.wait(LONG)
        wait_for(lambda pool=pool: not pool._busy, "an idle thread", LONG)
        pool.end_idle_threads()
        wait_for(lambda pool=pool: len(pool) == 0, "no thread", LONG)
        again = threading.Event()
        pool.submit(again.set)
        assert again.wait(LONG)
        pool.end_idle_threads()


def test_a_machine_without_threads_is_a_rejection(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool()

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(ThreadPoolFull, match="no more threads"):
            pool.submit(lambda: None, "a")
        assert not pool.offer(lambda: None)
    assert len(pool) == pool.queue_length == 0
    done = threading.Event()
    pool.submit(done.set, "a")
    assert done.wait(LONG)


def test_a_machine_without_more_threads_leaves_the_work_to_those_that_there_are(
    hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Pool(limit=4)
    pool.submit(hold.job("held"), "a")
    hold.reach(1)

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        ticket = pool.submit(hold.note("later"), "b")
    assert ticket.started_at is None
    assert (len(pool), pool.queue_length) == (1, 1)
    hold.go.set()
    empty(pool)
    assert hold.ran == ["held", "later"]


@pytest.mark.parametrize(("owner", "notices"), [("b", ["b"]), (None, [])])
def test_an_owner_that_waits_for_threads_that_hang_is_told(
    hold: Hold, monkeypatch: pytest.MonkeyPatch, owner: str | None, notices: list[str]
) -> None:
    class Sink:
        def __init__(self) -> None:
            self.notices: list[str] = []

        def notify(self, owner: str, text: str) -> None:
            self.notices.append(owner)
            raise RuntimeError(text)  # it harms nobody

    sink, pool = Sink(), Pool(limit=1)
    pool.on_full = WeakMethod(sink.notify)
    pool.submit(hold.job("held"), "a")
    hold.reach(1)
    pool.submit(hold.note(1), owner)  # the thread has not been held for long
    assert sink.notices == []
    monkeypatch.setattr(pool_module, "_HUNG", 0.0)
    pool.submit(hold.note(2), owner)
    assert sink.notices == notices
    hold.go.set()
    empty(pool)
    assert hold.ran == ["held", 1, 2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_a_pool_without_threads(hold: Hold) -> None:
    pool, idle = Pool(limit=1), Pool()
    pool.submit(hold.job("held"), "a")
    hold.reach(1)
    pool.submit(hold.note("waits"), "a")
    once = threading.Event()
    idle.submit(once.set)
    assert once.wait(LONG)

    def child() -> bool:
        done = [threading.Event(), threading.Event()]
        for each, event in zip((pool, idle), done, strict=True):
            each.submit(event.set, "a")
        return all(event.wait(5) for event in done) and pool.queue_length == 0

    assert in_child(child) == 0


def test_many_submitters_and_droppers_lose_nothing_and_run_nothing_twice() -> None:
    pool = Pool(limit=4)
    lock, ran = threading.Lock(), []
    dropped: list[int] = []

    def submit(seed: int) -> None:
        for number in range(200):
            mark = seed * 1000 + number

            def run(mark: int = mark) -> None:
                with lock:
                    ran.append(mark)

            ticket: Ticket = pool.submit(run, f"tool {mark % 7}")
            if number % 3 == 0 and ticket.drop():
                with lock:
                    dropped.append(mark)

    threads = [threading.Thread(target=submit, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    empty(pool)
    marks = sorted(seed * 1000 + number for seed in range(6) for number in range(200))
    assert sorted(ran + dropped) == marks
    assert len(pool) <= 4
    assert pool._held == {}
