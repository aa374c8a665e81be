"""The attempts of a call: total timeout, retry, breaker, hedge, limits, and the function itself."""

from __future__ import annotations

from functools import partial

from toolops_plugins.callables.hidden_coroutines import is_awaitable, refusal
from toolops_plugins.calls.call import Call
from toolops_plugins.errors import TotalTimeout
from toolops_plugins.resilience.bulkhead import BulkheadPlace
from toolops_plugins.resilience.retry import Retrying
from toolops_plugins.steps import Enter, Flow, Invoke, Race, Sleep, Within, unwrap_error

__all__ = ["run_attempts"]


def run_attempts(call: Call) -> Flow:
    """Call the function under its policies for attempts; return its result or raise its error."""
    timeout = call.plan.policy.timeout
    seconds = call.plan.total_seconds
    if seconds is None:
        return (yield from _retry(call))
    message = f"{call.plan.name} gave no result within {seconds} s"
    error = partial(_total_timeout, message, seconds)
    in_thread = timeout is None or timeout.in_thread
    return (yield Within(seconds, partial(_retry, call), error, in_thread=in_thread))


def _retry(call: Call) -> Flow:
    plan = call.plan
    policy = plan.policy.retry
    if policy is None:
        return (yield from _pass_breaker(call))
    retrying = Retrying(policy, plan.shared.clock, plan.shared.budget)
    while True:
        try:
            value = yield from _pass_breaker(call)
        except Exception as error:
            wait = None if _is_callers(call, error) else retrying.after_error(unwrap_error(error))
            if wait is None:
                raise
        else:
            wait = retrying.after_result(value)
            if wait is None:
                return value
            plan.charge(call, value)
        yield Sleep(wait)


def _pass_breaker(call: Call) -> Flow:
    """Ask the circuit breaker for a permit, and report the result of the attempt to it."""
    breaker = call.plan.breaker
    if breaker is None:
        return (yield from _hedge(call))
    permit = breaker.admit()
    before = call.attempts
    try:
        value = yield from _hedge(call)
    except Exception as error:
        # If the function was not reached, it is no failure of the callee.
        if call.attempts == before or _is_callers(call, error):
            permit.release()
        else:
            permit.fail(unwrap_error(error), call.seconds)
        raise
    except BaseException:
        permit.release()
        raise
    permit.succeed(call.seconds, value)
    return value


def _is_callers(call: Call, error: Exception) -> bool:
    """Return whether the arguments do not fit the signature, so that a retry cannot help."""
    return isinstance(error, TypeError) and not call.plan.fits(call)


def _hedge(call: Call) -> Flow:
    hedger = call.plan.hedger
    if hedger is None:
        return (yield from _pass_limits(call))
    delay = hedger.delay()
    if delay is None:
        value = yield from _pass_limits(call)
    else:
        before = call.attempts
        value = yield Race(delay, partial(_pass_limits, call), owner=call.plan.name)
        call.hedged = call.hedged or call.attempts - before > 1
    hedger.observe(call.seconds)
    return value


def _pass_limits(call: Call) -> Flow:
    """Wait for the rate limit and for a place in the bulkhead, then make the attempt."""
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
        # Units that were not spent go back.
        if reservation is not None:
            reservation.cancel()
        raise
    step = _invoke(call, place)
    monotonic = plan.shared.clock.monotonic
    began = monotonic()
    try:
        value = yield step
    except Exception:
        call.seconds = max(0.0, monotonic() - began - step.queue_seconds)
        raise
    finally:
        if not step.reached:
            call.attempts -= 1
            if reservation is not None:
                reservation.cancel()
        # A function that still runs in a thread keeps its place until it has ended.
        if place is not None and not step.abandoned:
            place.release()
    call.seconds = max(0.0, monotonic() - began - step.queue_seconds)
    if not plan.aio and is_awaitable(value):
        raise refusal(plan.name, value)
    return value


def _invoke(call: Call, place: BulkheadPlace | None) -> Invoke:
    """Count an attempt, and return the step that makes it.

    Args:
        call: The call.
        place: The place in the bulkhead that the function holds until it has ended, or None.
    """
    plan = call.plan
    call.attempts += 1
    timeout = plan.policy.timeout
    return Invoke(
        plan.function,
        call.args,
        call.kwargs,
        plan.attempt_seconds,
        aio=plan.aio,
        in_thread=timeout is None or timeout.in_thread,
        owner=plan.name,
        leave=None if place is None else place.release,
    )


def _total_timeout(message: str, seconds: float) -> TotalTimeout:
    return TotalTimeout(message, seconds=seconds)
