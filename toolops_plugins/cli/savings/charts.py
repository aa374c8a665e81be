"""Small charts as inline SVG, with their text as HTML, which keeps its size on a phone."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

__all__ = ["draw_bars", "draw_line"]

_WIDTH, _HEIGHT = 720.0, 150.0
_GAP = 0.2
"""Share of a bar's place that stays free."""


def draw_bars(
    names: Sequence[str],
    layers: Sequence[tuple[str, Sequence[float]]],
    titles: Sequence[str],
    most: str,
) -> str:
    """Return stacked bars.

    Args:
        names: The name of each bar, for the axis.
        layers: The class and the heights of each layer, lowest first.
        titles: What is shown for each bar under the pointer.
        most: The height of the highest bar, in words.
    """
    highest = max((sum(values) for values in zip(*(v for _, v in layers), strict=True)), default=0)
    place = _WIDTH / max(len(names), 1)
    width = place * (1 - _GAP)
    shapes = []
    for number, title in enumerate(titles):
        at = number * place + place * _GAP / 2
        base = _HEIGHT
        shapes.append(
            f'<g><title>{escape(title)}</title><rect x="{number * place:.1f}" y="0" '
            f'width="{place:.1f}" height="{_HEIGHT:g}" fill="transparent"/>'
        )
        for css, values in layers:
            height = values[number] / highest * _HEIGHT if highest else 0.0
            base -= height
            if height:
                shapes.append(
                    f'<rect class="{css}" x="{at:.1f}" y="{base:.1f}" width="{width:.1f}" '
                    f'height="{height:.1f}"/>'
                )
        shapes.append("</g>")
    return _frame("".join(shapes), names, most)


def draw_line(
    names: Sequence[str], values: Sequence[float | None], titles: Sequence[str], most: str
) -> str:
    """Return a line of shares between 0 and 1, with gaps where there is none.

    Args:
        names: The name of each point, for the axis.
        values: The shares.
        titles: What is shown for each point under the pointer.
        most: The upper end, in words.
    """
    place = _WIDTH / max(len(names), 1)
    parts: list[list[str]] = [[]]
    areas = []
    for number, value in enumerate(values):
        at = (number + 0.5) * place
        areas.append(
            f'<rect x="{number * place:.1f}" y="0" width="{place:.1f}" height="{_HEIGHT:g}" '
            f'fill="transparent"><title>{escape(titles[number])}</title></rect>'
        )
        if value is None:
            parts.append([])
        else:
            parts[-1].append(f"{at:.1f},{_HEIGHT * (1 - min(value, 1.0)):.1f}")
    lines = []
    for points in parts:
        if len(points) == 1:  # which has no length: a short stroke stands for it
            x, y = points[0].split(",")
            points.append(f"{float(x) + 3:.1f},{y}")
        if points:
            lines.append(f'<polyline class="line" points="{" ".join(points)}"/>')
    return _frame("".join((*lines, *areas)), names, most)


def _frame(shapes: str, names: Sequence[str], most: str) -> str:
    middle = names[len(names) // 2] if len(names) > 2 else ""
    marks = "".join(
        f'<line class="grid" x1="0" x2="{_WIDTH:g}" y1="{y:g}" y2="{y:g}"/>'
        for y in (0.5, _HEIGHT / 2, _HEIGHT - 0.5)
    )
    first, last = (names[0], names[-1]) if names else ("", "")
    return (
        f'<div class="chart"><div class="most">{escape(most)}</div>'
        f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" preserveAspectRatio="none" role="img">'
        f'{marks}{shapes}</svg><div class="axis"><span>{escape(first)}</span>'
        f"<span>{escape(middle)}</span><span>{escape(last)}</span></div></div>"
    )
