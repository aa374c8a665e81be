"""Prices of texts that are embedded, and the model in the events of their calls.

The embedding interfaces of the frameworks tell no tokens, so a text's are estimated by its length.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from toolops_plugins.adapters.model_costs import ModelCosts, model_details
from toolops_plugins.policy.policy import PriceLike
from toolops_plugins.prices.tables import PriceTable
from toolops_plugins.runtime import ToolOps
from toolops_plugins.telemetry.events import CallKind

if TYPE_CHECKING:
    from toolops_plugins.calls.plan import Plan

__all__ = ["EmbeddingCosts", "price_text"]

_CHARACTERS: Final = 4
"""Characters of a token, by the usual rule of thumb for English."""
_tokens: ContextVar[int] = ContextVar("toolops_embedding_tokens", default=0)


@contextmanager
def price_text(role: str, text: str) -> Iterator[None]:
    """Let what is stored in this block have the price of a text.

    Args:
        role: What the text is to the model. An image has no tokens.
        text: The text.
    """
    token = _tokens.set(0 if role == "image" else -(-len(text) // _CHARACTERS))
    try:
        yield
    finally:
        _tokens.reset(token)


class EmbeddingCosts:
    """Prices and describes what is embedded by one model.

    Safe to use from any threads and event loops.

    Args:
        ops: The runtime.
        model: The model's name.
        provider: Its provider, as the framework calls it; "" if that is not known.
        price: The price in the user's policy, which stays if it is not a table of prices.

    Attributes:
        price: The price of a text.
    """

    def __init__(self, ops: ToolOps, model: str, provider: str, price: PriceLike | None) -> None:
        self._details = model_details([model], provider)
        self._model = model
        self._provider = provider
        self.price: PriceLike = 0.0
        if price is None or isinstance(price, PriceTable):
            self._costs = ModelCosts(ops, price)
            self.price = self._price_text
        else:
            self.price = price

    def describe(self, function: Any, kind: CallKind = "tool") -> None:
        """Let the events of a wrapped function, or of a lookup and a store, name the model.

        Args:
            function: The wrapped function, before its first call.
            kind: The kind of its callee. Default "tool": a lookup of texts asks no model.
        """
        plan: Plan = function.__toolops_plan__
        plan.describe(kind, lambda *_: self._details)

    def _price_text(self, _: Any) -> float:
        tokens = _tokens.get()
        if not tokens:
            return 0.0
        return self._costs.price([self._model], {"input_tokens": tokens}, self._provider)
