"""Text, tables and JSON for the terminal."""

from __future__ import annotations

from typing import Any

import click
import orjson
from rich import box
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from toolops_plugins.telemetry.formats import duration

__all__ = ["bullet", "echo_json", "indent", "printable", "several", "span", "table"]


def echo_json(value: Any) -> None:
    """Print a value as JSON."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
    click.echo(orjson.dumps(value, option=options).decode())


def table(*titles: str) -> Table:
    """Return an empty table: the first column is left-aligned, the others are right-aligned."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    made.add_column(titles[0], no_wrap=True, overflow="ellipsis")
    for title in titles[1:]:
        made.add_column(title, justify="right", no_wrap=True)
    return made


def span(seconds: float) -> str:
    """Return a duration without zero parts: "1 h", not "1 h 0 min"."""
    return duration(seconds).removesuffix(" 0 min").removesuffix(" 0 s")


def printable(text: str) -> str:
    """Return a text without line breaks and control characters."""
    return "".join(
        char if char.isprintable() else " " if char.isspace() else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


def indent(what: RenderableType) -> Padding:
    """Return a renderable, indented by two columns."""
    return Padding(what, (0, 0, 0, 2), expand=False)


def bullet(mark: str, text: str, style: str) -> Table:
    """Return a paragraph with a mark to its left.

    Args:
        mark: The mark, such as "!".
        text: The paragraph.
        style: Rich's style of the mark.
    """
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_row(Text(mark, style=style), Text(printable(text)))
    return grid


def several(count: int, noun: str) -> str:
    """Return a count with its noun in the singular or plural."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
