"""Names, tokens, money and agents in the events of models of LangChain."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from model_costs import MONEY, TOKENS, reply_with_tokens

from langchain_toolops import (
    ModelPrices,
    ToolOpsCache,
    ToolOpsCallbackHandler,
    ToolOpsEmbeddings,
    ToolOpsMiddleware,
    guard_llm,
    wrap_tool,
)
from toolops_plugins import ToolOps

MODEL = {"model": "gpt-4o", "provider": "openai"}
SPENT = {"input_tokens": 1_000, "output_tokens": 100, "cache_read_tokens": 400}
SAVED = {"saved_input_tokens": 1_000, "saved_output_tokens": 100}


@pytest.fixture
def ops():
    with ToolOps("costs") as made:
        yield made


@pytest.fixture
def events(ops):
    found = []
    ops.add_sink(found.append)
    return found


@pytest.fixture
def server(openai_server):
    return reply_with_tokens(openai_server)


def chat(server: Any, **more: Any) -> ChatOpenAI:
    options = {"model": "gpt-4o", "api_key": "x", "max_retries": 0, "stream_usage": True, **more}
    return ChatOpenAI(base_url=server.url, **options)


def assert_paid_once(events, name, known=MODEL, money=MONEY):
    """The first event is of a call that was paid for, the second of one that was spared."""
    miss, hit = events
    assert (miss.name, miss.outcome, hit.outcome) == (name, "miss", "hit")
    assert {miss.kind, hit.kind} == {"chat"}
    assert {**known, **SPENT}.items() <= dict(miss.details).items()
    assert {**known, **SAVED}.items() <= dict(hit.details).items()
    assert "input_tokens" not in hit.details
    assert (miss.price, hit.price) == (pytest.approx(money), 0.0)
    assert hit.saved_price == pytest.approx(money)


async def read(chunks: Any) -> list[Any]:
    return [chunk async for chunk in chunks]


@pytest.mark.parametrize(
    ("ask", "row"),
    [
        (lambda m: m.invoke("Where?"), "openai:gpt-4o"),
        (lambda m: asyncio.run(m.ainvoke("Where?")), "openai:gpt-4o"),
        (lambda m: list(m.stream("Where?")), "openai:gpt-4o stream"),
        (lambda m: asyncio.run(read(m.astream("Where?"))), "openai:gpt-4o stream"),
    ],
    ids=["invoke", "ainvoke", "stream", "astream"],
)
def test_a_guarded_model_has_its_published_price(ask, row, ops, events, server):
    handler = ToolOpsCallbackHandler(ops)  # which counts nothing of it a second time
    model = guard_llm(chat(server, callbacks=[handler]), ops=ops)
    ask(model)
    ask(model)
    assert_paid_once(events, row)
    total = ops.stats().total
    assert (total.spent, total.saved_price) == (pytest.approx(MONEY), pytest.approx(MONEY))


def test_prices_of_the_users_own_come_first(ops, events, server):
    for price, money in (
        (ModelPrices({"gpt-4o": (1.0, 0.0)}), 0.001),
        (ModelPrices({"another": (1.0, 0.0)}), MONEY),
        (ModelPrices({"another": (1.0, 0.0)}, published=False), 0.0),
        (0.5, 0.5),
        (lambda result: len(result.generations), 1.0),
    ):
        guard_llm(chat(server), ops=ops, price=price).invoke(f"Where? {money}")
        assert events[-1].price == pytest.approx(money)
        assert SPENT.items() <= dict(events[-1].details).items()


def test_a_cache_and_a_handler_count_a_call_once(ops, events, server):
    model = chat(server, cache=ToolOpsCache(ops), callbacks=[ToolOpsCallbackHandler(ops)])
    model.invoke("Where?")
    model.invoke("Where?")
    assert_paid_once(events, "langchain.llm")


def test_a_handler_prices_what_nobody_guards(ops, events, server):
    handler = ToolOpsCallbackHandler(ops)
    chat(server, callbacks=[handler]).invoke("Where?")
    (event,) = events
    assert (event.name, event.kind) == ("chat:gpt-4o", "chat")
    assert {**MODEL, **SPENT}.items() <= dict(event.details).items()
    assert event.price == pytest.approx(MONEY)
    assert event.worked > 0


def test_a_model_of_texts_is_one_of_completions(ops, events, server):
    model = OpenAI(model="gpt-3.5-turbo-instruct", base_url=server.url, api_key="x", max_retries=0)
    guarded = guard_llm(model, ops=ops)
    guarded.invoke("Where?")
    guarded.invoke("Where?")
    miss, hit = events
    assert (miss.kind, hit.outcome) == ("text_completion", "hit")
    assert miss.details["model"] == "gpt-3.5-turbo-instruct"
    assert miss.price == hit.saved_price


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def answer(body: dict[str, Any]) -> dict[str, Any]:
    if any(message["role"] == "tool" for message in body["messages"]):
        return {"content": "It is 3.", "usage": TOKENS}
    return {"tool_calls": [{"name": "add", "arguments": '{"a": 1, "b": 2}'}], "usage": TOKENS}


@pytest.mark.parametrize("way", ["middleware", "guards", "handler"])
def test_calls_name_the_agent_that_makes_them(way, ops, events, server):
    server.reply = answer
    model, tools, config, middleware = chat(server), [add], {}, []
    if way == "middleware":
        middleware = [ToolOpsMiddleware(ops)]
    elif way == "guards":
        model, tools = guard_llm(model, ops=ops), [wrap_tool(add, ops=ops)]
    else:
        config = {"callbacks": [ToolOpsCallbackHandler(ops, chains="none")]}
    agent = create_agent(model, tools, middleware=middleware, name="Mathematician")
    question = {"messages": [("user", "What is 1 + 2?")]}
    assert agent.invoke(question, config)["messages"][-1].text == "It is 3."
    assert [event.kind for event in events] == ["chat", "tool", "chat"]
    assert {event.details["agent"] for event in events} == {"Mathematician"}
    assert sum(event.price for event in events) == pytest.approx(2 * MONEY)
    if way != "handler":
        asyncio.run(agent.ainvoke(question, config))
        assert [event.outcome for event in events[3::2]] == ["hit", "hit"]
        assert sum(event.saved_price for event in events) == pytest.approx(2 * MONEY)


def test_embeddings_are_told_apart_by_model(ops, events, server):
    embedder = OpenAIEmbeddings(
        model="text-embedding-3-small",
        base_url=server.url,
        api_key="x",
        check_embedding_ctx_length=False,
    )
    guarded = ToolOpsEmbeddings(embedder, ops)
    text = "a text of some length " * 20
    guarded.embed_query(text)
    guarded.embed_query(text)
    batch = next(event for event in events if event.name.endswith("(batches)"))
    miss, hit = (event for event in events if event is not batch)
    assert batch.kind == "embeddings"
    assert batch.details["model"] == "text-embedding-3-small"
    assert miss.details["model"] == hit.details["model"] == "text-embedding-3-small"
    assert (miss.outcome, hit.outcome) == ("miss", "hit")
    assert miss.price == hit.saved_price > 0
    assert miss.price == pytest.approx(len(text) / 4 * 0.02 / 1e6)  # the rule of thumb
