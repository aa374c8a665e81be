"""The Prometheus sink in one process: what it counts, and what it reads when it is scraped."""

from __future__ import annotations

import gc
import math
import subprocess
import sys
import threading

import pytest
from callers import start
from prometheus_client import REGISTRY, CollectorRegistry, Counter, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from toolops_plugins import (
    Cache,
    CircuitBreaker,
    CircuitOpen,
    Memory,
    RateLimit,
    Retry,
    ToolOps,
)
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.telemetry.events import OUTCOMES, CallEvent, CallStep, Notice
from toolops_plugins.telemetry.prometheus import PrometheusSink
from toolops_plugins.telemetry.prometheus import families as family_module
from toolops_plugins.telemetry.prometheus import metrics as metrics_module
from toolops_plugins.telemetry.prometheus.families import Family
from toolops_plugins.testing import FakeClock

SHOP = {"namespace": "shop", "tool": "quote"}
ALL = [value for value in vars(family_module).values() if isinstance(value, Family)]


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def sink(registry):
    return PrometheusSink(registry)


@pytest.fixture
def value(registry):
    """The value of a series, by the metric's name and its labels."""

    def value(name, /, **labels):
        return registry.get_sample_value(name, labels)

    return value


def event(outcome="miss", **fields):
    fields = {"name": "quote", "latency": 0.2, "namespace": "shop", **fields}
    return CallEvent(outcome=outcome, **fields)


# What is counted


def test_calls_are_counted_by_outcome_and_tier(registry, sink, value):
    ops = ToolOps("shop", sinks=[sink])

    @ops.readonly(name="quote", ttl=60, price=0.5)
    def quote(symbol):
        if symbol == "bad":
            raise ValueError
        return symbol

    for _ in range(3):
        quote("a")
    with pytest.raises(ValueError):
        quote("bad")
    calls = "toolops_calls_total"
    assert value(calls, **SHOP, outcome="miss", tier="") == 1
    assert value(calls, **SHOP, outcome="hit", tier="L1") == 2
    assert value(calls, **SHOP, outcome="error", tier="") == 1
    assert value("toolops_call_duration_seconds_count", **SHOP, outcome="hit") == 2
    assert value("toolops_saved_cost_total", **SHOP) == 1.0
    assert value("toolops_spent_cost_total", **SHOP) >= 1.0
    assert value("toolops_saved_seconds_total", **SHOP) >= 0.0
    assert value("toolops_function_duration_seconds_count", **SHOP) >= 1


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_is_counted(sink, value, outcome):
    sink.on_call(event(outcome))
    assert value("toolops_calls_total", **SHOP, outcome=outcome, tier="") == 1
    assert value("toolops_call_duration_seconds_sum", **SHOP, outcome=outcome) == 0.2


def test_a_histogram_tells_hits_in_memory_from_minutes(sink, value):
    for seconds in (0.000004, 0.3, 90.0, 600.0):
        sink.on_call(event("hit", latency=seconds))

    def count(bound):
        return value("toolops_call_duration_seconds_bucket", **SHOP, outcome="hit", le=bound)

    assert count("1e-06") == 0
    assert count("5e-06") == 1
    assert count("0.5") == 2
    assert count("120.0") == 3
    assert count("+Inf") == 4


def test_tokens_are_counted_by_model_and_sort(sink, value):
    details = {"model": "gpt-9", "input_tokens": 100, "output_tokens": 20, "cache_read_tokens": 60}
    sink.on_call(event("miss", details=details))
    sink.on_call(event("hit", details={"model": "gpt-9", "saved_input_tokens": 100, "agent": "a"}))
    sink.on_call(event("miss", details={"input_tokens": 7, "output_tokens": "many"}))

    def tokens(model, kind):
        return value("toolops_tokens_total", **SHOP, model=model, type=kind)

    assert tokens("gpt-9", "input") == 100
    assert tokens("gpt-9", "output") == 20
    assert tokens("gpt-9", "cache_read") == 60
    assert tokens("gpt-9", "saved_input") == 100
    assert tokens("", "input") == 7
    assert tokens("", "output") is None


