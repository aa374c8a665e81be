"""Ends of answers of LangChain's models, by the conformance list of all adapters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

from adapters.adapter_endings import EndingConformance, OwnModelConformance
from langchain.agents import create_agent
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from openai_server import OpenAIServer
from pydantic import PrivateAttr

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
        "invoke with stream": lambda model, text: model.invoke(text, stream=True),
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


class Own(BaseChatModel):
    """A model of a user's own that streams."""

    reason: str | None = None
    _calls: list[Any] = PrivateAttr()

    @property
    def _llm_type(self) -> str:
        return "own"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        raise NotImplementedError

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        self._calls.append(messages)
        for part in ("It ", "is ", "fine"):
            yield ChatGenerationChunk(message=AIMessageChunk(content=part))
        last = AIMessageChunk(content="", response_metadata={"finish_reason": self.reason})
        yield ChatGenerationChunk(message=last)


class TestOwnModel(OwnModelConformance):
    read = staticmethod(lambda model: list(model.stream("How is it?")))

    def make(self, calls: list[Any], ops: ToolOps, reason: str | None) -> Any:
        model = Own(reason=reason)
        model._calls = calls
        return guard_llm(model, ops=ops)


class TestAgentOfOwnModel(TestOwnModel):
    read = staticmethod(lambda agent: ask(agent, "How is it?"))

    def make(self, calls: list[Any], ops: ToolOps, reason: str | None) -> Any:
        model = Own(reason=reason)
        model._calls = calls
        return create_agent(model, middleware=[ToolOpsMiddleware(ops)])


def test_the_position_of_a_models_own_last_chunk_is_an_end():
    with ToolOps() as ops:
        model = guard_llm(FakeListChatModel(responses=["fine"]), ops=ops)
        for _ in range(2):
            assert "".join(chunk.text for chunk in model.stream("How is it?")) == "fine"
        assert ops.stats().total.hits == 1


class Wrapping(Own):
    """A model that passes on the stream of another."""

    inner: Any

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in self.inner.stream(messages):
            yield ChatGenerationChunk(message=chunk)


def test_the_position_that_langchain_adds_to_every_stream_is_no_end():
    with OpenAIServer() as server, ToolOps() as ops:
        server.reply = lambda body: {"content": "take two pills, never", "chunks": 3}
        model = guard_llm(Wrapping(inner=chat(server)), ops=ops)
        for _ in range(2):
            list(model.stream("How is it?"))
        assert len(server.requests) == 2
