"""Conformance: every part of a policy does what it says, around whatever it stands."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from adapters.adapter_body import Trouble, all_of, reach_aboard
from adapters.adapter_subject import KEPT, Subject, needs, one_way
from callers import LONG, Notices

from toolops_plugins import (
    Bulkhead,
    BulkheadFull,
    Cache,
    CircuitBreaker,
    CircuitOpen,
    ConfigurationError,
    Policy,
    RateLimit,
    RateLimited,
    Retry,
    Timeout,
)
from toolops_plugins.errors import AttemptTimeout, TotalTimeout
from toolops_plugins.testing import FakeClock

BRITTLE = CircuitBreaker(window=2, min_calls=2, open_for=30.0, probes=1)
"""Opens at the second failure."""


class Policies(Subject):
    """Time, failures and limits."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def make_with_clock(self, make_ops, clock: FakeClock, body) -> Any:
        """Makes the guarded object in a runtime with a fake clock."""
        ops = make_ops(clock=clock)

        def make_with_clock(cache: Cache | None = KEPT.cache, **parts: Any) -> Any:
            return self.guard(self.original(body), ops, KEPT.replace(cache=cache, **parts))

        return make_with_clock

    # Time ----------------------------------------------------------------------------------------

    @one_way
    async def test_results_expire(self, way: str, body, make_with_clock, clock: FakeClock) -> None:
        guarded = make_with_clock()
        for passed, runs in ((0.0, 1), (50.0, 1), (20.0, 2), (1.0, 2)):
            clock.advance(passed)
            await self.ask(way, guarded, "x")
            assert len(body.runs) == runs

    @needs("refresh")
    async def test_stale_answers_are_served_while_a_new_one_comes(
        self, way: str, body, make_with_clock, clock: FakeClock, events
    ) -> None:
        guarded = make_with_clock(replace(KEPT.cache, stale_ttl=600.0))
        old = await self.hear(way, guarded, "x")
        clock.advance(100.0)
        body.word = "newer answer"
        assert await self.hear(way, guarded, "x") == old
        async with asyncio.timeout(LONG):
            while await self.hear(way, guarded, "x") == old:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0)
        assert await self.hear(way, guarded, "x") == body.of("x") != old
        assert body.runs == ["x", "x"]
        assert "stale" in self.outcomes(events)

    @needs("stale_if_error")
    async def test_a_stale_answer_stands_in_for_an_error(
        self, way: str, body, make_with_clock, clock: FakeClock, events
    ) -> None:
        guarded = make_with_clock(replace(KEPT.cache, stale_if_error=600.0))
        await self.ask(way, guarded, "x")
        clock.advance(100.0)
        body.failures = 2
        assert await self.hear(way, guarded, "x") == body.of("x")
        clock.advance(1_000.0)
        with pytest.raises(Trouble):
            await self.ask(way, guarded, "x")
        assert body.runs == ["x"] * 3
        assert self.outcomes(events) == ["miss", "stale", "error"]

    @needs("timeout")
    @pytest.mark.parametrize(
        ("limit", "error"),
        [(Timeout(attempt=0.02), AttemptTimeout), (Timeout(total=0.02), TotalTimeout)],
        ids=["attempt", "total"],
    )
    async def test_time_limits_end_a_call(
        self, way: str, body, make_subject, limit: Timeout, error: type[Exception]
    ) -> None:
        guarded = make_subject(timeout=limit)
        body.hold()
        with pytest.raises(error):
            await self.ask(way, guarded, "x")
        body.release.open()  # on a busy machine it may not even have begun
        assert body.runs in ([], ["x"])

    @needs("timeout", "async", "cancelling")
    async def test_a_body_that_resists_cancellation_holds_nobody_up(
        self, body, make_subject
    ) -> None:
        guarded = make_subject(timeout=Timeout(total=0.05))
        body.hold()
        body.resists = True
        before = asyncio.all_tasks()
        with pytest.raises(TotalTimeout):
            await self.ask("async", guarded, "x")
        assert not body.release.is_open()
        body.release.open()
        async with asyncio.timeout(LONG):
            while asyncio.all_tasks() - before:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0)

    # Failures ------------------------------------------------------------------------------------

    @needs("retry")
    async def test_failures_are_tried_again(self, way: str, body, make_subject, events) -> None:
        guarded = make_subject(retry=Retry(attempts=3, wait=0.0))
        body.failures = 2
        assert await self.hear(way, guarded, "x") == body.of("x")
        assert body.runs == ["x"] * 3
        assert self.outcomes(events) == ["miss"]
        assert max(event.attempts for event in events) == 3

    @needs("retry")
    @one_way
    async def test_the_last_error_is_the_callers(self, way: str, body, make_ops, events) -> None:
        ops = make_ops(retry_budget=None)
        guarded = self.guard(
            self.original(body), ops, KEPT.replace(retry=Retry(attempts=3, wait=0.0))
        )
        body.failures = 4
        with pytest.raises(Trouble):
            await self.ask(way, guarded, "x")
        assert body.runs == ["x"] * 3
        assert self.outcomes(events) == ["error"]
        assert await self.hear(way, guarded, "x") == body.of("x")

    @needs("breaker")
    @one_way
    async def test_an_open_breaker_rejects_without_a_call(
        self, way: str, body, make_with_clock, clock: FakeClock, events
    ) -> None:
        guarded = make_with_clock(breaker=BRITTLE)
        body.failures = 2
        for _ in range(2):
            with pytest.raises(Trouble):
                await self.ask(way, guarded, "x")
        for _ in range(2):
            with pytest.raises(CircuitOpen) as caught:
                await self.ask(way, guarded, "x")
            assert caught.value.retry_after == 30.0
        assert body.runs == ["x"] * 2
        clock.advance(31.0)
        assert await self.hear(way, guarded, "x") == body.of("x")
        assert await self.hear(way, guarded, "y") == body.of("y")
        assert self.outcomes(events) == ["error"] * 2 + ["rejected"] * 2 + ["miss"] * 2

    @needs("breaker", "retry", "arguments")
    @pytest.mark.parametrize("kind", [ValueError, TypeError, KeyError])
    @one_way
    async def test_bad_arguments_are_no_failures_of_what_is_called(
        self, way: str, body, make_subject, kind: type[Exception]
    ) -> None:
        guarded = make_subject(breaker=BRITTLE, retry=Retry(attempts=3, wait=0.0))
        body.kind = kind
        for number in range(4):
            body.failures = 1
            with pytest.raises(kind):
                await self.ask(way, guarded, f"invented {number}")
        assert len(body.runs) == 4
        assert await self.hear(way, guarded, "x") == body.of("x")

    @needs("breaker", "retry")
    @one_way
    async def test_retries_go_through_the_breaker(self, way: str, body, make_ops) -> None:
        ops = make_ops(retry_budget=None)
        policy = KEPT.replace(breaker=BRITTLE, retry=Retry(attempts=6, wait=0.0))
        guarded = self.guard(self.original(body), ops, policy)
        body.failures = 6
        with pytest.raises((Trouble, CircuitOpen)):
            await self.ask(way, guarded, "x")
        assert body.runs == ["x"] * 2

    @needs("breaker")
    @one_way
    async def test_hits_pass_an_open_breaker(self, way: str, body, make_subject) -> None:
        guarded = make_subject(breaker=BRITTLE)
        await self.ask(way, guarded, "x")
        body.failures = 9
        for text in ("y", "z", "y", "z"):
            with pytest.raises((Trouble, CircuitOpen)):
                await self.ask(way, guarded, text)
        assert await self.hear(way, guarded, "x") == body.of("x")

    @needs("fallback")
    async def test_a_fallback_answers_and_is_not_kept(
        self, way: str, body, make_subject, events
    ) -> None:
        guarded = make_subject(fallback=self.fallback())
        body.failures = 1
        assert await self.hear(way, guarded, "x") == "instead"
        assert await self.hear(way, guarded, "x") == body.of("x")
        assert body.runs == ["x"] * 2
        assert self.outcomes(events) == ["fallback", "miss"]

    @needs("fallback")
    async def test_a_fallback_may_be_of_any_form(self, way: str, body, make_subject) -> None:
        def by_name(*, error: Exception, stale: Any) -> Any:
            return self.fallback()

        forms = self.fallbacks()
        made_of = [lambda: self.fallback(), lambda error: self.fallback(), by_name]
        for number, fallback in enumerate([*forms, *made_of, *(_always(f) for f in forms)]):
            guarded = make_subject(fallback=fallback)
            body.failures = 1
            assert await self.hear(way, guarded, f"x{number}") == "instead"

    @needs("fallback")
    @one_way
    async def test_a_fallback_that_could_not_stand_in_is_refused(
        self, way: str, body, make_subject
    ) -> None:
        for wrong in (ValueError, iter([self.fallback()]), lambda a, b, c, d: None):
            with pytest.raises(ConfigurationError, match="fallback: "):
                # Some are put together when they are first called.
                await self.ask(way, make_subject(fallback=wrong), "x")
        assert body.runs == []

    @needs("fallback", "own_fallback")
    async def test_a_fallback_that_is_no_answer_is_an_error(
        self, way: str, body, make_subject
    ) -> None:
        guarded = make_subject(fallback=dict)
        body.failures = 1
        with pytest.raises(ConfigurationError, match="fallback: must be a text.*not dict"):
            await self.ask(way, guarded, "x")
        assert body.runs == ["x"]

    def fallbacks(self) -> list[Any]:
        """Return values, of every type that may stand for an answer, that say "instead"."""
        return [self.fallback()]

    def fallback(self) -> Any:
        """Return a fallback whose answer says "instead"."""
        return "instead"

    # Limits --------------------------------------------------------------------------------------

    @needs("rate_limit")
    @one_way
    async def test_a_rate_limit_holds_and_hits_are_free(
        self, way: str, body, make_subject, events
    ) -> None:
        guarded = make_subject(rate_limit=RateLimit("2/h", wait=0))
        for text in ("x", "x", "y", "y"):
            assert await self.hear(way, guarded, text) == body.of(text)
        with pytest.raises(RateLimited):
            await self.ask(way, guarded, "z")
        assert body.runs == ["x", "y"]
        assert self.outcomes(events) == ["miss", "hit", "miss", "hit", "rejected"]

    @needs("bulkhead")
    @one_way
    async def test_a_bulkhead_bounds_what_runs_at_once(
        self, way: str, body, ops, make_subject
    ) -> None:
        guarded = make_subject(bulkhead=Bulkhead(1))
        body.hold()
        first = self.begin(way, guarded, "x")
        await body.started.opened()
        with pytest.raises(BulkheadFull):
            await self.ask(way, guarded, "y")
        body.release.open()
        assert self.text_of(*await all_of([first])) == body.of("x")
        await reach_aboard(ops, 0)
        assert await self.hear(way, guarded, "y") == body.of("y")
        assert body.runs == ["x", "y"]

    # Names ---------------------------------------------------------------------------------------

    @one_way
    async def test_tags_invalidate(self, way: str, body, ops, make_subject) -> None:
        guarded = make_subject(tags=("group",))
        for _ in range(2):
            await self.ask(way, guarded, "x")
        await ops.ainvalidate(tags=["other"])
        await self.ask(way, guarded, "x")
        assert body.runs == ["x"]
        await ops.ainvalidate(tags=["group"])
        await self.ask(way, guarded, "x")
        assert body.runs == ["x"] * 2

    @one_way
    async def test_versions_are_apart(self, way: str, body, make_subject) -> None:
        for version in ("1", "2", "1"):
            guarded = make_subject(cache=replace(KEPT.cache, version=version))
            await self.ask(way, guarded, "x")
        assert body.runs == ["x"] * 2

    @needs("thing")
    @one_way
    async def test_an_argument_counts(self, way: str, body, make_subject) -> None:
        guarded = make_subject()
        for thing in (1, "1", [1], 1, "1", [1]):
            await self.ask(way, guarded, "x", thing=thing)
        assert body.runs == ["x"] * 3

    @needs("thing")
    @one_way
    async def test_what_has_no_canonical_form_goes_past_the_cache_with_a_warning(
        self, way: str, body, make_subject, notices: Notices
    ) -> None:
        guarded = make_subject()
        for _ in range(2):
            answer = await self.ask(way, guarded, "x", thing=object())
            assert self.text_of(answer) == body.of("x")
        assert body.runs == ["x"] * 2
        assert len(notices.reasons) == 1  # once, and not at every call

    @needs("refused")
    def test_what_it_has_no_place_for_is_refused(self, refusal: Policy, body, make_ops) -> None:
        part = next(name for name in vars(refusal) if vars(refusal)[name] != vars(KEPT)[name])
        with pytest.raises(ConfigurationError, match=part):
            self.guard(self.original(body), make_ops(), refusal)


def _always(value: Any) -> Any:
    return lambda error: value
