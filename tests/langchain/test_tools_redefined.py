"""Tools of notebook cells that are run again."""

from __future__ import annotations

from adapters.adapter_redefinition import check_redefinition
from langchain_core.tools import tool

from langchain_toolops import wrap_tool


def test_a_cell_that_is_run_again() -> None:
    check_redefinition(
        tool,
        lambda made, ops, policy: wrap_tool(made, ops=ops, policy=policy),
        lambda wrapped, query: wrapped.invoke({"query": query}),
    )
