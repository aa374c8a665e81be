"""Imports: what ``import toolops_plugins`` costs a program that starts.

Measured: the import statement alone, by the clock of a fresh interpreter that has imported nothing
of it before; processes of all contestants in turn, and the median of each, since the first look at
files that the system has forgotten says nothing. ``import asyncio`` is the baseline, as almost
every program that uses this library imports it anyway.

The second table says what an adapter adds to a program that has imported its framework. The third
says where the time goes: the interpreter's own ``-X importtime``, which slows imports down, summed
by package; best of some processes.

Not measured: files that are not compiled yet, and cold disks.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections import Counter
from statistics import median

import peers
from report import OURS, Row, Section, at_most
from timing import Effort

STATEMENT = "toolops_plugins"
BASELINE = "asyncio"
CONTESTANTS = {
    BASELINE: "asyncio",
    OURS: STATEMENT,
    "redis": "redis",
    "pyresilience": "pyresilience",
    "async_lru": "async_lru",
    "aiocache": "aiocache",
    "cashews": "cashews",
    "ToolOps 1.0.0": "toolops",
}
ADAPTERS = {
    "llama_index.core": (
        100,
        ("llama_index.callbacks.toolops", "llama_index.callbacks.toolops.llms"),
    ),
    "crewai": (50, ("crewai_toolops", "crewai_toolops.tools")),
}
"""By framework the milliseconds that its adapter may add: the package, and a part of it."""
PROGRAM = """
import importlib, sys, time
sys.path.append(sys.argv[2])
try:
    for name in sys.argv[3:]:
        importlib.import_module(name)
    for name in sys.argv[1].split(","):
        began = time.perf_counter()
        importlib.import_module(name)
        print(time.perf_counter() - began)
except ImportError as error:
    print("absent:", error)
"""
LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")
SHOWN = 12


def run(effort: Effort) -> list[Section]:
    """Measure the statement, then where its time goes."""
    return [
        statements(effort.rounds(15)),
        adapters(effort.calls(7)),
        packages(effort.rounds(8)),
    ]


def interpreter(*arguments: str) -> subprocess.CompletedProcess[str]:
    # This folder holds modules of general names, which must not stand in the path.
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", "CREWAI_DISABLE_TELEMETRY": "true"},
    )


def statements(rounds: int) -> Section:
    """Measure every contestant's import statement."""
    took: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    absent: dict[str, str] = {}
    order = list(CONTESTANTS)
    draw = random.Random(1)
    for turn in range(rounds + 1):
        draw.shuffle(order)
        for name in order:
            said = interpreter("-c", PROGRAM, CONTESTANTS[name], str(peers.FOLDER)).stdout
            if said.startswith("absent:"):
                absent[name] = "not installed; `make bench` installs it"
            elif turn:  # the first one compiles, and warms the file cache
                took[name].append(float(said) * 1e3)
    rows = []
    for name in CONTESTANTS:
        if name in absent:
            rows.append(Row(name, absent=absent[name]))
            continue
        goals = [at_most(median(took[name]), 60, " ms")] if name == OURS else []
        ratio = median(took[name]) / median(took[BASELINE])
        rows.append(Row(name, (min(took[name]), median(took[name]), ratio), goals))
    return Section("Import, in a fresh interpreter", ("best ms", "median ms", "x asyncio"), rows)


def adapters(rounds: int) -> Section:
    """Measure what adapters add to their frameworks; a part, to its package."""
    rows = []
    for framework, (limit, modules) in ADAPTERS.items():
        outputs = [
            interpreter("-c", PROGRAM, ",".join(modules), str(peers.FOLDER), framework).stdout
            for _ in range(rounds + 1)
        ]
        if outputs[-1].startswith("absent:"):
            rows.append(Row(modules[0], absent=f"{framework} is not installed"))
            continue
        # The first one compiles, and warms the file cache.
        took = [[float(each) * 1e3 for each in lines.split()] for lines in outputs[1:]]
        for module, found in zip(modules, zip(*took, strict=True), strict=True):
            goal = at_most(median(found), limit, " ms")
            rows.append(Row(module, (min(found), median(found)), [goal]))
    return Section("Import of an adapter, beyond its framework", ("best ms", "median ms"), rows)


def packages(rounds: int) -> Section:
    """Measure what each package adds to the import of ours."""
    runs = [by_package() for _ in range(rounds)]
    best = min(runs, key=Counter.total)
    base = by_package("asyncio")
    rows = [
        Row(name, (micros / 1e3, "yes" if name in base else "no"))
        for name, micros in best.most_common(SHOWN)
    ]
    rows.append(Row("all together", (best.total() / 1e3, None)))
    return Section(f"What import {STATEMENT} loads", ("self ms", "asyncio loads it too"), rows)


def by_package(module: str = STATEMENT) -> Counter[str]:
    """Return the microseconds by package of what an import loads beyond an empty program."""
    loaded: Counter[str] = Counter()
    for micros, name in lines(f"import {module}"):
        loaded[name] = micros
    for _, name in lines(""):
        del loaded[name]
    summed: Counter[str] = Counter()
    for name, micros in loaded.items():
        summed[name.partition(".")[0]] += micros
    return summed


def lines(program: str) -> list[tuple[int, str]]:
    told = interpreter("-X", "importtime", "-c", program).stderr
    return [(int(micros), name) for micros, name in LINE.findall(told)]
