"""A circuit breaker, which stops calls to a failing callee and probes whether it has recovered.

The pattern is Nygard's (Release It!, 2007); windows, rates and probes follow resilience4j.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any

from toolops_plugins import check
from toolops_plugins.clock import SYSTEM_CLOCK, Clock
from toolops_plugins.errors import CircuitOpen, ConfigurationError, DeadlineExceeded, Rejected
from toolops_plugins.policy import NOTHING, CircuitBreaker
from toolops_plugins.policy.base import iter_leaves, matches
from toolops_plugins.policy.faults import callee_failed, fault_of
from toolops_plugins.resilience.circuit import (
    BreakerSnapshot,
    BreakerState,
    LocalBreakerState,
    StateName,
)

__all__ = ["Breaker", "BreakerSnapshot", "BreakerState", "Permit", "StateName"]

_LONGEST = 500
"""Characters of an error's text that are stored."""


class Breaker:
    """A circuit breaker for one callee, shared by all calls to it.

    Ask :meth:`admit` before each call, and report the outcome to the permit. An error that does not
    match ``policy.on`` counts as a success: the callee answered. Rejections by our own policies,
    callers' deadlines and every kind of cancellation or exit do not count. Errors of the arguments
    do not count either where ``policy.on`` is the default. A group of exceptions is a failure if
    one of them is.

    Safe to share between any threads and event loops; nothing here blocks.

    A caller that reports each outcome exactly once, as the flow of a tool does, can do without the
    permit's object: :meth:`take_ticket` admits it as :meth:`admit` does, and
    :meth:`record_success`, :meth:`record_failure` or :meth:`record_nothing` takes the ticket back.

    Args:
        policy: When to open, for how long, and what counts as a failure.
        name: The callee's name, for errors and telemetry.
        clock: The source of time.
        on_change: Called with the breaker, the old and the new state after each change, outside
            of every lock. Its exceptions are dropped. None: no call.
        state: Where outcomes are counted. None: in this process.

    Attributes:
        needs_seconds: True if the policy looks for slow calls. If it is False, any duration may be
            reported, such as 0.0.

    Example:
        >>> breaker = Breaker(CircuitBreaker(window=2, open_for=30), "quotes")
        >>> for _ in range(2):
        ...     try:
        ...         with breaker.guard():
        ...             raise ConnectionError("refused")
        ...     except ConnectionError:
        ...         pass
        >>> breaker.state
        'open'
        >>> try:
        ...     breaker.admit()
        ... except CircuitOpen as error:
        ...     print(error.cause_type, error.cause)
        ConnectionError refused
    """

    def __init__(
        self,
        policy: CircuitBreaker,
        name: str,
        clock: Clock = SYSTEM_CLOCK,
        on_change: Callable[[Breaker, StateName, StateName], None] | None = None,
        state: BreakerState | None = None,
    ) -> None:
        self.policy = policy
        self.name = name
        self.clock = clock
        self._on_change = on_change
        self._slow_call = (
            float("inf")
            if policy.slow_call is None
            else check.seconds("slow_call", policy.slow_call)
        )
        self.needs_seconds = policy.slow_call is not None
        self._on_result = policy.on_result
        self._state: BreakerState
        self._tickets: LocalBreakerState | _NoTickets
        if state is None:
            self._state = self._tickets = LocalBreakerState(
                policy, name, clock, self._report_change
            )
        else:
            self._state, self._tickets = state, _NoTickets()
        self.local = self._state.local
        self._cause: tuple[str, str] | None = None  # of the last failure: its type and its text
        self._serial = itertools.count(1)
        self._rejections = self._before = 0  # rejected calls in all, and before the circuit opened

    def admit(self) -> Permit:
        """Return a permit for one call.

        Raises:
            CircuitOpen: The call must not be made. ``retry_after`` is the time until the circuit
                admits probes; it is None where that depends on probes under way, or on a caller
                that forced the circuit open. ``cause`` and ``cause_type`` describe the last failure
                that was counted.
        """
        return Permit(self, self.take_ticket())

    def take_ticket(self) -> int:
        """Admit one call, as :meth:`admit` does; return its ticket.

        Its outcome has to be recorded once.
        """
        ticket = self._tickets.common_ticket
        return self._ask() if ticket is None else ticket

    def record_success(self, ticket: int, seconds: float, result: Any = NOTHING) -> None:
        """Record that the call of a ticket returned; see :meth:`Permit.succeed`."""
        if self._on_result is None and seconds < self._slow_call:
            if ticket != self._tickets.steady_ticket:
                self._state.record(ticket, failed=False, slow=False)
            return
        failed = False
        if self._on_result is not None and result is not NOTHING:
            with suppress(Exception):  # a broken predicate must not cost the user a result
                failed = bool(self._on_result(result))
        self._state.record(ticket, failed, seconds >= self._slow_call)

    def record_failure(
        self, ticket: int, error: BaseException, seconds: float, outside: BaseException | None
    ) -> None:
        """Record that the call of a ticket raised an exception; see :meth:`Permit.fail`.

        Args:
            ticket: The ticket.
            error: The exception.
            seconds: The duration of the call.
            outside: The exception that the caller was handling when it made the call, which is
                ``sys.exception()`` before it; or None.
        """
        # That of asyncio is no Exception, and neither are GeneratorExit and KeyboardInterrupt.
        from concurrent.futures import CancelledError  # noqa: PLC0415 - on a failure, not at import

        ours = (Rejected, DeadlineExceeded, ConfigurationError, CancelledError)
        leaves = iter_leaves(error) if isinstance(error, BaseExceptionGroup) else (error,)
        if not isinstance(error, Exception) or all(isinstance(leaf, ours) for leaf in leaves):
            self.record_nothing(ticket)
            return
        failed = self._judge(error, outside)
        if failed:
            self._remember_cause(error)
        self._state.record(ticket, failed, failed is not None and seconds >= self._slow_call)

    def record_nothing(self, ticket: int) -> None:
        """Record that the call of a ticket was not made, or was given up by the caller."""
        self._state.record(ticket, None, slow=False)

    def guard(self) -> BreakerContext:
        """Return a context manager for one call, for ``with`` and ``async with``."""
        return BreakerContext(self)

    def force_open(self) -> None:
        """Admit no call, until :meth:`reset` or another force."""
        self._state.force("forced_open")

    def force_closed(self) -> None:
        """Admit every call and count none, until :meth:`reset` or another force."""
        self._state.force("forced_closed")

    def metrics_only(self) -> None:
        """Admit every call and count it, but never open, until :meth:`reset` or another force."""
        self._state.force("metrics_only")

    def reset(self) -> None:
        """Close the circuit, and forget all outcomes."""
        self._state.force("closed")

    @property
    def rejections(self) -> int:
        """Calls that were rejected since the circuit opened; approximate under many threads."""
        return self._rejections - self._before

    @property
    def cause_type(self) -> str | None:
        """Type name of the last failure that was counted, or None."""
        return None if self._cause is None else self._cause[0]

    @property
    def state(self) -> StateName:
        """The state; an open circuit turns half-open when the next call comes."""
        return self._state.snapshot().state

    def snapshot(self) -> BreakerSnapshot:
        """Return the current state and rates."""
        return self._state.snapshot()

    def _ask(self) -> int:
        """Ask the state for a ticket, and complete its rejection."""
        try:
            return self._state.admit()
        except CircuitOpen as error:
            self._rejections = next(self._serial)
            if self._cause is not None:
                error.cause_type, error.cause = self._cause
                error.args = (f"{error}; the last failure was {error.cause_type}",)
            raise

    def _judge(self, error: Exception, outside: BaseException | None) -> bool | None:
        """Return whether an error is a failure of the callee; None where it does not tell."""
        if self.policy.on is not callee_failed:
            return matches(self.policy.on, error, every=False)
        fault = fault_of(error, outside)
        return None if fault == "arguments" else fault == "callee"

    def _remember_cause(self, error: Exception) -> None:
        # Texts only, since the exception would keep the frames of its call alive.
        try:
            text = str(error)[:_LONGEST]
        except Exception:  # noqa: BLE001 - it is the user's
            text = ""
        self._cause = type(error).__name__, text

    def _report_change(self, old: StateName, new: StateName) -> None:
        if old != "half_open" and new in ("open", "forced_open"):
            self._before = self._rejections
        if self._on_change is not None:
            with suppress(Exception):
                self._on_change(self, old, new)


