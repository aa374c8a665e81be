"""The functions that wrap tools of LangChain, by the conformance list of all adapters."""

from __future__ import annotations

import pytest
from adapters.adapter_values import KEPT, ValuesConformance
from adapters.adapter_wrapping import WrappingConformance
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool

from langchain_toolops import wrap_tool, wrap_tools
from toolops_plugins import ToolOps


class TestWrapping(WrappingConformance):
    wrap_tool = staticmethod(wrap_tool)
    wrap_tools = staticmethod(wrap_tools)
    tool = staticmethod(tool)
    ask = staticmethod(lambda wrapped, **given: wrapped.invoke(given))


class TestValues(ValuesConformance):
    wrap_tool = staticmethod(wrap_tool)
    ask = staticmethod(lambda wrapped, **given: wrapped.invoke(given))


def with_artifact(function):
    @tool(response_format="content_and_artifact")
    def search(query: str):
        """Search."""
        return "found", function(query)

    return search


class TestArtifacts(ValuesConformance):
    wrap_tool = staticmethod(wrap_tool)
    tool = staticmethod(with_artifact)

    @staticmethod
    def ask(wrapped, **given):
        message = wrapped.invoke({"type": "tool_call", "name": "t", "args": given, "id": "c1"})
        assert (message.content, message.tool_call_id) == ("found", "c1")
        return message.artifact


@pytest.mark.parametrize("artifact", [{}, [], "", None, 0, {"a": ()}])
def test_a_message_in_an_artifact_comes_back_whole(artifact):
    message = ToolMessage("x", tool_call_id="c", name="", artifact=artifact)
    with ToolOps() as ops:
        wrapped = wrap_tool(with_artifact(lambda query: [message]), KEPT, ops=ops)
        for _ in range(2):
            (found,) = TestArtifacts.ask(wrapped, query="x")
            assert (type(found), found, found.name) == (ToolMessage, message, "")
            assert type(found.artifact) is type(artifact)
        assert ops.stats().total.hits == 1
