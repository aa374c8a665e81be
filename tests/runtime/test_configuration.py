"""Wrong configuration and missing packages, and their error messages."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from typing import Any

import pytest
from availability import HAS_CREWAI
from commands import complaint

from toolops_plugins import Cache, ConfigurationError, Memory, Redis, SemanticCache, ToolOps
from toolops_plugins.cli.doctor import examine

URL = "redis://:hunter2@127.0.0.1:1"


_BLOCKED = """
import sys
from importlib import metadata
sys.modules.update(dict.fromkeys({packages!r}))
find = metadata.version
def version(name):
    if name in {packages!r}:
        raise metadata.PackageNotFoundError(name)
    return find(name)
metadata.version = version
"""


def run_without(*packages: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process where packages cannot be imported, nor are known as installed."""
    blocked = _BLOCKED.format(packages=packages)
    return subprocess.run(
        [sys.executable, "-c", blocked + code], capture_output=True, text=True, check=False
    )


# Packages that are not installed


def test_everything_can_be_imported_without_the_extras() -> None:
    code = "from toolops_plugins import *\nToolOps().stats(), Redis, Semantic\ntry:\n"
    code += "    SemanticCache('folder')\nexcept ImportError as error:\n    print(error)\n"
    run = run_without("numpy", "chromadb", "wordllama", "hiredis", "matplotlib", code=code)
    assert run.stderr == ""
    assert run.stdout.count("\n") == 1
    assert 'pip install "toolops-plugins[semantic]"' in run.stdout


def test_a_variable_whose_package_is_missing_is_named() -> None:
    names = ("TOOLOPS_CHROMA_PATH", "TOOLOPS_CHROMA_URL")
    code = f"""
import toolops_plugins as t
for name in {names}:
    try:
        t.ToolOps.from_env({{name: "http://x"}})
    except t.ConfigurationError as error:
        print(error)
"""
    run = run_without("numpy", code=code)
    assert run.stderr == ""
    for name, line in zip(names, run.stdout.splitlines(), strict=True):
        assert line.startswith(f"{name}: is set, but the semantic cache needs more packages: pip")


def test_the_doctor_works_without_adapters_and_extras() -> None:
    adapters = ("langchain-toolops", "llama-index-callbacks-toolops", "crewai-toolops")
    code = (
        "import sys\nfrom toolops_plugins.cli.main import main\n"
        "sys.argv = ['toolops', 'doctor']\nsys.exit(main())"
    )
    run = run_without("numpy", "chromadb", "pydantic", *adapters, code=code)
    assert run.stderr == ""
    assert run.returncode == 0
    for name in adapters:
        assert re.search(rf"-- +{name} +not installed: .*; pip install {name}\n", run.stdout)
    assert re.search(r"-- +numpy .*; pip install \"toolops-plugins\[semantic\]\"", run.stdout)


def test_the_doctor_tells_the_versions_of_adapters() -> None:
    found = {f.name: f for f in examine({}) if f.section == "adapters"}
    installed = [name for name in found if HAS_CREWAI or name != "crewai-toolops"]
    assert [found[name].verdict for name in installed] == ["ok"] * len(installed)
    assert len(found) == 3


# Tiers


def test_one_tier_needs_no_list() -> None:
    ops = ToolOps(tiers=Memory(max_items=7))

    @ops.tool(cache=Cache(ttl=60))
    def look(key: str) -> str:
        return key

    assert look("a") == look("a")
    assert ops.stats().total.hits == 1
    assert "max_items=7" in repr(ops)
    ToolOps(tiers=Redis(URL)).close()


@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_tiers_come_in_any_sequence(kind: Any) -> None:
    assert repr(ToolOps(tiers=kind([Memory(7)]))).count("Memory") == 1


def labels(*tiers: Any) -> list[str]:
    ops = ToolOps(tiers=list(tiers))
    return [tier.label for tier in ops._tiers.all]


def test_tiers_without_labels_are_named_by_their_place() -> None:
    assert labels(Redis(URL), Memory()) == ["L1", "L2"]
    assert labels(Memory(), Redis(URL), Redis(URL)) == ["L1", "L2", "L3"]
    assert labels(Memory(label="near"), Memory()) == ["near", "L2"]
    memory = Memory()
    assert labels(memory, Redis(URL)) == ["L1", "L2"]
    # What has a name keeps it, since policies may mention it.
    assert labels(Memory(label="far"), memory) == ["far", "L1"]


