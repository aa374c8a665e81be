"""The present state of a runtime's parts, for exporters: breakers, tiers, the index, sinks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = [
    "BreakerReport",
    "LimitReport",
    "RuntimeState",
    "StateSource",
    "TierState",
    "list_breakers",
    "list_bulkheads",
    "list_limits",
    "list_tiers",
]


@dataclass(frozen=True, slots=True)
class BreakerReport:
    """The present state of a circuit breaker.

    Args:
        name: Its name.
        state: "closed", "open", "half_open", "forced_open", "forced_closed" or "metrics_only".
        since: Seconds since the epoch at which it came into this state, as far as is known.
        error: The type name of the last failure, or "".
        rejected: Calls that were rejected since it opened.
    """

    name: str
    state: str
    since: float = 0.0
    error: str = ""
    rejected: int = 0

    @property
    def rejects(self) -> bool:
        """True if it rejects calls: it is open, or half open and lets only some through."""
        return self.state in ("open", "half_open", "forced_open")


@dataclass(frozen=True, slots=True)
class LimitReport:
    """The present state of a rate limit or a bulkhead.

    Args:
        name: Its name.
        used: Calls that hold a place or a unit now.
        limit: Places or units in all; 0 if unknown.
        waiting: Calls that wait for one.
        seconds: Seconds until the next one is expected to be free.
    """

    name: str
    used: float = 0.0
    limit: float = 0.0
    waiting: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class TierState:
    """The present state of a cache tier; None where this process does not know.

    Args:
        label: Its label.
        up: Whether its last operation succeeded.
        items: Its entries.
        bytes: Their size.
        evictions: Entries that were dropped for want of room.
        max_items: The maximum number of entries.
        max_bytes: The maximum size.
    """

    label: str
    up: bool = True
    items: int | None = None
    bytes: int | None = None
    evictions: int | None = None
    max_items: int | None = None
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class RuntimeState:
    """The present state of a runtime's parts.

    Args:
        namespace: The runtime's namespace.
        breakers: Its circuit breakers.
        tiers: Its cache tiers, nearest first.
        index: Facts about its semantic index, such as "entries", by name; empty without one.
        dropped: Events that sinks failed to take, by the sink's name.
        limits: Its rate limits.
        bulkheads: Its bulkheads.
    """

    namespace: str
    breakers: tuple[BreakerReport, ...] = ()
    tiers: tuple[TierState, ...] = ()
    index: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    limits: tuple[LimitReport, ...] = ()
    bulkheads: tuple[LimitReport, ...] = ()


StateSource: TypeAlias = Callable[[], RuntimeState | None]
"""Returns the present state of a runtime, or None if the runtime is gone."""


def list_breakers(breakers: Mapping[str, Any]) -> tuple[BreakerReport, ...]:
    """Return the states of circuit breakers by name."""
    return tuple(
        BreakerReport(
            name, breaker.state, error=breaker.cause_type or "", rejected=breaker.rejections
        )
        for name, breaker in breakers.items()
    )


def list_tiers(tiers: Iterable[Any], failing: Iterable[str]) -> tuple[TierState, ...]:
    """Return the states of tiers. Only memory tiers know their size without any I/O.

    Args:
        tiers: The tiers.
        failing: Labels of those whose last operation failed.
    """
    down = set(failing)
    return tuple(
        TierState(
            tier.label,
            tier.label not in down,
            len(tier),
            tier.nbytes,
            tier.evictions,
            tier.max_items,
            tier.max_bytes,
        )
        if tier.local and hasattr(tier, "nbytes")
        else TierState(tier.label, tier.label not in down)
        for tier in tiers
    )


def list_limits(limiters: Mapping[str, Any]) -> tuple[LimitReport, ...]:
    """Return the states of rate limits by name; one that a server counts has no figures."""
    found: list[LimitReport] = []
    for name, limiter in limiters.items():
        used, seconds = limiter.usage() or (0.0, 0.0)
        found.append(LimitReport(name, used, limiter.policy.count, 0, seconds))
    return tuple(found)


def list_bulkheads(gates: Mapping[str, Any]) -> tuple[LimitReport, ...]:
    """Return the states of bulkheads by name."""
    return tuple(
        LimitReport(name, gate.occupancy, gate.policy.limit, gate.queue_length)
        for name, gate in gates.items()
    )
