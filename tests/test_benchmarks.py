"""The benchmarks run to their end, without any peer, and what they print is sane.

How fast anything is, no test says: that is what `make bench` is for.
"""

from __future__ import annotations

import functools
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

OURS = "ToolOps Plugins"
KINDS = ("async", "sync")
CASES = (
    *("cache and single flight", "breaker alone", "rate limit alone", "retry alone"),
    *("timeout alone", "all six", "every policy"),
)
PEERS = (
    *("aiocache", "async_lru", "cachekit", "cashews", "interlock", "nopanic", "pyresilience"),
    *("throttled", "toolops", "langchain_redis", "gptcache", "redisvl"),
)
PAIRS = len(list((Path(__file__).parent / "semantic").glob("pairs_*.jsonl")))
SECTIONS = {
    "hits": 4,
    "misses": 4,
    "coalesce": 3,
    "redis_hits": 2,
    "imports": 3,
    "langchain_hits": 4,
    "memory": 1,
    "sinks": 4,
    "tiers": 1,
    "llama_index_hits": 4,
    "semantic": 8 + PAIRS,  # a section for each file of pairs
}
OVERVIEW = (
    *(
        f"hit in memory, {kind}, {value}"
        for kind in KINDS
        for value in ("a string", "a small dict")
    ),
    *(f"miss, {case}, {kind}" for case in CASES for kind in KINDS),
    *(f"hit in Valkey, {kind}" for kind in KINDS),
    *(f"hit through LangChain in memory, {kind}" for kind in KINDS),
    "100 tasks, one key, ms",
    "20 tasks, one key, ms",
    "import toolops_plugins, ms",
)
PROCESSES = (tuple(name for name in SECTIONS if name != "semantic"), ("semantic",))
"""What one process runs, since most of a tiny run is to start."""


@pytest.fixture(scope="module")
def bench(root, tmp_path_factory):
    """Run benchmarks, once for all tests, in a process in which no peer can be imported."""
    hidden = tmp_path_factory.mktemp("hidden")
    for name in PEERS:
        (hidden / f"{name}.py").write_text('raise ImportError("hidden by the test")\n')

    @functools.cache
    def run(names):
        file = hidden / f"{names[0]}.json"
        chosen = [option for name in names for option in ("--only", name)]
        done = subprocess.run(
            [sys.executable, "benchmarks/run.py", "--tiny", *chosen, "--json", str(file)],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(hidden)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, json.loads(file.read_text())["sections"]

    def sections(name):
        """Return what was printed, and the sections of one benchmark."""
        names = next(group for group in PROCESSES if name in group)
        text, found = run(names)
        assert len(found) == sum(SECTIONS[each] for each in names)
        start = sum(SECTIONS[each] for each in names[: names.index(name)])
        return text, found[start : start + SECTIONS[name]]

    sections.processes = run
    return sections


@pytest.fixture
def room(root, monkeypatch):
    """Imports a module of the benchmarks, and forgets it afterwards."""
    monkeypatch.syspath_prepend(root / "benchmarks")
    before = set(sys.modules)
    yield __import__
    for name in set(sys.modules) - before:
        if str(root / "benchmarks") in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", SECTIONS)
def test_a_benchmark_runs_and_its_figures_are_sane(bench, name):
    text, sections = bench(name)
    for section in sections:
        assert section["title"] in text
        figures = [row for row in section["rows"] if not row["absent"]]
        assert figures, section["title"]
        for row in figures:
            assert len(row["cells"]) == len(section["columns"])
            numbers = [cell for cell in row["cells"] if isinstance(cell, int | float)]
            assert numbers, row
            assert all(map(math.isfinite, numbers)), row
            assert row["name"] in text


@pytest.mark.timeout(300)
@pytest.mark.parametrize("names", PROCESSES, ids=len)
def test_the_last_line_counts_the_targets(bench, names):
    text, sections = bench.processes(names)
    goals = [goal for s in sections for row in s["rows"] for goal in row["goals"]]
    met = [goal["met"] for goal in goals if goal["figure"] is not None]
    counts = f"{met.count(True)} met, {met.count(False)} missed"
    if unmeasured := len(goals) - len(met):
        counts += f", {unmeasured} not measured"
    assert f"Targets: {counts}\n" in text


@pytest.mark.timeout(300)
def test_the_overview_shows_every_case_and_counts_its_goals(bench):
    text, sections = bench.processes(PROCESSES[0])
    _, _, table = text.partition("\nOverview: ")
    table, _, _ = table.partition("\n\n")
    lines = [line for section in sections for line in section["lines"]]
    for name in OVERVIEW:
        assert re.search(f"^{re.escape(name)}  ", table, re.MULTILINE), name
    assert len(lines) == len(OVERVIEW) + 4  # hits with a sink
    unmeasured = sum(other not in line["others"] for line in lines for other in line["limits"])
    assert unmeasured  # of the hidden peers
    assert table.count("  n/a") == unmeasured
    met, missed = table.count("  met"), table.count("  MISSED")
    assert f"Goals: {met} met, {missed} missed, {unmeasured} not measured" in table
    assert met + missed == sum(len(line["limits"]) for line in lines) - unmeasured


@pytest.mark.timeout(300)
def test_a_run_without_lines_prints_no_overview(bench):
    text, _ = bench.processes(("semantic",))
    assert "Overview: " not in text


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["hits", "redis_hits", "coalesce"])
def test_times_are_positive_and_the_best_is_no_worse_than_the_median(bench, name):
    _, sections = bench(name)
    rows = [row for s in sections for row in s["rows"] if row["name"].startswith(OURS)]
    assert rows
    for row in rows:
        assert row["cells"][0] > 0
        if name != "coalesce":
            assert row["cells"][0] <= row["cells"][1]


