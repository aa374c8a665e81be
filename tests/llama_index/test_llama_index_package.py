"""The public names of the LlamaIndex package, its errors, and what importing it loads."""

from __future__ import annotations

import subprocess
import sys
import tomllib

import pytest
from llama_index.core import MockEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.tools import FunctionTool

from llama_index.callbacks import toolops
from toolops_plugins import Cache, ConfigurationError, Memory, ToolOps

NAMES = [
    "MODEL_POLICY",
    "CacheHitEvent",
    "GuardedTool",
    "ModelPrices",
    "TokenPrice",
    "ToolOpsCallbackHandler",
    "ToolOpsEventHandler",
    "ToolOpsKVStore",
    "ToolOpsRateLimiter",
    "ToolOpsSpanHandler",
    "aexplain_answer",
    "aforget_answer",
    "explain_answer",
    "forget_answer",
    "guard_embedding",
    "guard_llm",
    "guard_tool",
    "guard_tools",
    "install",
    "uninstall",
    "wrap_tool",
    "wrap_tools",
]
TOOL = FunctionTool.from_defaults(lambda a: a, name="same", description="Return it.")


def test_these_are_the_public_names():
    assert toolops.__all__ == NAMES
    assert set(NAMES) <= set(dir(toolops))


def test_another_name_is_refused():
    with pytest.raises(AttributeError, match="nothing"):
        toolops.nothing  # noqa: B018 - asking is what is tested


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(toolops, name).__doc__


@pytest.mark.parametrize("wrong", ["shop", {}, Memory()])
@pytest.mark.parametrize(
    "make",
    [
        lambda ops: toolops.guard_llm(MockLLM(), ops=ops),
        lambda ops: toolops.guard_tool(TOOL, ops=ops),
        lambda ops: toolops.guard_tools([TOOL], ops=ops),
        lambda ops: toolops.guard_embedding(MockEmbedding(2), ops=ops),
        lambda ops: toolops.ToolOpsRateLimiter("60/min", ops),
        toolops.ToolOpsKVStore,
        toolops.ToolOpsCallbackHandler,
        toolops.ToolOpsEventHandler,
        toolops.install,
    ],
)
def test_what_is_no_runtime_is_refused_in_words(make, wrong):
    with pytest.raises(ConfigurationError, match="ops: must be a ToolOps or None"):
        make(wrong)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (Cache(ttl=3), r"did you mean Policy\(cache=\.\.\.\)"),
        ({}, "must be a Policy, not {}"),
        (ToolOps(), r"policy: .* a runtime is given by name: ops=\.\.\."),
    ],
)
@pytest.mark.parametrize(
    "make",
    [
        lambda policy: toolops.guard_llm(MockLLM(), policy),
        lambda policy: toolops.guard_tool(TOOL, policy),
        lambda policy: toolops.guard_tools([TOOL], policy),
        lambda policy: toolops.guard_embedding(MockEmbedding(2), policy),
        lambda policy: toolops.ToolOpsKVStore(policy=policy),
    ],
)
def test_what_is_no_policy_is_refused_in_words(make, wrong, hint):
    with pytest.raises(ConfigurationError, match=hint):
        make(wrong)


def test_llamahub_finds_the_package(root):
    project = tomllib.loads((root / "integrations/llama-index/pyproject.toml").read_text())
    hub = project["tool"]["llamahub"]
    assert hub["import_path"] == toolops.__name__
    assert hub["class_authors"].keys() <= set(NAMES)


def test_importing_it_after_llama_index_loads_only_what_is_light():
    program = (
        "import sys, llama_index.core; before = set(sys.modules);"
        "from llama_index.callbacks.toolops import *;"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    allowed = {"backoff", "llama_index", "orjson", "toolops_plugins", *sys.stdlib_module_names}
    assert set(done.stdout.split()) <= allowed
