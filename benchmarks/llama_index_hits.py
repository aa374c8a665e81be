"""Hits through LlamaIndex: known texts of an embedding model, and known questions of a model.

Measured: ``get_text_embedding_batch`` and its asynchronous twin for 100 known texts with vectors of
256 numbers. Ours is compared with LlamaIndex's ``embeddings_cache`` with its SimpleKVStore, an
unbounded dict that uses the text alone as the key and looks up one text after the other, and with
the same cache on our ToolOpsKVStore.

LlamaIndex has no cache for models, so a hit through ``guard_llm`` is compared with the bare model:
a MockLLM that answers at once, whose time is LlamaIndex's own work around every call.

Not measured: a provider, and networks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import repeat
from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.storage.kvstore import SimpleKVStore
from report import OURS, Goal, Row, Section, at_most
from timing import Effort, aturn_of, race, turn_of

from llama_index.callbacks.toolops import ToolOpsKVStore, guard_embedding, guard_llm
from toolops_plugins import ToolOps

TEXTS = [f"What is the capital of country number {number}?" for number in range(100)]
STOCK = "embeddings_cache, SimpleKVStore"
BARE = "the bare MockLLM"


class Vectors(BaseEmbedding):
    """An embedding model without a delay."""

    def _get_text_embedding(self, text: str) -> list[float]:
        return [len(text) + number / 7 for number in range(256)]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


def run(effort: Effort) -> list[Section]:
    """Measure embeddings and models, sync and async."""
    sections = []
    with asyncio.Runner() as runner, ToolOps("bench") as ops:
        embedders = {
            STOCK: Vectors(model_name="bench", embeddings_cache=SimpleKVStore()),
            "embeddings_cache, ToolOpsKVStore": Vectors(
                model_name="bench", embeddings_cache=ToolOpsKVStore(ops)
            ),
            OURS: guard_embedding(Vectors(model_name="bench"), ops=ops),
        }
        bare = MockLLM(max_tokens=8)
        models = {BARE: bare, OURS: guard_llm(bare, ops=ops)}
        messages = [ChatMessage("What is the capital of France?", role="user")]
        for kind in ("sync", "async"):
            calls = {
                name: each.get_text_embedding_batch
                if kind == "sync"
                else each.aget_text_embedding_batch
                for name, each in embedders.items()
            }
            title = f"100 known texts through a LlamaIndex embedding, {kind}"
            sections.append(section(title, STOCK, calls, TEXTS, kind, runner, effort))
            calls = {
                name: each.chat if kind == "sync" else each.achat for name, each in models.items()
            }
            title = f"Hit through a LlamaIndex model, {kind}"
            sections.append(section(title, BARE, calls, messages, kind, runner, effort))
        runner.run(ops.aclose())
    return sections


def section(
    title: str,
    rival: str,
    calls: dict[str, Callable[..., Any]],
    argument: Any,
    kind: str,
    runner: asyncio.Runner,
    effort: Effort,
) -> Section:
    """Measure one kind of call with each contestant."""
    turns = {}
    for name, call in calls.items():
        if kind == "sync":
            call(argument)
            turns[name] = turn_of(call, repeat(argument))
        else:
            runner.run(call(argument))
            turns[name] = aturn_of(call, repeat(argument), runner)
    laps = race(turns, effort.rounds(40), effort.seconds(0.05))
    rows = []
    for name in calls:
        ratio = laps.ratio(name, rival)
        goals: list[Goal] = [at_most(ratio, 1.0, "x")] if name == OURS and rival == STOCK else []
        rows.append(Row(name, (laps.best(name) * 1e6, laps.median(name) * 1e6, ratio), goals))
    return Section(title, ("best us", "median us", f"x {rival}"), rows)
