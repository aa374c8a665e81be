"""The public names of the CrewAI package, its errors, and what importing it loads."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from crewai.tools import tool

import crewai_toolops
from toolops_plugins import Cache, ConfigurationError, Memory

NAMES = [
    "MODEL_POLICY",
    "ModelPrices",
    "TokenPrice",
    "ToolOpsListener",
    "ToolOpsMixin",
    "aexplain_answer",
    "aforget_answer",
    "explain_answer",
    "forget_answer",
    "guard_llm",
    "install",
    "uninstall",
    "wrap_tool",
    "wrap_tools",
]


@tool
def same(text: str) -> str:
    """Return it."""
    return text


def test_these_are_the_public_names():
    assert crewai_toolops.__all__ == NAMES
    assert set(NAMES) <= set(dir(crewai_toolops))


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(crewai_toolops, name).__doc__


def test_another_name_is_refused():
    with pytest.raises(AttributeError, match="nothing"):
        crewai_toolops.nothing  # noqa: B018 - asking is what is tested


@pytest.mark.parametrize("wrong", ["shop", {}, Memory()])
def test_what_is_no_runtime_is_refused_in_words(llm, wrong):
    for make in (
        lambda: crewai_toolops.wrap_tool(same, ops=wrong),
        lambda: crewai_toolops.wrap_tools([same], ops=wrong),
        lambda: crewai_toolops.guard_llm(llm(), ops=wrong),
        lambda: crewai_toolops.ToolOpsListener(wrong),
        lambda: crewai_toolops.install(wrong),
    ):
        with pytest.raises(ConfigurationError, match="ops: must be a ToolOps or None"):
            make()


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [(Cache(ttl=3), r"did you mean Policy\(cache=\.\.\.\)"), ({}, "must be a Policy, not {}")],
)
def test_what_is_no_policy_is_refused_in_words(llm, wrong, hint):
    for make in (
        lambda: crewai_toolops.wrap_tool(same, wrong),
        lambda: crewai_toolops.wrap_tools([same], wrong),
        lambda: crewai_toolops.guard_llm(llm(), wrong),
    ):
        with pytest.raises(ConfigurationError, match=hint):
            make()


LOADED = "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"


def packages(program, **environment):
    """Return the packages that a fresh interpreter names."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    return set(done.stdout.split())


def test_importing_it_after_crewai_loads_only_what_is_light():
    program = (
        f"import sys, crewai; before = set(sys.modules); from crewai_toolops import *; {LOADED}"
    )
    allowed = {"backoff", "crewai", "crewai_toolops", "orjson", "toolops_plugins"}
    assert packages(program) <= allowed | set(sys.stdlib_module_names)


def test_neither_the_core_nor_the_other_adapters_import_crewai():
    program = (
        "import sys; before = set(sys.modules); import toolops_plugins;"
        "from langchain_toolops import *; from llama_index.callbacks.toolops import *;" + LOADED
    )
    loaded = packages(program)
    assert {"langchain_toolops", "llama_index", "toolops_plugins"} <= loaded
    assert not {"crewai", "crewai_toolops"} & loaded


def test_the_bare_redis_url_is_never_read():
    program = (
        "import os; from toolops_plugins import ToolOps, get_default; import crewai_toolops\n"
        "print(*[f'bare:{type(tier).__name__}' for tier in get_default()._tiers.all])\n"
        # So that it could be seen if it were read.
        "os.environ['TOOLOPS_REDIS_URL'] = os.environ['REDIS_URL']\n"
        "print(*[type(tier).__name__ for tier in ToolOps.from_env()._tiers.all])"
    )
    found = packages(program, REDIS_URL="redis://127.0.0.1:1")
    assert found == {"bare:Memory", "Memory", "Redis"}
