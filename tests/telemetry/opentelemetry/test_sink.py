"""Spans and metrics of starts, steps and events that a test hands to the sink itself."""

from __future__ import annotations

import math
import time
from contextvars import copy_context

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from toolops_plugins import ConfigurationError
from toolops_plugins.telemetry.events import CallEvent, CallStart, CallStep, Notice
from toolops_plugins.telemetry.opentelemetry import OpenTelemetrySink

MODEL = {"model": "gpt-5", "provider": "openai", "agent": "clerk"}
USAGE = {"response_model": "gpt-5-0801", "input_tokens": 30, "output_tokens": 7}
CHAT = CallStart("chat:gpt-5", "shop", kind="chat", details=MODEL)
ANSWER = CallEvent(
    "chat:gpt-5", "miss", 0.3, namespace="shop", attempts=1, details=MODEL | USAGE, kind="chat"
)


def test_a_tool_gets_a_span_of_the_conventions(telemetry):
    sink = telemetry.sink()
    state = sink.on_start(CallStart("search", "shop", details={"agent": "clerk"}))
    sink.on_call(CallEvent("search", "miss", 0.2, namespace="shop", attempts=1, key="ab"), state)
    span = telemetry.span("execute_tool search")
    assert span.kind is SpanKind.INTERNAL
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "search",
        "gen_ai.tool.type": "function",
        "gen_ai.agent.name": "clerk",
        "toolops.tool": "search",
        "toolops.kind": "tool",
        "toolops.namespace": "shop",
        "toolops.outcome": "miss",
        "toolops.latency": 0.2,
        "toolops.attempts": 1,
        "toolops.key": "ab",
    }
    point = telemetry.metric("gen_ai.execute_tool.duration")
    assert dict(point.attributes) == {
        "gen_ai.tool.name": "search",
        "gen_ai.tool.type": "function",
        "gen_ai.agent.name": "clerk",
    }
    assert (point.count, point.sum) == (1, 0.2)


def test_a_model_gets_a_span_and_metrics_of_the_conventions(telemetry):
    sink = telemetry.sink()
    sink.on_call(ANSWER, sink.on_start(CHAT))
    span = telemetry.span("chat gpt-5")
    assert span.kind is SpanKind.CLIENT
    assert {
        name: value for name, value in span.attributes.items() if name.startswith("gen_ai.")
    } == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5",
        "gen_ai.response.model": "gpt-5-0801",
        "gen_ai.agent.name": "clerk",
        "gen_ai.usage.input_tokens": 30,
        "gen_ai.usage.output_tokens": 7,
    }
    labels = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5",
        "gen_ai.response.model": "gpt-5-0801",
    }
    duration = telemetry.metric("gen_ai.client.operation.duration")
    assert dict(duration.attributes) == labels
    assert duration.sum == 0.3
    assert duration.explicit_bounds[:3] == (0.01, 0.02, 0.04)
    assert duration.explicit_bounds[-1] == 81.92
    usage = {
        point.attributes["gen_ai.token.type"]: point
        for point in telemetry.points("gen_ai.client.token.usage")
    }
    assert {kind: point.sum for kind, point in usage.items()} == {"input": 30, "output": 7}
    assert dict(usage["input"].attributes) == labels | {"gen_ai.token.type": "input"}
    assert usage["input"].explicit_bounds == tuple(4**power for power in range(14))


@pytest.mark.parametrize("kind", ["text_completion", "embeddings"])
def test_other_operations_of_models_have_their_names(telemetry, kind):
    sink = telemetry.sink()
    state = sink.on_start(CallStart("m", kind=kind, details=MODEL, stream=True))
    sink.on_call(CallEvent("m", "miss", 0.1, attempts=1, kind=kind), state)
    span = telemetry.span(f"{kind} gpt-5")
    assert span.attributes["gen_ai.operation.name"] == kind
    assert span.attributes["gen_ai.request.stream"] is True


def test_a_span_begins_with_what_samplers_decide_by(telemetry):
    sink = telemetry.sink()
    state = sink.on_start(CHAT)
    assert dict(state.span.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-5",
        "gen_ai.provider.name": "openai",
        "gen_ai.agent.name": "clerk",
        "toolops.tool": "chat:gpt-5",
        "toolops.namespace": "shop",
        "toolops.kind": "chat",
    }
    sink.on_call(ANSWER, state)


