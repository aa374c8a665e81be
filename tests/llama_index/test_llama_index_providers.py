"""LlamaIndex's client of OpenAI behind servers of other providers' shapes."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from adapters.adapter_providers import ProviderConformance
from llama_index.core.base.llms.types import ToolCallBlock
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai import OpenAI

from llama_index.callbacks.toolops import guard_llm
from toolops_plugins import Policy, ToolOps


class TestOpenAI(ProviderConformance):
    @classmethod
    def client(cls, url: str) -> OpenAI:
        return OpenAI(model="gpt-4o-mini", api_key="sk-test", api_base=url, max_retries=0)

    def guard(self, client: Any, ops: ToolOps, policy: Policy, **options: Any) -> Any:
        return guard_llm(client, policy, ops=ops, **{"usage_on_hit": "keep", **options})

    def ask(self, way: str, model: Any, text: str, tools: list[Any]) -> list[Any]:
        asked = [ChatMessage(text)]
        given = {"tools": tools} if tools else {}
        if way == "invoke":
            return [model.chat(asked, **given)]
        # What a chunk holds of a tool call grows with the chunks behind it.
        return [deepcopy(chunk) for chunk in model.stream_chat(asked, **given)]

    async def aask(self, way: str, model: Any, text: str, tools: list[Any]) -> list[Any]:
        asked = [ChatMessage(text)]
        given = {"tools": tools} if tools else {}
        if way == "ainvoke":
            return [await model.achat(asked, **given)]
        return [deepcopy(chunk) async for chunk in await model.astream_chat(asked, **given)]

    def text_of(self, items: list[Any]) -> str:
        return items[-1].message.content or ""

    def calls_of(self, items: list[Any]) -> list[tuple[str, Any]]:
        calls = [b for b in items[-1].message.blocks if isinstance(b, ToolCallBlock)]
        return [(call.tool_call_id or "", _arguments(call.tool_kwargs)) for call in calls]

    def ids_of(self, items: list[Any]) -> list[str]:
        # An id that is said again with each piece grows as the arguments do.
        return list(dict.fromkeys(id_ for item in items for id_, _ in self.calls_of([item])))

    def tokens_of(self, items: list[Any]) -> int:
        return sum(item.additional_kwargs.get("total_tokens", 0) for item in items)

    def spell(self, items: list[Any]) -> Any:
        return super().spell([_unmarked(item) for item in items])


def _arguments(given: Any) -> Any:
    try:
        return json.loads(given) if isinstance(given, str) else given
    except ValueError:  # of two calls without a number it has made one
        return given


def _unmarked(item: Any) -> Any:
    beside = {name: v for name, v in item.additional_kwargs.items() if name != "toolops"}
    return item.model_copy(update={"additional_kwargs": beside})
