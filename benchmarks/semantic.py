"""The semantic cache on rephrased questions, compared with its peers, with one embedder for all.

Every contestant runs in a process of its own (:mod:`semantic_worker`); :mod:`semantic_peers`
describes their configuration, and :mod:`semantic_questions` the questions. They take turns as in
:mod:`timing`, embedding included.

- **Hits**: one thread asks stored questions, slightly rephrased, in an index that grows from 1,000
  to 100,000 entries, of one scope and of 1,000. p50 and p99 are those of single lookups that were
  hits. "Right" and "wrong" are shares of all requests of the measured turns: a wrong answer is one
  to another intent, remark or tenant.
- **Puts**: the time of a new entry for its caller and, per entry, of the work that is left for
  later, by caches that write in the background.
- **Throughput**: 16 threads, and 100 tasks of one loop, compared with one.
- **Memory**: resident, at the full size of the index, and of ours again in a new process that opens
  the stored index. The memory of a server counts.
- **Right answers**: for each pair of ``tests/semantic/pairs_*.jsonl`` the candidate is stored alone
  and the question asked. A trap is a pair of questions with different answers.
- **Stream**: the questions of banking77, one after the other, with the intent as the answer. A hit
  with another intent is a wrong answer; a missed question is stored. The second mark is for
  contestants that reached the first in time.

All contestants decide by their defaults, except our rows of the last table that name ``max_error``.
A contestant that takes too long to fill is stopped, and its row says so. Most tables also show the
embedding alone: it is part of every figure, and its p99 and its gain from threads show the limits
of the machine.

Not measured: better embedders, networks, other languages, and several processes on one index.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import semantic_questions
from peers import Absent
from report import OURS, Goal, Row, Section, at_least, at_most
from semantic_peers import CONTESTANTS, FLOOR
from semantic_process import Process, open_process
from timing import FULL, Effort, Laps, Turn, race

SIZES = (1_000, 10_000, 100_000)
SCOPES = (1, 1_000)
PATIENCE, DAY = 600.0, 86_400.0  # seconds to fill to the next size, of peers and of ours
HURRY = 120.0  # seconds to the first mark of the stream, beyond which the second is skipped
SLOW = 0.15  # seconds of a lookup, above which throughput is not measured
CALLERS = (("threads", 1), ("threads", 16), ("tasks", 1), ("tasks", 100))
PAIRS = Path(__file__).parents[1] / "tests" / "semantic"
MARKS = (3_000, 9_000)
# The least share of hits among the first 9,000 for each max_error, in %.
BOUNDED = {0.01: 50.2, 0.02: 59.2, 0.05: 68.7}

Processes = Mapping[str, Process]


def run(effort: Effort) -> Iterator[Section]:
    """Measure everything; yield each table when it is ready."""
    missing: dict[str, str] = {}  # reasons of contestants that are not installed
    for scopes in SCOPES:
        yield from measure_growth(
            effort, scopes if scopes == 1 else max(2, effort.calls(scopes)), missing
        )
    for file in sorted(PAIRS.glob("pairs_*.jsonl")):
        yield pairs(file, missing)
    yield stream(effort, missing)


def all_but_the_last(effort: Effort, of: tuple[int, ...]) -> list[int]:
    """Scale sizes or marks by the effort; only the full effort includes the largest."""
    return [effort.calls(each) for each in (of if effort == FULL else of[:-1])]


# An index that grows


def measure_growth(effort: Effort, scopes: int, missing: dict[str, str]) -> Iterator[Section]:
    """Measure hits at each size and, in one scope, puts, throughput and memory."""
    sizes = all_but_the_last(effort, SIZES)
    with ExitStack() as stack:
        processes: dict[str, Process] = {}
        for name in [each for each in CONTESTANTS if each not in missing]:
            try:
                processes[name] = stack.enter_context(open_process(name, sizes[-1], scopes))
            except Absent as why:
                missing[name] = str(why)
        absent = dict(missing)
        for size in sizes:
            fill(processes, absent, size)
            label = f"{size:,} entries, {scopes:,} scope{'s' if scopes > 1 else ''}"
            laps, results = hits(processes, effort)
            yield Section(
                f"Semantic hit, {label}",
                ("p50 ms", "p99 ms", "right %", "wrong %", "x ours"),
                [hit_row(name, laps, results, absent) for name in CONTESTANTS],
                [f'{semantic_questions.source()}; "x ours": by whole turns, misses included.'],
            )
            if scopes == 1 and size != sizes[0]:
                yield puts(processes, absent, effort, label)
            if scopes == 1 and size == sizes[1]:
                yield throughput(processes, absent, laps, effort, label)
        if scopes == 1:
            yield memory(processes, absent, sizes[-1])


def fill(processes: dict[str, Process], absent: dict[str, str], size: int) -> None:
    """Fill all caches to a size, on all cores, since this is not measured."""

    def grow(process: Process) -> str:
        try:
            # Ours has no limit, since all others are compared with it.
            process.ask("fill", entries=size, seconds=DAY if process.name == OURS else PATIENCE)
        except Absent as why:
            return str(why)
        return ""

    with ThreadPoolExecutor(os.cpu_count()) as executor:
        reasons = executor.map(grow, processes.values())
        absent |= {name: why for name, why in zip(processes, reasons, strict=True) if why}
    for name in absent:
        processes.pop(name, None)


def hits(processes: Processes, effort: Effort) -> tuple[Laps, dict[str, list[dict[str, Any]]]]:
    """Time lookups of all contestants; return the laps, and the results of each turn."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in processes}

    def turn(name: str, calls: int) -> float:
        results[name].append(processes[name].take("hits", calls))
        return float(results[name][-1]["seconds"])

    rounds = effort.rounds(30)
    laps = race({name: partial(turn, name) for name in processes}, rounds, effort.seconds(0.1))
    return laps, {name: turns[-rounds:] for name, turns in results.items()}  # less the warm-up