def test_retries_and_reasons(sink, value):
    sink.on_call(event("miss", attempts=1))
    sink.on_call(event("miss", attempts=4, hedged=True, reason="not_encodable"))
    sink.on_call(event("rejected", reason="circuit_open"))
    assert value("toolops_retries_total", **SHOP) == 2
    assert value("toolops_call_reasons_total", **SHOP, reason="not_encodable") == 1
    assert value("toolops_call_reasons_total", **SHOP, reason="circuit_open") == 1


def test_a_real_retry_is_counted(sink, value):
    ops, runs = ToolOps("shop", sinks=[sink], clock=FakeClock()), []

    @ops.tool(name="quote", retry=Retry(attempts=3))
    def quote():
        runs.append(1)
        if len(runs) < 3:
            raise ConnectionError
        return 1

    quote()
    assert value("toolops_retries_total", **SHOP) == 2


def test_a_real_wait_for_a_limit_is_counted(sink, value):
    ops = ToolOps("shop", sinks=[sink], clock=FakeClock())

    @ops.tool(name="quote", rate_limit=RateLimit("1/s", wait=10.0))
    def quote():
        return 1

    for _ in range(3):
        quote()
    waits = value("toolops_limit_wait_seconds_count", **SHOP)
    assert waits >= 1
    assert value("toolops_limit_wait_seconds_sum", **SHOP) == pytest.approx(waits * 1.0, rel=0.5)


def test_the_function_is_measured_apart_from_the_waits_of_a_call(sink, value):
    clock = FakeClock()
    ops = ToolOps("shop", sinks=[sink], clock=clock)

    @ops.tool(name="quote", rate_limit=RateLimit("1/s", wait=10.0))
    def quote():
        clock.advance(0.25)

    for _ in range(2):
        quote()
    assert value("toolops_function_duration_seconds_sum", **SHOP) == 0.5
    assert value("toolops_call_duration_seconds_sum", **SHOP, outcome="bypass") > 0.5


def test_waits_for_a_limit_are_counted(sink, value):
    sink.on_step(CallStep("limit_wait", 1, 0.3, name="quote", namespace="shop"))
    sink.on_step(CallStep("retry", 1, 0.3, name="quote", namespace="shop"))
    assert value("toolops_limit_wait_seconds_count", **SHOP) == 1
    assert value("toolops_limit_wait_seconds_sum", **SHOP) == 0.3


def test_notices_are_counted(sink, value):
    sink.on_notice(Notice("tier_failed", "L2", "ConnectionError", namespace="shop"))
    sink.on_notice(Notice("tier_failed", "L2", "Timeout", namespace="shop"))
    labels = {"namespace": "shop", "kind": "tier_failed", "name": "L2"}
    assert value("toolops_notices_total", **labels) == 2


def test_decisions_by_meaning_are_counted_by_verdict(sink, value):
    for verdict in ("nothing_near", "vetoed", "vetoed"):
        sink.on_call(event("miss", semantic={"verdict": verdict, "similarity": 0.5}))
    sink.on_call(event("hit", tier="semantic", semantic={"verdict": "served"}))

    def count(verdict):
        return value("toolops_semantic_decisions_total", **SHOP, verdict=verdict)

    assert (count("nothing_near"), count("vetoed"), count("served")) == (1, 2, 1)


def test_the_expected_errors_are_a_share_of_those_allowed(sink, value):
    semantic = {"verdict": "served", "max_error": 0.01, "spent": 3.0, "allowed": 4.0}
    sink.on_call(event("hit", semantic=semantic))
    assert value("toolops_semantic_error_ratio", namespace="shop", bound="0.01") == 0.75


# What is read at a scrape


