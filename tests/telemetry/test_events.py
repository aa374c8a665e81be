"""Events, notices and the emitter."""

from __future__ import annotations

import asyncio
import functools
import logging
import pickle
from functools import partial

import pytest
from callers import shaken
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from toolops_plugins.errors import ConfigurationError
from toolops_plugins.telemetry import emitter as emitter_module
from toolops_plugins.telemetry.emitter import Emitter
from toolops_plugins.telemetry.events import (
    OUTCOMES,
    CallEvent,
    Notice,
    attributes,
)
from toolops_plugins.testing import FakeClock

EVENT = CallEvent("quote", "miss", 0.25, started=1.0, namespace="shop", key="ab", attempts=1)


class Recorder:
    def __init__(self):
        self.events = []
        self.notices = []

    def on_call(self, event):
        self.events.append(event)

    def on_notice(self, notice):
        self.notices.append(notice)


class CallsOnly:
    def __init__(self):
        self.events = []

    def on_call(self, event):
        self.events.append(event)


class Broken:
    def on_call(self, event):
        raise ValueError("the password is hunter2")

    def on_notice(self, notice):
        raise RuntimeError("the password is hunter2")


@pytest.fixture
def thread_shaker():
    return partial(shaken, emitter_module)


# --- events ---------------------------------------------------------------------------------


@pytest.mark.parametrize("thing", [EVENT, Notice("breaker", "quote", "open")])
def test_events_and_notices_cannot_be_changed(thing):
    with pytest.raises(AttributeError):
        thing.name = "other"
    with pytest.raises(AttributeError):
        thing.extra = 1
    assert pickle.loads(pickle.dumps(thing)) == thing


def test_attributes_leave_out_what_has_no_value():
    assert attributes(EVENT) == {
        "toolops.tool": "quote",
        "toolops.kind": "tool",
        "toolops.outcome": "miss",
        "toolops.latency": 0.25,
        "toolops.worked": 0.0,
        "toolops.saved_latency": 0.0,
        "toolops.price": 0.0,
        "toolops.saved_price": 0.0,
        "toolops.attempts": 1,
        "toolops.hedged": False,
        "toolops.namespace": "shop",
        "toolops.key": "ab",
    }


def test_attributes_hold_no_question():
    event = EVENT._replace(semantic={"similarity": 0.93, "question": "Am I ill?"})
    assert "Am I ill?" not in attributes(event).values()
    assert attributes(event)["toolops.semantic.similarity"] == 0.93


def test_attributes_name_every_detail():
    event = CallEvent(
        "ask",
        "hit",
        0.001,
        tier="semantic",
        tags=("a", "b"),
        reason="r",
        error="KeyError",
        semantic={"similarity": 0.93},
        details={"input_tokens": 7},
    )
    found = attributes(event)
    assert found["toolops.tier"] == "semantic"
    assert found["toolops.tags"] == "a,b"
    assert found["toolops.reason"] == "r"
    assert found["toolops.error"] == "KeyError"
    assert found["toolops.semantic.similarity"] == 0.93
    assert found["toolops.details.input_tokens"] == 7
    # Every field is told, but for the time and the containers of details.
    names = {name.removeprefix("toolops.") for name in found} | {"name", "started", "key"}
    assert set(CallEvent._fields) - {"semantic", "details", "namespace"} <= names


@examples(0.4)
@given(
    st.builds(
        CallEvent,
        name=st.text(),
        outcome=st.sampled_from(OUTCOMES),
        latency=st.floats(0, 10),
        tier=st.none() | st.text(),
        key=st.none() | st.text(),
        tags=st.lists(st.text()).map(tuple),
        error=st.none() | st.text(),
        semantic=st.none() | st.dictionaries(st.text(), st.floats() | st.text()),
    )
)
def test_attributes_are_scalars_under_one_prefix(event):
    for name, value in attributes(event).items():
        assert name.startswith("toolops.")
        assert isinstance(value, str | int | float | bool)


