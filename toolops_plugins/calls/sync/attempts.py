"""The attempts of a call: total timeout, retry, breaker, hedge, limits, and the function itself.

The policies that were asked for are composed into one function when the first call comes. The
others do not exist at run time.
"""

# Generated from ../aio by scripts/make_sync.py; edit that, then run `make sync`.
from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from toolops_plugins.callables.hidden_coroutines import is_awaitable, refusal
from toolops_plugins.calls.answer import emit_rejection
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.hooks import emit_step
from toolops_plugins.calls.plan import Plan
from toolops_plugins.drivers.attempt import Attempt
from toolops_plugins.errors import Rejected, ThreadPoolFull, TotalTimeout
from toolops_plugins.policy import Retry
from toolops_plugins.resilience.retry import Retrying

if TYPE_CHECKING:
    from toolops_plugins.drivers.thread import ThreadDriver
    from toolops_plugins.resilience.breaker import Breaker
    from toolops_plugins.resilience.bulkhead import BulkheadPlace, Gate
    from toolops_plugins.resilience.hedge import Hedger
    from toolops_plugins.telemetry.emitter import Emitter

__all__ = ["attempts_of"]


def attempts_of(driver: ThreadDriver, plan: Plan) -> Callable[[ThreadDriver, Call], Any]:
    """Return the function that makes the attempts of a plan's calls; it is composed once."""
    run: Callable[[ThreadDriver, Call], Any] | None = plan.sync_attempts
    if run is None:
        run = plan.sync_attempts = _compose(driver, plan)
    return run


def _compose(driver: ThreadDriver, plan: Plan) -> Callable[[ThreadDriver, Call], Any]:
    # None of these functions refers to the plan, which holds them: it would be freed by the garbage
    # collector alone.
    timeout = plan.policy.timeout
    in_thread = timeout is None or timeout.in_thread
    direct = driver.runs_in_place(aio=plan.aio, seconds=plan.attempt_seconds, in_thread=in_thread)
    run = _attempt(plan, direct=direct)
    emitter = plan.shared.emitter
    if plan.hedger is not None:
        run = _hedge(plan.hedger, emitter, run)
    if plan.breaker is not None:
        run = _pass_breaker(plan.breaker, emitter, run)
    if plan.policy.retry is not None:
        run = _retry(plan, plan.policy.retry, run)
    if plan.total_seconds is not None:
        run = _limit_time(plan, plan.total_seconds, run)
    return run


def _limit_time(
    plan: Plan, seconds: float, run: Callable[[ThreadDriver, Call], Any]
) -> Callable[[ThreadDriver, Call], Any]:
    timeout = plan.policy.timeout
    in_thread = timeout is None or timeout.in_thread
    error = partial(_total_timeout, f"{plan.name} gave no result within {seconds} s", seconds)

    def run_in_time(driver: ThreadDriver, call: Call) -> Any:
        return run(driver.within(seconds, error, in_thread=in_thread), call)

    return run_in_time


def _retry(
    plan: Plan, policy: Retry, run: Callable[[ThreadDriver, Call], Any]
) -> Callable[[ThreadDriver, Call], Any]:
    shared = plan.shared
    clock, budget, judges = shared.clock, shared.budget, policy.on_result is not None
    emitter = shared.emitter
    timed = policy.max_elapsed is not None

    def retry(driver: ThreadDriver, call: Call) -> Any:
        if budget is not None:
            budget.deposit()
        started = clock.monotonic() if timed else 0.0
        outside = sys.exception()
        retrying: Retrying | None = None
        while True:
            try:
                value = run(driver, call)
            except Exception as error:
                retrying = retrying or Retrying.after_first_attempt(
                    policy, clock, budget, started=started, outside=outside
                )
                wait = None if _is_callers(call, error) else retrying.after_error(error)
                if wait is None:
                    raise
                if emitter.steppers:
                    emit_step(call, "retry", wait, error=error)
            else:
                if not judges:
                    return value
                retrying = retrying or Retrying.after_first_attempt(
                    policy, clock, budget, started=started, outside=outside
                )
                wait = retrying.after_result(value)
                if wait is None:
                    return value
                call.plan.charge(call, value)
                if emitter.steppers:
                    emit_step(call, "retry", wait, detail="result")
            driver.sleep(wait)

    return retry


def _pass_breaker(
    breaker: Breaker, emitter: Emitter, run: Callable[[ThreadDriver, Call], Any]
) -> Callable[[ThreadDriver, Call], Any]:
    take_ticket, record_success = breaker.take_ticket, breaker.record_success

    def pass_breaker(driver: ThreadDriver, call: Call) -> Any:
        try:
            ticket = take_ticket()
        except Rejected as error:
            if emitter.steppers:
                emit_rejection(call, error)
            raise
        state = breaker.state if emitter.steppers else ""
        outside = sys.exception()
        before = call.attempts
        try:
            value = run(driver, call)
        except Exception as error:
            # If the function was not reached, it is no failure of the callee.
            if call.attempts == before or _is_callers(call, error):
                breaker.record_nothing(ticket)
            else:
                breaker.record_failure(ticket, error, call.seconds, outside)
                if state and breaker.state != state:
                    emit_step(call, "breaker", error=error, detail=breaker.state)
            raise
        except BaseException:
            breaker.record_nothing(ticket)
            raise
        record_success(ticket, call.seconds, value)
        if state and breaker.state != state:
            emit_step(call, "breaker", detail=breaker.state)
        return value

    return pass_breaker


