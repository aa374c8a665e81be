"""Questions above the length limit, which match exactly only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from toolops_plugins import Cache, ConfigurationError, Policy, Semantic, SemanticCache, ToolOps
from toolops_plugins.semantic.long_texts import LongTexts
from toolops_plugins.testing import FakeClock

LONG = "What is in this text? " + "word " * 2_000
LONGER = LONG + "please"
SHORT = "What is in this text?"


class Readers:
    """An embedder and a guard that note what they are given to read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def embed(self, texts: list[str]) -> Any:
        self.read += texts
        return [[1.0, 0.0]] * len(texts)

    def guard(self, question: str, candidate: str) -> None:
        self.read += [question, candidate]

    @property
    def longest(self) -> int:
        return max(map(len, self.read), default=0)


@pytest.fixture
def readers() -> Readers:
    return Readers()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def cache(tmp_path: Path, readers: Readers, clock: FakeClock) -> Iterator[SemanticCache]:
    with SemanticCache(
        tmp_path, embedder=readers.embed, guards=[readers.guard], clock=clock
    ) as made:
        yield made


@pytest.fixture
def ops(tmp_path: Path, readers: Readers) -> Iterator[ToolOps]:
    semantic = SemanticCache(tmp_path, embedder=readers.embed, guards=[readers.guard])
    with ToolOps("long", semantic=semantic) as made:
        yield made


POLICY = Policy(cache=Cache(ttl=60.0), semantic=Semantic(on="question", max_error=0.05))


def test_a_tool_keeps_a_long_question_exactly_and_nobody_reads_it(ops, readers):
    runs: list[str] = []

    @ops.tool(policy=POLICY)
    def ask(question: str) -> int:
        runs.append(question)
        return len(question)

    for question in (LONG, LONGER, LONG, LONGER):
        assert ask(question) == len(question)
    assert runs == [LONG, LONGER]
    assert readers.longest < 20
    ask(SHORT)
    assert readers.longest <= len(SHORT)
    ops.semantic.flush()
    assert len(ops.semantic) == 1
    ask.invalidate(LONG)
    ask(LONG)
    assert runs == [LONG, LONGER, SHORT, LONG]


async def test_so_it_is_on_an_event_loop_and_for_streams_and_lookups_aside(ops, readers):
    @ops.tool(policy=POLICY)
    async def ask(question: str) -> int:
        return len(question)

    @ops.tool(policy=POLICY)
    def stream(question: str) -> Iterator[int]:
        yield len(question)

    aside = ops.aside(lambda question: None, policy=POLICY, name="aside")
    for question in (LONG, LONGER, LONG):
        assert await ask(question) == len(question)
        assert list(stream(question)) == [len(question)]
        await aside.astore(len(question), question)
        assert await aside.alookup(question) == len(question)
    assert readers.longest < 20
    assert len(ops.semantic) == 0


def test_alone_it_keeps_long_questions_exactly_too(cache, readers, clock):
    cache.put(LONG, {"long": [1]}, tags=["red"])
    cache.put(LONGER, None, scope="other", ttl=10)
    match = cache.find(LONG)
    assert (match.value, match.similarity, match.policy) == ({"long": [1]}, 1.0, "exact")
    match.value["long"].append(2)
    assert cache.find(LONG).value == {"long": [1]}
    assert cache.find(LONG, scope="other") is None
    assert cache.find(LONGER) is None
    assert cache.find(LONGER, scope="other").value is None
    assert cache.explain(LONG).reason == "exact"
    assert cache.explain(LONGER).reason == "too_long"
    clock.advance(10)
    assert cache.find(LONGER, scope="other") is None
    cache.invalidate(["red"])
    assert cache.find(LONG) is None
    assert readers.longest < 20
    cache.put(SHORT, 1)
    assert cache.find(SHORT).value == 1
    assert readers.longest <= len(SHORT)


async def test_alone_on_an_event_loop(cache, readers):
    await cache.aput(LONG, 1)
    assert (await cache.afind(LONG)).value == 1
    assert (await cache.aexplain(LONG)).served
    await cache.adelete(LONG)
    assert await cache.afind(LONG) is None
    await cache.aput(LONG, 2)
    await cache.aput(LONGER, 3, scope="other")
    await cache.aclear("other")
    assert await cache.afind(LONGER, scope="other") is None
    assert (await cache.afind(LONG)).value == 2
    await cache.aclear()
    assert await cache.afind(LONG) is None
    assert readers.longest < 20


def test_the_length_is_an_option(tmp_path, readers):
    with SemanticCache(tmp_path, embedder=readers.embed, max_text=10) as cache:
        cache.put("0123456789", 1)
        cache.put("0123456789x", 2)
        assert [cache.find(text).value for text in ("0123456789", "0123456789x")] == [1, 2]
        assert readers.longest == 10
    with pytest.raises(ConfigurationError, match="max_text"):
        SemanticCache(tmp_path, max_text=0)


def test_long_answers_are_not_embedded_either(ops, readers):
    @ops.tool(policy=POLICY)
    def ask(question: str) -> str:
        return f"{question} " * 2_000

    for number in range(3):
        ask(f"What is number {number} about?")
    ops.semantic.flush()
    assert readers.longest < 100


def test_what_is_kept_of_long_questions_is_bounded(clock):
    texts = LongTexts(items=2, size=1_000_000)
    with SemanticCache(Path("unused"), clock=clock) as cache:
        cache._long = texts
        for number in range(4):
            cache.put(LONG + str(number), number)
        assert len(texts) == 2
        cache.put(LONG + "big", "x" * 600_000)
        cache.put(LONG + "bigger", "y" * 600_000)
        assert len(texts) == 1
        cache.put(LONG + "biggest", "z" * 2_000_000)
        assert cache.find(LONG + "biggest") is None