def test_breakers_tiers_and_entries_are_read_at_a_scrape(registry, sink, value):
    ops = ToolOps("shop", [Memory(100)], sinks=[sink])

    @ops.tool(name="quote", cache=Cache(ttl=60), breaker=CircuitBreaker(window=2))
    def quote(symbol):
        if symbol == "bad":
            raise ConnectionError
        return symbol

    def state(name):
        return value("toolops_breaker_state", namespace="shop", breaker="quote", state=name)

    quote("a")
    assert (state("closed"), state("open")) == (1, 0)
    with pytest.raises(ConnectionError):
        quote("bad")
    with pytest.raises(CircuitOpen):
        quote("b")
    assert (state("closed"), state("open"), state("half_open")) == (0, 1, 0)
    assert value("toolops_entries", namespace="shop", tier="L1") == 1
    assert value("toolops_tier_up", namespace="shop", tier="L1") == 1
    ops._tiers.failing.add(("L1", "read"))
    assert value("toolops_tier_up", namespace="shop", tier="L1") == 0


def test_a_sink_that_fails_is_seen(registry, sink, value):
    def broken(event):
        raise ValueError

    ops = ToolOps("shop", sinks=[sink, broken])
    ops.call(abs, -1)
    ops.call(abs, -1)
    dropped = {"namespace": "shop", "sink": broken.__qualname__}
    assert value("toolops_dropped_events_total", **dropped) == 2


def test_a_runtime_that_is_gone_is_not_shown(registry, sink, value):
    ops = ToolOps("shop", sinks=[sink])
    assert value("toolops_entries", namespace="shop", tier="L1") == 0
    del ops
    gc.collect()
    assert value("toolops_entries", namespace="shop", tier="L1") is None


def test_runtimes_that_are_gone_are_forgotten_without_a_scrape(sink):
    for _ in range(250):
        ToolOps("shop", sinks=[sink])
    gc.collect()
    ops = [ToolOps("shop", sinks=[sink]) for _ in range(100)]
    assert len(sink._gauges._sources._sources) < 2 * len(ops)


# One registry, several sinks and runtimes


def test_sinks_and_runtimes_of_one_registry_count_together(registry, sink, value):
    first = ToolOps("shop", sinks=[sink])
    second = ToolOps("shop", sinks=[PrometheusSink(registry)])
    for ops in (first, second):
        ops.readonly(name="quote", ttl=60)(lambda: 1)()
    assert value("toolops_calls_total", **SHOP, outcome="miss", tier="") == 2
    assert value("toolops_entries", namespace="shop", tier="L1") == 2


def test_the_default_registry_is_that_of_the_client():
    PrometheusSink()
    PrometheusSink()
    assert "toolops_calls" in REGISTRY._names_to_collectors


def test_registries_are_apart(registry, sink, value):
    other = PrometheusSink(CollectorRegistry())
    other.on_call(event())
    assert value("toolops_calls_total", **SHOP, outcome="miss", tier="") is None


@pytest.mark.parametrize("options", [{"buckets": (1, 2)}, {"max_label_values": 3}])
def test_other_options_for_one_registry_are_an_error(registry, sink, options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        PrometheusSink(registry, **options)


def test_metrics_of_the_same_names_from_elsewhere_are_an_error(registry):
    Counter("toolops_retries_total", "of somebody else", registry=registry)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="registry"):
            PrometheusSink(registry)
    assert registry.get_sample_value("toolops_retries_total") == 0


