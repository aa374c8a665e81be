"""Cache-aside: a lookup and a store, between which the caller makes the call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from toolops_plugins import (
    Cache,
    CallEvent,
    ConfigurationError,
    Memory,
    Notice,
    Redis,
    Retry,
    Semantic,
    SemanticCache,
    ToolOps,
)
from toolops_plugins.policy import NOTHING
from toolops_plugins.testing import FakeClock


def answer(question: str, model: Any = "small") -> Any:
    """Names the arguments."""


@pytest.fixture
def events() -> list[CallEvent]:
    return []


class Sink:
    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def on_call(self, event: CallEvent) -> None: ...

    def on_notice(self, notice: Notice) -> None:
        self.notices.append(notice)


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def ops(events: list[CallEvent], sink: Sink) -> Iterator[ToolOps]:
    with ToolOps(sinks=[events.append, sink], clock=FakeClock()) as ops:
        yield ops


@pytest.fixture(params=["sync", "async"])
def face(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Calls a method of an aside, or its asynchronous twin in a loop of its own."""

    def call(method: str, *args: Any, aside: Any, **kwargs: Any) -> Any:
        if request.param == "sync":
            return getattr(aside, method)(*args, **kwargs)
        return asyncio.run(getattr(aside, f"a{method}")(*args, **kwargs))

    return call


def test_a_stored_value_is_found(ops, events, face):
    aside = ops.aside(answer, name="model", cache=Cache(ttl=60), price=0.5, tags=["models"])
    assert face("lookup", "who?", aside=aside) is NOTHING
    ops.clock.advance(2.0)
    face("store", ["I"], "who?", aside=aside)
    assert face("lookup", "who?", "small", aside=aside) == ["I"]
    assert face("lookup", "who?", "large", aside=aside) is NOTHING
    miss, hit = events
    assert (miss.outcome, miss.latency, miss.price, miss.attempts) == ("miss", 2.0, 0.5, 1)
    assert miss.tags == ("models",)
    assert (hit.outcome, hit.tier, hit.saved_price, hit.saved_latency) == ("hit", "L1", 0.5, 2.0)
    (told,) = ops.stats().tools
    assert (told.name, told.saved_price) == ("model", 0.5)


def test_a_value_of_a_batch_counts_its_own_share_of_the_time(ops, events, face):
    aside = ops.aside(answer, name="model", cache=Cache(ttl=60, tags=["models"]))
    assert face("lookup", "who?", aside=aside) is NOTHING
    ops.clock.advance(2.0)
    face("store_took", 0.5, ["I"], "who?", aside=aside)
    face("store_took", 0.25, ["you"], "nobody looked that up", aside=aside)
    assert face("lookup", "who?", aside=aside) == ["I"]
    assert face("lookup", "nobody looked that up", aside=aside) == ["you"]
    assert [event.latency for event in events] == [2.0, 0.0, 0.0, 0.0]
    assert [event.saved_latency for event in events] == [0.0, 0.0, 0.5, 0.25]
    assert face("lookup", "when?", aside=aside) is NOTHING
    ops.invalidate(["models"])
    face("store_took", 0.5, "old", "when?", aside=aside)
    assert face("lookup", "when?", aside=aside) is NOTHING


def test_a_lookup_gives_copies(ops, face):
    aside = ops.aside(answer, cache=Cache())
    value = ["a"]
    face("store", value, "q", aside=aside)
    value.append("b")
    face("lookup", "q", aside=aside).append("c")
    assert face("lookup", "q", aside=aside) == ["a"]


def test_empty_values_are_values(ops, face):
    aside = ops.aside(answer, cache=Cache())
    for value in (None, False, [], ""):
        face("store", value, "q", aside=aside)
        assert face("lookup", "q", aside=aside) == value


