"""The attempts of a call: total timeout, retry, breaker, hedge, limits, and the function itself.

The policies that were asked for are composed into one function when the first call comes. The
others do not exist at run time.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from toolops_plugins.callables.hidden_coroutines import is_awaitable, refusal
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.plan import Plan
from toolops_plugins.drivers.attempt import Attempt
from toolops_plugins.errors import TotalTimeout
from toolops_plugins.policy import Retry
from toolops_plugins.resilience.retry import Retrying

if TYPE_CHECKING:
    from toolops_plugins.drivers.loop import LoopDriver
    from toolops_plugins.resilience.breaker import Breaker
    from toolops_plugins.resilience.bulkhead import BulkheadPlace
    from toolops_plugins.resilience.hedge import Hedger

__all__ = ["attempts_of"]


def attempts_of(driver: LoopDriver, plan: Plan) -> Callable[[LoopDriver, Call], Awaitable[Any]]:
    """Return the function that makes the attempts of a plan's calls; it is composed once."""
    run: Callable[[LoopDriver, Call], Awaitable[Any]] | None = plan.aio_attempts
    if run is None:
        run = plan.aio_attempts = _compose(driver, plan)
    return run


def _compose(driver: LoopDriver, plan: Plan) -> Callable[[LoopDriver, Call], Awaitable[Any]]:
    # None of these functions refers to the plan, which holds them: it would be freed by the garbage
    # collector alone.
    timeout = plan.policy.timeout
    in_thread = timeout is None or timeout.in_thread
    direct = driver.runs_in_place(aio=plan.aio, seconds=plan.attempt_seconds, in_thread=in_thread)
    run = _attempt(plan, direct=direct)
    if plan.hedger is not None:
        run = _hedge(plan.hedger, run)
    if plan.breaker is not None:
        run = _pass_breaker(plan.breaker, run)
    if plan.policy.retry is not None:
        run = _retry(plan, plan.policy.retry, run)
    if plan.total_seconds is not None:
        run = _limit_time(plan, plan.total_seconds, run)
    return run


def _limit_time(
    plan: Plan, seconds: float, run: Callable[[LoopDriver, Call], Awaitable[Any]]
) -> Callable[[LoopDriver, Call], Awaitable[Any]]:
    timeout = plan.policy.timeout
    in_thread = timeout is None or timeout.in_thread
    error = partial(_total_timeout, f"{plan.name} gave no result within {seconds} s", seconds)

    async def run_in_time(driver: LoopDriver, call: Call) -> Any:
        return await run(driver.within(seconds, error, in_thread=in_thread), call)

    return run_in_time


def _retry(
    plan: Plan, policy: Retry, run: Callable[[LoopDriver, Call], Awaitable[Any]]
) -> Callable[[LoopDriver, Call], Awaitable[Any]]:
    clock, budget, judges = plan.shared.clock, plan.shared.budget, policy.on_result is not None
    timed = policy.max_elapsed is not None

    async def retry(driver: LoopDriver, call: Call) -> Any:
        if budget is not None:
            budget.deposit()
        started = clock.monotonic() if timed else 0.0
        outside = sys.exception()
        retrying: Retrying | None = None
        while True:
            try:
                value = await run(driver, call)
            except Exception as error:
                retrying = retrying or Retrying.after_first_attempt(
                    policy, clock, budget, started=started, outside=outside
                )
                wait = None if _is_callers(call, error) else retrying.after_error(error)
                if wait is None:
                    raise
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
            await driver.sleep(wait)

    return retry


def _pass_breaker(
    breaker: Breaker, run: Callable[[LoopDriver, Call], Awaitable[Any]]
) -> Callable[[LoopDriver, Call], Awaitable[Any]]:
    take_ticket, record_success = breaker.take_ticket, breaker.record_success

    async def pass_breaker(driver: LoopDriver, call: Call) -> Any:
        ticket = take_ticket()
        outside = sys.exception()
        before = call.attempts
        try:
            value = await run(driver, call)
        except Exception as error:
            # If the function was not reached, it is no failure of the callee.
            if call.attempts == before or _is_callers(call, error):
                breaker.record_nothing(ticket)
            else:
                breaker.record_failure(ticket, error, call.seconds, outside)
            raise
        except BaseException:
            breaker.record_nothing(ticket)
            raise
        record_success(ticket, call.seconds, value)
        return value

    return pass_breaker


def _is_callers(call: Call, error: Exception) -> bool:
    """Return whether the arguments do not fit the signature, so that a retry cannot help."""
    return isinstance(error, TypeError) and not call.plan.fits(call)


def _hedge(
    hedger: Hedger, run: Callable[[LoopDriver, Call], Awaitable[Any]]
) -> Callable[[LoopDriver, Call], Awaitable[Any]]:
    async def hedge(driver: LoopDriver, call: Call) -> Any:
        delay = hedger.delay()
        if delay is None:
            value = await run(driver, call)
        else:
            before = call.attempts
            value = await driver.race(delay, run, call, owner=call.plan.name)
            call.hedged = call.hedged or call.attempts - before > 1
        hedger.observe(call.seconds)
        return value

    return hedge


def _attempt(plan: Plan, *, direct: bool) -> Callable[[LoopDriver, Call], Awaitable[Any]]:
    """Return the function that waits for the limits, and then makes one attempt.

    Args:
        plan: The plan.
        direct: Whether the function can be called in place where no limit encloses the call.
    """
    function, aio, limiter, gate = plan.function, plan.aio, plan.limiter, plan.gate
    monotonic = plan.shared.clock.monotonic
    measures = plan.hedger is not None or (plan.breaker is not None and plan.breaker.needs_seconds)
    # The units are 1, or any number, or depend on the arguments.
    cost: Any = 1.0 if limiter is None else limiter.policy.cost
    varies = callable(cost)

    async def attempt(driver: LoopDriver, call: Call) -> Any:
        units, claim, era = cost, None, 0
        if limiter is not None:
            if varies:
                units = cost(*call.args, **call.kwargs)
            delay, claim = limiter.take(units)
            if delay > 0.0:
                try:
                    await driver.sleep(delay)
                except BaseException:
                    limiter.give_back(units, claim)  # they were not spent
                    raise
        if gate is not None:
            place = gate.take_place()
            if place is None:
                try:
                    await driver.enter(gate)
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
                value = await _invoke(driver, call, step)
            finally:
                if not step.reached and limiter is not None:
                    limiter.give_back(units, claim)
        elif not measures and gate is None:
            value = await function(*call.args, **call.kwargs)
        else:
            began = monotonic()
            try:
                value = await function(*call.args, **call.kwargs)
            finally:
                call.seconds = monotonic() - began
                if gate is not None:
                    gate.release_from(era)
        if not aio and is_awaitable(value):
            raise refusal(call.plan.name, value)
        return value

    return attempt


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


async def _invoke(driver: LoopDriver, call: Call, attempt: Attempt) -> Any:
    monotonic = call.plan.shared.clock.monotonic
    began = monotonic()
    try:
        return await driver.invoke(attempt)
    finally:
        call.seconds = max(0.0, monotonic() - began - attempt.queue_seconds)
        if not attempt.reached:
            call.attempts -= 1
        # A function that still runs in a thread keeps its place until it has ended.
        if attempt.leave is not None and not attempt.abandoned:
            attempt.leave()


def _total_timeout(message: str, seconds: float) -> TotalTimeout:
    return TotalTimeout(message, seconds=seconds)
