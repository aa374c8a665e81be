"""CrewAI's client of OpenAI behind servers of other providers' shapes."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import crewai
from adapters.adapter_providers import ProviderConformance
from crew_shapes import RESULTS
from crewai.events.types.llm_events import LLMCallType
from crewai.llms.base_llm import BaseLLM, llm_call_context
from pydantic import Field

from crewai_toolops import guard_llm
from toolops_plugins import Policy, ToolOps


class TestOpenAICompletion(ProviderConformance):
    @classmethod
    def client(cls, server: Any) -> Any:
        return crewai.LLM(model="gpt-4o-mini", api_key="k", base_url=server.url, max_retries=0)

    def guard(self, client: Any, ops: ToolOps, policy: Policy, **options: Any) -> Any:
        return guard_llm(client, policy, ops=ops, **options)

    def ask(self, way: str, model: Any, asked: Any, tools: list[Any]) -> list[Any]:
        model.stream = way == "stream"
        return [model.call(asked, tools=tools or None)]

    async def aask(self, way: str, model: Any, asked: Any, tools: list[Any]) -> list[Any]:
        model.stream = way == "astream"
        return [await model.acall(asked, tools=tools or None)]

    def follow_up(self, items: list[Any]) -> Any:
        calls = [c if isinstance(c, dict) else c.model_dump() for c in items[0]]
        results = [{"role": "tool", "tool_call_id": _id(c), "content": "sunny"} for c in calls]
        called = {"role": "assistant", "content": None, "tool_calls": calls}
        return [{"role": "user", "content": "hi"}, called, *results]

    def text_of(self, items: list[Any]) -> str:
        return str(items[0])

    def calls_of(self, items: list[Any]) -> list[tuple[str, Any]]:
        if isinstance(items[0], str):
            return []
        calls = [c if isinstance(c, dict) else c.model_dump() for c in items[0]]
        return [(_id(call), _arguments(call)) for call in calls]


class Scripted(BaseLLM):
    """A model of another provider, as far as its results and its events show."""

    script: Any = Field(default=None, exclude=True)

    def call(
        self,
        messages: Any,
        tools: Any = None,
        callbacks: Any = None,
        available_functions: Any = None,
        from_task: Any = None,
        from_agent: Any = None,
        response_model: Any = None,
    ) -> Any:
        with llm_call_context():
            self._emit_call_started_event(messages, tools)
            answer = self.script.take()
            result = deepcopy(answer.result)
            kind = LLMCallType.LLM_CALL
            if self._effective_stream():
                self._emit_stream_chunk_event("so", call_type=kind)
            self._emit_call_completed_event(
                result, kind, usage=dict(answer.usage), finish_reason=answer.end
            )
            return result

    async def acall(self, messages: Any, tools: Any = None, **more: Any) -> Any:
        return self.call(messages, tools)


class TestResults(TestOpenAICompletion):
    """Results in the shapes of CrewAI's other models."""

    providers = RESULTS
    has_server = False

    @classmethod
    def client(cls, server: Any) -> Any:
        return Scripted(model="scripted", script=server)


def _id(call: dict[str, Any]) -> str:
    return call.get("toolUseId") or call.get("id") or ""


def _arguments(call: dict[str, Any]) -> Any:
    given = call["function"]["arguments"] if "function" in call else call["input"]
    return json.loads(given) if isinstance(given, str) else given