@pytest.mark.timeout(300)
def test_an_absent_peer_is_named_with_the_reason(bench):
    text, sections = bench("hits")
    absent = {row["name"]: row["absent"] for row in sections[0]["rows"] if row["absent"]}
    assert set(absent) == {
        "ToolOps 1.0.0",
        "aiocache",
        "async_lru",
        "cachekit",
        "cashews",
        "functools.lru_cache",  # for another reason: it cannot take coroutine functions
        "nopanic",
        "pyresilience",
    }
    assert "hidden by the test" in absent["cashews"]
    assert "n/a: not installed" in text


@pytest.mark.timeout(300)
def test_the_cap_holds_and_one_call_answers_all(bench):
    # Counts, unlike times, are exact on every machine.
    _, memory = bench("memory")
    caps = [g for row in memory[0]["rows"] for g in row["goals"]]
    assert [g["met"] for g in caps if "entries" in g["text"]] == [True, True]
    assert [g["met"] for g in caps if "accounted" in g["text"]] == [True]
    _, coalesce = bench("coalesce")
    for section in coalesce:
        ours = next(row for row in section["rows"] if row["name"] == OURS)
        _, _, calls, answered = ours["cells"]
        assert calls == 1
        assert answered in (64, 100, 20)


def test_a_ratio_is_that_of_the_best_turns(room):
    laps = room("timing").Laps({"a": [2.0, 30.0, 4.0], "b": [10.0, 1.0, 1.5], "bare": [0.5, 1, 3]})
    assert laps.ratio("a", "b") == 2.0
    assert laps.best("a") == 2.0
    assert laps.median("a") == 4.0
    assert laps.overhead("a", "bare") == 1.5


def test_a_peer_as_fast_as_the_bare_call_can_be_divided_by(room):
    misses = room("misses")
    laps = room("timing").Laps({"peer": [1.0], misses.BARE: [1.1]})
    assert misses.overhead_us(laps, "peer") == 1e-3


def test_contestants_take_turns_of_equal_length(room):
    asked = {"quick": [], "slow": []}

    def turn(name, seconds):
        def take(calls):
            asked[name].append(calls)
            return calls * seconds

        return take

    laps = room("timing").race(
        {"quick": turn("quick", 0.001), "slow": turn("slow", 0.01)}, rounds=3, seconds=1.0
    )
    assert asked["quick"][-3:] == [1000] * 3
    assert asked["slow"][-3:] == [100] * 3
    assert laps.best("quick") == pytest.approx(0.001)
    assert laps.ratio("slow", "quick") == pytest.approx(10)


def test_an_interruption_while_calls_are_counted_does_not_shorten_the_turns(room):
    asked = []

    def turn(calls):
        asked.append(calls)
        return 5.0 if len(asked) == 1 else calls * 0.001

    room("timing").race({"interrupted": turn}, rounds=3, seconds=1.0)
    assert asked[-3:] == [1000] * 3


def test_a_function_that_ran_more_or_less_often_than_it_should_is_reported(room):
    body = room("bodies").Body("sync")
    body.call("once")
    body.prove("a name", 1)
    with pytest.raises(RuntimeError, match="a name: the function ran 1 times, not 2 times"):
        body.prove("a name", 2)


