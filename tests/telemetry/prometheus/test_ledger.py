"""The figures of a ledger as metrics."""

from __future__ import annotations

import math

import pytest
from ledger_data import SOURCES
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from toolops_plugins.quantiles import Quantiles
from toolops_plugins.telemetry.ledger import (
    BreakerReport,
    LedgerError,
    LedgerReader,
    ProcessState,
    Summary,
    TierState,
)
from toolops_plugins.telemetry.ledger.sqlite import SQLiteStore
from toolops_plugins.telemetry.ledger.store import Batch
from toolops_plugins.telemetry.ledger.sums import Cell, Decisions
from toolops_plugins.telemetry.prometheus.ledger import ledger_registry

CELL = Cell("shop", "quote")
SHOP = {"namespace": "shop", "tool": "quote"}
START = 1_800_000_000.0


class Ledger:
    """A ledger of one process, whose time the test sets."""

    def __init__(self, path, monkeypatch):
        self.now = START
        self.store = SQLiteStore(path)
        monkeypatch.setattr(self.store, "now", lambda: self.now)
        self.serial = 0
        self.registry = None
        self.told = []

    def open(self):
        self.registry = ledger_registry(LedgerReader(self.store), self.told.append)

    def write(self, cell=CELL, sums=(), **state):
        self.serial += 1
        record = {}
        for part in sums:
            record.update(part.to_record())
        minute = math.floor(self.now / 60) * 60
        state = ProcessState(state.pop("id", "one"), "host", 7, "shop", seen=self.now, **state)
        self.store.add(Batch(state.id, self.serial, {(minute, cell): record}, (), state))

    def value(self, name, /, **labels):
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    ledger = Ledger(tmp_path / "ledger.db", monkeypatch)
    yield ledger
    ledger.store.close()


def test_the_sums_have_the_names_of_the_sink(ledger):
    ledger.open()
    waited = Quantiles()
    waited.add_all([0.000002] * 4 + [0.3, 0.4])
    worked = Quantiles()
    worked.add_all([0.3, 0.4])
    sums = Summary(
        outcomes={"hit": 4, "miss": 2},
        tiers={"L1": 3, "semantic": 1},
        reasons={"not_encodable": 1},
        waited_buckets=waited.buckets(),
        worked_buckets=worked.buckets(),
        saved_seconds=1.5,
        saved_cost=0.25,
        spent_cost=0.75,
        input_tokens=100,
        output_tokens=20,
        saved_tokens=50,
    )
    decisions = Decisions(verdicts={"served": 1, "vetoed": 2})
    ledger.write(Cell("shop", "quote", "chat", "gpt-9"), [sums, decisions])
    calls = "toolops_calls_total"
    assert ledger.value(calls, **SHOP, outcome="hit", tier="L1") == 3
    assert ledger.value(calls, **SHOP, outcome="hit", tier="semantic") == 1
    assert ledger.value(calls, **SHOP, outcome="hit", tier="") is None
    assert ledger.value(calls, **SHOP, outcome="miss", tier="") == 2
    seconds = {**SHOP, "outcome": ""}
    bucket = "toolops_call_duration_seconds_bucket"
    assert ledger.value(bucket, **seconds, le="5e-06") == 4
    assert ledger.value(bucket, **seconds, le="0.25") == 4
    assert ledger.value(bucket, **seconds, le="+Inf") == 6
    total = ledger.value("toolops_call_duration_seconds_sum", **seconds)
    assert total == pytest.approx(0.7, rel=0.02)
    assert ledger.value("toolops_function_duration_seconds_count", **SHOP) == 2
    assert ledger.value("toolops_saved_seconds_total", **SHOP) == 1.5
    assert ledger.value("toolops_saved_cost_total", **SHOP) == 0.25
    assert ledger.value("toolops_spent_cost_total", **SHOP) == 0.75
    model = {**SHOP, "model": "gpt-9"}
    for kind, count in {"input": 100, "output": 20, "saved": 50}.items():
        assert ledger.value("toolops_tokens_total", **model, type=kind) == count
    assert ledger.value("toolops_call_reasons_total", **SHOP, reason="not_encodable") == 1
    assert ledger.value("toolops_semantic_decisions_total", **SHOP, verdict="vetoed") == 2
    assert ledger.value("toolops_ledger_up") == 1