def test_a_model_that_is_known_only_afterwards_names_the_span(telemetry):
    sink = telemetry.sink()
    sink.on_call(ANSWER, sink.on_start(CallStart("chat:gpt-5", kind="chat")))
    assert telemetry.span("chat gpt-5")
    assert telemetry.metric("gen_ai.client.operation.duration").attributes[
        "gen_ai.request.model"
    ] == ("gpt-5")


@pytest.mark.parametrize("outcome", ["hit", "stale", "coalesced", "rejected"])
def test_a_call_whose_model_was_not_asked_is_no_operation(telemetry, outcome):
    sink = telemetry.sink()
    event = ANSWER._replace(
        outcome=outcome, attempts=0, tier="L1", saved_latency=0.3, saved_price=0.02, details=None
    )
    sink.on_call(event, sink.on_start(CHAT))
    span = telemetry.span("chat gpt-5")
    assert span.attributes["toolops.outcome"] == outcome
    assert span.attributes.get("toolops.coalesced", False) is (outcome == "coalesced")
    assert not [name for name in span.attributes if name.startswith("gen_ai.usage.")]
    assert telemetry.points("gen_ai.client.operation.duration") == []
    assert telemetry.points("gen_ai.client.token.usage") == []
    assert telemetry.metric("toolops.calls").attributes["toolops.outcome"] == outcome


def test_tokens_of_a_stored_answer_are_saved_and_not_used(telemetry):
    sink = telemetry.sink()
    details = MODEL | {"saved_input_tokens": 30, "saved_output_tokens": 7}
    event = ANSWER._replace(outcome="hit", attempts=0, tier="L1", details=details)
    sink.on_call(event, sink.on_start(CHAT))
    span = telemetry.span("chat gpt-5")
    assert span.attributes["toolops.details.saved_input_tokens"] == 30
    assert telemetry.points("gen_ai.client.token.usage") == []
    saved = {
        point.attributes["gen_ai.token.type"]: point.value
        for point in telemetry.points("toolops.saved.tokens")
    }
    assert saved == {"input": 30, "output": 7}


def test_the_prompt_cache_of_the_provider_is_told_as_such(telemetry):
    sink = telemetry.sink()
    event = ANSWER._replace(details=MODEL | USAGE | {"cache_read_tokens": 20})
    sink.on_call(event, sink.on_start(CHAT))
    assert telemetry.span("chat gpt-5").attributes["gen_ai.usage.cache_read.input_tokens"] == 20


def test_many_attempts_are_one_operation_and_events_of_one_span(telemetry):
    sink = telemetry.sink()
    state = sink.on_start(CHAT)
    sink.on_step(CallStep("retry", 1, 0.25, "APIError"), state)
    sink.on_step(CallStep("hedge", 2, 0.5), state)
    sink.on_step(CallStep("breaker", 2, 0.0, "APIError", "open"), state)
    sink.on_call(ANSWER._replace(attempts=3, hedged=True), state)
    span = telemetry.span("chat gpt-5")
    assert [(event.name, dict(event.attributes)) for event in span.events] == [
        (
            "toolops.retry",
            {"toolops.attempt": 1, "toolops.seconds": 0.25, "error.type": "APIError"},
        ),
        ("toolops.hedge", {"toolops.attempt": 2, "toolops.seconds": 0.5}),
        (
            "toolops.breaker",
            {"toolops.attempt": 2, "error.type": "APIError", "toolops.detail": "open"},
        ),
    ]
    assert span.attributes["toolops.attempts"] == 3
    assert telemetry.metric("gen_ai.client.operation.duration").count == 1
    assert telemetry.metric("toolops.function.starts").value == 3