def test_an_answer_expires_and_is_never_served_stale(ops, face):
    aside = ops.aside(answer, cache=Cache(ttl=60, jitter=0.0, stale_ttl=600, stale_if_error=600))
    face("store", 1, "q", aside=aside)
    ops.clock.advance(59.0)
    assert face("lookup", "q", aside=aside) == 1
    ops.clock.advance(2.0)
    assert face("lookup", "q", aside=aside) is NOTHING


def test_a_value_invalidated_since_the_lookup_is_not_stored(ops, face):
    aside = ops.aside(answer, cache=Cache(tags=["models"]))
    assert face("lookup", "q", aside=aside) is NOTHING
    ops.invalidate(["models"])
    face("store", "old", "q", aside=aside)
    assert face("lookup", "q", aside=aside) is NOTHING
    face("store", "new", "q", aside=aside)  # nobody looked that up before the invalidation
    assert face("lookup", "q", aside=aside) == "new"


def test_unwanted_values_are_counted_and_not_kept(ops, events, face):
    aside = ops.aside(answer, cache=Cache(when=bool))
    face("store", "", "q", aside=aside)
    assert face("lookup", "q", aside=aside) is NOTHING
    assert [event.reason for event in events] == ["not_wanted"]


def test_a_result_that_is_not_to_be_stored_makes_no_notice(ops, sink, face):
    aside = ops.aside(answer, name="model", cache=Cache(when=lambda value: False))
    face("store", object(), "q", aside=aside)
    ops.readonly(lambda: object(), name="a", cache=Cache(when=lambda value: False))()
    assert sink.notices == []
    ops.readonly(lambda: object(), name="b")()
    assert [notice.kind for notice in sink.notices] == ["not_encodable"]


def test_a_call_without_a_key_bypasses_the_cache(ops, events, sink, face):
    aside = ops.aside(answer, name="model", cache=Cache())
    for _ in range(2):
        assert face("lookup", "q", object(), aside=aside) is NOTHING
        face("store", 1, "q", object(), aside=aside)
    assert [(event.outcome, event.reason) for event in events] == [("bypass", "not_canonical")] * 2
    assert [(n.kind, n.name, n.detail) for n in sink.notices] == [
        ("bypass", "model", "not_canonical")
    ]
    assert len(aside._misses) == 0
    with pytest.raises(TypeError):
        aside.key()


def test_lookups_that_are_never_answered_are_bounded(ops, monkeypatch):
    monkeypatch.setattr("toolops_plugins.wrapping.cache_aside._MISSES", 3)
    aside = ops.aside(answer, cache=Cache())
    for number in range(10):
        aside.lookup(str(number))
    assert len(aside._misses) == 3
    aside.store("9", "9")
    assert len(aside._misses) == 2


def test_an_inactive_runtime_neither_looks_up_nor_stores(ops, events, face):
    aside = ops.aside(answer, cache=Cache())
    face("store", 1, "q", aside=aside)
    ops.active = False
    assert face("lookup", "q", aside=aside) is NOTHING
    face("store", 2, "q", aside=aside)
    ops.active = True
    assert face("lookup", "q", aside=aside) == 1
    assert [event.outcome for event in events] == ["miss", "hit"]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "cache"),
        ({"cache": Cache(), "retry": Retry()}, "retry"),
        ({"cache": Cache(), "fallback": None}, "fallback"),
    ],
)
def test_policies_for_attempts_are_refused(ops, options, name):
    with pytest.raises(ConfigurationError) as caught:
        ops.aside(answer, **options)
    assert caught.value.parameter == name


