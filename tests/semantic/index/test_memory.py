"""The index in memory against a dict and a full scan, and what each method promises."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from toolops_plugins.semantic.index import memory_scope
from toolops_plugins.semantic.index.memory import MemoryIndex, usefulness
from toolops_plugins.semantic.index.rows import Row

DIMENSION = 24
SCOPES = [bytes([n]) * 16 for n in range(3)]


def unit(seed, dimension=DIMENSION):
    vector = np.random.default_rng(seed).standard_normal(dimension).astype(np.float32)
    return vector / np.sqrt(vector @ vector)


def units(count, dimension=DIMENSION, seed=0):
    vectors = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def row(number, scope=SCOPES[0], **more):
    more.setdefault("created", 100.0)
    return Row(f"{number:032x}", scope, f"question {number}", "json", b"{}", b"a" * 16, **more)


class AgainstAScan(RuleBasedStateMachine):
    """Cells of at most 8 rows, so that a few dozen rows split and merge them all the time."""

    @initialize(most=st.sampled_from([5, 40, 1_000]))
    def begin(self, most):
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(memory_scope, "CELL", 8)
        self.patch.setattr(memory_scope, "SPARSE", 3)
        self.index = MemoryIndex(DIMENSION, max_items=most)
        self.most = most
        self.now = 100.0
        self.model = {}

    def teardown(self):
        self.patch.undo()

    @rule(
        numbers=st.lists(st.integers(0, 90), min_size=1, max_size=30),
        seed=st.integers(0, 1_000),
        few=st.booleans(),
        life=st.sampled_from([math.inf, 5.0, 20.0]),
        tag=st.sampled_from([(), ("red",), ("blue", "red")]),
    )
    def add(self, numbers, seed, few, life, tag):
        rows = [
            row(n, SCOPES[n % 3], created=self.now, expires=self.now + life, tags=tag)
            for n in numbers
        ]
        # Few different vectors make clusters that no plane can part.
        vectors = [unit(seed + (n % 2 if few else i)) for i, n in enumerate(numbers)]
        given = dict(self.model)
        gone = self.index.add(rows, np.stack(vectors))
        for each, vector in zip(rows, vectors, strict=True):
            given[each.id] = each, vector
        gone_ids = [each.id for each in gone]
        present = {id(held) for held, _ in self.model.values()} | {id(each) for each in rows}
        assert len({id(each) for each in gone}) == len(gone)
        assert all(id(each) in present for each in gone)
        lost = {each.id for each in gone if given[each.id][0] is each}
        assert len(given) - len(lost) <= self.most
        if len(given) <= self.most:
            assert not lost
        assert len(gone_ids) == len(self.model) + len(rows) - (len(given) - len(lost))
        self.model = {k: v for k, v in given.items() if k not in lost}

    @rule(numbers=st.lists(st.integers(0, 90), max_size=60))
    def remove(self, numbers):
        ids = [f"{n:032x}" for n in numbers]
        gone = self.index.remove(ids)
        expected = {i: self.model.pop(i)[0] for i in ids if i in self.model}
        assert {each.id: each for each in gone} == expected
        assert len(gone) == len(expected)

    @rule(seconds=st.sampled_from([1.0, 5.0, 30.0]), limit=st.sampled_from([2, 1_000]))
    def expire(self, seconds, limit):
        self.now += seconds
        due = self.index.ids_past_expiry(self.now, limit)
        assert due == self.index.ids_past_expiry(self.now, limit)
        over = {i for i, (each, _) in self.model.items() if each.expires <= self.now}
        assert set(due) <= over
        assert len(set(due)) == len(due) == min(limit, len(over))
        for gone in self.index.remove(due):
            del self.model[gone.id]

    @rule(seed=st.integers(0, 1_000), scope=st.sampled_from(SCOPES), k=st.sampled_from([1, 4, 50]))
    def search(self, seed, scope, k):
        self.compare(self.index.search(scope, unit(seed), k, self.now), scope, unit(seed), k)

    @rule(seed=st.integers(0, 1_000), scopes=st.lists(st.sampled_from(SCOPES), max_size=5))
    def search_many(self, seed, scopes):
        vectors = units(len(scopes), seed=seed)
        answers = self.index.search_many(scopes, vectors, 4, self.now)
        for found, scope, vector in zip(answers, scopes, vectors, strict=True):
            self.compare(found, scope, vector, 4)

    def compare(self, found, scope, x, k):
        near = {
            i: float(vector @ x)
            for i, (each, vector) in self.model.items()
            if each.scope == scope and each.expires > self.now
        }
        assert len({each.id for each, _ in found}) == len(found)
        assert all(each is self.model[each.id][0] for each, _ in found)
        assert [near[each.id] for each, _ in found] == pytest.approx(
            sorted(near.values(), reverse=True)[:k], abs=1e-3
        )
        assert [s for _, s in found] == pytest.approx([near[e.id] for e, _ in found], abs=1e-3)

    @rule(number=st.integers(0, 90))
    def get(self, number):
        wanted, vector = self.model.get(f"{number:032x}", (None, None))
        assert self.index.get(f"{number:032x}") is wanted
        held = self.index.vector(f"{number:032x}")
        if vector is None:
            assert held is None
        else:
            assert held == pytest.approx(vector, abs=2e-5)

    @rule(tags=st.lists(st.sampled_from(["red", "blue", "green"])))
    def ids_with_tags(self, tags):
        found = self.index.ids_with_tags(tags)
        assert len(set(found)) == len(found)
        assert set(found) == {i for i, (e, _) in self.model.items() if {*e.tags} & {*tags}}

    @rule(scope=st.sampled_from(SCOPES))
    def of_scope(self, scope):
        found = self.index.of_scope(scope)
        assert sorted(found) == sorted(i for i, (e, _) in self.model.items() if e.scope == scope)
        rows = self.index.rows()
        assert {id(each) for each in rows} == {id(each) for each, _ in self.model.values()}
        assert len(rows) == len(self.model)

    @rule()
    def clear(self):
        self.index.clear()
        self.model.clear()

    @invariant()
    def whole(self):
        if not hasattr(self, "index"):
            return
        assert len(self.index) == len(self.model) <= self.most
        assert self.index.scopes() == len({each.scope for each, _ in self.model.values()})
        blocks = [b for s in self.index._scope_indexes.values() for b in s.view[1]]
        assert blocks == sorted(blocks, key=blocks.index)
        assert set(blocks) == set(self.index._places.blocks.values())
        assert all(0 < len(block.rows) <= 8 for block in blocks)
        assert all(block.dead * 4 <= len(block.rows) for block in blocks)
        for each in self.index._scope_indexes.values():
            centres, cells = each.view
            assert (centres is None) == (len(cells) == 1)
            assert centres is None or len(centres) == len(cells)
            assert each.live == sum(block.live for block in cells)


TestAgainstAScan = AgainstAScan.TestCase
TestAgainstAScan.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_similarity_is_the_cosine_to_four_digits():
    vectors = units(2_000, 256)
    vectors[0] = np.eye(256, dtype=np.float32)[7]  # the largest component that there is
    index = MemoryIndex(256, max_items=10_000)
    index.add([row(n) for n in range(2_000)], vectors)
    for x in [*units(20, 256, seed=1), vectors[0], -vectors[0], vectors[1]]:
        exact = vectors.astype(float) @ x
        found = index.search(SCOPES[0], x, 2_000, 0.0)
        assert len(found) == 2_000
        similar = np.array([similarity for _, similarity in found])
        assert np.abs(similar - exact[[int(each.id, 16) for each, _ in found]]).max() < 1e-4
        assert (np.diff(similar) <= 0).all()


def test_a_component_a_little_above_one_does_not_turn_round():
    index = MemoryIndex(DIMENSION, max_items=10)
    longer = np.eye(DIMENSION, dtype=np.float32)[:1] * np.float32(1.0001)
    index.add([row(1)], longer)
    assert index.search(SCOPES[0], longer[0], 1, 0.0)[0][1] == pytest.approx(1.0, abs=1e-3)


def test_a_cluster_of_expired_and_removed_rows_does_not_hide_what_lives_behind_it():
    index = MemoryIndex(DIMENSION, max_items=10_000)
    x = unit(1)
    near = x + units(230, seed=3) * 0.05
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    index.add([row(n, expires=150.0) for n in range(230)], near.astype(np.float32))
    index.add([row(1_000 + n) for n in range(20)], units(20, seed=4))
    index.remove([f"{n:032x}" for n in range(0, 230, 5)])
    assert len(index.search(SCOPES[0], x, 16, 149.9)) == 16
    found = index.search(SCOPES[0], x, 16, 150.0)
    assert len(found) == 16
    assert all(int(each.id, 16) >= 1_000 for each, _ in found)


def test_of_two_rows_with_one_id_the_later_counts():
    index = MemoryIndex(DIMENSION, max_items=10)
    first, second, third = row(1), row(1), row(1)
    assert index.add([first, second], units(2)) == [first]
    assert index.add([third], units(1)) == [second]
    assert index.get(third.id) is third


def test_vectors_that_do_not_fit_are_refused():
    index = MemoryIndex(DIMENSION, max_items=10)
    broken = units(1)
    broken[0, 3] = math.nan
    for vectors in (units(2), units(1, DIMENSION + 1), broken):
        with pytest.raises(ValueError, match=r"finite vectors of 24"):
            index.add([row(1)], vectors)
    assert not len(index)


def test_a_served_row_counts_its_hits():
    index = MemoryIndex(DIMENSION, max_items=10)
    one = row(1)
    index.add([one], units(1))
    index.touch(one, 120.0)
    index.touch(one, 130.0)
    assert (one.hits, one.used) == (2, 130.0)


def test_expired_rows_are_evicted_before_any_other():
    index = MemoryIndex(DIMENSION, max_items=50)
    old = [row(n, created=1_000.0, expires=1_010.0, hits=1_000, price=9.0) for n in range(5)]
    index.add(old, units(5))
    index.add([row(100 + n, created=1.0) for n in range(45)], units(45))
    gone = index.add([row(200 + n, created=1_009.9) for n in range(5)], units(5, seed=9))
    assert not {each.id for each in gone} & {each.id for each in old}
    # The clock of an eviction is the latest time that rows and calls have told.
    gone = index.add([row(300, created=1_010.0)], units(1, seed=9))
    assert gone == old[:1]
    index.ids_past_expiry(1_020.0, 1)
    gone = index.add([row(301 + n, created=1_000.0) for n in range(4)], units(4, seed=9))
    assert gone == old[1:]


@pytest.mark.parametrize(
    "better",
    [{"hits": 9}, {"used": 1_000.0}, {"took": 9.0}, {"price": 0.1}, {"created": 900.0}],
)
def test_what_is_more_useful_stays_longer(better):
    index = MemoryIndex(DIMENSION, max_items=1_000)
    index.add([row(n, used=100.0) for n in range(500)], units(500))
    good = [row(1_000 + n, **({"used": 100.0} | better)) for n in range(500)]
    index.add(good, units(500, seed=1))
    fresh = [row(2_000 + n, created=1_000.0) for n in range(200)]
    gone = {each.id for each in index.add(fresh, units(200, seed=2))}
    assert len(gone) >= 200
    assert not gone & {each.id for each in fresh}
    assert len(gone & {each.id for each in good}) <= len(gone) // 20


def test_a_byte_more_makes_a_row_less_useful():
    small, large = row(1), row(2)
    large.data = b"x" * 10_000
    assert usefulness(small, 200.0, 256) > usefulness(large, 200.0, 256)


def test_of_equally_useful_rows_those_of_the_largest_scope_go():
    index = MemoryIndex(DIMENSION, max_items=600)
    small = [row(1_000 + n, b"%016d" % (n // 3)) for n in range(300)]
    large = [row(2_000 + n) for n in range(300)]
    index.add([*small, *large], units(600))
    gone = index.add([row(3_000 + n, created=101.0) for n in range(100)], units(100, seed=1))
    assert len(gone) >= 100
    assert len([each for each in gone if each.scope == SCOPES[0]]) >= 0.95 * len(gone)


def test_a_large_scope_in_use_outlives_many_small_ones_that_are_not():
    index = MemoryIndex(DIMENSION, max_items=600)
    index.add([row(n, b"%016d" % n, created=1.0) for n in range(300)], units(300))
    index.add([row(1_000 + n, created=950.0, hits=3) for n in range(300)], units(300))
    new = [row(2_000 + n, b"%016d" % (2_000 + n), created=1_000.0) for n in range(100)]
    gone = index.add(new, units(100, seed=1))
    assert len(gone) >= 100
    assert not [each for each in gone if each.scope == SCOPES[0]]


def test_what_is_kept_on_the_side_stays_in_proportion_to_the_rows():
    index = MemoryIndex(DIMENSION, max_items=1_000)
    for turn in range(200):
        rows = [row(n, SCOPES[n % 3], expires=1e6 + turn, tags=(f"t{turn}",)) for n in range(100)]
        index.add(rows, units(100, seed=turn))
        if turn % 3 == 0:
            index.remove([each.id for each in rows[:50]])
    assert len(index._ends) <= 2 * 100 + 64 + 100
    assert len(index._ids) <= 2 * 100 + 64 + 100
    assert set(index._tags) <= {"t199", "t198"}
    assert len(index._places.blocks) <= 3 * 2
    assert sum(len(b.codes) for b in index._places.blocks.values()) <= 250
    index.remove([f"{n:032x}" for n in range(100)])
    assert not index._tags
    assert not index._places.blocks
    assert not index._scope_indexes
    assert len(index._ends) <= 64


@pytest.mark.parametrize(("scopes", "each", "beyond"), [(1, 3_000, 180), (400, 4, 480)])
def test_memory_beyond_the_vectors_is_small(scopes, each, beyond):
    count = scopes * each
    rows = [row(n, b"%016d" % (n % scopes)) for n in range(count)]
    vectors = units(count, 256)
    tracemalloc.start()
    try:
        index = MemoryIndex(256, max_items=100_000)
        for start in range(0, count, 100):
            index.add(rows[start : start + 100], vectors[start : start + 100])
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used / count - 512 < beyond
    assert index.bytes() == pytest.approx(used, rel=0.15)