@pytest.mark.parametrize(
    ("attempts", "hedged", "retried"),
    [(0, False, False), (1, False, False), (2, False, True), (2, True, False), (3, True, True)],
)
def test_a_hedge_is_no_retry(attempts, hedged, retried):
    event = CallEvent("quote", "miss", 1.0, attempts=attempts, hedged=hedged)
    assert event.retried is retried


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_calls_with_a_key_asked_the_cache(outcome):
    asked = outcome not in ("bypass", "refresh")
    assert CallEvent("quote", outcome, 1.0, key="ab").asked_cache is asked
    assert CallEvent("quote", outcome, 1.0).asked_cache is False


# --- sinks ----------------------------------------------------------------------------------


def test_objects_and_functions_are_sinks():
    both, calls, seen = Recorder(), CallsOnly(), []
    emitter = Emitter([both, calls, seen.append])
    notice = Notice("tier_failed", "L2", "ConnectionError")
    emitter.emit(EVENT)
    emitter.notice(notice)
    assert both.events == calls.events == seen == [EVENT]
    assert both.notices == [notice]
    assert emitter.dropped == {"Recorder": 0, "CallsOnly": 0, "list.append": 0}


def test_an_emitter_is_active_while_it_has_sinks():
    emitter, first, second = Emitter(), Recorder(), Recorder()
    assert not emitter.active
    remove_first = emitter.add(first)
    remove_second = emitter.add(second)
    assert emitter.active
    emitter.emit(EVENT)
    remove_first()
    remove_first()
    assert emitter.active
    emitter.emit(EVENT)
    remove_second()
    assert not emitter.active
    emitter.emit(EVENT)
    assert (len(first.events), len(second.events)) == (1, 2)


def test_removing_one_of_two_equal_sinks_leaves_the_other():
    emitter, sink = Emitter(), Recorder()
    emitter.add(sink)
    emitter.add(sink)()
    emitter.emit(EVENT)
    assert sink.events == [EVENT]


def test_a_sink_may_remove_itself_while_it_is_called():
    emitter, last = Emitter(), Recorder()
    seen = []

    def once(event):
        seen.append(event)
        remove()

    remove = emitter.add(once)
    emitter.add(last)
    emitter.emit(EVENT)
    emitter.emit(EVENT)
    assert seen == [EVENT]
    assert last.events == [EVENT, EVENT]


def test_a_sink_that_raises_misses_that_event_only():
    before, after = Recorder(), Recorder()
    seen = []

    def sometimes(event):
        if event.outcome == "error":
            raise ValueError
        seen.append(event)

    emitter = Emitter([before, sometimes, after])
    error = EVENT._replace(outcome="error")
    for event in (EVENT, error, EVENT):
        emitter.emit(event)
    assert before.events == after.events == [EVENT, error, EVENT]
    assert seen == [EVENT, EVENT]
    assert sum(emitter.dropped.values()) == 1


def test_a_broken_sink_is_reported_once_and_counted_always(caplog):
    other = Recorder()
    emitter = Emitter([Broken(), other])
    for _ in range(5):
        emitter.emit(EVENT)
    assert other.notices == [Notice("sink_failed", "Broken", "ValueError", 1.0, "shop", calls=1)]
    # Five events, and the notice of its own failure.
    assert emitter.dropped == {"Broken": 6, "Recorder": 0}
    assert emitter.notices == {"sink_failed": 6}
    assert len(caplog.records) == 1
    assert "hunter2" not in caplog.text


def test_sinks_that_all_fail_at_notices_do_not_go_round_in_circles(caplog):
    emitter = Emitter([Broken() for _ in range(5)])
    emitter.notice(Notice("tampered", "L2"))
    # Each hears the notice, and of the first failure.
    assert emitter.dropped == {"Broken": 5 + 5}
    # One line of the notice, and one of the sinks, which have one name.
    assert len(caplog.records) == 2


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_what_is_meant_to_end_the_work_passes(kind):
    def stop(event):
        raise kind

    emitter = Emitter([stop])
    with pytest.raises(kind):
        emitter.emit(EVENT)
    assert sum(emitter.dropped.values()) == 0


def _coroutine_sink():
    async def sink(event): ...

    return sink