def test_targets_are_met_at_the_limit_and_missed_past_it(room):
    report = room("report")
    assert report.at_most(3.0, 3, " us").met
    assert not report.at_most(3.01, 3, " us").met
    assert report.at_least(6.0, 6, "x").met
    assert not report.at_least(5.99, 6, "x").met
    assert str(report.at_most(3.01, 3, " us")) == "<= 3 us: MISSED"
    section = report.Section("Hits", ("us",), [report.Row("ours", (4.0,), [report.at_most(4, 3)])])
    assert "1 missed" in report.summary([section])
    assert "Hits: ours: 4 (<= 3)" in report.summary([section])


def test_a_goal_that_nothing_was_measured_for_is_neither_met_nor_missed(room):
    report = room("report")
    line = report.Line("hit", 3.0, {"nopanic": 2.0}, {"nopanic": 1.5, "cashews": 1.0})
    measured, unmeasured = line.goals()
    assert (measured.figure, measured.met) == (1.5, True)
    assert (unmeasured.figure, unmeasured.met) == (None, False)
    assert str(unmeasured) == "<= 1 x cashews: not measured"
    section = report.Section("Hits", ("us",), [report.Row("ours", (3.0,), line.goals())])
    assert report.summary([section]) == "Targets: 1 met, 0 missed, 1 not measured"


def test_the_overview_puts_each_goal_beside_the_figures(room):
    report, overview = room("report"), room("overview")
    lines = [
        report.Line("hit", 3.0, {"nopanic": 2.0, "cashews": 40.0, "x": 9.5}, {"nopanic": 1.3}),
        report.Line(
            "many", 9.0, {"async_lru": 8.0, "cashews": 12.0}, {"async_lru": 1, "cashews": 1}
        ),
        report.Line("start", 60.0, {}, unit="ms"),
    ]
    sections = [
        report.Section("one", (), [report.Row("row")], lines=lines[:1]),
        report.Section("two", (), [report.Row("row")]),
        report.Section("three", (), [report.Row("row")], lines=lines[1:]),
    ]
    _, _, head, *rows, last = overview.compose(sections).splitlines()
    assert head.split() == ["ours", "nopanic", "pyresilience", "ratio", "goal", "others"]
    assert [re.split("  +", row.strip()) for row in rows] == [
        ["hit", "3.00", "2.00", "-", "1.50", "<= 1.3 x nopanic", "MISSED", "x 9.50, cashews 40.0"],
        [
            "many",
            "9.00",
            "-",
            "-",
            "1.12",
            "<= 1 x async_lru",
            "MISSED",
            "async_lru 8.00, cashews 12.0",
        ],
        ["0.75", "<= 1 x cashews", "met"],
        ["start, ms", "60.0", "-", "-"],
    ]
    assert last == "Goals: 1 met, 2 missed"


def test_the_overview_as_markdown_has_a_row_for_each_line(room):
    report, overview = room("report"), room("overview")
    lines = [
        report.Line("hit", 3.0, {"nopanic": 2.0, "x": 40.0}, {"nopanic": 1, "x": 1}),
        report.Line("start", 60.0, {}, unit="ms"),
    ]
    section = report.Section("one", (), [report.Row("row")], lines=lines)
    assert overview.as_markdown([section]).splitlines() == [
        "| | ours | nopanic | pyresilience | others | ratio, goal |",
        "| --- | --- | --- | --- | --- | --- |",
        "| hit | 3.00 | 2.00 | - | x 40.0 | 1.50, <= 1 x nopanic: MISSED; 0.07, <= 1 x x: met |",
        "| start, ms | 60.0 | - | - | | |",
    ]


def test_there_is_no_overview_of_sections_without_lines(room):
    report, overview = room("report"), room("overview")
    assert overview.compose([report.Section("one", (), [report.Row("row")])]) == ""


def test_a_quick_run_measures_what_the_overview_shows_and_no_more(room):
    timing, run = room("timing"), room("run")
    assert timing.FULL.details
    assert not timing.QUICK.details
    assert run.choose(None, timing.FULL) == run.BENCHMARKS
    assert run.choose(None, timing.QUICK) == run.OVERVIEW
    assert run.choose(["tiers"], timing.QUICK) == ["tiers"]


def test_the_page_of_figures_names_commands_that_exist(root, room):
    page = (root / "docs/operations/benchmarks.md").read_text()
    for name in OVERVIEW:
        assert f"| {name.replace('100 t', '10,000 t').replace('20 t', '2,000 t')} |" in page, name
    targets = re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.MULTILINE)
    assert {"bench", "bench-quick"} <= set(re.findall(r"`make ([a-z-]+)`", page)) <= set(targets)
    assert set(re.findall(r"--only ([a-z_]+)", page)) <= set(room("run").BENCHMARKS)
    for script in re.findall(r"`(benchmarks/\w+\.py)", page):
        assert (root / script).is_file()
