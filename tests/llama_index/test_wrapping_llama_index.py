"""The functions that wrap tools of LlamaIndex, by the conformance list of all adapters."""

from __future__ import annotations

from adapters.adapter_values import ValuesConformance
from adapters.adapter_wrapping import WrappingConformance
from llama_index.core.tools import FunctionTool

from llama_index.callbacks.toolops import wrap_tool, wrap_tools


class TestWrapping(WrappingConformance):
    wrap_tool = staticmethod(wrap_tool)
    wrap_tools = staticmethod(wrap_tools)
    tool = staticmethod(FunctionTool.from_defaults)
    ask = staticmethod(lambda wrapped, **given: wrapped.call(**given).raw_output)


class TestValues(ValuesConformance):
    wrap_tool = staticmethod(wrap_tool)
    ask = staticmethod(lambda wrapped, **given: wrapped.call(**given).raw_output)
