"""Answers that CrewAI's models get from a cache, by the list of all adapters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import crewai
from adapters.adapter_served import Face, ServedConformance
from openai_server import OpenAIServer

from crewai_toolops import MODEL_POLICY, aforget_answer, forget_answer, guard_llm
from toolops_plugins import Policy, ToolOps


class TestModel(ServedConformance):
    faces: ClassVar[Mapping[str, Face]] = {
        "call": lambda llm, text: (llm.call(text), None),
        "acall": lambda llm, text: (asyncio.run(llm.acall(text)), None),
    }
    streams = False

    def guarded(self, server: OpenAIServer, ops: ToolOps, policy: Policy = MODEL_POLICY) -> Any:
        model = crewai.LLM(
            model="gpt-4o-mini",
            api_key="sk-test",
            max_retries=0,
            base_url=server.url,
            stream=self.streams,
        )
        return guard_llm(model, policy, ops=ops)

    def forget(self, guarded: Any, ops: ToolOps, text: str, *, aio: bool) -> None:
        if aio:
            asyncio.run(aforget_answer(guarded, text))
        else:
            forget_answer(guarded, text)

    @contextmanager
    def count_tokens(self, guarded: Any) -> Iterator[Callable[[], int]]:
        yield lambda: guarded.get_token_usage_summary().total_tokens


class TestStreamingModel(TestModel):
    streams = True
