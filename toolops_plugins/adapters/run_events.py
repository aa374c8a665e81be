"""Report the runs of a framework to a runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolops_plugins.adapters.model_costs import (
    Details,
    ModelCosts,
    Prices,
    model_details,
    token_details,
)
from toolops_plugins.runtime import ToolOps
from toolops_plugins.telemetry.events import CallEvent, CallKind, Outcome

__all__ = ["Details", "Prices", "Run", "RunReporter"]

_KINDS: dict[str, CallKind] = {
    "chat": "chat",
    "embedding": "embeddings",
    "llm": "text_completion",
}
"""The kinds of the runs of models."""
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
        provider: The model's provider, as the framework calls it. Default "": not known.
        agent: The name of the agent that it runs for. Default "": none, or not known.
    """

    __slots__ = ("agent", "began", "first", "kind", "model", "name", "provider", "started")

    def __init__(
        self,
        kind: str,
        name: str,
        model: str,
        began: float,
        started: float,
        *,
        provider: str = "",
        agent: str = "",
    ) -> None:
        self.kind = kind
        self.name = f"{kind}:{name[:_NAME]}"
        self.model = model
        self.began = began
        self.started = started
        self.provider = provider
        self.agent = agent
        self.first: float | None = None  # when the first token came


class RunReporter:
    """Tells a runtime what came of runs, and what they cost. Safe to use from any threads.

    Args:
        ops: The runtime.
        prices: Prices of models, or a callable over model and usage that returns money. None:
            published prices, where the extra ``prices`` is installed; else models are free.

    Raises:
        ConfigurationError: The prices are none.
    """

    def __init__(self, ops: ToolOps, prices: Prices | None) -> None:
        self.ops = ops
        self._costs = ModelCosts(ops, prices)

    def money(self, run: Run, models: Sequence[str], usage: Mapping[str, Any] | None) -> float:
        """Return what a run of a model has cost; nothing if that cannot be told.

        Args:
            run: The run.
            models: The names that the model goes by, that which was asked for first.
            usage: Its tokens, as :class:`~toolops_plugins.prices.tables.TokenPrice` takes them.
        """
        # What the answer says is the model that was paid for; what was asked for may be an alias.
        return self._costs.price([*models[1:], *models[:1]], usage, run.provider)

    def details(
        self,
        run: Run,
        models: Sequence[str] = (),
        usage: Mapping[str, Any] | None = None,
        *,
        saved: bool = False,
    ) -> Details | None:
        """Return what sinks get of a run beside its event; None if nothing is known.

        Args:
            run: The run.
            models: As for :meth:`money`. Default: none.
            usage: As for :meth:`money`. Default None: not known.
            saved: Whether a cache has answered, so that the tokens were not spent again. Default
                False.
        """
        details = model_details(models, run.provider, run.agent)
        details.update(token_details(usage, saved=saved))
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
        latency = self.ops.clock.monotonic() - run.began
        self.ops.tell(
            CallEvent(
                run.name,
                outcome,
                latency,
                run.started,
                tier=tier,
                saved_price=saved,
                key=key,
                price=price,
                attempts=0 if outcome == "hit" else 1,
                reason=reason or ("no_cache" if outcome == "bypass" else None),
                error=error,
                details=details,
                kind=_KINDS.get(run.kind, "tool"),
                worked=0.0 if outcome in ("hit", "rejected") else latency,
            )
        )
