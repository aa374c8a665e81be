"""Spans of calls that are reported after their end, by a framework's events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    get_current_span,
    set_span_in_context,
)

from toolops_plugins.telemetry.events import CallEvent

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

__all__ = ["PastCall", "place_past_call"]

_NANOSECONDS: Final = 1_000_000_000


class PastCall(NamedTuple):
    """The place of a call that has ended.

    Args:
        context: The context with the parent of its span.
        links: Spans that it belongs to, where there is no parent.
        start: When it began, in nanoseconds since the epoch.
        end: When it ended.
    """

    context: Context
    links: tuple[Link, ...]
    start: int
    end: int


def place_past_call(event: CallEvent, context: Context) -> PastCall:
    """Return the place of a call that has ended, among the spans of the context it is reported in.

    The current span is its parent, unless that began later: then it is inside of the call or comes
    after it, so the parent is that span's own, or a link stands for it.

    Args:
        event: The event of the call.
        context: The context in which it was reported.
    """
    start = int(event.started * _NANOSECONDS)
    end = start + int(max(event.latency, 0.0) * _NANOSECONDS)
    current: Span = get_current_span(context)
    began = getattr(current, "start_time", None)  # only the SDK's spans say so
    if not isinstance(began, int) or began <= start:
        return PastCall(context, (), start, end)
    parent = getattr(current, "parent", None)
    if parent is not None:
        return PastCall(set_span_in_context(NonRecordingSpan(parent), context), (), start, end)
    link = Link(current.get_span_context())
    return PastCall(set_span_in_context(INVALID_SPAN, context), (link,), start, end)
