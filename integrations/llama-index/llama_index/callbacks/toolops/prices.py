"""Prices of models by tokens, for the handlers and for policies."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse

from toolops_plugins.prices.raw_usage import MODEL_FIELDS, read_field, read_usage
from toolops_plugins.prices.tables import PriceTable, TokenPrice

__all__ = ["ModelPrices", "TokenPrice", "model_of", "usage_of"]


class ModelPrices(PriceTable):
    """Prices by the name of the model; a dated version has the price of its model.

    It is also a price for policies, over whatever a model answers, so that a guarded model counts
    by the same table: ``Policy(price=ModelPrices({...}))``.

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
        """Return what the call that gave a response, or a stream's responses, has cost."""
        return self.of(model_of(result), usage_of(result))


def usage_of(result: Any) -> dict[str, Any] | None:
    """Return the tokens of one call, from what it gave.

    Providers tell them in as many ways: the raw answer holds them under "usage" and its like, or
    LlamaIndex has put them beside it. Of a stream the last response that tells them counts.

    Args:
        result: A response, or those of a stream.
    """
    for response in _responses(result):
        raw = response.raw
        told = [read_field(raw, name) for name in ("usage", "usage_metadata", "usageMetadata")]
        beside = [response.additional_kwargs]
        if isinstance(response, ChatResponse):
            beside.append(response.message.additional_kwargs)
        for each in (*told, *beside, raw):
            usage = None if each is None or each == {} else read_usage(each)
            if usage is not None:
                return usage
    return None


def model_of(result: Any) -> list[str]:
    """Return the names that the model has given itself in a response, or a stream's responses."""
    raws = [response.raw for response in _responses(result) if response.raw is not None]
    names = [read_field(raw, name) for raw in raws for name in MODEL_FIELDS]
    return [name for name in dict.fromkeys(names) if isinstance(name, str) and name]


def _responses(result: Any) -> list[ChatResponse | CompletionResponse]:
    if isinstance(result, ChatResponse | CompletionResponse):
        return [result]
    if isinstance(result, list | tuple):
        found = [each for each in result if isinstance(each, ChatResponse | CompletionResponse)]
        return found[::-1]
    return []
