"""Learning from answers in free text, through a real cache under a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from callers import LONG
from servers import wait_for

from toolops_plugins import Semantic, SemanticCache, ToolOps

QUESTION = "How long can I return unused items?"
AGAIN = "Until when may I send back items that I didn't use?"
FIRST = (
    "You can return unused items within 30 days of delivery. Open your orders, choose the item and "
    "print the label; the refund goes to your card within a week."
)
SAME = (
    "Unused items can be returned up to 30 days after delivery: open your orders, select the item "
    "and print the label. The refund reaches your card within a week."
)
OTHER = (
    "Our warranty covers faults in material for two years after the purchase; please keep the "
    "receipt, since we need it as a proof before we repair or replace anything."
)
CONTRARY = SAME.replace("30 days", "45 days")
UNCLEAR = "Send back new things only; for 30 days you can print a label for that in your orders."


class Counting:
    """An embedder that counts the texts that it embeds."""

    name = "counting"
    dimension = 3

    def __init__(self) -> None:
        self.texts: list[str] = []

    def embed(self, texts: list[str]) -> list[list[float]]:
        self.texts += texts
        return [[1.0, 0.1 * (len(text) % 3), 0.0] for text in texts]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., SemanticCache]]:
    made: list[SemanticCache] = []

    def make(**options: Any) -> SemanticCache:
        made.append(SemanticCache(tmp_path / str(len(made)), max_error=0.05, **options))
        return made[-1]

    yield make
    for cache in made:
        cache.close()


async def learned(cache: SemanticCache, cached: Any, fresh: Any) -> list[bool]:
    """Return the labels that a second question leaves, whose answer is ``fresh``."""
    await cache.aput(QUESTION, cached)
    assert await cache.afind(AGAIN) is None
    await cache.aput(AGAIN, fresh)
    return labels(cache)


def labels(cache: SemanticCache) -> list[bool]:
    return cache.answers.index.learned.learner()._window.last().right.tolist()


def are_one_group(cache: SemanticCache) -> bool:
    groups = cache.answers.index.learned.learner()._groups
    keys = [groups.key(row.id) for row in cache.answers.index.memory.rows()]
    return len(keys) == 2 and groups.lead(keys[0]) == groups.lead(keys[1])


async def test_the_same_in_other_words_was_right(make):
    cache = make()
    assert await learned(cache, FIRST, SAME) == [True]
    assert are_one_group(cache)


@pytest.mark.parametrize("other", [OTHER, CONTRARY])
async def test_another_answer_was_wrong(make, other):
    cache = make()
    assert await learned(cache, FIRST, other) == [False]
    assert not are_one_group(cache)


async def test_of_an_answer_that_cannot_be_told_nothing_is_learned(make):
    cache = make()
    assert await learned(cache, FIRST, UNCLEAR) == []
    assert not are_one_group(cache)
    assert len(cache) == 2


@pytest.mark.parametrize(
    ("cached", "fresh", "label"),
    [
        ("card_arrival", "card_linking", [False]),
        ("Paris", "paris.", [True]),
        ({"text": FIRST, "days": 30}, {"text": SAME, "days": 30}, [True]),
        ({"text": FIRST, "days": 30}, {"text": SAME, "days": 31}, [False]),
        ('{"days": 30}', '{ "days":30 }', [True]),
        (30, 31, [False]),
    ],
)
async def test_structured_and_short_answers_are_compared_by_equality(make, cached, fresh, label):
    assert await learned(make(), cached, fresh) == label


async def test_short_answers_that_repeat_word_for_word_differ_where_their_words_do(make):
    cache = make()
    for number in range(2):
        await cache.aput(f"Which city is the capital of France, {number}?", "Paris")
    before = len(labels(cache))
    assert await cache.afind("Which city is the seat of France's government?") is None
    await cache.aput("Which city is the seat of France's government?", "The capital is Paris.")
    assert labels(cache)[before:] == [False]


@pytest.mark.parametrize(("says", "label"), [(True, [True]), (False, [False]), (None, [])])
@pytest.mark.parametrize("fresh", [SAME, OTHER, UNCLEAR])
async def test_the_judge_wins(make, says, label, fresh):
    asked = []

    async def judge(question: str, cached: Any, new: Any) -> bool | None:
        asked.append((question, cached, new))
        return says

    assert await learned(make(judge=judge), FIRST, fresh) == label
    assert asked == [(AGAIN, FIRST, fresh)]


async def test_of_a_judge_that_fails_nothing_is_learned(make):
    def judge(question: str, cached: Any, fresh: Any) -> bool:
        raise OSError

    assert await learned(make(judge=judge), FIRST, SAME) == []


async def test_the_embedder_is_asked_for_questions_only(make):
    embedder = Counting()
    assert await learned(make(embedder=embedder), FIRST, SAME) == [True]
    assert FIRST not in embedder.texts
    assert SAME not in embedder.texts


async def test_with_a_cosine_the_embedder_is_asked_for_answers_too(make):
    assert await learned(make(), FIRST, UNCLEAR) == []
    embedder = Counting()
    cache = make(embedder=embedder, answers_alike=0.8)
    assert await learned(cache, FIRST, UNCLEAR) == [True]
    assert {FIRST, UNCLEAR} <= set(embedder.texts)
    assert await learned(make(embedder=embedder, answers_alike=0.8), FIRST, CONTRARY) == []


def test_a_plain_cache_learns_the_same(make):
    cache = make()
    cache.put(QUESTION, FIRST)
    assert cache.find(AGAIN) is None
    cache.put(AGAIN, SAME)
    wait_for(lambda: labels(cache) == [True], "a label", LONG)


def test_a_tools_answer_is_the_part_that_its_policy_names(tmp_path):
    with ToolOps("t", semantic=SemanticCache(tmp_path)) as ops:
        answers = iter([FIRST, SAME])
        semantic = Semantic(on="question", max_error=0.05, answer=lambda result: result["text"])

        @ops.readonly(ttl=60.0, semantic=semantic)
        async def ask(question: str) -> dict[str, Any]:
            return {"text": next(answers), "id": object.__hash__(question)}

        async def both() -> None:
            await ask(QUESTION)
            await ask(AGAIN)
            learner = ops.semantic.answers.index.learned.learner()
            async with asyncio.timeout(LONG):
                while not learner._window.count:  # noqa: ASYNC110 - there is no event for it
                    await asyncio.sleep(0)
            assert learner._window.last().right.tolist() == [True]

        asyncio.run(both())


@pytest.mark.parametrize("size", [7, 1_000])
def test_the_text_of_a_stream_is_compared_wherever_its_pieces_end(tmp_path, size):
    with ToolOps("t", semantic=SemanticCache(tmp_path)) as ops:
        answers = iter([(FIRST, 10), (SAME, size)])

        @ops.readonly(ttl=60.0, semantic=Semantic(on="question", max_error=0.05))
        def ask(question: str) -> Iterator[str]:
            text, step = next(answers)
            for at in range(0, len(text), step):
                yield text[at : at + step]

        assert "".join(ask(QUESTION)) == FIRST
        assert "".join(ask(AGAIN)) == SAME
        wait_for(lambda: labels(ops.semantic) == [True], "a label", LONG)


def test_another_stream_is_compared_item_by_item(tmp_path):
    with ToolOps("t", semantic=SemanticCache(tmp_path)) as ops:
        answers = iter([[1, 2], [1, 3]])

        @ops.readonly(ttl=60.0, semantic=Semantic(on="question", max_error=0.05))
        def ask(question: str) -> Iterator[int]:
            yield from next(answers)

        assert list(ask(QUESTION)) == [1, 2]
        assert list(ask(AGAIN)) == [1, 3]
        wait_for(lambda: labels(ops.semantic) == [False], "a label", LONG)
