"""The hot path: hits in memory, without the flow."""

from __future__ import annotations

import enum

import pytest

from toolops_plugins import Cache, Memory, ToolOps


class Text(str):
    __slots__ = ()


class Level(enum.IntEnum):
    ONE = 1


VALUES = [1, True, 1.0, "1", Text("1"), Level.ONE, None, 0, 0.0, -0.0, False, "", "x" * 3_000]


@pytest.fixture
def ops():
    return ToolOps("opening", tiers=[Memory()])


def test_arguments_that_are_equal_and_of_different_types_have_results_of_their_own(ops):
    runs = []

    @ops.tool(cache=Cache(ttl=60))
    def ask(value, other=None):
        runs.append(value)
        return f"{type(value).__name__} {value} {other}"

    wanted = [f"{type(value).__name__} {value} None" for value in VALUES]
    for _ in range(3):
        assert [ask(value) for value in VALUES] == wanted
        assert [ask(value=value) for value in VALUES] == wanted
    assert len(runs) == len(VALUES)
    assert ask("1", 1) == "str 1 1"
    assert ask("1", True) == "str 1 True"
    assert ask(other=True, value="1") == "str 1 True"


def test_a_hit_is_counted_and_told_once(ops):
    events = []

    @ops.tool(cache=Cache(ttl=60, tags=["prices"]), price=2.0)
    def ask(value):
        return value

    ask("a")
    ops.add_sink(events.append)
    for _ in range(100):
        ask("a")
    tool = next(iter(ops.stats()))
    assert (tool.hits, tool.asked, tool.misses) == (100, 101, 1)
    assert tool.saved_price == 200.0
    assert len(events) == 100
    event = events[0]
    assert type(event).__name__ == "CallEvent"
    assert (event.outcome, event.tier, event.tags) == ("hit", "L1", ("prices",))
    assert len(bytes.fromhex(event.key)) == 32
    assert event == event._replace()
    assert len(event) == len(event._fields)


def test_an_inactive_runtime_is_asked_at_each_call(ops):
    runs = []

    @ops.tool(cache=Cache(ttl=60))
    def ask(value):
        runs.append(value)
        return value

    ask("a")
    ops.active = False
    ask("a")
    assert runs == ["a", "a"]
    ops.active = True
    ask("a")
    assert runs == ["a", "a"]
