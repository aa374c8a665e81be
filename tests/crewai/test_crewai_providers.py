"""CrewAI's client of OpenAI behind servers of other providers' shapes."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any, ClassVar

import crewai
from adapters.adapter_providers import ProviderConformance
from crew_shapes import RESULTS
from crewai.events.types.llm_events import LLMCallType
from crewai.llms.base_llm import BaseLLM, llm_call_context
from pydantic import Field
from responses_shapes import RESPONSES_PROVIDERS

from crewai_toolops import guard_llm
from toolops_plugins import Policy, ToolOps


class TestOpenAICompletion(ProviderConformance):
    @classmethod
    def client(cls, server: Any) -> Any:
        return crewai.LLM(model="gpt-4o-mini", api_key="k", base_url=server.url, max_retries=0)

    def guard(self, client: Any, ops: ToolOps, policy: Policy, **options: Any) -> Any:
        return guard_llm(client, policy, ops=ops, **options)

    def ask(self, way: str, model: Any, asked: Any, tools: Any) -> list[Any]:
        model.stream = way == "stream"
        return [model.call(asked, **_given(tools))]

    async def aask(self, way: str, model: Any, asked: Any, tools: Any) -> list[Any]:
        model.stream = way == "astream"
        return [await model.acall(asked, **_given(tools))]

    def follow_up(self, items: list[Any]) -> Any:
        calls = [c if isinstance(c, dict) else c.model_dump() for c in items[0]]
        results = [{"role": "tool", "tool_call_id": _id(c), "content": "sunny"} for c in calls]
        called = {"role": "assistant", "content": None, "tool_calls": calls}
        return [{"role": "user", "content": "hi"}, called, *results]

    counting: ClassVar[dict[str, Any]] = {}

    def tokens_of(self, model: Any, answers: list[Any]) -> int:
        return model.get_token_usage_summary().total_tokens  # which it counts itself

    def text_of(self, items: list[Any]) -> str:
        return str(items[0])

    def calls_of(self, items: list[Any]) -> list[tuple[str, Any]]:
        if isinstance(items[0], str):
            return []
        calls = [c if isinstance(c, dict) else c.model_dump() for c in items[0]]
        return [(_id(call), _arguments(call)) for call in calls]

    def reads(self, provider: Any, way: str) -> bool:
        # CrewAI passes over the text of a chunk that tells the usage.
        return "stream" not in way or provider.usage is None or provider.usage_in != "every"


class TestResponsesAPI(TestOpenAICompletion):
    """The same class at the Responses API."""

    providers = RESPONSES_PROVIDERS
    test_structured_answers = None  # these responses do not repeat the schema of their requests

    @classmethod
    def client(cls, server: Any) -> Any:
        return crewai.LLM(
            model="gpt-4o-mini",
            api_key="k",
            base_url=server.url,
            max_retries=0,
            api="responses",
        )


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
    test_structured_answers = None  # it is the framework's own client that makes these

    @classmethod
    def client(cls, server: Any) -> Any:
        return Scripted(model="scripted", script=server)

    def reads(self, provider: Any, way: str) -> bool:
        return True


def _given(tools: Any) -> dict[str, Any]:
    return {"response_model": tools} if isinstance(tools, type) else {"tools": tools or None}


def _id(call: dict[str, Any]) -> str:
    return call.get("toolUseId") or call.get("id") or ""


def _arguments(call: dict[str, Any]) -> Any:
    given = call.get("function", call).get("arguments", call.get("input"))
    return json.loads(given) if isinstance(given, str) else given
