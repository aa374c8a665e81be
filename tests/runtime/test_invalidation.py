from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolops_plugins.errors import ConfigurationError
from toolops_plugins.invalidation import Generations

KEYS = [bytes([n]) for n in range(8)]
TAGS = [f"t{n}" for n in range(8)]


def test_what_nobody_voided_holds():
    generations = Generations()
    assert generations.holds(generations.now(), b"k", ["t"])
    mark = generations.now()
    generations.void(keys=[b"other"], tags=["another"])
    assert generations.holds(mark, b"k", ["t"])


@pytest.mark.parametrize("what", [{"keys": [b"k"]}, {"tags": ["t"]}, {"everything": True}])
def test_voiding_ends_earlier_marks_and_not_later_ones(what: dict[str, Any]):
    generations = Generations()
    before = generations.now()
    after = generations.void(**what)
    assert after == generations.now() > before
    assert not generations.holds(before, b"k", ["s", "t"])
    assert generations.holds(after, b"k", ["s", "t"])


def test_everything_includes_the_tags():
    generations = Generations()
    before = generations.now()
    generations.void(everything=True)
    assert not generations.holds_tags(before, ["t"])
    assert generations.holds_tags(generations.now(), ["t"])


def test_the_mark_moves_on_only_when_all_names_are_noted():
    """Else a mark taken in between would count as later than what it has not seen."""
    generations = Generations()
    mark = generations.now()
    seen = []

    def names():
        for name in ("s", "t"):
            yield name
            seen.append(generations.now())

    generations.void(tags=names())
    assert seen == [mark, mark]
    assert generations.now() > mark


def test_a_name_can_be_voided_again():
    generations = Generations()
    generations.void(tags=["t"])
    mark = generations.now()
    generations.void(tags=["t"])
    assert not generations.holds(mark, b"k", ["t"])


def test_keys_and_tags_are_apart():
    generations = Generations()
    mark = generations.now()
    generations.void(keys=[b"n"])
    assert generations.holds_tags(mark, ["n"])
    generations.void(tags=["m"])
    assert generations.holds(mark, b"m", [])
    assert not generations.holds(mark, b"m", ["m"])


def test_only_the_tags_count_in_holds_tags():
    generations = Generations()
    mark = generations.now()
    generations.void(keys=[b"k"])
    assert generations.holds_tags(mark, ["t"])
    generations.void(tags=["t"])
    assert not generations.holds_tags(mark, ["s", "t"])


def test_what_is_forgotten_counts_as_void():
    generations = Generations(max_names=40)
    early = generations.now()
    generations.void(keys=[b"first"], tags=["first"])
    for n in range(1000):
        generations.void(keys=[b"%d" % n], tags=[str(n)])
        assert len(generations) <= 40
    assert not generations.holds(early, b"first")
    assert not generations.holds_tags(early, ["first"])
    assert not generations.holds(early, b"never voided")
    now = generations.now()
    assert generations.holds(now, b"first", ["first"])


def test_deletions_do_not_wear_out_the_memory_of_tags():
    generations = Generations(max_names=40)
    mark = generations.now()
    for n in range(1000):
        generations.void(keys=[b"%d" % n])
    assert generations.holds_tags(mark, ["t"])


def test_recent_names_are_told_apart():
    generations = Generations(max_names=40)
    for n in range(95):
        generations.void(keys=[b"%d" % n])
    mark = generations.now()
    for n in range(10):  # a quarter of 40
        generations.void(keys=[b"late %d" % n])
        assert generations.holds(mark, b"spared")
        assert not generations.holds(mark, b"late %d" % n)


def test_many_names_at_once_stay_within_the_bound():
    generations = Generations(max_names=40)
    mark = generations.now()
    after = generations.void(keys=(b"%d" % n for n in range(500)))
    assert len(generations) <= 40
    assert not any(generations.holds(mark, b"%d" % n) for n in range(500))
    assert generations.holds(after, b"7")


@pytest.mark.parametrize("bad", [0, 3, -1, 1.5, "9", None, True])
def test_a_wrong_bound_is_refused(bad: Any):
    with pytest.raises(ConfigurationError, match="max_names"):
        Generations(max_names=bad)


names = st.tuples(
    st.lists(st.sampled_from(KEYS), max_size=3),
    st.lists(st.sampled_from(TAGS), max_size=3),
    st.integers(0, 19).map(lambda n: n == 0),
)


@given(voids=st.lists(names, max_size=40), roomy=st.booleans())
@settings(max_examples=150)
def test_agrees_with_a_list_of_all_that_happened(voids, roomy: bool):
    generations = Generations() if roomy else Generations(max_names=8)
    marks = [generations.now()]
    for keys, tags, everything in voids:
        generations.void(keys, tags, everything=everything)
        marks.append(generations.now())
    for index, mark in enumerate(marks):
        since = voids[index:]
        for key, tag in zip(KEYS, TAGS, strict=True):
            voided = any(key in k or tag in t or all_ for k, t, all_ in since)
            holds = generations.holds(mark, key, [tag])
            assert not (voided and holds)
            if roomy or not since:
                assert holds is not voided


def test_threads_see_what_they_voided():
    generations = Generations(max_names=200)

    def work(n: int) -> None:
        key, tag = b"%d" % n, str(n)
        for _ in range(500):
            mark = generations.now()
            after = generations.void(keys=[key], tags=[tag])
            assert not generations.holds(mark, key)
            assert not generations.holds_tags(mark, [tag])
            assert generations.holds(after, key, [tag])

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, n) for n in range(4)]:
            done.result(timeout=60)
    assert generations.now() == 2000
