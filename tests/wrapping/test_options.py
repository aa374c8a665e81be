"""The options of the decorators, and the functions and options that they refuse."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pydantic
import pytest
from callers import Notices

from toolops_plugins import (
    Bulkhead,
    Cache,
    CircuitBreaker,
    ConfigurationError,
    Hedge,
    Memory,
    Policy,
    RateLimit,
    Retry,
    Semantic,
    Timeout,
    ToolOps,
)

CACHE = Policy(cache=Cache(ttl=60))


# Keys, invalidation, names


@pytest.mark.parametrize(
    ("name", "value"), [("tags", "a"), ("tags", None), ("keys", b"a"), ("keys", 3)]
)
async def test_tags_and_keys_are_lists(ops: ToolOps, name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}: must be a list"):
        ops.invalidate(**{name: value})
    with pytest.raises(ConfigurationError, match=f"{name}: must be a list"):
        await ops.ainvalidate(**{name: value})


def test_keys_do_not_depend_on_how_arguments_are_passed(ops: ToolOps) -> None:
    @ops.tool(cache=Cache(ttl=60))
    def quote(ticker: str, day: int = 1, *, exact: bool = False) -> str:
        return ticker

    key = quote.key("A")
    assert key == quote.key(ticker="A") == quote.key("A", 1) == quote.key("A", day=1, exact=False)
    assert len({key, quote.key("A", 2), quote.key("A", 1, exact=True), quote.key("B")}) == 4
    assert len(bytes.fromhex(key)) == 32
    with pytest.raises(TypeError):
        quote.key()


async def test_a_call_is_invalidated(ops: ToolOps) -> None:
    runs = []

    @ops.tool(cache=Cache(ttl=60))
    def quote(ticker: str) -> str:
        runs.append(ticker)
        return ticker

    for ticker in ("A", "B"):
        quote(ticker)
    quote.invalidate("A")
    for ticker in ("A", "B"):
        quote(ticker)
    assert runs == ["A", "B", "A"]
    await quote.ainvalidate(ticker="B")
    for ticker in ("A", "B"):
        quote(ticker)
    assert runs == ["A", "B", "A", "B"]
    ops.invalidate(keys=[quote.key("A"), bytes.fromhex(quote.key("B"))])
    quote("A")
    assert len(runs) == 5


def test_a_tool_without_results_to_keep_has_no_key(ops: ToolOps) -> None:
    @ops.tool(retry=Retry())
    def quote(ticker: str) -> str:
        return ticker

    for ask in (quote.key, quote.invalidate):
        with pytest.raises(ConfigurationError) as caught:
            ask("A")
        assert caught.value.parameter == "cache"


def test_tools_of_one_name_share_across_functions_and_kinds(ops: ToolOps) -> None:
    runs = []

    @ops.tool(name="quote", cache=Cache(ttl=60))
    def sync(ticker: str) -> str:
        runs.append("sync")
        return ticker

    @ops.tool(name="quote", cache=Cache(ttl=60))
    async def aio(ticker: str) -> str:
        runs.append("aio")
        return ticker

    assert sync("A") == asyncio.run(aio("A")) == asyncio.run(aio(ticker="A"))
    assert runs == ["sync"]

    @ops.tool(name="quote", cache=Cache(ttl=60, version="2"))
    def newer(ticker: str) -> str:
        runs.append("newer")
        return ticker

    newer("A")
    assert runs == ["sync", "newer"]


def test_dataclasses_and_models_are_arguments_and_results(ops: ToolOps) -> None:
    @dataclass(frozen=True)
    class Order:
        ticker: str
        parts: tuple[int, ...] = ()

    class Quote(pydantic.BaseModel):
        ticker: str
        price: float

    runs = []

    @ops.tool(cache=Cache(ttl=60))
    def price(order: Order, basis: Quote | None = None) -> float:
        runs.append(order)
        return 1.0 if basis is None else basis.price

    for _ in range(2):
        assert price(Order("A", (1, 2))) == 1.0
        assert price(Order("A", (2, 1))) == 1.0
        assert price(Order("A"), Quote(ticker="A", price=2)) == 2.0
        assert price(Order("A"), Quote(ticker="A", price=3)) == 3.0
    assert len(runs) == 4

    @ops.tool(cache=Cache(ttl=60))
    def quote(ticker: str) -> Any:
        runs.append(ticker)
        return Quote(ticker=ticker, price=1)

    # Not registered with the codec: returned as they are, and not kept.
    assert quote("A") == quote("A") == Quote(ticker="A", price=1)
    assert len(runs) == 6
    ops.codec.register(Quote)
    assert quote("A") == quote("A") == Quote(ticker="A", price=1)
    assert len(runs) == 7


def test_an_argument_without_a_canonical_form_bypasses_the_cache_with_a_warning(
    ops: ToolOps, caplog: pytest.LogCaptureFixture
) -> None:
    notices = Notices(ops)
    runs = []

    @ops.tool(cache=Cache(ttl=60))
    def use(thing: Any) -> int:
        runs.append(1)
        return len(runs)

    thing = object()
    with caplog.at_level(logging.WARNING, "toolops_plugins"):
        assert [use(thing), use(thing)] == [1, 2]
    assert notices.reasons == ["not_canonical"]
    assert ops.stats().total.bypassed == 2


def test_secrets_count_in_the_key_and_cannot_be_dropped(ops: ToolOps) -> None:
    @ops.tool(cache=Cache(ttl=60), ignore=["request_id"])
    def inbox(api_key: str, request_id: int = 0) -> str:
        return api_key

    assert inbox("alice", 1) == inbox("alice", 2) == "alice"
    assert inbox("bob", 1) == "bob"
    assert inbox.key("alice", 1) == inbox.key("alice", 2)


@pytest.mark.parametrize("how", ["ignore", "key_params"])
@pytest.mark.parametrize("name", ["api_key", "who"])
def test_no_option_drops_a_secret_from_the_key(ops: ToolOps, how: str, name: str) -> None:
    """True if it is named in `secret=` or known by its name."""
    if name == "who":

        def inbox(who: str, n: int = 0) -> str:
            return who

    else:

        def inbox(api_key: str, n: int = 0) -> str:
            return api_key

    cache = Cache(ttl=60, key_params=["n"]) if how == "key_params" else Cache(ttl=60)
    ignore = [name] if how == "ignore" else []
    secret = ["who"] if name == "who" else []
    with pytest.raises(ConfigurationError) as caught:
        ops.tool(cache=cache, ignore=ignore, secret=secret)(inbox)
    assert caught.value.parameter == how
    assert name in caught.value.problem


# Wrong policies


def _sync(ticker: str, day: int = 1) -> str:
    return ticker


async def _aio(ticker: str) -> str:
    return ticker


async def _afallback() -> str:
    return "sorry"


def _gen(ticker: str) -> Iterator[str]:
    yield ticker


@pytest.mark.parametrize(
    ("parameter", "wrong"),
    [
        ("ttl", lambda: Cache(ttl=-1)),
        ("ttl", lambda: Cache(ttl=0)),
        ("ttl", lambda: Cache(ttl=float("nan"))),
        ("ttl", lambda: Cache(ttl="60")),
        ("stale_ttl", lambda: Cache(stale_ttl=-1)),
        ("jitter", lambda: Cache(jitter=1.5)),
        ("version", lambda: Cache(version=2)),
        ("tags", lambda: Cache(tags="lone")),
        ("tiers", lambda: Cache(tiers=[])),
        ("attempts", lambda: Retry(attempts=0)),
        ("attempts", lambda: Retry(attempts=True)),
        ("wait", lambda: Retry(wait="sometimes")),
        ("on", lambda: Retry(on="LookupError")),
        ("failure_rate", lambda: CircuitBreaker(failure_rate=0)),
        ("open_for", lambda: CircuitBreaker(open_for=0)),
        ("attempt", lambda: Timeout(attempt=0)),
        ("total", lambda: Timeout(total=-1)),
        ("rate", lambda: RateLimit("sixty a minute")),
        ("limit", lambda: Bulkhead(0)),
        ("quantile", lambda: Hedge(quantile=1)),
        ("on", lambda: Semantic(on="")),
        ("cache", lambda: Policy(cache=60)),
        ("coalesce", lambda: Policy(coalesce="yes")),
        ("price", lambda: Policy(price=-1)),
        ("semantic", lambda: Policy(semantic=Semantic(on="ticker"))),
        ("namespace", lambda: ToolOps("")),
        ("max_flights", lambda: ToolOps(max_flights=0)),
        ("tiers", lambda: ToolOps(tiers=["L1"])),
        ("tiers", lambda: ToolOps(tiers=[Memory(), Memory()])),
        ("secret", lambda: ToolOps(secret="")),
        ("tenant", lambda: ToolOps(tenant=5)),
    ],
)
def test_wrong_values_are_refused_by_name(parameter: str, wrong: Callable[[], Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        wrong()
    assert caught.value.parameter == parameter
    assert str(caught.value).startswith(parameter)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("parameter", "function", "options"),
    [
        ("tiers", _sync, {"cache": Cache(ttl=60, tiers=["L9"])}),
        ("semantic", _sync, {"cache": Cache(ttl=60), "semantic": Semantic(on="question")}),
        ("semantic", _sync, {"cache": Cache(ttl=60), "semantic": Semantic(on="ticker")}),
        ("ignore", _sync, {"cache": Cache(ttl=60), "ignore": ["nope"]}),
        ("ignore", _sync, {"cache": Cache(ttl=60), "ignore": "ticker"}),
        ("ignore", _sync, {"cache": Cache(), "ignore": ["ticker"], "secret": ["ticker"]}),
        ("secret", _sync, {"cache": Cache(ttl=60), "secret": ["nope"]}),
        ("key_params", _sync, {"cache": Cache(ttl=60, key_params=["nope"])}),
        ("tags", _sync, {"cache": Cache(ttl=60, tags=["t:{nope}"])}),
        ("tags", _sync, {"cache": Cache(ttl=60, tags=["t:{ticker"])}),
        ("tags", _sync, {"cache": Cache(tags=["t:{ticker}"]), "secret": ["ticker"]}),
        ("tags", _sync, {"tags": ["t:{nope}"]}),
        ("fallback", _sync, {"fallback": _afallback}),
        ("fallback", _gen, {"fallback": _afallback}),
        ("hedge", _gen, {"hedge": Hedge()}),
        ("cash", _sync, {"cash": 1}),
    ],
)
def test_options_that_do_not_fit_the_function_are_refused_at_decoration(
    ops: ToolOps, parameter: str, function: Any, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ops.tool(**options)(function)
    assert caught.value.parameter == parameter


def test_an_asynchronous_fallback_suits_an_asynchronous_tool(ops: ToolOps) -> None:
    @ops.tool(fallback=_afallback)
    async def fail() -> str:
        raise LookupError

    assert asyncio.run(fail()) == "sorry"


@pytest.mark.parametrize(
    ("parameter", "options"),
    [
        ("cache", {"cache": Cache(ttl=60)}),
        ("coalesce", {"coalesce": True}),
        ("retry", {"retry": Retry()}),
        ("hedge", {"hedge": Hedge()}),
        ("cache", {"cache": Cache(ttl=60), "idempotent": True}),
    ],
)
def test_side_effects_are_neither_dropped_nor_doubled(
    ops: ToolOps, parameter: str, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ops.sideeffect(**options)(_sync)
    assert caught.value.parameter == parameter


@pytest.mark.parametrize("policy", [CACHE, Policy(coalesce=True), Policy(retry=Retry())])
def test_no_policy_gets_round_the_preset_of_side_effects(ops: ToolOps, policy: Policy) -> None:
    with pytest.raises(ConfigurationError):
        ops.sideeffect(policy=policy)(_sync)


def test_side_effects_that_may_be_repeated_may_be_retried(ops: ToolOps) -> None:
    put = ops.sideeffect(idempotent=True, retry=Retry(attempts=7), hedge=Hedge())(_sync)
    assert put.policy.retry.attempts == 7
    assert put.policy.hedge == Hedge()
    assert ops.sideeffect(idempotent=True, retry=None)(_sync).policy.retry is None


def test_one_breaker_is_not_two(ops: ToolOps) -> None:
    ops.tool(breaker=CircuitBreaker(name="shop"))(_sync)
    ops.tool(breaker=CircuitBreaker(name="shop"))(_aio)
    with pytest.raises(ConfigurationError) as caught:
        ops.tool(breaker=CircuitBreaker(name="shop", probes=9))(_aio)
    assert caught.value.parameter == "breaker"


def test_the_presets_start_from_a_policy_too(ops: ToolOps) -> None:
    provider = Policy(retry=Retry(attempts=7), timeout=Timeout(total=9))
    read = ops.readonly(ttl=60, policy=provider, timeout=None)(lambda: 1)
    assert read.policy.cache == Cache(ttl=60)
    assert read.policy.retry == Retry(attempts=7)
    assert read.policy.timeout is None
    act = ops.sideeffect(policy=provider, idempotent=True)(lambda: 1)
    assert act.policy == provider.replace(coalesce=False)
    with pytest.raises(ConfigurationError, match="retry"):
        ops.sideeffect(policy=provider)(lambda: 1)


def test_an_option_in_place_of_the_function_is_refused():
    for given in (60, Cache(ttl=60)):
        with pytest.raises(ConfigurationError, match="give options by name, such as ttl=60"):
            ToolOps().readonly(given)
