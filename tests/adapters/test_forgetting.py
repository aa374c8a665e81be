"""Calls whose results are forgotten: what else goes, and what stays."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from toolops_plugins import Cache, Policy, Semantic, SemanticCache, ToolOps
from toolops_plugins.adapters.forgetting import aforget_calls, forget_calls

QUESTION = "What is the capital of France?"
AGAIN = "what's the capital of France"
OTHER = "How do I boil an egg?"
POLICY = Policy(cache=Cache(ttl=60.0), semantic=Semantic(on="question", threshold=0.8))


def forget(ops: ToolOps, calls: Any, *, aio: bool) -> None:
    if aio:
        asyncio.run(aforget_calls(ops, calls))
    else:
        forget_calls(ops, calls)


@pytest.mark.parametrize("aio", [False, True])
def test_the_entry_that_answers_in_other_words_is_deleted_where_it_is_stored(
    tmp_path: Path, aio: bool
) -> None:
    semantic = SemanticCache(tmp_path)
    with ToolOps(semantic=semantic) as ops:
        asked = []

        @ops.tool(policy=POLICY)
        def ask(question: str) -> str:
            asked.append(question)
            return f"answer {len(asked)}"

        assert [ask(text) for text in (QUESTION, OTHER, AGAIN)] == [
            "answer 1",
            "answer 2",
            "answer 1",
        ]
        assert len(semantic) == 2
        forget(ops, [(ask, (AGAIN,))], aio=aio)
        assert (
            len(semantic) == 1
        )  # not only refused in this process, which another knows nothing of
        assert [ask(text) for text in (AGAIN, OTHER)] == ["answer 3", "answer 2"]


@pytest.mark.parametrize("aio", [False, True])
def test_what_has_no_key_or_no_store_is_left_alone(aio: bool) -> None:
    with ToolOps() as ops:
        kept = ops.tool(policy=Policy(cache=Cache(ttl=60.0)))(lambda thing: [thing])
        plain = ops.tool(policy=Policy())(lambda thing: [thing])
        aside = ops.aside(lambda thing: None, cache=Cache(ttl=60.0))
        aside.store("a", 1)
        forget(ops, [(kept, (object(),)), (plain, (1,)), (aside, (2,))], aio=aio)
        assert aside.lookup(1) == "a"
        forget(ops, [(aside, (1,))], aio=aio)
        assert aside.lookup(1) != "a"
