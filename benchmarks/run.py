"""Measures ToolOps Plugins beside its peers, in one run, and prints figures, ratios and targets.

Targets are those of the design. What is missed is missed on this machine, in this run: absolute
figures depend on both, ratios much less. Each module here says what it measures and what not.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import coalesce
import hits
import imports
import langchain_hits
import llama_index_hits
import memory
import misses
import redis_hits
import report
import semantic
import tiers
from timing import FULL, QUICK, TINY

BENCHMARKS = {
    "hits": hits,
    "redis_hits": redis_hits,
    "misses": misses,
    "memory": memory,
    "coalesce": coalesce,
    "imports": imports,
    "tiers": tiers,
    "langchain_hits": langchain_hits,
    "llama_index_hits": llama_index_hits,
    "semantic": semantic,
}


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", action="append", choices=BENCHMARKS, help="run this one; may be repeated"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument(
        "--quick", dest="effort", action="store_const", const=QUICK, help="fewer rounds"
    )
    effort.add_argument(
        "--tiny",
        dest="effort",
        action="store_const",
        const=TINY,
        help="a few calls of each: shows that they run, and says nothing of speed",
    )
    parser.set_defaults(effort=FULL)
    chosen = parser.parse_args()
    began = time.perf_counter()
    found = report.machine()
    print(report.heading(found), end="\n\n", flush=True)
    sections: list[report.Section] = []
    for name in chosen.only or BENCHMARKS:
        for section in BENCHMARKS[name].run(chosen.effort):
            sections.append(section)
            print(section, end="\n\n", flush=True)
    print(report.summary(sections))
    print(f"({time.perf_counter() - began:.0f} s)")
    if chosen.json:
        chosen.json.write_text(json.dumps(report.as_json(found, sections), indent=1) + "\n")


if __name__ == "__main__":
    main()
