"""Calls that no tool of the runtime makes: counted, limited and cached all the same."""

from __future__ import annotations

import pytest

from toolops_plugins import Cache, CallEvent, ConfigurationError, RateLimit, RateLimited, ToolOps
from toolops_plugins.policy import NOTHING
from toolops_plugins.testing import FakeClock


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def ops(clock):
    return ToolOps("elsewhere", clock=clock)


def test_an_external_call_is_counted_and_reaches_the_sinks(ops):
    events = []
    ops.add_sink(events.append)
    ops.tell(CallEvent("chat:m", "bypass", 0.5, namespace="other", price=2.0, attempts=1))
    (event,) = events
    assert (event.name, event.namespace, event.price) == ("chat:m", "elsewhere", 2.0)
    report = ops.stats()["chat:m"]
    assert (report.bypassed, report.spent, report.latency.p50) == (
        1,
        2.0,
        pytest.approx(0.5, rel=0.05),
    )


def test_an_inactive_runtime_emits_no_events(ops):
    events = []
    ops.add_sink(events.append)
    ops.active = False
    ops.tell(CallEvent("chat:m", "bypass", 0.5))
    assert events == []
    assert not ops.stats()


def test_a_limiter_shares_its_units_with_tools_of_its_name(ops, clock):
    limit = RateLimit("2/min", wait=0)

    @ops.tool(name="quotes", rate_limit=limit)
    def quote():
        return 1

    ops.limiter(limit, "quotes").acquire()
    assert quote() == 1
    with pytest.raises(RateLimited):
        quote()
    assert ops.limiter(RateLimit("2/min", wait=0, name="other"), "quotes").name == "other"
    with pytest.raises(ConfigurationError, match="quotes"):
        ops.limiter(RateLimit("3/min"), "quotes")


def test_a_caller_may_be_less_patient_than_the_limit(ops, clock):
    limiter = ops.limiter(RateLimit("60/min", burst=1, wait=5), "quotes")
    limiter.acquire()
    with pytest.raises(RateLimited) as caught:
        limiter.reserve(wait=0.25)
    assert caught.value.retry_after == pytest.approx(0.75)
    assert limiter.reserve(wait=100).delay == 1.0  # nothing was taken before
    with pytest.raises(RateLimited):
        limiter.reserve(5, wait=100)  # more than the burst


def test_a_value_may_be_kept_for_a_time_of_its_own(ops, clock):
    def answer(text: str) -> str:
        """Names what makes up the key."""

    aside = ops.aside(answer, cache=Cache(ttl=100, jitter=0.0))
    aside.lookup("a")
    clock.advance(2.0)
    aside.store_for(10, "short", "a")
    aside.store("long", "b")
    assert (aside.lookup("a"), aside.lookup("b")) == ("short", "long")
    assert ops.stats()[aside.name].saved_seconds == 2.0
    clock.advance(11.0)
    assert aside.lookup("a") is NOTHING
    assert aside.lookup("b") == "long"
    with pytest.raises(ConfigurationError, match="ttl"):
        aside.store_for(0, "never", "a")


async def test_a_value_may_be_kept_for_a_time_of_its_own_on_a_loop(ops, clock):
    def answer(text: str) -> str:
        """Names what makes up the key."""

    aside = ops.aside(answer, cache=Cache(ttl=1, jitter=0.0))
    await aside.astore_for(10, "long", "a")
    clock.advance(5.0)
    assert await aside.alookup("a") == "long"
