"""Names, tokens and money in the events of models of LlamaIndex."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from llama_calls import read, user
from llama_index.core.callbacks import CallbackManager
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.openai import OpenAI
from model_costs import MONEY, reply_with_tokens

from llama_index.callbacks.toolops import (
    ModelPrices,
    ToolOpsCallbackHandler,
    guard_embedding,
    guard_llm,
)

WITH_USAGE = {"stream_options": {"include_usage": True}}
KNOWN = {"model": "gpt-4o", "provider": "openai"}


@pytest.fixture
def server(openai_server):
    return reply_with_tokens(openai_server)


def chat(server: Any, **more: Any) -> OpenAI:
    return OpenAI(model="gpt-4o", api_base=server.url, api_key="x", max_retries=0, **more)


@pytest.mark.parametrize(
    ("ask", "row"),
    [
        (lambda m: m.chat(user("Where?")), "openai:gpt-4o"),
        (lambda m: asyncio.run(m.acomplete("Where?")), "openai:gpt-4o"),
        (lambda m: list(m.stream_chat(user("Where?"), **WITH_USAGE)), "openai:gpt-4o stream"),
        (
            lambda m: asyncio.run(read(m.astream_complete("Where?", **WITH_USAGE))),
            "openai:gpt-4o stream",
        ),
    ],
    ids=["chat", "acomplete", "stream_chat", "astream_complete"],
)
def test_a_guarded_model_has_its_published_price(ask, row, ops, events, server):
    manager = CallbackManager([ToolOpsCallbackHandler(ops)])  # which counts nothing of it again
    model = guard_llm(chat(server, callback_manager=manager), ops=ops)
    ask(model)
    ask(model)
    miss, hit = events
    assert (miss.name, miss.outcome, hit.outcome) == (row, "miss", "hit")
    assert {miss.kind, hit.kind} == {"chat"}
    spent = {"input_tokens": 1_000, "output_tokens": 100, "cache_read_tokens": 400}
    assert {**KNOWN, **spent}.items() <= dict(miss.details).items()
    saved = {"saved_input_tokens": 1_000, "saved_output_tokens": 100}
    assert {**KNOWN, **saved}.items() <= dict(hit.details).items()
    assert (miss.price, hit.price) == (pytest.approx(MONEY), 0.0)
    assert hit.saved_price == pytest.approx(MONEY)


def test_a_stream_that_tells_no_tokens_costs_nothing(ops, events, server):
    list(guard_llm(chat(server), ops=ops).stream_chat(user("Where?")))
    (event,) = events
    assert event.price == 0.0
    assert dict(event.details) == KNOWN


def test_prices_of_the_users_own_come_first(ops, events, server):
    for price, money in (
        (ModelPrices({"gpt-4o": (1.0, 0.0)}), 0.001),
        (ModelPrices({"another": (1.0, 0.0)}), MONEY),
        (ModelPrices(published=False), 0.0),
        (lambda response: len(response.message.content), 12.0),
    ):
        guard_llm(chat(server), ops=ops, price=price).chat(user(f"Where? {money}"))
        assert events[-1].price == pytest.approx(money)


def test_a_handler_prices_what_nobody_guards(ops, events, server):
    manager = CallbackManager([ToolOpsCallbackHandler(ops)])
    chat(server, callback_manager=manager).chat(user("Where?"))
    (event,) = events
    assert (event.name, event.kind) == ("chat:gpt-4o", "chat")
    assert {**KNOWN, "cache_read_tokens": 400}.items() <= dict(event.details).items()
    assert event.price == pytest.approx(MONEY)


def test_embeddings_are_priced_by_the_length_of_texts(ops, events, server):
    model = OpenAIEmbedding(
        model="text-embedding-3-small", api_base=server.url, api_key="x", max_retries=0
    )
    guarded = guard_embedding(model, ops=ops)
    text = "a text of some length " * 20
    guarded.get_query_embedding(text)
    asyncio.run(guarded.aget_query_embedding(text))
    batch = next(event for event in events if event.name.endswith("(batches)"))
    miss, hit = (event for event in events if event is not batch)
    assert batch.kind == "embeddings"
    assert {event.details["model"] for event in events} == {"text-embedding-3-small"}
    assert miss.price == hit.saved_price == pytest.approx(len(text) / 4 * 0.02 / 1e6)