@pytest.mark.parametrize(
    ("event", "on_span", "on_metric"),
    [
        (ANSWER._replace(outcome="error", error="APIError"), "APIError", "APIError"),
        (ANSWER._replace(outcome="error", error=None), "_OTHER", "_OTHER"),
        (ANSWER._replace(outcome="rejected", error="CircuitOpen", attempts=0), "CircuitOpen", None),
        (ANSWER._replace(outcome="hit", error="KeyError", attempts=0), "KeyError", None),
        (ANSWER._replace(outcome="refresh", error="APIError"), "APIError", "APIError"),
        # The caller got an answer all the same.
        (ANSWER._replace(outcome="fallback", error="APIError"), None, "APIError"),
        (ANSWER._replace(outcome="stale", error="APIError"), None, "APIError"),
    ],
)
def test_errors_have_a_type_and_a_status(telemetry, event, on_span, on_metric):
    sink = telemetry.sink()
    sink.on_call(event, sink.on_start(CHAT))
    span = telemetry.span("chat gpt-5")
    assert span.attributes.get("error.type") == on_span
    wanted = StatusCode.UNSET if on_span is None else StatusCode.ERROR
    assert span.status.status_code is wanted
    assert span.status.description is None
    points = telemetry.points("gen_ai.client.operation.duration")
    assert [point.attributes.get("error.type") for point in points] == (
        [on_metric] if event.attempts else []
    )


def test_nothing_that_a_user_wrote_is_exported(telemetry):
    sink = telemetry.sink()
    secret = "the password is hunter2"
    event = CallEvent(
        "ask",
        "hit",
        0.001,
        tier="semantic",
        tags=(f"user:{secret}",),
        semantic={"question": secret, "similarity": 0.93, "policy": "bounded", "verdict": "served"},
        details={"note": secret, "model": "gpt-5", "time_to_first_token": 0.2},
        kind="chat",
    )
    sink.on_call(event, sink.on_start(CallStart("ask", kind="chat")))
    sink.on_call(event)
    first, second = telemetry.spans
    for span in (first, second):
        assert secret not in str(span.to_json())
        assert span.attributes["toolops.semantic.similarity"] == 0.93
        assert span.attributes["toolops.semantic.verdict"] == "served"
        assert span.attributes["toolops.details.time_to_first_token"] == 0.2
    assert secret not in telemetry.reader.get_metrics_data().to_json()


def test_own_metrics_count_all_calls(telemetry):
    sink = telemetry.sink()
    hit = CallEvent("search", "hit", 0.0001, 0.0, "shop", "L1", saved_latency=2.0, saved_price=0.25)
    miss = CallEvent("search", "miss", 2.0, namespace="shop", price=0.25, attempts=2)
    for event in (hit, hit, miss):
        sink.on_call(event, sink.on_start(CallStart("search", "shop")))
    tool = {"toolops.namespace": "shop", "toolops.tool": "search"}
    calls = {
        (point.attributes["toolops.outcome"], point.attributes.get("toolops.tier")): point.value
        for point in telemetry.points("toolops.calls")
    }
    assert calls == {("hit", "L1"): 2, ("miss", None): 1}
    for name, value in (
        ("toolops.saved.time", 4.0),
        ("toolops.saved.cost", 0.5),
        ("toolops.spent.cost", 0.25),
        ("toolops.function.starts", 2),
    ):
        point = telemetry.metric(name)
        assert (dict(point.attributes), point.value) == (tool, value), name
    durations = telemetry.points("toolops.call.duration")
    assert {point.attributes["toolops.outcome"]: point.sum for point in durations} == {
        "hit": 0.0002,
        "miss": 2.0,
    }


@pytest.mark.parametrize("price", [math.nan, math.inf, -1.0])
def test_a_price_that_is_no_sum_is_not_counted(telemetry, price):
    sink = telemetry.sink()
    sink.on_call(CallEvent("search", "miss", 0.1, price=price, attempts=1))
    assert telemetry.points("toolops.spent.cost") == []
    assert telemetry.metric("toolops.calls").value == 1


def test_decisions_and_notices_are_counted(telemetry):
    sink = telemetry.sink()
    decision = {"verdict": "vetoed", "policy": "threshold", "similarity": 0.9}
    sink.on_call(CallEvent("ask", "miss", 0.1, namespace="shop", semantic=decision, attempts=1))
    sink.on_notice(Notice("tier_failed", "L2", "ConnectionError", 1.0, "shop"))
    assert dict(telemetry.metric("toolops.semantic.decisions").attributes) == {
        "toolops.namespace": "shop",
        "toolops.tool": "ask",
        "toolops.semantic.policy": "threshold",
        "toolops.semantic.verdict": "vetoed",
    }
    assert dict(telemetry.metric("toolops.notices").attributes) == {
        "toolops.namespace": "shop",
        "toolops.notice.kind": "tier_failed",
        "toolops.notice.name": "L2",
    }


