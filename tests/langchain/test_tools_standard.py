"""LangChain's own tests for tools, on tools of every kind, wrapped and as they were."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from langchain_core.tools import BaseTool
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests
from pydantic import ValidationError
from tool_kinds import KINDS

from langchain_toolops.tools import wrap_tool
from toolops_plugins import ToolOps

CASES = list(itertools.product(KINDS, ("original", "wrapped")))


class EveryKind:
    made: BaseTool
    args: dict[str, Any]

    @pytest.fixture(autouse=True, params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
    def _made(self, request: pytest.FixtureRequest) -> None:
        kind, which = request.param
        original = kind.make([])
        self.made = original if which == "original" else wrap_tool(original, ops=ToolOps())
        self.args = kind.args
        asks = request.function.__name__
        # What the originals cannot do either.
        if not kind.sync and asks.startswith("test_invoke"):
            request.applymarker(pytest.mark.xfail(raises=NotImplementedError, strict=True))
        if kind.name == "with_call_id" and asks.endswith("no_tool_call"):
            request.applymarker(pytest.mark.xfail(raises=ValueError, strict=True))
        if kind.name.startswith("single") and asks == "test_input_schema_matches_invoke_params":
            request.applymarker(pytest.mark.xfail(raises=ValidationError, strict=True))

    @property
    def tool_constructor(self) -> BaseTool:
        return self.made

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return self.args


class TestUnit(EveryKind, ToolsUnitTests):
    pass


class TestIntegration(EveryKind, ToolsIntegrationTests):
    pass
