"""Sinks: the time that each adds to a call, beside a call without one.

Measured: a hit in memory and a miss, of a coroutine function and of a plain function, with one sink
each. A miss runs a function that does nothing, coalesces, and stores in a full cache. Each
contestant has a runtime of its own. The clock is that of the processor, so that the threads of a
sink, such as the one that writes the ledger, count too.

"plain" is a function that keeps the last event. "on_start" sets a context variable when a call
starts and resets it at its end, as a tracer does. "OpenTelemetrySink, API" has no SDK to receive
anything; "SDK" has one that records each span and metric, and exports neither. The exporters, the
structured log and the ledger are left out where their packages are not installed.

Not measured: the network, disks that are slower than this machine's, and contention.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from contextvars import ContextVar, Token
from itertools import count, cycle
from pathlib import Path
from time import process_time
from typing import Any

import peers
from bodies import Body
from report import Row, Section, at_most
from timing import Effort, Laps, Turn, aturn_of, race, turn_of

from toolops_plugins import Cache, Memory, ToolOps

NONE = "no sink"
PLAIN = "plain"
QUESTIONS = [f"what is the price of article {number}?" for number in range(100)]
LIMIT = 3.0
"""The most that a hit with a plain sink may take, in microseconds."""


class StartSink:
    """Makes something current, as a tracer does."""

    _current: ContextVar[Any] = ContextVar("benchmark_current", default=None)

    def on_start(self, start: Any) -> Token[Any]:
        return self._current.set(start)

    def on_call(self, event: Any, state: Token[Any] | None) -> None:  # noqa: ARG002 - as sinks have it
        if state is not None:
            self._current.reset(state)


def make_prometheus(stack: ExitStack) -> dict[str, Any]:
    from prometheus_client import CollectorRegistry  # noqa: PLC0415 - may be absent

    from toolops_plugins.telemetry.prometheus import PrometheusSink  # noqa: PLC0415 - as above

    del stack
    return {"sinks": [PrometheusSink(CollectorRegistry())]}


def make_opentelemetry(stack: ExitStack) -> dict[str, Any]:
    from toolops_plugins.telemetry.opentelemetry import OpenTelemetrySink  # noqa: PLC0415 - may be absent

    del stack
    return {"sinks": [OpenTelemetrySink()]}


def make_opentelemetry_sdk(stack: ExitStack) -> dict[str, Any]:
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 - may be absent
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - as above

    from toolops_plugins.telemetry.opentelemetry import OpenTelemetrySink  # noqa: PLC0415 - as above

    traces, metrics = TracerProvider(), MeterProvider()
    stack.callback(traces.shutdown)
    stack.callback(metrics.shutdown)
    return {"sinks": [OpenTelemetrySink(traces, metrics)]}


def make_structlog(stack: ExitStack) -> dict[str, Any]:
    import structlog  # noqa: PLC0415 - may be absent

    from toolops_plugins.telemetry.structlog import StructlogSink  # noqa: PLC0415 - as above

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    file = stack.enter_context((folder / "log").open("w", encoding="utf-8"))
    logger = structlog.wrap_logger(
        structlog.PrintLogger(file),
        processors=[structlog.processors.KeyValueRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    return {"sinks": [StructlogSink(logger)]}


def make_ledger(stack: ExitStack) -> dict[str, Any]:
    from toolops_plugins.telemetry.ledger import Ledger  # noqa: PLC0415 - slow to import

    folder = stack.enter_context(tempfile.TemporaryDirectory())
    return {"ledger": Ledger(f"sqlite:///{folder}/ledger.sqlite")}


SINKS: dict[str, Callable[[ExitStack], dict[str, Any]]] = {
    NONE: lambda _: {},
    PLAIN: lambda _: {"sinks": [deque[Any](maxlen=1).append]},
    "on_start": lambda _: {"sinks": [StartSink()]},
    "PrometheusSink": make_prometheus,
    "OpenTelemetrySink, API": make_opentelemetry,
    "OpenTelemetrySink, SDK": make_opentelemetry_sdk,
    "StructlogSink": make_structlog,
    "Ledger, SQLite": make_ledger,
}


def run(effort: Effort) -> list[Section]:
    """Measure hits and misses, of coroutine functions and plain functions."""
    return [section(kind, call, effort) for call in ("hit", "miss") for kind in ("async", "sync")]


def section(kind: str, call: str, effort: Effort) -> Section:
    """Measure hits or misses."""
    absent: dict[str, str] = {}
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        turns = contestants(kind, call, runner, stack, absent)
        laps = race(turns, effort.rounds(60), effort.seconds(0.005))
    rows = [row(name, call, laps, absent) for name in SINKS]
    title = "A hit in memory" if call == "hit" else "A miss"
    return Section(f"{title} with a sink, {kind}", ("best us", "median us", "added us"), rows)


def contestants(
    kind: str, call: str, runner: asyncio.Runner, stack: ExitStack, absent: dict[str, str]
) -> dict[str, Turn]:
    """Return the turns by name; fill ``absent`` with reasons."""
    turns: dict[str, Turn] = {}
    for name, make in SINKS.items():
        try:
            options = make(stack)
        except ImportError as missing:
            absent[name] = str(missing)
            continue
        ops = ToolOps("sinks", [Memory(max_items=1_000)], **options)
        if kind == "async":
            stack.callback(_close, ops, runner)
        else:
            stack.callback(ops.close)
        body = Body(kind, "The answer is 42.")
        wrapped = ops.tool(cache=Cache(ttl=peers.TTL), name="quote")(body.call)
        arguments: Iterator[Any] = cycle(QUESTIONS) if call == "hit" else count()
        turns[name] = (
            aturn_of(wrapped, arguments, runner, process_time)
            if kind == "async"
            else turn_of(wrapped, arguments, process_time)
        )
        # So all calls of a turn are hits, or the cache is full.
        turns[name](len(QUESTIONS) if call == "hit" else 1_000)
    return turns


def _close(ops: ToolOps, runner: asyncio.Runner) -> None:
    runner.run(ops.aclose())


def row(name: str, call: str, laps: Laps, absent: dict[str, str]) -> Row:
    """Return the row of a contestant."""
    if name in absent:
        return Row(name, absent=absent[name])
    best = laps.best(name) * 1e6
    cells = best, laps.median(name) * 1e6, laps.overhead(name, NONE) * 1e6
    limited = call == "hit" and name == PLAIN
    return Row(name, cells, [at_most(best, LIMIT, " us")] if limited else [])
