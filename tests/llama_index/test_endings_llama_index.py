"""Ends of answers of LlamaIndex's models, by the conformance list of all adapters."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest
from adapters.adapter_endings import EndingConformance, OwnModelConformance
from llama_index.core.llms import ChatMessage, CompletionResponse, CustomLLM, LLMMetadata
from llama_index.llms.openai import OpenAI
from openai_server import OpenAIServer
from pydantic import PrivateAttr

from llama_index.callbacks.toolops import guard_llm
from toolops_plugins import ToolOps


def messages(text: str) -> list[ChatMessage]:
    return [ChatMessage(text)]


async def read(stream: Any) -> None:
    async for _ in await stream:
        pass


class TestModel(EndingConformance):
    wholes: ClassVar[dict[str, Any]] = {
        "chat": lambda llm, text: llm.chat(messages(text)),
        "achat": lambda llm, text: asyncio.run(llm.achat(messages(text))),
    }
    streams: ClassVar[dict[str, Any]] = {
        "stream_chat": lambda llm, text: list(llm.stream_chat(messages(text))),
        "astream_chat": lambda llm, text: asyncio.run(read(llm.astream_chat(messages(text)))),
    }

    @pytest.fixture(autouse=True)
    def _make(self, llm: Any) -> None:
        self.llm = llm  # which speaks no TLS

    def make(self, server: OpenAIServer, ops: ToolOps, *, stream: bool) -> Any:
        return guard_llm(
            OpenAI(model="gpt-4o-mini", api_key="k", api_base=server.url, max_retries=0), ops=ops
        )


class TestCompletion(TestModel):
    wholes: ClassVar[dict[str, Any]] = {
        "complete": lambda llm, text: llm.complete(text),
        "acomplete": lambda llm, text: asyncio.run(llm.acomplete(text)),
    }
    streams: ClassVar[dict[str, Any]] = {
        "stream_complete": lambda llm, text: list(llm.stream_complete(text)),
        "astream_complete": lambda llm, text: asyncio.run(read(llm.astream_complete(text))),
    }
    keeps_streamed_calls: ClassVar[bool] = False  # a completion is a text


class Own(CustomLLM):
    """A model of a user's own that streams."""

    reason: str | None = None
    _calls: list[Any] = PrivateAttr()

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="own")

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        self._calls.append(prompt)
        yield CompletionResponse(text="It is ", delta="It is ")
        raw = {"finish_reason": self.reason}
        yield CompletionResponse(text="It is fine", delta="fine", raw=raw)


class TestOwnModel(OwnModelConformance):
    read = staticmethod(lambda llm: list(llm.stream_chat(messages("How is it?"))))

    def make(self, calls: list[Any], ops: ToolOps, reason: str | None) -> Any:
        model = Own(reason=reason)
        model._calls = calls
        return guard_llm(model, ops=ops)


class TestOwnCompletion(TestOwnModel):
    read = staticmethod(lambda llm: list(llm.stream_complete("How is it?")))
