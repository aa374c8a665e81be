"""The attempts of a call: total timeout, retry, breaker, hedge, limits, and the function itself.

The policies that were asked for are composed into one function when the first call comes. The
others do not exist at run time.
"""

# Generated from ../aio by scripts/make_sync.py; edit that, then run `make sync`.
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from toolops_plugins.callables.hidden_coroutines import is_awaitable, refusal
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.plan import Plan
from toolops_plugins.drivers.attempt import Attempt
from toolops_plugins.errors import TotalTimeout
from toolops_plugins.resilience.breaker import Breaker
from toolops_plugins.resilience.bulkhead import BulkheadPlace
from toolops_plugins.resilience.hedge import Hedger
from toolops_plugins.resilience.ratelimit import Reservation
from toolops_plugins.resilience.retry import Retrying

if TYPE_CHECKING:
    from toolops_plugins.drivers.thread import ThreadDriver

__all__ = ["attempts_of"]


def attempts_of(driver: ThreadDriver, plan: Plan) -> Callable[[ThreadDriver, Call], Any]:
    """Return the function that makes the attempts of a plan's calls; it is composed once."""
    run: Callable[[ThreadDriver, Call], Any] | None = plan.sync_attempts
    if run is None:
        run = plan.sync_attempts = _compose(driver, plan)
    return run


def _compose(driver: ThreadDriver, plan: Plan) -> Callable[[ThreadDriver, Call], Any]:
    timeout = plan.policy.timeout
    in_thread = timeout is None or timeout.in_thread
    direct = driver.runs_in_place(aio=plan.aio, seconds=plan.attempt_seconds, in_thread=in_thread)
    run = _attempt(plan, direct=direct)
    if plan.hedger is not None:
        run = _hedge(plan, plan.hedger, run)
    if plan.breaker is not None:
        run = _pass_breaker(plan.breaker, run)
    if plan.policy.retry is not None:
        run = _retry(plan, run)
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
    plan: Plan, run: Callable[[ThreadDriver, Call], Any]
) -> Callable[[ThreadDriver, Call], Any]:
    policy = plan.policy.retry
    if policy is None:
        return run
    clock, budget = plan.shared.clock, plan.shared.budget

    def retry(driver: ThreadDriver, call: Call) -> Any:
        retrying = Retrying(policy, clock, budget)
        while True:
            try:
                value = run(driver, call)
            except Exception as error:
                wait = None if _is_callers(call, error) else retrying.after_error(error)
                if wait is None:
                    raise
            else:
                wait = retrying.after_result(value)
                if wait is None:
                    return value
                plan.charge(call, value)
            driver.sleep(wait)

    return retry


def _pass_breaker(
    breaker: Breaker, run: Callable[[ThreadDriver, Call], Any]
) -> Callable[[ThreadDriver, Call], Any]:
    admit = breaker.admit

    def pass_breaker(driver: ThreadDriver, call: Call) -> Any:
        permit = admit()
        before = call.attempts
        try:
            value = run(driver, call)
        except Exception as error:
            # If the function was not reached, it is no failure of the callee.
            if call.attempts == before or _is_callers(call, error):
                permit.release()
            else:
                permit.fail(error, call.seconds)
            raise
        except BaseException:
            permit.release()
            raise
        permit.succeed(call.seconds, value)
        return value

    return pass_breaker


def _is_callers(call: Call, error: Exception) -> bool:
    """Return whether the arguments do not fit the signature, so that a retry cannot help."""
    return isinstance(error, TypeError) and not call.plan.fits(call)


def _hedge(
    plan: Plan, hedger: Hedger, run: Callable[[ThreadDriver, Call], Any]
) -> Callable[[ThreadDriver, Call], Any]:
    def hedge(driver: ThreadDriver, call: Call) -> Any:
        delay = hedger.delay()
        if delay is None:
            value = run(driver, call)
        else:
            before = call.attempts
            value = driver.race(delay, run, call, owner=plan.name)
            call.hedged = call.hedged or call.attempts - before > 1
        hedger.observe(call.seconds)
        return value

    return hedge


def _attempt(plan: Plan, *, direct: bool) -> Callable[[ThreadDriver, Call], Any]:
    """Return the function that waits for the limits, and then makes one attempt.

    Args:
        plan: The plan.
        direct: Whether the function can be called in place where no limit encloses the call.
    """
    function, aio, limiter, gate = plan.function, plan.aio, plan.limiter, plan.gate
    monotonic = plan.shared.clock.monotonic
    measured = plan.breaker is not None or plan.hedger is not None

    def attempt(driver: ThreadDriver, call: Call) -> Any:
        reservation: Reservation | None = None
        place: BulkheadPlace | None = None
        if limiter is not None or gate is not None:
            try:
                if limiter is not None:
                    cost = limiter.policy.cost
                    units = cost(*call.args, **call.kwargs) if callable(cost) else cost
                    reservation = limiter.reserve(units)
                    if reservation.delay > 0.0:
                        driver.sleep(reservation.delay)
                if gate is not None:
                    if not gate.try_acquire():
                        driver.enter(gate)
                    place = gate.place()
            except BaseException:
                # Units that were not spent go back.
                if reservation is not None:
                    reservation.cancel()
                raise
        call.attempts += 1
        if not direct or driver.limit is not None:
            value = _attempt_in_time(driver, call, reservation, place)
        else:
            began = monotonic() if measured else 0.0
            try:
                value = function(*call.args, **call.kwargs)
            finally:
                if measured:
                    call.seconds = monotonic() - began
                if place is not None:
                    place.release()
        if not aio and is_awaitable(value):
            raise refusal(plan.name, value)
        return value

    return attempt


def _attempt_in_time(
    driver: ThreadDriver, call: Call, reservation: Reservation | None, place: BulkheadPlace | None
) -> Any:
    """Make an attempt that a time limit may abandon, or that runs in a thread."""
    plan = call.plan
    timeout = plan.policy.timeout
    step = Attempt(
        plan.function,
        call.args,
        call.kwargs,
        plan.attempt_seconds,
        aio=plan.aio,
        in_thread=timeout is None or timeout.in_thread,
        owner=plan.name,
        leave=None if place is None else place.release,
    )
    monotonic = plan.shared.clock.monotonic
    began = monotonic()
    try:
        return driver.invoke(step)
    finally:
        call.seconds = max(0.0, monotonic() - began - step.queue_seconds)
        if not step.reached:
            call.attempts -= 1
            if reservation is not None:
                reservation.cancel()
        # A function that still runs in a thread keeps its place until it has ended.
        if place is not None and not step.abandoned:
            place.release()


def _total_timeout(message: str, seconds: float) -> TotalTimeout:
    return TotalTimeout(message, seconds=seconds)