def hit_row(
    name: str, laps: Laps, results: Mapping[str, list[dict[str, Any]]], absent: Mapping[str, str]
) -> Row:
    """Return the row of a contestant."""
    if name in absent:
        return Row(name, absent=absent[name])
    times = sorted(took for turn in results[name] for took in turn["served"])
    ask_one = sum(turn["asked"] for turn in results[name])
    right, wrong = (sum(turn[kind] for turn in results[name]) for kind in ("right", "wrong"))
    p50, p99 = milliseconds(times, 0.5), milliseconds(times, 0.99)
    goals: list[Goal] = []
    if name == OURS and p50 is not None and p99 is not None:
        goals = [at_most(p50, 1.5, " ms", "p50 "), at_most(p99, 5, " ms", "p99 ")]
    shares = (None, None) if name == FLOOR else (100 * right / ask_one, 100 * wrong / ask_one)
    return Row(name, (p50, p99, *shares, laps.ratio(name, OURS)), goals)


def milliseconds(times: list[float], share: float) -> float | None:
    """Return a quantile of sorted seconds, or None for too few times."""
    if len(times) * (1 - share) < 1:
        return None
    return times[int(share * len(times))] * 1e3


def puts(processes: Processes, absent: Mapping[str, str], effort: Effort, label: str) -> Section:
    """Measure the time of a put for its caller, and of the work left for later."""
    calls = effort.calls(100)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in processes}
    order = list(processes)
    draw = random.Random(1)
    for _ in range(effort.rounds(10)):
        draw.shuffle(order)
        for name in order:
            found[name].append(processes[name].ask("puts", calls=calls))
    rows = []
    for name in CONTESTANTS:
        if name in absent:
            rows.append(Row(name, absent=absent[name]))
            continue
        times = sorted(took for turn in found[name] for took in turn["times"])
        p50, p99 = median(times) * 1e6, times[int(0.99 * len(times))] * 1e6
        behind = median(turn["behind"] for turn in found[name]) / calls * 1e6
        ratio = p50 / (median(took for turn in found[OURS] for took in turn["times"]) * 1e6)
        goals = [at_most(p50, 100, " us")] if name == OURS else []
        rows.append(Row(name, (p50, p99, behind, ratio), goals))
    notes = [f'"Behind": the time per entry of storing {calls:,} of them afterwards.']
    columns = ("p50 us", "p99 us", "behind us", "x ours")
    return Section(f"Semantic put, {label}", columns, rows, notes)


def throughput(
    processes: Processes, absent: Mapping[str, str], one: Laps, effort: Effort, label: str
) -> Section:
    """Measure lookups a second by the number of callers."""
    absent = dict(absent)
    turns: dict[str, Turn] = {}
    for name, process in processes.items():
        if one.median(name) > SLOW:
            absent[name] = f"a lookup takes {one.median(name):.2f} s, too slow to measure"
            continue
        for how, callers in CALLERS:
            turn = partial(rate, process, how, callers)
            try:
                turn(1)
            except Absent:
                continue
            turns[f"{name} {how} {callers}"] = turn
    laps = race(turns, effort.rounds(8), effort.seconds(0.3))
    rows = []
    for name in CONTESTANTS:
        if name in absent:
            rows.append(Row(name, absent=absent[name]))
            continue
        cells: list[float | None] = []
        goals: list[Goal] = []
        for how, callers in CALLERS:
            this, alone = f"{name} {how} {callers}", f"{name} {how} 1"
            cells.append(1 / laps.median(this) if this in laps else None)
            if callers > 1:
                cells.append(laps.ratio(alone, this) if this in laps else None)
                if name == OURS:
                    goals.append(at_least(laps.ratio(alone, this), 1.5, "x", f"{how} "))
        rows.append(Row(name, cells, goals))
    columns = ("thread /s", "16 /s", "x one", "task /s", "100 /s", "x one")
    return Section(f"Semantic lookups a second, {label}", columns, rows)


