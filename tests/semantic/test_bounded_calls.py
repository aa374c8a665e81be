"""Calls under a bound on wrong answers, as the account of the learner counts them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from callers import LONG, Latch, Loop

from toolops_plugins import Semantic, SemanticCache, ToolOps
from toolops_plugins.semantic.bounded.budget import RISK_OF_REPEATED
from toolops_plugins.testing import FakeClock

BOUND = 0.05
FRANCE = "What is the capital of France?"
AGAIN = "WHAT IS THE CAPITAL OF FRANCE"
RHINE = "How long is the river Rhine?"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ops(tmp_path: Path, clock: FakeClock) -> Iterator[ToolOps]:
    with ToolOps("bounded", semantic=SemanticCache(tmp_path), clock=clock) as runtime:
        yield runtime


@pytest.fixture
def loop() -> Iterator[Loop]:
    new = Loop()
    yield new
    new.close()


def make_tool(ops: ToolOps, loop: Loop, *, aio: bool) -> Any:
    """Return a function that calls a tool by its blocking or its asynchronous face."""
    policy = Semantic(on="question", max_error=BOUND)
    if not aio:

        @ops.readonly(name="ask", ttl=3600.0, semantic=policy)
        def ask(question: str) -> dict[str, str]:
            return {"to": question}

        return ask

    @ops.readonly(name="ask", ttl=3600.0, semantic=policy)
    async def aask(question: str) -> dict[str, str]:
        return {"to": question}

    return lambda question: loop.start(aask(question)).result(LONG)


def account_of(ops: ToolOps) -> Any:
    learner = ops.semantic.answers.index.learned.learner()
    return learner._budgets[BOUND].account


@pytest.mark.parametrize("aio", [False, True])
def test_hits_of_copies_in_memory_are_charged_like_the_answer_that_was_copied(ops, loop, aio):
    ask = make_tool(ops, loop, aio=aio)
    ask(FRANCE)
    assert [ask(AGAIN) for _ in range(6)] == [{"to": FRANCE}] * 6
    ask(RHINE)
    account = account_of(ops)
    assert (account.requests, account.hits) == (8, 6)
    assert account.spent == pytest.approx(6 * RISK_OF_REPEATED)
    ask("How high is Mount Everest?")  # nothing is charged twice
    assert account.spent == pytest.approx(6 * RISK_OF_REPEATED)


class SlowEmbedder:
    """An embedder to which all texts are alike; of the second on it waits to be released."""

    name = "slow"
    dimension = 2

    def __init__(self) -> None:
        self.release = Latch()
        self.texts = 0

    def embed(self, texts: list[str]) -> list[list[float]]:
        self.texts += len(texts)
        if self.texts > 1:
            self.release.wait()
        return [[1.0, 0.0] for _ in texts]


@pytest.mark.parametrize("size", [10, 500_000])
async def test_callers_who_share_a_served_answer_are_charged_each(tmp_path, clock, size):
    embedder = SlowEmbedder()
    semantic = SemanticCache(tmp_path, embedder=embedder)
    async with ToolOps("bounded", semantic=semantic, clock=clock) as ops:

        @ops.readonly(ttl=3600.0, semantic=Semantic(on="question", max_error=BOUND))
        async def ask(question: str) -> list[str]:
            return [question, "x" * size]

        async def release() -> None:
            await asyncio.sleep(0)
            embedder.release.open()

        await ask(FRANCE)
        *answers, _ = await asyncio.gather(*[ask(AGAIN) for _ in range(5)], release())
        assert [answer[0] for answer in answers] == [FRANCE] * 5
        await ask(RHINE)
        account = account_of(ops)
        assert (account.requests, account.hits) == (7, 5)
        assert account.spent == pytest.approx(5 * RISK_OF_REPEATED)


def test_hits_of_the_question_itself_are_not_charged(ops, loop):
    ask = make_tool(ops, loop, aio=False)
    for _ in range(6):
        ask(FRANCE)
    ask(RHINE)
    account = account_of(ops)
    assert (account.requests, account.hits, account.spent) == (7, 5, 0.0)


def test_a_copy_gives_each_caller_an_answer_of_its_own(ops, loop):
    ask = make_tool(ops, loop, aio=False)
    ask(FRANCE)
    for _ in range(3):
        ask(AGAIN)["to"] = "something else"
    assert ask(AGAIN) == {"to": FRANCE}


@pytest.mark.parametrize("agrees", [False, True])
def test_what_the_judge_refuses_is_not_charged(tmp_path, agrees):
    # Under so small a bound even the question in another writing is one for the judge.
    bound = RISK_OF_REPEATED / 2
    with SemanticCache(tmp_path, judge=lambda *_: agrees, max_error=bound) as cache:
        cache.put(FRANCE, "Paris")
        found = [cache.find(AGAIN) for _ in range(3)]
        assert [match is not None for match in found] == [agrees] * 3
        account = cache.answers.index.learned.learner()._budgets[bound].account
        assert (account.requests, account.hits) == (3, 3 * agrees)
        assert account.spent == pytest.approx(3 * agrees * RISK_OF_REPEATED)
