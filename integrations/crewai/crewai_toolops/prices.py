"""Prices of models by tokens, for the event listener and for policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crewai.events.types.llm_events import LLMCallCompletedEvent
from crewai.types.usage_metrics import UsageMetrics

from toolops_plugins.prices.tables import PriceTable, TokenPrice

__all__ = ["ModelPrices", "TokenPrice", "names_of", "usage_of"]


class ModelPrices(PriceTable):
    """Prices by the name of the model; a dated version has the price of its model.

    A model that CrewAI calls "provider/model" also has the price of "model". It is a price for
    policies too, so that a guarded model counts by the same table:
    ``guard_llm(llm, MODEL_POLICY.replace(price=ModelPrices({...})))``.

    Args:
        prices: A :class:`TokenPrice`, or a pair of prices for a million tokens that go in and that
            come out, by the model's name. Default none.
        published: Whether models that are not in the table have their published prices, in US
            dollars, where the extra ``prices`` of the core is installed. Default True.

    Raises:
        ConfigurationError: A price is none.

    Example:
        >>> prices = ModelPrices({"gpt-4o": (2.5, 10.0)})
        >>> prices.of(["gpt-4o-2024-08-06"], {"input_tokens": 1_000, "output_tokens": 100})
        0.0035
    """

    def __call__(self, result: Any) -> float:
        """Return what a call has cost, from the ``LLMCallCompletedEvent`` that tells of it.

        Of what CrewAI's models give, nothing else tells both the model and its tokens.
        """
        if not isinstance(result, LLMCallCompletedEvent):
            return 0.0
        return self.of(names_of(result.model), usage_of(result.usage))


def names_of(model: Any) -> list[str]:
    """Return the names that a model goes by: that of its event, and without its provider's."""
    if not isinstance(model, str) or not model:
        return []
    return list(dict.fromkeys((model, model.rpartition("/")[2])))


def usage_of(told: Any) -> dict[str, Any] | None:
    """Return the tokens of one call, from what its provider told CrewAI; None if it told none.

    Args:
        told: The ``usage`` of a call's event, which has other names with each provider.
    """
    if not isinstance(told, Mapping) or not told:
        return None
    metrics = UsageMetrics.from_provider_dict(_rename_usage(told))
    if metrics is None or not (metrics.prompt_tokens or metrics.completion_tokens):
        return None
    usage: dict[str, Any] = {
        "input_tokens": metrics.prompt_tokens,
        "output_tokens": metrics.completion_tokens,
        "total_tokens": metrics.total_tokens,
    }
    parts = {
        "cache_read": metrics.cached_prompt_tokens,
        "cache_creation": metrics.cache_creation_tokens,
    }
    if any(parts.values()):
        usage["input_token_details"] = {name: count for name, count in parts.items() if count}
    return usage


def _rename_usage(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a provider told, under names that CrewAI's own table knows: not Bedrock's."""
    if "inputTokens" not in told:
        return dict(told)
    # What was read from the cache, or written to it, is not counted as input there.
    return {
        "input_tokens": told["inputTokens"],
        "output_tokens": told.get("outputTokens"),
        "cache_read_input_tokens": (
            told.get("cacheReadInputTokens") or told.get("cacheReadInputTokenCount")
        ),
        "cache_creation_input_tokens": (
            told.get("cacheWriteInputTokens") or told.get("cacheWriteInputTokenCount")
        ),
    }
