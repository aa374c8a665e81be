"""Ends of answers of LangChain's models, by the conformance list of all adapters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar

from adapters.adapter_endings import EndingConformance
from langchain.agents import create_agent
from langchain_openai import ChatOpenAI
from openai_server import OpenAIServer

from langchain_toolops import ToolOpsCache, ToolOpsMiddleware, guard_llm
from toolops_plugins import ToolOps


def chat(server: OpenAIServer, **options: Any) -> ChatOpenAI:
    return ChatOpenAI(
        model="gpt-test", api_key="sk-test", max_retries=0, base_url=server.url, **options
    )


async def read(stream: AsyncIterator[Any]) -> None:
    async for _ in stream:
        pass


class TestModel(EndingConformance):
    wholes: ClassVar[dict[str, Any]] = {
        "invoke": lambda model, text: model.invoke(text),
        "ainvoke": lambda model, text: asyncio.run(model.ainvoke(text)),
        "batch": lambda model, text: model.batch([text]),
    }
    streams: ClassVar[dict[str, Any]] = {
        "stream": lambda model, text: list(model.stream(text)),
        "astream": lambda model, text: asyncio.run(read(model.astream(text))),
        "stream of a bound model": lambda model, text: list(model.bind(seed=1).stream(text)),
        "events": lambda model, text: asyncio.run(read(model.astream_events(text))),
        "invoke": lambda model, text: model.invoke(text, stream=True),
    }

    def make(self, server: OpenAIServer, ops: ToolOps, *, stream: bool) -> Any:
        return guard_llm(chat(server), ops=ops)


class TestStreamingModel(EndingConformance):
    wholes: ClassVar[dict[str, Any]] = {}
    streams: ClassVar[dict[str, Any]] = {
        "invoke": lambda model, text: model.invoke(text),
        "ainvoke": lambda model, text: asyncio.run(model.ainvoke(text)),
    }

    def make(self, server: OpenAIServer, ops: ToolOps, *, stream: bool) -> Any:
        return guard_llm(chat(server, streaming=True), ops=ops)


class TestCachedModel(EndingConformance):
    wholes: ClassVar[dict[str, Any]] = {
        "invoke": lambda model, text: model.invoke(text),
        "ainvoke": lambda model, text: asyncio.run(model.ainvoke(text)),
    }
    streams: ClassVar[dict[str, Any]] = {
        "streaming invoke": lambda model, text: model.invoke(text),
        "streaming ainvoke": lambda model, text: asyncio.run(model.ainvoke(text)),
    }
    keeps_streamed_calls: ClassVar[bool] = False

    def make(self, server: OpenAIServer, ops: ToolOps, *, stream: bool) -> Any:
        return chat(server, streaming=stream, cache=ToolOpsCache(ops))


def ask(agent: Any, text: str) -> None:
    list(agent.stream({"messages": text}, stream_mode="messages"))


async def aask(agent: Any, text: str) -> None:
    await read(agent.astream({"messages": text}, stream_mode="messages"))


class TestAgent(EndingConformance):
    wholes: ClassVar[dict[str, Any]] = {
        "invoke": lambda agent, text: agent.invoke({"messages": text}),
        "ainvoke": lambda agent, text: asyncio.run(agent.ainvoke({"messages": text})),
    }
    streams: ClassVar[dict[str, Any]] = {
        "stream": ask,
        "astream": lambda agent, text: asyncio.run(aask(agent, text)),
    }

    def make(self, server: OpenAIServer, ops: ToolOps, *, stream: bool) -> Any:
        return create_agent(chat(server), middleware=[ToolOpsMiddleware(ops)])
