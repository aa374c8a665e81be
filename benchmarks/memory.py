"""Memory: the size of a full cache, and a check of its bounds.

Measured: the peak resident memory (``VmHWM``) of a fresh process that makes 110,000 calls with
different arguments through the decorator, each with a result of 1 KB, into a cache of 100,000
entries. It includes the interpreter, the library and garbage. After every call the tier is asked
for its number of entries and of accounted bytes. Another process repeats this with a bound on bytes
that is reached first. A plain dict with as many strings under keys of 32 bytes shows the size of
the values alone; pyresilience uses the number as the key.

Not measured: fragmentation after hours, and values that callers hold.

The file is also the program of those processes: ``memory.py KIND ENTRIES`` prints its figures.
"""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peers
from report import OURS, Row, Section, at_most
from timing import Effort

MB = 1e6
MOST_BYTES = 20_000_000
SIZE = 1_024


def run(effort: Effort) -> list[Section]:
    """Measure each kind in a process of its own."""
    entries = effort.calls(100_000)
    rows = []
    for kind, name in {
        "dict": "a plain dict (floor)",
        "text": f"{OURS}, strings",
        "json": f"{OURS}, dicts",
        "bytes": f"{OURS}, bound in bytes",
        "pyresilience": "pyresilience, strings",
    }.items():
        figures = measure(kind, entries)
        if "absent" in figures:
            rows.append(Row(name, absent=figures["absent"]))
            continue
        goals = []
        if kind in ("text", "json"):
            goals = [
                at_most(figures["peak"], 200, " MB"),
                at_most(figures["most"], entries, " entries"),
            ]
        if kind == "bytes":
            bound = MOST_BYTES / MB
            goals = [at_most(figures["most_bytes"], bound, " MB accounted")]
        cells = (
            figures["before"],
            figures["peak"],
            (figures["peak"] - figures["before"]) * MB / max(figures["most"], 1),
            figures["most"],
            figures["most_bytes"],
        )
        rows.append(Row(name, cells, goals))
    columns = ("before MB", "peak MB", "bytes an entry", "most entries", "accounted MB")
    notes = [f"{entries:,} entries of {SIZE:,} characters; MB are 10^6 bytes of resident memory."]
    return [Section("Memory of a full cache", columns, rows, notes)]


def measure(kind: str, entries: int) -> dict[str, Any]:
    """Return the figures of a fresh process."""
    command = [sys.executable, str(Path(__file__)), kind, str(entries)]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    figures: dict[str, Any] = json.loads(process.stdout)
    return figures


# The fresh process


def resident(field: str) -> float:
    """Return the resident memory in MB: VmRSS is the current value, VmHWM the peak."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024 / MB
    except OSError:
        pass
    # Other systems report the peak only; in bytes on macOS, else in KiB.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MB


def text(number: int) -> str:
    return f"{number:0{SIZE}d}"


def small_dict(number: int) -> dict[str, str]:
    return {"text": f"{number:0{SIZE - 11}d}"}  # JSON adds 11 characters


def ours(kind: str, entries: int) -> dict[str, Any]:
    """Fill our cache by calls, and read its size after each."""
    from toolops_plugins import Cache, Memory, ToolOps  # noqa: PLC0415 - in this process only

    memory = Memory(entries, max_bytes=MOST_BYTES) if kind == "bytes" else Memory(entries)
    ops = ToolOps("memory", [memory])
    call = ops.tool(cache=Cache(ttl=3_600))(small_dict if kind == "json" else text)
    before = resident("VmRSS")
    most = most_bytes = 0
    for number in range(entries + entries // 10):
        call(number)
        most, most_bytes = max(most, len(memory)), max(most_bytes, memory.nbytes)
    return {"before": before, "most": most, "most_bytes": most_bytes / MB}


def other(kind: str, entries: int) -> dict[str, Any]:
    """Fill a plain dict, or the cache of pyresilience."""
    table: dict[bytes, str] = {}

    def store(number: int) -> None:
        table[hashlib.sha256(str(number).encode()).digest()] = text(number)

    call: Callable[[int], Any] = store
    calls = entries
    if kind == "pyresilience":
        package = peers.load("pyresilience")
        bound = package.CacheConfig(max_size=entries, ttl=3_600)
        call = package.resilient(cache=bound)(text)
        calls += entries // 10
    before = resident("VmRSS")
    for number in range(calls):
        call(number)
    return {"before": before, "most": entries, "most_bytes": None}


def main() -> None:
    kind, entries = sys.argv[1], int(sys.argv[2])
    try:
        figures = (ours if kind in ("text", "json", "bytes") else other)(kind, entries)
        figures["peak"] = resident("VmHWM")
    except peers.Absent as why:
        figures = {"absent": str(why)}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