@pytest.mark.parametrize(
    "options",
    [
        {"buckets": ()},
        {"buckets": (2, 1)},
        {"buckets": (1, 1)},
        {"buckets": ("1",)},
        {"buckets": "123"},
        {"buckets": 3},
        {"buckets": (math.nan,)},
        {"max_label_values": 0},
        {"registry": object()},
        {"registry": CollectorRegistry},
    ],
)
def test_bad_options_are_named(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        PrometheusSink(**{"registry": CollectorRegistry(), **options})


# Labels are bounded, and values sound


def test_tools_past_the_limit_are_counted_as_other(registry):
    sink = PrometheusSink(registry, max_label_values=3)
    for number in range(100):
        sink.on_call(event("miss", name=f"tool-{number}"))
        sink.on_call(event("miss", namespace=f"tenant-{number}"))
    calls = [m for m in registry.collect() if m.name == "toolops_calls"]
    samples = [s for s in calls[0].samples if s.name == "toolops_calls_total"]
    assert sum(sample.value for sample in samples) == 200
    assert len({s.labels["tool"] for s in samples}) <= 4
    assert len({s.labels["namespace"] for s in samples}) <= 4
    assert any(s.labels["tool"] == "other" for s in samples)


@pytest.mark.parametrize(
    ("metric", "label", "fields"),
    [
        ("toolops_call_reasons", "reason", lambda i: {"reason": f"r{i}"}),
        ("toolops_calls", "tier", lambda i: {"tier": f"t{i}"}),
        ("toolops_tokens", "model", lambda i: {"details": {"model": f"m{i}", "input_tokens": 1}}),
        ("toolops_semantic_decisions", "verdict", lambda i: {"semantic": {"verdict": f"v{i}"}}),
    ],
)
def test_values_past_the_limit_are_other(registry, metric, label, fields):
    sink = PrometheusSink(registry, max_label_values=3)
    for number in range(50):
        sink.on_call(event("hit", **fields(number)))
    (found,) = [m for m in registry.collect() if m.name == metric]
    samples = [sample for sample in found.samples if sample.name.endswith("_total")]
    assert len({sample.labels[label] for sample in samples}) == 4
    assert sum(sample.value for sample in samples) == 50


def test_series_that_are_remembered_are_bounded(registry, sink, monkeypatch):
    monkeypatch.setattr(metrics_module, "_MOST_SERIES", 10)
    for number in range(50):
        sink.on_call(event("miss", name=f"tool-{number}"))
    assert len(sink._series) == 10


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
def test_numbers_that_are_none_spoil_no_sum(sink, value, bad):
    sink.on_call(event("miss", latency=bad, price=bad, saved_latency=bad, saved_price=bad))
    sink.on_call(event("miss", details={"input_tokens": bad}, worked=bad))
    sink.on_step(CallStep("limit_wait", 1, bad, name="quote", namespace="shop"))
    assert value("toolops_call_duration_seconds_sum", **SHOP, outcome="miss") == 0.2
    assert value("toolops_call_duration_seconds_count", **SHOP, outcome="miss") == 2
    assert value("toolops_spent_cost_total", **SHOP) == 0
    assert value("toolops_saved_cost_total", **SHOP) == 0
    assert value("toolops_saved_seconds_total", **SHOP) == 0
    assert value("toolops_limit_wait_seconds_sum", **SHOP) == 0


def test_odd_names_leave_every_scrape_whole(registry, sink):
    odd = ['a"b\\c\nd', "\ud800 alone", "x" * 10_000, "", "Ünï", 7]
    for name in odd:
        sink.on_call(event("miss", name=name))
    for generate in (generate_latest, generate_openmetrics):
        text = generate(registry).decode()
        assert "\\ud800 alone" in text
    found = {
        sample.labels["tool"]
        for metric in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in metric.samples
        if sample.name == "toolops_calls_total"
    }
    assert len(found) == len(odd)
    assert max(map(len, found)) == 200


def test_no_key_tag_question_or_argument_is_shown(registry, sink):
    semantic = {"verdict": "served", "question": "a secret", "similarity": 0.9, "policy": "p"}
    details = {"model": "m", "input_tokens": 1, "note": "a secret"}
    sink.on_call(
        event("hit", key="a secret", tags=("a secret",), semantic=semantic, details=details)
    )
    sink.on_notice(Notice("bypass", "quote", "a secret", error="a secret"))
    assert "secret" not in generate_latest(registry).decode()


# Names


def test_every_metric_is_exported_under_its_name(registry, sink):
    names = {
        name for metric in registry.collect() for name in (metric.name, f"{metric.name}_total")
    }
    assert {family.name for family in ALL} - names == {"toolops_ledger_up"}


def test_one_metric_can_be_asked_for(registry, sink):
    sink.on_call(event())
    chosen = registry.restricted_registry(["toolops_calls_total"])
    assert [metric.name for metric in chosen.collect()] == ["toolops_calls"]


@pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)
def test_names_follow_the_rules_of_prometheus(family):
    assert family.name.startswith("toolops_")
    assert family.text.endswith(".")
    assert len(set(family.labels)) == len(family.labels)


