"""The path of a call in threads and on event loops, by a fake clock and prepared answers."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any, NamedTuple

import pytest

from toolops_plugins import (
    Bulkhead,
    BulkheadFull,
    Cache,
    CircuitBreaker,
    CircuitOpen,
    ConfigurationError,
    Hedge,
    Memory,
    Policy,
    RateLimit,
    RateLimited,
    Retry,
    Timeout,
    ToolOps,
    TotalTimeout,
)
from toolops_plugins.callables.target import resolve
from toolops_plugins.calls.aio import flow as aio_flow
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.sync import flow as sync_flow
from toolops_plugins.drivers.loop import LoopDriver
from toolops_plugins.drivers.thread import ThreadDriver
from toolops_plugins.errors import TierError
from toolops_plugins.testing import FakeClock


class Slow(NamedTuple):
    """An answer that takes its time."""

    seconds: float
    value: object


class Scripted:
    """What the drivers of these tests have in common: they note their steps."""

    steps: list[str]
    spawned: list[Any]

    def spawn(self, work, *args, **_):
        """Keep background work, for the test to run."""
        self.spawned.append((work, args))


class ScriptedThread(Scripted, ThreadDriver):
    """The driver of threads, with a list of its steps."""

    def within(self, *args, **options):
        self.steps.append("within")
        return super().within(*args, **options)

    def sleep(self, seconds):
        self.steps.append("sleep")
        super().sleep(seconds)

    def fly(self, *args, **options):
        self.steps.append("fly")
        return super().fly(*args, **options)

    def race(self, *args, **options):
        self.steps.append("race")
        return super().race(*args, **options)


class ScriptedLoop(Scripted, LoopDriver):
    """The driver of loops, with a list of its steps."""

    def within(self, *args, **options):
        self.steps.append("within")
        return super().within(*args, **options)

    async def sleep(self, seconds):
        self.steps.append("sleep")
        await super().sleep(seconds)

    async def fly(self, *args, **options):
        self.steps.append("fly")
        return await super().fly(*args, **options)

    async def race(self, *args, **options):
        self.steps.append("race")
        return await super().race(*args, **options)


class Bench:
    """A runtime with a fake clock, whose wrapped function gives the next answer of a list."""

    face = "sync"

    def __init__(self, *tiers, clock=None, **policy):
        self.clock = clock or FakeClock()
        self.events = []
        self.notices = []
        self.answers = []
        self.made = 0
        self.ops = ToolOps(
            "bench",
            [Memory(clock=self.clock), *tiers],
            clock=self.clock,
            sinks=[self],
        )
        self.policy = Policy(**policy)
        self.plan = self.ops._planner.plan(resolve(self._target()), self.policy)
        driver = ScriptedThread if self.face == "sync" else ScriptedLoop
        self.driver = driver(self.clock, self.ops._shared.flights, self.ops._pool)
        self.steps = self.driver.steps = []
        self.driver.spawned = []

    def _target(self):
        def question(text):
            self.steps.append("call")
            self.made += 1
            answer = self.answers.pop(0) if self.answers else f"answer {self.made}"
            if isinstance(answer, Slow):
                self.clock.advance(answer.seconds)
                answer = answer.value
            if isinstance(answer, BaseException):
                raise answer
            return answer() if inspect.isfunction(answer) else answer

        async def aquestion(text):
            return question(text)

        target = question if self.face == "sync" else aquestion
        target.__name__ = target.__qualname__ = "question"
        return target

    def on_call(self, event):
        self.events.append(event)

    def on_notice(self, notice):
        self.notices.append(notice)

    def ask(self, *args, answers=()):
        self.answers.extend(answers)
        flow = sync_flow if self.face == "sync" else aio_flow
        if self.plan.only_attempts:
            return self._end(flow.make_attempts_call(self.driver, self.plan)(*args))
        found = self.plan.open(args, {})
        return self._end(flow.run_call(self.driver, found)) if type(found) is Call else found

    def _end(self, result):
        """Return a result, which a loop may have to bring about."""
        return result if self.face == "sync" else asyncio.run(result)

    def run_spawned(self):
        """Run the background work that was started last."""
        work, args = self.driver.spawned.pop()
        self._end(work(self.driver, *args))

    @property
    def outcomes(self):
        return [event.outcome for event in self.events]


@pytest.fixture(autouse=True, params=["sync", "async"])
def face(request, monkeypatch):
    """Run each test for callers in threads and on event loops."""
    monkeypatch.setattr(Bench, "face", request.param)
    return request.param


def test_a_miss_runs_the_function_and_a_hit_does_not():
    bench = Bench(cache=Cache(ttl=60))
    assert [bench.ask("q"), bench.ask("q"), bench.ask("p")] == ["answer 1", "answer 1", "answer 2"]
    assert bench.outcomes == ["miss", "hit", "miss"]
    assert bench.steps == ["fly", "call", "fly", "call"]


def test_the_policies_apply_in_order():
    bench = Bench(
        cache=Cache(ttl=60),
        timeout=Timeout(attempt=1, total=9),
        retry=Retry(),
        breaker=CircuitBreaker(),
        rate_limit=RateLimit("1/s", burst=1),
        bulkhead=Bulkhead(1),
        hedge=Hedge(min_calls=1),
    )
    bench.ask("first", answers=[Slow(0.5, "slow")])
    bench.steps.clear()
    bench.ask("second", answers=[OSError(), "fine"])
    assert bench.steps == [
        "fly", "within", "race", "sleep", "call", "sleep", "race", "sleep", "call"
    ]  # fmt: skip
    assert bench.events[-1].attempts == 2


def test_a_result_expires():
    bench = Bench(cache=Cache(ttl=60, jitter=0))
    bench.ask("q")
    bench.clock.advance(59.9)
    assert bench.ask("q") == "answer 1"
    bench.clock.advance(0.2)
    assert bench.ask("q") == "answer 2"
    assert bench.outcomes == ["miss", "hit", "miss"]


def test_jitter_only_shortens():
    bench = Bench(cache=Cache(ttl=100, jitter=0.5))
    lives = set()
    for number in range(30):
        bench.ask(str(number))
        entry, _ = bench.ops._tiers.near(bytes.fromhex(bench.events[-1].key), ())
        lives.add(round(entry.fresh_until - bench.clock.monotonic(), 6))
    assert len(lives) > 10
    assert all(50 <= life <= 100 for life in lives)


def test_a_stale_result_is_served_at_once_and_refreshed_behind():
    bench = Bench(cache=Cache(ttl=60, stale_ttl=30, jitter=0))
    bench.ask("q")
    bench.clock.advance(70)
    assert bench.ask("q") == "answer 1"
    assert bench.outcomes == ["miss", "stale"]
    assert len(bench.driver.spawned) == 1
    bench.run_spawned()
    assert bench.outcomes == ["miss", "stale", "refresh"]
    assert bench.ask("q") == "answer 2"
    bench.clock.advance(91)
    assert bench.ask("q") == "answer 3"  # too old to be served at all


def test_a_refresh_that_fails_leaves_the_old_result():
    bench = Bench(cache=Cache(ttl=60, stale_ttl=30, jitter=0))
    bench.ask("q")
    bench.clock.advance(70)
    bench.ask("q")
    bench.answers.append(OSError("down"))
    bench.run_spawned()
    assert bench.ask("q") == "answer 1"
    assert [notice.kind for notice in bench.notices] == ["refresh_failed"]
    assert bench.notices[0].detail == "OSError"


def test_a_refresh_takes_what_another_process_has_fetched_meanwhile():
    clock = FakeClock()
    far = Memory(label="L2", clock=clock)
    one = _share(clock, far)
    one.ask("q")
    clock.advance(70)
    two = _share(clock, far)
    assert [one.ask("q"), two.ask("q")] == ["answer 1", "answer 1"]
    two.answers.append("newer")
    two.run_spawned()
    one.run_spawned()
    assert one.made == 1
    assert one.ask("q") == "newer"


def _share(clock, far):
    """Return a runtime, as of a process of its own, that shares its far tier with others."""
    return Bench(far, clock=clock, cache=Cache(ttl=60, stale_ttl=30, jitter=0))


def test_a_stale_result_stands_in_for_an_error():
    bench = Bench(cache=Cache(ttl=60, stale_if_error=600, jitter=0))
    bench.ask("q")
    bench.clock.advance(300)
    assert bench.ask("q", answers=[OSError("down")]) == "answer 1"
    assert bench.outcomes == ["miss", "stale"]
    assert bench.events[-1].error == "OSError"
    assert bench.events[-1].attempts == 1
    assert bench.ask("q", answers=["new"]) == "new"
    bench.clock.advance(661)
    with pytest.raises(OSError, match="down"):
        bench.ask("q", answers=[OSError("down")])


def test_a_hot_key_is_refreshed_ahead_of_its_expiry():
    bench = Bench(cache=Cache(ttl=100, jitter=0))
    bench.ask("q", answers=[Slow(5.0, "costly")])
    for _ in range(100):
        bench.clock.advance(0.01)
        assert bench.ask("q") == "costly"
    assert not bench.driver.spawned  # with 99 s to go the odds are e^-20
    bench.clock.advance(98.9)
    for _ in range(200):
        bench.clock.advance(0.0001)
        assert bench.ask("q") == "costly"
    assert bench.driver.spawned
    assert set(bench.outcomes[1:]) == {"hit"}


def test_early_refresh_can_be_switched_off():
    bench = Bench(cache=Cache(ttl=100, jitter=0, beta=0))
    bench.ask("q", answers=[Slow(5.0, "costly")])
    bench.clock.advance(94.99)
    for _ in range(100):
        bench.ask("q")
    assert not bench.driver.spawned


def test_chosen_exceptions_are_remembered_for_a_while():
    bench = Bench(cache=Cache(ttl=60, negative=LookupError, negative_ttl=5))
    for _ in range(3):
        with pytest.raises(KeyError, match="gone"):
            bench.ask("q", answers=[KeyError("gone")] if not bench.made else ())
    assert bench.made == 1
    assert bench.outcomes == ["error", "hit", "hit"]
    assert bench.events[-1].error == "KeyError"
    bench.clock.advance(5.1)
    assert bench.ask("q") == "answer 2"
    with pytest.raises(OSError, match="other"):
        bench.ask("p", answers=[OSError("other")])
    assert bench.ask("p") == "answer 4"


def test_an_exception_that_is_to_be_remembered_does_not_drive_out_a_stale_result():
    cache = Cache(ttl=60, stale_ttl=10, stale_if_error=600, negative=OSError, jitter=0)
    bench = Bench(cache=cache)
    bench.ask("q")
    bench.clock.advance(65)
    assert bench.ask("q") == "answer 1"
    bench.answers.append(OSError("down"))
    bench.run_spawned()
    bench.clock.advance(100)
    for _ in range(3):
        assert bench.ask("q", answers=[OSError("down")]) == "answer 1"


def test_a_remembered_exception_does_not_collect_tracebacks():
    bench = Bench(cache=Cache(ttl=60, negative=LookupError))
    lengths = []
    for number in range(5):
        with pytest.raises(KeyError) as caught:
            bench.ask("q", answers=() if number else [KeyError("gone")])
        lengths.append(len(caught.traceback))
    assert len(set(lengths[1:])) == 1


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}, ()])
def test_empty_values_are_values(value):
    bench = Bench(cache=Cache(ttl=60))
    assert bench.ask("q", answers=[value]) == value
    assert bench.ask("q") == value
    assert bench.made == 1


def test_a_result_that_is_not_wanted_is_not_kept():
    bench = Bench(cache=Cache(ttl=60, when=lambda answer: answer != "truncated"))
    assert bench.ask("q", answers=["truncated"]) == "truncated"
    assert bench.ask("q", answers=["whole"]) == "whole"
    assert bench.ask("q") == "whole"
    assert bench.events[0].reason == "not_wanted"


def test_a_result_that_cannot_be_encoded_is_returned_and_not_kept():
    bench = Bench(cache=Cache(ttl=60))
    marker = object()
    assert bench.ask("q", answers=[marker]) is marker
    assert bench.ask("q") == "answer 2"
    assert bench.events[0].reason == "not_encodable"
    assert [(n.kind, n.detail) for n in bench.notices] == [("not_encodable", "object")]


def test_an_argument_without_a_form_bypasses_the_cache_with_a_warning():
    bench = Bench(cache=Cache(ttl=60))
    bench.ask(object())
    bench.ask(object())
    assert bench.made == 2
    assert bench.outcomes == ["bypass", "bypass"]
    assert bench.events[0].reason == "not_canonical"
    assert [(n.kind, n.detail) for n in bench.notices] == [("bypass", "not_canonical")]


def test_a_broken_key_function_or_tag_bypasses_the_cache():
    def broken_tool(text):
        raise RuntimeError(text)

    for cache, reason in (
        (Cache(key=broken_tool), "key_failed"),
        (Cache(tags=broken_tool), "tags_failed"),
    ):
        bench = Bench(cache=cache)
        assert bench.ask("q") == "answer 1"
        assert bench.ask("q") == "answer 2"
        assert [event.reason for event in bench.events] == [reason, reason]


def test_retries_wait_and_give_the_functions_own_error_in_the_end():
    bench = Bench(retry=Retry(attempts=3, wait="constant", base=2, jitter=None))
    with pytest.raises(OSError, match="third"):
        bench.ask("q", answers=[OSError("first"), OSError("second"), OSError("third")])
    assert bench.clock.slept == [2, 2]
    assert bench.events[-1].attempts == 3
    assert bench.events[-1].retried


def test_every_attempt_asks_the_breaker():
    bench = Bench(
        retry=Retry(attempts=6, wait=0.0),
        breaker=CircuitBreaker(failure_rate=1.0, window=2, min_calls=2),
    )
    with pytest.raises(CircuitOpen):
        bench.ask("q", answers=[OSError()] * 6)
    assert bench.made == 2
    assert bench.events[-1].outcome == "rejected"
    assert bench.events[-1].reason == "circuit_open"
    with pytest.raises(CircuitOpen):
        bench.ask("q")
    assert bench.made == 2


def test_our_own_rejections_do_not_count_against_the_callee():
    bench = Bench(
        rate_limit=RateLimit("1/h", wait=0),
        breaker=CircuitBreaker(failure_rate=0.1, window=10, min_calls=1),
    )
    bench.ask("q")
    for _ in range(5):
        with pytest.raises(RateLimited):
            bench.ask("q")
    assert bench.ops.breakers.find(bench.plan.name).state == "closed"
    assert bench.events[-1].reason == "rate_limited"


def test_a_wait_for_a_turn_is_no_slowness_of_the_callee():
    bench = Bench(
        rate_limit=RateLimit("1/min", burst=1),
        breaker=CircuitBreaker(slow_call=5, slow_rate=0.1, min_calls=1),
    )
    for _ in range(3):
        bench.ask("q")
    assert sum(bench.clock.slept) == pytest.approx(120)
    assert bench.ops.breakers.find(bench.plan.name).state == "closed"
    bench.ask("q", answers=[Slow(6, "late")])
    assert bench.ops.breakers.find(bench.plan.name).state == "open"


def test_a_turn_that_was_not_used_goes_back():
    bench = Bench(rate_limit=RateLimit("2/h", wait=0), bulkhead=Bulkhead(1))
    bench.plan.gate.acquire(0)
    for _ in range(5):
        with pytest.raises(BulkheadFull):
            bench.ask("q")
    bench.plan.gate.release()
    assert [bench.ask("q"), bench.ask("q")] == ["answer 1", "answer 2"]


def test_every_attempt_takes_from_the_rate_limit():
    bench = Bench(retry=Retry(attempts=3, wait=0.0), rate_limit=RateLimit("1/min", burst=1))
    bench.ask("q", answers=[OSError(), "fine"])
    assert sum(bench.clock.slept) == pytest.approx(60)


def test_the_cost_of_a_call_may_hang_on_its_arguments():
    bench = Bench(rate_limit=RateLimit("100/min", cost=len, wait=0))
    bench.ask("x" * 60)
    with pytest.raises(RateLimited):
        bench.ask("x" * 60)
    assert bench.ask("x" * 40)


def test_a_fallback_value_replaces_the_error():
    bench = Bench(fallback=["sorry"])
    first = bench.ask("q", answers=[OSError("down")])
    first.append("changed")
    assert bench.ask("q", answers=[OSError("down")]) == ["sorry"]
    assert bench.outcomes == ["fallback", "fallback"]
    assert bench.events[0].error == "OSError"


def test_a_fallback_gets_error_arguments_and_the_stale_answer():
    seen = []

    def fallback(error, arguments, stale):
        seen.append((str(error), arguments, stale))
        return "instead"

    bench = Bench(cache=Cache(ttl=60, stale_if_error=0, jitter=0), fallback=fallback)
    assert bench.ask("q", answers=[OSError("down")]) == "instead"
    assert seen == [("down", {"text": "q"}, None)]


@pytest.mark.parametrize(
    ("fallback", "result"),
    [
        (lambda: "none", "none"),
        (lambda error: type(error).__name__, "OSError"),
        (lambda error, arguments: arguments["text"], "q"),
        (lambda *everything: len(everything), 3),
    ],
)
def test_a_fallback_takes_as_much_as_it_wants(fallback, result):
    assert Bench(fallback=fallback).ask("q", answers=[OSError()]) == result


def test_a_fallback_that_fails_raises_its_own_error():
    def fallback(error):
        raise LookupError("no way out") from error

    bench = Bench(fallback=fallback)
    with pytest.raises(LookupError, match="no way out"):
        bench.ask("q", answers=[OSError()])
    assert bench.outcomes == ["error"]


def test_a_remembered_exception_meets_the_same_fallback():
    bench = Bench(cache=Cache(ttl=60, negative=OSError), fallback="instead")
    assert bench.ask("q", answers=[OSError()]) == "instead"
    assert bench.ask("q") == "instead"
    assert bench.made == 1


def test_the_total_timeout_is_an_error_like_any_other():
    bench = Bench(timeout=Timeout(total=5), fallback="instead")
    assert bench.ask("q", answers=[TotalTimeout("late", seconds=5)]) == "instead"


def test_results_are_promoted_upward_and_written_through():
    clock = FakeClock()
    far = Memory(label="L2", clock=clock)
    one, two = _share(clock, far), _share(clock, far)
    one.ask("q")
    assert two.ask("q") == "answer 1"
    assert two.ask("q") == "answer 1"
    assert [(event.outcome, event.tier) for event in two.events] == [("hit", "L2"), ("hit", "L1")]


class Broken(Memory):
    """A tier that fails at everything, as one behind a network may."""

    def get(self, *_):
        raise TierError("unreachable")

    set = delete = invalidate = clear = get


def test_a_tier_that_fails_is_a_miss_and_a_notice():
    bench = Bench(Broken(label="L2"), cache=Cache(ttl=60))
    assert bench.ask("q") == "answer 1"
    assert bench.ask("q") == "answer 1"
    assert {(notice.kind, notice.name) for notice in bench.notices} == {("tier_failed", "L2")}
    with pytest.raises(TierError):
        bench.ops.invalidate(keys=[bench.events[0].key])
    assert bench.ask("q") == "answer 2"  # the others have been told


def test_a_call_may_be_kept_in_chosen_tiers_only():
    clock = FakeClock()
    far = Memory(label="L2", clock=clock)
    ops = ToolOps("bench", [Memory(clock=clock), far], clock=clock)
    tool = ops.tool(cache=Cache(ttl=60, tiers=["L2"]), name="only-far")(lambda text: text)
    tool("q")
    assert len(far) == 1
    assert len(ops._tiers.all[0]) == 0


def test_a_price_is_charged_for_every_attempt_and_saved_on_every_hit():
    bench = Bench(cache=Cache(ttl=60), retry=Retry(attempts=2, wait=0.0), price=0.5)
    bench.ask("q", answers=[OSError(), "fine"])
    bench.ask("q")
    assert [event.price for event in bench.events] == [1.0, 0]
    assert [event.saved_price for event in bench.events] == [0, 0.5]
    with pytest.raises(OSError):
        bench.ask("p", answers=[OSError(), OSError()])
    assert bench.events[-1].price == 1.0


def test_a_call_without_cache_is_charged_once():
    bench = Bench(price=len)
    bench.ask("q")
    assert bench.events[-1].price == len("answer 1")
    assert bench.outcomes == ["bypass"]


def test_a_broken_price_costs_nobody_the_answer():
    bench = Bench(cache=Cache(ttl=60), price=lambda answer: answer.tokens)
    assert bench.ask("q") == "answer 1"
    assert bench.events[-1].price == 0


@pytest.mark.parametrize("price", [-1.0, float("nan"), float("inf"), 10**400, "much"])
def test_a_price_that_is_no_amount_of_money_counts_as_none(price: Any):
    bench = Bench(cache=Cache(ttl=60), price=lambda _: price)
    assert bench.ask("q") == "answer 1"
    assert bench.events[-1].price == 0


def test_a_price_beyond_all_bounds_is_refused_in_one_line():
    with pytest.raises(ConfigurationError, match="^price: must be a finite number"):
        Bench(price=10**400)


def test_time_saved_is_the_time_of_the_function():
    bench = Bench(cache=Cache(ttl=600))
    bench.ask("q", answers=[Slow(2.0, "slow")])
    bench.ask("q")
    assert bench.events[-1].saved_latency == pytest.approx(2.0)
    assert bench.ops.stats()[bench.plan.name].saved_seconds == pytest.approx(2.0)


def test_an_inactive_runtime_does_nothing_at_all():
    bench = Bench(cache=Cache(ttl=60), retry=Retry(), breaker=CircuitBreaker())
    bench.ops.active = False
    assert [bench.ask("q"), bench.ask("q")] == ["answer 1", "answer 2"]
    assert bench.steps == ["call", "call"]
    assert not bench.events


def test_a_cancelled_call_makes_an_event_too():
    bench = Bench()
    with pytest.raises(KeyboardInterrupt):
        bench.ask("q", answers=[KeyboardInterrupt()])
    assert [(event.outcome, event.error) for event in bench.events] == [
        ("error", "KeyboardInterrupt")
    ]


def test_invalidation_drops_calls_under_way():
    bench = Bench(cache=Cache(ttl=60, tags=["all"]))
    for forget in (
        lambda key: bench.ops.invalidate(["all"]),
        lambda key: bench.ops.invalidate(keys=[key]),
        lambda key: bench.ops.clear(),
    ):
        key = bench.plan.open(("q",), {}).key

        def answer(forget=forget, key=key):
            forget(key)
            return "old"

        assert bench.ask("q", answers=[answer]) == "old"
        assert bench.ask("q") != "old"
        bench.ops.clear()


def test_a_memory_tier_goes_by_the_clock_of_its_runtime():
    clock = FakeClock()
    memory = Memory()
    ops = ToolOps("clocks", [memory], clock=clock)
    made = []
    tool = ops.tool(cache=Cache(ttl=60, jitter=0), name="t")(lambda q: made.append(q))
    tool("q")
    clock.advance(61)
    tool("q")
    assert made == ["q", "q"]
    with pytest.raises(ConfigurationError, match="another clock"):
        ToolOps("clocks", [memory])


def test_an_exception_that_another_tool_has_stored_is_a_miss_here():
    clock = FakeClock()
    far = Memory(label="L2", clock=clock)
    one = Bench(far, clock=clock, cache=Cache(ttl=60, negative=OSError))
    with pytest.raises(OSError, match="down"):
        one.ask("q", answers=[OSError("down")])
    two = Bench(far, clock=clock, cache=Cache(ttl=60))
    assert two.ask("q") == "answer 1"
    assert two.outcomes == ["miss"]
