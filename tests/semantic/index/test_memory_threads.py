"""Readers without a lock beside writers that split, merge and drop cells."""

import os
import sys
import threading

import numpy as np
import pytest

from toolops_plugins.semantic.index import memory, memory_scope
from toolops_plugins.semantic.index.memory import MemoryIndex
from toolops_plugins.semantic.index.memory_blocks import VectorBlock
from toolops_plugins.semantic.index.rows import Row

DIMENSION = 16
SCOPES = [bytes([n]) * 16 for n in range(2)]


@pytest.fixture
def fast_switches(monkeypatch):
    monkeypatch.setattr(memory_scope, "CELL", 16)
    monkeypatch.setattr(memory_scope, "SPARSE", 4)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def clusters(count, seed):
    rng = np.random.default_rng(seed)
    near = np.repeat(rng.standard_normal((8, DIMENSION)), -(-count // 8), axis=0)[:count]
    vectors = near + 0.3 * rng.standard_normal((count, DIMENSION))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def row(number, scope):
    return Row(f"{number:032x}", scope, None, "json", b"{}", b"a" * 16, 1.0)


def together(*functions):
    errors = []

    def run(function):
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(each,)) for each in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_what_was_added_is_found_and_what_was_removed_is_not(fast_switches):
    index = MemoryIndex(DIMENSION, max_items=100_000)
    fixed = clusters(120, 0)
    index.add([row(n, SCOPES[n % 2]) for n in range(120)], fixed)
    done = threading.Event()

    def write(thread):
        for turn in range(12):
            first = 1_000_000 * (thread + 1) + 1_000 * turn
            vectors = clusters(60, first)
            rows = [row(first + n, SCOPES[n % 2]) for n in range(60)]
            index.add(rows, vectors)
            for n in range(0, 60, 7):
                found = index.search(SCOPES[n % 2], vectors[n], 1, 2.0)
                assert found[0][0] is rows[n]
                assert index.get(rows[n].id) is rows[n]
            assert len(index.remove([each.id for each in rows])) == 60
            for n in range(0, 60, 7):
                found = index.search(SCOPES[n % 2], vectors[n], 60, 2.0)
                assert not {each.id for each, _ in found} & {each.id for each in rows}

    def write_all():
        try:
            together(*(lambda thread=n: write(thread) for n in range(3)))
        finally:
            done.set()

    def read():
        while not done.is_set():
            for n in range(120):
                found, similarity = index.search(SCOPES[n % 2], fixed[n], 1, 2.0)[0]
                assert int(found.id, 16) == n
                assert similarity == pytest.approx(1.0, abs=1e-3)
            many = index.search_many([SCOPES[n % 2] for n in range(120)], fixed, 1, 2.0)
            assert [int(each[0][0].id, 16) for each in many] == list(range(120))

    together(write_all, read, read)
    assert len(index) == 120


def test_replacing_evicting_and_expiring_at_once_keeps_the_books(fast_switches):
    index = MemoryIndex(DIMENSION, max_items=300)
    gone = [[] for _ in range(4)]

    def write(thread):
        for turn in range(25):
            rows = [row(400 * (n % 2) + (37 * turn + n) % 400, SCOPES[n % 2]) for n in range(30)]
            for n, each in enumerate(rows):
                each.expires = 50.0 if n % 3 else float(turn)
            gone[thread] += index.add(rows, clusters(30, turn))
            gone[thread] += index.remove(index.ids_past_expiry(float(turn), 10))

    together(*(lambda thread=n: write(thread) for n in range(4)))
    # Every row that was put in has come out exactly once, or is still there.
    assert len(index) <= 300
    out = [each for some in gone for each in some]
    assert len({id(each) for each in out}) == len(out)
    assert len(out) + len(index) == 4 * 25 * 30
    held = [*index.of_scope(SCOPES[0]), *index.of_scope(SCOPES[1])]
    assert len(held) == len(set(held)) == len(index)


def test_a_block_shows_its_rows_only_when_their_vectors_are_there():
    class Watched(list):
        def extend(self, rows):
            there = block.codes[: len(self) + len(rows)]
            assert there.tolist() == [[n] * 4 for n in range(len(self) + len(rows))]
            super().extend(rows)

    block = VectorBlock(SCOPES[0], np.zeros((1, 4), np.int16), Watched([row(0, SCOPES[0])]), 1)
    for n in range(1, 100):
        block.extend([row(n, SCOPES[0])], np.full((1, 4), n, np.int16))
    assert len(block.rows) == 100


def test_no_view_that_is_published_lacks_a_row(fast_switches, monkeypatch):
    class Watched(memory_scope.ScopeIndex):
        def __setattr__(self, name, value):
            if name == "view" and hasattr(self, "view"):
                before = {id(each) for block in self.view[1] for each in block}
                after = [id(each) for block in value[1] for each in block]
                assert len(after) == len(set(after))
                assert set(after) == before
                changes.append(len(value[1]) - len(self.view[1]))
            super().__setattr__(name, value)

    changes = []
    monkeypatch.setattr(memory, "ScopeIndex", Watched)
    index = MemoryIndex(DIMENSION, max_items=1_000)
    for turn in range(20):
        index.add([row(40 * turn + n, SCOPES[0]) for n in range(40)], clusters(40, turn))
    index.remove([f"{n:032x}" for n in range(800) if n % 10])
    assert len(index) == 80
    assert 1 in changes
    assert -1 in changes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_can_write_though_the_lock_was_held():
    index = MemoryIndex(DIMENSION, max_items=300)
    with index._lock:
        child = os.fork()
        if not child:
            code = 1
            try:
                index.add([row(1, SCOPES[0])], clusters(1, 0))
                code = 0 if len(index) == 1 else 2
            finally:
                os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
