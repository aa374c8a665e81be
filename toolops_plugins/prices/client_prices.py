"""Prices of models that a function calls by a provider's own client."""

from __future__ import annotations

import logging
from typing import Any, Final

from toolops_plugins.prices.raw_usage import MODEL_FIELDS, read_field, read_usage
from toolops_plugins.prices.tables import PriceTable, TokenPrice

__all__ = ["ModelPrices", "TokenPrice"]

_logger: Final = logging.getLogger("toolops_plugins.prices")
_USAGES: Final = ("usage", "usage_metadata", "usageMetadata")
_NAMED: Final = 1_000
"""Models without a price that are remembered, so that each is named once."""
_named: Final[set[str]] = set()


class ModelPrices(PriceTable):
    """Prices of answers as a provider's client returns them, for ``price=`` of a function.

    It reads the model and the tokens of answers of the OpenAI client (chat completions, Responses,
    embeddings), Anthropic's and Google's, and of others that name them alike, as objects or as
    dicts. Of a list, as of a stream's chunks, the last answer that tells tokens counts. An answer
    that tells none is free, as is one of a model without a known price, which the log names once.
    Safe to use from any threads.

    Args:
        prices: A :class:`TokenPrice`, or a pair of prices for a million tokens that go in and that
            come out, by the model's name. Default none.
        published: Whether models that are not in the table have their published prices, in US
            dollars, where the extra ``prices`` is installed. Default True.

    Raises:
        ConfigurationError: A price is none.

    Example:
        >>> prices = ModelPrices({"our-model": (2.5, 10.0)})
        >>> prices({"model": "our-model", "usage": {"input_tokens": 1_000, "output_tokens": 100}})
        0.0035
    """

    def __call__(self, result: Any) -> float:
        """Return what the call that gave an answer, or a list of a stream's chunks, has cost."""
        answers = list(result) if isinstance(result, list | tuple) else [result]
        for answer in reversed(answers):
            # The last event of a stream of the Responses API holds the whole answer.
            for whole in (answer, read_field(answer, "response")):
                usage = _find_usage(whole)
                if usage is not None:
                    return self._compute_price(whole, usage)
        return 0.0

    def _compute_price(self, answer: Any, usage: dict[str, Any]) -> float:
        fields = (read_field(answer, name) for name in MODEL_FIELDS)
        models = [name for name in fields if isinstance(name, str) and name]
        money = self.find(models, usage)
        if money is None:
            _name_once(models)
        return money or 0.0


def _find_usage(answer: Any) -> dict[str, Any] | None:
    # Ollama's counts stand in the answer itself.
    for told in (*(read_field(answer, name) for name in _USAGES), answer):
        usage = read_usage(told) if told else None
        if usage is not None:
            return usage
    return None


def _name_once(models: list[str]) -> None:
    model = models[0] if models else "unknown"
    if model in _named or len(_named) >= _NAMED:
        return
    _named.add(model)
    _logger.warning(
        "No price of the model %r is known, so its calls count as free; install the extra "
        "'prices', or give ModelPrices a price of it",
        model,
    )
