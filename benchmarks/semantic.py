"""The semantic cache: questions in other words, ours beside the peers, all with one embedder.

Every contestant has a process of its own, which :mod:`semantic_worker` runs; :mod:`semantic_peers`
says how each was set up, and :mod:`semantic_questions` what is stored and asked. They take turns as
:mod:`timing` has it, embedding included.

- **Hits**: one thread asks stored questions in slightly other words, in an index that grows from
  1,000 to 100,000 entries, of one scope and of 1,000. p50 and p99 are of single lookups that were
  hits. "Right" and "wrong" are shares of all requests of the turns that were measured: a wrong
  answer is that to another intent, remark or tenant.
- **Puts**: what a new entry costs the one who stores it, and, per entry, what is left to be done
  then, which those that write behind the call have put off.
- **Throughput**: 16 threads, and 100 tasks of one loop, against one.
- **Memory**: resident, when the index has reached its full size, and of ours once more in a new
  process that opens what the other has stored. A server's memory counts.
- **Right answers**: for each pair of ``tests/semantic/pairs_*.jsonl`` the candidate is stored alone
  and the question asked. A trap is a pair of which one may not answer for the other.
- **Stream**: the questions of banking77, one after the other, with the intent as the answer. A hit
  with another intent is a wrong answer; what is missed is stored. The second mark is for those who
  reached the first in time.

Everybody decides as by default, but for lines of ours in the last table that name ``max_error``. A
contestant that takes too long to fill is stopped, and says so. Most tables show the embedding alone
too: it is part of every figure, and its p99 and its gain from threads show what the machine gives.

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
from semantic_process import Process, opened
from timing import FULL, Effort, Laps, Turn, race

SIZES = (1_000, 10_000, 100_000)
SCOPES = (1, 1_000)
PATIENCE, DAY = 600.0, 86_400.0  # seconds to fill to the next size
HURRY = 120.0  # seconds to reach the first mark of the stream, for those who go on to the second
SLOW = 0.15  # seconds of a lookup, from which on nobody waits for hundreds of them
CALLERS = (("threads", 1), ("threads", 16), ("tasks", 1), ("tasks", 100))
PAIRS = Path(__file__).parents[1] / "tests" / "semantic"
MARKS = (3_000, 9_000)
# What is served at least of the first 9,000 where so many may be wrong, in %.
BOUNDED = {0.01: 50.2, 0.02: 59.2, 0.05: 68.7}

Processes = Mapping[str, Process]


def run(effort: Effort) -> Iterator[Section]:
    """Measure everything; tables come as they are ready."""
    missing: dict[str, str] = {}  # who is not installed, and why
    for scopes in SCOPES:
        yield from growing(effort, scopes if scopes == 1 else max(2, effort.calls(scopes)), missing)
    for file in sorted(PAIRS.glob("pairs_*.jsonl")):
        yield pairs(file, missing)
    yield stream(effort, missing)


def all_but_the_last(effort: Effort, of: tuple[int, ...]) -> list[int]:
    """Return sizes or marks as the effort has them; the largest takes most of the time."""
    return [effort.calls(each) for each in (of if effort == FULL else of[:-1])]


# An index that grows


def growing(effort: Effort, scopes: int, missing: dict[str, str]) -> Iterator[Section]:
    """Measure hits at each size; in one scope also puts, throughput, and memory."""
    sizes = all_but_the_last(effort, SIZES)
    with ExitStack() as stack:
        there: dict[str, Process] = {}
        for name in [each for each in CONTESTANTS if each not in missing]:
            try:
                there[name] = stack.enter_context(opened(name, sizes[-1], scopes))
            except Absent as why:
                missing[name] = str(why)
        absent = dict(missing)
        for size in sizes:
            fill(there, absent, size)
            counted = f"{size:,} entries, {scopes:,} scope{'s' if scopes > 1 else ''}"
            laps, heard = hits(there, effort)
            yield Section(
                f"Semantic hit, {counted}",
                ("p50 ms", "p99 ms", "right %", "wrong %", "x ours"),
                [hit_row(name, laps, heard, absent) for name in CONTESTANTS],
                [f'{semantic_questions.source()}; "x ours": by whole turns, misses included.'],
            )
            if scopes == 1 and size != sizes[0]:
                yield puts(there, absent, effort, counted)
            if scopes == 1 and size == sizes[1]:
                yield throughput(there, absent, laps, effort, counted)
        if scopes == 1:
            yield memory(there, absent, sizes[-1])


def fill(there: dict[str, Process], absent: dict[str, str], size: int) -> None:
    """Let all grow to a size, on all cores, since that is not measured."""

    def grow(process: Process) -> str:
        try:
            # Ours is waited for: all others are held against it.
            process.ask("fill", entries=size, seconds=DAY if process.name == OURS else PATIENCE)
        except Absent as why:
            return str(why)
        return ""

    with ThreadPoolExecutor(os.cpu_count()) as executor:
        said = executor.map(grow, there.values())
        absent |= {name: why for name, why in zip(there, said, strict=True) if why}
    for name in absent:
        there.pop(name, None)


def hits(there: Processes, effort: Effort) -> tuple[Laps, dict[str, list[dict[str, Any]]]]:
    """Let all look up in turns; return the laps, and what was found in them."""
    heard: dict[str, list[dict[str, Any]]] = {name: [] for name in there}

    def turn(name: str, calls: int) -> float:
        heard[name].append(there[name].take("hits", calls))
        return float(heard[name][-1]["seconds"])

    rounds = effort.rounds(30)
    laps = race({name: partial(turn, name) for name in there}, rounds, effort.seconds(0.1))
    return laps, {name: turns[-rounds:] for name, turns in heard.items()}  # less the warm-up


def hit_row(
    name: str, laps: Laps, heard: Mapping[str, list[dict[str, Any]]], absent: Mapping[str, str]
) -> Row:
    """Return a contestant's line."""
    if name in absent:
        return Row(name, absent=absent[name])
    times = sorted(took for turn in heard[name] for took in turn["served"])
    asked = sum(turn["asked"] for turn in heard[name])
    right, wrong = (sum(turn[kind] for turn in heard[name]) for kind in ("right", "wrong"))
    p50, p99 = milliseconds(times, 0.5), milliseconds(times, 0.99)
    goals: list[Goal] = []
    if name == OURS and p50 is not None and p99 is not None:
        goals = [at_most(p50, 1.5, " ms", "p50 "), at_most(p99, 5, " ms", "p99 ")]
    shares = (None, None) if name == FLOOR else (100 * right / asked, 100 * wrong / asked)
    return Row(name, (p50, p99, *shares, laps.ratio(name, OURS)), goals)


