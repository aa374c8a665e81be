"""Ends of answers of CrewAI's models, by the conformance list of all adapters."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import crewai
from adapters.adapter_endings import EndingConformance
from openai_server import OpenAIServer

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
