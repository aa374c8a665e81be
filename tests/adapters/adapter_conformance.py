"""The list of tests that every adapter passes: ``class TestMine(AdapterConformance)`` runs it.

A subclass says only how its framework's object is made, guarded, called and read: see
:class:`~adapters.adapter_subject.Subject`. What a framework has no place for it names in ``lacks``,
each with the reason, and the tests of that are not collected.

Import it with ``from adapters.adapter_conformance import AdapterConformance``: pyproject.toml puts
``tests`` on the path.
"""

from __future__ import annotations

import copy
import logging
import pickle
from typing import Any, ClassVar

import cloudpickle
import pytest

pytest.register_assert_rewrite(
    "adapters.adapter_apart",
    "adapters.adapter_hooks",
    "adapters.adapter_policies",
    "adapters.adapter_sharing",
)

from adapters.adapter_apart import Apart  # noqa: E402 - its asserts are to be rewritten
from adapters.adapter_body import Body, Trouble  # noqa: E402 - as above
from adapters.adapter_hooks import Hooks  # noqa: E402 - as above
from adapters.adapter_policies import Policies  # noqa: E402 - as above
from adapters.adapter_sharing import Sharing  # noqa: E402 - as above
from adapters.adapter_subject import KEPT, needs, one_way  # noqa: E402 - as above
from broken_stages import CORE, TROUBLES, Broken, break_stage  # noqa: E402 - as above

from toolops_plugins import Cache, CallEvent, ConfigurationError  # noqa: E402 - as above

__all__ = ["CALLING", "KEPT", "AdapterConformance", "Body", "Sharing", "Trouble"]


CALLING = (
    "breaker",
    "bulkhead",
    "bypass_told",
    "cancelling",
    "coalescing",
    "deadline",
    "errors_told",
    "fallback",
    "once",
    "rate_limit",
    "refresh",
    "retry",
    "spans",
    "stale_if_error",
    "timeout",
)
"""Capabilities of an adapter that makes the call itself, which a mere cache does not have."""


class _Broken:
    """A sink that raises, whatever it is told."""

    def on_call(self, event: Any) -> None:
        raise RuntimeError("a broken sink")

    def on_notice(self, notice: Any) -> None:
        raise RuntimeError("a broken sink")