def milliseconds(times: list[float], share: float) -> float | None:
    """Return a quantile of sorted seconds, or None where the times are too few for it."""
    if len(times) * (1 - share) < 1:
        return None
    return times[int(share * len(times))] * 1e3


def puts(there: Processes, absent: Mapping[str, str], effort: Effort, counted: str) -> Section:
    """Measure what a put costs its caller, and what it leaves behind."""
    calls = effort.calls(100)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in there}
    order = list(there)
    draw = random.Random(1)
    for _ in range(effort.rounds(10)):
        draw.shuffle(order)
        for name in order:
            found[name].append(there[name].ask("puts", calls=calls))
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
    notes = [f'"Behind": storing {calls:,} of them afterwards, for each.']
    columns = ("p50 us", "p99 us", "behind us", "x ours")
    return Section(f"Semantic put, {counted}", columns, rows, notes)


def throughput(
    there: Processes, absent: Mapping[str, str], one: Laps, effort: Effort, counted: str
) -> Section:
    """Measure how many lookups a second are answered, by how many ask."""
    absent = dict(absent)
    turns: dict[str, Turn] = {}
    for name, process in there.items():
        if one.median(name) > SLOW:
            absent[name] = f"a lookup takes {one.median(name):.2f} s; nobody waits for hundreds"
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
    return Section(f"Semantic lookups a second, {counted}", columns, rows)


