"""The replay behind `toolops audit --semantic`: what it reads, what it counts, what it keeps."""

from __future__ import annotations

import json
import math
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolops_plugins import ConfigurationError, Semantic, SemanticCache, ToolOps
from toolops_plugins.audit.log_reader import Broken, Record
from toolops_plugins.audit.semantic_advice import advice, percent, warnings
from toolops_plugins.audit.semantic_questions import Fields, fields_of, gather
from toolops_plugins.audit.semantic_replay import Replay, settings_around
from toolops_plugins.audit.semantic_result import Setting, Tally, wilson
from toolops_plugins.semantic.bounded import Bounded
from toolops_plugins.semantic.embedding.embedders import embedder_of, thresholds_of

BARE = Setting("threshold", 0.9, guarded=False)
GUARDED = Setting("threshold", 0.9)


class Angles:
    """Turns a text into the point at an angle, so that cosines are known by heart."""

    name = "angles"
    dimension = 2

    def __init__(self, angles):
        self._angles = angles

    def embed(self, texts):
        at = np.radians([self._angles[text] for text in texts])
        return np.stack([np.cos(at), np.sin(at)], axis=1).astype(np.float32)


def questions_of(rows, scope=()):
    names = ["q", "t", *scope]
    records = [Record(n, dict(zip(names, row, strict=False))) for n, row in enumerate(rows, 1)]
    truth = "t" if len(rows[0]) > 1 else None
    return gather(records, Fields("q", truth, tuple(scope)), None)


def run_replay(rows, angles, settings, watched=None, *, scope=(), orders=(), tell=None):
    questions = questions_of(rows, scope)
    replay = Replay(questions, Angles(angles), watched or settings[0], settings, orders)
    replay.run(tell or (lambda *_: None))
    return replay.result(price=0.5, latency=2.0, bounds=(0.1,))


def counts(tally):
    return (tally.requests, tally.hits, tally.exact, tally.wrong, tally.exact_wrong)


# cos 20 degrees is 0.940, cos 25 is 0.906, cos 30 is 0.866
SPOTS = {"a": 0, "b": 20, "c": 40, "d": 90, "e": 115}


def test_what_was_missed_is_stored_and_what_was_served_is_not():
    # a: miss. b: near a (0.940), served. c: not near a (0.766), and b was not stored: miss.
    # d: miss. e: near d (0.906), served with another's answer. a: exact. b: near a and c; served.
    rows = [("a", 1), ("b", 1), ("c", 2), ("d", 3), ("e", 4), ("a", 1), ("b", 1)]
    (tally,) = run_replay(rows, SPOTS, [BARE]).tallies
    assert counts(tally) == (7, 4, 1, 1, 0)
    assert tally.hit_rate == 4 / 7
    assert tally.wrong_of_all.value == 1 / 7
    assert tally.wrong_of_hits.value == 1 / 4


def test_every_setting_has_a_store_of_its_own():
    # At 0.95 nothing is near: five misses, then two exact hits. At 0.7 all up to c are one, and
    # b is not stored, so that its repeat is no exact hit.
    rows = [("a", 1), ("b", 1), ("c", 2), ("d", 3), ("e", 4), ("a", 1), ("b", 1)]
    settings = [Setting("threshold", at, guarded=False) for at in (0.7, 0.9, 0.95)]
    tallies = run_replay(rows, SPOTS, settings).tallies
    assert list(map(counts, tallies)) == [
        (7, 5, 1, 2, 0),
        (7, 4, 1, 1, 0),
        (7, 2, 2, 0, 0),
    ]


def test_the_same_words_with_another_truth_are_wrong_and_told():
    rows = [("a", 1), ("a", 2), ("d", 3), ("a", 1)]
    result = run_replay(rows, SPOTS, [GUARDED])
    assert counts(result.tallies[0]) == (4, 2, 2, 1, 1)
    assert any("same words" in warning for warning in warnings(result))
    assert result.wrong == []  # nothing to compare side by side


def test_scopes_share_nothing():
    rows = [("a", 1, "x"), ("a", 1, "y"), ("b", 1, "x"), ("b", 1, "z"), ("a", 1, "y")]
    result = run_replay(rows, SPOTS, [BARE], scope=("s",))
    assert counts(result.tallies[0]) == (5, 2, 1, 0, 0)
    assert result.distinct == 4


TALK = {
    "Cancel order 17": 0, "Cancel order 18": 5, "cancel order 18 please": 6,
    "Which orders are late?": 80, "When are orders late?": 85,
}  # fmt: skip


