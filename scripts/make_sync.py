"""Generate the synchronous twin of the path of a call from its coroutine functions.

``toolops_plugins/calls/aio`` is written by hand; ``toolops_plugins/calls/sync`` is this script's
output, and committed. httpcore and psycopg keep their two faces the same way.

Usage: ``python scripts/make_sync.py`` writes the twin; ``--check`` fails if it is not up to date.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "toolops_plugins/calls/aio"
TARGET = ROOT / "toolops_plugins/calls/sync"
NOTICE = "# Generated from ../aio by scripts/make_sync.py; edit that, then run `make sync`.\n"

RULES = (
    (r"(?m)^.*# async only\n", ""),
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bLoopDriver\b", "ThreadDriver"),
    (r"\bdrivers\.loop\b", "drivers.thread"),
    (r"\bcalls\.aio\b", "calls.sync"),
    (r"\baio_(attempts|parts)\b", r"sync_\1"),
    (r"\.a(get|set|open)\b", r".\1"),
    (r"\bAwaitable, ", ""),
    (r"(import .*), Awaitable\b", r"\1"),
)
"""Patterns and replacements, in order."""


def main() -> None:
    """Write the twin, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    check = parser.parse_args().check
    wanted = {path.name: synchronous(path) for path in sorted(SOURCE.glob("*.py"))}
    present = {path.name: path.read_text() for path in TARGET.glob("*.py")}
    if wanted == present:
        return
    if check:
        changed = [name for name in wanted | present if wanted.get(name) != present.get(name)]
        sys.exit(f"{TARGET.relative_to(ROOT)} is not up to date ({', '.join(changed)}): make sync")
    TARGET.mkdir(exist_ok=True)
    for name in present.keys() - wanted.keys():
        (TARGET / name).unlink()
    for name, text in wanted.items():
        (TARGET / name).write_text(text)


def synchronous(path: Path) -> str:
    """Return the synchronous twin of a module, formatted."""
    if path.name == "__init__.py":
        return f'"""The path of a call in threads, generated from ``calls.aio``."""\n\n{NOTICE}'
    text = path.read_text()
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text)
    text = without_awaitable(text)
    head, rest = text.split("from __future__", 1)
    target = str(TARGET / path.name)
    for command in (
        ["check", "--select", "I,F401", "--fix", "--quiet"],
        ["format", "--quiet"],
    ):
        done = subprocess.run(  # noqa: S603 - ruff, on our own text
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", target, "-"],
            input=f"{head}{NOTICE}from __future__{rest}",
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        head, rest = done.stdout.replace(NOTICE, "").split("from __future__", 1)
    return f"{head}{NOTICE}from __future__{rest}"


def without_awaitable(text: str) -> str:
    """Replace each ``Awaitable[T]`` by T."""
    while (start := text.find("Awaitable[")) >= 0:
        end, depth = start + len("Awaitable["), 1
        while depth:
            depth += {"[": 1, "]": -1}.get(text[end], 0)
            end += 1
        text = text[:start] + text[start + len("Awaitable[") : end - 1] + text[end:]
    return text


if __name__ == "__main__":
    main()
