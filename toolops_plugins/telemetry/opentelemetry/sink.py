"""The sink that makes a span of every call, and records it in metrics."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from contextvars import Token
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

from opentelemetry.context import attach, detach, get_current
from opentelemetry.metrics import get_meter
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    SpanKind,
    Status,
    StatusCode,
    get_current_span,
    get_tracer,
    set_span_in_context,
)

from toolops_plugins.errors import ConfigurationError
from toolops_plugins.telemetry import genai_conventions as names
from toolops_plugins.telemetry.events import CallEvent, CallKind, CallStart, CallStep, Notice
from toolops_plugins.telemetry.opentelemetry.attributes import (
    AT_START,
    Attributes,
    attributes_of_call,
    attributes_of_model,
    attributes_of_start,
    error_of,
    name_span,
)
from toolops_plugins.telemetry.opentelemetry.metrics import CallMetrics
from toolops_plugins.telemetry.opentelemetry.other_instrumentation import (
    Owner,
    enclose,
    find_owner,
    forget_model,
    is_framework_instrumented,
    is_model_instrumented,
    read_inner,
)
from toolops_plugins.telemetry.opentelemetry.past_calls import place_past_call

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

__all__ = ["ModelSpans", "OpenTelemetrySink"]

ModelSpans: TypeAlias = Literal["auto", "internal", "none"]
"""The party that measures the calls of models; see :class:`OpenTelemetrySink`."""


# Read here, since it reads files, and a sink may be made on an event loop.
_VERSION: Final = metadata.version("toolops-plugins")
_DAY: Final = 86_400.0
_TOOL: Final = "toolops.tool"
_WITHOUT_SPAN: Final = object()
"""The state of a call that gets no span."""
_RUNS: Final[Mapping[str, CallKind]] = {
    "tool": "tool",
    "chat": "chat",
    "llm": "text_completion",
    "embedding": "embeddings",
}


class OpenTelemetrySink:
    """Makes a span of every call, and records it in metrics.

    ::

        ops = ToolOps(sinks=[OpenTelemetrySink()])

    The span of a tool is ``execute_tool {name}``, that of a model's call ``chat {model}``,
    ``text_completion {model}`` or ``embeddings {model}``, by the conventions for generative AI. It
    covers the call with all its attempts; what the function and its threads and tasks do is inside.
    Retries and the like are events of it. The ``toolops.*`` attributes tell where the answer came
    from, and what was saved. An answer that another call was making has a span of its own, with a
    link to that of the call that made it; so has a refresh in the background.

    ``gen_ai.client.operation.duration``, ``gen_ai.client.token.usage`` and
    ``gen_ai.execute_tool.duration`` count the calls whose function ran, once each, however many
    attempts there were. ``toolops.calls``, ``toolops.call.duration`` and others count all.

    Nothing is measured twice beside other instrumentations. Where a span of the same operation is
    current, such as LangChain's ``execute_tool search``, it gets our attributes, and no other span
    is made. An instrumented SDK below a model's span is told to make none.

    No span or metric holds an argument, a result, a tag or the text of an exception. Safe to use
    from any threads and event loops, by several runtimes too.

    Args:
        tracer_provider: Makes the tracer. None: the global one, whenever it is set.
        meter_provider: Makes the meter. None: the global one, whenever it is set.
        model_spans: "auto": the calls of models are measured here, unless another instrumentation
            around them does. "internal": an instrumented SDK below measures each of its requests;
            our spans are INTERNAL, without ``gen_ai.*``, and nothing is kept from it. "none": a
            model's call gets no span from here; our own metrics count it. Default "auto".

    Raises:
        ConfigurationError: ``model_spans`` is none of these.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        *,
        model_spans: ModelSpans = "auto",
    ) -> None:
        if model_spans not in get_args(ModelSpans):
            raise ConfigurationError(
                "model_spans", f'must be "auto", "internal" or "none", not {model_spans!r}'
            )
        self._tracer = get_tracer("toolops_plugins", _VERSION, tracer_provider)
        self._metrics = CallMetrics(get_meter("toolops_plugins", _VERSION, meter_provider))
        self._model_spans = model_spans

    def on_start(self, start: CallStart, /) -> object:
        """Open the span of a call, and make it the current one."""
        kind, name, context = start.kind, start.name, get_current()
        if kind == "tool":
            # A text for an embedder, one of perhaps thousands; their request has a span.
            if start.details is not None and "model" in start.details:
                return _WITHOUT_SPAN
        elif self._model_spans == "none":
            return _WITHOUT_SPAN
        current = get_current_span(context)
        links: tuple[Link, ...] = ()
        if start.background:
            # Nobody waits for it, so its cause may end long before.
            links = (Link(current.get_span_context()),)
            context = set_span_in_context(INVALID_SPAN, forget_model(context))
            current = INVALID_SPAN
        owner = self._find_owner(kind, name, context, current)
        if owner == "us" and (
            (start.over and kind != "tool" and is_model_instrumented())
            or (start.encloses and is_framework_instrumented())
        ):
            owner = "theirs"
        known = attributes_of_start(name, kind, start.details, stream=start.stream)
        first = _first(name, start.namespace, kind)
        if owner == "their span":
            span = current
            span.set_attributes(first)
        else:
            span = self._open_span(
                kind, owner, {**known, **first}, context, start=_when(start.started), links=links
            )
            context = set_span_in_context(span, context)
        inner = None
        if self._model_spans == "auto":
            context, inner = enclose(kind, owner, context)
        return _CallSpan(kind, owner, span, known, context, attach(context), inner)

    def on_step(self, step: CallStep, state: Any, /) -> None:
        """Add what happened within a call to its span, as an event."""
        if isinstance(state, _CallSpan):
            if step.kind == "joined":
                if isinstance(step.other, _CallSpan):
                    state.span.add_link(step.other.span.get_span_context())
                return
            found: Attributes = {"toolops.attempt": step.attempt}
            if step.seconds:
                found["toolops.seconds"] = step.seconds
            if step.error:
                found[names.ERROR_TYPE] = step.error
            if step.detail:
                found["toolops.detail"] = step.detail
            state.span.add_event(f"toolops.{step.kind}", found)

    def on_call(self, event: CallEvent, state: Any = None, /) -> None:
        """Close the span of a call, and record it."""
        if state is _WITHOUT_SPAN:
            self._metrics.record_call(event, None)
        elif isinstance(state, _CallSpan):
            try:
                self._finish(event, state)
            finally:
                if state.owner != "their span":
                    state.span.end()
                _leave(state.token)
        else:
            self._record_past_call(event)

    def on_notice(self, notice: Notice, /) -> None:
        """Count a notice."""
        self._metrics.record_notice(notice)

    def _find_owner(self, kind: CallKind, name: str, context: Context, current: Span) -> Owner:
        if kind != "tool" and self._model_spans == "internal":
            return "theirs"
        return find_owner(kind, name, context, current)

    def _open_span(
        self,
        kind: CallKind,
        owner: Owner,
        found: Attributes,
        context: Context,
        *,
        start: int | None = None,
        links: Sequence[Link] = (),
    ) -> Span:
        """Start a span; it does not become the current one.

        Args:
            kind: The call's kind.
            owner: Who measures it. If others do, the span says nothing of models.
            found: Its attributes.
            context: Holds its parent.
            start: When it began, in nanoseconds since the epoch. None: now.
            links: Other spans that it belongs to.
        """
        if owner != "us":
            plain = {key: value for key, value in found.items() if key.startswith("toolops.")}
            name = f"toolops {found[_TOOL]}"
            return self._tracer.start_span(name, context, SpanKind.INTERNAL, plain, links, start)
        name = name_span(found)
        span_kind = SpanKind.INTERNAL if kind == "tool" else SpanKind.CLIENT
        return self._tracer.start_span(name, context, span_kind, found, links, start)

    def _record_past_call(self, event: CallEvent) -> None:
        """Make the span of a call that a framework has reported after its end."""
        kind, name = _kind_of_run(event)
        is_model = kind is not None and kind != "tool"
        if is_model and self._model_spans == "none":
            self._metrics.record_call(event, None)
            return
        place = place_past_call(event, get_current())
        owner: Owner = "us"
        if kind is None or (is_model and is_model_instrumented()):
            owner = "theirs"
        elif is_model:
            owner = self._find_owner(kind, name, place.context, get_current_span(place.context))
        kind = kind or "tool"
        known = attributes_of_start(name, kind, event.details)
        first = _first(event.name, event.namespace, kind)
        owner = "theirs" if owner == "their span" else owner
        span = self._open_span(
            kind, owner, {**known, **first}, place.context, start=place.start, links=place.links
        )
        context = set_span_in_context(span, place.context)
        try:
            self._finish(event, _CallSpan(kind, owner, span, known, context, None, None))
        finally:
            span.end(place.end)

    def _finish(self, event: CallEvent, call: _CallSpan) -> None:
        """Set the attributes of a span whose call has ended, and record the call."""
        span, known, error = call.span, call.known, error_of(event)
        found: Attributes = {}
        if call.owner == "us":
            if call.kind != "tool":
                found = _complete_model(event, call)
            # A hit is no operation: neither the model nor the tool was asked.
            if event.attempts > 0:
                failed = error or event.error
                labels = known if failed is None else {**known, names.ERROR_TYPE: failed}
                self._metrics.record_operation(call.kind, event.latency, labels, call.context)
        self._metrics.record_call(event, call.context)
        if not span.is_recording():
            return
        found.update(attributes_of_call(event))
        if error is not None and call.owner != "their span":
            found[names.ERROR_TYPE] = error
            span.set_status(Status(StatusCode.ERROR))
        span.set_attributes(found)