def test_states_are_those_of_all_processes(ledger):
    ledger.open()
    ledger.write(
        id="one",
        breakers=(BreakerReport("quote", "open"),),
        tiers=(TierState("L1", items=3), TierState("L2", up=False)),
        index={"entries": 5},
    )
    ledger.write(
        id="two",
        breakers=(BreakerReport("quote", "closed"),),
        tiers=(TierState("L1", items=4), TierState("L2")),
        index={"entries": 6},
    )
    breaker = {"namespace": "shop", "breaker": "quote"}
    assert ledger.value("toolops_breaker_state", **breaker, state="open") == 1
    assert ledger.value("toolops_breaker_state", **breaker, state="closed") == 1
    assert ledger.value("toolops_breaker_state", **breaker, state="half_open") == 0
    assert ledger.value("toolops_entries", namespace="shop", tier="L1") == 7
    assert ledger.value("toolops_tier_up", namespace="shop", tier="L1") == 1
    assert ledger.value("toolops_tier_up", namespace="shop", tier="L2") == 0
    assert ledger.value("toolops_semantic_entries", namespace="shop") == 6


def test_counters_never_fall_though_the_ledger_forgets(ledger):
    ledger.open()
    seen = []
    for hour in range(6 * 24 * 4):  # past the two days for which minutes are kept
        ledger.now = START + hour * 600.0
        ledger.write(sums=[Summary(outcomes={"miss": 10})])
        if hour % 3 == 0:
            seen.append(ledger.value("toolops_calls_total", **SHOP, outcome="miss", tier=""))
    assert seen == sorted(seen)
    assert seen[-1] == 10 * (6 * 24 * 4 - 2)


def test_a_late_write_still_counts(ledger):
    ledger.open()
    ledger.now += 300.0
    assert ledger.value("toolops_ledger_up") == 1
    ledger.now -= 240.0  # the minute of a process that was held up
    ledger.write(sums=[Summary(outcomes={"miss": 1})])
    ledger.now += 3_000.0
    for _ in range(2):
        assert ledger.value("toolops_calls_total", **SHOP, outcome="miss", tier="") == 1


def test_counts_begin_when_the_collector_is_made(ledger):
    ledger.write(sums=[Summary(outcomes={"miss": 7})], dropped={"Sink": 9})
    ledger.now += 60.0
    ledger.open()
    assert ledger.value("toolops_calls_total", **SHOP, outcome="miss", tier="") is None
    ledger.write(sums=[Summary(outcomes={"miss": 1})], dropped={"Sink": 9})
    assert ledger.value("toolops_calls_total", **SHOP, outcome="miss", tier="") == 1
    dropped = {"namespace": "shop", "sink": "Sink"}
    assert ledger.value("toolops_dropped_events_total", **dropped) == 0


def test_what_sinks_dropped_adds_up_when_a_process_ends(ledger):
    ledger.write()
    ledger.open()
    dropped = {"namespace": "shop", "sink": "Sink"}
    assert ledger.value("toolops_dropped_events_total", **dropped) is None
    ledger.write(id="one", dropped={"Sink": 2})
    ledger.write(id="two", dropped={"Sink": 3})
    assert ledger.value("toolops_dropped_events_total", **dropped) == 5
    ledger.now += 300.0  # both are gone
    assert ledger.value("toolops_dropped_events_total", **dropped) == 5
    ledger.write(id="three", dropped={"Sink": 1})
    ledger.write(id="one", dropped={"Sink": 4})  # it had been cut off
    assert ledger.value("toolops_dropped_events_total", **dropped) == 8


def test_a_ledger_out_of_reach_is_told_once_and_found_again(ledger, monkeypatch):
    ledger.open()
    error = LedgerError("the ledger is out of reach")

    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(ledger.store, "read", fail)
        for _ in range(3):
            families = list(ledger.registry.collect())
            assert [family.name for family in families] == ["toolops_ledger_up"]
            assert families[0].samples[0].value == 0
    assert ledger.told == [error]
    for _ in range(2):
        assert ledger.value("toolops_ledger_up") == 1
    assert ledger.told == [error, None]


def test_single_metrics_can_be_asked_for(ledger):
    ledger.open()
    ledger.write(sums=[Summary(outcomes={"miss": 1})])
    chosen = ledger.registry.restricted_registry(["toolops_calls_total", "toolops_ledger_up"])
    samples = [sample.name for metric in chosen.collect() for sample in metric.samples]
    assert samples == ["toolops_calls_total", "toolops_ledger_up"]


def test_a_scrape_is_well_formed(ledger):
    ledger.open()
    for source in SOURCES:
        ledger.write(source.cell, [Summary(outcomes={"miss": 1, "refresh": 2})])
    text = generate_latest(ledger.registry).decode()
    seen = [
        (sample.name, tuple(sample.labels.items()))
        for metric in text_string_to_metric_families(text)
        for sample in metric.samples
    ]
    assert len(set(seen)) == len(seen)
