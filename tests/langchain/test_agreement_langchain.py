"""Results of LangChain's tools in other words, by the list of all adapters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from adapters.adapter_agreement import ToolsCompared
from langchain.agents import create_agent
from langchain_core.tools import StructuredTool
from openai_server import OpenAIServer

from langchain_toolops import ToolOpsMiddleware, wrap_tool
from toolops_plugins import Policy, ToolOps


class TestTools(ToolsCompared):
    wrap_tool = staticmethod(wrap_tool)
    ask = staticmethod(lambda wrapped, **given: wrapped.invoke(given))


def tool_with_artifact(replies: Mapping[str, Any]) -> StructuredTool:
    def search(query: str) -> Any:
        """Search."""
        return replies[query], {"found": query}

    return StructuredTool.from_function(search, response_format="content_and_artifact")


class TestToolsWithArtifacts(TestTools):
    def tool(self, replies: Mapping[str, Any]) -> StructuredTool:
        return tool_with_artifact(replies)


class TestToolsOfAgents(ToolsCompared):
    """Tools that an agent calls through the middleware, whose results are messages."""

    @pytest.fixture(autouse=True)
    def _make_chat(self, chat: Callable[..., Any], openai_server: OpenAIServer) -> None:
        self.chat = chat
        openai_server.reply = self.reply
        self.query = ""

    def reply(self, body: dict[str, Any]) -> Any:
        if body["messages"][-1]["role"] == "tool":
            return "fine"
        return [{"name": "search", "arguments": {"query": self.query}}]

    def tool(self, replies: Mapping[str, Any]) -> StructuredTool:
        return tool_with_artifact(replies)

    def wrap_tool(self, tool: StructuredTool, policy: Policy, *, ops: ToolOps) -> Any:
        ours = ToolOpsMiddleware(ops, model=None, tools=policy)
        return create_agent(self.chat(), [tool], middleware=[ours])

    def ask(self, agent: Any, *, query: str) -> None:
        self.query = query
        agent.invoke({"messages": [("user", "search")]})