TWO = tuple(TALK)[:2]


def test_guards_veto_rightly_and_wrongly():
    # 18 is kept from the answer to 17, rightly; its twin finds it one degree away. "When" is kept
    # from "Which", wrongly: the log says that both want the same.
    rows = [
        ("Cancel order 17", "17"), ("Cancel order 18", "18"), ("cancel order 18 please", "18"),
        ("Which orders are late?", "late"), ("When are orders late?", "late"),
    ]  # fmt: skip
    result = run_replay(rows, TALK, [GUARDED, BARE])
    assert list(map(counts, result.tallies)) == [(5, 1, 0, 0, 0), (5, 3, 0, 2, 0)]
    told = {name: (each.vetoes, each.right) for name, each in result.guarding.items()}
    assert told.pop("numbers") == (1, 1)
    assert list(told.values()) == [(1, 0)]
    assert [(pair.line, pair.matched_line) for pair in result.vetoed] == [(2, 1), (5, 4)]
    assert result.vetoed[0].guard == "numbers"
    assert "18" in result.vetoed[0].reason
    assert result.vetoed[0].similarity == pytest.approx(math.cos(math.radians(5)), abs=1e-4)


def test_the_nearest_that_no_guard_forbids_is_served():
    rows = [
        ("Cancel order 18", "18"), ("Cancel order 17", "17"), ("cancel order 18 please", "17"),
    ]  # fmt: skip
    angles = {**TALK, "cancel order 18 please": 1}  # nearer to 17, which numbers forbid
    result = run_replay(rows, angles, [GUARDED])
    assert counts(result.tallies[0]) == (3, 1, 0, 1, 0)
    (pair,) = result.wrong
    assert (pair.question, pair.truth, pair.line) == ("cancel order 18 please", "17", 3)
    assert (pair.matched, pair.matched_truth, pair.matched_line) == ("Cancel order 18", "18", 1)
    assert [pair.line for pair in result.vetoed] == [2]  # the last was answered after all
    assert result.guarding["numbers"].vetoes == 2
    assert result.guarding["numbers"].right == 1  # the log has it that 17 was right for the last


def test_pairs_to_look_at_are_ordered_and_told_once():
    angles = {"a": 0, "b": 3, "c": 9, "d": 6, "p": 90, "q": 91}
    result = run_replay([("a",), ("b",), ("c",), ("d",), ("p",), ("q",)], angles, [BARE])
    assert counts(result.tallies[0])[:2] == (6, 4)
    assert [(pair.question, pair.matched) for pair in result.doubtful] == [("c", "a"), ("q", "p")]
    assert result.doubtful[0].truth is None
    assert not result.judged
    assert result.tallies[0].wrong == 0
    rows = [("a", 1), ("b", 2), ("p", 3), ("c", 4), ("q", 5), ("d", 6)]
    result = run_replay(rows, angles, [BARE])
    assert [(pair.question, pair.matched) for pair in result.wrong] == [("q", "p"), ("b", "a")]


def test_what_others_have_stored_does_not_hide_what_this_one_has():
    # Of 530 questions round the last one, the strict setting stores all, the lax one only two:
    # the one far off, and the first of the crowd, which then answers all others.
    angles = {"far": 12.0, **{f"t{i}": i / 1_000 for i in range(530, 0, -1)}, "last": 0.0}
    rows = [(text, text == "far") for text in angles]
    lax, strict = (Setting("threshold", at, guarded=False) for at in (0.9999, 1.0))
    far = Setting("threshold", 0.99, guarded=False)
    result = run_replay(rows, angles, [lax, strict, far])
    assert counts(result.tallies[0])[:2] == (532, 530)
    assert counts(result.tallies[0])[3] == 0
    # 0.99 reaches 8.1 degrees: not "far" either.
    assert counts(result.tallies[2]) == counts(result.tallies[0])
    lower = run_replay(rows, angles, [Setting("threshold", 0.97, guarded=False), strict])
    assert counts(lower.tallies[0]) == (532, 531, 0, 531, 0)  # all from "far", the last one too


