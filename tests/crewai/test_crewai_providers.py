"""CrewAI's client of OpenAI behind servers of other providers' shapes."""

from __future__ import annotations

import json
from typing import Any

import crewai
from adapters.adapter_providers import ProviderConformance

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
        results = [{"role": "tool", "tool_call_id": c["id"], "content": "sunny"} for c in calls]
        called = {"role": "assistant", "content": None, "tool_calls": calls}
        return [{"role": "user", "content": "hi"}, called, *results]

    def text_of(self, items: list[Any]) -> str:
        return str(items[0])

    def calls_of(self, items: list[Any]) -> list[tuple[str, Any]]:
        if isinstance(items[0], str):
            return []
        calls = [c if isinstance(c, dict) else c.model_dump() for c in items[0]]
        return [(call["id"] or "", json.loads(call["function"]["arguments"])) for call in calls]