def rate(process: Process, how: str, callers: int, calls: int) -> float:
    """Take a turn; all callers need something to do, so it may make more calls than asked."""
    made = max(calls, 2 * callers)
    answer = process.take("rate", made, how=how, callers=callers)
    return float(answer["seconds"]) * calls / made


def memory(there: Processes, absent: Mapping[str, str], entries: int) -> Section:
    """Tell what each process occupies, and ours when it is opened anew."""
    rows, notes = [], ["MB are 10^6 bytes; those of servers are in the sum, and its peak is not."]
    for name in CONTESTANTS:
        if name in absent:
            rows.append(Row(name, absent=absent[name]))
            continue
        rows.append(memory_row(name, there[name].ask("memory")))
        if name == OURS:
            there[name].ask("close")
            again = Process(name, there[name].folder, entries, 1, entries)
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
    """Return a line of what a process occupies."""
    total = found["now"] + found["servers"]
    goals = [at_most(total, 600, " MB")] if name.startswith(OURS) else []
    cells = found["before"], found["now"], found["peak"], found["servers"], total
    return Row(name, cells, goals)


# Right answers


def asked_of_each(
    measure: Callable[[Process], Row],
    room: int,
    options: Mapping[str, Mapping[str, Any]],
    missing: Mapping[str, str],
) -> list[Row]:
    """Ask all, and ours also with each of the options; on all cores, since times do not matter."""

    def asked(plan: tuple[str, str, Mapping[str, Any]]) -> Row:
        name, title, each = plan
        if name in missing:
            return Row(title, absent=missing[name])
        try:
            with opened(name, room, 1, **each) as process:
                row = measure(process)
        except Absent as why:
            return Row(title, absent=str(why))
        return replace(row, name=title)

    plans: list[tuple[str, str, Mapping[str, Any]]] = [(OURS, OURS, {})]
    plans += [(OURS, f"{OURS}, {title}", each) for title, each in options.items()]
    plans += [(name, name, {}) for name in CONTESTANTS if name not in (OURS, FLOOR)]
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        return list(executor.map(asked, plans))


def pairs(file: Path, missing: Mapping[str, str]) -> Section:
    """Count traps served and true pairs served."""
    known = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    true = [number for number, pair in enumerate(known) if pair["same"]]
    traps = [number for number, pair in enumerate(known) if not pair["same"]]

    def measure(process: Process) -> Row:
        served = process.ask("pairs", pairs=known)["served"]
        wrong = 100 * sum(served[number] for number in traps) / len(traps)
        right = 100 * sum(served[number] for number in true) / len(true)
        goals = [at_most(wrong, 3, " %", "traps "), at_least(right, 50, " %", "true ")]
        return Row("", (wrong, right), goals if process.name == OURS else ())

    rows = asked_of_each(measure, len(known), {}, missing)
    title = f"Pairs, {file.stem}: {len(traps)} traps, {len(true)} true ones"
    return Section(title, ("traps served %", "true served %"), rows)


def stream(effort: Effort, missing: Mapping[str, str]) -> Section:
    """Count hits and wrong answers while questions come and answers are stored."""
    marks = all_but_the_last(effort, MARKS)
    bounds = {f"max_error={bound}": {"max_error": bound} for bound in BOUNDED}

    def measure(process: Process) -> Row:
        found = process.ask("stream", marks=marks, seconds=HURRY)["found"]
        cells: list[float | None] = []
        for mark, counts in zip(marks, found, strict=False):
            cells += [100 * count / mark for count in counts]
        return Row("", cells + [None] * (2 * len(marks) - len(cells)))

    rows = asked_of_each(measure, marks[-1], bounds, missing)
    for number, (bound, least) in enumerate(BOUNDED.items(), 1):
        served, wrong = rows[number].cells[-2:]
        goals = [at_most(wrong, 100 * bound, " %", "wrong ")]
        if marks[-1] == MARKS[-1]:
            goals.append(at_least(served, least, " %", "hits "))
        rows[number] = replace(rows[number], goals=goals)
    columns = [f"{what} % of {mark:,}" for mark in marks for what in ("hits", "wrong")]
    return Section("Stream of questions", columns, rows, [f"{semantic_questions.source()}."])