def rate(process: Process, how: str, callers: int, calls: int) -> float:
    """Take a turn; it makes more than ``calls`` calls if the callers would be idle."""
    total = max(calls, 2 * callers)
    answer = process.take("rate", total, how=how, callers=callers)
    return float(answer["seconds"]) * calls / total


def memory(processes: Processes, absent: Mapping[str, str], entries: int) -> Section:
    """Measure the memory of each process, and of ours when it opens a stored index."""
    rows, notes = [], ["MB are 10^6 bytes; the sum includes servers, without their peak."]
    for name in CONTESTANTS:
        if name in absent:
            rows.append(Row(name, absent=absent[name]))
            continue
        rows.append(memory_row(name, processes[name].ask("memory")))
        if name == OURS:
            processes[name].ask("close")
            again = Process(name, processes[name].folder, entries, 1, entries)
            try:
                took = again.take("hits", 1)["seconds"]
                again.take("hits", 100)
                rows.append(memory_row(f"{name}, opened again", again.ask("memory")))
                again.ask("close")
            finally:
                again.stop()
            notes.append(f"Opened again, the first answer takes {took:.2f} s.")
    columns = ("before MB", "process MB", "peak MB", "servers MB", "sum MB")
    return Section(f"Memory of a semantic cache, {entries:,} entries", columns, rows, notes)


def memory_row(name: str, found: Mapping[str, float]) -> Row:
    """Return the row of a process."""
    total = found["now"] + found["servers"]
    goals = [at_most(total, 600, " MB")] if name.startswith(OURS) else []
    cells = found["before"], found["now"], found["peak"], found["servers"], total
    return Row(name, cells, goals)


# Right answers


def ask_each(
    measure: Callable[[Process], Row],
    room: int,
    options: Mapping[str, Mapping[str, Any]],
    missing: Mapping[str, str],
) -> list[Row]:
    """Measure all, and ours with each of the options too; on all cores, since nothing is timed."""

    def ask_one(plan: tuple[str, str, Mapping[str, Any]]) -> Row:
        name, title, each = plan
        if name in missing:
            return Row(title, absent=missing[name])
        try:
            with open_process(name, room, 1, **each) as process:
                row = measure(process)
        except Absent as why:
            return Row(title, absent=str(why))
        return replace(row, name=title)

    plans: list[tuple[str, str, Mapping[str, Any]]] = [(OURS, OURS, {})]
    plans += [(OURS, f"{OURS}, {title}", each) for title, each in options.items()]
    plans += [(name, name, {}) for name in CONTESTANTS if name not in (OURS, FLOOR)]
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        return list(executor.map(ask_one, plans))


def pairs(file: Path, missing: Mapping[str, str]) -> Section:
    """Count the traps and the true pairs that are served."""
    known = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    true = [number for number, pair in enumerate(known) if pair["same"]]
    traps = [number for number, pair in enumerate(known) if not pair["same"]]

    def measure(process: Process) -> Row:
        served = process.ask("pairs", pairs=known)["served"]
        wrong = 100 * sum(served[number] for number in traps) / len(traps)
        right = 100 * sum(served[number] for number in true) / len(true)
        goals = [at_most(wrong, 3, " %", "traps "), at_least(right, 50, " %", "true ")]
        return Row("", (wrong, right), goals if process.name == OURS else ())

    rows = ask_each(measure, len(known), {}, missing)
    title = f"Pairs, {file.stem}: {len(traps)} traps, {len(true)} true ones"
    return Section(title, ("traps served %", "true served %"), rows)


def stream(effort: Effort, missing: Mapping[str, str]) -> Section:
    """Count hits and wrong answers in a stream of questions."""
    marks = all_but_the_last(effort, MARKS)
    bounds = {f"max_error={bound}": {"max_error": bound} for bound in BOUNDED}

    def measure(process: Process) -> Row:
        found = process.ask("stream", marks=marks, seconds=HURRY)["found"]
        cells: list[float | None] = []
        for mark, counts in zip(marks, found, strict=False):
            cells += [100 * count / mark for count in counts]
        return Row("", cells + [None] * (2 * len(marks) - len(cells)))

    rows = ask_each(measure, marks[-1], bounds, missing)
    for number, (bound, least) in enumerate(BOUNDED.items(), 1):
        served, wrong = rows[number].cells[-2:]
        goals = [at_most(wrong, 100 * bound, " %", "wrong ")]
        if marks[-1] == MARKS[-1]:
            goals.append(at_least(served, least, " %", "hits "))
        rows[number] = replace(rows[number], goals=goals)
    columns = [f"{what} % of {mark:,}" for mark in marks for what in ("hits", "wrong")]
    return Section("Stream of questions", columns, rows, [f"{semantic_questions.source()}."])
