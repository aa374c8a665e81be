"""Ids of LangChain's guarded models, by the list of all adapters."""

from __future__ import annotations

import asyncio
import re
from typing import Any, ClassVar

import pytest
from adapters.adapter_ids import IdConformance
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai_server import OpenAIServer

from langchain_toolops import ToolOpsCache, ToolOpsMiddleware, guard_llm
from toolops_plugins import Policy, ToolOps


@tool
def get_weather(id: str) -> str:  # noqa: A002 - in it an id is the tool's own
    """Return the weather."""
    return "rain"


def _client(url: str, **options: Any) -> ChatOpenAI:
    return ChatOpenAI(model="test", base_url=url, api_key="sk-test", max_retries=0, **options)


class TestModel(IdConformance):
    def client(self, url: str) -> Any:
        return _client(url)

    def guard(self, client: Any, policy: Policy, ops: ToolOps) -> Any:
        return guard_llm(client, policy, ops=ops).bind_tools([get_weather])

    def ask(self, model: Any, way: str) -> Any:
        return self.answer(model, way, [HumanMessage(way)])

    def go_on(self, model: Any, way: str, answer: Any) -> Any:
        results = [ToolMessage("rain", tool_call_id=call["id"]) for call in answer.tool_calls]
        return self.answer(model, way, [HumanMessage(way), answer, *results])

    def answer(self, model: Any, way: str, messages: list[Any]) -> Any:
        if way == "invoke":
            return model.invoke(messages)
        if way == "ainvoke":
            return asyncio.run(model.ainvoke(messages))
        if way == "stream":
            return _merge(list(model.stream(messages)))
        return asyncio.run(_read(model, messages))

    def places(self, answer: Any) -> dict[str, list[str]]:
        found = {"tool_calls": [call["id"] for call in answer.tool_calls]}
        if isinstance(answer, AIMessageChunk):
            found["chunks"] = [call["id"] for call in answer.tool_call_chunks]
        beside = answer.additional_kwargs.get("tool_calls")
        if beside:
            found["additional_kwargs"] = [call["id"] for call in beside]
        items = answer.additional_kwargs.get("__openai_function_call_ids__")
        if items:
            found["items"] = list(items)
        if isinstance(answer.content, list) and not items:
            calls = [b for b in answer.content if b["type"] in ("function_call", "tool_call")]
            found["content"] = [b.get("call_id") or b["id"] for b in calls]
        return found

    def arguments(self, answer: Any) -> list[Any]:
        return [call["args"] for call in answer.tool_calls]


async def _read(model: Any, messages: list[Any]) -> AIMessageChunk:
    return _merge([chunk async for chunk in model.astream(messages)])


def _merge(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    return sum(chunks[1:], chunks[0])


class TestResponses(TestModel):
    def client(self, url: str) -> Any:
        return _client(url, use_responses_api=True, output_version="responses/v1")


class TestResponsesOfVersion0(TestModel):
    def client(self, url: str) -> Any:
        return _client(url, use_responses_api=True, output_version="v0")


class TestResponsesOfVersion1(TestModel):
    def client(self, url: str) -> Any:
        return _client(url, use_responses_api=True, output_version="v1")


class TestCache(TestModel):
    ways: ClassVar[tuple[str, ...]] = ("invoke", "ainvoke")

    def guard(self, client: Any, policy: Policy, ops: ToolOps) -> Any:
        cached = client.model_copy(update={"cache": ToolOpsCache(ops, policy=policy)})
        return cached.bind_tools([get_weather])


class TestAgent(TestModel):
    ways: ClassVar[tuple[str, ...]] = ("invoke", "ainvoke")

    def guard(self, client: Any, policy: Policy, ops: ToolOps) -> Any:
        guard = ToolOpsMiddleware(ops, model=policy)
        return create_agent(client, [get_weather], middleware=[guard], interrupt_before=["tools"])

    def answer(self, model: Any, way: str, messages: list[Any]) -> Any:
        given = {"messages": messages}
        found = model.invoke(given) if way == "invoke" else asyncio.run(model.ainvoke(given))
        answer = found["messages"][-1]
        assert isinstance(answer, AIMessage)
        return answer


@pytest.mark.parametrize("way", ["invoke", "stream"])
@pytest.mark.parametrize("version", ["v0", "responses/v1", "v1"])
@pytest.mark.parametrize("reasons", [False, True])
def test_the_id_of_an_item_goes_with_its_call_unless_reasoning_names_it(way, version, reasons):
    old = "fc_67ccf18f64008190a39b619f4c8455ef"
    thought = {"type": "reasoning", "id": "rs_1", "summary": []}
    call = {"name": "get_weather", "arguments": {"id": "1"}, "id": "call_Ab12Cd34", "item_id": old}
    with OpenAIServer() as server, ToolOps() as ops:
        server.reply = lambda body: {"output": [thought] * reasons, "tool_calls": [call]}
        client = _client(server.url, use_responses_api=True, output_version=version)
        model = guard_llm(client, ops=ops)
        test = TestModel()
        first, hit = (test.ask(model, way) for _ in range(2))
        server.reply = lambda body: "fine"
        for answer in (first, hit):
            test.go_on(model, way, answer)
        test.go_on(client, way, hit)  # what would be sent
        assert len(server.requests) == 3
        (sent,) = [i for i in server.requests[2]["input"] if i.get("type") == "function_call"]
        assert sent["call_id"] == hit.tool_calls[0]["id"] != "call_Ab12Cd34"
        assert re.fullmatch("fc_[0-9a-f]{32}", sent["id"])
        assert (sent["id"] == old) is reasons
