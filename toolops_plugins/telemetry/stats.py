"""Counts, savings and latencies of every tool, exact under threads and bounded in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from toolops_plugins import check
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.quantiles import Quantiles
from toolops_plugins.telemetry.events import OUTCOMES, CallEvent, Outcome

if TYPE_CHECKING:
    from toolops_plugins.telemetry.ledger.tally import Tally
    from toolops_plugins.telemetry.report import StatsSnapshot, ToolReport

__all__ = ["BATCH", "OTHER", "Stats", "ToolStats"]

OTHER = "(other)"
"""The name under which the tools past the limit are counted together."""

Sketches: TypeAlias = dict[str, Quantiles]

_Call: TypeAlias = tuple[
    Outcome, float, int, float, float, float, str | None, bool, str | None, CallEvent | None
]
"""The arguments of :meth:`ToolStats.count`."""

_NONE: Mapping[str, int] = MappingProxyType({})
_REASONS = 50
"""Reasons of one tool that are told apart; there are fewer, but anybody may tell of a call."""

BATCH: Final = 32
"""Calls that may wait to be counted. It bounds their memory and the pause of counting them."""


class ToolStats:
    """The numbers of one tool; made by :meth:`Stats.recorder` and valid for the runtime's life.

    A call is recorded by appending a tuple to a list, which is atomic, and every 32 calls are
    counted in one go under a lock. So a call pays for a fraction of the lock, and no count is ever
    lost: the counted part is deleted from the front of the same list, since swapping the list could
    miss a call that another thread is just appending. Safe to use from any threads and event loops.

    Args:
        name: The tool's name.
        local_tier: Label under which :meth:`hit` counts.
        tally: Sums the same calls for a ledger. None: there is none. Default None.
        on_call: Called when calls are counted, if there is a ledger. Default None.

    Attributes:
        hits: The hits that wait to be counted, as the arguments of :meth:`hit`. The hot path
            appends to it instead of calling that method, and when it holds ``BATCH`` calls
            :meth:`count_pending`.
    """

    __slots__ = (
        "__weakref__",
        "_asked",
        "_attempts",
        "_calls",
        "_counting",
        "_counts",
        "_local_tier",
        "_lock",
        "_near_hits",
        "_on_call",
        "_reasons",
        "_saved_price",
        "_saved_seconds",
        "_sketches",
        "_spent",
        "_tiers",
        "bypasses",
        "hits",
        "name",
        "tally",
    )

    def __init__(
        self,
        name: str,
        local_tier: str,
        tally: Tally | None = None,
        on_call: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.tally = tally
        self._on_call = on_call
        self._local_tier = local_tier
        # Reentrant, with a flag: a signal handler or a finalizer may call a tool while its thread
        # is counting. It must neither deadlock nor count in the middle of a sum.
        self._lock = fork_safe(self, threading.RLock())
        self._counting = False
        self.hits: list[tuple[float, float, float]] = []
        self._calls: list[_Call] = []
        self.bypasses: list[float] = []
        """Latencies of pending calls without key and price that succeeded at once. Whoever appends
        the last of ``BATCH`` calls :meth:`count_pending`; a method would double the time."""
        self._zero()

    def reset_after_fork(self) -> None:
        """Count again in a forked child; another thread of the parent may just have counted.

        The parent writes what it has counted to its ledger itself.
        """
        self._counting = False
        if self.tally is not None:
            self._count_now()
            self.tally.clear()

    def hit(self, latency: float, saved_seconds: float = 0.0, saved_price: float = 0.0) -> None:
        """Record a fresh hit in the local tier, without an event.

        Args:
            latency: Seconds that the caller waited.
            saved_seconds: Seconds that the caller was spared.
            saved_price: Money that was not spent again.
        """
        hits = self.hits
        hits.append((latency, saved_seconds, saved_price))
        if len(hits) >= BATCH:
            self.count_pending()

    def count(
        self,
        outcome: Outcome,
        latency: float,
        attempts: int = 0,
        spent: float = 0.0,
        saved_latency: float = 0.0,
        saved_price: float = 0.0,
        tier: str | None = None,
        asked_cache: bool = False,  # noqa: FBT001, FBT002 - by position it is a third cheaper
        reason: str | None = None,
        event: CallEvent | None = None,
    ) -> None:
        """Record a call with any outcome, or a refresh, without an event.

        It takes half a microsecond, its share of the counting included, when the arguments are
        given by position. They are those of a :class:`CallEvent`, and are not checked.

        Args:
            outcome: How the call ended.
            latency: Seconds that the caller waited; for a refresh, that the function took.
            attempts: How often the function was started for this call. Default 0.
            spent: Money that this call spent. Default 0.
            saved_latency: Seconds that the caller was spared. Default 0.
            saved_price: Money that was not spent again. Default 0.
            tier: Label of the tier that answered a hit. Default None: the local tier.
            asked_cache: Whether the answer might have come from the cache or a shared flight: the
                call has a key, and is neither a bypass nor a refresh. Default False.
            reason: The reason for no key, lookup or store, or for a rejection. Default None.
            event: The event of the call, for a ledger. Default None.
        """
        calls = self._calls
        calls.append(
            (
                outcome,
                latency,
                attempts,
                spent,
                saved_latency,
                saved_price,
                tier,
                asked_cache,
                reason,
                event,
            )
        )
        if self._on_call is not None:
            self._on_call()
        if len(calls) >= BATCH:
            self.count_pending()

    def record(self, event: CallEvent) -> None:
        """Record the call of an event."""
        self.count(
            event.outcome,
            event.latency,
            event.attempts,
            event.price,
            event.saved_latency,
            event.saved_price,
            event.tier,
            event.asked_cache,
            event.reason,
            event if self.tally is not None else None,
        )

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self.count_pending()
            self._zero()

    def report(self, sketches: Sketches) -> ToolReport:
        """Return the numbers up to now.

        Args:
            sketches: Latencies of other tools, to which this tool's are added.
        """
        from toolops_plugins.telemetry.report import ToolReport, latencies_of  # noqa: PLC0415 - for reports only

        with self._lock:
            self.count_pending()
            _merge(sketches, self._sketches)
            counts = self._counts
            return ToolReport(
                self.name,
                tiers=tuple(sorted(self._tiers.items())),
                stale=counts["stale"],
                coalesced=counts["coalesced"],
                misses=counts["miss"],
                fallbacks=counts["fallback"],
                rejected=counts["rejected"],
                errors=counts["error"],
                bypassed=counts["bypass"],
                refreshes=counts["refresh"],
                asked=self._asked,
                attempts=self._attempts,
                saved_seconds=self._saved_seconds,
                saved_price=self._saved_price,
                spent=self._spent,
                reasons=dict(sorted(self._reasons.items())),
                **latencies_of(self._sketches),
            )

    def pop_records(self) -> list[tuple[str, str, str, dict[str, dict[str, Any]]]]:
        """Return the sums for the ledger since the last time; see :meth:`Tally.pop_records`."""
        with self._lock:
            self._count_now()
            return [] if self.tally is None else self.tally.pop_records()

    def count_check(self, right: bool) -> None:  # noqa: FBT001 - its only argument
        """Count for the ledger a stored answer that was compared with the function's own.

        Args:
            right: Whether they agree.
        """
        if self.tally is not None:
            with self._lock:
                self.tally.add_check(right=right)
            self.wake()

    def wake(self) -> None:
        """Let the ledger know that calls are coming, if there is one."""
        if self._on_call is not None:
            self._on_call()

    def near_hits(self) -> int:
        """Return roughly how many hits this process has answered from its own memory."""
        return self._near_hits + len(self.hits)

    def _zero(self) -> None:
        self._counts: dict[Outcome, int] = dict.fromkeys(OUTCOMES, 0)
        self._tiers: dict[str, int] = {}
        self._reasons: dict[str, int] = {}
        # By "hit", "miss" and "other", each made on first use, since most tools need not all.
        self._sketches: Sketches = {}
        self._near_hits = 0
        self._asked = 0
        self._attempts = 0
        self._saved_seconds = 0.0
        self._saved_price = 0.0
        self._spent = 0.0

    def count_pending(self) -> None:
        """Count the pending calls of this moment; later ones wait for the next batch."""
        # Reading must not start the thread of a ledger again that has been closed.
        pending = bool(self.hits or self.bypasses or self._calls)
        self._count_now()
        if pending and self._on_call is not None:
            self._on_call()

    def _count_now(self) -> None:
        with self._lock:
            if self._counting:
                return
            self._counting = True
            try:
                self._count_batch()
            finally:
                self._counting = False

    def _count_batch(self) -> None:
        hits = self.hits[:]
        if hits:
            latencies, seconds, prices = zip(*hits, strict=True)
            saved_seconds, saved_price = sum(seconds), sum(prices)
            del self.hits[: len(hits)]
            self._near_hits += len(hits)
            self._asked += len(hits)
            self._saved_seconds += saved_seconds
            self._saved_price += saved_price
            self._add_hits(self._local_tier, len(hits))
            self._sketch("hit").add_all(latencies)
            if self.tally is not None:
                self.tally.add_hits(self._local_tier, latencies, saved_seconds, saved_price)
        waited = self.bypasses[:]
        if waited:
            del self.bypasses[: len(waited)]
            self._counts["bypass"] += len(waited)
            self._attempts += len(waited)
            self._add_reasons({"no_cache": len(waited)})
            self._sketch("other").add_all(waited)
            if self.tally is not None:
                self.tally.add_bypasses(waited)
        if self._calls:
            self._count_calls()

    def _count_calls(self) -> None:
        counts, local_tier, tally = self._counts, self._local_tier, self.tally
        latencies: dict[str, list[float]] = {"hit": [], "miss": [], "other": []}
        reasons: dict[str, int] = {}
        done = asked = attempts = 0
        spent = saved_seconds = saved_price = 0.0
        try:
            # The sums are local variables, which takes a fifth of the time off the loop.
            for (
                outcome, latency, tries, cost, seconds, price, tier, asks, why, event
            ) in self._calls[:]:  # fmt: skip
                done += 1
                if tally is not None:
                    tally.add_call(
                        outcome, latency, tries, cost, seconds, price, tier or local_tier, asks,
                        event,
                    )  # fmt: skip
                attempts += tries
                spent += cost
                saved_seconds += seconds
                saved_price += price
                asked += asks
                if why:
                    reasons[why] = reasons.get(why, 0) + 1
                if outcome == "hit":
                    self._add_hits(tier or local_tier, 1)
                    latencies["hit"].append(latency)
                    continue
                counts[outcome] += 1
                if outcome != "refresh":
                    latencies["miss" if outcome == "miss" else "other"].append(latency)
        finally:
            # An event of a user's may hold anything: what was counted before it stays counted.
            del self._calls[:done]
            self._asked += asked
            self._attempts += attempts
            self._spent += spent
            self._saved_seconds += saved_seconds
            self._saved_price += saved_price
            self._add_reasons(reasons)
            for group, seconds_waited in latencies.items():
                if seconds_waited:
                    self._sketch(group).add_all(seconds_waited)

    def _add_hits(self, tier: str, count: int) -> None:
        self._tiers[tier] = self._tiers.get(tier, 0) + count

    def _add_reasons(self, reasons: Mapping[str, int]) -> None:
        for reason, count in reasons.items():
            name = reason if reason in self._reasons or len(self._reasons) < _REASONS else OTHER
            self._reasons[name] = self._reasons.get(name, 0) + count

    def _sketch(self, group: str) -> Quantiles:
        sketch = self._sketches.get(group)
        if sketch is None:
            sketch = self._sketches[group] = Quantiles()
        return sketch


class Stats:
    """The numbers of all tools of a runtime. Safe to use from any threads and event loops.

    Args:
        max_tools: Tools that are told apart; later ones are counted together under "(other)".
            Default 1,000.
        local_tier: Label of the tier whose hits are recorded by :meth:`ToolStats.hit`.
            Default "L1".

    Raises:
        ConfigurationError: ``max_tools`` is no whole number of 1 or more.
    """

    def __init__(self, *, max_tools: int = 1_000, local_tier: str = "L1") -> None:
        self._max_tools = check.count("max_tools", max_tools)
        self._local_tier = local_tier
        self._lock = fork_safe(self, threading.RLock())
        self._recorders: dict[str, ToolStats] = {}
        self._on_call: Callable[[], None] | None = None
        self._other = self._make(OTHER)

    def tally(self, on_call: Callable[[], None]) -> None:
        """Sum the calls for a ledger, too; before any recorder is made.

        Args:
            on_call: Called when calls are counted; it must be quick, and raise nothing.
        """
        self._on_call = on_call
        self._other = self._make(OTHER)

    def _make(self, name: str) -> ToolStats:
        if self._on_call is None:
            return ToolStats(name, self._local_tier)
        from toolops_plugins.telemetry.ledger.tally import Tally  # noqa: PLC0415 - with a ledger only

        return ToolStats(name, self._local_tier, Tally(), self._on_call)

    def recorder(self, name: str) -> ToolStats:
        """Return the recorder of a tool's calls; the same for the same name, to be kept."""
        found = self._recorders.get(name)
        if found is not None:
            return found
        with self._lock:
            if name not in self._recorders:
                if len(self._recorders) >= self._max_tools:
                    return self._other
                self._recorders[name] = self._make(name)
            return self._recorders[name]

    def snapshot(self, notices: Mapping[str, int] = _NONE) -> StatsSnapshot:
        """Return the numbers up to now.

        Those of one tool belong to one moment; tools are read one after the other, and the total is
        their sum. Takes some tenths of a millisecond for each tool.

        Args:
            notices: The notices up to now by their kind. Default none.
        """
        from toolops_plugins.telemetry.report import StatsSnapshot, total_of  # noqa: PLC0415 - as in report()

        sketches: Sketches = {}
        reports = [recorder.report(sketches) for recorder in self._all()]
        called = [report for report in reports if report.calls or report.refreshes]
        called.sort(key=lambda report: (-report.calls, report.name))
        return StatsSnapshot(tuple(called), total_of(called, sketches), dict(notices))

    def reset(self) -> None:
        """Start again at zero; recorders stay valid, and a ledger loses nothing."""
        for recorder in self._all():
            recorder.reset()

    def pop_records(self) -> dict[tuple[str, str, str, str], dict[str, dict[str, Any]]]:
        """Return the sums for the ledger since the last time.

        Returns:
            The sums by tool, kind, model and agent; see :meth:`Tally.pop_records`.
        """
        return {
            (recorder.name, kind, model, agent): record
            for recorder in self._all()
            for kind, model, agent, record in recorder.pop_records()
        }

    def _all(self) -> list[ToolStats]:
        with self._lock:
            return [*self._recorders.values(), self._other]


def _merge(into: Sketches, sketches: Sketches) -> None:
    for group, sketch in sketches.items():
        into.setdefault(group, Quantiles()).merge(sketch)
