"""Prices of models by tokens, for the callback handler and for policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.outputs import (
    ChatGeneration,
    ChatResult,
    Generation,
    LLMResult,
)

from toolops_plugins.adapters.model_costs import Reading
from toolops_plugins.prices.tables import PriceTable, TokenPrice

__all__ = ["ModelPrices", "TokenPrice", "model_of", "read_result", "usage_of"]


class ModelPrices(PriceTable):
    """Prices by the name of the model; a dated version has the price of its model.

    It is also a price for policies, over whatever a model answers, so that a cache or a middleware
    counts by the same table: ``Policy(price=ModelPrices({...}))``.

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
        """Return what the call that gave a message, generations or a result has cost."""
        return self.of(model_of(result), usage_of(result))


def usage_of(result: Any) -> Mapping[str, Any] | None:
    """Return the tokens of one call, from what it gave.

    Of several generations the first with tokens speaks for all: each holds those of the call. The
    chunks of a stream each hold their share, as LangChain adds them up.
    """
    return _usage_in(result, _messages(result))


def model_of(result: Any) -> list[str]:
    """Return the names that the model has given itself in a result."""
    return _models_in(result, _messages(result))


def read_result(result: Any) -> Reading:
    """Return what a result says about the model that made it."""
    messages = _messages(result)  # once, since a stream may have hundreds
    models, usage = _models_in(result, messages), _usage_in(result, messages)
    providers = (message.response_metadata.get("model_provider") for message in messages)
    provider = next((name for name in providers if isinstance(name, str)), "")
    return Reading(models, usage, provider)


def _usage_in(result: Any, messages: Sequence[BaseMessage]) -> Mapping[str, Any] | None:
    usages = [m.usage_metadata for m in messages if isinstance(m, AIMessage) and m.usage_metadata]
    if len(usages) > 1 and isinstance(messages[0], AIMessageChunk) and isinstance(result, list):
        return _sum_of(usages)
    if usages:
        return dict(usages[0])
    output = result.llm_output if isinstance(result, LLMResult | ChatResult) else None
    counts = (output or {}).get("token_usage") or (output or {}).get("usage") or {}
    usage = {
        name: counts[given]
        for name, given in (
            ("input_tokens", "prompt_tokens"),
            ("output_tokens", "completion_tokens"),
            ("total_tokens", "total_tokens"),
        )
        if isinstance(counts.get(given), int)
    }
    return usage or None


def _models_in(result: Any, messages: Sequence[BaseMessage]) -> list[str]:
    tellings: list[Any] = [m.response_metadata for m in messages if m.response_metadata]
    if isinstance(result, LLMResult | ChatResult):
        tellings.append(result.llm_output or {})
    if isinstance(result, list | tuple):  # the chunks of a stream tell it beside their messages
        infos = [each.generation_info for each in result if isinstance(each, Generation)]
        tellings += [info for info in infos if info]
    names = [telling.get(key) for telling in tellings for key in ("model_name", "model")]
    return [name for name in dict.fromkeys(names) if isinstance(name, str) and name]


def _sum_of(usages: Sequence[UsageMetadata]) -> dict[str, Any]:
    whole: UsageMetadata | None = None
    for usage in usages:
        whole = add_usage(whole, usage)
    return dict(whole or {})


def _messages(result: Any) -> list[BaseMessage]:
    if isinstance(result, BaseMessage):
        return [result]
    if isinstance(result, ChatGeneration):
        return [result.message]
    if isinstance(result, LLMResult | ChatResult):
        return _messages(result.generations)
    if isinstance(result, list | tuple):
        if result and all(isinstance(each, ChatGeneration) for each in result):
            return [each.message for each in result]
        return [message for each in result for message in _messages(each)]
    # The answer of a model to a middleware holds its messages so.
    held = None if isinstance(result, Generation) else getattr(result, "result", None)
    return _messages(held) if isinstance(held, list) else []
