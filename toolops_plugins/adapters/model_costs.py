"""Costs and details of calls of models: which model, how many tokens, and how much money."""

from __future__ import annotations

import math
import sys
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from toolops_plugins.adapters.fallback_answers import Substitute
from toolops_plugins.adapters.invalid_answers import ends_invalid, valid_or_not
from toolops_plugins.adapters.signals import Signal
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.policy import Policy
from toolops_plugins.policy.policy import PriceLike
from toolops_plugins.prices.published_prices import has_published_prices
from toolops_plugins.prices.tables import PriceTable
from toolops_plugins.runtime import ToolOps
from toolops_plugins.telemetry.events import CallKind

if TYPE_CHECKING:
    from toolops_plugins.calls.plan import Plan

__all__ = [
    "Details",
    "ModelCosts",
    "ModelCounter",
    "Prices",
    "Reading",
    "describe_tool",
    "model_details",
    "token_details",
]

Details: TypeAlias = dict[str, str | int | float | bool]
Prices: TypeAlias = PriceTable | Callable[[str, Mapping[str, Any]], float]

_FREE = frozenset(("llamacpp", "llama_cpp", "llamafile", "lmstudio", "ollama", "ollama_chat"))
"""Providers that are programs of the user's own, whose models nobody sells."""

_NAMED = 1_000
"""Models without a price that are named, for each runtime."""
_named: weakref.WeakKeyDictionary[ToolOps, set[str]] = weakref.WeakKeyDictionary()
_lock = fork_safe(sys.modules[__name__], threading.Lock())


class Reading(NamedTuple):
    """The model that made an answer and its tokens, as the answer tells them.

    Args:
        models: The names that the model gives itself, the likeliest first.
        usage: Its tokens, as :class:`~toolops_plugins.prices.tables.TokenPrice` takes them. None:
            not known.
        provider: The provider. Default "": not known.
    """

    models: Sequence[str] = ()
    usage: Mapping[str, Any] | None = None
    provider: str = ""


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
            usage: Its tokens, as :class:`~toolops_plugins.prices.tables.TokenPrice` takes them.
            provider: The provider, as the framework calls it. Default "": not known.
        """
        if not usage or self._is_free:
            return 0.0
        name = next((name for name in models if name), "")
        try:
            if isinstance(self._prices, PriceTable):
                found = self._prices.find([each for each in models if each], usage, provider)
                if found is None:
                    self._name_unknown(name, provider)
                    return 0.0
                money = float(found)
            else:
                money = float(self._prices(name, usage))
        except Exception as error:  # noqa: BLE001 - a broken price must not cost the user the count
            self._warn(name, "price_failed", type(error).__name__)
            return 0.0
        if math.isfinite(money) and money >= 0:
            return money
        self._warn(name, "price_invalid", str(money))
        return 0.0

    def _name_unknown(self, name: str, provider: str) -> None:
        if not name or provider.lower() in _FREE:
            return
        with _lock:
            named = _named.setdefault(self._ops, set())
            if name in named or len(named) >= _NAMED:
                return
            named.add(name)
        self._warn(name, "price_unknown")

    def _warn(self, name: str, reason: str, error: str = "") -> None:
        ops = self._ops
        ops._emitter.warn(  # noqa: SLF001 - of this package
            name or "model", reason, started=ops.clock.time(), namespace=ops.namespace, error=error
        )


class ModelCounter:
    """Prices and describes the calls of one guarded model, by what its answers tell.

    Safe to use from any threads and event loops.

    Args:
        ops: The runtime.
        name: The model's name with its provider's before a colon, as far as they are known. "":
            only answers tell it.
        kind: The operation that the model is asked for.
        price: The price in the user's policy. A callable of the user's own stays as it is; a table
            of prices, or none, is asked with what answers tell.
        read: Reads an answer, in the form in which the runtime has it. None: it is none.
    """

    def __init__(
        self,
        ops: ToolOps,
        name: str,
        kind: CallKind,
        price: PriceLike | None,
        read: Callable[[Any], Reading | None],
    ) -> None:
        provider, colon, model = name.partition(":")
        self.kind: CallKind = kind
        self._provider = provider if colon else ""
        self._model = model = model if colon else name
        self._names = list(dict.fromkeys((model, model.rpartition("/")[2])))
        self._read = read
        self._costs: ModelCosts | None = None
        if price is None or isinstance(price, PriceTable):
            self._costs = ModelCosts(ops, price)

    def apply_price(self, policy: Policy) -> Policy:
        """Return the policy with the price of what answers tell, unless the user's is another.

        Args:
            policy: The policy, whose other callables get answers as users know them already.
        """
        return policy if self._costs is None else policy.replace(price=self._price)

    def describe(
        self,
        function: Any,
        agent: Callable[[tuple[Any, ...]], str],
        *,
        encloses: bool = False,
    ) -> None:
        """Let the events of a wrapped function, or of a lookup and a store, describe the model.

        Args:
            function: The wrapped function, before its first call.
            agent: Returns the name of the agent that makes a call, of its positional arguments.
            encloses: Whether the framework's own run of the model happens inside of a call. Default
                False.
        """
        plan: Plan = function.__toolops_plan__
        plan.describe(
            self.kind,
            lambda args, _: model_details([self._model], self._provider, agent(args)),
            self._describe_result,
            encloses=encloses,
        )

    def _price(self, value: Any) -> float:
        reading = self._read_answer(value)
        if reading is None or self._costs is None:
            return 0.0
        models = [*reading.models, *self._names]
        return self._costs.price(models, reading.usage, self._provider or reading.provider)

    def _describe_result(self, value: Any) -> Details | None:
        reading = self._read_answer(value)
        if reading is None:
            return None
        details = token_details(reading.usage)
        model = next(iter(reading.models), "")
        if not self._model:
            details.update(model_details([model], reading.provider))
        elif model and model != self._model:
            details["response_model"] = model
        return details or None

    def _read_answer(self, value: Any) -> Reading | None:
        # Of a stream, the items with what its generator returned.
        if isinstance(value, tuple) and value and isinstance(value[0], list):
            value = value[0]
        if ends_invalid(value):
            value = value[:-1]
        value = valid_or_not(value)
        substitute = isinstance(value, list) and value and type(value[0]) is Substitute
        if substitute or type(value) in (Signal, Substitute):
            return None
        return self._read(value)


def describe_tool(function: Any, agent: Callable[[], str], *, encloses: bool = False) -> None:
    """Let the events of a tool name the agent that calls it.

    Args:
        function: The wrapped function, before its first call.
        agent: Returns the agent's name, or nothing.
        encloses: Whether the framework's own run of the tool happens inside of a call. Default
            False.
    """

    def describe(_: Any, __: Any) -> Details | None:
        name = agent()
        return {"agent": name} if name else None

    plan: Plan = function.__toolops_plan__
    plan.describe(start=describe, encloses=encloses)


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
        usage: Its tokens, as :class:`~toolops_plugins.prices.tables.TokenPrice` takes them.
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
        read = (usage.get("input_token_details") or {}).get("cache_read")
        counts["cache_read_tokens"] = read or None
    return {name: count for name, count in counts.items() if type(count) is int}
