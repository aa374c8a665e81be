"""Tools of notebook cells that are run again."""

from __future__ import annotations

from adapters.adapter_redefinition import check_redefinition
from llama_index.core.tools import FunctionTool

from llama_index.callbacks.toolops import guard_tool


def test_a_cell_that_is_run_again() -> None:
    check_redefinition(
        FunctionTool.from_defaults,
        lambda made, ops, policy: guard_tool(made, ops=ops, policy=policy),
        lambda wrapped, query: wrapped.call(query=query).content,
    )
