"""Calls and notices in structlog."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import threading
from collections.abc import Iterator

import pytest
import structlog
from callers import in_child
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from structlog.testing import capture_logs

from toolops_plugins import Cache, CircuitBreaker, CircuitOpen, Retry, ToolOps
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.telemetry.events import CallEvent, Notice
from toolops_plugins.telemetry.opentelemetry import OpenTelemetrySink
from toolops_plugins.telemetry.structlog import StructlogSink

CACHE = Cache(ttl=60)


@pytest.fixture(autouse=True)
def unconfigured() -> Iterator[None]:
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def ops() -> Iterator[ToolOps]:
    with ToolOps("shop", sinks=[StructlogSink()]) as ops:
        yield ops


def test_a_miss_and_a_hit_have_their_keys_and_levels(ops: ToolOps) -> None:
    quote = ops.tool(cache=Cache(ttl=60, tags=["prices"]), price=2.0, name="quote")(str.upper)
    with capture_logs() as lines:
        quote("acme")
        quote("acme")
    miss, hit = lines
    assert (miss["event"], miss["log_level"], hit["log_level"]) == ("toolops.call", "info", "debug")
    assert (miss["tool"], miss["namespace"], miss["kind"]) == ("quote", "shop", "tool")
    assert (miss["outcome"], miss["attempts"], miss["price"]) == ("miss", 1, 2.0)
    assert miss["latency_s"] >= miss["worked_s"] > 0
    assert (hit["outcome"], hit["tier"], hit["saved_price"]) == ("hit", "L1", 2.0)
    assert hit["tags"] == ["prices"]
    assert len(bytes.fromhex(hit["key"])) == 32
    for absent in ("error", "reason", "hedged", "trace_id", "sample_rate", "price"):
        assert absent not in hit
    assert "acme" not in repr(lines).lower()


def test_trouble_is_a_warning_with_its_cause_and_written_once_a_minute(ops: ToolOps) -> None:
    held = ops.tool(cache=CACHE, name="held")(lambda client: 1)
    with capture_logs() as lines:
        for _ in range(3):
            held(threading.Lock())
        for _ in range(3):
            ops._emitter.notice(Notice("tier_failed", "L2", "ConnectionError"))
        ops._emitter.notice(Notice("tier_recovered", "L2"))
    notices = [line for line in lines if line["event"] == "toolops.notice"]
    told = [{**line} for line in notices]
    assert {line.pop("event") for line in told} == {"toolops.notice"}
    assert [line.pop("log_level") for line in told] == ["warning", "warning", "info"]
    assert told[2].pop("duration_s") >= 0
    bypass = {"kind": "bypass", "subject": "held", "detail": "not_canonical", "namespace": "shop"}
    bypass |= {"error": "_thread.lock", "parameter": "client"}
    assert told == [
        {**bypass, "calls": 1},
        {"kind": "tier_failed", "subject": "L2", "detail": "ConnectionError"},
        {"kind": "tier_recovered", "subject": "L2", "calls": 3},
    ]


def test_errors_rejections_and_breakers_have_their_levels(ops: ToolOps) -> None:
    breaker = CircuitBreaker(window=1, open_for=60)

    @ops.tool(breaker=breaker, retry=Retry(attempts=2, wait=0), name="quote")
    def quote() -> None:
        raise ConnectionError("hunter2")

    with capture_logs() as lines:
        for _ in range(2):
            with pytest.raises((ConnectionError, CircuitOpen)):
                quote()
        ops.breakers.find("quote").reset()  # type: ignore[union-attr]  # it was made by the calls
    seen = [
        (line["log_level"], line.get("outcome") or line["detail"], line.get("error"))
        for line in lines
    ]
    assert ("warning", "closed -> open", "ConnectionError") in seen
    assert ("warning", "rejected", "CircuitOpen") in seen
    assert seen[-1] == ("info", "open -> closed", None)
    assert "hunter2" not in repr(lines)


@pytest.mark.parametrize(
    ("outcome", "error", "level"),
    [
        ("stale", None, "debug"),
        ("stale", "TimeoutError", "warning"),
        ("refresh", None, "info"),
        ("refresh", "TimeoutError", "warning"),
        ("coalesced", None, "debug"),
        ("fallback", "TimeoutError", "warning"),
    ],
)
def test_levels_by_outcome(outcome: str, error: str | None, level: str) -> None:
    with capture_logs() as lines:
        StructlogSink().on_call(CallEvent("quote", outcome, 0.1, error=error))  # type: ignore[arg-type]  # a word of the list
    assert [line["log_level"] for line in lines] == [level]


def test_levels_are_the_users() -> None:
    sink = StructlogSink(levels={"hit": None, "miss": "error"}, notice_levels={"breaker": None})
    with capture_logs() as lines:
        sink.on_call(CallEvent("quote", "hit", 0.1))
        sink.on_call(CallEvent("quote", "miss", 0.1))
        sink.on_notice(Notice("breaker", "quote", "closed -> open"))
    assert [line["log_level"] for line in lines] == ["error"]


@pytest.mark.parametrize(
    "options",
    [
        {"levels": {"hits": "debug"}},
        {"levels": {"hit": "verbose"}},
        {"levels": {"tier_failed": "debug"}},
        {"notice_levels": {"hit": "debug"}},
        {"hit_sample": 1.5},
        {"hit_sample": True},
        {"hit_sample": "1"},
        {"logger": object()},
    ],
)
def test_bad_options_are_refused_by_name(options: dict[str, object]) -> None:
    (name,) = options
    with pytest.raises(ConfigurationError, match=f"^{name}"):
        StructlogSink(**options)  # type: ignore[arg-type]  # as it tests


def test_hits_are_sampled_and_nothing_else() -> None:
    sink = StructlogSink(hit_sample=0.25)
    with capture_logs() as lines:
        for _ in range(400):
            sink.on_call(CallEvent("quote", "hit", 0.1))
            sink.on_call(CallEvent("quote", "miss", 0.1))
    hits = [line for line in lines if line["outcome"] == "hit"]
    assert len(lines) - len(hits) == 400
    assert 20 < len(hits) < 200
    assert {line["sample_rate"] for line in hits} == {0.25}
    assert not any("sample_rate" in line for line in lines if line["outcome"] == "miss")


def test_details_take_no_name_of_another_key() -> None:
    details = {"model": "m", "input_tokens": 3, "tool": "x", "event": "x", "name": "x", "tier": "x"}
    semantic = {"similarity": 0.9, "verdict": "served", "question": "hunter2"}
    with capture_logs() as lines:
        StructlogSink().on_call(
            CallEvent("chat", "hit", 0.1, details=details, semantic=semantic, kind="chat")
        )
    (line,) = lines
    assert (line["model"], line["input_tokens"], line["kind"]) == ("m", 3, "chat")
    assert (line["tool"], line["event"], line["details_tool"]) == ("chat", "toolops.call", "x")
    assert (line["details_event"], line["details_name"], line["details_tier"]) == ("x", "x", "x")
    assert (line["semantic_similarity"], line["semantic_verdict"]) == (0.9, "served")
    assert "hunter2" not in repr(line)


# --- rendering ------------------------------------------------------------------------------


def test_json_lines_through_structlog_alone(ops: ToolOps) -> None:
    out = io.StringIO()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(request_id="r-7")
    quote = ops.tool(cache=CACHE, name="quote")(str.upper)
    quote("a")
    quote("a")  # a hit, which is filtered out
    (line,) = map(json.loads, out.getvalue().splitlines())
    assert (line["event"], line["level"], line["tool"]) == ("toolops.call", "info", "quote")
    assert line["request_id"] == "r-7"


class JSONOfExtra(logging.Formatter):
    """Writes the extra attributes of a record."""

    def format(self, record: logging.LogRecord) -> str:
        plain = logging.LogRecord("", 0, "", 0, "", (), None).__dict__
        extra = {name: value for name, value in record.__dict__.items() if name not in plain}
        return json.dumps({"event": record.getMessage(), **extra})


@pytest.mark.parametrize("as_extra", [False, True])
def test_json_lines_through_the_standard_library(
    ops: ToolOps,
    as_extra: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    stdlib = structlog.stdlib
    whole = stdlib.ProcessorFormatter(structlog.processors.JSONRenderer())
    handler.setFormatter(JSONOfExtra() if as_extra else whole)
    last = stdlib.render_to_log_kwargs if as_extra else whole.wrap_for_formatter
    structlog.configure(
        processors=[stdlib.filter_by_level, last],
        wrapper_class=stdlib.BoundLogger,
        logger_factory=stdlib.LoggerFactory(),
    )
    logger = logging.getLogger("toolops_plugins")
    monkeypatch.setattr(logger, "handlers", [handler])
    caplog.set_level(logging.INFO, "toolops_plugins")
    ops.tool(cache=CACHE, name="quote")(str.upper)("a")
    (line,) = map(json.loads, out.getvalue().splitlines())
    assert (line["event"], line["tool"], line["outcome"]) == ("toolops.call", "quote", "miss")
    assert ops._emitter.dropped == {"StructlogSink": 0}


def test_an_asynchronous_logger_is_written_to_at_once(ops: ToolOps) -> None:
    written: list[object] = []

    def keep(_: object, level: str, values: dict[str, object]) -> str:
        written.append((level, values["tool"]))
        raise structlog.DropEvent

    structlog.configure(processors=[keep], wrapper_class=structlog.stdlib.AsyncBoundLogger)

    async def main() -> None:
        async def quote(ticker: str) -> str:
            return ticker

        await ops.tool(name="quote")(quote)("a")
        assert written == [("info", "quote")]

    asyncio.run(main())


def test_a_logger_of_ones_own_keeps_what_is_bound_to_it() -> None:
    with capture_logs() as lines:
        logger = structlog.get_logger().bind(component="agent")
        StructlogSink(logger).on_call(CallEvent("quote", "miss", 0.1))
    assert lines[0]["component"] == "agent"


def test_nothing_is_configured() -> None:
    before = structlog.get_config()
    with ToolOps(sinks=[StructlogSink()]) as ops:
        ops.tool(name="quote")(str.upper)("a")
    assert not structlog.is_configured()
    assert structlog.get_config() == before


# --- contexts -------------------------------------------------------------------------------


def test_threads_and_coroutines_write_their_own_variables(ops: ToolOps) -> None:
    quote = ops.tool(cache=CACHE, name="quote")(str.upper)

    @ops.tool(cache=CACHE, name="aquote")
    async def aquote(ticker: str) -> str:
        await asyncio.sleep(0)
        return ticker

    def in_thread(number: int) -> None:
        structlog.contextvars.bind_contextvars(request_id=f"thread {number}")
        quote(f"{number}")

    async def in_task(number: int) -> None:
        structlog.contextvars.bind_contextvars(request_id=f"task {number}")
        await aquote(f"{number}")

    async def main() -> None:
        await asyncio.gather(*(in_task(number) for number in range(5)))

    with capture_logs() as lines:
        threads = [threading.Thread(target=in_thread, args=(n,)) for n in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        asyncio.run(main())
    seen = sorted(line["request_id"] for line in lines)
    assert seen == sorted(f"{kind} {n}" for kind in ("thread", "task") for n in range(5))


def test_a_stream_is_written_at_its_end_with_its_variables(ops: ToolOps) -> None:
    @ops.tool(cache=CACHE, name="stream")
    def stream(count: int) -> Iterator[int]:
        yield from range(count)

    structlog.contextvars.bind_contextvars(request_id="reader")
    with capture_logs() as lines:
        items = stream(3)
        next(items)
        assert lines == []
        assert list(items) == [1, 2]
    (line,) = lines
    assert (line["tool"], line["outcome"], line["request_id"]) == ("stream", "miss", "reader")


def test_a_forked_child_writes(ops: ToolOps) -> None:
    structlog.configure(cache_logger_on_first_use=True, processors=[])
    quote = ops.tool(cache=CACHE, name="quote")(str.upper)
    with capture_logs():
        quote("a")

    def child() -> bool:
        out = io.StringIO()
        structlog.configure(
            processors=[structlog.processors.JSONRenderer()],
            logger_factory=structlog.PrintLoggerFactory(out),
        )
        structlog.contextvars.bind_contextvars(pid=os.getpid())
        quote("b")
        (line,) = map(json.loads, out.getvalue().splitlines())
        return (line["tool"], line["pid"]) == ("quote", os.getpid())

    assert in_child(child) == 0


@pytest.fixture
def tracers(monkeypatch: pytest.MonkeyPatch) -> TracerProvider:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "false")  # it exports nothing
    return TracerProvider()


def test_the_ids_of_the_current_span_are_written(tracers: TracerProvider) -> None:
    tracer = tracers.get_tracer("test")
    with ToolOps(sinks=[StructlogSink()]) as ops, capture_logs() as lines:
        quote = ops.tool(name="quote")(str.upper)
        with tracer.start_as_current_span("request") as span:
            quote("a")
        quote("b")
    inside, outside = lines
    context = span.get_span_context()
    assert inside["trace_id"] == trace.format_trace_id(context.trace_id)
    assert inside["span_id"] == trace.format_span_id(context.span_id)
    assert "trace_id" not in outside


@pytest.mark.parametrize("first", [True, False])
def test_beside_the_sink_of_opentelemetry_the_span_is_that_of_the_call(
    first: bool, tracers: TracerProvider
) -> None:
    sinks = [StructlogSink(), OpenTelemetrySink(tracer_provider=tracers)]
    with ToolOps(sinks=sinks if first else sinks[::-1]) as ops, capture_logs() as lines:
        spans = []

        @ops.tool(name="quote")
        def quote() -> None:
            spans.append(trace.get_current_span().get_span_context())

        quote()
    assert lines[0]["span_id"] == trace.format_span_id(spans[0].span_id)
