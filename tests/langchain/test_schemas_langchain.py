"""Structured output of LangChain's models, by the conformance list of all adapters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import pytest
from adapters.adapter_schemas import SchemaConformance
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_openai import ChatOpenAI

from langchain_toolops import ToolOpsMiddleware, guard_llm
from toolops_plugins import Policy, ToolOps

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


# LangChain's own, of an object of a class where the client's package foresees none.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
class TestStructuredOutput(SchemaConformance):
    ways: ClassVar[dict[str, Callable[..., Any]]] = make_ways()
