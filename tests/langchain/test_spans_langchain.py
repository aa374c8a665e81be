"""OpenTelemetry's spans of LangChain's models and tools, alone and beside its instrumentation."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from exported_telemetry import id_of, parent_of
from langchain.agents import create_agent
from langchain_core.tools import tool
from opentelemetry.instrumentation.genai.langchain import LangChainInstrumentor
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.trace import SpanKind

from langchain_toolops import (
    ToolOpsCache,
    ToolOpsCallbackHandler,
    ToolOpsMiddleware,
    guard_llm,
    wrap_tool,
)
from toolops_plugins import Cache, ToolOps


@pytest.fixture
def ops(telemetry) -> Iterator[ToolOps]:
    with telemetry.ops() as ops:
        yield ops


@pytest.fixture
def llm(ops, chat):
    """A guarded model."""
    return guard_llm(chat(), ops=ops)


@pytest.fixture
def search(ops, telemetry):
    """A tool whose work is a span."""

    @tool
    def search(query: str) -> str:
        """Search for something."""
        with telemetry.tracer.start_as_current_span("GET"):
            return query

    return wrap_tool(search, ops=ops, cache=Cache(ttl=60))


@pytest.fixture
def instrumented(telemetry) -> Iterator[None]:
    """LangChain's own instrumentation is on."""
    instrumentor = LangChainInstrumentor()
    instrumentor.instrument(tracer_provider=telemetry.tracers, meter_provider=telemetry.meters)
    try:
        yield
    finally:
        instrumentor.uninstrument()


@pytest.fixture(params=["sync", "async"])
def work(request, llm, search):
    """Asks the model twice, reads a stream, and calls the tool twice."""

    def work():
        for _ in range(2):
            llm.invoke("hello")
        list(llm.stream("hello"))
        for _ in range(2):
            search.invoke({"query": "x"})

    async def awork():
        for _ in range(2):
            await llm.ainvoke("hello")
        async for _ in llm.astream("hello"):
            pass
        for _ in range(2):
            await search.ainvoke({"query": "x"})

    return work if request.param == "sync" else lambda: asyncio.run(awork())


def test_models_and_tools_have_their_spans(telemetry, work):
    with telemetry.tracer.start_as_current_span("agent") as agent:
        work()
    chats = [span for span in telemetry.spans if span.name == "chat gpt-test"]
    assert {(span.kind, parent_of(span)) for span in chats} == {(SpanKind.CLIENT, id_of(agent))}
    assert [span.attributes["toolops.outcome"] for span in chats] == ["miss", "hit", "miss"]
    assert chats[0].attributes["gen_ai.provider.name"] == "openai"
    assert chats[0].attributes["gen_ai.usage.input_tokens"] > 0
    assert "gen_ai.usage.input_tokens" not in chats[1].attributes
    assert chats[2].attributes["gen_ai.request.stream"] is True
    assert telemetry.operations() == 2  # the hit is none
    tools = [span for span in telemetry.spans if span.name == "execute_tool search"]
    assert [span.attributes["toolops.outcome"] for span in tools] == ["miss", "hit"]
    assert parent_of(telemetry.span("GET")) == id_of(tools[0])
    assert telemetry.metric("gen_ai.execute_tool.duration").count == 1


@pytest.mark.usefixtures("instrumented")
def test_the_spans_of_an_instrumented_langchain_get_our_attributes(telemetry, work):
    work()
    names = [span.name for span in telemetry.spans]
    assert names.count("chat gpt-test") == 3
    assert names.count("execute_tool search") == 2
    assert set(names) == {"chat gpt-test", "execute_tool search", "GET"}
    outcomes = [span.attributes.get("toolops.outcome") for span in telemetry.spans]
    assert [each for each in outcomes if each] == ["miss", "hit", "miss", "miss", "hit"]
    assert {span.instrumentation_scope.name for span in telemetry.spans if span.name != "GET"} == {
        "opentelemetry.instrumentation.genai.langchain"
    }
    # That LangChain's counts hits too is nothing that can be told from outside of it.
    assert telemetry.operations() == 3
    assert telemetry.metric("gen_ai.execute_tool.duration").count == 2


@pytest.fixture
def agent(ops, openai_server, chat):
    """An agent with middleware, which calls its tool once and is done."""

    @tool
    def search(query: str) -> str:
        """Search for something."""
        return query

    def reply(body):
        if body["messages"][-1]["role"] == "tool":
            return "done"
        return {"tool_calls": [{"name": "search", "arguments": {"query": "x"}}]}

    openai_server.reply = reply
    return create_agent(chat(), [search], middleware=[ToolOpsMiddleware(ops=ops)])


def test_middleware_makes_the_spans_of_models_and_tools(telemetry, agent, ask):
    for _ in range(2):
        ask(agent, "find x")
    chats = [span for span in telemetry.spans if span.name == "chat gpt-test"]
    outcomes = [span.attributes["toolops.outcome"] for span in chats]
    assert outcomes == ["miss", "miss", "hit", "hit"]
    assert telemetry.operations() == 2
    assert telemetry.metric("gen_ai.execute_tool.duration").count == 2


@pytest.mark.usefixtures("instrumented")
def test_middleware_leaves_the_measuring_to_an_instrumented_langchain(telemetry, agent, ask):
    ask(agent, "find x")
    names = [span.name for span in telemetry.spans]
    assert names.count("chat gpt-test") == names.count("toolops openai:gpt-test") == 2
    assert names.count("execute_tool search") == names.count("toolops search") == 1
    assert telemetry.operations() == 2
    assert telemetry.metric("gen_ai.execute_tool.duration").count == 1


@pytest.mark.parametrize("instruments", [False, True])
def test_a_model_behind_langchains_cache_is_measured_once(telemetry, ops, chat, instruments):
    instrumentor = OpenAIInstrumentor()
    if instruments:
        instrumentor.instrument(tracer_provider=telemetry.tracers, meter_provider=telemetry.meters)
    try:
        model = chat(cache=ToolOpsCache(ops))
        for _ in range(2):
            model.invoke("hello")
    finally:
        if instruments:
            instrumentor.uninstrument()
    assert telemetry.operations() == 1
    outcomes = [span.attributes.get("toolops.outcome") for span in telemetry.spans]
    assert [each for each in outcomes if each] == ["miss", "hit"]


def test_runs_that_the_callback_handler_reports_have_spans(telemetry, ops, chat):
    with telemetry.tracer.start_as_current_span("agent") as agent:
        chat().invoke("hello", {"callbacks": [ToolOpsCallbackHandler(ops)]})
    span = telemetry.span("chat gpt-test")
    assert parent_of(span) == id_of(agent)
    assert span.start_time >= agent.start_time
    assert span.attributes["toolops.outcome"] == "bypass"
    assert span.attributes["gen_ai.usage.input_tokens"] > 0
    assert telemetry.operations() == 1


@pytest.mark.usefixtures("instrumented")
def test_reported_runs_are_not_measured_beside_the_instrumentation(telemetry, ops, chat):
    chat().invoke("hello", {"callbacks": [ToolOpsCallbackHandler(ops)]})
    assert {span.name for span in telemetry.spans} == {"chat gpt-test", "toolops chat:gpt-test"}
    assert telemetry.operations() == 1
