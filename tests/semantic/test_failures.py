"""Stages of the semantic cache that raise anything: a miss, a notice and a line, and no error."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from broken_stages import INNER, ODD_TROUBLES, break_stage, raiser
from callers import LONG, Notices

from toolops_plugins import Cache, ConfigurationError, Policy, Semantic, SemanticCache, ToolOps
from toolops_plugins.testing import FakeClock

BOUNDED = Semantic(on="question", max_error=0.05)
FRANCE = "What is the capital of France?"
AGAIN = "what's the capital of France"
UNTOLD = ("announcing", "agreeing", "digests")
"""Stages whose failure changes nothing for anybody, or that few questions reach."""


def agree(question: str, cached: Any, fresh: Any) -> bool:
    return fresh is None or cached == fresh


class Asked:
    """One tool, the ways to ask it, and what it was asked."""

    def __init__(self, ops: ToolOps, semantic: Semantic) -> None:
        policy = Policy(cache=Cache(ttl=3_600.0), semantic=semantic)
        self.runs: list[str] = []

        @ops.tool(policy=policy)
        def plain(question: str) -> list[str]:
            return self._answer(question)

        @ops.tool(policy=policy)
        async def coroutine(question: str) -> list[str]:
            return self._answer(question)

        @ops.tool(policy=policy)
        def stream(question: str) -> Iterator[str]:
            yield from self._answer(question)

        @ops.tool(policy=policy)
        async def astream(question: str) -> AsyncIterator[str]:
            for item in self._answer(question):
                yield item

        async def read(question: str) -> list[str]:
            return [item async for item in astream(question)]

        aside = ops.aside(plain.__wrapped__, policy=policy)

        def look_aside(question: str) -> list[str]:
            found = aside.lookup(question)
            if isinstance(found, list):
                return found
            aside.store(value := self._answer(question), question)
            return value

        self.ways: list[Callable[[str], Any]] = [plain, coroutine, stream, read, look_aside]

    def _answer(self, question: str) -> list[str]:
        self.runs.append(question)
        return ["answer to", question]

    async def ask(self, number: int, question: str) -> list[str]:
        """Ask in one of the ways; on this loop, or in a thread."""
        way = self.ways[number % len(self.ways)]
        self.runs.clear()
        async with asyncio.timeout(LONG):
            if number % len(self.ways) in (1, 3):
                found = await way(question)
            else:
                found = await asyncio.to_thread(lambda: list(way(question)))
        return list(found)


@pytest.mark.parametrize("stage", INNER)
async def test_a_stage_that_raises_anything_is_a_miss(
    stage: str, tmp_path: Path, monkeypatch: Any, caplog: Any
) -> None:
    caplog.set_level(logging.WARNING, "toolops_plugins")
    clock = FakeClock()
    band = 0.5 if stage == "judge" else 0.0
    cache = SemanticCache(tmp_path, flush_every=0.01, judge=agree, judge_band=band)
    async with ToolOps("failing", semantic=cache, clock=clock) as ops:
        notices = Notices(ops)
        both = [Asked(ops, Semantic(on="question", threshold=0.75)), Asked(ops, BOUNDED)]
        if stage not in ("opening", "dimension"):
            for asked, way in itertools.product(both, range(5)):
                assert await asked.ask(way, FRANCE) == ["answer to", FRANCE]
        for number, trouble in enumerate(ODD_TROUBLES):
            asked = both[number // 5 % 2]
            with monkeypatch.context() as patch:
                break_stage(patch, stage, trouble)
                question = f"What is in box number {number}?"
                assert await asked.ask(number, question) == ["answer to", question], trouble
                assert asked.runs == [question], trouble
                # A hit in other words, where its stages work.
                again = f"{AGAIN}{'!' * number}"
                found = await asked.ask(number, again)
                assert found[1].startswith((FRANCE, AGAIN)), trouble
                assert len(asked.runs) == (found[1] == again), trouble
            clock.advance(61.0)  # past every pause
            question = f"What is in bag number {number}?"
            for runs in ([question], []):
                assert await asked.ask(number, question) == ["answer to", question], trouble
                assert asked.runs == runs, trouble
        assert "a stage of ours" not in caplog.text
        assert "no text" not in caplog.text
        assert notices.all or stage in UNTOLD
        # Whatever it was, the index works again.
        for question in ("What is the capital of Italy?", "what's the capital of Italy"):
            found = await both[0].ask(0, question)
            assert found == ["answer to", "What is the capital of Italy?"]


@pytest.mark.parametrize("stage", ["embedder", "memory of the index", "decision", "keeping"])
@pytest.mark.parametrize("trouble", [KeyboardInterrupt, asyncio.CancelledError, SystemExit])
def test_what_is_no_exception_passes(
    stage: str, trouble: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    with ToolOps("failing", semantic=SemanticCache(tmp_path)) as ops:
        asked = Asked(ops, Semantic(on="question", threshold=0.75))
        plain = asked.ways[0]
        plain(FRANCE)
        with monkeypatch.context() as patch:
            break_stage(patch, stage, trouble)
            with pytest.raises(trouble):
                plain("Who wrote Hamlet?")
        assert plain("Who wrote Hamlet?") == ["answer to", "Who wrote Hamlet?"]


# Embedders of users


def vectors(texts: list[str]) -> list[list[float]]:
    return [[float(len(text)), 1.0, float(ord(text[0]))] for text in texts]


class Shapes:
    """An embedder that returns something else at each call."""

    name = "shapes"
    dimension: Any = 3

    def __init__(self, answers: list[Any]) -> None:
        self._answers = itertools.cycle(answers)

    def embed(self, texts: list[str]) -> Any:
        answer = next(self._answers)
        return answer(texts) if callable(answer) else answer


ANSWERS = [
    None, [], [[]], 1.0, "text", [["a", "b", "c"]], [[1.0, 2.0]], [[1.0, 2.0, 3.0, 4.0]],
    [[float("nan")] * 3], [[float("inf"), 0.0, 0.0]], [[0.0, 0.0, 0.0]], [[1, 2, 3]],
    [[1.0, 2.0, 3.0]] * 2, [[1.0, [2.0], 3.0]], [[1j, 0j, 0j]], [[None, 1.0, 2.0]], [{}], {1: 2},
    [b"123"], [[10**400, 1, 1]], [[True, False, True]], [[[1.0, 2.0, 3.0]]],
    raiser(StopIteration), raiser(RecursionError), raiser(MemoryError), lambda texts: iter([1.0]),
]  # fmt: skip


@pytest.mark.parametrize(
    "semantic", [Semantic(on="question", threshold=0.75), BOUNDED], ids=["threshold", "bound"]
)
async def test_whatever_an_embedder_returns_each_call_gets_its_own_answer(
    semantic: Semantic, tmp_path: Path
) -> None:
    answers = [each for odd in ANSWERS for each in (vectors, odd)]
    cache = SemanticCache(tmp_path, embedder=Shapes(answers))
    async with ToolOps("failing", semantic=cache, clock=FakeClock()) as ops:
        asked = Asked(ops, semantic)
        for number in range(2 * len(answers)):
            question = f"{chr(65 + number)} is number {number}, is it not?"
            assert await asked.ask(number, question) == ["answer to", question]
            assert asked.runs == [question]


def test_whatever_an_embedder_returns_the_cache_alone_raises_nothing(tmp_path: Path) -> None:
    answers = [each for odd in ANSWERS for each in (vectors, odd)]
    cache = SemanticCache(tmp_path, embedder=Shapes(answers), clock=FakeClock())

    async def ask(question: str, number: int) -> None:
        await cache.aput(question, number)
        for found in (await cache.afind(question),):
            assert found is None or found.value == number

    for number in range(2 * len(answers)):
        question = f"{chr(65 + number)} is number {number}, is it not?"
        cache.put(question, number)
        found = cache.find(question)
        assert found is None or found.value == number
        asyncio.run(ask(question, number))
    cache.close()


@pytest.mark.parametrize(
    "dimension",
    [0, -1, "3", 2.5, 10**9, float("nan"), raiser(StopIteration), raiser(OSError)],
)
async def test_whatever_dimension_an_embedder_tells_each_call_gets_its_own_answer(
    dimension: Any, tmp_path: Path, caplog: Any
) -> None:
    tell = dimension if callable(dimension) else lambda self: dimension
    embedder = type("Told", (Shapes,), {"dimension": property(tell)})([vectors])
    async with ToolOps("failing", semantic=SemanticCache(tmp_path, embedder=embedder)) as ops:
        asked = Asked(ops, Semantic(on="question", threshold=0.75))
        for number in range(5):
            question = f"{chr(65 + number)} is number {number}, is it not?"
            assert await asked.ask(number, question) == ["answer to", question]
            assert asked.runs == [question]
    assert [line for line in caplog.records if line.name.startswith("toolops_plugins")]


# The cache alone


@pytest.mark.parametrize("stage", [stage for stage in INNER if stage != "scope"])
def test_a_stage_that_raises_is_a_miss_of_the_cache_alone(
    stage: str, tmp_path: Path, monkeypatch: Any, caplog: Any
) -> None:
    clock = FakeClock()
    cache = SemanticCache(tmp_path, clock=clock, judge=agree, max_error=0.05)

    async def ask(*questions: str) -> list[Any]:
        return [await cache.afind(question) for question in questions]

    if stage not in ("opening", "dimension"):
        cache.put(FRANCE, "Paris")
    for number, trouble in enumerate(ODD_TROUBLES[INNER.index(stage) % 3 :: 3]):
        with monkeypatch.context() as patch:
            break_stage(patch, stage, trouble)
            box = f"What is in box number {number}?"
            found = [cache.find(each) for each in (box, FRANCE, AGAIN)]
            found += asyncio.run(ask(box, FRANCE, AGAIN))
            assert all(match is None or match.value == "Paris" for match in found)
            cache.put(box, number)
            asyncio.run(cache.aput(box, number))
        clock.advance(61.0)
        bag = f"What is in bag number {number}?"
        cache.put(bag, number)
        assert cache.find(bag).value == number
    cache.close()
    assert "a stage of ours" not in caplog.text


def test_wrong_arguments_are_still_told(tmp_path: Path) -> None:
    cache = SemanticCache(tmp_path)
    with pytest.raises(ConfigurationError, match="text"):
        cache.find(1)  # type: ignore[arg-type]  # what is refused
    with pytest.raises(ConfigurationError, match="ttl"):
        cache.put(FRANCE, "Paris", ttl=-1)
    with pytest.raises(TypeError, match="no codec|generator|encode"):
        cache.put(FRANCE, (each for each in "ab"))
