"""What is done to get an answer from the function itself: the inner half of the path of a call."""

from __future__ import annotations

from functools import partial

from toolops_plugins.callables.hidden_coroutines import is_awaitable, refusal
from toolops_plugins.calls.plan import Call
from toolops_plugins.check import plain
from toolops_plugins.errors import TotalTimeout
from toolops_plugins.resilience.bulkhead import BulkheadPlace
from toolops_plugins.resilience.retry import Retrying
from toolops_plugins.steps import Enter, Flow, Invoke, Race, Sleep, Within, uncarried

__all__ = ["attempted"]


def attempted(call: Call) -> Flow:
    """Make the call under its policies for attempts; result and error are the function's own."""
    timeout = call.plan.policy.timeout
    total = timeout.total if timeout is not None else None
    if total is None:
        return (yield from _retried(call))
    seconds = plain(total)
    message = f"{call.plan.name} gave no result within {seconds} s"
    error = partial(_total, message, seconds)
    in_thread = timeout is None or timeout.in_thread
    return (yield Within(seconds, partial(_retried, call), error, in_thread=in_thread))


def _retried(call: Call) -> Flow:
    plan = call.plan
    policy = plan.policy.retry
    if policy is None:
        return (yield from _admitted(call))
    retrying = Retrying(policy, plan.shared.clock, plan.shared.budget)
    while True:
        try:
            value = yield from _admitted(call)
        except Exception as error:
            wait = None if _is_callers(call, error) else retrying.after_error(uncarried(error))
            if wait is None:
                raise
        else:
            wait = retrying.after_result(value)
            if wait is None:
                return value
            plan.charge(call, value)
        yield Sleep(wait)


def _admitted(call: Call) -> Flow:
    """Ask the circuit breaker, and tell it what came of the attempt."""
    breaker = call.plan.breaker
    if breaker is None:
        return (yield from _hedged(call))
    permit = breaker.admit()
    before = call.attempts
    try:
        value = yield from _hedged(call)
    except Exception as error:
        # Where the function was not even reached, it is no failure of the callee.
        if call.attempts == before or _is_callers(call, error):
            permit.release()
        else:
            permit.fail(uncarried(error), call.seconds)
        raise
    except BaseException:
        permit.release()
        raise
    permit.succeed(call.seconds, value)
    return value


def _is_callers(call: Call, error: Exception) -> bool:
    """Return whether the arguments do not fit: no fault of the callee, and no use trying again."""
    return isinstance(error, TypeError) and not call.plan.fits(call)


def _hedged(call: Call) -> Flow:
    hedger = call.plan.hedger
    if hedger is None:
        return (yield from _limited(call))
    delay = hedger.delay()
    if delay is None:
        value = yield from _limited(call)
    else:
        before = call.attempts
        value = yield Race(delay, partial(_limited, call), owner=call.plan.name)
        call.hedged = call.hedged or call.attempts - before > 1
    hedger.observe(call.seconds)
    return value


def _limited(call: Call) -> Flow:
    """Wait for a turn and for a place, and make the attempt."""
    plan = call.plan
    limiter, gate = plan.limiter, plan.gate
    reservation = None
    try:
        if limiter is not None:
            cost = limiter.policy.cost
            units = cost(*call.args, **call.kwargs) if callable(cost) else cost
            reservation = limiter.reserve(units)
            if reservation.delay > 0.0:
                yield Sleep(reservation.delay)
        if gate is not None and not gate.try_acquire():
            yield Enter(gate)
        place = None if gate is None else gate.place()
    except BaseException:
        # What was not spent goes back.
        if reservation is not None:
            reservation.cancel()
        raise
    step = _invoke(call, place)
    monotonic = plan.shared.clock.monotonic
    began = monotonic()
    try:
        value = yield step
    except Exception:
        call.seconds = max(0.0, monotonic() - began - step.waited)
        raise
    finally:
        if not step.reached:
            call.attempts -= 1
            if reservation is not None:
                reservation.cancel()
        # A function that was left running in a thread keeps its place until it has ended.
        if place is not None and not step.goes_on:
            place.release()
    call.seconds = max(0.0, monotonic() - began - step.waited)
    if not plan.aio and is_awaitable(value):
        raise refusal(plan.name, value)
    return value


def _invoke(call: Call, place: BulkheadPlace | None) -> Invoke:
    """Return the step that makes one attempt, and count it.

    Args:
        call: The call.
        place: What the function holds at a bulkhead until it has ended, or None.
    """
    plan = call.plan
    call.attempts += 1
    timeout = plan.policy.timeout
    seconds = timeout.attempt if timeout is not None else None
    return Invoke(
        plan.function,
        call.args,
        call.kwargs,
        None if seconds is None else plain(seconds),
        aio=plan.aio,
        in_thread=timeout is None or timeout.in_thread,
        owner=plan.name,
        leave=None if place is None else place.release,
    )


def _total(message: str, seconds: float) -> TotalTimeout:
    return TotalTimeout(message, seconds=seconds)
