"""Prices of models by tokens, for handlers of events and for policies."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolops_plugins import check
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.prices.published_prices import find_published_price

__all__ = ["PriceTable", "TokenPrice"]

_DATED = re.compile(r"[-@](\d{8}|\d{4}-\d{2}-\d{2}|latest)$")
"""How providers mark a version of a model: "gpt-4o-2024-08-06"."""


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """The prices of a model, per million tokens, as providers publish them.

    Args:
        input: Money for the tokens that go in.
        output: Money for the tokens that come out.
        cached_input: Money for those that the provider read from its own cache. None: as
            ``input``.
        per: The tokens that these prices are for. Default 1,000,000.

    Raises:
        ConfigurationError: A price is negative or no number.

    Example:
        >>> TokenPrice(2.5, 10.0)({"input_tokens": 1_000, "output_tokens": 100})
        0.0035
    """

    input: float
    output: float
    cached_input: float | None = None
    per: int = 1_000_000

    def __post_init__(self) -> None:
        for name in ("input", "output", "cached_input"):
            value = getattr(self, name)
            if value is not None and check.number(name, value) < 0:
                raise ConfigurationError(name, f"must be 0 or more, not {value!r}")
        check.count("per", self.per)

    def __call__(self, usage: Mapping[str, Any]) -> float:
        """Return the price of the tokens of a call.

        Args:
            usage: "input_tokens", "output_tokens", and how many the provider had in its own cache
                under "cache_read" in "input_token_details"; what is missing counts as 0.
        """
        tokens = usage.get("input_tokens") or 0
        cached = min((usage.get("input_token_details") or {}).get("cache_read") or 0, tokens)
        price = self.input if self.cached_input is None else self.cached_input
        money = (tokens - cached) * self.input + cached * price
        return (money + (usage.get("output_tokens") or 0) * self.output) / self.per


class PriceTable(ABC):
    """Prices by the name of the model; a dated version has the price of its model.

    A model that is not in the table has its published price, in US dollars, where the extra
    ``prices`` is installed. A framework's table is also a price for policies, over whatever its
    models answer.

    Args:
        prices: A :class:`TokenPrice`, or a pair of prices for a million tokens that go in and that
            come out, by the model's name. Default none: all prices are published ones.
        published: Whether models that are not in the table have their published prices. Default
            True.

    Raises:
        ConfigurationError: A price is none.
    """

    def __init__(
        self,
        prices: Mapping[str, TokenPrice | tuple[float, float]] | None = None,
        *,
        published: bool = True,
    ) -> None:
        self._published = published
        self._prices: dict[str, TokenPrice] = {}
        prices = {} if prices is None else prices
        if not isinstance(prices, Mapping):
            raise ConfigurationError("prices", f"must be a mapping, not {prices!r:.100}")
        for name, price in prices.items():
            if isinstance(price, TokenPrice):
                self._prices[name] = price
            elif isinstance(price, tuple) and len(price) == 2:
                self._prices[name] = TokenPrice(*price)
            else:
                raise ConfigurationError(
                    "prices", f"of {name!r} must be a TokenPrice or a pair, not {price!r}"
                )

    def of(self, models: Sequence[str], usage: Mapping[str, Any] | None) -> float:
        """Return what a call cost; nothing, if its model or its tokens are not known.

        Args:
            models: The names that the model goes by, the likeliest first.
            usage: Its tokens, as :class:`TokenPrice` takes them.
        """
        return self.find(models, usage) or 0.0

    def find(
        self, models: Sequence[str], usage: Mapping[str, Any] | None, provider: str = ""
    ) -> float | None:
        """Return what a call cost; None if no price of its model is known.

        Args:
            models: As for :meth:`of`.
            usage: As for :meth:`of`. A call that tells no tokens costs nothing.
            provider: The model's provider, as the framework calls it. Default "": not known.
        """
        if not usage:
            return 0.0
        for name in (*models, *(_DATED.sub("", model) for model in models)):
            price = self._prices.get(name)
            if price is not None:
                return price(usage)
        return find_published_price(models, usage, provider) if self._published else None

    @abstractmethod
    def __call__(self, result: Any) -> float:
        """Return what the call that gave a result of the framework's models has cost."""
