"""The functions that wrap tools of LangChain, by the conformance list of all adapters."""

from __future__ import annotations

from adapters.adapter_wrapping import WrappingConformance
from langchain_core.tools import tool

from langchain_toolops import wrap_tool, wrap_tools


class TestWrapping(WrappingConformance):
    wrap_tool = staticmethod(wrap_tool)
    wrap_tools = staticmethod(wrap_tools)
    tool = staticmethod(tool)
    ask = staticmethod(lambda wrapped, **given: wrapped.invoke(given))