def test_answers_are_shared_through_redis_and_survive_its_loss(valkey, namespace, sink, face):
    def runtime() -> ToolOps:
        return ToolOps(namespace, [Memory(), Redis(valkey.url, ttl=60)], sinks=[sink])

    with runtime() as one, runtime() as two:
        asides = [each.aside(answer, name="model", cache=Cache()) for each in (one, two)]
        face("store", {"a": (1, 2)}, "q", aside=asides[0])
        assert face("lookup", "q", aside=asides[1]) == {"a": (1, 2)}
    with ToolOps(namespace, [Redis("redis://127.0.0.1:1", ttl=60)], sinks=[sink]) as broken:
        aside = broken.aside(answer, name="model", cache=Cache())
        assert face("lookup", "q", aside=aside) is NOTHING
        face("store", 1, "q", aside=aside)
    assert "tier_failed" in {notice.kind for notice in sink.notices}


def test_questions_in_other_words_share_an_answer(tmp_path: Path, face):
    with ToolOps(semantic=SemanticCache(path=tmp_path)) as ops:
        aside = ops.aside(answer, cache=Cache(), semantic=Semantic(on="question"))
        face("store", ["Paris"], "What is the capital of France?", aside=aside)
        face("lookup", "what's the capital of France", aside=aside).append("changed")
        assert face("lookup", "what's the capital of France", aside=aside) == ["Paris"]
        assert face("lookup", "what's the capital of France", "large", aside=aside) is NOTHING
        assert face("lookup", "What is the capital of Spain?", aside=aside) is NOTHING


def test_an_index_opens_for_the_first_store_too(tmp_path: Path, face):
    semantic = SemanticCache(path=tmp_path)
    with ToolOps(semantic=semantic) as ops:
        aside = ops.aside(answer, cache=Cache(), semantic=Semantic(on="question"))
        face("store", "Paris", "What is the capital of France?", aside=aside)
        assert semantic.answers.index.ready
        semantic.flush()
        assert len(semantic) == 1


def test_only_the_answer_of_the_policy_is_compared(tmp_path: Path, face):
    semantic = SemanticCache(path=tmp_path)
    with ToolOps(semantic=semantic) as ops:
        asked = Semantic(on="question", max_error=0.05, answer=lambda value: value["text"])
        aside = ops.aside(answer, cache=Cache(), semantic=asked)
        for number, town in enumerate(("Rome", "Lima", "Oslo", "Bern", "Kyiv", "Cairo")):
            question = f"Is {town} as large as Paris?"
            assert face("lookup", question, aside=aside) is NOTHING  # nothing is known yet
            face("store", {"text": "Paris", "id": number}, question, aside=aside)
        index = semantic.answers.index
        assert {row.answer for row in index.memory.rows()} == {index.memory.rows()[0].answer}
        assert index.learned.learner()._window.count >= 4


def test_a_broken_view_of_the_answer_compares_all_of_it(tmp_path: Path, face):
    semantic = SemanticCache(path=tmp_path)
    with ToolOps(semantic=semantic) as ops:
        asked = Semantic(on="question", answer=lambda value: value["missing"])
        aside = ops.aside(answer, cache=Cache(), semantic=asked)
        face("store", {"text": "Paris"}, "What is the capital of France?", aside=aside)
        assert face("lookup", "what's the capital of France", aside=aside) == {"text": "Paris"}


def test_large_arguments_have_keys_too(ops: ToolOps, face: Any) -> None:
    aside = ops.aside(answer, name="model", cache=Cache(ttl=60))
    large = "x" * 1_000_000
    assert face("lookup", large, aside=aside) is NOTHING
    face("store", ["I"], large, aside=aside)
    assert face("lookup", large, aside=aside) == ["I"]
    assert face("lookup", large + "y", aside=aside) is NOTHING
    assert face("lookup", "x", aside=aside) is NOTHING


async def test_arguments_may_have_any_name(ops: ToolOps) -> None:
    def answer(**anything: Any) -> None: ...

    aside = ops.aside(answer, cache=Cache())
    assert aside.lookup(self=1, value=2) is NOTHING
    aside.store("a", self=1, value=2)
    assert await aside.alookup(self=1, value=2) == "a"
    assert aside.key(self=1, value=2) != aside.key(self=2, value=2)
