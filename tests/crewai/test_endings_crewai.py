"""Ends of answers of CrewAI's models, by the conformance list of all adapters."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import crewai
from adapters.adapter_endings import EndingConformance, OwnModelConformance
from crewai import BaseLLM
from crewai.events.types.llm_events import LLMCallType
from crewai.llms.base_llm import llm_call_context
from openai_server import OpenAIServer
from pydantic import PrivateAttr

from crewai_toolops import guard_llm
from toolops_plugins import ToolOps


def messages(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


class TestModel(EndingConformance):
    wholes: ClassVar[dict[str, Any]] = {
        "call": lambda llm, text: llm.call(messages(text)),
        "acall": lambda llm, text: asyncio.run(llm.acall(messages(text))),
    }
    streams: ClassVar[dict[str, Any]] = {
        "streaming call": lambda llm, text: llm.call(messages(text)),
        "streaming acall": lambda llm, text: asyncio.run(llm.acall(messages(text))),
        "stream_events": lambda llm, text: list(llm.stream_events(messages(text))),
    }

    def make(self, server: OpenAIServer, ops: ToolOps, *, stream: bool) -> Any:
        llm = crewai.LLM(
            model="gpt-4o-mini",
            api_key="sk-test",
            max_retries=0,
            base_url=server.url,
            stream=stream,
        )
        return guard_llm(llm, ops=ops)


class Own(BaseLLM):
    """A model of a user's own that streams."""

    reason: str | None = None
    _calls: list[Any] = PrivateAttr()

    def call(self, messages: Any, *args: Any, **kwargs: Any) -> str:
        self._calls.append(messages)
        with llm_call_context():
            self._emit_stream_chunk_event(chunk="It is fine")
            self._emit_call_completed_event(
                response="It is fine", call_type=LLMCallType.LLM_CALL, finish_reason=self.reason
            )
        return "It is fine"


class TestOwnModel(OwnModelConformance):
    read = staticmethod(lambda llm: llm.call(messages("How is it?")))

    def make(self, calls: list[Any], ops: ToolOps, reason: str | None) -> Any:
        model = Own(model="own", reason=reason)
        model._calls = calls
        return guard_llm(model, ops=ops)
