"""The semantic cache in the flow of calls, as users of `semantic=` see it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest
from callers import LONG, Latch, Loop, Notices, new_loops, start
from questions import TEN_WAYS
from servers import wait_for

from toolops_plugins import (
    Cache,
    ConfigurationError,
    Memory,
    Policy,
    Retry,
    Semantic,
    SemanticCache,
    ToolOps,
)
from toolops_plugins.semantic.bounded import Bounded
from toolops_plugins.telemetry.ledger import open_reader
from toolops_plugins.testing import FakeClock

FRANCE = "What is the capital of France?"
AGAIN = "what's the capital of France"
SPAIN = "What is the capital of Spain?"
NEAR = Semantic(on="question", threshold=0.25)
"""Serve whatever the guards let pass, without learning first."""


class Question:
    """A tool that answers questions, in both faces, and remembers what it was asked."""

    def __init__(self, ops: ToolOps, **policy: Any) -> None:
        self.questions: list[str] = []
        self.answer: Any = None
        policy.setdefault("semantic", NEAR)

        @ops.readonly(name="ask", **policy)
        def ask(question: str, user: str = "ann") -> Any:
            return self._answer(question)

        @ops.readonly(name="ask", **policy)
        async def aask(question: str, user: str = "ann") -> Any:
            return self._answer(question)

        self.sync, self.aio = ask, aask

    def _answer(self, question: str) -> Any:
        self.questions.append(question)
        if isinstance(self.answer, Exception):
            raise self.answer
        return {"to": question} if self.answer is None else self.answer


class Held:
    """As Question, but no answer comes before it is released."""

    def __init__(self, ops: ToolOps, **policy: Any) -> None:
        self.questions: list[str] = []
        self.started, self.release = Latch(), Latch()
        self.answer: Any = None
        policy.setdefault("semantic", NEAR)

        @ops.readonly(name="held", retry=None, **policy)
        def ask(question: str) -> Any:
            self.questions.append(question)
            self.started.open()
            self.release.wait()
            return self._answer(question)

        @ops.readonly(name="held", retry=None, **policy)
        async def aask(question: str) -> Any:
            self.questions.append(question)
            self.started.open()
            await self.release.opened()
            return self._answer(question)

        self.sync, self.aio = ask, aask

    def _answer(self, question: str) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return {"to": question}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def events() -> list[Any]:
    return []


@pytest.fixture
def ops(tmp_path: Path, clock: FakeClock, events: list[Any]) -> Iterator[ToolOps]:
    with ToolOps(
        "meaning", semantic=SemanticCache(tmp_path / "index"), clock=clock, sinks=[events.append]
    ) as runtime:
        yield runtime


@pytest.fixture
def new_loop() -> Iterator[Any]:
    yield from new_loops()


def aboard(ops: ToolOps) -> int:
    """The callers that wait in any flight."""
    flights = ops._shared.flights
    return sum(flights.count_callers(key) for key in list(flights._table))


async def reach_aboard(ops: ToolOps, count: int) -> None:
    async with asyncio.timeout(LONG):
        while aboard(ops) != count:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)


# What is served


def test_the_same_question_in_other_words_is_a_hit(ops, events):
    asked = Question(ops)
    assert asked.sync(FRANCE) == {"to": FRANCE}
    assert asked.sync(AGAIN) == {"to": FRANCE}
    assert asked.questions == [FRANCE]
    assert [event.outcome for event in events] == ["miss", "hit"]
    hit = events[1]
    assert hit.tier == "semantic"
    assert hit.semantic["policy"] == "threshold"
    assert hit.semantic["verdict"] == "served"
    assert hit.semantic["question"] == FRANCE
    assert 0.8 <= hit.semantic["similarity"] < 1.0
    assert ops.stats()["ask"].hits == 1


async def test_so_it_is_on_an_event_loop(ops):
    asked = Question(ops)
    assert await asked.aio(FRANCE) == {"to": FRANCE}
    assert await asked.aio(AGAIN) == {"to": FRANCE}
    assert asked.questions == [FRANCE]


def test_another_question_is_a_miss(ops, events):
    asked = Question(ops)
    asked.sync(FRANCE)
    assert asked.sync(SPAIN) == {"to": SPAIN}
    assert asked.sync("What is not the capital of France?")["to"] != FRANCE
    assert [event.outcome for event in events] == ["miss", "miss", "miss"]
    verdicts = [event.semantic["verdict"] for event in events]
    assert verdicts == ["nothing_near", "vetoed", "vetoed"]
    assert events[1].semantic["similarity"] > 0.5
    assert "question" not in events[1].semantic


@pytest.mark.parametrize("answer", [None, False, 0, "", [], {}])
def test_an_answer_that_is_nothing_is_an_answer(ops, answer):
    calls = []

    @ops.readonly(semantic=NEAR)
    def ask(question: str) -> Any:
        calls.append(question)
        return answer

    assert ask(FRANCE) == answer
    assert ask(AGAIN) == answer
    assert calls == [FRANCE]


def test_changing_a_hit_changes_no_other(ops):
    asked = Question(ops)
    asked.sync(FRANCE)["to"] = "nowhere"
    asked.sync(AGAIN)["to"] = "nowhere"
    assert asked.sync("Tell me the capital of France, please.") == {"to": FRANCE}
    assert asked.sync(AGAIN) == {"to": FRANCE}


def test_an_error_is_not_shared_later(ops):
    asked = Question(ops, retry=None)
    asked.answer = KeyError("down")
    with pytest.raises(KeyError):
        asked.sync(FRANCE)
    asked.answer = None
    assert asked.sync(AGAIN) == {"to": AGAIN}


def test_what_the_policy_does_not_want_is_not_shared(ops):
    asked = Question(ops, cache=Cache(ttl=60, when=lambda answer: answer["to"] != FRANCE))
    asked.sync(FRANCE)
    assert asked.sync(AGAIN) == {"to": AGAIN}


def test_what_cannot_be_encoded_is_returned_and_not_shared(ops):
    asked = Question(ops)
    asked.answer = object()
    assert asked.sync(FRANCE) is asked.answer
    assert asked.sync(AGAIN) is asked.answer
    assert len(asked.questions) == 2


# Scope


def test_every_other_argument_belongs_to_the_scope(ops):
    asked = Question(ops)
    asked.sync(FRANCE, user="ann")
    asked.sync(AGAIN, user="bob")
    assert asked.questions == [FRANCE, AGAIN]
    asked.sync("Tell me the capital of France, please.", user="bob")
    assert len(asked.questions) == 2


def test_an_ignored_argument_does_not(ops):
    asked = Question(ops, ignore=["user"])
    asked.sync(FRANCE, user="ann")
    asked.sync(AGAIN, user="bob")
    assert asked.questions == [FRANCE]


def test_tools_versions_tenants_and_namespaces_share_nothing(tmp_path):
    tenant: ContextVar[str] = ContextVar("tenant", default="ann")
    with ToolOps("a", semantic=SemanticCache(tmp_path), tenant=tenant) as ops:
        asked = Question(ops)
        asked.sync(FRANCE)
        other = Question(ops, cache=Cache(ttl=60, version="2"))
        other.sync(AGAIN)
        assert other.questions == [AGAIN]
        token = tenant.set("bob")
        assert asked.sync(AGAIN) == {"to": AGAIN}
        tenant.reset(token)
        with ToolOps("b", semantic=SemanticCache(tmp_path)) as another:
            third = Question(another)
            third.sync(AGAIN)
            assert third.questions == [AGAIN]


def test_an_argument_that_is_no_text_is_looked_up_exactly_only(ops):
    asked = Question(ops)
    assert asked.sync(["a", "list"]) == asked.sync(["a", "list"])
    assert asked.sync("") == asked.sync("")
    assert asked.questions == [["a", "list"], ""]


def test_the_question_may_be_a_keyword_of_a_kind(ops):
    calls = []

    @ops.readonly(semantic=NEAR)
    def ask(**given: str) -> str:
        calls.append(given)
        return given["question"]

    assert ask(question=FRANCE, user="ann") == FRANCE
    assert ask(question=AGAIN, user="ann") == FRANCE
    assert ask(question=AGAIN, user="bob") == AGAIN
    assert len(calls) == 2


def test_methods_of_one_object_share_and_of_two_do_not(ops):
    class Desk:
        def __init__(self, town: str) -> None:
            self.town = town

        def __toolops_key__(self) -> str:
            return self.town

        @ops.readonly(semantic=NEAR)
        def ask(self, question: str) -> str:
            return f"{self.town}: {question}"

    assert Desk("Rome").ask(FRANCE) == f"Rome: {FRANCE}"
    assert Desk("Rome").ask(AGAIN) == f"Rome: {FRANCE}"
    assert Desk("Oslo").ask(AGAIN) == f"Oslo: {AGAIN}"


# Time


def test_an_answer_that_has_expired_is_not_shared(ops, clock):
    asked = Question(ops, cache=Cache(ttl=600, jitter=0.0))
    asked.sync(FRANCE)
    clock.advance(599)
    assert asked.sync(AGAIN) == {"to": FRANCE}
    clock.advance(1)
    assert asked.sync("Tell me the capital of France, please.")["to"] != FRANCE


def test_a_hit_is_kept_in_memory_for_a_short_while(ops, clock, events):
    asked = Question(ops, cache=Cache(ttl=600, jitter=0.0, beta=0.0))
    asked.sync(FRANCE)
    asked.sync(AGAIN)
    asked.sync(AGAIN)
    clock.advance(61)
    asked.sync(AGAIN)
    assert [event.tier for event in events] == [None, "semantic", "L1", "semantic"]
    clock.advance(530)
    asked.sync(AGAIN)
    clock.advance(10)  # the answer itself expires, and so does what was kept of it
    assert asked.sync(AGAIN) == {"to": AGAIN}


def test_a_refreshed_answer_is_shared_in_place_of_the_old(ops, clock):
    asked = Question(ops, cache=Cache(ttl=100, stale_ttl=1000, jitter=0.0, beta=0.0))
    asked.answer = "old"
    asked.sync(FRANCE)
    asked.answer = "new"
    clock.advance(150)
    assert asked.sync(FRANCE) == "old"  # stale, and refreshed behind it
    wait_for(lambda: asked.sync(FRANCE) == "new", "the refreshed answer", LONG)
    assert asked.sync(AGAIN) == "new"
    assert asked.questions == [FRANCE, FRANCE]


# Forgetting


def test_invalidating_the_question_forgets_its_answer_in_other_words_too(ops):
    asked = Question(ops)
    asked.sync(FRANCE)
    asked.sync.invalidate(FRANCE)
    assert asked.sync(AGAIN) == {"to": AGAIN}


async def test_tags_reach_the_semantic_cache(ops):
    asked = Question(ops, tags=["geography"])
    await asked.aio(FRANCE)
    await ops.ainvalidate(["geography"])
    assert await asked.aio(AGAIN) == {"to": AGAIN}


def test_clear_empties_it(ops):
    asked = Question(ops)
    asked.sync(FRANCE)
    ops.clear()
    assert asked.sync(AGAIN) == {"to": AGAIN}


def test_an_answer_that_is_invalidated_under_way_is_not_kept(ops):
    held = Held(ops, tags=["geography"])
    caller = start(held.sync, FRANCE)
    held.started.wait()
    ops.invalidate(["geography"])
    held.release.open()
    assert caller.result(LONG) == {"to": FRANCE}
    assert held.sync(AGAIN) == {"to": AGAIN}


# At the same time


async def test_ten_agents_who_ask_in_ten_ways_make_one_call(ops, events):
    held = Held(ops)
    callers = [asyncio.ensure_future(held.aio(question)) for question in TEN_WAYS]
    await held.started.opened()
    await reach_aboard(ops, 2 * len(TEN_WAYS) - 1)  # each in its own flight, nine in the first
    held.release.open()
    answers = await asyncio.gather(*callers)
    assert len(held.questions) == 1
    assert answers == [{"to": held.questions[0]}] * len(TEN_WAYS)
    outcomes = sorted(event.outcome for event in events)
    assert outcomes == ["coalesced"] * 9 + ["miss"]
    joined = [event for event in events if event.outcome == "coalesced"]
    assert all(event.semantic["question"] == held.questions[0] for event in joined)
    assert {event.semantic["verdict"] for event in joined} == {"joined"}


def test_ten_threads_and_loops_who_ask_in_ten_ways_make_one_call(ops, new_loop):
    held = Held(ops)
    loops: list[Loop] = [new_loop(), new_loop()]
    callers = [
        loops[i % 2].start(held.aio(question)) if i % 3 else start(held.sync, question)
        for i, question in enumerate(TEN_WAYS)
    ]
    held.started.wait()
    wait_for(lambda: aboard(ops) == 2 * len(TEN_WAYS) - 1, "all aboard", LONG)
    held.release.open()
    answers = [caller.result(LONG) for caller in callers]
    assert len(held.questions) == 1
    assert answers == [{"to": held.questions[0]}] * len(TEN_WAYS)


@pytest.mark.parametrize("policy", [{"coalesce": True}, {"coalesce": False}])
def test_who_coalesces_by_key_does_not_wait_for_other_words(ops, policy):
    held = Held(ops, **policy)
    first, second = start(held.sync, FRANCE), start(held.sync, AGAIN)
    wait_for(lambda: len(held.questions) == 2, "both calls", LONG)
    held.release.open()
    assert [first.result(LONG), second.result(LONG)] == [{"to": FRANCE}, {"to": AGAIN}]


def test_another_question_does_not_wait(ops):
    held = Held(ops)
    first, second = start(held.sync, FRANCE), start(held.sync, SPAIN)
    wait_for(lambda: len(held.questions) == 2, "both calls", LONG)
    held.release.open()
    assert [first.result(LONG), second.result(LONG)] == [{"to": FRANCE}, {"to": SPAIN}]


def test_who_waits_for_other_words_shares_their_error(ops):
    held = Held(ops)
    held.answer = KeyError("down")
    first = start(held.sync, FRANCE)
    held.started.wait()
    second = start(held.sync, AGAIN)
    wait_for(lambda: aboard(ops) == 3, "both aboard", LONG)
    held.release.open()
    for caller in (first, second):
        with pytest.raises(KeyError, match="down"):
            caller.result(LONG)
    assert held.questions == [FRANCE]


@pytest.mark.parametrize("leaver", [0, 1], ids=["who asks first", "who waits"])
async def test_one_of_two_may_leave(ops, leaver):
    held = Held(ops)
    callers = [asyncio.ensure_future(held.aio(FRANCE))]
    await held.started.opened()
    callers.append(asyncio.ensure_future(held.aio(AGAIN)))
    await reach_aboard(ops, 3)
    callers[leaver].cancel()
    with pytest.raises(asyncio.CancelledError):
        await callers[leaver]
    held.release.open()
    assert await callers[1 - leaver] == {"to": FRANCE}
    assert held.questions == [FRANCE]
    assert not ops._storage._semantic.answers.in_flight._under_way


# Trouble


def test_an_embedder_that_fails_is_a_miss_with_a_notice(tmp_path):
    def fail_some(texts: list[str]) -> Any:
        if texts[0].startswith("What"):
            raise OSError("no embeddings today")
        return [[1.0, 0.0]] * len(texts)

    with ToolOps("t", semantic=SemanticCache(tmp_path, embedder=fail_some)) as ops:
        notices = Notices(ops)
        asked = Question(ops)
        assert asked.sync(FRANCE) == {"to": FRANCE}
        assert [notice.kind for notice in notices.all] == ["tier_failed"]
        assert (notices.all[0].name, notices.all[0].detail) == ("semantic", "OSError")


def test_an_embedder_that_returns_no_vectors_is_named_in_the_log(tmp_path, caplog):
    embedder = lambda texts: [[1.0, 0.0]] * (len(texts) + 1)  # noqa: E731 - one vector too many
    with ToolOps("t", semantic=SemanticCache(tmp_path, embedder=embedder)) as ops:
        assert Question(ops).sync(FRANCE) == {"to": FRANCE}
    (line,) = caplog.messages
    assert "the embedder returned an array of shape" in line


def test_a_server_that_is_down_is_a_miss_with_a_notice(unused_tcp_port_factory):
    url = f"http://127.0.0.1:{unused_tcp_port_factory()}"
    ops = ToolOps("t", semantic=SemanticCache(url=url))
    notices = Notices(ops)
    asked = Question(ops)
    assert asked.sync(FRANCE) == {"to": FRANCE}
    assert asked.sync(AGAIN) == {"to": AGAIN}
    assert {notice.kind for notice in notices.all} == {"tier_failed"}


def test_an_index_of_another_embedder_is_a_miss_that_is_told(tmp_path, caplog):
    with SemanticCache(tmp_path, collection="toolops-t") as alone:
        alone.put(FRANCE, "Paris")
    del alone

    def other(texts: list[str]) -> Any:
        return [[1.0, 0.0]] * len(texts)

    ops = ToolOps("t", semantic=SemanticCache(tmp_path, embedder=other))
    asked = Question(ops)
    for question in (FRANCE, AGAIN, SPAIN):
        assert asked.sync(question) == {"to": question}
    (line,) = caplog.messages
    assert "wordllama" in line
    assert "other" in line
    with pytest.raises(ConfigurationError, match="wordllama"):
        ops.semantic.open()
    ops.close()


# What is asked for


def test_a_tool_may_have_a_threshold_of_its_own(ops):
    strict = Question(ops, semantic=Semantic(on="question", threshold=0.999))
    strict.sync(FRANCE)
    strict.sync(AGAIN)
    assert strict.questions == [FRANCE, AGAIN]


def test_a_runtime_without_a_semantic_cache_says_so():
    with pytest.raises(ConfigurationError, match=r"ToolOps\(semantic=SemanticCache\(\)\)"):
        Question(ToolOps())


def test_a_question_that_does_not_count_is_refused(ops):
    with pytest.raises(ConfigurationError, match="question"):
        Question(ops, ignore=["question"])
    with pytest.raises(ConfigurationError, match="question"):
        Question(ops, cache=Cache(ttl=1, key_params=["user"]))
    with pytest.raises(ConfigurationError, match="query"):
        Question(ops, semantic=Semantic(on="query"))


def test_coalescing_by_meaning_needs_a_meaning():
    with pytest.raises(ConfigurationError, match="semantic"):
        Policy(cache=Cache(), coalesce="semantic")
    with pytest.raises(ConfigurationError, match="coalesce"):
        Policy(cache=Cache(), coalesce="always")
    assert Policy(cache=Cache(), semantic=Semantic(on="q")).coalesces_meaning
    assert Policy(cache=Cache(), semantic=Semantic(on="q"), coalesce="semantic").coalesces_meaning
    assert not Policy(cache=Cache(), semantic=Semantic(on="q"), coalesce=True).coalesces_meaning


def test_a_cache_serves_one_runtime(tmp_path):
    semantic = SemanticCache(tmp_path)
    ToolOps("a", semantic=semantic)
    with pytest.raises(ConfigurationError, match="another runtime"):
        ToolOps("b", semantic=semantic)
    with pytest.raises(ConfigurationError, match="must be a SemanticCache"):
        ToolOps("c", semantic="folder")


def test_an_asynchronous_judge_needs_an_asynchronous_tool(tmp_path):
    async def judge(question: str, cached: Any, fresh: Any) -> bool:
        return True

    ops = ToolOps("a", semantic=SemanticCache(tmp_path, judge=judge))
    with pytest.raises(ConfigurationError, match="judge"):

        @ops.readonly(semantic=NEAR)
        def ask(question: str) -> str:
            return question

    @ops.readonly(semantic=NEAR)
    async def aask(question: str) -> str:
        return question


async def test_streams_are_shared_once_they_are_whole(ops):
    calls = []

    @ops.readonly(retry=Retry(), semantic=Semantic(on="question"))
    async def words(question: str) -> Any:
        calls.append(question)
        for word in ("Par", "is"):
            yield word

    assert [word async for word in words(FRANCE)] == ["Par", "is"]
    assert [word async for word in words(AGAIN)] == ["Par", "is"]
    assert calls == [FRANCE]


def test_what_is_learned_outlives_the_process(tmp_path):
    with ToolOps("t", semantic=SemanticCache(tmp_path)) as ops:
        Question(ops).sync(FRANCE)
    with ToolOps("t", semantic=SemanticCache(tmp_path)) as ops:
        again = Question(ops)
        assert again.sync(AGAIN) == {"to": FRANCE}
        assert again.questions == []


def test_the_environment_names_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ToolOps.from_env({"TOOLOPS_CHROMA_PATH": "kept"}) as ops:
        asked = Question(ops)
        asked.sync(FRANCE)
        assert asked.sync(AGAIN) == {"to": FRANCE}
    assert (tmp_path / "kept").is_dir()
    with pytest.raises(ConfigurationError, match="TOOLOPS_CHROMA_URL"):
        ToolOps.from_env({"TOOLOPS_CHROMA_PATH": "a", "TOOLOPS_CHROMA_URL": "http://b"})


def test_only_the_first_tier_gets_a_copy(tmp_path):
    near, far = Memory(max_items=10, label="near"), Memory(max_items=10, label="far")
    with ToolOps("t", [near, far], semantic=SemanticCache(tmp_path)) as ops:
        asked = Question(ops)
        asked.sync(FRANCE)
        asked.sync(AGAIN)
        assert len(near) == 2
        assert len(far) == 1


def test_what_a_loop_that_ends_has_begun_to_learn_is_learned(tmp_path, monkeypatch):
    learned: list[Any] = []
    monkeypatch.setattr(Bounded, "learn", lambda self, *given: learned.append(given))
    asked, release = Latch(), Latch()

    def judge(question: str, cached: Any, fresh: Any) -> bool:
        asked.open()
        release.wait()
        return True

    semantic = SemanticCache(tmp_path, judge=judge)
    with ToolOps("t", semantic=semantic) as ops:
        tool = Question(ops, semantic=Semantic(on="question", max_error=0.05))
        asyncio.run(tool.aio(FRANCE))
        before = len(learned)

        async def request() -> None:
            await tool.aio("Tell me the capital of France, please.")
            await asked.opened()

        asyncio.run(request())  # which cancels what goes on in the background
        release.open()
        wait_for(lambda: len(learned) > before, "a label", LONG)


def test_answers_that_are_checked_are_counted_in_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Bounded, "_audits", lambda *_: True)  # chance, else
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ops = ToolOps(semantic=SemanticCache(tmp_path / "index", embed_timeout=60), ledger=url)
    answers = ["Paris", "Paris", "London"]

    @ops.readonly(name="ask", semantic=Semantic(on="question", max_error=0.05))
    def ask(question: str) -> dict[str, str]:
        return {"answer": answers.pop(0)}

    ask("What is the capital of France?")
    ask("What is the capital of France ?")
    ask("what is the capital of France?!")
    ops.close()
    with open_reader(url) as reader:
        (found,) = reader.decisions(reader.now() - 600).values()
    assert found.verdicts == {"nothing_near": 1, "audited": 2}
    assert (found.checked, found.wrong) == (2, 1)
