"""Token counts of answers that nobody has paid for a second time.

Programs add up what answers say of their tokens. So a hit says zero, in the form in which its
provider says it: what reads a number there still finds one.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

__all__ = ["TOKEN_COUNTS", "USAGES", "zero_counts", "zero_tokens"]

USAGES = ("token_count", "token_usage", "usage", "usage_metadata", "usageMetadata")
"""Names under which providers and frameworks hold all token counts of an answer."""
TOKEN_COUNTS = (
    "completion_tokens",
    "eval_count",
    "input_tokens",
    "output_tokens",
    "prompt_eval_count",
    "prompt_tokens",
    "total_tokens",
)
"""Names of single token counts that stand beside other metadata of an answer."""


def zero_tokens(usage: Any) -> Any:
    """Return token counts with zero for every number, at any depth; texts and flags stay.

    Args:
        usage: A mapping, or an object of a provider's package; it is left as it is.
    """
    if isinstance(usage, bool):
        return usage
    if isinstance(usage, int | float):
        return type(usage)(0)
    if isinstance(usage, dict):
        return {name: zero_tokens(value) for name, value in usage.items()}
    if isinstance(usage, list):
        return [zero_tokens(each) for each in usage]
    if hasattr(type(usage), "model_fields"):
        values = {**usage.__dict__, **(usage.model_extra or {})}
        return usage.model_copy(update={name: zero_tokens(each) for name, each in values.items()})
    return usage


def zero_counts(metadata: MutableMapping[str, Any] | None) -> None:
    """Replace the token counts in metadata of an answer by zeros.

    Args:
        metadata: The metadata, which is changed. None: there is none.
    """
    if not metadata:
        return
    for name in USAGES:
        if metadata.get(name) is not None:
            metadata[name] = zero_tokens(metadata[name])
    for name in TOKEN_COUNTS:
        if metadata.get(name):
            metadata[name] = 0
