"""Measure ToolOps Plugins and its peers in one run; print figures, ratios and targets.

The targets are those of the design. A missed target is missed on this machine, in this run:
absolute figures depend on both, ratios much less. Each module states what it measures and what it
leaves out.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from pathlib import Path

import report
from timing import FULL, QUICK, TINY

BENCHMARKS = (
    "hits",
    "redis_hits",
    "misses",
    "memory",
    "coalesce",
    "imports",
    "tiers",
    "langchain_hits",
    "llama_index_hits",
    "semantic",
)
"""Modules of this folder, imported when they are run: two of them import a framework each."""


def main() -> None:
    """Run the benchmarks that the command line selects."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", action="append", choices=BENCHMARKS, help="run this one; may be repeated"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write figures to this file")
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument(
        "--quick", dest="effort", action="store_const", const=QUICK, help="fewer rounds"
    )
    effort.add_argument(
        "--tiny",
        dest="effort",
        action="store_const",
        const=TINY,
        help="a few calls of each: a check that they run, without a meaning for speed",
    )
    parser.set_defaults(effort=FULL)
    options = parser.parse_args()
    start = time.perf_counter()
    facts = report.machine()
    print(report.header(facts), end="\n\n", flush=True)
    sections: list[report.Section] = []
    for name in options.only or BENCHMARKS:
        for section in importlib.import_module(name).run(options.effort):
            sections.append(section)
            print(section, end="\n\n", flush=True)
    print(report.summary(sections))
    print(f"({time.perf_counter() - start:.0f} s)")
    if options.json:
        options.json.write_text(json.dumps(report.as_json(facts, sections), indent=1) + "\n")


if __name__ == "__main__":
    main()
