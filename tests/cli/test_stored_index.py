"""`toolops clear` and `toolops invalidate` on a semantic index, whoever holds it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from commands import complaint

from toolops_plugins import Memory, Redis, Semantic, SemanticCache, ToolOps

pytestmark = pytest.mark.usefixtures("terminal")

FRANCE, AGAIN = "What is the capital of France?", "what's the capital of France"
SPAIN = "What is the capital of Spain?"


@contextmanager
def running(namespace: str, place: dict[str, Any], **options: Any) -> Iterator[Any]:
    """A process with a tool that answers from its index or says that it was called."""
    with ToolOps(namespace, semantic=SemanticCache(**place, timeout=20), **options) as ops:
        calls: list[str] = []

        @ops.readonly(
            name="ask", semantic=Semantic(on="question", threshold=0.8), tags=["asked:{question}"]
        )
        def ask(question: str) -> str:
            calls.append(question)
            return f"answer to {question}"

        def is_known(question: str) -> bool:
            before = len(calls)
            ask(question)
            return len(calls) == before

        ask.is_known = is_known
        yield ask
        ops.semantic.flush()


@pytest.fixture(params=["folder", "server"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    if request.param == "folder":
        return {"path": str(tmp_path / "index")}
    return {"url": request.getfixturevalue("chroma_server").url}


def where(place: dict[str, Any], namespace: str) -> list[str]:
    option = "--chroma-path" if "path" in place else "--chroma-url"
    return [option, *place.values(), "--namespace", namespace]


@pytest.mark.parametrize("secret", ["", "secret"])
def test_stored_answers_are_deleted(toolops, monkeypatch, place, namespace, secret):
    monkeypatch.setenv("TOOLOPS_SECRET", secret)
    monkeypatch.setenv("TOOLOPS_ENCRYPT", "1" if secret else "")
    options: dict[str, Any] = {"secret": secret, "encrypt": True} if secret else {}
    with running(namespace, place, **options) as ask:
        ask(FRANCE), ask(SPAIN)
    code, out, _ = toolops("invalidate", f"asked:{FRANCE}", *where(place, namespace))
    assert (code, "1 answers of the semantic index" in out) == (0, True)
    assert "have been told" not in out  # without Redis nobody can be
    with running(namespace, place, **options) as ask:
        assert [ask.is_known(question) for question in (AGAIN, SPAIN)] == [False, True]
    code, out, _ = toolops("clear", "--yes", *where(place, namespace))
    assert (code, "Cleared: 2 answers" in out) == (0, True)
    assert toolops("invalidate", f"asked:{SPAIN}", *where(place, namespace))[0] == 1
    with running(namespace, place, **options) as ask:
        assert not ask.is_known(SPAIN)


@pytest.mark.parametrize(("secret", "given"), [("secret", ""), ("", "secret")])
def test_what_another_secret_signs_is_not_said_to_be_deleted(
    toolops, monkeypatch, place, namespace, secret, given
):
    with running(namespace, place, **({"secret": secret} if secret else {})) as ask:
        ask(FRANCE)
    monkeypatch.setenv("TOOLOPS_SECRET", given)
    code, line = complaint(toolops("clear", "--yes", *where(place, namespace)))
    assert (code, "TOOLOPS_SECRET: is" in line) == (2, True)


def test_other_namespaces_and_missing_folders_are_left_alone(toolops, tmp_path):
    place = {"path": str(tmp_path / "index")}
    assert "0 answers" in toolops("clear", "--yes", *where(place, "any"))[1]
    assert not (tmp_path / "index").exists()
    with running("one", place) as ask:
        ask(FRANCE)
    assert "0 answers" in toolops("clear", "--yes", *where(place, "two"))[1]
    with running("one", place) as ask:
        assert ask.is_known(AGAIN)


def run_command(*words: str) -> subprocess.CompletedProcess[str]:
    """Run `toolops` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "toolops_plugins.cli", *words],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_folder_that_a_running_process_holds_is_refused(tmp_path, namespace):
    place = {"path": str(tmp_path / "index")}
    with running(namespace, place) as ask:
        ask(FRANCE)
        for words in (["clear", "--yes"], ["invalidate", f"asked:{FRANCE}"]):
            found = run_command(*words, *where(place, namespace))
            assert (found.returncode, found.stdout) == (1, "")
            assert f"nothing was deleted: process {os.getpid()} holds" in found.stderr
        assert ask.is_known(AGAIN)


def test_its_process_is_told_through_redis(tmp_path, namespace, valkey):
    place = {"path": str(tmp_path / "index")}
    tiers = [Memory(), Redis(valkey.url, socket_timeout=10, connect_timeout=10)]
    with running(namespace, place, tiers=tiers) as ask:
        ask(FRANCE)
        words = ["invalidate", f"asked:{FRANCE}", "--redis-url", valkey.url]
        found = run_command(*words, *where(place, namespace))
        assert found.returncode == 0
        assert "running processes have been told" in found.stdout
        assert f"Process {os.getpid()} holds" in found.stdout