# Threads


def test_no_call_of_many_threads_is_lost(sink, value):
    def work():
        for _ in range(500):
            sink.on_call(event("hit", tier="L1", saved_price=0.5))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value("toolops_calls_total", **SHOP, outcome="hit", tier="L1") == 4_000
    assert value("toolops_saved_cost_total", **SHOP) == 2_000


def test_scrapes_in_the_middle_of_calls_lose_nothing(registry, sink, value):
    done = threading.Event()

    def work():
        for number in range(2_000):
            sink.on_call(event("hit", tier="L1", saved_latency=0.25, latency=number * 1e-6))

    def scrape():
        seen = [0.0]
        while not done.is_set():
            seen.append(value("toolops_calls_total", **SHOP, outcome="hit", tier="L1") or 0.0)
        assert seen == sorted(seen)

    scraper = start(scrape)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    scraper.result()
    assert value("toolops_calls_total", **SHOP, outcome="hit", tier="L1") == 8_000
    assert value("toolops_call_duration_seconds_count", **SHOP, outcome="hit") == 8_000
    assert value("toolops_saved_seconds_total", **SHOP) == 2_000


def test_what_waits_for_a_scrape_is_bounded(sink):
    for _ in range(1_000):
        sink.on_call(event("hit", tier="L1"))
    (series,) = sink._series.values()
    assert len(series.latencies) < 64


@pytest.mark.parametrize(
    "name",
    [
        "toolops_calls_total",
        "toolops_call_duration_seconds_sum",
        "toolops_saved_seconds_total",
        "toolops_saved_cost_total",
        "toolops_spent_cost_total",
    ],
)
def test_what_waits_is_in_a_scrape_of_one_metric(registry, sink, name):
    fields = {"saved_latency": 1.0, "saved_price": 1.0, "latency": 1.0}
    for _ in range(3):
        sink.on_call(event("hit", **fields))
        sink.on_call(event("miss", price=1.0, latency=1.0))
    (metric,) = registry.restricted_registry([name]).collect()
    assert sum(sample.value for sample in metric.samples) in (3, 6)


def test_a_call_inside_of_a_count_waits_for_it(sink, value, monkeypatch):
    """As from a signal handler or a finalizer: the locks of the client are not reentrant."""
    sink.on_call(event())
    seen = []

    def interrupt(*labels):
        if not seen:
            seen.append(1)
            sink.on_call(event("hit"))
            sink.on_notice(Notice("too_large", "quote"))
        return original(*labels)

    retries = sink._take.__self__.metrics.retries
    original = retries.labels
    monkeypatch.setattr(retries, "labels", interrupt)
    sink.on_call(event(attempts=2))
    assert seen
    assert value("toolops_calls_total", **SHOP, outcome="miss", tier="") == 2
    assert value("toolops_calls_total", **SHOP, outcome="hit", tier="") == 1
    assert value("toolops_notices_total", namespace="", kind="too_large", name="quote") == 1


def test_without_the_client_the_error_says_what_to_install(root):
    program = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "import toolops_plugins.telemetry.prometheus"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False
    )
    assert "pip install 'toolops-plugins[prometheus]'" in run.stderr
