"""Published prices of models, from the data in the wheel of the package ``genai-prices``.

Nothing here reaches the network. A process that runs that package's own ``UpdatePrices`` gets the
newer prices from there. The package takes a fifth of a second to import, so it is imported when the
first answer that costs money has come, and never for a hit.
"""

from __future__ import annotations

import math
import re
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from typing import Any

from toolops_plugins.concurrency.fork_locks import fork_safe

__all__ = ["find_published_price", "has_published_prices"]

_PROVIDERS = {
    "azure-openai": "azure",
    "azure_ai": "azure",
    "azure_openai": "azure",
    "fireworks_ai": "fireworks",
    "google_anthropic_vertex": "google",
    "moonshot": "moonshotai",
    "openai-codex": "openai",
    "togetherai": "together",
    "x_ai": "x-ai",
}
"""Names that frameworks give providers, where the package has another or takes it for another's."""
_BEDROCK = re.compile(
    r"(^|[./])(ai21|amazon|anthropic|cohere|deepseek|meta|mistral|openai|qwen)\.[a-z]"
)
"""The form of the names of models on Amazon Bedrock, such as "us.anthropic.claude-sonnet-4"."""
_FOUND = 1_000
"""Models that are remembered with their prices, or as unknown."""

_Model = tuple[Any, Any]
"""The package's model and its provider."""
_found: OrderedDict[tuple[str, ...], tuple[Any, _Model | None]] = OrderedDict()
_lock = fork_safe(sys.modules[__name__], threading.Lock())


@cache
def has_published_prices() -> bool:
    """Return whether the package is installed; this does not import it."""
    return find_spec("genai_prices") is not None


def find_published_price(
    names: Sequence[str], usage: Mapping[str, Any], provider: str = ""
) -> float | None:
    """Return what a call of a model costs by its published price.

    Names may have a provider before them ("openai/gpt-4o", "azure:gpt-4o"), the date of a version
    behind them, and the forms of Bedrock, Vertex AI and OpenRouter.

    Args:
        names: The names that the model goes by, the likeliest first.
        usage: Its tokens: "input_tokens" with those of the provider's prompt cache, whose number
            is "cache_read" and "cache_creation" in "input_token_details", and "output_tokens".
        provider: The provider, as the framework calls it. Default "": not known.

    Returns:
        Money, in US dollars. None: no price of the model is known.
    """
    if not has_published_prices():
        return None
    found = _find(tuple(names), provider)
    if found is None:
        return None
    for counts in (_counts(usage), _plain_counts(usage)):
        with suppress(Exception):  # a unit that this model, or this version, has no price for
            money = float(_calculate(found, counts))
            if math.isfinite(money) and money >= 0:
                return money
    return None


def _find(names: tuple[str, ...], provider: str) -> _Model | None:
    """Return the model of the first name that the package knows."""
    from genai_prices import data_snapshot  # noqa: PLC0415 - as this module says

    snapshot = data_snapshot.get_snapshot()
    known = (provider, *names)
    with _lock:
        seen = _found.get(known)
        if seen is not None and seen[0] is snapshot:
            _found.move_to_end(known)
            return seen[1]
    model = _search(names, provider, snapshot)
    with _lock:
        _found[known] = snapshot, model
        if len(_found) > _FOUND:
            _found.popitem(last=False)
    return model


def _search(names: tuple[str, ...], provider: str, snapshot: Any) -> _Model | None:
    find: Callable[[str], Any] = _finder(snapshot)
    for owner, name in _candidates(names, provider, find):
        with suppress(LookupError, ValueError):
            if owner is None:
                model: _Model = snapshot.find_provider_model(name, None, None, None)
                return model
            found = owner.find_model(name, all_providers=snapshot.providers)
            if found is not None:
                return owner, found
    return None


def _finder(snapshot: Any) -> Callable[[str], Any]:
    from genai_prices.data_snapshot import find_provider_by_id  # noqa: PLC0415 - as in _find()

    def find(name: str) -> Any:
        name = name.lower().strip()
        if not name:
            return None
        return find_provider_by_id(snapshot.providers, _PROVIDERS.get(name, name))

    return find


def _candidates(
    names: Sequence[str], provider: str, find: Callable[[str], Any]
) -> Iterator[tuple[Any, str]]:
    """Yield pairs of a provider, or None for any, and what it may call the model."""
    own = find(provider)
    for given in names:
        name = given.strip().removeprefix("models/")
        if not name:
            continue
        if own is not None:
            yield own, name
        for sign in ("/", ":"):
            prefix, _, rest = name.partition(sign)
            if rest and (owner := find(prefix)) is not None:
                yield owner, rest
                if own is not None:
                    yield own, rest
        if _BEDROCK.search(name) and (bedrock := find("bedrock")) is not None:
            yield bedrock, name.rpartition("/")[2]
        yield None, name
        last = name.rpartition("/")[2]
        if last != name:
            if own is not None:
                yield own, last
            yield None, last
        # The price data has no text embeddings under a model's name alone.
        if own is None and "embedding" in last and (openai := find("openai")) is not None:
            yield openai, last


def _calculate(found: _Model, counts: Mapping[str, int]) -> Any:
    from genai_prices import Usage  # noqa: PLC0415 - as in _find()

    provider, model = found
    return model.calc_price(Usage(**counts), provider).total_price


def _plain_counts(usage: Mapping[str, Any]) -> dict[str, int]:
    read = _count(usage.get("input_tokens")), _count(usage.get("output_tokens"))
    return {"input_tokens": read[0], "output_tokens": read[1]}


def _counts(usage: Mapping[str, Any]) -> dict[str, int]:
    """Return the tokens under the package's names; parts are never more than the whole."""
    counts = _plain_counts(usage)
    details = usage.get("input_token_details") or {}
    whole = counts["input_tokens"]
    read = min(_count(details.get("cache_read")), whole)
    whole -= read
    apart = {
        "cache_write_5m_tokens": _count(details.get("ephemeral_5m_input_tokens")),
        "cache_write_1h_tokens": _count(details.get("ephemeral_1h_input_tokens")),
    }
    written = min(max(_count(details.get("cache_creation")), sum(apart.values())), whole)
    if read:
        counts["cache_read_tokens"] = read
    if written:
        counts["cache_write_tokens"] = written
        if sum(apart.values()) <= written:
            counts.update({name: count for name, count in apart.items() if count})
    return counts


def _count(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0
