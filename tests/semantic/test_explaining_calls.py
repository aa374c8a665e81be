"""Explanations of calls: what a call would get now, in its own scope and under its own policy."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from toolops_plugins import (
    Cache,
    ConfigurationError,
    Explanation,
    Memory,
    Semantic,
    SemanticCache,
    ToolOps,
)
from toolops_plugins.errors import TierError
from toolops_plugins.testing import FakeClock

FRANCE = "What is the capital of France?"
AGAIN = "what's the capital of France"
SPAIN = "What is the capital of Spain?"
BY_MEANING = Semantic(on="question", threshold=0.8)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., ToolOps]]:
    made: list[ToolOps] = []

    def make(**options: Any) -> ToolOps:
        semantic = SemanticCache(tmp_path / "index", **options.pop("semantic", {}))
        made.append(ToolOps("explain", semantic=semantic, **options))
        return made[-1]

    yield make
    for ops in made:
        ops.close()


@pytest.fixture
def ops(make: Callable[..., ToolOps]) -> ToolOps:
    return make()


def ask_by(ops: ToolOps, *, aio: bool = False, **options: Any) -> Any:
    """Return a tool that answers questions of a user."""
    options = {"cache": Cache(ttl=60, beta=0.0), "semantic": BY_MEANING, **options}

    def ask(question: str, user: str = "ann") -> str:
        return f"the answer to {question}"

    async def aask(question: str, user: str = "ann") -> str:
        return ask(question, user)

    return ops.tool(name="ask", **options)(aask if aio else ask)


def call(tool: Any, *args: Any, aio: bool, **kwargs: Any) -> Any:
    return asyncio.run(tool(*args, **kwargs)) if aio else tool(*args, **kwargs)


def explain(tool: Any, *args: Any, aio: bool, **kwargs: Any) -> Explanation:
    """Explain a call by either of the two functions."""
    if aio:
        return asyncio.run(tool.aexplain(*args, **kwargs))
    return tool.explain(*args, **kwargs)


# Decisions


@pytest.mark.parametrize("aio", [False, True])
def test_it_looks_in_the_scope_of_the_call_under_the_policy_of_the_tool(ops, aio):
    ask = ask_by(ops, aio=aio, semantic=Semantic(on="question", threshold=0.9))
    call(ask, FRANCE, aio=aio)
    for by in (False, True):  # each function has both
        served = explain(ask, AGAIN, aio=by)
        assert (served.served, served.reason, served.policy) == (True, "served", "threshold")
        assert served.details["threshold"] == 0.9
        assert served.tool == "ask"
        assert served.candidates[0].question == FRANCE
        assert served.candidates[0].outcome == "served"
        assert explain(ask, SPAIN, aio=by).reason == "below_threshold"
        other = explain(ask, AGAIN, user="bob", aio=by)
        assert (other.reason, other.candidates, dict(other.scope)) == (
            "nothing_near",
            [],
            {"user": "'bob'"},
        )
        assert "same other arguments" in other.note


@pytest.mark.parametrize("aio", [False, True])
def test_it_says_that_the_exact_tiers_hold_the_answer(ops, aio):
    ask = ask_by(ops, aio=aio)
    call(ask, FRANCE, aio=aio)
    found = explain(ask, question=FRANCE, user="ann", aio=aio)
    assert (found.served, found.reason, found.policy, found.tier) == (True, "exact", "exact", "L1")
    assert found.question == FRANCE


@pytest.mark.parametrize("aio", [False, True])
def test_what_it_says_is_what_the_call_then_gets(make, aio):
    events: list[Any] = []
    ops = make(sinks=[events.append])
    ask = ask_by(ops, aio=aio)
    call(ask, FRANCE, aio=aio)
    for question in (FRANCE, AGAIN, SPAIN, f"please, {SPAIN}", "How do I boil an egg?"):
        expected = explain(ask, question, aio=aio).served
        call(ask, question, aio=aio)
        assert (events[-1].outcome == "hit") is expected, question


@pytest.mark.parametrize("aio", [False, True])
def test_it_counts_calls_and_learns_nothing(make, aio):
    events: list[Any] = []
    ops = make(sinks=[events.append])
    ask = ask_by(ops, aio=aio, semantic=Semantic(on="question", max_error=0.05))
    call(ask, FRANCE, aio=aio)
    ops.semantic.flush()
    index = ops.semantic.answers.index
    memory = ops._storage.tiers.all[0]
    (key,) = memory._slots

    def state() -> Any:
        return (
            index.learned.learner().state(), [row.hits for row in index.memory.rows()],
            memory.peek(key).freq, len(memory), memory.expired, len(events), str(ops.stats()),
        )  # fmt: skip

    before = state()
    for question in (FRANCE, AGAIN, SPAIN):
        explain(ask, question, aio=aio)
    assert state() == before


def test_a_bounded_policy_tells_bound_and_evidence(ops):
    ask = ask_by(ops, semantic=Semantic(on="question", max_error=0.05))
    ask(FRANCE)
    found = ask.explain(AGAIN)
    assert (found.policy, found.served) == ("bounded", True)
    assert found.details["max_error"] == 0.05
    assert [each.question for each in found.candidates] == [FRANCE]


def test_the_default_tells_what_it_needs_before_it_serves_more(ops):
    ask = ask_by(ops, semantic=Semantic(on="question"))
    ask(FRANCE)
    repeated = ask.explain(f"  {FRANCE.upper()} ")
    assert (repeated.served, repeated.details["basis"]) == (True, "repeated")
    assert "the same but for its writing" in repeated.because
    other = ask.explain("Which city is the capital of France?")
    assert (other.served, other.policy, other.reason) == (False, "bounded", "cold")
    assert other.details["labels_missing"] == 48
    assert "48 more" in other.because
    assert (other.details["spent"], other.details["max_error"]) == (0.0, 0.01)
    assert other.details["allowed"] > 0


def test_arguments_that_do_not_count_are_in_no_scope(ops):
    @ops.tool(cache=Cache(ttl=60), semantic=BY_MEANING, ignore=["trace"])
    def ask(question: str, trace: int = 0) -> str:
        return question

    ask(FRANCE, trace=1)
    assert ask.explain(FRANCE, trace=2).reason == "exact"
    found = ask.explain(AGAIN, trace=3)
    assert (found.served, found.scope) == (True, {})

    @ops.tool(cache=Cache(ttl=60, key_params=["question"]), semantic=BY_MEANING)
    def tell(question: str, mood: str = "") -> str:
        return question

    tell(FRANCE, mood="good")
    found = tell.explain(AGAIN, mood="bad")
    assert (found.served, found.scope) == (True, {})

    @ops.tool(cache=Cache(ttl=60, key=lambda question, n: (question.lower(), n % 2)))
    def count(question: str, n: int) -> str:
        return question

    count("a", 1)
    assert count.explain("A", 3).reason == "exact"
    assert count.explain("A", 2).reason == "not_stored"


def test_secrets_and_objects_are_not_shown(ops):
    @ops.tool(cache=Cache(ttl=60), semantic=BY_MEANING, secret=["door"])
    def ask(question: str, api_key: str, door: str, notes: list[str]) -> str:
        return question

    found = ask.explain(FRANCE, "sk-hidden", "open-hidden", ["private-hidden"])
    assert found.scope == {"api_key": "(secret)", "door": "(secret)", "notes": "<list>"}
    for shown in (str(found), found._repr_html_(), found.to_json()):
        assert "hidden" not in shown


# Kinds of functions


def test_methods_are_bound(ops):
    class Desk:
        def __init__(self, name: str) -> None:
            self.name = name

        @ops.tool(cache=Cache(ttl=60), semantic=BY_MEANING)
        def ask(self, question: str) -> str:
            return f"{self.name}: {question}"

        @ops.tool(cache=Cache(ttl=60), semantic=BY_MEANING)
        @classmethod
        def tell(cls, question: str) -> str:
            return question

        @ops.tool(cache=Cache(ttl=60), semantic=BY_MEANING)
        async def aask(self, question: str) -> str:
            return question

    desk, other = Desk("one"), Desk("two")
    desk.ask(FRANCE)
    assert desk.ask.explain(AGAIN).served
    assert Desk.ask.explain(desk, AGAIN).served
    assert not other.ask.explain(AGAIN).served
    assert asyncio.run(desk.ask.aexplain(AGAIN)).served
    Desk.tell(FRANCE)
    assert Desk.tell.explain(AGAIN).served
    asyncio.run(desk.aask(FRANCE))
    assert desk.aask.explain(AGAIN).served


def test_partials_and_streams_are_explained(ops):
    def ask(user: str, question: str) -> str:
        return question

    tool = ops.tool(cache=Cache(ttl=60), semantic=BY_MEANING)(functools.partial(ask, "ann"))
    tool(FRANCE)
    assert tool.explain(AGAIN).served

    @ops.tool(cache=Cache(ttl=60), semantic=BY_MEANING)
    def stream(question: str) -> Iterator[str]:
        yield question

    list(stream(FRANCE))
    assert stream.explain(FRANCE).reason == "exact"
    assert stream.explain(AGAIN).reason == "served"


@pytest.mark.parametrize("aio", [False, True])
def test_large_arguments_are_explained(ops, aio):
    @ops.tool(cache=Cache(ttl=60), semantic=BY_MEANING)
    def ask(question: str, pages: list[str]) -> str:
        return question

    pages = [f"page {number} " * 100 for number in range(5_000)]
    ask(FRANCE, pages)
    assert explain(ask, FRANCE, pages, aio=aio).reason == "exact"
    assert explain(ask, AGAIN, pages, aio=aio).reason == "served"
    assert explain(ask, AGAIN, pages[1:], aio=aio).reason == "nothing_near"


@pytest.mark.parametrize("aio", [False, True])
def test_what_a_cache_aside_would_find_is_explained(ops, aio):
    aside = ops.aside(
        lambda question, user: None, cache=Cache(ttl=60), semantic=BY_MEANING, name="aside"
    )
    aside.store("Paris", FRANCE, "ann")
    assert explain(aside, FRANCE, "ann", aio=aio).reason == "exact"
    assert explain(aside, AGAIN, user="ann", aio=aio).reason == "served"
    assert explain(aside, AGAIN, user="bob", aio=aio).reason == "nothing_near"


# Calls that are not compared by meaning


def test_a_tool_without_a_cache_says_so(ops):
    for tool in (ops.tool(ask_plainly), ops.sideeffect(ask_plainly)):
        with pytest.raises(ConfigurationError, match=r"stores no results.*cache=Cache"):
            tool.explain("x")
        with pytest.raises(ConfigurationError, match="stores no results"):
            asyncio.run(tool.aexplain("x"))


def ask_plainly(question: str) -> str:
    return question


def test_a_tool_without_semantic_is_explained_exactly(ops):
    tool = ops.tool(cache=Cache(ttl=60))(ask_plainly)
    before = tool.explain(FRANCE)
    assert (before.served, before.reason, before.policy) == (False, "not_stored", "exact")
    assert "Semantic(on=...)" in before.note
    assert "question='What is the capital of France?'" in str(before)
    tool(FRANCE)
    assert tool.explain(FRANCE).reason == "exact"
    with ToolOps("no semantic cache") as other:
        assert other.readonly(ask_plainly).explain(FRANCE).reason == "not_stored"


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("x" * 101, "too_long"),
        ("   ", "no_question"),
        (7, "no_question"),
        (object(), "not_canonical"),
    ],
)
def test_a_call_that_is_no_question_says_so(make, question, reason):
    ask = ask_by(make(semantic={"max_text": 100}))
    found = ask.explain(question)
    assert (found.served, found.reason) == (False, reason)
    assert found.because != reason


def test_arguments_that_do_not_fit_are_refused(ops):
    with pytest.raises(TypeError, match="unexpected"):
        ask_by(ops).explain(FRANCE, nobody=1)


def test_stale_answers_and_stored_errors_are_told(make):
    clock = FakeClock()
    ops = make(clock=clock)
    fails = [False]

    @ops.tool(cache=Cache(ttl=10, stale_ttl=10, negative=ValueError, negative_ttl=5, jitter=0.0))
    def ask(question: str) -> str:
        if fails[0]:
            raise ValueError(question)
        return question

    ask(FRANCE)
    clock.advance(11)
    assert (ask.explain(FRANCE).served, ask.explain(FRANCE).reason) == (True, "stale")
    clock.advance(10)
    assert ask.explain(FRANCE).reason == "not_stored"
    fails[0] = True
    with pytest.raises(ValueError, match="Spain"):
        ask(SPAIN)
    assert ask.explain(SPAIN).reason == "cached_error"


def test_a_forced_refresh_and_an_inactive_runtime_are_told(ops):
    ask = ask_by(ops)
    ask(FRANCE)
    with ops.force_refresh():
        assert (ask.explain(FRANCE).served, ask.explain(FRANCE).reason) == (False, "forced_refresh")
        assert ask.explain(AGAIN).reason == "forced_refresh"
        ask(FRANCE)
        assert ask.explain(FRANCE).reason == "exact"
    ops.active = False
    assert ask.explain(FRANCE).reason == "inactive"


def test_what_was_invalidated_is_not_served(ops):
    ask = ask_by(ops)
    ask(FRANCE)
    ask.invalidate(FRANCE)
    assert not ask.explain(FRANCE).served
    ask(FRANCE)
    ask.invalidate(AGAIN)
    assert ask.explain(AGAIN).reason == "invalidated"


# Trouble


def test_a_tier_that_fails_is_a_miss_and_is_told(make):
    tier = FarTier()
    ask = ask_by(make(tiers=[Memory(), tier]))
    found = ask.explain(FRANCE)
    assert (found.reason, found.details["far failed"]) == ("nothing_near", "TierError")
    ask(FRANCE)
    assert ask.explain(AGAIN).details["far failed"] == "TierError"


class FarTier:
    """A tier of the user's own, whose server is gone."""

    local = False
    label = "far"
    ttl = None

    def get(self, key: bytes, tags: Any = ()) -> Any:
        raise TierError("nobody answers")

    set = delete = invalidate = clear = get

    async def aget(self, key: bytes, tags: Any = ()) -> Any:
        self.get(key)

    aset = adelete = ainvalidate = aclear = aget

    def close(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize("aio", [False, True])
def test_an_embedder_that_fails_is_told(make, aio):
    def embed(texts: list[str]) -> Any:
        raise OSError("the model is gone")

    ask = ask_by(make(semantic={"embedder": embed}))
    found = explain(ask, FRANCE, aio=aio)
    assert (found.served, found.reason, found.policy) == (False, "unavailable", "threshold")
    assert "embedder" in found.details["error"]
    assert json.loads(found.to_json())["reason"] == "unavailable"


@dataclass
class Capital:
    name: str


def test_an_answer_that_cannot_be_decoded_here_is_no_hit(make):
    with make() as first:
        first.codec.register(Capital)
        first.tool(name="ask", cache=Cache(ttl=60), semantic=BY_MEANING)(capital_of)(FRANCE)
    second = make()
    ask = second.tool(name="ask", cache=Cache(ttl=60), semantic=BY_MEANING)(capital_of)
    found = ask.explain(AGAIN)
    assert (found.served, found.reason) == (False, "unreadable")


def capital_of(question):
    return Capital("Paris")


def test_a_judge_has_the_last_word(make):
    asked: list[str] = []

    def judge(question: str, cached: Any, fresh: Any) -> bool:
        asked.append(question)
        return False

    ask = ask_by(make(semantic={"judge": judge, "judge_band": 0.5}))
    ask(FRANCE)
    asked.clear()
    found = ask.explain(AGAIN)
    assert found.served
    assert "judge" in found.note
    assert asked == []


def test_the_semantic_cache_of_a_runtime_points_to_the_tool(ops):
    ask_by(ops)(FRANCE)
    found = ops.semantic.explain(FRANCE)
    assert found.reason == "nothing_near"
    assert "tool.explain" in str(found)
    assert "tool.explain" in asyncio.run(ops.semantic.aexplain(FRANCE)).note
