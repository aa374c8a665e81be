"""Results of the types that the function of a LangChain tool declares are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pydantic
import pytest
from langchain_core.tools import BaseTool, StructuredTool

from langchain_toolops import wrap_tool
from toolops_plugins import Cache, Policy, ToolOps

KEPT = Policy(cache=Cache(ttl=60))


class Page(pydantic.BaseModel):
    number: int = 1


@dataclass
class Row:
    page: Page


runs: list[str] = []


def fetch(query: str) -> list[Row]:
    """Fetch rows."""
    runs.append(query)
    return [Row(Page())]


class Fetch(BaseTool):
    name: str = "fetch"
    description: str = "Fetch."

    def _run(self, query: str) -> list[Row]:
        return fetch(query)


@pytest.mark.parametrize("make", [lambda: StructuredTool.from_function(fetch), Fetch])
def test_a_declared_result_is_kept(make: Any) -> None:
    ops = ToolOps()
    runs.clear()
    wrapped = wrap_tool(make(), ops=ops, policy=KEPT)
    assert [wrapped.invoke({"query": "a"}) for _ in range(3)] == [[Row(Page())]] * 3
    assert runs == ["a"]
    ops.close()