class _AsyncOnCall:
    async def on_call(self, event): ...


class _AsyncOnNotice(CallsOnly):
    async def on_notice(self, notice): ...


class _AsyncObject:
    async def __call__(self, event): ...


class _NotCallable:
    on_call = "a string"


class _NoneOnCall:
    on_call = None


@pytest.mark.parametrize(
    "sink",
    [
        None,
        "stdout",
        object(),
        Recorder,
        _coroutine_sink(),
        functools.partial(_coroutine_sink()),
        _AsyncOnCall(),
        _AsyncOnNotice(),
        _AsyncObject(),
        _NotCallable(),
        _NoneOnCall(),
    ],
    ids=lambda sink: type(sink).__name__,
)
def test_what_could_never_take_an_event_is_refused_at_once(sink):
    with pytest.raises(ConfigurationError, match="sinks"):
        Emitter([sink])
    emitter = Emitter()
    with pytest.raises(ConfigurationError, match="sinks"):
        emitter.add(sink)
    assert not emitter.active


def test_threads_add_remove_and_emit_at_once(thread_shaker):
    emitter, steady = Emitter(), Recorder()
    emitter.add(steady)

    def work():
        for _ in range(50):
            mine = Recorder()
            remove = emitter.add(mine)
            emitter.emit(EVENT)
            remove()
            assert mine.events

    thread_shaker(work)
    assert len(steady.events) == 8 * 50
    assert len(emitter._entries) == 1
    emitter.emit(EVENT)
    assert len(steady.events) == 8 * 50 + 1


def test_drops_are_counted_exactly_under_threads(thread_shaker):
    emitter = Emitter([lambda _: 1 / 0])

    def work():
        for _ in range(100):
            emitter.emit(EVENT)

    thread_shaker(work)
    assert sum(emitter.dropped.values()) == 8 * 100


# --- warnings -------------------------------------------------------------------------------


def test_a_bypass_is_reported_at_once_for_each_tool_and_reason(caplog):
    sink = Recorder()
    emitter = Emitter([sink])
    for _ in range(3):
        emitter.warn("quote", "not_canonical", started=2.0, namespace="shop")
        emitter.warn("quote", "no_cache")
        emitter.warn("search", "not_canonical")
    assert [(notice.name, notice.detail) for notice in sink.notices] == [
        ("quote", "not_canonical"),
        ("quote", "no_cache"),
        ("search", "not_canonical"),
    ]
    assert sink.notices[0] == Notice("bypass", "quote", "not_canonical", 2.0, "shop", calls=1)
    assert [record.name for record in caplog.records] == ["toolops_plugins.cache"] * 3
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert emitter.notices == {"bypass": 9}


def test_a_bypass_that_goes_on_is_reported_once_a_minute_with_its_calls(caplog):
    sink, clock = Recorder(), FakeClock()
    emitter = Emitter([sink], clock=clock)
    for _ in range(120):
        emitter.warn("quote", "not_canonical", error="Client", place="client")
        clock.advance(1)
    assert [notice.calls for notice in sink.notices] == [1, 60]
    assert caplog.messages[1] == caplog.messages[0] + " (59 more in the last 60 s)"


def test_warnings_are_bounded(caplog):
    emitter = Emitter()
    for at in range(5_000):
        emitter.warn(f"tool{at}", "not_canonical")
    assert len(caplog.records) == 1_001
    assert caplog.messages[-1] == "More than 1000 causes of trouble in 60 s; others failed too"


def test_a_name_cannot_forge_a_line_of_the_log(caplog):
    Emitter().warn("quote\nERROR all is lost", "not_canonical")
    assert "\n" not in caplog.records[0].getMessage()


def test_threads_warn_once(thread_shaker):
    sink = Recorder()
    emitter = Emitter([sink])
    thread_shaker(lambda: emitter.warn("quote", "not_canonical"))
    assert len(sink.notices) == 1


def test_the_library_configures_no_logging():
    logger = logging.getLogger("toolops_plugins")
    assert logger.handlers == []
    assert logger.level == logging.NOTSET
    assert logger.propagate
