"""OpenTelemetry's spans of CrewAI's models and tools."""

from __future__ import annotations

import pytest
from crewai.tools import tool
from exported_telemetry import id_of, parent_of
from opentelemetry.trace import SpanKind

from crewai_toolops import guard_llm, wrap_tool
from toolops_plugins import Cache


@pytest.fixture
def ops(telemetry):
    with telemetry.ops() as ops:
        yield ops


def test_models_have_their_spans(telemetry, ops, llm):
    model = guard_llm(llm(), ops=ops)
    with telemetry.tracer.start_as_current_span("agent") as agent:
        for _ in range(2):
            model.call("hello")
    spans = telemetry.spans[:-1]
    assert {(span.name, span.kind, parent_of(span)) for span in spans} == {
        ("chat gpt-4o-mini", SpanKind.CLIENT, id_of(agent))
    }
    assert [span.attributes["toolops.outcome"] for span in spans] == ["miss", "hit"]
    assert spans[0].attributes["gen_ai.provider.name"] == "openai"
    assert spans[0].attributes["gen_ai.usage.input_tokens"] > 0
    assert telemetry.operations() == 1


def test_tools_have_their_spans(telemetry, ops):
    @tool("search")
    def search(query: str) -> str:
        """Search for something."""
        with telemetry.tracer.start_as_current_span("GET"):
            return query

    guarded = wrap_tool(search, ops=ops, cache=Cache(ttl=60))
    for _ in range(2):
        guarded.run(query="x")
    first, second = [span for span in telemetry.spans if span.name == "execute_tool search"]
    assert first.attributes["toolops.outcome"] == "miss"
    assert second.attributes["toolops.outcome"] == "hit"
    assert parent_of(telemetry.span("GET")) == id_of(first)
