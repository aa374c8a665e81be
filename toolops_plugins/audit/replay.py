"""The replay of a log through the real cache, to measure its savings.

The replay wraps a function that stands for the recorded call, and advances a fake clock by the
times in the log, so TTLs and evictions are those of the cache itself. It makes one call at a time.
The answer of a call is the time at which the work would have ended; an equal call before that time
would have joined the call and is counted as coalesced. Memory does not grow with the log.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import OrderedDict
from typing import Any, Final

import orjson

from toolops_plugins.audit.log_reader import (
    MISSING,
    Broken,
    Columns,
    Measure,
    Record,
    pick,
    seconds_of,
)
from toolops_plugins.audit.result import Assumed, Marked, Result, Wasted
from toolops_plugins.audit.sketches import Counted, Distinct, Frequent
from toolops_plugins.cache.entry import Tier
from toolops_plugins.cache.memory import Memory
from toolops_plugins.cache.redis import Redis
from toolops_plugins.errors import TierError
from toolops_plugins.fake_clock import FakeClock
from toolops_plugins.policy import Cache
from toolops_plugins.runtime import ToolOps
from toolops_plugins.telemetry.events import CallEvent, Notice

__all__ = ["OTHER", "Assumed", "Audit", "Marked", "Result", "Wasted"]

OTHER: Final = "(other)"
"""The common name of all tools beyond the limit."""

_LABEL = 200  # characters of a question in the report
_TOOLS = 1_000  # tools that are counted separately
_BURSTS = 10_000  # concurrent flights with followers, as in the runtime
_BROKEN = 10  # broken lines in the report

_UNIQUE = re.compile(
    r"(?P<timestamp>\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z\b|[+-]\d\d:?\d\d\b)?"
    r"|\b1[5-9]\d{8}(?:\.\d+|\d{3})?\b)"
    r"|(?P<uuid>\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b)"
    r"|(?P<id>\b(?:request|req|trace|span|session|run|correlation|message|msg)[ _-]?id\b"
    r"\W{1,5}(?=[\w-]*\d)[\w-]{6,})",
    re.IGNORECASE,
)


class Audit:
    """A replay of one log. Not thread-safe.

    Args:
        columns: The fields of the log.
        assumed: The assumptions.
        tracked: Number of questions that are counted individually; see
            :class:`~toolops_plugins.audit.sketches.Frequent`. Default 10,000.

    Raises:
        ConfigurationError: A value is invalid.
        TierError: Redis cannot be used.
    """

    def __init__(self, columns: Columns, assumed: Assumed, *, tracked: int = 10_000) -> None:
        self._columns = columns
        self._assumed = assumed
        self._clock = FakeClock(0.0)
        self.memory = Memory(assumed.max_items, clock=self._clock)
        self._redis = None if assumed.redis is None else Redis(assumed.redis)
        tiers: list[Tier] = [self.memory]
        if self._redis is not None:
            tiers.append(self._redis)
        # A namespace of its own: it meets no entry of the user, and can be cleared at the end.
        namespace = f"toolops-audit-{os.urandom(8).hex()}"
        self._ops = ToolOps(namespace, tiers, clock=self._clock, sinks=[self])
        if self._redis is not None:
            try:
                self._redis.write_check()
            except TierError:
                self._ops.close()
                raise
        ttl = assumed.ttl if columns.time else None
        # If the log has durations, the lifetime of each answer begins at its own end.
        self._ttl = ttl if columns.latency is not None else None
        cache = Cache(
            # The lifetime begins when the work ends, but the entry is stored when it begins.
            ttl=None if ttl is None or self._ttl is not None else ttl + assumed.latency,
            jitter=0,
            beta=0,
        )
        clock = self._clock
        self._latency = assumed.latency

        def work(tool: str | None, question: Any) -> float:  # noqa: ARG001 - they make the key
            return clock.time() + self._latency

        self._call = self._ops.tool(cache=cache, coalesce=False, name="audit")(work)
        self._event: CallEvent | None = None
        self._distinct = Distinct()
        self._frequent = Frequent(tracked)
        self._bursts: OrderedDict[str, float] = OrderedDict()
        self._result = Result(assumed, columns)

    def on_call(self, event: CallEvent) -> None:
        """Record the outcome of a call."""
        self._event = event

    def on_notice(self, notice: Notice) -> None:
        """Count failures of Redis."""
        if notice.kind == "tier_failed":
            self._result.trouble += 1

    def add(self, line: Record | Broken) -> None:
        """Replay one line."""
        if isinstance(line, Broken):
            self._break(line)
            return
        found = self._parse(line)
        if isinstance(found, Broken):
            self._break(found)
            return
        when, tool, question = found
        self._advance_to(when)
        result = self._result
        result.calls += 1
        answered = False
        price = self._amount_of(self._columns.cost, line.value, self._assumed.price)
        self._latency = self._amount_of(self._columns.latency, line.value, self._assumed.latency)
        if _is_empty(question):
            result.empty += 1
        else:
            if self._assumed.normalize:
                question = _normalize(question)
            answered = self._replay(line.number, tool, question, price)
        for sums, amount in ((result.spent, price), (result.took, self._latency)):
            sums[0] += amount
            sums[1] += 0.0 if answered else amount
        if tool is not None:
            known = tool in result.tools or len(result.tools) < _TOOLS
            counts = result.tools.setdefault(tool if known else OTHER, [0, 0])
            counts[0] += 1
            counts[1] += answered

    def _amount_of(self, measure: Measure | None, record: Any, otherwise: float) -> float:
        if measure is None:
            return otherwise
        amount = measure.of(record)
        if amount is None:
            self._result.unmeasured[measure.path] += 1
            return otherwise
        return amount

    def _break(self, line: Broken) -> None:
        self._result.broken += 1
        if len(self._result.broken_lines) < _BROKEN:
            self._result.broken_lines.append(line)

    def _parse(self, line: Record) -> tuple[float | None, str | None, Any] | Broken:
        """Return time, tool and question of a line."""
        columns = self._columns
        if not columns.fields:
            question = line.value
        else:
            values = {path: pick(line.value, path) for path in columns.fields}
            missing = [path for path, value in values.items() if value is MISSING]
            if missing:
                return Broken(line.number, f"has no field {missing[0]!r}")
            question = next(iter(values.values())) if len(values) == 1 else values
        when = tool = None
        if columns.tool is not None:
            named = pick(line.value, columns.tool)
            tool = None if named is MISSING or named is None else _text(named)
        if columns.time is not None:
            given = pick(line.value, columns.time)
            try:
                when = seconds_of(None if given is MISSING else given)
            except ValueError as error:
                return Broken(line.number, f"in {columns.time!r}: {error}")
        return when, tool, question

    def _advance_to(self, when: float | None) -> None:
        """Advance the clock to the time of a call; it never goes back."""
        if when is None:
            return
        gap = when - self._clock.time()
        if gap >= 0:
            self._clock.advance(gap)
        else:
            self._result.backwards += 1

    def _replay(self, number: int, tool: str | None, question: Any, price: float) -> bool:
        """Make a call; return whether it was a hit or joined another call."""
        result = self._result
        ends = self._call(tool, question)
        if self._ttl is not None and self._clock.time() >= ends + self._ttl:
            self._call.invalidate(tool, question)
            ends = self._call(tool, question)
        event = self._event
        if event is None or event.key is None:
            result.bypassed[(event and event.reason) or "no_key"] += 1
            return False
        # The digest is uniformly distributed, so any part of it can serve as a hash.
        self._distinct.add(int(event.key[:16], 16))
        text = _text(question)
        self._frequent.add(event.key, text[:_LABEL], price)
        if event.outcome != "hit":
            result.misses += 1
            self._mark(number, text)
            return False
        wait = ends - self._clock.time() if self._columns.time else 0.0
        if wait <= 0:
            result.hits[event.tier or ""] += 1
            return True
        result.coalesced += 1
        result.waited += wait
        self._join(event.key, ends)
        return True

    def _join(self, key: str, ends: float) -> None:
        bursts = self._bursts
        if bursts.get(key) == ends:
            return
        self._result.bursts += 1
        bursts[key] = ends
        bursts.move_to_end(key)
        now = self._clock.time()
        while bursts and (len(bursts) > _BURSTS or next(iter(bursts.values())) <= now):
            bursts.popitem(last=False)

    def _mark(self, number: int, text: str) -> None:
        """Record a time stamp, UUID or id in a question that makes the call unique."""
        match = _UNIQUE.search(text)
        if match is None:
            return
        kind = match.lastgroup or ""
        marked = self._result.marked.get(kind)
        if marked is None:
            marked = self._result.marked[kind] = Marked(0, number, match[0][:40])
        marked.calls += 1
        masked = _UNIQUE.sub("", text).encode("utf-8", "surrogatepass")
        marked.distinct.add(int.from_bytes(hashlib.blake2b(masked, digest_size=8).digest()))

    def result(self, top: int = 10, *, interrupted: bool = False) -> Result:
        """Return the counts so far.

        Args:
            top: Number of the most wasteful questions. Default 10.
            interrupted: Whether the log was not read to its end.
        """
        result = self._result
        result.interrupted = interrupted
        result.distinct, result.exact = self._distinct.count, self._distinct.exact
        result.evictions = self.memory.evictions
        result.wasted = [
            Wasted(
                value.label,
                value.least,
                value.error == 0,
                (value.least - 1) * self._price_of(value),
            )
            for value in self._frequent.top(top, least=2)
        ]
        return result

    def _price_of(self, value: Counted) -> float:
        if self._columns.cost is None:
            return self._assumed.price
        return value.amount / value.least

    def sizes(self) -> dict[str, int]:
        """Return the size of each structure that could grow with the log."""
        return {
            "memory": len(self.memory),
            "distinct": len(self._distinct),
            "frequent": len(self._frequent),
            "bursts": len(self._bursts),
            "tools": len(self._result.tools),
            "marked": sum(len(marked.distinct) for marked in self._result.marked.values()),
            "broken_lines": len(self._result.broken_lines),
        }

    def close(self) -> None:
        """Delete the entries of the replay from Redis, and release all resources."""
        try:
            if self._redis is not None:
                self._redis.clear()
        finally:
            self._ops.close()


def _is_empty(question: Any) -> bool:
    if isinstance(question, str):
        return not question or question.isspace()
    if isinstance(question, dict):
        return all(_is_empty(value) for value in question.values())
    return question is None or question == []


def _normalize(value: Any) -> Any:
    """Return a value with the case and white space of its texts normalised."""
    if isinstance(value, str):
        return " ".join(value.split()).casefold()
    if isinstance(value, dict):
        return {name: _normalize(inner) for name, inner in value.items()}
    return [_normalize(inner) for inner in value] if isinstance(value, list) else value


def _text(value: Any) -> str:
    """Return a value as text for the report."""
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # a number beyond 64 bits or a lone surrogate, in an array
        return repr(value)
