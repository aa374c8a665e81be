"""Tell sinks of the starts, steps and ends of calls; see :class:`StartSink`.

A call is started only where a sink has ``on_start``, so that no other call pays for it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any

from toolops_plugins.telemetry.events import CallEvent, CallStart, CallStep, Details, StepKind
from toolops_plugins.telemetry.started_call import StartedCall

if TYPE_CHECKING:
    from toolops_plugins.calls.call import Call
    from toolops_plugins.calls.plan import Plan

__all__ = ["emit_step", "emit_with_start", "start_call"]

# A named tuple's own constructor, in Python, takes twice as long.
_new_start: Callable[[type[CallStart], tuple[Any, ...]], CallStart] = tuple.__new__


def start_call(call: Call, context: Context | None = None, *, over: bool = False) -> None:
    """Tell sinks that a call starts.

    Args:
        call: The call.
        context: The context in which they are told of its start and of its end. None: that of
            whoever tells them, which has to be the same. Default None.
        over: Whether the call is over. Default False.
    """
    plan = call.plan
    shared = plan.shared
    clock = shared.clock
    details = None
    if plan.describe_start is not None:
        details = plan.details_of_start(call.args, call.kwargs)
    started = clock.time() - (clock.monotonic() - call.began)
    start = _new_start(
        CallStart,
        (
            plan.name,
            shared.namespace,
            started,
            plan.kind,
            details,
            plan.stream,
            call.background,
            over,
            plan.encloses,
        ),
    )
    call.start = StartedCall(shared.emitter, start, context)
    call.start.begin()


def emit_with_start(plan: Plan, event: CallEvent, details: Details | None) -> None:
    """Tell sinks of the start and of the end of a call, both of which are over.

    Args:
        plan: Its plan.
        event: Its event.
        details: What was known before it.
    """
    start = _new_start(
        CallStart,
        (
            event.name,
            event.namespace,
            event.started,
            event.kind,
            details,
            plan.stream,
            False,
            False,
            plan.encloses,
        ),
    )
    plan.shared.emitter.emit_whole(start, event)


def emit_step(
    call: Call,
    kind: StepKind,
    seconds: float = 0.0,
    *,
    error: BaseException | None = None,
    detail: str = "",
    other: StartedCall | None = None,
) -> None:
    """Tell sinks of a step inside of a call.

    Args:
        call: The call.
        kind: The kind of the step.
        seconds: As the kind says. Default 0.
        error: The exception that is the cause. Default None.
        detail: A machine word more. Default "".
        other: The start of another call that the step concerns. Default None.
    """
    plan = call.plan
    shared = plan.shared
    cause = "" if error is None else type(error).__name__
    step = CallStep(kind, call.attempts, seconds, cause, detail, plan.name, shared.namespace)
    if call.start is None:
        shared.emitter.step(step, {}, {})
    else:
        call.start.step(step, other)
