"""The report as one page of HTML that needs nothing else: no script, no font, no other host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape

from toolops_plugins.cli.savings.charts import draw_bars, draw_line
from toolops_plugins.cli.savings.figures import Figures
from toolops_plugins.cli.savings.page_style import STYLE
from toolops_plugins.cli.savings.wording import Wording, explain
from toolops_plugins.telemetry.formats import money, percentage, shorten_name
from toolops_plugins.telemetry.ledger import Summary

__all__ = ["page_of"]

_NAME = 60


def page_of(figures: Figures, words: Wording, top: int) -> str:
    """Return the page.

    Args:
        figures: The figures.
        words: Makes amounts into words.
        top: The number of rows of each table.
    """
    body = "".join(_sections(figures, words, top))
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>What ToolOps has saved</title><style>{STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )
    # Names may hold halves of surrogate pairs, which no page can be made of.
    return page.encode("utf-8", "replace").decode()


def _sections(figures: Figures, words: Wording, top: int) -> Iterator[str]:
    yield (
        "<header><h1>What ToolOps has saved</h1>"
        f"<p class=faint>{escape(words.span(figures))} <span class=place>"
        f"{escape(figures.place)}</span></p></header>"
    )
    if not figures.total.outcomes:
        yield "<p class=empty>There are no calls in this time.</p>"
        return
    yield f'<section class="tiles">{"".join(_tiles(figures, words))}</section>'
    yield _comparison(figures, words)
    if len(figures.trend) > 1:
        yield _trend(figures, words)
    for title, rows in (
        ("Tools", figures.tools),
        ("Models", figures.models),
        ("Agents", figures.agents),
    ):
        if rows and top:
            titles = _row_titles(figures, words)
            yield _table(title, titles, _rows(rows, titles, figures, words, top))
    if figures.prevented:
        yield _table("What policies prevented", ("calls",), _prevention_rows(figures))
    if figures.misses and top:
        titles = ("runs", "hit rate", words.title("cost") if figures.has_money else "took")
        yield _table("Paid for most", titles, _misses(figures, words))
    sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in explain(figures, words))
    yield f"<section class=how><h2>How this is computed</h2>{sentences}</section>"


def _tiles(figures: Figures, words: Wording) -> Iterator[str]:
    total = figures.total
    if figures.has_money:
        monthly = figures.monthly_savings
        pace = "not spent again" if monthly is None else words.per_month(monthly)
        yield _tile("saved", words.money(total.saved_cost), pace, "good")
    yield _tile("waiting saved", words.hours(total.saved_seconds), "by all callers together")
    yield _tile(
        "hit rate",
        percentage(total.hit_rate),
        f"{total.shared:,} of {total.calls:,} calls answered without a run",
    )
    cost, ratio = figures.service_cost, figures.pay_back
    if cost is not None and ratio is not None:
        yield _tile(
            "pay-back",
            f"{ratio:,.1f} times",
            f"{words.money(total.saved_cost - cost)} after {words.money(cost)} for running it",
            "good" if ratio >= 1 else "bad",
        )
    elif total.input_tokens or total.saved_tokens:
        yield _tile("tokens saved", f"{total.saved_tokens:,}", f"{_tokens(total):,} paid for")


def _tokens(total: Summary) -> int:
    return total.input_tokens + total.output_tokens


def _tile(name: str, value: str, beside: str, css: str = "") -> str:
    return (
        f'<div class="tile"><div class=name>{escape(name)}</div>'
        f'<div class="value {css}">{escape(value)}</div>'
        f"<div class=faint>{escape(beside)}</div></div>"
    )


def _comparison(figures: Figures, words: Wording) -> str:
    rows = []
    if figures.has_money:
        spent, without = figures.total.spent_cost, figures.money_without
        rows.append(("Money", spent, without, words.money(spent), words.money(without)))
    waited, alone = figures.seconds_with, figures.seconds_without
    rows.append(
        ("Time that callers waited", waited, alone, words.hours(waited), words.hours(alone))
    )
    failed, more = figures.failures, figures.failures_without
    if more:
        rows.append(("Failed calls", failed, more, f"{failed:,}", f"{more:,}"))
    made = []
    for name, now, before, text, text_before in rows:
        share = now / before if before else 1.0
        less = f"{percentage(1 - share)} less" if share < 1 else "the same"
        made.append(
            f"<div class=pair><div class=head><b>{escape(name)}</b><span class=faint>{less}</span>"
            f"</div>{_bar('with ToolOps', share, text, 'with')}"
            f"{_bar('without', 1.0, text_before, 'without')}</div>"
        )
    return f"<section><h2>With and without ToolOps</h2>{''.join(made)}</section>"


def _bar(name: str, share: float, text: str, css: str) -> str:
    return (
        f'<div class=bar><span class=name>{name}</span><span class=track><span class="{css}" '
        f'style="width:{100 * share:.1f}%"></span></span><span class=number>{escape(text)}</span>'
        "</div>"
    )


def _trend(figures: Figures, words: Wording) -> str:
    trend = figures.trend
    names = [words.moment(at, step=figures.step) for at, _ in trend]
    steps = [sums for _, sums in trend]
    step = "day" if figures.step >= 86_400 else "hour"
    charts = []
    if figures.has_money:
        spent = [each.spent_cost for each in steps]
        saved = [each.saved_cost for each in steps]
        most = max(map(sum, zip(spent, saved, strict=True)))
        titles = [
            f"{name}: {words.money(b)} saved, {words.money(a)} spent"
            for name, a, b in zip(names, spent, saved, strict=True)
        ]
        layers = (("spent", spent), ("saved", saved))
        charts.append(
            f"<h3>Money by {step}{_legend(('saved', 'saved'), ('spent', 'spent'))}</h3>"
            + draw_bars(names, layers, titles, words.money(most))
        )
    ran = [float(each.calls - each.shared) for each in steps]
    shared = [float(each.shared) for each in steps]
    titles = [
        f"{name}: {each.calls:,} calls, {each.shared:,} answered without a run"
        for name, each in zip(names, steps, strict=True)
    ]
    legend = _legend(("saved", "answered without a run"), ("spent", "run"))
    charts.append(
        f"<h3>Calls by {step}{legend}</h3>"
        + draw_bars(
            names, (("spent", ran), ("saved", shared)), titles, f"{max(e.calls for e in steps):,}"
        )
    )
    rates = [each.hit_rate for each in steps]
    titles = [f"{name}: {percentage(rate)}" for name, rate in zip(names, rates, strict=True)]
    charts.append(f"<h3>Hit rate by {step}</h3>{draw_line(names, rates, titles, '100%')}")
    return f"<section><h2>Trend</h2>{''.join(charts)}</section>"


def _legend(*entries: tuple[str, str]) -> str:
    marks = "".join(f'<span><i class="{css}"></i>{escape(name)}</span>' for css, name in entries)
    return f"<span class=legend>{marks}</span>"


def _table(title: str, titles: Sequence[str], rows: Iterable[str]) -> str:
    head = "".join(f'<th scope="col"{_width(each)}>{escape(each)}</th>' for each in titles)
    return (
        f"<section><h2>{escape(title)}</h2><div class=scroll><table><thead><tr><th></th>{head}"
        f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _width(title: str) -> str:
    """Return the attribute of columns that a phone has no room for."""
    return " class=wide" if title in ("coalesced", "time saved") else ""


def _row_titles(figures: Figures, words: Wording) -> tuple[str, ...]:
    titles = ("calls", "hit rate", "coalesced", "time saved")
    return (*titles, words.title("saved"), words.title("spent")) if figures.has_money else titles


def _rows(
    rows: Mapping[str, Summary], titles: Sequence[str], figures: Figures, words: Wording, top: int
) -> Iterator[str]:
    for name, sums in list(rows.items())[:top]:
        yield _row(_name(name), words.cells(sums, figures), titles)
    rest = list(rows.values())[top:]
    if rest:
        more = f"<span class=faint>{len(rest):,} more</span>"
        yield _row(more, words.cells(Summary.merge(rest), figures), titles)


def _prevention_rows(figures: Figures) -> Iterator[str]:
    for each in figures.prevented:
        tools = ", ".join(f"{shorten_name(name, 30)} {count:,}" for name, count in each.tools)
        note = f"<small>{escape(each.effect)}: {escape(tools)}</small>"
        yield _row(f"{escape(each.policy)}{note}", [f"{each.count:,}"])


def _misses(figures: Figures, words: Wording) -> Iterator[str]:
    for miss in figures.misses:
        beside = [each for each in (miss.model, miss.agent, miss.advice) if each]
        note = "".join(f"<small>{escape(shorten_name(each, 80))}</small>" for each in beside)
        cost = money(miss.spent) if figures.has_money else words.hours(miss.seconds)
        yield _row(f"{_name(miss.tool)}{note}", [f"{miss.runs:,}", percentage(miss.hit_rate), cost])


def _name(name: str) -> str:
    return escape(shorten_name(name, _NAME)).replace("_", "_<wbr>").replace(".", ".<wbr>")


def _row(name: str, cells: Iterable[str], titles: Sequence[str] = ()) -> str:
    cells = list(cells)
    titles = titles or [""] * len(cells)
    numbers = "".join(
        f"<td{_width(title)}>{escape(each)}</td>" for each, title in zip(cells, titles, strict=True)
    )
    return f'<tr><th scope="row">{name}</th>{numbers}</tr>'