def test_orders_are_shuffled_by_their_seeds_and_averaged():
    rows = [("a", 1), ("b", 2), ("c", 3)]
    # In the order a, b, c one of three is a hit; where b comes first, two are.
    (own,) = run_replay(rows, SPOTS, [BARE]).tallies
    assert own.hits == 1
    result = run_replay(rows, SPOTS, [BARE], orders=range(60))
    (tally,) = result.tallies
    assert (tally.requests, tally.orders) == (180, 60)
    assert 60 < tally.hits < 120
    assert tally.hits == tally.wrong
    # b comes first in a third of all orders: four hits in three of them.
    assert tally.hits / 60 == pytest.approx(4 / 3, abs=0.2)
    assert tally.wrong_of_all == wilson(tally.hits / 180, 3)  # no more evidence than of one order
    assert run_replay(rows, SPOTS, [BARE], orders=range(60)).tallies[0] == tally
    assert len(result.wrong) <= 2  # of the first order only


def test_ctrl_c_keeps_what_was_counted():
    angles = {f"t{i}": i / 10 for i in range(600)}
    rows = [(text, 1) for text in angles] + [("t0", 2)]
    seen = []

    def tell(what, done, total):
        seen.append((what, done, total))
        if (what, done) == ("replaying", 512):
            raise KeyboardInterrupt

    result = run_replay(rows, angles, [BARE], tell=tell)
    assert result.interrupted
    assert result.tallies[0].requests == 512
    assert seen[0] == ("embedding", 0, 600)
    assert seen[-1] == ("replaying", 512, 601)
    assert any("Stopped" in warning for warning in warnings(result))

    def at_once(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_replay(rows, angles, [BARE], tell=at_once)


# against the real cache


def ask_all(cache, data):
    """Return what the cache itself does with a stream: hits and wrong answers."""
    hits = wrong = 0
    for each in data:
        match = cache.find(each["question"])
        if match is None:
            cache.put(each["question"], each["intent"])
        else:
            hits += 1
            wrong += match.value != each["intent"]
    return hits, wrong


@pytest.fixture(scope="module")
def banking77(data_dir):
    with (data_dir / "banking77.jsonl").open() as file:
        return [json.loads(line) for line in islice(file, 500)]


def run_audit(data, settings):
    questions = questions_of([(each["question"], each["intent"]) for each in data])
    replay = Replay(questions, embedder_of(None), settings[0], settings)
    replay.run(lambda *_: None)
    return replay.result(price=0.002, latency=1.0, bounds=(0.02,))


def test_thresholds_do_what_the_cache_does(banking77, tmp_path):
    settings = [Setting("threshold", 0.7), Setting("threshold", 0.7, guarded=False)]
    _, around = settings_around(thresholds_of(embedder_of(None)), [], judged=False)
    assert around[0].calibrated
    result = run_audit(banking77, [*settings, around[0]])
    for number, tally in enumerate(result.tallies):
        own = [{"threshold": 0.7}, {"threshold": 0.7, "guards": []}, {}][number]
        with SemanticCache(tmp_path / f"{number}", **own, flush_every=3_600) as cache:
            assert (tally.hits, tally.wrong) == ask_all(cache, banking77)
        assert 20 < tally.hits < 480
        assert tally.wrong


def test_bounds_do_what_the_cache_does(banking77, tmp_path, monkeypatch):
    made = []

    def make_learner(**rest):
        made.append(Bounded(seed=0, **rest))
        return made[-1]

    monkeypatch.setattr("toolops_plugins.semantic.index.learning.Bounded", make_learner)
    # What is all but the same is not stored twice, and exact repeats make room for more errors.
    spaced = [{**each, "question": f"{each['question']} "} for each in banking77[:25]]
    data = [
        *banking77[:25],
        *spaced,
        *spaced,
        *banking77[25:300],
        *banking77[:250] * 2,
        *banking77[300:],
    ]
    (tally,) = run_audit(data, [Setting("bounded", 0.05)]).tallies
    with SemanticCache(tmp_path / "x", max_error=0.05, flush_every=3_600) as cache:
        assert (tally.hits, tally.wrong) == ask_all(cache, data)
    assert made
    assert tally.hits - 10 > tally.exact > 100


def test_the_default_is_that_of_a_tool(tmp_path):
    with ToolOps("audit", semantic=SemanticCache(tmp_path)) as ops:

        @ops.readonly(semantic=Semantic(on="question"))
        def ask(question):
            return question

        ask("How do I pay by card?")
        rule = ask.explain("How can I pay by card?")
    default, _ = settings_around((0.8, 0.4), [], judged=True)
    assert (rule.policy, rule.details["max_error"]) == (default.policy, default.value)


def test_pairs_are_those_of_the_default_and_vetoes_those_of_the_calibrated_thresholds():
    rows = [
        ("Cancel order 18", "18"), ("CANCEL ORDER 18", "17"), ("Cancel order 17", "17"),
    ]  # fmt: skip
    angles = {**TALK, "CANCEL ORDER 18": 5.5}
    default, settings = settings_around((0.9, 0.5), [], judged=True)
    result = run_replay(rows, angles, settings, default)
    assert (result.setting, result.vetoing) == (default, Setting("threshold", 0.9, alike=0.5))
    # The default serves repetitions from the first request on.
    assert [(pair.question, pair.truth) for pair in result.wrong] == [("CANCEL ORDER 18", "17")]
    assert {name: each.vetoes for name, each in result.guarding.items()} == {"numbers": 1}
    assert [pair.question for pair in result.vetoed] == ["Cancel order 17"]


def test_verdicts_are_kept_for_a_batch_only():
    from toolops_plugins.audit.semantic_replay import _Log

    questions = questions_of([("Cancel order 17", 1), ("Cancel order 18", 2)])
    replay = Replay(questions, Angles(TALK), GUARDED, [GUARDED])
    log = _Log(questions, replay._entry, replay._rows, replay._embed(lambda *_: None))
    guards = log.guards
    assert guards.weigh(*TWO) is guards.weigh(*TWO)
    assert guards.weigh(*TWO)[0].guard == "numbers"
    log.nears([1])
    assert not guards._known


# shares and settings


def test_intervals_are_those_of_the_textbook():
    # Wilson's interval of 10 in 100 and of 0 in 10, as in Brown, Cai and DasGupta (2001).
    assert wilson(0.1, 100) == pytest.approx((0.1, 0.05523, 0.17437), abs=1e-4)
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.0, 0.27753), abs=1e-4)
    assert wilson(1.0, 10) == pytest.approx((1.0, 0.72247, 1.0), abs=1e-4)
    assert wilson(0.0, 0) == (0.0, 0.0, 1.0)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_an_interval_holds_its_share(count, part):
    share = round(part * count) / count
    found = wilson(share, count)
    assert 0 <= found.low <= share <= found.high <= 1
    assert wilson(share, 4 * count).high <= found.high


