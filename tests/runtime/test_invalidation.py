"""The record of invalidations of one process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolops_plugins.errors import ConfigurationError
from toolops_plugins.invalidation import Invalidations

KEYS = [bytes([n]) for n in range(8)]
TAGS = [f"t{n}" for n in range(8)]


def test_a_name_without_invalidation_is_valid():
    invalidations = Invalidations()
    assert invalidations.holds(invalidations.now(), b"k", ["t"])
    mark = invalidations.now()
    invalidations.void(keys=[b"other"], tags=["another"])
    assert invalidations.holds(mark, b"k", ["t"])


@pytest.mark.parametrize("what", [{"keys": [b"k"]}, {"tags": ["t"]}, {"everything": True}])
def test_voiding_ends_earlier_marks_and_not_later_ones(what: dict[str, Any]):
    invalidations = Invalidations()
    before = invalidations.now()
    after = invalidations.void(**what)
    assert after == invalidations.now() > before
    assert not invalidations.holds(before, b"k", ["s", "t"])
    assert invalidations.holds(after, b"k", ["s", "t"])


def test_everything_includes_the_tags():
    invalidations = Invalidations()
    before = invalidations.now()
    invalidations.void(everything=True)
    assert not invalidations.holds_tags(before, ["t"])
    assert invalidations.holds_tags(invalidations.now(), ["t"])


def test_the_mark_moves_on_only_when_all_names_are_noted():
    """Else a mark taken in between would count as later than what it has not seen."""
    invalidations = Invalidations()
    mark = invalidations.now()
    seen = []

    def names():
        for name in ("s", "t"):
            yield name
            seen.append(invalidations.now())

    invalidations.void(tags=names())
    assert seen == [mark, mark]
    assert invalidations.now() > mark


def test_a_name_can_be_voided_again():
    invalidations = Invalidations()
    invalidations.void(tags=["t"])
    mark = invalidations.now()
    invalidations.void(tags=["t"])
    assert not invalidations.holds(mark, b"k", ["t"])


def test_keys_and_tags_are_apart():
    invalidations = Invalidations()
    mark = invalidations.now()
    invalidations.void(keys=[b"n"])
    assert invalidations.holds_tags(mark, ["n"])
    invalidations.void(tags=["m"])
    assert invalidations.holds(mark, b"m", [])
    assert not invalidations.holds(mark, b"m", ["m"])


def test_only_the_tags_count_in_holds_tags():
    invalidations = Invalidations()
    mark = invalidations.now()
    invalidations.void(keys=[b"k"])
    assert invalidations.holds_tags(mark, ["t"])
    invalidations.void(tags=["t"])
    assert not invalidations.holds_tags(mark, ["s", "t"])


def test_a_forgotten_name_counts_as_void():
    invalidations = Invalidations(max_names=40)
    early = invalidations.now()
    invalidations.void(keys=[b"first"], tags=["first"])
    for n in range(1000):
        invalidations.void(keys=[b"%d" % n], tags=[str(n)])
        assert len(invalidations) <= 40
    assert not invalidations.holds(early, b"first")
    assert not invalidations.holds_tags(early, ["first"])
    assert not invalidations.holds(early, b"never voided")
    now = invalidations.now()
    assert invalidations.holds(now, b"first", ["first"])


def test_deletions_do_not_wear_out_the_memory_of_tags():
    invalidations = Invalidations(max_names=40)
    mark = invalidations.now()
    for n in range(1000):
        invalidations.void(keys=[b"%d" % n])
    assert invalidations.holds_tags(mark, ["t"])


def test_recent_names_are_distinguished():
    invalidations = Invalidations(max_names=40)
    for n in range(95):
        invalidations.void(keys=[b"%d" % n])
    mark = invalidations.now()
    for n in range(10):  # a quarter of 40
        invalidations.void(keys=[b"late %d" % n])
        assert invalidations.holds(mark, b"spared")
        assert not invalidations.holds(mark, b"late %d" % n)


def test_many_names_at_once_stay_within_the_bound():
    invalidations = Invalidations(max_names=40)
    mark = invalidations.now()
    after = invalidations.void(keys=(b"%d" % n for n in range(500)))
    assert len(invalidations) <= 40
    assert not any(invalidations.holds(mark, b"%d" % n) for n in range(500))
    assert invalidations.holds(after, b"7")


@pytest.mark.parametrize("bad", [0, 3, -1, 1.5, "9", None, True])
def test_a_wrong_bound_is_refused(bad: Any):
    with pytest.raises(ConfigurationError, match="max_names"):
        Invalidations(max_names=bad)


names = st.tuples(
    st.lists(st.sampled_from(KEYS), max_size=3),
    st.lists(st.sampled_from(TAGS), max_size=3),
    st.integers(0, 19).map(lambda n: n == 0),
)


@given(voids=st.lists(names, max_size=40), roomy=st.booleans())
def test_agrees_with_a_list_of_all_that_happened(voids, roomy: bool):
    invalidations = Invalidations() if roomy else Invalidations(max_names=8)
    marks = [invalidations.now()]
    for keys, tags, everything in voids:
        invalidations.void(keys, tags, everything=everything)
        marks.append(invalidations.now())
    for index, mark in enumerate(marks):
        since = voids[index:]
        for key, tag in zip(KEYS, TAGS, strict=True):
            voided = any(key in k or tag in t or all_ for k, t, all_ in since)
            holds = invalidations.holds(mark, key, [tag])
            assert not (voided and holds)
            if roomy or not since:
                assert holds is not voided


def test_threads_see_their_own_invalidations():
    invalidations = Invalidations(max_names=200)

    def work(n: int) -> None:
        key, tag = b"%d" % n, str(n)
        for _ in range(500):
            mark = invalidations.now()
            after = invalidations.void(keys=[key], tags=[tag])
            assert not invalidations.holds(mark, key)
            assert not invalidations.holds_tags(mark, [tag])
            assert invalidations.holds(after, key, [tag])

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, n) for n in range(4)]:
            done.result(timeout=60)
    assert invalidations.now() == 2000
