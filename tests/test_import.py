"""`import toolops_plugins` stays light: what a part needs is imported when that part is used."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {
    "chromadb",
    "click",
    "crewai",
    "httpx",
    "langchain",
    "langchain_core",
    "langgraph",
    "llama_index",
    "numpy",
    "opentelemetry",
    "prometheus_client",
    "pydantic",
    "pydantic_settings",
    "redis",
    "rich",
    "structlog",
    "wordllama",
    "zstandard",
}

LATE = {
    "decimal",
    "fractions",
    "json",
    "orjson",
    "pathlib",
    "urllib",
    "uuid",
    "zoneinfo",
}
"""Modules that only a runtime, or a value of one of their types, needs."""


def test_import_is_light(root):
    program = (
        "import sys; before = set(sys.modules); "
        "import toolops_plugins; print(*set(sys.modules) - before)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in run.stdout.split()}
    assert "toolops_plugins" in loaded
    assert not loaded & (HEAVY | LATE)
