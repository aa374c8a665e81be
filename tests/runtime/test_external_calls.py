"""Calls that no tool of the runtime makes: counted, limited and cached all the same."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from toolops_plugins import Cache, CallEvent, ConfigurationError, RateLimit, RateLimited, ToolOps
from toolops_plugins.policy import NOTHING
from toolops_plugins.telemetry.events import Notice
from toolops_plugins.telemetry.ledger import open_reader
from toolops_plugins.testing import FakeClock


class KeepsNotices:
    """A sink that keeps notices."""

    def __init__(self, notices: list[Notice]) -> None:
        self.on_notice = notices.append

    def on_call(self, event: CallEvent) -> None: ...


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


@pytest.mark.parametrize("number", [math.nan, math.inf, -1.0, 10**400, "secret", None, True])
@pytest.mark.parametrize("field", ["price", "latency", "saved_price", "attempts", "worked"])
def test_a_number_that_is_no_amount_counts_as_none(field: str, number: Any, tmp_path: Path):
    notices: list[Notice] = []
    ops = ToolOps(ledger=f"sqlite:///{tmp_path / 'ledger.db'}", sinks=[KeepsNotices(notices)])
    ops.tell(CallEvent("ask", "miss", 0.5, price=2.0)._replace(**{field: number}))
    ops.tell(CallEvent("ask", "miss", 0.5, price=1.0))
    ops.close()
    assert ops.stats()["ask"].calls == 2
    assert ops.stats()["ask"].spent == (1.0 if field == "price" else 3.0)
    with open_reader(f"sqlite:///{tmp_path / 'ledger.db'}") as reader:
        (sums,) = reader.summaries(reader.now() - 600, by=()).values()
    assert (sums.calls, sums.spent_cost) == (2, ops.stats()["ask"].spent)
    assert [notice.detail for notice in notices] == ["price_invalid"] * field.endswith("price")
    assert "secret" not in str(notices)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": None}, {"name": 5}, {"outcome": "weird"}, {"outcome": None}, {"tier": 1},
        {"reason": object()}, {"error": ValueError()}, {"details": 5}, {"semantic": []},
    ],
)  # fmt: skip
def test_an_event_of_a_wrong_form_is_refused_in_one_line(wrong: dict[str, Any]):
    ops = ToolOps()
    with pytest.raises(ConfigurationError, match="^event: needs a"):
        ops.tell(CallEvent("ask", "miss", 0.5)._replace(**wrong))
    assert ops.stats().total.calls == 0


def test_details_that_cannot_be_written_stop_no_ledger(tmp_path: Path):
    class Silent:
        def __str__(self) -> str:
            raise RuntimeError

    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ops = ToolOps(ledger=url)
    semantic = {"verdict": Silent(), "max_error": Silent()}
    ops.tell(CallEvent("ask", "miss", 0.5, details={"model": Silent()}, semantic=semantic))
    ops.close()
    with open_reader(url) as reader:
        assert list(reader.summaries(reader.now() - 600, by=("model",))) == [("Silent",)]