def test_settings_lie_round_the_threshold():
    watched, settings = settings_around(0.8, [0.02], judged=True)
    assert watched in settings
    values = [0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    bounds, calibrated = [0.01, 0.02], Setting("threshold", 0.8, alike=0.4)
    thresholds = [Setting("threshold", each, on) for on in (True, False) for each in values]
    assert settings == [*(Setting("bounded", bound) for bound in bounds), *thresholds]
    default, more = settings_around((0.8, 0.4), [0.02], judged=True)
    assert more == [*settings[:2], calibrated, *thresholds]
    assert default == Setting("bounded", 0.01)
    assert default.default
    # Without answers the default cannot learn.
    assert settings_around((0.8, 0.4), [0.02], judged=False) == (
        calibrated,
        [calibrated, *thresholds],
    )
    watched, settings = settings_around(0.95, [0.02], judged=False)
    assert all(0.79 < setting.value < 1 for setting in settings)
    assert {setting.policy for setting in settings} == {"threshold"}
    for threshold in (0.04, 1.0, 0.123_456):
        watched, settings = settings_around(threshold, [], judged=True)
        assert watched in settings
        assert all(0 < setting.value <= 1 for setting in settings)


def advice_for(tallies, bounds, *more):
    """Return the advice on tallies of 10,000 requests: (setting, hits, wrong)."""
    result = run_replay([("a", 1), ("d", 2)], SPOTS, [BARE])
    result.tallies = [
        Tally(setting, requests=10_000, hits=hits, wrong=wrong) for setting, hits, wrong in tallies
    ]
    result.tallies += more
    result.bounds = bounds
    return list(advice(result))


def test_advice_takes_the_most_hits_within_the_bound():
    low, high = Setting("threshold", 0.7), Setting("threshold", 0.9)
    tallies = [
        (low, 6_000, 190),  # 1.9 %, up to 2.19 %
        (high, 3_000, 50),
        (Setting("threshold", 0.8, guarded=False), 9_000, 40),
        (Setting("bounded", 0.02), 5_000, 195),
        (Setting("bounded", 0.05), 7_000, 150),
    ]
    two, five = advice_for(tallies, (0.02, 0.05))
    # Not 0.7, whose interval passes the bound; the policy that was told the bound may come near it.
    assert "max_error=0.02 answers 50.0%" in two
    assert "1.95% of all wrongly" in two
    assert "max_error=0.05 answers 70.0%" in five
    assert "saves 0.7 of 1.00 and 2.8 s of 4 s" in five
    (alone,) = advice_for(tallies[:3], (0.02,))
    assert "threshold=0.9 answers 30.0%" in alone
    (wider,) = advice_for(tallies[:3], (0.022,))
    assert "threshold=0.7 answers 60.0%" in wider
    # Tools do not have the calibrated thresholds.
    calibrated = (Setting("threshold", 0.8, alike=0.3), 9_000, 5)
    (settable,) = advice_for([*tallies[:3], calibrated], (0.02,))
    assert settable == alone
    (default,) = advice_for([(Setting("bounded", 0.01), 4_000, 60)], (0.02,))
    assert "the default (max_error=0.01) answers 40.0%" in default
    # What has learned nothing yet has kept its bound by serving nothing.
    cold = Tally(Setting("bounded", 0.02), requests=10_000, hits=9_000, exact=9_000)
    (careful,) = advice_for([(GUARDED, 3_000, 50)], (0.02,), cold)
    assert "threshold=0.9 answers 30.0%" in careful


def test_advice_says_when_the_log_is_too_short():
    (sentence,) = advice_for([(Setting("threshold", 0.9), 3_000, 50)], (0.001,))
    assert "nothing that was tried is sure" in sentence
    assert percent(wilson(0.005, 10_000).high) in sentence


# what is read


def test_fields_of_a_call_make_question_and_scope():
    sample = [{"question": "x", "tenant": "y", "tool": "z", "intent": 1}]
    assert fields_of(sample, truth="intent") == Fields(
        "question", "intent", ("tool",), ("question", "tool")
    )
    found = fields_of(sample, on="question", fields=["tenant", "question"], tool="tool")
    assert found == Fields("question", None, ("tenant", "tool"))
    assert fields_of(sample, on="intent", fields=["tenant"]).scope == ("tenant", "tool")
    assert fields_of(sample, truth="tool") == Fields("question", "tool", (), ("question",))
    assert fields_of(["a", "b"]) == Fields(None)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"truth": "x"}, "--truth: there is no field 'x'; these are: question, a"),
        ({"on": "x"}, "--on: there is no field 'x'; these are: question, a"),
        ({"fields": ["x"]}, "--field: there is no field 'x'"),
        ({"fields": ["question", "a"]}, "--on: must say which field is the question: question, a"),
        ({"truth": "question"}, "--truth: 'question' is the field of the question"),
    ],
)
def test_wrong_fields_are_told_by_their_option(options, text):
    with pytest.raises(ConfigurationError) as found:
        fields_of([{"question": "x", "a": 1}], **options)
    assert str(found.value).startswith(text)


