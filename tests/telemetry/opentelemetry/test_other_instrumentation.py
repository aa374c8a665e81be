"""Nothing is measured twice beside the instrumentation of a framework or a provider's SDK."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from openai_server import OpenAIServer
from opentelemetry.context import attach, detach, get_value, set_value
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.trace import SpanKind
from opentelemetry.util.genai.handler import TelemetryHandler

from toolops_plugins.telemetry.events import CallEvent, CallStart

CHAT = CallStart("chat:gpt-test", "shop", kind="chat", details={"model": "gpt-test"})
ANSWER = CallEvent("chat:gpt-test", "miss", 0.3, namespace="shop", attempts=2, kind="chat")
QUESTION = [{"role": "user", "content": "hello"}]


@pytest.fixture
def client(telemetry) -> Iterator[openai.OpenAI]:
    """A client of a real SDK, which is instrumented and speaks to a server of the tests."""
    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(tracer_provider=telemetry.tracers, meter_provider=telemetry.meters)
    try:
        with OpenAIServer() as server, openai.OpenAI(base_url=server.url, api_key="sk") as client:
            yield client
    finally:
        instrumentor.uninstrument()


@pytest.fixture
def framework(telemetry) -> TelemetryHandler:
    """Makes the spans of an instrumented framework."""
    return TelemetryHandler(telemetry.tracers, telemetry.meters)


def test_an_instrumented_sdk_below_leaves_the_measuring_to_us(telemetry, client):
    sink = telemetry.sink()
    state = sink.on_start(CHAT)
    for _ in range(2):  # an attempt and its retry
        client.chat.completions.create(model="gpt-test", messages=QUESTION)
    list(client.chat.completions.create(model="gpt-test", messages=QUESTION, stream=True))
    sink.on_call(ANSWER, state)
    span = telemetry.span("chat gpt-test")
    assert span.kind is SpanKind.CLIENT
    assert telemetry.operations() == 1
    # It has told us what it saw, which is more than our adapters know.
    assert span.attributes["gen_ai.provider.name"] == "openai"
    assert span.attributes["gen_ai.response.model"] == "gpt-test"
    assert span.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert span.attributes["server.address"] == "127.0.0.1"
    assert span.attributes["gen_ai.usage.input_tokens"] > 0


def test_an_instrumented_sdk_measures_again_after_our_call(telemetry, client):
    sink = telemetry.sink()
    sink.on_call(ANSWER, sink.on_start(CHAT))
    client.chat.completions.create(model="gpt-test", messages=QUESTION)
    assert telemetry.operations() == 2


def test_other_operations_inside_of_a_model_are_measured(telemetry, client):
    sink = telemetry.sink()
    state = sink.on_start(CHAT)
    client.embeddings.create(model="embed-test", input="hello")
    sink.on_call(ANSWER, state)
    assert {span.name for span in telemetry.spans} == {"chat gpt-test", "embeddings embed-test"}
    assert telemetry.operations() == 2


def test_an_instrumented_sdk_may_measure_each_request_itself(telemetry, client):
    sink = telemetry.sink(model_spans="internal")
    state = sink.on_start(CHAT)
    for _ in range(2):
        client.chat.completions.create(model="gpt-test", messages=QUESTION)
    sink.on_call(ANSWER, state)
    *requests, ours = telemetry.spans
    assert [span.name for span in requests] == ["chat gpt-test", "chat gpt-test"]
    assert {span.parent.span_id for span in requests} == {ours.context.span_id}
    assert (ours.name, ours.kind) == ("toolops chat:gpt-test", SpanKind.INTERNAL)
    assert ours.attributes["toolops.attempts"] == 2
    assert "gen_ai.operation.name" not in ours.attributes
    assert telemetry.operations() == 2


def test_models_may_go_without_spans(telemetry, client):
    sink = telemetry.sink(model_spans="none")
    state = sink.on_start(CHAT)
    client.chat.completions.create(model="gpt-test", messages=QUESTION)
    sink.on_call(ANSWER, state)
    assert [span.name for span in telemetry.spans] == ["chat gpt-test"]
    assert telemetry.operations() == 1
    assert telemetry.metric("toolops.calls").value == 1
    tool = sink.on_start(CallStart("search"))
    sink.on_call(CallEvent("search", "miss", 0.1, attempts=1), tool)
    assert telemetry.span("execute_tool search")


def test_the_span_of_a_framework_gets_our_attributes(telemetry, framework):
    sink = telemetry.sink()
    with framework.inference("openai", request_model="gpt-test"):
        sink.on_call(ANSWER, sink.on_start(CHAT))
    span = telemetry.span("chat gpt-test")
    assert span.attributes["toolops.outcome"] == "miss"
    assert span.attributes["toolops.attempts"] == 2
    assert len(telemetry.spans) == 1
    assert telemetry.operations() == 1


def test_a_second_call_under_the_span_of_a_framework_gets_a_span_of_its_own(telemetry, framework):
    sink = telemetry.sink()
    with framework.inference("openai", request_model="gpt-test"):
        sink.on_call(ANSWER, sink.on_start(CHAT))
        sink.on_call(ANSWER._replace(attempts=7), sink.on_start(CHAT))
    assert telemetry.span("chat gpt-test").attributes["toolops.attempts"] == 2
    assert telemetry.span("toolops chat:gpt-test").attributes["toolops.attempts"] == 7
    assert telemetry.operations() == 1


def test_a_framework_measures_though_another_span_is_current(telemetry, framework):
    sink = telemetry.sink()
    with (
        framework.inference("openai", request_model="gpt-test"),
        telemetry.tracer.start_as_current_span("step"),
    ):
        sink.on_call(ANSWER, sink.on_start(CHAT))
    span = telemetry.span("toolops chat:gpt-test")
    assert span.parent.span_id == telemetry.span("step").context.span_id
    assert telemetry.operations() == 1


def test_openllmetry_says_by_a_key_that_it_measures(telemetry):
    sink = telemetry.sink()
    token = attach(set_value("suppress_language_model_instrumentation", True))
    sink.on_call(ANSWER, sink.on_start(CHAT))
    detach(token)
    assert telemetry.span("toolops chat:gpt-test").kind is SpanKind.INTERNAL
    assert telemetry.operations() == 0


def test_openllmetry_is_told_by_a_key_that_we_measure(telemetry):
    sink = telemetry.sink()
    state = sink.on_start(CHAT)
    assert get_value("suppress_language_model_instrumentation") is True
    tool = sink.on_start(CallStart("search"))
    # A tool that a model runs may ask models of its own.
    assert not get_value("suppress_language_model_instrumentation")
    sink.on_call(CallEvent("search", "miss", 0.1, attempts=1), tool)
    assert get_value("suppress_language_model_instrumentation") is True
    sink.on_call(ANSWER, state)
    assert get_value("suppress_language_model_instrumentation") is None


def test_openinference_has_the_span_of_the_model(telemetry):
    sink = telemetry.sink()
    attributes = {"openinference.span.kind": "LLM"}
    with telemetry.tracer.start_as_current_span("ChatOpenAI", attributes=attributes):
        sink.on_call(ANSWER, sink.on_start(CHAT))
    [span] = telemetry.spans
    assert span.attributes["toolops.outcome"] == "miss"


def test_a_guard_within_a_guard_is_one_operation(telemetry):
    sink = telemetry.sink()
    outer = sink.on_start(CHAT._replace(name="agent model"))
    sink.on_call(ANSWER, sink.on_start(CHAT))
    sink.on_call(ANSWER, outer)
    inner, whole = telemetry.spans
    assert (inner.name, inner.kind) == ("toolops chat:gpt-test", SpanKind.INTERNAL)
    assert whole.name == "chat gpt-test"
    assert telemetry.operations() == 1


@pytest.mark.parametrize("name", ["search", "shop.tools.search"])
def test_the_tool_span_of_a_framework_gets_our_attributes(telemetry, framework, name):
    sink = telemetry.sink()
    with framework.tool("search"):
        sink.on_call(CallEvent(name, "hit", 0.1, tier="L1"), sink.on_start(CallStart(name)))
    span = telemetry.span("execute_tool search")
    assert span.attributes["toolops.outcome"] == "hit"
    assert span.attributes["toolops.tool"] == name
    assert telemetry.metric("gen_ai.execute_tool.duration").count == 1


def test_another_tool_within_a_tool_has_a_span_of_its_own(telemetry, framework):
    sink = telemetry.sink()
    with framework.tool("search"):
        outer = sink.on_start(CallStart("search"))
        inner = sink.on_start(CallStart("search"))  # it calls itself
        sink.on_call(CallEvent("search", "miss", 0.1, attempts=1), inner)
        other = sink.on_start(CallStart("fetch"))
        sink.on_call(CallEvent("fetch", "miss", 0.1, attempts=1), other)
        sink.on_call(CallEvent("search", "miss", 0.1, attempts=1), outer)
    inner_span, fetch, search = telemetry.spans
    assert fetch.name == "execute_tool fetch"
    assert inner_span.parent.span_id == fetch.parent.span_id == search.context.span_id
    assert search.attributes["toolops.attempts"] == 1


def test_a_reported_call_leaves_the_measuring_to_an_instrumented_sdk(telemetry, client):
    sink = telemetry.sink()
    sink.on_call(ANSWER)
    assert telemetry.span("toolops chat:gpt-test")
    assert telemetry.operations() == 0
