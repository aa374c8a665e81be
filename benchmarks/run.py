"""Measure ToolOps Plugins and its peers in one run; print figures, ratios and targets.

The overview at the end shows the goals of the core in one table, which is composed from the
sections before it. A missed target is missed on this machine, in this run: absolute figures depend
on both, ratios much less. Each module states what it measures and what it leaves out.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

import overview
import report
from timing import FULL, QUICK, TINY, Effort

OVERVIEW = ("hits", "misses", "coalesce", "redis_hits", "imports", "langchain_hits")
"""The benchmarks whose figures the overview shows."""
BENCHMARKS = (*OVERVIEW, "memory", "sinks", "tiers", "llama_index_hits", "semantic")
"""Modules of this folder, imported when they are run: two of them import a framework each."""


def main() -> None:
    """Run the benchmarks that the command line selects."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", action="append", choices=BENCHMARKS, help="run this one; may be repeated"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write figures to this file")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="also write the overview as a Markdown table"
    )
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument(
        "--quick",
        dest="effort",
        action="store_const",
        const=QUICK,
        help="only what the overview shows, in fewer rounds",
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
    for name in choose(options.only, options.effort):
        for section in importlib.import_module(name).run(options.effort):
            sections.append(section)
            print(section, end="\n\n", flush=True)
    if table := overview.compose(sections):
        print(table, end="\n\n")
    print(report.summary(sections))
    print(f"({time.perf_counter() - start:.0f} s)")
    if options.markdown:
        options.markdown.write_text(overview.as_markdown(sections))
    if options.json:
        options.json.write_text(json.dumps(report.as_json(facts, sections), indent=1) + "\n")


def choose(only: Sequence[str] | None, effort: Effort) -> Sequence[str]:
    """Return the benchmarks to run: those that were named, or else all that the effort covers."""
    return only or (BENCHMARKS if effort.details else OVERVIEW)


if __name__ == "__main__":
    main()
