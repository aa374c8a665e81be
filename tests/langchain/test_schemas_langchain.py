"""Structured output of LangChain's models, by the conformance list of all adapters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import pytest
from adapters.adapter_schemas import RIGHT, City, SchemaConformance, structured
from callers import Latch, start
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, field_validator
from servers import wait_for

from langchain_toolops import ToolOpsCache, ToolOpsMiddleware, guard_llm
from toolops_plugins import Policy, ToolOps

# LangChain's own, of an object of a class where the client's package foresees none.
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")

QUESTION = "Tell me of Ulm, as JSON."
APIS: dict[str, dict[str, Any]] = {
    "chat": {},
    "chat streaming": {"streaming": True},
    "responses": {"use_responses_api": True},
    "responses streaming": {"use_responses_api": True, "streaming": True},
}


def invoke(runnable: Any) -> Any:
    return runnable.invoke(QUESTION)


def batch(runnable: Any) -> Any:
    return runnable.batch([QUESTION])[0]


def stream(runnable: Any) -> Any:
    return list(runnable.stream(QUESTION))[-1]


def ainvoke(runnable: Any) -> Any:
    return asyncio.run(runnable.ainvoke(QUESTION))


def astream(runnable: Any) -> Any:
    async def read() -> Any:
        return [chunk async for chunk in runnable.astream(QUESTION)][-1]

    return asyncio.run(read())


def model_of(url: str, **options: Any) -> ChatOpenAI:
    return ChatOpenAI(model="gpt-test", api_key="sk-test", base_url=url, max_retries=0, **options)


def make_ways() -> dict[str, Any]:
    """Return each API, method and way to ask; and the rest once."""
    made: dict[str, Any] = {}

    def make(api: str, method: str, how: Any, url: str, ops: ToolOps, kind: Any) -> Any:
        model = guard_llm(model_of(url, **APIS[api]), ops=ops)
        return partial(how, model.with_structured_output(kind, method=method))

    for api, method, how in (
        ("chat", "json_schema", invoke),
        ("chat", "json_schema", stream),
        ("chat", "json_schema", astream),
        ("chat", "function_calling", stream),
        ("chat", "function_calling", ainvoke),
        ("chat", "json_mode", batch),
        ("chat", "json_mode", astream),
        ("chat streaming", "json_schema", batch),
        ("chat streaming", "function_calling", invoke),
        ("responses", "json_schema", ainvoke),
        ("responses", "json_schema", stream),
        ("responses", "function_calling", astream),
        ("responses", "json_mode", invoke),
        ("responses streaming", "json_schema", invoke),
    ):
        made[f"{api}, {method}, {how.__name__}"] = partial(make, api, method, how)

    def make_raw(how: Any, url: str, ops: ToolOps, kind: Any) -> Any:
        model = guard_llm(model_of(url), ops=ops)
        chain = model.with_structured_output(kind, method="json_schema", include_raw=True)
        return lambda: how(chain)["parsed"]

    made["include_raw"] = partial(make_raw, invoke)

    def make_agent(strategy: Any, how: Any, url: str, ops: ToolOps, kind: Any) -> Any:
        middleware = ToolOpsMiddleware(ops, model=Policy(cache=ToolOpsMiddleware.MODEL.cache))
        agent = create_agent(
            model_of(url), tools=[], middleware=[middleware], response_format=strategy(kind)
        )

        def ask() -> Any:
            state = {"messages": [("user", QUESTION)]}
            return (agent.invoke(state) if how is invoke else asyncio.run(agent.ainvoke(state)))[
                "structured_response"
            ]

        return ask

    strategies = (ProviderStrategy, partial(ToolStrategy, handle_errors=False))
    for strategy, how in zip(strategies, (invoke, ainvoke), strict=True):
        name = getattr(strategy, "__name__", "ToolStrategy")
        made[f"agent, {name}, {how.__name__}"] = partial(make_agent, strategy, how)
    return made


class TestStructuredOutput(SchemaConformance):
    ways: ClassVar[dict[str, Callable[..., Any]]] = make_ways()


@pytest.fixture
def ops():
    with ToolOps() as ops:
        yield ops


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("how", [invoke, stream, astream])
def test_a_raw_message_holds_an_instance_of_the_live_class(openai_server, ops, api, how):
    openai_server.reply = lambda body: structured(body, RIGHT)
    model = guard_llm(model_of(openai_server.url, **APIS[api]), ops=ops)
    bound = model.bind(response_format=City)
    first, second = (how(bound).additional_kwargs.get("parsed") for _ in range(2))
    assert len(openai_server.requests) == 1
    assert type(first) is type(second)
    if how is not stream and how is not astream:  # of which the last chunk may hold nothing
        assert second == City(**RIGHT)


def test_a_class_whose_validators_do_not_take_what_they_made_is_streamed_from_the_cache(
    openai_server, ops
):
    class Measured(BaseModel):
        """A size in a text."""

        size: int

        @field_validator("size", mode="before")
        @classmethod
        def read(cls, size: str) -> int:
            return int(size.removesuffix(" km"))

    openai_server.reply = lambda body: '{"size": "3 km"}'
    model = guard_llm(model_of(openai_server.url), ops=ops)
    chain = model.with_structured_output(Measured, method="json_schema")
    for _ in range(2):
        assert list(chain.stream(QUESTION)) == [Measured(size="3 km")]
    assert len(openai_server.requests) == 1


@pytest.mark.parametrize("how", [invoke, stream, ainvoke, astream])
def test_a_class_that_takes_the_stored_answer_no_more_is_asked_anew(openai_server, ops, how):
    allowed = {"Ulm"}

    class Strict(BaseModel):
        """A city."""

        name: str

        @field_validator("name")
        @classmethod
        def check(cls, name: str) -> str:
            if name not in allowed:
                raise ValueError(name)
            return name

    openai_server.reply = lambda body: '{"name": "Ulm"}'
    model = guard_llm(model_of(openai_server.url), ops=ops)
    chain = model.with_structured_output(Strict, method="json_schema")
    assert how(chain) == Strict(name="Ulm")
    allowed.clear()
    allowed.add("Bonn")
    openai_server.reply = lambda body: '{"name": "Bonn"}'
    assert how(chain) == Strict(name="Bonn")


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@pytest.mark.parametrize("how", [invoke, stream, ainvoke, astream])
def test_a_tool_call_that_misses_its_tools_schema_is_not_stored(openai_server, ops, how):
    calls: list[Any] = [{"a": 1}]
    openai_server.reply = lambda body: [{"name": "add", "arguments": calls[-1]}]
    model = guard_llm(model_of(openai_server.url), ops=ops).bind_tools([add])
    for arguments in ({"a": 1}, {"a": 1, "b": "large"}, {"a": 1, "b": "2"}, {}):
        calls.append(arguments)
        how(model)
    assert len(openai_server.requests) == 3  # the fourth hits what a number in a text has left


@pytest.mark.parametrize("how", [invoke, ainvoke])
def test_an_agents_tool_call_that_misses_its_tools_schema_is_not_stored(openai_server, ops, how):
    replies: list[Any] = []
    openai_server.reply = lambda body: replies.pop(0)
    agent = create_agent(
        model_of(openai_server.url), tools=[add], middleware=[ToolOpsMiddleware(ops)]
    )
    state = {"messages": [("user", QUESTION)]}
    for arguments in ({"a": 1}, {"a": 1, "b": 2}):
        replies[:] = [[{"name": "add", "arguments": arguments}], "done"]
        message = (agent.invoke(state) if how is invoke else asyncio.run(agent.ainvoke(state)))[
            "messages"
        ][1]
        assert message.tool_calls[0]["args"] == arguments
        assert not replies


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_the_cache_of_a_model_keeps_no_answer_that_misses_its_schema(openai_server, ops, method):
    cache = ToolOpsCache(ops, schema_version="1")
    model = model_of(openai_server.url, cache=cache)
    chain = model.with_structured_output(City.model_json_schema(), method=method)
    for data in ({"name": "Ulm"}, RIGHT, {}):
        openai_server.reply = lambda body, data=data: structured(body, data)
        answer = chain.invoke(QUESTION)
    assert answer == RIGHT
    assert len(openai_server.requests) == 2


def test_callers_who_wait_for_an_answer_that_misses_its_schema_get_it(openai_server, ops):
    openai_server.gate = gate = Latch()
    openai_server.reply = lambda body: '{"name": "Ulm"}'
    events: list[Any] = []
    ops.add_sink(events.append)
    model = guard_llm(model_of(openai_server.url), ops=ops)
    chain = model.bind(response_format=City.model_json_schema())
    answers = [start(how, chain) for how in (invoke, invoke, stream, stream)]
    wait_for(lambda: len(openai_server.requests) == 2, "two requests", 20.0)
    gate.open()
    for answer in answers[:2]:
        assert answer.result(20.0).text == '{"name": "Ulm"}'
    for answer in answers[2:]:
        answer.result(20.0)
    assert "not_encodable" not in {getattr(event, "kind", None) for event in events}
