"""Guarded models in LlamaIndex's workflows, whose steps have retry policies of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from workflows import Workflow, step
from workflows.events import StartEvent, StopEvent
from workflows.retry_policy import retry_policy, stop_after_attempt, wait_fixed

from llama_index.callbacks.toolops import guard_llm, wrap_tool
from toolops_plugins import Cache, CallEvent, Policy, Retry, ToolOps

AGAIN = retry_policy(wait=wait_fixed(0), stop=stop_after_attempt(3))
POLICY = Policy(cache=Cache(ttl=60), retry=Retry(attempts=3, wait=0))


@pytest.fixture
def events() -> list[CallEvent]:
    return []


@pytest.fixture
def ops(events: list[CallEvent]) -> Iterator[ToolOps]:
    with ToolOps("workflows", sinks=[events.append]) as ops:
        yield ops


def outcomes(events: list[CallEvent]) -> list[tuple[str, int]]:
    return [(event.outcome, event.attempts) for event in events]


def run(model: Any, way: str) -> str:
    """Run a workflow of one step that asks the model; return its answer, or its error's name."""

    class Asking(Workflow):
        if way == "chat":

            @step(retry_policy=AGAIN)
            def ask(self, event: StartEvent) -> StopEvent:
                return StopEvent(result=model.chat([ChatMessage(event.question)]).message.content)

        else:

            @step(retry_policy=AGAIN)
            async def ask(self, event: StartEvent) -> StopEvent:
                if way == "achat":
                    response = await model.achat([ChatMessage(event.question)])
                    return StopEvent(result=response.message.content)
                items = await model.astream_chat([ChatMessage(event.question)])
                return StopEvent(result="".join([item.delta or "" async for item in items]))

    async def answer() -> str:
        try:
            return str(await Asking(timeout=60).run(question="hi"))
        except Exception as error:
            return type(error).__name__

    return asyncio.run(answer())


WAYS = pytest.mark.parametrize("way", ["chat", "achat", "astream_chat"])


@WAYS
def test_attempts_of_a_step_are_added_and_not_multiplied(llm, ops, way, openai_server, events):
    openai_server.reply = lambda body: {"status": 500}
    run(guard_llm(llm(max_retries=0), POLICY, ops=ops), way)
    assert outcomes(events) == [("error", 3), ("error", 1), ("error", 1)]
    assert len(openai_server.requests) == 5


@WAYS
def test_a_call_that_passes_at_the_second_try_does_not_fail_its_step(
    llm, ops, way, openai_server, events
):
    replies = iter([{"status": 500}, "well"])
    openai_server.reply = lambda body: next(replies)
    model = guard_llm(llm(max_retries=0), POLICY, ops=ops)
    assert [run(model, way), run(model, way)] == ["well", "well"]
    assert outcomes(events) == [("miss", 2), ("hit", 0)]


def test_an_agents_calls_are_tried_and_counted_once(llm, ops, openai_server, events):
    runs = []

    def look(q: str) -> str:
        """Look something up."""
        runs.append(q)
        if len(runs) == 1:
            raise ConnectionError("away")
        return q

    def reply(body: dict[str, Any]) -> Any:
        if any(message["role"] == "tool" for message in body["messages"]):
            return "done"
        return [{"name": "look", "arguments": {"q": "x"}}]

    openai_server.reply = reply
    tool = wrap_tool(look, ops=ops, policy=POLICY)
    agent = FunctionAgent(tools=[tool], llm=guard_llm(llm(max_retries=0), POLICY, ops=ops))

    async def ask() -> str:
        return str(await agent.run("look"))

    for _ in range(2):
        assert asyncio.run(ask()) == "done"
    assert len(runs) == 2
    assert len(openai_server.requests) == 2
    assert sorted(outcomes(events)) == [("hit", 0)] * 3 + [("miss", 1)] * 2 + [("miss", 2)]