class AdapterConformance(Sharing, Policies, Apart, Hooks):
    """The whole list; here is what is told, and what the guarded object is."""

    # What is told --------------------------------------------------------------------------------

    async def test_each_call_is_told_once(self, way: str, body, ops, make_subject, events) -> None:
        guarded = make_subject(price=2.0)
        for text in ("x", "x", "y", "x"):
            await self.ask(way, guarded, text)
        assert self.outcomes(events) == ["miss", "hit", "miss", "hit"]
        assert {event.namespace for event in events} == {ops.namespace}
        assert {event.tier for event in events if event.outcome == "hit"} == {"L1"}
        total = ops.stats().total
        assert (total.hits, total.saved_price, total.spent) == (2, 4.0, 4.0)
        name = next(event.name for event in events if event.outcome == "hit")
        counted = ops.stats()[name]
        assert (counted.calls, counted.misses, counted.hits) == (4, 2, 2)

    @needs("errors_told")
    @one_way
    async def test_errors_are_told_by_their_type_alone(
        self, way: str, body, ops, make_subject, events
    ) -> None:
        guarded = make_subject()
        body.failures = 1
        body.complaint = "nobody but the caller hears this"
        with pytest.raises(Trouble, match=body.complaint):
            await self.ask(way, guarded, "x")
        assert self.outcomes(events) == ["error"]
        assert {event.error for event in events} == {"Trouble"}
        assert body.complaint not in repr(events)
        assert ops.stats().total.errors == 1

    @needs("thing", "bypass_told")
    @one_way
    async def test_a_call_past_the_cache_is_told(self, way: str, make_subject, events) -> None:
        await self.ask(way, make_subject(), "x", thing=object())
        (event,) = events
        assert (event.outcome, event.reason, event.key) == ("bypass", "not_canonical", None)

    @one_way
    async def test_a_sink_that_raises_harms_nobody(self, way: str, body, make_ops, events) -> None:
        ops = make_ops(sinks=[_Broken()])
        guarded = self.guard(self.original(body), ops, KEPT)
        for _ in range(2):
            assert await self.hear(way, guarded, "x") == body.of("x")
        assert body.runs == ["x"]
        assert self.outcomes(events) == ["miss", "hit"]
        assert ops.stats().total.hits == 1

    @one_way
    async def test_a_stage_that_raises_harms_nobody(
        self, way: str, body, make_ops, monkeypatch, caplog
    ) -> None:
        for number, stage in enumerate([*CORE, "tier"]):
            trouble = TROUBLES[number % len(TROUBLES)]
            tiers = [Broken(trouble, local=False)] if stage == "tier" else None
            ops = make_ops(tiers=tiers)
            body.runs.clear()
            caplog.clear()
            with (
                monkeypatch.context() as patched,
                caplog.at_level(logging.WARNING, "toolops_plugins"),
            ):
                if stage not in ("tier", "encoding"):  # before there is a plan that holds on to it
                    break_stage(patched, stage, trouble)
                guarded = self.guard(self.original(body), ops, KEPT)
                if stage == "encoding":  # types are registered by a codec that works
                    break_stage(patched, stage, trouble)
                for text in ("x", "x", "y"):
                    assert await self.hear(way, guarded, text) == body.of(text), stage
            assert set(body.runs) == {"x", "y"}, stage
            logged = [line for line in caplog.records if line.name.startswith("toolops_plugins")]
            # An immutable answer is given back as it is kept, by no stage of its own.
            assert logged or (stage == "decoding" and "decoding" in self.lacks), stage
            assert "a stage of ours" not in caplog.text

    @one_way
    async def test_a_runtime_that_is_not_active_does_nothing(
        self, way: str, body, ops, make_subject, events: list[CallEvent]
    ) -> None:
        guarded = make_subject()
        ops.active = False
        for _ in range(2):
            assert await self.hear(way, guarded, "x") == body.of("x")
        assert body.runs == ["x"] * 2
        assert events == []
        ops.active = True
        for _ in range(2):
            await self.ask(way, guarded, "x")
        assert body.runs == ["x"] * 3

    # What it is ----------------------------------------------------------------------------------

    @needs("original")
    @one_way
    async def test_the_original_is_left_as_it_is(self, way: str, body, ops, events) -> None:
        original = self.original(body)
        before = self.state(original)
        guarded = self.guard(original, ops, KEPT)
        for _ in range(2):
            await self.ask(way, guarded, "x")
        assert self.state(original) == before
        assert guarded is not original
        told = list(events)
        for _ in range(2):
            assert await self.hear(way, original, "x") == body.of("x")
        assert body.runs == ["x"] * 3
        assert events == told

    @needs("original")
    async def test_answers_are_of_the_type_that_the_original_gives(
        self, way: str, body, make_subject
    ) -> None:
        plain = await self.ask(way, self.original(body), "x")
        guarded = make_subject()
        for _ in range(2):
            assert self.shape(await self.ask(way, guarded, "x")) == self.shape(plain)

    @needs("original")
    def test_it_is_what_it_was(self, body, make_subject) -> None:
        guarded, original = make_subject(), self.original(body)
        assert isinstance(guarded, self.kind(original))
        assert body.runs == []  # guarding calls nothing

    def kind(self, original: Any) -> type:
        """Return what the guarded object must be an instance of."""
        return type(original)

    @needs("original")
    def test_it_is_copied_and_pickled_or_says_what_to_do(self, body, make_subject) -> None:
        guarded = make_subject()
        assert isinstance(copy.copy(guarded), type(guarded))
        for dumps in self.pickles:
            try:
                dumps(guarded)
            except (TypeError, AttributeError, pickle.PicklingError) as error:
                assert self.pickle_error in str(error)  # noqa: PT017 - it may be pickled as well

    pickle_error = "cannot be pickled: its runtime belongs to this process. Pickle the"
    """The message where it cannot be pickled."""
    pickles: ClassVar[tuple[Any, ...]] = (pickle.dumps, cloudpickle.dumps)
    """By what it is pickled, or that is said."""

    @needs("once")
    def test_guarding_twice_is_refused(self, ops, make_subject) -> None:
        with pytest.raises(ConfigurationError, match="already"):
            self.guard(make_subject(), ops, KEPT)

    def test_a_wrong_runtime_is_refused(self, body) -> None:
        for wrong in ("ops", 1, KEPT):
            with pytest.raises(ConfigurationError, match="ops: must be a ToolOps"):
                self.guard(self.original(body), wrong, KEPT)

    def test_a_wrong_policy_is_refused(self, body, ops) -> None:
        with pytest.raises(ConfigurationError, match=r"Policy\(cache=\.\.\.\)"):
            self.guard(self.original(body), ops, Cache(ttl=60.0))
        with pytest.raises(ConfigurationError, match="must be a Policy"):
            self.guard(self.original(body), ops, {"cache": Cache()})

    @needs("original")
    def test_what_is_no_such_object_is_refused(self, ops) -> None:
        for wrong in (None, "text", object()):
            with pytest.raises(ConfigurationError, match="must be"):
                self.guard(wrong, ops, KEPT)
