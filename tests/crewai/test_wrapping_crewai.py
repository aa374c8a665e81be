"""The functions that wrap tools of CrewAI, by the conformance list of all adapters."""

from __future__ import annotations

from adapters.adapter_values import ValuesConformance
from adapters.adapter_wrapping import WrappingConformance
from crewai.tools import tool

from crewai_toolops import wrap_tool, wrap_tools


class TestWrapping(WrappingConformance):
    wrap_tool = staticmethod(wrap_tool)
    wrap_tools = staticmethod(wrap_tools)
    tool = staticmethod(tool)
    ask = staticmethod(lambda wrapped, **given: wrapped.run(**given))


class TestValues(ValuesConformance):
    wrap_tool = staticmethod(wrap_tool)
    ask = staticmethod(lambda wrapped, **given: wrapped.run(**given))