def _is_callers(call: Call, error: Exception) -> bool:
    """Return whether the arguments do not fit the signature, so that a retry cannot help."""
    return isinstance(error, TypeError) and not call.plan.fits(call)


def _hedge(
    hedger: Hedger, emitter: Emitter, run: Callable[[ThreadDriver, Call], Any]
) -> Callable[[ThreadDriver, Call], Any]:
    def hedge(driver: ThreadDriver, call: Call) -> Any:
        delay = hedger.delay()
        if delay is None:
            value = run(driver, call)
        else:
            before = call.attempts
            work = _tell_of_second(delay, run) if emitter.steppers else run
            value = driver.race(delay, work, call, owner=call.plan.name)
            call.hedged = call.hedged or call.attempts - before > 1
        hedger.observe(call.seconds)
        return value

    return hedge


def _tell_of_second(
    delay: float, run: Callable[[ThreadDriver, Call], Any]
) -> Callable[[ThreadDriver, Call], Any]:
    """Return the function that runs each of two racing attempts, and tells sinks of the second."""
    begun: list[bool] = []

    def run_and_tell(driver: ThreadDriver, call: Call) -> Any:
        if begun:
            emit_step(call, "hedge", delay)
        begun.append(True)
        return run(driver, call)

    return run_and_tell


def _attempt(plan: Plan, *, direct: bool) -> Callable[[ThreadDriver, Call], Any]:
    """Return the function that waits for the limits, and then makes one attempt.

    Args:
        plan: The plan.
        direct: Whether the function can be called in place where no limit encloses the call.
    """
    function, aio, limiter, gate = plan.function, plan.aio, plan.limiter, plan.gate
    monotonic, emitter = plan.shared.clock.monotonic, plan.shared.emitter
    measures = plan.hedger is not None or (plan.breaker is not None and plan.breaker.needs_seconds)
    # The units are 1, or any number, or depend on the arguments.
    cost: Any = 1.0 if limiter is None else limiter.policy.cost
    varies = callable(cost)

    def attempt(driver: ThreadDriver, call: Call) -> Any:
        units, claim, era = cost, None, 0
        if limiter is not None:
            if varies:
                units = cost(*call.args, **call.kwargs)
            try:
                delay, claim = limiter.take(units)
            except Rejected as error:
                if emitter.steppers:
                    emit_rejection(call, error)
                raise
            if delay > 0.0:
                try:
                    driver.sleep(delay)
                except BaseException:
                    limiter.give_back(units, claim)  # they were not spent
                    raise
                if emitter.steppers:
                    emit_step(call, "limit_wait", delay)
        if gate is not None:
            place = gate.take_place()
            if place is None:
                try:
                    _enter(driver, call, gate, emitter)
                except BaseException:
                    if limiter is not None:
                        limiter.give_back(units, claim)
                    raise
                place = gate.era
            era = place
        call.attempts += 1
        if not direct or driver.limit is not None:
            step = _limit_attempt(call, None if gate is None else gate.place())
            try:
                value = _invoke(driver, call, step)
            finally:
                if not step.reached and limiter is not None:
                    limiter.give_back(units, claim)
        elif not measures and gate is None and not emitter.observed:
            value = function(*call.args, **call.kwargs)
        else:
            began = monotonic()
            try:
                value = function(*call.args, **call.kwargs)
            finally:
                call.seconds = monotonic() - began
                call.worked += call.seconds
                if gate is not None:
                    gate.release_from(era)
        if not aio and is_awaitable(value):
            raise refusal(call.plan.name, value)
        return value

    return attempt


def _enter(driver: ThreadDriver, call: Call, gate: Gate, emitter: Emitter) -> None:
    """Wait for a place in the bulkhead."""
    monotonic = call.plan.shared.clock.monotonic
    began = monotonic()
    try:
        driver.enter(gate)
    except Rejected as error:
        if emitter.steppers:
            emit_rejection(call, error)
        raise
    if emitter.steppers:
        emit_step(call, "bulkhead_wait", monotonic() - began)


def _limit_attempt(call: Call, place: BulkheadPlace | None) -> Attempt:
    """Return an attempt that a time limit may abandon, or that runs in a thread.

    Args:
        call: The call.
        place: The place in the bulkhead that the function holds until it has ended, or None.
    """
    plan = call.plan
    timeout = plan.policy.timeout
    return Attempt(
        plan.function,
        call.args,
        call.kwargs,
        plan.attempt_seconds,
        aio=plan.aio,
        in_thread=timeout is None or timeout.in_thread,
        owner=plan.name,
        leave=None if place is None else place.release,
    )


def _invoke(driver: ThreadDriver, call: Call, attempt: Attempt) -> Any:
    shared = call.plan.shared
    monotonic = shared.clock.monotonic
    began = monotonic()
    try:
        return driver.invoke(attempt)
    except ThreadPoolFull as error:
        if shared.emitter.steppers and not attempt.reached:
            emit_rejection(call, error)
        raise
    finally:
        call.seconds = max(0.0, monotonic() - began - attempt.queue_seconds)
        if attempt.reached:
            call.worked += call.seconds
        else:
            call.attempts -= 1
        if attempt.queue_seconds and shared.emitter.steppers:
            emit_step(call, "thread_wait", attempt.queue_seconds)
        # A function that still runs in a thread keeps its place until it has ended.
        if attempt.leave is not None and not attempt.abandoned:
            attempt.leave()


def _total_timeout(message: str, seconds: float) -> TotalTimeout:
    return TotalTimeout(message, seconds=seconds)
