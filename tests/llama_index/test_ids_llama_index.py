"""Ids of LlamaIndex's guarded models, by the list of all adapters."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from adapters.adapter_ids import IdConformance
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole, ToolCallBlock
from llama_index.llms.openai import OpenAI, OpenAIResponses

from llama_index.callbacks.toolops import guard_llm
from toolops_plugins import Policy, ToolOps


class TestModel(IdConformance):
    def client(self, url: str) -> Any:
        return OpenAI(model="gpt-4o-mini", api_base=url, api_key="sk-test", max_retries=0)

    def guard(self, client: Any, policy: Policy, ops: ToolOps) -> Any:
        return guard_llm(client, policy, ops=ops)

    def ask(self, model: Any, way: str) -> list[ChatResponse]:
        return self.answer(model, way, [ChatMessage(way)])

    def go_on(self, model: Any, way: str, answer: list[ChatResponse]) -> list[ChatResponse]:
        message = answer[-1].message
        results = [
            ChatMessage(
                "rain",
                role=MessageRole.TOOL,
                additional_kwargs={"tool_call_id": block.tool_call_id},
            )
            for block in message.blocks
            if isinstance(block, ToolCallBlock)
        ]
        return self.answer(model, way, [ChatMessage(way), message, *results])

    def answer(self, model: Any, way: str, messages: list[ChatMessage]) -> list[ChatResponse]:
        if way == "invoke":
            return [model.chat(messages)]
        if way == "ainvoke":
            return [asyncio.run(model.achat(messages))]
        if way == "stream":
            return list(model.stream_chat(messages))
        return asyncio.run(_read(model, messages))

    def places(self, answer: list[ChatResponse]) -> dict[str, list[str]]:
        last = answer[-1].message
        found = {"blocks": [b.tool_call_id for b in last.blocks if isinstance(b, ToolCallBlock)]}
        beside = last.additional_kwargs.get("tool_calls")
        if beside:
            found["additional_kwargs"] = [call.id for call in beside]
        # A stream may say it more than once.
        found["raw"] = list(dict.fromkeys(i for each in answer for i in self.raw_ids(each.raw)))
        return found

    def raw_ids(self, raw: Any) -> list[str]:
        choices = [getattr(each, "message", None) or each.delta for each in raw.choices]
        return [call.id for each in choices for call in each.tool_calls or ()]

    def arguments(self, answer: list[ChatResponse]) -> list[Any]:
        blocks = [b for b in answer[-1].message.blocks if isinstance(b, ToolCallBlock)]
        return [json.loads(b.tool_kwargs) for b in blocks]


async def _read(model: Any, messages: list[ChatMessage]) -> list[ChatResponse]:
    return [chunk async for chunk in await model.astream_chat(messages)]


class TestResponses(TestModel):
    def client(self, url: str) -> Any:
        return OpenAIResponses(model="gpt-4o-mini", api_base=url, api_key="sk-test", max_retries=0)

    def raw_ids(self, raw: Any) -> list[str]:
        if getattr(raw, "type", "") == "response.completed":
            raw = raw.response
        item = getattr(raw, "item", None)
        if item is not None:
            return [item.call_id]
        return [item.call_id for item in getattr(raw, "output", ()) or ()]