def test_metrics_refer_to_the_span(telemetry):
    sink = telemetry.sink()
    sink.on_call(ANSWER, sink.on_start(CHAT))
    [exemplar] = telemetry.metric("gen_ai.client.operation.duration").exemplars
    assert exemplar.span_id == telemetry.span("chat gpt-5").context.span_id


def test_a_wrong_option_is_refused():
    with pytest.raises(ConfigurationError, match="model_spans"):
        OpenTelemetrySink(model_spans="all")


def test_without_an_sdk_nothing_happens():
    sink = OpenTelemetrySink()
    sink.on_call(ANSWER, sink.on_start(CHAT))
    sink.on_call(ANSWER._replace(started=time.time()))


@pytest.mark.parametrize(("ago", "seconds"), [(5.0, 5), (-5.0, 0), (200_000.0, 0), (1e9, 0)])
def test_a_span_begins_with_its_call_unless_clocks_differ(telemetry, ago, seconds):
    sink = telemetry.sink()
    sink.on_call(ANSWER, sink.on_start(CHAT._replace(started=time.time() - ago)))
    span = telemetry.span("chat gpt-5")
    assert (span.end_time - span.start_time) // 10**9 == seconds


def test_a_call_may_end_in_another_context(telemetry):
    sink = telemetry.sink()
    state = copy_context().run(sink.on_start, CHAT)
    sink.on_call(ANSWER, state)
    assert telemetry.span("chat gpt-5")


# -- calls that are reported afterwards ----------------------------------------------------------


def test_a_call_that_is_reported_afterwards_gets_a_span_of_its_time(telemetry):
    sink = telemetry.sink()
    with telemetry.tracer.start_as_current_span("agent") as agent:
        sink.on_call(ANSWER._replace(name="chat:gpt-5", started=time.time() + 60.0, kind="chat"))
    span = telemetry.span("chat gpt-5")
    assert span.parent.span_id == agent.context.span_id
    assert span.end_time - span.start_time == pytest.approx(0.3 * 10**9, rel=1e-6)
    assert telemetry.metric("gen_ai.client.operation.duration").count == 1


def test_a_span_that_began_later_is_no_parent(telemetry):
    sink = telemetry.sink()
    began = time.time()
    with (
        telemetry.tracer.start_as_current_span("agent") as agent,
        telemetry.tracer.start_as_current_span("inside"),
    ):
        sink.on_call(CallEvent("tool:search", "bypass", 0.1, began - 1.0, attempts=1))
    assert telemetry.span("execute_tool search").parent.span_id == agent.context.span_id


def test_a_root_that_began_later_is_linked(telemetry):
    sink = telemetry.sink()
    began = time.time()
    with telemetry.tracer.start_as_current_span("next") as after:
        sink.on_call(CallEvent("tool:search", "bypass", 0.1, began - 1.0, attempts=1))
    span = telemetry.span("execute_tool search")
    assert span.parent is None
    assert [link.context.span_id for link in span.links] == [after.context.span_id]


@pytest.mark.parametrize(
    ("name", "kind", "span_name"),
    [
        ("chat:gpt-5", "tool", "chat gpt-5"),
        ("llm:gpt-5", "tool", "text_completion gpt-5"),
        ("embedding:gpt-5", "tool", "embeddings gpt-5"),
        ("embedding:gpt-5", "embeddings", "embeddings gpt-5"),
        ("tool:search", "tool", "execute_tool search"),
        ("shop.search", "tool", "execute_tool shop.search"),
        ("chain:answer", "tool", "toolops chain:answer"),
        ("crew:clerks", "tool", "toolops crew:clerks"),
    ],
)
def test_runs_of_frameworks_are_told_by_their_kind(telemetry, name, kind, span_name):
    sink = telemetry.sink()
    details = {"model": "gpt-5"} if "gpt-5" in name else None
    sink.on_call(
        CallEvent(name, "bypass", 0.1, time.time(), attempts=1, details=details, kind=kind)
    )
    [span] = telemetry.spans
    assert span.name == span_name
    assert span.attributes["toolops.tool"] == name
    if span_name.startswith("toolops "):
        assert "gen_ai.operation.name" not in span.attributes
        assert telemetry.points("gen_ai.execute_tool.duration") == []
