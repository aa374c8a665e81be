"""LlamaIndex's tools behind a semantic cache of which any part raises, by the adapters' list."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from adapters.adapter_semantic_failures import Face, SemanticFailures
from llama_index.core.tools import FunctionTool

from llama_index.callbacks.toolops import wrap_tool
from toolops_plugins import Policy, ToolOps


class TestTool(SemanticFailures):
    faces: ClassVar[Mapping[str, Face]] = {
        "call": lambda tool, text: (tool.call(question=text).content, None),
        "acall": lambda tool, text: (asyncio.run(tool.acall(question=text)).content, None),
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

        return wrap_tool(FunctionTool.from_defaults(search, async_fn=asearch), policy, ops=ops)

    def count_runs(self, server: Any) -> int:
        return len(self.runs)
