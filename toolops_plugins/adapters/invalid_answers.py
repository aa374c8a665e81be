"""Answers that miss their schema, on their way through the policies: served once, and not stored.

The predicate of a cache sees an answer and not the request. So whoever makes the call, who knows
both, wraps an answer that misses its schema. At the end of a stream the wrapper stands alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from toolops_plugins.adapters.policy_views import map_results
from toolops_plugins.codec import Codec
from toolops_plugins.policy import Policy

__all__ = [
    "InvalidAnswer",
    "avalid_items",
    "ends_invalid",
    "over_valid",
    "teach_invalid",
    "valid_items",
    "valid_or_not",
]


class InvalidAnswer:
    """An answer that misses its schema, or the end of a stream that does.

    Args:
        value: The answer.
    """

    __slots__ = ("value",)
    __toolops_shareable__ = True

    def __init__(self, value: Any = None) -> None:
        self.value = value

    def __deepcopy__(self, memo: dict[int, Any]) -> InvalidAnswer:
        return InvalidAnswer(deepcopy(self.value, memo))


def teach_invalid(codec: Codec) -> None:
    """Make such answers encodable, of which others who wait for them get copies."""
    codec.register(
        InvalidAnswer,
        "toolops.InvalidAnswer",
        encode=lambda answer: [answer.value],
        decode=lambda stored: InvalidAnswer(*stored),
        verify=False,
    )


def valid_or_not(value: Any) -> Any:
    """Return a result without the wrapper."""
    return value.value if type(value) is InvalidAnswer else value


def valid_items(items: Iterator[Any]) -> Iterator[Any]:
    """Yield the items of a stream without the wrapper at its end."""
    return (item for item in items if type(item) is not InvalidAnswer)


async def avalid_items(items: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Yield the items of an asynchronous stream, as :func:`valid_items` does."""
    async for item in items:
        if type(item) is not InvalidAnswer:
            yield item


def ends_invalid(items: Any) -> bool:
    """Return whether the items of a stream end with such a wrapper."""
    return isinstance(items, list) and bool(items) and type(items[-1]) is InvalidAnswer


def over_valid(policy: Policy) -> Policy:
    """Return the policy with callables that see answers and items without the wrapper."""
    return map_results(policy, _OverValid)


@dataclass(frozen=True)
class _OverValid:
    """A callable over results; two are equal if their callables are, as breakers need it."""

    function: Callable[[Any], Any]

    def __call__(self, value: Any) -> Any:
        if ends_invalid(value):
            value = value[:-1]
        return self.function(valid_or_not(value))
