"""Results of the types that the function of a LlamaIndex tool declares are kept."""

from __future__ import annotations

from dataclasses import dataclass

import pydantic
from llama_index.core.tools import FunctionTool

from llama_index.callbacks.toolops import guard_tool
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


def test_a_declared_result_is_kept() -> None:
    ops = ToolOps()
    runs.clear()
    wrapped = guard_tool(FunctionTool.from_defaults(fetch), KEPT, ops=ops)
    assert [wrapped(query="a").raw_output for _ in range(3)] == [[Row(Page())]] * 3
    assert runs == ["a"]
    ops.close()
