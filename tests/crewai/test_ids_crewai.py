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
        return self.answer(model, way, [{"role": "user", "content": way}])

    def go_on(self, model: Any, way: str, answer: list[Any]) -> Any:
        calls = [
            {
                "id": id_,
                "type": "function",
                "function": {"name": "get_weather", "arguments": json.dumps(given)},
            }
            for id_, given in zip(self.ids(answer), self.arguments(answer), strict=True)
        ]
        results = [
            {"role": "tool", "tool_call_id": call["id"], "content": "rain"} for call in calls
        ]
        asked = {"role": "user", "content": way}
        called = {"role": "assistant", "content": None, "tool_calls": calls}
        return self.answer(model, way, [asked, called, *results])

    def answer(self, model: Any, way: str, messages: list[Any]) -> Any:
        if way == "invoke":
            return model.call(messages, tools=[_TOOL])
        return asyncio.run(model.acall(messages, tools=[_TOOL]))

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
