"""The overview: every goal of the core in one table, composed from the sections of a run.

Ours stands beside each peer that can do the same work, and the goals are ratios of our figure to
another of the same run. Peers that promise less are compared all the same: each section's module
says where their work differs.
"""

from __future__ import annotations

from collections.abc import Iterable

from report import Line, Section, count, figure

TITLE = "Overview: what a call takes, in us unless another unit is named"
PEERS = ("nopanic", "pyresilience")
"""The peers with columns of their own: they do most of what is measured."""
COLUMNS = ("", "ours", *PEERS, "ratio", "goal", "", "others")


def compose(sections: Iterable[Section]) -> str:
    """Return the table of all lines of the sections, and the number of goals met."""
    lines = [line for section in sections for line in section.lines]
    if not lines:
        return ""
    rows = [COLUMNS, *(row for line in lines for row in rows_of(line))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    texts = [TITLE, "-" * len(TITLE), *(align(row, widths) for row in rows)]
    goals = [goal for line in lines for goal in line.goals()]
    return "\n".join([*texts, f"Goals: {count(goals)}"])


def as_markdown(sections: Iterable[Section]) -> str:
    """Return the same table for the page of figures."""
    rows = [("", "ours", *PEERS, "others", "ratio, goal"), ("---",) * (len(PEERS) + 4)]
    for line in (line for section in sections for line in section.lines):
        goals = (f"{figure(goal.figure)}, {goal}" for goal in line.goals())
        rows.append((*cells_of(line), others_of(line), "; ".join(goals)))
    return "".join(f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in row)}|\n" for row in rows)


def cells_of(line: Line) -> tuple[str, ...]:
    """Return the name, our figure and those of the peers with columns of their own."""
    name = line.name if line.unit == "us" else f"{line.name}, {line.unit}"
    return name, figure(line.ours), *(figure(line.others.get(peer)) for peer in PEERS)


def others_of(line: Line) -> str:
    """Return the other figures as text, the smallest first."""
    rest = sorted((value, other) for other, value in line.others.items() if other not in PEERS)
    return ", ".join(f"{other} {figure(value)}" for value, other in rest)


def rows_of(line: Line) -> list[tuple[str, ...]]:
    """Return the cells of a line: one row for each of its goals, or one without a goal."""
    goals = [
        (figure(goal.figure), goal.text, goal.outcome if goal.figure is not None else "n/a")
        for goal in line.goals()
    ] or [("", "", "")]
    first = (*cells_of(line), *goals[0], others_of(line))
    return [first, *(("", "", "", "", *goal, "") for goal in goals[1:])]


def align(row: tuple[str, ...], widths: list[int]) -> str:
    """Return a row as text: words to the left, numbers to the right."""
    numbers = COLUMNS[1 : COLUMNS.index("goal")]
    cells = [
        f"{cell:>{width}}" if column in numbers else f"{cell:{width}}"
        for cell, width, column in zip(row, widths, COLUMNS, strict=True)
    ]
    return "  ".join(cells).rstrip()
