"""Results of LlamaIndex's tools in other words, by the list of all adapters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.adapter_agreement import ToolsCompared
from llama_index.core.tools import AsyncBaseTool, ToolMetadata, ToolOutput
from pydantic import BaseModel

from llama_index.callbacks.toolops import wrap_tool


class TestTools(ToolsCompared):
    wrap_tool = staticmethod(wrap_tool)
    ask = staticmethod(lambda wrapped, **given: wrapped.call(**given))


class Output(AsyncBaseTool):
    """A tool that makes its own outputs, which repeat its arguments."""

    def __init__(self, replies: Mapping[str, Any]) -> None:
        self.replies = replies

    @property
    def metadata(self) -> ToolMetadata:
        return ToolMetadata("Search.", "search", fn_schema=Query)

    def call(self, query: str) -> ToolOutput:
        found = self.replies[query]
        return ToolOutput(
            tool_name="search", content=str(found), raw_input={"query": query}, raw_output=found
        )

    async def acall(self, query: str) -> ToolOutput:
        return self.call(query)


class Query(BaseModel):
    query: str


class TestToolsWithOutputs(TestTools):
    def tool(self, replies: Mapping[str, Any]) -> Output:
        return Output(replies)
