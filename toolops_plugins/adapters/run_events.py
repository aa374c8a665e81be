"""Report the runs of a framework to a runtime."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from toolops_plugins.adapters.prices import PriceTable
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.runtime import ToolOps
from toolops_plugins.telemetry.events import CallEvent, Outcome

__all__ = ["Details", "Prices", "Run", "RunReporter"]

logger = logging.getLogger("toolops_plugins")

Details: TypeAlias = dict[str, str | int | float | bool]
Prices: TypeAlias = PriceTable | Callable[[str, Mapping[str, Any]], float]

_NAME = 100
"""Characters of a run's name that are kept."""


class Run:
    """A run under way.

    Args:
        kind: The word before the colon of its row, such as "chat".
        name: The word behind it.
        model: The model's name. Empty: it has none, or none is known.
        began: When it began, by the monotonic clock.
        started: When it began, in seconds since the epoch.
    """

    __slots__ = ("began", "first", "kind", "model", "name", "started")

    def __init__(self, kind: str, name: str, model: str, began: float, started: float) -> None:
        self.kind = kind
        self.name = f"{kind}:{name[:_NAME]}"
        self.model = model
        self.began = began
        self.started = started
        self.first: float | None = None  # when the first token came


class RunReporter:
    """Tells a runtime what came of runs, and what they cost. Safe to use from any threads.

    Args:
        ops: The runtime.
        prices: Prices of models, or a callable over model and usage that returns money. None:
            models are free.

    Raises:
        ConfigurationError: The prices are none.
    """

    def __init__(self, ops: ToolOps, prices: Prices | None) -> None:
        if prices is not None and not callable(prices):
            raise ConfigurationError("prices", f"must be a mapping or a callable, not {prices!r}")
        self.ops = ops
        self._prices = prices
        self._warned = False

    def money(self, models: Sequence[str], usage: Mapping[str, Any] | None) -> float:
        """Return what a call of a model has cost; nothing if that cannot be told.

        Args:
            models: The names that the model goes by, the likeliest first.
            usage: Its tokens, as :class:`~toolops_plugins.adapters.prices.TokenPrice` takes them.
        """
        if self._prices is None or not usage:
            return 0.0
        try:
            if isinstance(self._prices, PriceTable):
                return self._prices.of(models, usage)
            return float(self._prices(next((name for name in models if name), ""), usage))
        except Exception as error:  # noqa: BLE001 - a broken price must not cost the user the count
            if not self._warned:
                self._warned = True
                logger.warning("Prices of models cannot be told: %s", type(error).__name__)
            return 0.0

    def details(self, run: Run, model: str, usage: Mapping[str, Any] | None) -> Details | None:
        """Return what sinks get of a model's run beside its event; None if nothing is known."""
        details: Details = {"model": model} if model else {}
        for name in ("input_tokens", "output_tokens", "total_tokens"):
            count = (usage or {}).get(name)
            if isinstance(count, int):
                details[name] = count
        if run.first is not None:
            details["time_to_first_token"] = run.first - run.began
        return details or None

    def tell(
        self,
        run: Run,
        outcome: Outcome,
        details: Details | None = None,
        *,
        tier: str | None = None,
        saved: float = 0.0,
        price: float = 0.0,
        key: str | None = None,
        reason: str | None = None,
        error: str | None = None,
    ) -> None:
        """Tell the runtime that a run has ended; what is not known of it keeps its default."""
        self.ops.tell(
            CallEvent(
                run.name,
                outcome,
                self.ops.clock.monotonic() - run.began,
                run.started,
                tier=tier,
                saved_price=saved,
                key=key,
                price=price,
                attempts=0 if outcome == "hit" else 1,
                reason=reason or ("no_cache" if outcome == "bypass" else None),
                error=error,
                details=details,
            )
        )
