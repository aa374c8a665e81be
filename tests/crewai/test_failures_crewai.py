"""CrewAI's tools behind a semantic cache of which any part raises, by the adapters' list."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from adapters.adapter_semantic_failures import Face, SemanticFailures
from crewai.tools import BaseTool

from crewai_toolops import wrap_tool
from toolops_plugins import Policy, ToolOps


class Search(BaseTool):
    name: str = "search"
    description: str = "Search."
    runs: list[str]

    def _run(self, question: str) -> str:
        self.runs.append(question)
        return question

    async def _arun(self, question: str) -> str:
        return self._run(question)


class TestTool(SemanticFailures):
    faces: ClassVar[Mapping[str, Face]] = {
        "run": lambda tool, text: (tool.run(question=text), None),
        "arun": lambda tool, text: (asyncio.run(tool.arun(question=text)), None),
    }

    @pytest.fixture(autouse=True)
    def _no_runs(self) -> None:
        self.runs: list[str] = []

    def guarded(self, server: Any, ops: ToolOps, policy: Policy) -> Any:
        tool = Search(runs=[])
        object.__setattr__(tool, "runs", self.runs)
        return wrap_tool(tool, policy, ops=ops)

    def count_runs(self, server: Any) -> int:
        return len(self.runs)
