"""LangChain's tools behind a semantic cache of which any part raises, by the adapters' list."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from adapters.adapter_semantic_failures import Face, SemanticFailures
from langchain_core.tools import StructuredTool

from langchain_toolops import wrap_tool
from toolops_plugins import Policy, ToolOps


class TestTool(SemanticFailures):
    faces: ClassVar[Mapping[str, Face]] = {
        "invoke": lambda tool, text: (tool.invoke({"question": text}), None),
        "ainvoke": lambda tool, text: (asyncio.run(tool.ainvoke({"question": text})), None),
    }

    @pytest.fixture(autouse=True)
    def _no_runs(self) -> None:
        self.runs: list[str] = []

    def guarded(self, server: Any, ops: ToolOps, policy: Policy) -> Any:
        def search(question: str) -> str:
            """Search."""
            self.runs.append(question)
            return question

        async def asearch(question: str) -> str:
            return search(question)

        return wrap_tool(StructuredTool.from_function(search, asearch), policy, ops=ops)

    def count_runs(self, server: Any) -> int:
        return len(self.runs)
