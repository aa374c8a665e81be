"""`import toolops_plugins` stays light: what a part needs is imported when that part is used."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {
    "chromadb",
    "click",
    "crewai",
    "genai_prices",
    "httpx",
    "httpx2",
    "langchain",
    "langchain_core",
    "langgraph",
    "llama_index",
    "numpy",
    "opentelemetry",
    "prometheus_client",
    "py3langid",
    "pydantic",
    "pydantic_settings",
    "redis",
    "rich",
    "structlog",
    "wordllama",
    "zstandard",
}

LATE = {
    "asyncio",
    "decimal",
    "fractions",
    "hashlib",
    "json",
    "logging",
    "orjson",
    "pathlib",
    "urllib",
    "uuid",
    "zoneinfo",
}
"""Modules that only a runtime, trouble, or a value of one of their types needs."""

POLICIES = {
    "toolops_plugins.calls.fallback",
    "toolops_plugins.calls.semantic_keyer",
    "toolops_plugins.coalesce.streams",
    "toolops_plugins.codec.encryption",
    "toolops_plugins.resilience.breaker",
    "toolops_plugins.resilience.bulkhead",
    "toolops_plugins.resilience.hedge",
    "toolops_plugins.resilience.ratelimit",
    "toolops_plugins.telemetry.report",
    "toolops_plugins.wrapping.cache_aside",
    "toolops_plugins.wrapping.generators",
}
"""Our modules that only some programs need."""


def modules_after(root, program):
    """Return the names of the modules that a program imports itself."""
    program = f"import sys\nbefore = set(sys.modules)\n{program}\nprint(*set(sys.modules) - before)"
    return subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    ).stdout.split()


def test_import_is_light(root):
    modules = set(modules_after(root, "import toolops_plugins"))
    assert "toolops_plugins" in modules
    assert not {name.partition(".")[0] for name in modules} & (HEAVY | LATE)
    assert not modules & POLICIES


def test_a_tool_imports_one_path_of_a_call(root):
    tool = "from toolops_plugins import ToolOps\n@ToolOps().tool\n{} call(): ..."
    plain = set(modules_after(root, tool.format("def")))
    assert "toolops_plugins.calls.sync.flow" in plain
    assert not plain & {"asyncio", "toolops_plugins.calls.aio.flow"}
    coroutine = set(modules_after(root, tool.format("async def")))
    assert {"asyncio", "toolops_plugins.calls.aio.flow"} <= coroutine
    assert "toolops_plugins.calls.sync.flow" not in coroutine