class Permit:
    """Permission for one call. Its first outcome counts, and later ones are ignored.

    An outcome does not count if the circuit has changed its state meanwhile. The permit of a probe
    without an outcome holds its place for ``open_for`` at most.
    """

    __slots__ = ("_breaker", "_outside", "_ticket")

    def __init__(self, breaker: Breaker, ticket: int) -> None:
        self._breaker = breaker
        self._ticket = ticket
        # An exception that the caller is handling becomes the context of the call's own.
        self._outside = sys.exception()

    def succeed(self, seconds: float, result: Any = NOTHING) -> None:
        """Report that the call returned.

        Args:
            seconds: The duration of the call.
            result: Its result, for ``policy.on_result``. Default: no result to judge.
        """
        ticket = self._pop_ticket()
        if ticket is not None:
            self._breaker.record_success(ticket, seconds, result)

    def fail(self, error: BaseException, seconds: float) -> None:
        """Report that the call raised an exception.

        Args:
            error: The exception.
            seconds: The duration of the call.
        """
        ticket = self._pop_ticket()
        if ticket is not None:
            self._breaker.record_failure(ticket, error, seconds, self._outside)

    def release(self) -> None:
        """Report that the call was not made, or was given up for reasons of the caller."""
        ticket = self._pop_ticket()
        if ticket is not None:
            self._breaker.record_nothing(ticket)

    def _pop_ticket(self) -> int | None:
        try:
            ticket = self._ticket
            del self._ticket  # of several threads here, one succeeds
        except AttributeError:
            return None
        return ticket


class _NoTickets:
    """The tickets of a state that was passed in, which has to be asked for each call."""

    common_ticket: int | None = None
    steady_ticket: int | None = None


class BreakerContext:
    """The context of one call, as ``with breaker.guard():`` or ``async with breaker.guard():``.

    It yields its permit, so that ``permit.succeed(seconds, result)`` can also report a result.
    """

    __slots__ = ("_breaker", "_permit", "_started")

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker

    def __enter__(self) -> Permit:
        self._permit = self._breaker.admit()
        self._started = self._breaker.clock.monotonic()
        return self._permit

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        took = self._breaker.clock.monotonic() - self._started
        if error is None:
            self._permit.succeed(took)
        else:
            self._permit.fail(error, took)

    async def __aenter__(self) -> Permit:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)
