"""The `toolops` command: what its tests type, and what they look for in what it prints."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import pytest

WIDTH = 80  # of the terminal


@pytest.fixture
def terminal(monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.delenv("FORCE_COLOR", raising=False)


@pytest.fixture
def toolops(capsys) -> Callable[..., tuple[int, str, str]]:
    """The command: from its arguments to its exit code, standard output and standard error."""
    from toolops_plugins.cli.main import main  # only for those who ask for it

    def run(*args):
        code = main([str(arg) for arg in args])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def complaint(found: tuple[int, str, str]) -> tuple[int, str]:
    """Return the exit code and the one line on standard error, without the command's name."""
    code, out, err = found
    assert out == ""
    assert err.startswith("toolops: ")
    assert err.count("\n") == 1
    return code, err.removeprefix("toolops: ")


def squeezed(text: str, blanks: str = r"\s+") -> str:
    """Return a text without its layout: every run of blanks is one space."""
    return re.sub(blanks, " ", text)


def assert_shown(out: str, parts: Iterable[str], blanks: str = r"\s+") -> None:
    """All parts stand in what was printed, whatever its layout, and it fits the terminal."""
    text = squeezed(out, blanks)
    for part in parts:
        assert part in text
    assert max(map(len, out.splitlines())) <= WIDTH
