"""The report as text, in tables that fit a hundred columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from toolops_plugins.audit.text import bullet, indent, printable, several, table
from toolops_plugins.cli.savings.figures import Figures
from toolops_plugins.cli.savings.wording import Wording, explain
from toolops_plugins.telemetry.formats import percentage, shorten_name
from toolops_plugins.telemetry.ledger import Summary

__all__ = ["show"]

_BARS = " ▁▂▃▄▅▆▇█"
_NAME = 30


def show(console: Console, figures: Figures, words: Wording, top: int) -> None:
    """Print the report.

    Args:
        console: The console to print to.
        figures: The figures; there are calls.
        words: Makes amounts into words.
        top: The number of rows of each table.
    """
    console.print(Text("What ToolOps has saved", style="bold"))
    console.print(indent(Text(f"{words.span(figures)}, {printable(figures.place)}", style="dim")))
    console.print()
    console.print(indent(_headline(figures, words)))
    console.print()
    console.print(indent(_comparison(figures, words)))
    for title, rows in (
        ("tool", figures.tools),
        ("model", figures.models),
        ("agent", figures.agents),
    ):
        if rows:
            console.print()
            console.print(indent(_rows(title, rows, figures, words, top)))
    if figures.prevented:
        console.print()
        console.print(indent(_prevention_table(figures)))
    if figures.misses and top:
        console.print()
        console.print(indent(_misses(figures, words)))
    if len(figures.trend) > 1:
        console.print()
        console.print(indent(_trend(figures, words)))
    console.print()
    for sentence in explain(figures, words):
        console.print(bullet(" ", sentence, "dim"))


def _headline(figures: Figures, words: Wording) -> Text:
    total = figures.total
    line = Text()
    if figures.has_money:
        line.append(words.money(total.saved_cost), style="bold green")
        line.append(f" and {words.hours(total.saved_seconds)} saved")
        if figures.monthly_savings is not None:
            line.append(f" ({words.per_month(figures.monthly_savings)})")
    else:
        line.append(words.hours(total.saved_seconds), style="bold green").append(" saved")
    line.append(
        f"; {total.shared:,} of {several(total.calls, 'call')} were answered without a run of "
        "their own."
    )
    cost, ratio = figures.service_cost, figures.pay_back
    if cost is not None:
        line.append(f"\nRunning it cost {words.money(cost)} in this time: ")
        if ratio is None:
            line.append("it costs nothing.")
        else:
            style = "bold green" if ratio >= 1 else "bold red"
            line.append(f"it has paid back {ratio:,.1f} times its cost", style=style)
            line.append(f", {words.money(total.saved_cost - cost)} on balance.")
    if not figures.has_money:
        line.append("\nNo call had a price: see the guide on money for what prices need.")
    return line


def _comparison(figures: Figures, words: Wording) -> Table:
    made = table("", "with ToolOps", "without", "less")
    rows: list[tuple[str, float, float, str, str]] = []
    if figures.has_money:
        spent, without = figures.total.spent_cost, figures.money_without
        rows.append(("money", spent, without, words.money(spent), words.money(without)))
    waited, alone = figures.seconds_with, figures.seconds_without
    rows.append(("time of callers", waited, alone, words.hours(waited), words.hours(alone)))
    failed, alone = figures.failures, figures.failures_without
    if alone:
        rows.append(("failed calls", failed, alone, f"{failed:,}", f"{alone:,}"))
    for name, now, before, text, text_before in rows:
        made.add_row(name, text, text_before, percentage(1 - now / before) if before else "-")
    return made


def _rows(
    title: str, rows: Mapping[str, Summary], figures: Figures, words: Wording, top: int
) -> Table:
    titles = ["calls", "hit rate", "coalesced", "saved time"]
    made = table(
        title, *titles, *((words.title("saved"), words.title("spent")) if figures.has_money else ())
    )
    made.columns[0].no_wrap = False  # it gives way where the others would not fit
    for name, sums in list(rows.items())[:top]:
        made.add_row(_name_cell(name), *words.cells(sums, figures))
    rest = list(rows.values())[top:]
    if rest:
        made.add_row(
            Text(f"{len(rest):,} more", style="dim"), *words.cells(Summary.merge(rest), figures)
        )
    return made


def _name_cell(name: str) -> Text:
    # In a narrow terminal a name goes on in the next line: cut off, two models look the same.
    return Text(shorten_name(printable(name), _NAME), overflow="fold")


def _prevention_table(figures: Figures) -> Table:
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    made.add_column("prevented by", no_wrap=True)
    made.add_column("calls", justify="right", no_wrap=True)
    made.add_column("what", overflow="fold")
    for each in figures.prevented:
        tools = ", ".join(
            f"{shorten_name(printable(name), 20)} {count:,}" for name, count in each.tools
        )
        made.add_row(each.policy, f"{each.count:,}", Text(f"{each.effect}: {tools}"))
    return made


def _misses(figures: Figures, words: Wording) -> Table:
    made = table("paid for most", "runs", "hit rate", "cost" if figures.has_money else "took")
    made.columns[0].no_wrap = False
    for miss in figures.misses:
        name = _name_cell(miss.tool)
        beside = [shorten_name(printable(each), _NAME) for each in (miss.model, miss.agent) if each]
        if beside:
            name.append(f" {' · '.join(beside)}", style="dim")
        if miss.advice:
            name.append(f"\n{miss.advice}", style="yellow")
        cost = words.money(miss.spent) if figures.has_money else words.hours(miss.seconds)
        made.add_row(name, f"{miss.runs:,}", percentage(miss.hit_rate), cost)
    return made


def _trend(figures: Figures, words: Wording) -> Table:
    made = Table.grid(padding=(0, 2, 0, 0))
    trend = figures.trend[-62:]
    steps = [sums for _, sums in trend]
    lines: list[tuple[str, list[float], str]] = [
        ("calls", [float(each.calls) for each in steps], f"{max(e.calls for e in steps):,}"),
        ("hit rate", [each.hit_rate or 0.0 for each in steps], "100%"),
    ]
    if figures.has_money:
        saved = [each.saved_cost for each in steps]
        spent = [each.spent_cost for each in steps]
        lines += [
            ("saved", saved, words.money(max(saved))),
            ("spent", spent, words.money(max(spent))),
        ]
    for name, values, most in lines:
        full = 1.0 if name == "hit rate" else max(values)
        made.add_row(name, Text(_sparkline(values, full), style="cyan"), f"at most {most}")
    first, last = (words.moment(at, step=figures.step) for at in (trend[0][0], trend[-1][0]))
    kind = "day" if figures.step >= 86_400 else "hour"
    made.add_row("", Text(f"{first} to {last}, by {kind} (UTC)", style="dim"), "")
    return made


def _sparkline(values: Iterable[float], full: float) -> str:
    last = len(_BARS) - 1
    return "".join(
        _BARS[0 if value <= 0 else max(1, min(last, round(value / full * last)))]
        for value in values
    )
