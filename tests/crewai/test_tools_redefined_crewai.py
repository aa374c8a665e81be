"""Tools of notebook cells that are run again."""

from __future__ import annotations

from adapters.adapter_redefinition import check_redefinition
from crewai.tools import tool

from crewai_toolops import wrap_tool


def test_a_cell_that_is_run_again() -> None:
    check_redefinition(
        tool("search"),
        lambda made, ops, policy: wrap_tool(made, ops=ops, policy=policy),
        lambda wrapped, query: wrapped.run(query=query),
    )
