"""Costs and details of calls of models: which model, how many tokens, and how much money."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from toolops_plugins.adapters.prices import PriceTable
from toolops_plugins.adapters.published_prices import has_published_prices
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.runtime import ToolOps

__all__ = ["Details", "ModelCosts", "Prices", "model_details", "token_details"]

Details: TypeAlias = dict[str, str | int | float | bool]
Prices: TypeAlias = PriceTable | Callable[[str, Mapping[str, Any]], float]

_FREE = frozenset(("llamacpp", "llama_cpp", "llamafile", "lmstudio", "ollama", "ollama_chat"))
"""Providers that are programs of the user's own, whose models nobody sells."""


class ModelCosts:
    """Prices the calls of models for one runtime. Safe to use from any threads and event loops.

    A model without a price is named once in the log, as is a price that is no amount of money; such
    a call counts as free.

    Args:
        ops: The runtime.
        prices: The user's prices, or a callable over model and usage that returns money. None:
            published prices, where the extra ``prices`` is installed.

    Raises:
        ConfigurationError: The prices are none.
    """

    def __init__(self, ops: ToolOps, prices: Prices | None) -> None:
        if prices is not None and not callable(prices):
            raise ConfigurationError("prices", f"must be a mapping or a callable, not {prices!r}")
        self._ops = ops
        self._prices: Prices = _PUBLISHED if prices is None else prices
        self._is_free = prices is None and not has_published_prices()

    def price(
        self, models: Sequence[str], usage: Mapping[str, Any] | None, provider: str = ""
    ) -> float:
        """Return what a call of a model has cost; nothing if that is not known.

        Args:
            models: The names that the model goes by, the likeliest first.
            usage: Its tokens, as :class:`~toolops_plugins.adapters.prices.TokenPrice` takes them.
            provider: The provider, as the framework calls it. Default "": not known.
        """
        if not usage or self._is_free:
            return 0.0
        name = next((name for name in models if name), "")
        try:
            if isinstance(self._prices, PriceTable):
                found = self._prices.find([each for each in models if each], usage, provider)
                if found is None:
                    if name and provider.lower() not in _FREE:
                        self._warn(name, "price_unknown")
                    return 0.0
                money = float(found)
            else:
                money = float(self._prices(name, usage))
        except Exception as error:  # noqa: BLE001 - a broken price must not cost the user the count
            self._warn(name, "price_failed", type(error).__name__)
            return 0.0
        if math.isfinite(money):
            return money
        self._warn(name, "price_invalid", str(money))
        return 0.0

    def _warn(self, name: str, reason: str, error: str = "") -> None:
        ops = self._ops
        ops._emitter.warn(  # noqa: SLF001 - of this package
            name or "model", reason, started=ops.clock.time(), namespace=ops.namespace, error=error
        )


class _PublishedPrices(PriceTable):
    def __call__(self, result: Any) -> float:
        raise NotImplementedError  # whoever reads results has a table of its framework's


_PUBLISHED = _PublishedPrices()


def model_details(models: Sequence[str], provider: str = "", agent: str = "") -> Details:
    """Return what a call of a model is known by, as details of its event.

    Args:
        models: The names that the model goes by, that which was asked for first.
        provider: The provider, as the framework calls it. Default "": not known.
        agent: The name of the agent that calls it. Default "": none, or not known.
    """
    names = [name for name in models if name]
    details: Details = {"model": names[0]} if names else {}
    if len(names) > 1 and names[-1] != names[0]:
        details["response_model"] = names[-1]
    if provider:
        details["provider"] = provider
    if agent:
        details["agent"] = agent
    return details


def token_details(usage: Mapping[str, Any] | None, *, saved: bool = False) -> Details:
    """Return the tokens of a call as details of its event.

    Args:
        usage: Its tokens, as :class:`~toolops_plugins.adapters.prices.TokenPrice` takes them.
        saved: Whether a cache has answered, so that they were not spent again. Default False.
    """
    if not usage:
        return {}
    counts = {
        "input_tokens": usage.get("input_tokens"),
        "output_tokens": usage.get("output_tokens"),
    }
    if saved:
        counts = {f"saved_{name}": count for name, count in counts.items()}
    else:
        counts["total_tokens"] = usage.get("total_tokens")
        counts["cache_read_tokens"] = (usage.get("input_token_details") or {}).get("cache_read")
    return {name: count for name, count in counts.items() if type(count) is int}
