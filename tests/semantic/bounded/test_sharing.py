from __future__ import annotations

import itertools
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolops_plugins.semantic.bounded import Bounded, sharing
from toolops_plugins.semantic.bounded.changes import Doubts
from toolops_plugins.semantic.bounded.evidence import FEATURES
from toolops_plugins.semantic.bounded.labels import WINDOW, Labels
from toolops_plugins.semantic.bounded.records import Table
from toolops_plugins.semantic.bounded.sharing import Pace, Share, State, dump, load, newest
from toolops_plugins.semantic.decision import Neighbour

SCOPE = b"scope"
RNG = np.random.default_rng(0)
CENTRES = RNG.normal(size=(12, 16))


def sample(count, seed):
    rng = np.random.default_rng(seed)
    answers = rng.integers(len(CENTRES), size=count)
    vectors = CENTRES[answers] + 0.4 * rng.normal(size=(count, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), answers


STORED, ANSWERS = sample(60, 0)


def open_learner(own_words=False):
    """Return a learner that knows the stored entries, as it is when an index was opened."""
    learner = Bounded(seed=0, vector_of=lambda entry: STORED[int(entry)])
    for place, (x, answer) in enumerate(zip(STORED, ANSWERS, strict=True)):
        words = f"{answer} {place}" if own_words else str(answer)
        learner.add(str(place), x, words.encode(), SCOPE)
    return learner


def teach(learner, count, seed, bound=0.05):
    """Let it learn from that many calls."""
    for x, answer in zip(*sample(count, seed), strict=True):
        similarities = STORED @ x
        best = np.argsort(-similarities)[:16].tolist()
        near = [Neighbour(str(i), float(similarities[i])) for i in best]
        decision = learner.decide(x, near, max_error=bound, scope=SCOPE)
        learner.learn(decision, [str(i) for i in best if ANSWERS[i] == answer])
    return learner


def knowledge(learner):
    """All that came of learning and merging, whoever it came from and in whatever order."""
    found = load(learner.state())
    shares = {
        share.source: (share.learned, *(part.tolist() for part in share.labels.right[None]))
        for share in found.shares
    }
    lean = [round(learner._group_records.lean(key), 6) for key in sorted(learner._groups._groups)]
    return shares, lean, sorted(map(sorted, found.joined))


def decide(learner, seed=99):
    x = sample(1, seed)[0][0]
    similarities = STORED @ x
    best = np.argsort(-similarities)[:16].tolist()
    near = [Neighbour(str(i), float(similarities[i])) for i in best]
    return learner.decide(x, near, max_error=0.05, scope=SCOPE, dry=True)


@pytest.fixture(scope="module")
def states():
    return [
        teach(open_learner(), count, seed).state() for seed, count in enumerate((70, 150, 90), 1)
    ]


def test_states_may_be_merged_in_any_order_and_repeatedly(states):
    results = []
    for order in itertools.permutations(states):
        learner = open_learner()
        for state in (*order, order[0]):
            assert learner.merge(state)
        results.append(knowledge(learner))
    assert all(result == results[0] for result in results)
    assert len(results[0][0]) == 3


def test_what_came_by_two_ways_counts_once(states):
    first, second = open_learner(), open_learner()
    first.merge(states[0])
    second.merge(states[0])
    second.merge(states[1])
    target = open_learner()
    for state in (first.state(), second.state(), states[1]):
        target.merge(state)
    direct = open_learner()
    direct.merge(states[0])
    direct.merge(states[1])
    assert knowledge(target) == knowledge(direct)
    assert len(target._others.right) == 70 + 150


def test_ones_own_state_changes_nothing():
    learner = teach(open_learner(), 100, 1)
    before = knowledge(learner), decide(learner).details
    assert learner.merge(learner.state())
    assert (knowledge(learner), decide(learner).details) == before


def test_a_later_state_of_a_process_takes_the_place_of_its_earlier_one():
    learner = teach(open_learner(), 60, 1)
    early = learner.state()
    teach(learner, 60, 2)
    late = learner.state()
    for order in ((early, late), (late, early)):
        target = open_learner()
        for state in order:
            target.merge(state)
        assert len(target._others.right) == 120


def test_a_restart_goes_on_where_the_last_process_ended():
    before = teach(open_learner(), 300, 1)
    after = open_learner()
    assert decide(after).reason == "cold"
    assert after.merge(before.state())
    old, new = decide(before), decide(after)
    assert (new.id, new.reason) == (old.id, old.reason)
    for name in ("z", "risk", "theta"):
        assert new.details[name] == pytest.approx(old.details[name], rel=0.1, abs=0.2)
    assert after._budgets[0.05].recent().tolist() == before._budgets[0.05].recent().tolist()
    for name in FEATURES:
        assert new.details[name] == pytest.approx(old.details[name], abs=1e-3)


def test_a_bound_that_is_first_used_after_the_merge_goes_on_too(states):
    learner = open_learner()
    learner.merge(states[1])
    assert len(learner._budgets) == 0
    decide(learner)
    assert len(learner._budgets[0.05].recent()) == 150


def raise_alarm(learner):
    """Let wrong answers come until all groups are in doubt; return one group of them."""
    key = learner._groups.lead(next(iter(learner._groups._groups)))
    while learner._changes.trusts(key):
        learner._changes.confirm(1)
        learner._changes.note(1, 0.3, right=False, new=True)
    return key


def test_doubts_outlive_a_restart():
    """The entries whose answers have changed do so, too."""
    before = teach(open_learner(), 60, 1)
    keys = sorted({before._groups.lead(key) for key in before._groups._groups})
    before._changes.note(keys[0], 0.01, right=False, new=False)
    after = open_learner()
    after.merge(before.state())
    assert [key for key in keys if not after._changes.trusts(key)] == keys[:1]


def test_an_alarm_outlives_a_restart_and_so_does_what_was_right_since():
    before = teach(open_learner(), 60, 1)
    raise_alarm(before)
    keys = sorted({before._groups.lead(key) for key in before._groups._groups})
    before._changes.note(keys[2], 0.01, right=True, new=False)
    after = open_learner()
    after.merge(before.state())
    assert [key for key in keys if after._changes.trusts(key)] == keys[2:3]
    third = open_learner()
    third.merge(after.state())  # which has learned nothing itself
    assert [key for key in keys if third._changes.trusts(key)] == keys[2:3]


def test_the_process_that_learned_last_says_what_is_in_doubt():
    early, late = teach(open_learner(), 60, 1), open_learner()
    key = raise_alarm(early)
    late.merge(early.state())
    late._changes.note(key, 0.01, right=True, new=False)
    teach(late, 1, 2)
    late._stamp = early._stamp + 1
    for order in ((early, late), (late, early)):
        after = open_learner()
        for learner in order:
            after.merge(learner.state())
        assert after._changes.trusts(key)


def test_a_process_with_labels_of_its_own_keeps_to_its_own_doubts():
    before = teach(open_learner(), 60, 1)
    key = raise_alarm(before)
    running = teach(open_learner(), 1, 2)
    running.merge(before.state())
    assert running._changes.trusts(key)


def test_many_restarts_keep_the_newest_and_stay_small():
    state = b""
    sizes = []
    for generation in range(20):
        learner = open_learner()
        learner.merge(state)
        state = teach(learner, 200, generation).state()
        sizes.append(len(state))
    found = load(state)
    assert sum(len(share.labels.right) for share in found.shares) < WINDOW + 200
    assert max(sizes[10:]) < 1.05 * sizes[9]
    assert learner._source in {share.source for share in found.shares}


def test_short_lives_are_bounded_too():
    state = b""
    for generation in range(20):
        learner = open_learner()
        learner.merge(state)
        state = teach(learner, 3, generation).state()
    assert len(load(state).shares) == 16


def test_answers_that_agree_are_one_group_again():
    learner = open_learner(own_words=True)
    for place in range(1, len(ANSWERS)):
        same = [str(other) for other in range(place) if ANSWERS[other] == ANSWERS[place]]
        words = f"{ANSWERS[place]} {place}".encode()
        learner.add(str(place), STORED[place], words, SCOPE, same)
    teach(learner, 100, 1)
    groups = len(set(ANSWERS.tolist()))
    assert len({learner._groups.lead(k) for k in learner._groups._groups}) == groups
    after = open_learner(own_words=True)
    assert len({after._groups.lead(k) for k in after._groups._groups}) == len(ANSWERS)
    after.merge(learner.state())
    assert knowledge(after)[1:] == knowledge(learner)[1:]
    assert len({after._groups.lead(k) for k in after._groups._groups}) == groups


def shares(seed, count):
    rng = np.random.default_rng(seed)
    return [
        Share(
            f"process {place}",
            int(rng.integers(1, 9_999)),
            float(rng.integers(1, 5)),
            Labels(
                rng.normal(size=(labels, len(FEATURES))).astype(np.float32),
                rng.normal(size=labels).astype(np.float32),
                rng.random(labels) < 0.5,
            ),
            Table(rng.integers(2**60, size=5), rng.normal(size=(5, 2)).astype(np.float32)),
            Table(rng.integers(2**60, size=0), np.empty((0, 2), np.float32)),
            {
                0.05: Pace(rng.integers(100, size=labels).astype(np.int8), 5_000, 900),
                0.01: Pace(np.empty(0, np.int8), 0, 0),
            },
            Doubts(
                rng.integers(2**60, size=place),
                None if place == 1 else rng.integers(2**60, size=labels),
            ),
        )
        for place in range(count)
        for labels in [int(rng.integers(0, 900))]
    ]


def same(one, other):
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other


@given(st.integers(0, 99), st.integers(0, 3), st.lists(st.lists(st.integers(0, 2**60), max_size=4)))
@settings(max_examples=25)
def test_a_state_survives_being_written_and_read(seed, count, joined):
    state = State(shares(seed, count), joined)
    assert same(load(dump(state)), state)


@given(st.integers(0, 99))
@settings(max_examples=25)
def test_the_newest_shares_are_kept_whatever_their_order(seed):
    known = shares(seed, 8)
    kept = newest(known)
    assert [share.source for share in kept] == [share.source for share in newest(known[::-1])]
    assert [share.age for share in kept] == sorted(share.age for share in kept)
    left = [share for share in known if share.source not in {each.source for each in kept}]
    assert all(share.age < kept[0].age for share in left)
    if left:
        assert sum(len(share.labels.right) for share in kept) >= WINDOW


@given(st.data())
@settings(max_examples=60)
def test_broken_states_are_refused_and_change_nothing(states, data):
    state = states[0]
    at = data.draw(st.integers(0, len(state) - 1))
    broken = data.draw(
        st.sampled_from(
            [state[:at], state[:at] + bytes([state[at] ^ 1]) + state[at + 1 :], state + b"x"]
        )
    )
    learner = open_learner()
    assert learner.merge(broken) is False
    assert learner._shares == {}


@pytest.mark.parametrize("state", [b"", b"x", b"TOB", b"{}", b"\0" * 100, b"TOB\x01" + b"\0" * 8])
def test_what_is_no_state_is_refused(state):
    assert open_learner().merge(state) is False


@pytest.mark.parametrize(
    "header", [b"[]", b"{}", b"null", b'{"features": []}', b"\xff", b'{"features":1}']
)
def test_a_header_that_makes_no_sense_is_refused(header):
    state = sharing._HEAD.pack(sharing._MAGIC, zlib.crc32(header), len(header)) + header
    assert open_learner().merge(state) is False


def test_a_state_of_other_features_is_refused(monkeypatch, states):
    monkeypatch.setattr(sharing, "FEATURES", FEATURES[1:])
    assert load(states[0]) is None


def test_a_learner_that_has_seen_nothing_has_nothing_to_tell():
    state = load(Bounded().state())
    assert state == State([], [])
