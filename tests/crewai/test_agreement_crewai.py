"""Results of CrewAI's tools in other words, by the list of all adapters."""

from __future__ import annotations

from adapters.adapter_agreement import ToolsCompared

from crewai_toolops import wrap_tool


class TestTools(ToolsCompared):
    wrap_tool = staticmethod(wrap_tool)
    ask = staticmethod(lambda wrapped, **given: wrapped.run(**given))
