"""LangChain's client of OpenAI behind servers of other providers' shapes."""

from __future__ import annotations

from typing import Any

from adapters.adapter_providers import ProviderConformance, spell
from langchain_openai import ChatOpenAI

from langchain_toolops import guard_llm
from toolops_plugins import Policy, ToolOps


class TestChatOpenAI(ProviderConformance):
    @classmethod
    def client(cls, url: str) -> ChatOpenAI:
        return ChatOpenAI(model="m", api_key="sk-test", base_url=url, max_retries=0)

    def guard(self, client: Any, ops: ToolOps, policy: Policy, **options: Any) -> Any:
        return guard_llm(client, policy, ops=ops, **{"usage_on_hit": "keep", **options})

    def ask(self, way: str, model: Any, text: str, tools: list[Any]) -> list[Any]:
        asked = model.bind_tools(tools) if tools else model
        return [asked.invoke(text)] if way == "invoke" else list(asked.stream(text))

    async def aask(self, way: str, model: Any, text: str, tools: list[Any]) -> list[Any]:
        asked = model.bind_tools(tools) if tools else model
        if way == "ainvoke":
            return [await asked.ainvoke(text)]
        return [chunk async for chunk in asked.astream(text)]

    def text_of(self, items: list[Any]) -> str:
        return _whole(items).text

    def calls_of(self, items: list[Any]) -> list[tuple[str, Any]]:
        return [(call["id"] or "", call["args"]) for call in _whole(items).tool_calls]

    def tokens_of(self, items: list[Any]) -> int:
        return sum(item.usage_metadata["total_tokens"] for item in items if item.usage_metadata)

    def spell(self, items: list[Any]) -> Any:
        plain = []
        for item in items:
            metadata = {k: v for k, v in item.response_metadata.items() if k != "toolops"}
            id_ = "run" if (item.id or "").startswith("lc_run") else item.id
            plain.append(item.model_copy(update={"response_metadata": metadata, "id": id_}))
        return spell(plain)


def _whole(items: list[Any]) -> Any:
    return sum(items[1:], items[0])