@pytest.mark.parametrize(
    ("tiers", "text"),
    [
        (Memory, "needs an object, not the class Memory: write Memory()"),
        ([Memory], "needs an object, not the class Memory: write Memory()"),
        ([Memory(), Redis], 'not the class Redis: write Redis("redis://localhost:6379")'),
        (URL, "must be a list of tiers, nearest first, such as [Memory()], not a str"),
        ([URL], 'such as Memory() and Redis("redis://localhost:6379"), not a str'),
        ({Memory()}, "must be a list of tiers, nearest first"),
        ({"L1": Memory()}, "must be a list of tiers, nearest first"),
        (7, "must be a list of tiers, nearest first"),
        ([None], "must hold tiers only"),
        ([[Memory()]], "must hold tiers only"),
        ([Memory(), Memory()], "holds two Memory tiers; to use both, give each a label="),
        ([Memory(label="a"), Memory(label="a")], "two tiers have one label: ['a', 'a']; give each"),
        ([Memory(label="L2"), Memory()], "two tiers have one label: ['L2', 'L2']; give each"),
    ],
)
def test_a_wrong_list_of_tiers_is_refused(tiers: Any, text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^tiers: .*{re.escape(text)}") as caught:
        ToolOps(tiers=tiers)
    assert "hunter2" not in str(caught.value)


def test_one_tier_twice() -> None:
    memory = Memory()
    with pytest.raises(ConfigurationError, match="tiers: holds Memory.* twice"):
        ToolOps(tiers=[memory, memory])


def test_a_semantic_cache_is_no_class() -> None:
    with pytest.raises(ConfigurationError, match=r"^semantic: .*write SemanticCache\(\)"):
        ToolOps(semantic=SemanticCache)  # type: ignore[arg-type]  # as it says


# The environment


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("TOOLOPS_REDIS_URI", "TOOLOPS_REDIS_URL"),
        ("TOOLOPS_REDISURL", "TOOLOPS_REDIS_URL"),
        ("TOOLOP_REDIS_URL", "TOOLOPS_REDIS_URL"),
        ("toolops_redis_url", "TOOLOPS_REDIS_URL"),
        ("TOOLOPS_NAME_SPACE", "TOOLOPS_NAMESPACE"),
        ("TOOLOPS_MEM_ITEMS", "TOOLOPS_MEMORY_ITEMS"),
        ("TOOLOPS_SECRETS", "TOOLOPS_SECRET"),
    ],
)
def test_a_misspelt_variable_is_reported_with_the_nearest_name(
    caplog: pytest.LogCaptureFixture, name: str, near: str
) -> None:
    caplog.set_level(logging.WARNING, logger="toolops_plugins")
    ops = ToolOps.from_env({name: "hunter2"})
    assert repr(ops).count("Memory") == 1
    assert caplog.messages == [f"{name} is unknown and has no effect; did you mean {near}?"]
    (found,) = [f for f in examine({name: "hunter2"}) if f.name == name]
    assert (found.verdict, f"did you mean {near}?" in found.text) == ("note", True)


def test_an_unknown_variable_is_reported_with_all_names(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="toolops_plugins")
    ToolOps.from_env({"TOOLOPS_XYZZY_99": "hunter2"})
    (line,) = caplog.messages
    assert "TOOLOPS_XYZZY_99 is unknown" in line
    assert "TOOLOPS_REDIS_TTL" in line


def test_other_variables_are_ignored(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="toolops_plugins")
    others = {"TOOLOPS_DATA": "x", "REDIS_URL": "x", "TOOLBOX_PATH": "x", "TOOL": "x", "PATH": "x"}
    ToolOps.from_env({**others, "TOOLOPS_NAMESPACE": "shop", "TOOLOPS_NOTEBOOK_ROWS": "9"})
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOOLOPS_REDIS_URL", "http://:hunter2@x"),
        ("TOOLOPS_MEMORY_ITEMS", "many"),
        ("TOOLOPS_MEMORY_ITEMS", "nan"),
        ("TOOLOPS_MEMORY_TTL", "-1"),
        ("TOOLOPS_REDIS_TTL", "0"),
        ("TOOLOPS_REDIS_LONG_TTL", "inf"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_the_variable(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name}: ") as caught:
        ToolOps.from_env({"TOOLOPS_REDIS_URL": URL, name: value})
    assert "hunter2" not in str(caught.value)


def test_a_command_that_needs_redis_tells_of_the_misspelt_variable(
    toolops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLOPS_REDIS_URI", URL)
    code, line = complaint(toolops("stats"))
    assert code == 2
    assert "TOOLOPS_REDIS_URI is unknown and has no effect; did you mean TOOLOPS_REDIS_URL?" in line
    assert "hunter2" not in line