def test_what_is_no_question_is_counted_and_left_out():
    values = [
        {"q": "a", "t": 1}, {"q": " ", "t": 1}, {"q": 5, "t": 1}, {"q": ["a"], "t": 1},
        {"q": "b"}, {"q": "b", "t": None}, {"q": "b", "t": ""}, {"t": 1}, "x",
        {"q": "b", "t": {"y": [2]}},
    ]  # fmt: skip
    lines = [Record(n, value) for n, value in enumerate(values, 1)]
    lines.insert(2, Broken(99, "bad"))
    found = gather(lines, Fields("q", "t"), None)
    assert (found.texts, found.lines) == (["a", "b"], [1, 10])
    assert list(found.truths.values()) == ["1", '{"y":[2]}']
    assert dict(found.skipped) == {
        "an empty question": 1, "a question that is no text": 2, "no truth": 3,
    }  # fmt: skip
    assert found.broken == 3
    assert [line.number for line in found.broken_lines] == [99, 8, 9]
    assert not found.cut


def test_a_limit_counts_questions():
    lines = [Record(n, text) for n, text in enumerate(["a", "", "b", "c"], 1)]
    found = gather(iter(lines), Fields(None), 2)
    assert (found.texts, found.cut) == (["a", "b"], True)
    assert not gather(lines[:3], Fields(None), 2).cut


def test_truths_are_equal_as_answers_are():
    found = questions_of([("a", "Yes"), ("b", "yes "), ("c", 1), ("d", True), ("e", 1.0)])
    same = [[x == y for y in found.answers] for x in found.answers]
    assert same[0] == [True, True, False, False, False]
    assert sum(map(sum, same)) == 4 + 3
