"""A sink that makes spans of calls, and complains of what a tracer would stumble over."""

from __future__ import annotations

import itertools
from contextvars import ContextVar, Token
from typing import Any

import pytest

from toolops_plugins import (
    Bulkhead,
    Cache,
    CircuitBreaker,
    Hedge,
    RateLimit,
    Retry,
    Timeout,
)
from toolops_plugins.telemetry.events import CallEvent, CallStart, CallStep

__all__ = ["POLICIES", "Span", "Spans", "spans"]

POLICIES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "coalesce": {"coalesce": True},
    "cache": {"cache": Cache(ttl=60)},
    "cache alone": {"cache": Cache(ttl=60), "coalesce": False},
    "timeout": {"timeout": Timeout(attempt=30)},
    "total timeout": {"timeout": Timeout(total=30), "cache": Cache(ttl=60)},
    "hedge": {"hedge": Hedge(min_calls=1)},
    "all": {
        "cache": Cache(ttl=60),
        "retry": Retry(attempts=2, wait=0),
        "breaker": CircuitBreaker(),
        "timeout": Timeout(attempt=20, total=30),
        "rate_limit": RateLimit("1000/s"),
        "bulkhead": Bulkhead(2),
        "hedge": Hedge(min_calls=1),
    },
}
"""Policies whose calls go through every part of this library."""


class Span:
    """A call: its start, its steps and its event, and the span that was current when it began.

    Attributes:
        events: Its events; one, if all is well.
    """

    def __init__(self, name: str, start: CallStart, parent: Span | None) -> None:
        self.name = name
        self.start = start
        self.parent = parent
        self.steps: list[CallStep] = []
        self.events: list[CallEvent] = []
        self.token: Token[Any] | None = None

    def __repr__(self) -> str:
        return f"<{self.name} of {self.start.name}>"

    @property
    def event(self) -> CallEvent:
        (event,) = self.events
        return event


class Spans:
    """Makes a span current in ``on_start``, and resets the variable by its token in ``on_call``.

    Attributes:
        spans: The spans, in the order of their starts.
        events: The events that came without a state.
        ended: The spans in the order of their ends.
        troubles: What went wrong, in words.
    """

    def __init__(self, name: str = "span") -> None:
        self._var: ContextVar[Span | None] = ContextVar(name, default=None)
        self._numbers = itertools.count(1)
        self._name = name
        self.spans: list[Span] = []
        self.events: list[CallEvent] = []
        self.ended: list[Span] = []
        self.troubles: list[str] = []

    @property
    def current(self) -> Span | None:
        """The span of this context."""
        return self._var.get()

    def on_start(self, start: CallStart) -> Span:
        # Without a lock, which a thread could hold while another one forks.
        span = Span(f"{self._name} {next(self._numbers)}", start, self._var.get())
        self.spans.append(span)
        span.token = self._var.set(span)
        return span

    def on_step(self, step: CallStep, state: Span | None) -> None:
        if state is None:
            self.troubles.append(f"{step} has no span")
            return
        if state.events:
            self.troubles.append(f"{state} had ended before {step}")
        state.steps.append(step)

    def on_call(self, event: CallEvent, state: Span | None) -> None:
        if state is None:
            self.events.append(event)
            return
        if state.events:
            self.troubles.append(f"{state} ended twice")
        state.events.append(event)
        self.ended.append(state)
        assert state.token is not None
        try:
            self._var.reset(state.token)
        except (ValueError, RuntimeError) as error:
            self.troubles.append(f"{state} ended in another context: {error}")

    def check(self, count: int | None = None) -> list[Span]:
        """Return the spans, each of which has ended once and left nothing behind here."""
        assert self.troubles == []
        assert [span for span in self.spans if len(span.events) != 1] == []
        assert self.current is None
        assert count is None or len(self.spans) == count, self.spans
        for span in self.spans:
            assert span.event.name == span.start.name
            assert span.event.kind == span.start.kind
        return self.spans


@pytest.fixture
def spans() -> Spans:
    """A sink that makes spans."""
    return Spans()
