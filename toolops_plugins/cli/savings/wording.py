"""Words that the report has in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from toolops_plugins.cli.savings.figures import Figures
from toolops_plugins.telemetry.formats import duration, money, percentage
from toolops_plugins.telemetry.ledger import Summary

__all__ = ["Wording", "explain"]


class Wording:
    """Amounts and times in words.

    Args:
        currency: Stands behind amounts of money; or nothing.
    """

    def __init__(self, currency: str) -> None:
        self._currency = currency

    def money(self, amount: float) -> str:
        """Return an amount with its currency."""
        text = money(amount)
        return f"{text} {self._currency}" if self._currency else text

    def title(self, name: str) -> str:
        """Return the title of a column of amounts."""
        return f"{name} {self._currency}" if self._currency else name

    def per_month(self, amount: float) -> str:
        """Return an amount a month."""
        return f"{self.money(amount)} a month"

    def hours(self, seconds: float) -> str:
        """Return a time: in hours from one hour on."""
        return f"{seconds / 3600:,.1f} h" if seconds >= 3600 else duration(seconds)

    def moment(self, at: float, *, step: float) -> str:
        """Return the name of a step of the trend."""
        form = "%b %-d" if step >= 86_400 else "%b %-d %H:%M"
        return datetime.fromtimestamp(at, UTC).strftime(form)

    def cells(self, sums: Summary, figures: Figures) -> Iterator[str]:
        """Yield the cells of a row of calls: counts, time, and money where any call had a price."""
        yield f"{sums.calls:,}"
        yield percentage(sums.hit_rate)
        yield f"{sums.outcomes.get('coalesced', 0):,}"
        yield self.hours(sums.saved_seconds)
        if figures.has_money:
            yield money(sums.saved_cost)
            yield money(sums.spent_cost)

    def span(self, figures: Figures) -> str:
        """Return the span of the figures, as two moments."""
        since, until = (
            datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
            for at in (figures.since, figures.until)
        )
        return f"{since} to {until} UTC"


def explain(figures: Figures, words: Wording) -> Iterator[str]:
    """Yield the sentences that say how the figures are computed."""
    yield (
        "Every figure is counted from calls that were made. An answer that came from a cache, or "
        "from an equal call under way, stands for one call that was not made: without ToolOps it "
        "would have cost and taken what the call cost and took that made the answer."
    )
    yield (
        "Time is what callers waited, one call after the other. Where calls ran side by side, or a "
        "tool called a model, more is counted than went by on a clock."
    )
    yield (
        "A failure counts as prevented if another attempt returned, a stale answer stood in for "
        "it, or a fallback answered."
    )
    if figures.has_money:
        yield (
            "Money is in the unit of your prices; published prices of models are US dollars. Calls "
            "without a price, or whose answer told no tokens, count as free."
        )
    if figures.began > figures.since + figures.step:
        yield (
            f"The first calls are of {words.moment(figures.began, step=figures.step)}; paces, and "
            "the cost of running the service, count from then."
        )
    if figures.left_out:
        yield (
            f"Left out: {figures.left_out} rows of chains, agents, crews and batches, since the "
            "calls of tools and models in them are counted themselves."
        )
