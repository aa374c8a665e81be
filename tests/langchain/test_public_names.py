"""The public names of the package, and the cost of importing it."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from langchain.agents import create_agent
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.tools import tool

import langchain_toolops
from toolops_plugins import (
    Cache,
    ConfigurationError,
    Memory,
    Policy,
    Semantic,
    SemanticCache,
    ToolOps,
)

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
    "aexplain_answer",
    "aforget_answer",
    "explain_answer",
    "forget_answer",
    "guard_llm",
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


EMBEDDER = DeterministicFakeEmbedding(size=2)
LIMIT = "60/min"


@tool
def add(a: int) -> int:
    """Add one."""
    return a + 1


@pytest.mark.parametrize("wrong", ["shop", {}, Memory()])
@pytest.mark.parametrize(
    "make",
    [
        langchain_toolops.ToolOpsCache,
        langchain_toolops.ToolOpsMiddleware,
        langchain_toolops.ToolOpsNodeCache,
        langchain_toolops.ToolOpsCallbackHandler,
        lambda ops: langchain_toolops.ToolOpsEmbeddings(EMBEDDER, ops, model="m"),
        lambda ops: langchain_toolops.ToolOpsRateLimiter(LIMIT, ops),
        lambda ops: langchain_toolops.wrap_tools([add], ops=ops),
        lambda ops: langchain_toolops.guard_llm(FakeListChatModel(responses=["a"]), ops=ops),
    ],
)
def test_what_is_no_runtime_is_refused_in_words(make, wrong):
    with pytest.raises(ConfigurationError, match="ops: must be a ToolOps or None"):
        make(wrong)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [(Cache(ttl=3), r"did you mean Policy\(cache=\.\.\.\)"), ({}, "must be a Policy, not {}")],
)
@pytest.mark.parametrize(
    "make",
    [
        lambda p: langchain_toolops.ToolOpsCache(policy=p),
        lambda p: langchain_toolops.ToolOpsMiddleware(model=p),
        lambda p: langchain_toolops.ToolOpsMiddleware(tools={"add": p}),
        lambda p: langchain_toolops.ToolOpsEmbeddings(EMBEDDER, model="m", policy=p),
        lambda p: langchain_toolops.wrap_tools([add], policy=p),
        lambda p: langchain_toolops.guard_llm(FakeListChatModel(responses=["a"]), p),
    ],
)
def test_what_is_no_policy_is_refused_in_words(make, wrong, hint):
    with pytest.raises(ConfigurationError, match=hint):
        make(wrong)


@pytest.mark.parametrize("wrong", [add, "add", 5, {"add": add}])
def test_wrap_tools_takes_several(wrong):
    with pytest.raises(ConfigurationError, match="must be several tools"):
        langchain_toolops.wrap_tools(wrong)


def test_one_text_is_no_list_of_texts():
    with pytest.raises(TypeError, match="must be a list of texts"):
        langchain_toolops.ToolOpsEmbeddings(EMBEDDER, model="m").embed_documents("abc")


def test_policies_that_no_tool_will_be_under_are_told_of_once(chat, caplog, tmp_path):
    asked = Policy(cache=Cache(), semantic=Semantic(on="question"))
    with ToolOps(semantic=SemanticCache(tmp_path)) as ops:
        policies = {"ad": Policy(), "add": asked}
        middleware = langchain_toolops.ToolOpsMiddleware(ops, tools=policies)
        agent = create_agent(chat(), [add], middleware=[middleware])
        for _ in range(2):
            agent.invoke({"messages": [("user", "hi")]})
        told = [each.getMessage() for each in caplog.records if each.name == "langchain_toolops"]
    assert told == [
        "tools= names 'ad', which is none of the agent's tools: ['add']",
        "Semantic(on='question') names none of the arguments of the tool 'add': ['a']",
    ]


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

        (wrapped,) = wrap_tools([add], ops=ToolOps())
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
