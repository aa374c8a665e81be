"""The charts.

A specification depends on the names in the data and on nothing else: as long as they stay, a
refresh hands new numbers to the chart that is there, and nothing flickers. So axes take their
ranges from the data, and whoever calls fills gaps with zeros.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt
import pandas as pd
import streamlit as st

__all__ = ["draw_bars", "draw_histogram", "draw_lines", "draw_ranks"]

Row = Mapping[str, Any]

_HEIGHT: Final = 230
_FRAME: Final = 70  # pixels of a chart around its bars
_TIME: Final = "%d %b %H:%M"
_WIDE: Final = 46  # pixels of the axis on the left, so that charts below each other are aligned

_SECONDS: Final = (
    "datum.value >= 60 ? format(datum.value / 60, ',~r') + ' min' : datum.value >= 1 ? "
    "format(datum.value, '~r') + ' s' : datum.value >= 0.001 ? format(datum.value * 1e3, '~r') + "
    "' ms' : format(datum.value * 1e6, '~r') + ' µs'"
)
_DURATIONS: Final = [
    1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0,
    60.0, 180.0, 600.0, 1_800.0, 3_600.0,
]  # fmt: skip
_COUNT: Final = "datum.value >= 1000 ? format(datum.value, '~s') : format(datum.value, ',~r')"


def draw_bars(
    rows: Sequence[Row], colors: Mapping[str, str], *, clock: str, unit: str, key: str, title: str
) -> None:
    """Draw bars over time, one upon the other.

    Args:
        rows: "start" and "end" in seconds since the epoch, "name", "value" and "text".
        colors: The names with their colours, the lowest first; also the order of the legend.
        clock: The format of the times at the axis.
        unit: The unit, for tooltips, such as "calls a minute".
        key: The identity of the chart on its page.
        title: What the chart shows, for those who do not see it.
    """
    data = _with_times(_stack(rows, list(colors), "start"))
    chart = (
        alt.Chart()
        .mark_rect()
        .encode(
            x=_time_axis(clock),
            x2="end:T",
            y=_value_axis(),
            y2="above:Q",
            color=_colors(colors),
            tooltip=[
                alt.Tooltip("start:T", title="from", format=_TIME),
                alt.Tooltip("name:N", title=" "),
                alt.Tooltip("text:N", title=unit),
            ],
        )
    )
    _show(chart, data, key, title)


def draw_lines(
    rows: Sequence[Row], colors: Mapping[str, str], *, clock: str, key: str, title: str
) -> None:
    """Draw durations over time as lines, on a logarithmic axis.

    Args:
        rows: "start" in seconds since the epoch, "name", "value" in seconds (None: a gap) and
            "text".
        colors: The names of the lines with their colours, in the order of the legend.
        clock: The format of the times at the axis.
        key: The identity of the chart on its page.
        title: What the chart shows, for those who do not see it.
    """
    base = alt.Chart().encode(
        x=_time_axis(clock),
        y=alt.Y(
            "value:Q",
            scale=alt.Scale(type="log", nice=True),
            title=None,
            axis=alt.Axis(
                labelExpr=_SECONDS,
                values=_DURATIONS,
                labelOverlap=True,
                minExtent=_WIDE,
                domain=False,
            ),
        ),
        color=_colors(colors),
    )
    tooltip = [
        alt.Tooltip("start:T", title="from", format=_TIME),
        alt.Tooltip("name:N", title=" "),
        alt.Tooltip("text:N", title="time"),
    ]
    lines = base.mark_line(strokeWidth=1.8, interpolate="linear")
    # Larger than they look, so that a finger or a mouse finds them.
    points = base.mark_circle(size=90, opacity=0.001).encode(tooltip=tooltip)
    single = base.mark_circle(size=14)
    _show(lines + single + points, _with_times(rows), key, title)


def draw_histogram(rows: Sequence[Row], colors: Mapping[str, str], *, key: str, title: str) -> None:
    """Draw counts of similarities, one name upon the other.

    Args:
        rows: "low" and "high", the edges of a bar; "name" and "value", a count.
        colors: The names with their colours, the lowest first.
        key: The identity of the chart on its page.
        title: What the chart shows, for those who do not see it.
    """
    data = pd.DataFrame(_stack(rows, list(colors), "low"))
    axis = alt.Axis(format=".2f", tickCount=6, grid=False)
    chart = (
        alt.Chart()
        .mark_rect(stroke=None)
        .encode(
            x=alt.X("low:Q", title=None, axis=axis, scale=alt.Scale(zero=False, nice=False)),
            x2="high:Q",
            y=_value_axis(),
            y2="above:Q",
            color=_colors(colors),
            tooltip=[
                alt.Tooltip("low:Q", title="from", format=".2f"),
                alt.Tooltip("high:Q", title="to", format=".2f"),
                alt.Tooltip("name:N", title=" "),
                alt.Tooltip("value:Q", title="questions", format=","),
            ],
        )
    )
    _show(chart, data, key, title)


def draw_ranks(
    rows: Sequence[Row], colors: Mapping[str, str], *, unit: str, key: str, title: str
) -> None:
    """Draw horizontal bars, one line for each label, the largest first.

    Args:
        rows: "label", "name", "value" and "text".
        colors: The names of the parts of a bar with their colours, the leftmost first.
        unit: The unit, for tooltips.
        key: The identity of the chart on its page.
        title: What the chart shows, for those who do not see it.
    """
    totals: Counter[str] = Counter()
    for row in rows:
        totals[row["label"]] += row["value"]
    # The browser would sort too, but by values that it does not yet have.
    order = {name: place for place, name in enumerate(colors)}
    data = pd.DataFrame(
        {**row, "order": order[row["name"]]}
        for row in sorted(rows, key=lambda row: (-totals[row["label"]], row["label"]))
    )
    chart = (
        alt.Chart()
        .mark_bar(size=16)
        .encode(
            y=alt.Y(
                "label:N",
                sort=None,
                title=None,
                axis=alt.Axis(labelLimit=130, labelOverlap=False, domain=False, ticks=False),
            ),
            x=alt.X("value:Q", stack="zero", title=None, axis=_counts()),
            color=_colors(colors),
            order=alt.Order("order:Q"),
            tooltip=[
                alt.Tooltip("label:N", title=" "),
                alt.Tooltip("name:N", title="  "),
                alt.Tooltip("text:N", title=unit),
            ],
        )
    )
    _show(chart, data, key, title, height=_FRAME + 26 * len(totals))


def _stack(rows: Sequence[Row], names: Sequence[str], place: str) -> list[dict[str, Any]]:
    """Return rows with "below" and "above", the edges of each bar upon the lower ones.

    The browser would stack bars too, but not ones whose left and right edges are both given.
    """
    order = {name: number for number, name in enumerate(names)}
    tops: dict[Any, float] = {}
    found = []
    for row in sorted(rows, key=lambda row: order[row["name"]]):
        below = tops.get(row[place], 0.0)
        above = tops[row[place]] = below + row["value"]
        found.append({**row, "below": below, "above": above})
    return found


def _with_times(rows: Sequence[Row]) -> Any:
    data = pd.DataFrame(list(rows))
    for column in ("start", "end"):
        if column in data:
            data[column] = pd.to_datetime(data[column], unit="s", utc=True)
    return data


def _time_axis(clock: str) -> alt.X:
    # Labels that would overlap are left out; on a phone there is room for four.
    axis = alt.Axis(format=clock, tickCount=5, labelOverlap=True, labelBound=True, grid=False)
    return alt.X("start:T", title=None, axis=axis)


def _value_axis() -> alt.Y:
    return alt.Y("below:Q", title=None, axis=_counts(), scale=alt.Scale(zero=True))


def _counts() -> alt.Axis:
    return alt.Axis(labelExpr=_COUNT, tickCount=4, minExtent=_WIDE, domain=False)


def _colors(colors: Mapping[str, str]) -> alt.Color:
    # Four in a row, since a legend does not wrap and a phone has room for no more.
    legend = alt.Legend(
        title=None,
        orient="top",
        columns=4,
        symbolType="square",
        labelLimit=110,
        symbolOpacity=1,
        offset=6,
        padding=0,
    )
    scale = alt.Scale(domain=list(colors), range=list(colors.values()))
    return alt.Color("name:N", scale=scale, legend=legend)


def _show(chart: Any, data: Any, key: str, title: str, height: int = _HEIGHT) -> None:
    padding = {"left": 0, "top": 4, "right": 4, "bottom": 0}
    # Apart from its data: Altair would name the data in the specification by what is in it.
    specification = chart.properties(height=height, padding=padding).to_dict(validate=False)
    st.vega_lite_chart(data, specification, width="stretch", key=key, alt=title)
