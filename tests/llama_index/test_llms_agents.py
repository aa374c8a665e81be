"""guard_llm below what LlamaIndex builds on a model: prompts, structured answers, agents."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from llama_calls import read
from llama_index.core import PromptTemplate, Settings, SummaryIndex
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ReActAgent
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.llms import MockLLM
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.schema import TextNode
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from llama_index.callbacks.toolops.llms import guard_llm
from toolops_plugins import ToolOps

FRANCE = PromptTemplate("What is the capital of {country}?")


@pytest.fixture
def ops() -> Iterator[ToolOps]:
    with ToolOps() as ops:
        yield ops


class City(BaseModel):
    """A city."""

    name: str
    country: str = "France"


class Town(BaseModel):
    """A town."""

    name: str


PARIS = {"name": "Paris", "country": "France"}


def answer_by_schema(body: dict[str, Any]) -> Any:
    """Answer as asked: by a JSON schema, or by a call of the one tool."""
    if "response_format" in body:
        return json.dumps(PARIS)
    return [{"name": body["tools"][0]["function"]["name"], "arguments": PARIS}]


PREDICTIONS: dict[str, Callable[[Any], Any]] = {
    "predict": lambda m: m.predict(FRANCE, country="France"),
    "apredict": lambda m: asyncio.run(m.apredict(FRANCE, country="France")),
    "stream": lambda m: "".join(m.stream(FRANCE, country="France")),
    "astream": lambda m: "".join(asyncio.run(read(m.astream(FRANCE, country="France")))),
}
STRUCTURED: dict[str, Callable[[Any], Any]] = {
    "structured_predict": lambda m: m.structured_predict(City, FRANCE, country="France"),
    "astructured_predict": lambda m: asyncio.run(
        m.astructured_predict(City, FRANCE, country="France")
    ),
    "stream_structured_predict": lambda m: list(
        m.stream_structured_predict(City, FRANCE, country="France")
    )[-1],
    "astream_structured_predict": lambda m: asyncio.run(
        read(m.astream_structured_predict(City, FRANCE, country="France"))
    )[-1],
    "as_structured_llm": lambda m: m.as_structured_llm(City).complete("the capital?").raw,
    "as_structured_llm, chat": lambda m: (
        m.as_structured_llm(City).chat([ChatMessage("the capital?")]).raw
    ),
    "as_structured_llm, achat": lambda m: (
        asyncio.run(m.as_structured_llm(City).achat([ChatMessage("the capital?")])).raw
    ),
    "as_structured_llm, stream_chat": lambda m: (
        list(m.as_structured_llm(City).stream_chat([ChatMessage("the capital?")]))[-1].raw
    ),
    "as_structured_llm, astream_chat": lambda m: (
        asyncio.run(read(m.as_structured_llm(City).astream_chat([ChatMessage("the capital?")])))[
            -1
        ].raw
    ),
}


@pytest.mark.parametrize("way", list(PREDICTIONS))
def test_a_prediction_is_paid_for_once(model, openai_server, way):
    for _ in range(2):
        assert PREDICTIONS[way](model) == "What is the capital of France?"
    assert len(openai_server.requests) == 1


@pytest.mark.parametrize("way", list(PREDICTIONS))
def test_a_prediction_of_a_custom_model_is_paid_for_once(ops, echo, way):
    model = guard_llm(echo(), ops=ops)
    for _ in range(2):
        assert PREDICTIONS[way](model) == "What is the capital of France?"
    assert model.calls == 1


@pytest.mark.parametrize("name", ["gpt-4o-mini", "gpt-4"])
@pytest.mark.parametrize("way", list(STRUCTURED))
def test_a_structured_answer_is_paid_for_once(ops, llm, openai_server, way, name):
    openai_server.reply = answer_by_schema
    model = guard_llm(llm(model=name), ops=ops)
    for each in (llm(model=name), model, model):
        answer = STRUCTURED[way](each)
        assert (answer.name, answer.country) == ("Paris", "France")
    unguarded, guarded = openai_server.requests
    assert guarded == unguarded
    assert ("response_format" in guarded) is (name == "gpt-4o-mini")
    assert ("tool_choice" in guarded) is (name == "gpt-4")


def test_another_schema_is_another_question(model, openai_server):
    openai_server.reply = answer_by_schema
    model.structured_predict(City, FRANCE, country="France")
    model.structured_predict(Town, FRANCE, country="France")
    assert len(openai_server.requests) == 2


def fetch(city: str) -> str:
    """Tell the weather."""
    return f"sunny in {city}"


WEATHER = FunctionTool.from_defaults(fetch, name="weather")


def call_tool_once(body: dict[str, Any]) -> Any:
    """Call the tool once, and say what it said."""
    last = body["messages"][-1]
    if last["role"] == "tool":
        return f"It is {last['content']}."
    return [{"name": "weather", "arguments": {"city": "Paris"}}]


@pytest.mark.parametrize("way", ["predict_and_call", "apredict_and_call"])
def test_predict_and_call(model, openai_server, way):
    openai_server.reply = call_tool_once
    for _ in range(2):
        answer = getattr(model, way)([WEATHER], user_msg="how is it?")
        answer = asyncio.run(answer) if way.startswith("a") else answer
        assert answer.response == "sunny in Paris"
    assert len(openai_server.requests) == 1


@pytest.mark.parametrize("way", ["chat", "achat", "stream_chat", "astream_chat"])
def test_chat_with_tools(model, openai_server, way):
    openai_server.reply = call_tool_once

    def ask(**options: Any) -> Any:
        made = getattr(model, f"{way}_with_tools")([WEATHER], user_msg="how is it?", **options)
        if way == "achat":
            made = asyncio.run(made)
        elif way == "stream_chat":
            made = list(made)[-1]
        elif way == "astream_chat":
            made = asyncio.run(read(made))[-1]
        return model.get_tool_calls_from_response(made)[0].tool_kwargs

    assert [ask() for _ in range(2)] == [{"city": "Paris"}] * 2
    assert len(openai_server.requests) == 1
    ask(tool_required=True)
    assert openai_server.requests[-1]["tool_choice"] == "required"
    assert len(openai_server.requests) == 2


def call_tool_twice(body: dict[str, Any]) -> Any:
    """Call the tool for two cities, one after the other, and say what it said."""
    asked = max(i for i, m in enumerate(body["messages"]) if m["role"] == "user")
    told = [m["content"] for m in body["messages"][asked:] if m["role"] == "tool"]
    ids = [m["tool_call_id"] for m in body["messages"] if m["role"] == "tool"]
    called = [c["id"] for m in body["messages"] for c in m.get("tool_calls") or ()]
    assert ids == called
    assert len(set(ids)) == len(ids)
    if len(told) < 2:
        return [{"name": "weather", "arguments": {"city": ("Paris", "Rome")[len(told)]}}]
    return " and ".join(told)


def run(agent: Any, text: str = "how is it?") -> str:
    async def go() -> str:
        return str(await agent.run(text))

    return asyncio.run(go())


@pytest.mark.parametrize("streaming", [True, False])
def test_a_function_agent_runs_again_for_nothing(model, openai_server, streaming):
    openai_server.reply = call_tool_twice
    for _ in range(3):
        agent = FunctionAgent(tools=[WEATHER], llm=model, streaming=streaming)
        assert run(agent) == "sunny in Paris and sunny in Rome"
    assert len(openai_server.requests) == 3
    assert {bool(body.get("stream")) for body in openai_server.requests} == {streaming}


@pytest.mark.parametrize("streaming", [True, False])
def test_a_conversation_goes_on_from_a_hit(ops, llm, openai_server, streaming):
    openai_server.reply = call_tool_twice
    model = guard_llm(llm(), ops=ops)

    async def go() -> list[str]:
        agent = FunctionAgent(tools=[WEATHER], llm=model, streaming=streaming)
        memory = ChatMemoryBuffer.from_defaults()
        texts = ("how is it?", "and now?")
        return [str(await agent.run(text, memory=memory)) for text in texts]

    first = asyncio.run(go())
    before = len(openai_server.requests)
    assert asyncio.run(go()) == first
    assert len(openai_server.requests) == before


def answer_react(body: dict[str, Any]) -> str:
    text = json.dumps(body["messages"])
    if "Observation: sunny" in text:
        return "Thought: I can answer.\nAnswer: It is sunny."
    return 'Thought: I need a tool.\nAction: weather\nAction Input: {"city": "Paris"}'


@pytest.mark.parametrize("streaming", [True, False])
def test_a_react_agent_runs_again_for_nothing(model, openai_server, streaming):
    openai_server.reply = answer_react
    for _ in range(2):
        agent = ReActAgent(tools=[WEATHER], llm=model, streaming=streaming)
        assert run(agent) == "It is sunny."
    assert len(openai_server.requests) == 2


def test_a_workflow_of_agents_runs_again_for_nothing(model, openai_server):
    def reply(body: dict[str, Any]) -> Any:
        told = [m for m in body["messages"] if m["role"] == "tool"]
        if not told:
            return [{"name": "handoff", "arguments": {"to_agent": "guide", "reason": "he knows"}}]
        if not any("sunny" in m["content"] for m in told):
            return [{"name": "weather", "arguments": {"city": "Paris"}}]
        return "It is sunny."

    openai_server.reply = reply
    for _ in range(2):
        desk = FunctionAgent(
            name="desk", description="Asks.", tools=[], llm=model, can_handoff_to=["guide"]
        )
        guide = FunctionAgent(name="guide", description="Knows.", tools=[WEATHER], llm=model)
        flow = AgentWorkflow(agents=[desk, guide], root_agent="desk")
        assert run(flow) == "It is sunny."
    assert len(openai_server.requests) == 3


def test_llamaindexs_own_function_calling_mock(ops):
    made: list[int] = []

    def reply(messages: Any, **kwargs: Any) -> ChatMessage:
        made.append(1)
        return ChatMessage(role=MessageRole.ASSISTANT, content=messages[-1].content)

    model = guard_llm(MockFunctionCallingLLM(response_generator=reply), ops=ops)
    for _ in range(2):
        assert model.chat([ChatMessage("hm")]).message.content == "hm"
        assert model.chat_with_tools([WEATHER], "hm").message.content == "hm"
    assert len(made) == 2


@pytest.mark.parametrize("streaming", [True, False])
def test_a_query_engine_asks_once(model, openai_server, streaming):
    Settings.llm = model
    index = SummaryIndex([TextNode(text="Paris is the capital of France.")])
    engine = index.as_query_engine(streaming=streaming)
    answers = {str(engine.query("the capital?")) for _ in range(2)}
    assert len(answers) == 1
    assert len(openai_server.requests) == 1


def test_a_query_engine_of_a_mock_model(ops):
    engine = SummaryIndex([TextNode(text="Paris.")]).as_query_engine(
        llm=guard_llm(MockLLM(max_tokens=2), ops=ops)
    )
    assert {str(engine.query("the capital?")) for _ in range(2)} == {"text text"}
    assert ops.stats().total.hits == 1


# Made anew


ASKED: dict[str, Callable[[Any, Any], str]] = {
    "agent": lambda model, _: str(asyncio.run(_run(FunctionAgent(llm=model)))),
    "workflow": lambda model, _: str(
        asyncio.run(_run(AgentWorkflow.from_tools_or_functions([], llm=model)))
    ),
    "query engine": lambda model, index: str(index.as_query_engine(llm=model).query("what?")),
    "query engine, aquery": lambda model, index: str(
        asyncio.run(index.as_query_engine(llm=model).aquery("what?"))
    ),
    "predict": lambda model, _: model.predict(FRANCE, country="France"),
}


async def _run(agent: Any) -> Any:
    return await agent.run("what?")


@pytest.mark.parametrize("way", ASKED)
def test_a_forced_refresh_reaches_what_is_built_on_a_model(ops, llm, openai_server, way):
    openai_server.reply = lambda body: f"number {len(openai_server.requests)}"
    model = guard_llm(llm(), ops=ops)
    index = SummaryIndex([TextNode(text="a text")])

    def ask() -> str:
        return ASKED[way](model, index)

    assert [ask() for _ in range(2)] == ["number 1"] * 2
    with ops.force_refresh():
        assert ask() == "number 2"
    assert [ask() for _ in range(2)] == ["number 2"] * 2
