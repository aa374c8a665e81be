"""Ids of CrewAI's guarded models, by the list of all adapters."""

from __future__ import annotations

import asyncio
import json
from typing import Any, ClassVar

import crewai
from adapters.adapter_ids import IdConformance

from crewai_toolops import guard_llm
from toolops_plugins import Policy, ToolOps

_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Return the weather.",
        "parameters": {"type": "object", "properties": {"id": {"type": "string"}}},
    },
}


class TestModel(IdConformance):
    ways: ClassVar[tuple[str, ...]] = ("invoke", "ainvoke")

    def client(self, url: str) -> Any:
        return crewai.LLM(model="gpt-4o-mini", base_url=url, api_key="sk-test", max_retries=0)

    def guard(self, client: Any, policy: Policy, ops: ToolOps) -> Any:
        return guard_llm(client, policy, ops=ops)

    def ask(self, model: Any, way: str) -> list[Any]:
        asked = [{"role": "user", "content": way}]
        if way == "invoke":
            return model.call(asked, tools=[_TOOL])
        return asyncio.run(model.acall(asked, tools=[_TOOL]))

    def places(self, answer: list[Any]) -> dict[str, list[str]]:
        return {"calls": [call["id"] if isinstance(call, dict) else call.id for call in answer]}

    def arguments(self, answer: list[Any]) -> list[Any]:
        return [json.loads(call.function.arguments) for call in answer]


class TestStreamingModel(TestModel):
    def client(self, url: str) -> Any:
        client = super().client(url)
        client.stream = True
        return client

    def arguments(self, answer: list[Any]) -> list[Any]:
        calls = [call["function"] if isinstance(call, dict) else call.function for call in answer]
        return [
            json.loads(call["arguments"] if isinstance(call, dict) else call.arguments)
            for call in calls
        ]
