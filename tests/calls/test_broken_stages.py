"""Calls in which a stage of the library raises: the error never reaches the caller."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from broken_stages import CORE, SEMANTIC, TROUBLES, Broken, break_stage, raiser
from callers import LONG, Notices
from questions import TEN_WAYS
from servers import wait_for

from toolops_plugins import Cache, Policy, Semantic, SemanticCache, ToolOps
from toolops_plugins.errors import TierError

POLICY = Policy(cache=Cache(ttl=60.0), semantic=Semantic(on="question", max_error=0.05))
FRANCE, AGAIN, *_ = TEN_WAYS
SPAIN = "What is the capital of Spain?"
ASKED = (FRANCE, FRANCE, AGAIN, SPAIN, FRANCE)


def answer(question: str) -> list[str]:
    return ["answer to", question]


async def aanswer(question: str) -> list[str]:
    return answer(question)


def items(question: str) -> Iterator[str]:
    yield from answer(question)


async def aitems(question: str) -> AsyncIterator[str]:
    for item in answer(question):
        yield item


def of_tool(ops: ToolOps, policy: Policy) -> Callable[[str], Any]:
    return ops.tool(policy=policy)(answer)


def of_coroutine(ops: ToolOps, policy: Policy) -> Callable[[str], Any]:
    return ops.tool(policy=policy)(aanswer)


def of_stream(ops: ToolOps, policy: Policy) -> Callable[[str], Any]:
    tool = ops.tool(policy=policy)(items)
    return lambda question: list(tool(question))


def of_astream(ops: ToolOps, policy: Policy) -> Callable[[str], Any]:
    tool = ops.tool(policy=policy)(aitems)

    async def read(question: str) -> list[str]:
        return [item async for item in tool(question)]

    return read


def of_call(ops: ToolOps, policy: Policy) -> Callable[[str], Any]:
    return lambda question: ops.call(answer, question, policy=policy)


def of_acall(ops: ToolOps, policy: Policy) -> Callable[[str], Any]:
    return lambda question: ops.acall(aanswer, question, policy=policy)


def of_aside(ops: ToolOps, policy: Policy) -> Callable[[str], Any]:
    aside = ops.aside(answer, policy=policy)

    def ask(question: str) -> Any:
        found = aside.lookup(question)
        if isinstance(found, list):
            return found
        aside.store(value := answer(question), question)
        return value

    return ask


def of_async_aside(ops: ToolOps, policy: Policy) -> Callable[[str], Any]:
    aside = ops.aside(answer, policy=policy)

    async def ask(question: str) -> Any:
        found = await aside.alookup(question)
        if isinstance(found, list):
            return found
        await aside.astore(value := answer(question), question)
        return value

    return ask


WAYS = [
    of_tool, of_coroutine, of_stream, of_astream, of_call, of_acall, of_aside, of_async_aside
]  # fmt: skip


def ask_all(ask: Callable[[str], Any]) -> list[Any]:
    """Ask one question after another; on one event loop where that is what it takes."""

    async def aask_all() -> list[Any]:
        return [await ask(question) for question in ASKED]

    first = ask(ASKED[0])
    if asyncio.iscoroutine(first):
        first.close()
        return asyncio.run(aask_all())
    return [first, *(ask(question) for question in ASKED[1:])]


def fits(found: list[Any]) -> bool:
    """True if each question got its answer, or that to the same in other words."""
    france = (answer(FRANCE), answer(AGAIN))
    return all(
        each == answer(SPAIN) if question == SPAIN else each in france
        for question, each in zip(ASKED, found, strict=True)
    )


# ``ops.call`` takes the way of a tool from its key on.
WITH_IO = [of_tool, of_coroutine, of_stream, of_astream, of_aside, of_async_aside]
WITHOUT_IO = [[of_tool, of_astream, of_aside], [of_coroutine, of_stream, of_async_aside]]


def ways_to(stage: str) -> list[Any]:
    """Return the ways that reach a stage in ways of their own."""
    if stage in CORE:
        return WAYS
    if stage == "joining":  # streams and a cache aside are never joined by meaning
        return [of_tool, of_coroutine]
    if stage in ("embedder", "opening", "index", "writing"):
        return WITH_IO
    return WITHOUT_IO[SEMANTIC.index(stage) % 2]


PAIRS = [(stage, way) for stage in (*CORE, *SEMANTIC) for way in ways_to(stage)]


@pytest.mark.parametrize(
    ("stage", "way", "trouble"),
    [(*pair, trouble) for pair, trouble in zip(PAIRS, itertools.cycle(TROUBLES))],
    ids=[f"{stage}-{way.__name__}" for stage, way in PAIRS],
)
def test_a_stage_that_raises_is_a_miss_with_a_notice(
    stage: str, way: Any, trouble: Any, tmp_path: Path, monkeypatch: Any, caplog: Any
) -> None:
    policy = POLICY if stage in SEMANTIC else Policy(cache=Cache(ttl=60.0))
    semantic = SemanticCache(tmp_path, flush_every=0.01) if stage in SEMANTIC else None
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, "toolops_plugins"):
        ops = ToolOps("broken", semantic=semantic)
        notices = Notices(ops)
        break_stage(patch, stage, trouble)
        ask = way(ops, policy)
        assert fits(ask_all(ask))
        if stage == "writing":  # behind the call
            wait_for(lambda: notices.all, "a notice", LONG)
    told = [line for line in caplog.records if line.name.startswith("toolops_plugins")]
    if stage != "learning":  # what has not learned serves nothing yet
        assert told, "nothing in the log"
        assert "a stage of ours" not in caplog.text
    if stage not in ("learning", "sinks"):
        assert notices.all
    # Whatever it was, it leaves nothing behind.
    assert fits(ask_all(way(ops, policy)))
    ops.close()


@pytest.mark.parametrize("local", [True, False], ids=["local", "remote"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_tier_that_raises_any_exception_is_a_miss_with_a_notice(
    way: Any, local: Any, caplog: Any
) -> None:
    for trouble in TROUBLES:
        ops = ToolOps("broken", tiers=[Broken(trouble, local=local)])
        notices = Notices(ops)
        assert fits(ask_all(way(ops, Policy(cache=Cache(ttl=60.0)))))
        assert {notice.kind for notice in notices.all} == {"tier_failed"}
    assert "'broken'" in caplog.text
    assert "a stage of ours" not in caplog.text


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_invalidation_in_a_tier_that_raises_any_exception_is_a_tier_error(
    trouble: Any,
) -> None:
    tier = Broken(trouble, local=False)
    for name in ("delete", "invalidate", "clear"):
        setattr(tier, name, raiser(trouble))
    ops = ToolOps("broken", tiers=[tier])
    for forget in (
        ops.clear, lambda: ops.invalidate(["tag"]), lambda: ops.invalidate(keys=[bytes(32)])
    ):  # fmt: skip
        with pytest.raises(TierError, match=trouble.__name__):
            forget()
    with pytest.raises(TierError):
        await ops.aclear()


def of_key(fail: Any) -> dict[str, Any]:
    return {"policy": Policy(cache=Cache(ttl=60.0, key=fail))}


def of_tags(fail: Any) -> dict[str, Any]:
    return {"policy": POLICY.replace(tags=fail)}


def of_price(fail: Any) -> dict[str, Any]:
    return {"policy": POLICY.replace(price=fail)}


def of_when(fail: Any) -> dict[str, Any]:
    return {"policy": Policy(cache=Cache(ttl=60.0, when=fail))}


def of_answer(fail: Any) -> dict[str, Any]:
    return {"policy": POLICY.replace(semantic=Semantic(on="question", answer=fail))}


def of_judge(fail: Any) -> dict[str, Any]:
    policy = POLICY.replace(semantic=Semantic(on="question", threshold=0.8))
    return {"policy": policy, "judge": fail, "judge_band": 0.5}


def of_guard(fail: Any) -> dict[str, Any]:
    return {
        "policy": POLICY.replace(semantic=Semantic(on="question", threshold=0.8)),
        "guards": [fail],
    }


def of_embedder(fail: Any) -> dict[str, Any]:
    def embed(texts: list[str]) -> Any:
        if FRANCE in texts:
            fail()
        return [[1.0, 0.0]] * len(texts)

    return {"policy": POLICY, "embedder": embed}


CALLABLES = [of_key, of_tags, of_price, of_when, of_answer, of_judge, of_guard, of_embedder]


def ways_with(parameter: Any) -> list[Any]:
    if parameter in (of_key, of_when):
        return WAYS
    if parameter in (of_judge, of_embedder):
        return WITH_IO
    return WITHOUT_IO[CALLABLES.index(parameter) % 2]


@pytest.mark.parametrize(
    ("parameter", "way"),
    [(parameter, way) for parameter in CALLABLES for way in ways_with(parameter)],
    ids=lambda function: function.__name__,
)
def test_a_users_callable_that_raises_makes_a_notice_and_harms_no_call(
    parameter: Any, way: Any, tmp_path: Path, caplog: Any
) -> None:
    trouble = TROUBLES[(WAYS.index(way) + CALLABLES.index(parameter)) % len(TROUBLES)]
    options = parameter(raiser(trouble))
    policy = options.pop("policy")
    semantic = SemanticCache(tmp_path, **options) if policy.semantic else None
    with ToolOps("broken", semantic=semantic) as ops:
        notices = Notices(ops)
        assert fits(ask_all(way(ops, policy)))
        assert notices.all
    assert [line for line in caplog.records if line.name.startswith("toolops_plugins")]
    assert "a stage of ours" not in caplog.text


@pytest.mark.parametrize("trouble", TROUBLES)
def test_an_error_that_cannot_be_remembered_is_the_functions_own(
    trouble: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("toolops_plugins.codec.Codec.encode_error", raiser(trouble))
    ops = ToolOps("broken")
    notices = Notices(ops)

    @ops.tool(cache=Cache(ttl=60.0, negative=KeyError))
    def fail(question: str) -> str:
        raise KeyError(question)

    for _ in range(2):
        with pytest.raises(KeyError):
            fail(FRANCE)
    assert {notice.kind for notice in notices.all} == {"stage_failed"}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_the_key_of_large_arguments_that_cannot_be_made_is_a_miss_too(
    way: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("toolops_plugins.keys.keyer.Keyer.key", raiser(RecursionError))
    ops = ToolOps("broken")
    notices = Notices(ops)
    question = FRANCE * 100_000
    ask = way(ops, Policy(cache=Cache(ttl=60.0)))

    async def aask() -> Any:
        return await ask(question)

    found = asyncio.run(aask()) if asyncio.iscoroutine(probe := ask(question)) else probe
    if asyncio.iscoroutine(probe):
        probe.close()
    assert found == answer(question)
    assert notices.reasons == ["key_failed"]
