"""Names, tokens, money and agents in the events of models of CrewAI."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from crewai import LLM, Agent, Crew, Task
from crewai.events.event_bus import crewai_event_bus
from model_costs import MONEY, reply_with_tokens

from crewai_toolops import ModelPrices, ToolOpsListener, guard_llm
from toolops_plugins import ToolOps

KNOWN = {"model": "gpt-4o", "provider": "openai"}
ROLE = "Expert in {topic}"


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


def chat(server: Any, **more: Any) -> Any:
    return LLM(model="openai/gpt-4o", base_url=server.url, api_key="x", max_retries=0, **more)


@pytest.mark.parametrize(
    ("stream", "ask"),
    [
        (False, lambda m: m.call("Where?")),
        (False, lambda m: asyncio.run(m.acall("Where?"))),
        (True, lambda m: m.call("Where?")),
    ],
    ids=["call", "acall", "stream"],
)
def test_a_guarded_model_has_its_published_price(stream, ask, ops, events, server):
    model = guard_llm(chat(server, stream=stream), ops=ops)
    with ToolOpsListener(ops):  # which counts nothing of it a second time
        ask(model)
        ask(model)
        crewai_event_bus.flush()
    miss, hit = events
    assert (miss.name, miss.outcome, hit.outcome) == ("openai:gpt-4o", "miss", "hit")
    assert {miss.kind, hit.kind} == {"chat"}
    spent = {"input_tokens": 1_000, "output_tokens": 100, "cache_read_tokens": 400}
    assert {**KNOWN, **spent}.items() <= dict(miss.details).items()
    saved = {"saved_input_tokens": 1_000, "saved_output_tokens": 100}
    assert {**KNOWN, **saved}.items() <= dict(hit.details).items()
    assert (miss.price, hit.price) == (pytest.approx(MONEY), 0.0)
    assert hit.saved_price == pytest.approx(MONEY)


def test_prices_of_the_users_own_come_first(ops, events, server):
    for price, money in (
        (ModelPrices({"gpt-4o": (1.0, 0.0)}), 0.001),
        (ModelPrices({"another": (1.0, 0.0)}), MONEY),
        (ModelPrices(published=False), 0.0),
        (len, 12.0),
    ):
        guard_llm(chat(server), ops=ops, price=price).call(f"Where? {money}")
        assert events[-1].price == pytest.approx(money)


@pytest.mark.parametrize("guarded", [True, False], ids=["guard", "listener"])
def test_calls_name_the_role_as_it_was_written(guarded, ops, events, server):
    model = guard_llm(chat(server), ops=ops) if guarded else chat(server)
    agent = Agent(role=ROLE, goal="g", backstory="b", llm=model)
    task = Task(description="Look at {topic}.", expected_output="x", agent=agent)
    crew = Crew(agents=[agent], tasks=[task])
    with ToolOpsListener(ops):
        crew.kickoff({"topic": "a secret"})
        crewai_event_bus.flush()
    (call,) = [event for event in events if event.kind == "chat"]
    assert call.details["agent"] == ROLE
    assert call.details["model"] == "gpt-4o"
    assert call.price == pytest.approx(MONEY)
    assert "a secret" not in repr(events)
