"""Imports: the time of ``import toolops_plugins`` in a program that starts.

Measured: the import statement alone, by the processor's time in a fresh interpreter that has
imported no part of it. Processes of all contestants take turns; the figure is the best, and the
first process of each does not count. The baseline is ``import asyncio``, which almost every program
that uses this library imports anyway.

The second table shows the time that an adapter adds to a program that has imported its framework.
The third shows the time by package, by the interpreter's ``-X importtime``, which slows imports
down; the best of some processes. A quick run leaves both out, and most peers.

Not measured: files that are not compiled yet, and cold disks.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from statistics import median

import peers
from report import OURS, Line, Row, Section, at_most
from timing import Effort

STATEMENT = "toolops_plugins"
BASELINE = "asyncio"
CONTESTANTS = {
    BASELINE: "asyncio",
    OURS: STATEMENT,
    "redis": "redis",
    "nopanic": "nopanic",
    "pyresilience": "pyresilience",
    "async_lru": "async_lru",
    "cachekit": "cachekit",
    "aiocache": "aiocache",
    "cashews": "cashews",
    "ToolOps 1.0.0": "toolops",
}
QUICK = (BASELINE, OURS, "nopanic", "pyresilience")
LIMITS = {BASELINE: 1.2}
"""The most that our import may take, as a ratio to the baseline."""
ADAPTERS = {
    "llama_index.core": (
        100,
        ("llama_index.callbacks.toolops", "llama_index.callbacks.toolops.llms"),
    ),
    "crewai": (50, ("crewai_toolops", "crewai_toolops.tools")),
}
"""For each framework the most milliseconds its adapter may add, and the adapter's modules."""
PROGRAM = """
import importlib, sys, time
sys.path.append(sys.argv[2])
try:
    for name in sys.argv[3:]:
        importlib.import_module(name)
    for name in sys.argv[1].split(","):
        began = time.process_time()
        importlib.import_module(name)
        print(time.process_time() - began)
except ImportError as error:
    print("absent:", error)
"""
LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")
SHOWN = 12


def run(effort: Effort) -> list[Section]:
    """Measure the statement, the adapters, and the packages."""
    names = tuple(CONTESTANTS) if effort.details else QUICK
    sections = [statements(names, effort.rounds(15))]
    if effort.details:
        sections += [adapters(effort.calls(7)), packages(effort.rounds(8))]
    return sections


def interpreter(*arguments: str) -> subprocess.CompletedProcess[str]:
    # This folder holds modules with common names, which must not be on the path.
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", "CREWAI_DISABLE_TELEMETRY": "true"},
    )


def statements(names: Sequence[str], rounds: int) -> Section:
    """Measure the import statements of some contestants."""
    times: dict[str, list[float]] = {name: [] for name in names}
    absent: dict[str, str] = {}
    order = list(names)
    draw = random.Random(1)
    for turn in range(rounds + 1):
        draw.shuffle(order)
        for name in order:
            output = interpreter("-c", PROGRAM, CONTESTANTS[name], str(peers.FOLDER)).stdout
            if output.startswith("absent:"):
                absent[name] = "not installed; `make bench` installs it"
            elif turn:  # the first run compiles, and warms the file cache
                times[name].append(float(output) * 1e3)
    best = {name: min(durations) for name, durations in times.items() if name not in absent}
    others = {name: duration for name, duration in best.items() if name != OURS}
    line = Line(f"import {STATEMENT}", best[OURS], others, LIMITS, unit="ms")
    rows = [
        Row(name, absent=absent[name])
        if name in absent
        else Row(
            name,
            (best[name], median(times[name]), best[name] / best[BASELINE]),
            line.goals() if name == OURS else (),
        )
        for name in names
    ]
    columns = ("best ms", "median ms", "x asyncio")
    return Section("Import, in a fresh interpreter", columns, rows, lines=[line])


def adapters(rounds: int) -> Section:
    """Measure the time that adapters add to their frameworks."""
    rows = []
    for framework, (limit, modules) in ADAPTERS.items():
        outputs = [
            interpreter("-c", PROGRAM, ",".join(modules), str(peers.FOLDER), framework).stdout
            for _ in range(rounds + 1)
        ]
        if outputs[-1].startswith("absent:"):
            rows.append(Row(modules[0], absent=f"{framework} is not installed"))
            continue
        # The first run compiles, and warms the file cache.
        times = [[float(each) * 1e3 for each in lines.split()] for lines in outputs[1:]]
        for module, durations in zip(modules, zip(*times, strict=True), strict=True):
            goal = at_most(median(durations), limit, " ms")
            rows.append(Row(module, (min(durations), median(durations)), [goal]))
    return Section("Import of an adapter, beyond its framework", ("best ms", "median ms"), rows)


def packages(rounds: int) -> Section:
    """Measure the share of each package in our import."""
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
    """Return the microseconds by package that an import adds to an empty program."""
    modules: Counter[str] = Counter()
    for micros, name in lines(f"import {module}"):
        modules[name] = micros
    for _, name in lines(""):
        del modules[name]
    totals: Counter[str] = Counter()
    for name, micros in modules.items():
        totals[name.partition(".")[0]] += micros
    return totals


def lines(program: str) -> list[tuple[int, str]]:
    output = interpreter("-X", "importtime", "-c", program).stderr
    return [(int(micros), name) for micros, name in LINE.findall(output)]