class _CallSpan:
    """A call under way, with its span.

    Args:
        kind: The call's kind.
        owner: Who measures it.
        span: The span that gets its attributes.
        known: Attributes of the conventions that are known of it.
        context: The context of all that happens inside.
        token: Takes that context away again. None: it was not set.
        inner: What an instrumented SDK inside reports to.
    """

    __slots__ = ("context", "inner", "kind", "known", "owner", "span", "token")

    def __init__(
        self,
        kind: CallKind,
        owner: Owner,
        span: Span,
        known: Attributes,
        context: Context,
        token: Token[Context] | None,
        inner: Any,
    ) -> None:
        self.kind: CallKind = kind
        self.owner = owner
        self.span = span
        self.known = known
        self.context = context
        self.token = token
        self.inner = inner


def _when(started: float) -> int | None:
    """Return when a call began, in nanoseconds since the epoch, or None for now.

    A hit and a cache-aside are reported when they are over. The clock of a test may stand anywhere,
    while spans end by the clock of the machine.
    """
    return int(started * 1e9) if 0.0 <= time.time() - started <= _DAY else None


def _leave(token: Any) -> None:
    """Take the context of a call away again.

    A call that was dropped, as those of a closed event loop, ends in any context, in which there is
    nothing to take away. ``detach`` would log that as an error.
    """
    if isinstance(token, Token):
        with suppress(ValueError):
            token.var.reset(token)
    elif token is not None:  # of a runtime context that the application has chosen
        detach(token)


def _first(name: str, namespace: str, kind: CallKind) -> Attributes:
    """Return the attributes of this library that a span begins with."""
    return dict(zip(AT_START, (name, namespace, kind), strict=True))


def _complete_model(event: CallEvent, call: _CallSpan) -> Attributes:
    """Add what is known of a model only after its call, and return it."""
    known = call.known
    name = name_span(known)
    found = {**read_inner(call.inner), **attributes_of_model(event.details)}
    found = {key: value for key, value in found.items() if known.get(key) != value}
    known.update(found)
    if name_span(known) != name:
        call.span.update_name(name_span(known))
    return found


def _kind_of_run(event: CallEvent) -> tuple[CallKind | None, str]:
    """Return the kind and the bare name of a call that an adapter has reported.

    The names of such calls begin with their kind and a colon. A chain, a crew and the like are no
    operation of the conventions; their kind is None.
    """
    prefix, colon, name = event.name.partition(":")
    if not colon or event.kind != "tool":
        return event.kind, name or event.name
    return _RUNS.get(prefix), name
