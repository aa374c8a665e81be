"""What the package offers, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

import langchain_toolops

NAMES = [
    "MODEL_POLICY",
    "ModelPrices",
    "TokenPrice",
    "ToolOpsCache",
    "ToolOpsCallbackHandler",
    "ToolOpsEmbeddings",
    "ToolOpsMiddleware",
    "ToolOpsNodeCache",
    "ToolOpsRateLimiter",
    "ToolOpsTool",
    "guard_model",
    "wrap_tool",
    "wrap_tools",
]


def run(script: str) -> str:
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_these_are_the_public_names():
    assert langchain_toolops.__all__ == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(langchain_toolops, name).__doc__


def test_another_name_is_refused():
    with pytest.raises(AttributeError, match="nothing"):
        langchain_toolops.nothing  # noqa: B018 - asking is what is tested


def test_importing_it_imports_neither_agents_nor_graphs_nor_chroma():
    told = run(
        """
        import sys
        import langchain_toolops
        heavy = {"langchain", "langgraph", "chromadb", "numpy", "redis"}
        print(sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
        """
    )
    assert told.strip() == "[]"


def test_without_agents_the_rest_works_and_the_way_to_them_is_told():
    told = run(
        """
        import sys
        for name in ("langchain", "langgraph"):
            sys.modules[name] = None
        from langchain_core.tools import tool
        from langchain_toolops import ToolOpsCache, wrap_tools
        from toolops_plugins import ToolOps

        @tool
        def add(a: int) -> int:
            "Add one."
            return a + 1

        (wrapped,) = wrap_tools([add], ToolOps())
        print(wrapped.invoke({"a": 1}), ToolOpsCache(ToolOps()).lookup("p", "m"))
        import langchain_toolops
        for name in ("ToolOpsMiddleware", "ToolOpsNodeCache"):
            try:
                getattr(langchain_toolops, name)
            except ImportError as error:
                print(error)
        """
    ).splitlines()
    assert told == [
        "2 None",
        'ToolOpsMiddleware needs more packages: pip install "langchain-toolops[agents]"',
        'ToolOpsNodeCache needs more packages: pip install "langchain-toolops[agents]"',
    ]
