"""The present state of a runtime's parts, and the sinks that ask for it."""

from __future__ import annotations

import gc

import pytest
from servers import wait_for

from toolops_plugins import Cache, CircuitBreaker, CircuitOpen, Memory, SemanticCache, ToolOps
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.telemetry.runtime_state import BreakerReport


class Watcher:
    def __init__(self):
        self.states = []

    def on_call(self, event): ...

    def on_runtime(self, state):
        self.states.append(state)


def test_a_state_tells_of_tiers_breakers_and_sinks():
    def sink(event):
        raise ValueError

    with ToolOps("shop", [Memory(100), Memory(label="far")], sinks=[sink]) as ops:

        @ops.tool(cache=Cache(ttl=60), breaker=CircuitBreaker(window=2, name="service"))
        def quote(symbol):
            if not symbol:
                raise ConnectionError("refused")
            return symbol

        quote("a")
        with pytest.raises(ConnectionError):
            quote("")
        with pytest.raises(CircuitOpen):
            quote("")
        state = ops.state()
    assert state.namespace == "shop"
    near, far = state.tiers
    assert (near.label, near.up, near.items, near.max_items) == ("L1", True, 1, 100)
    assert near.bytes > 0
    assert far.label == "far"
    (breaker,) = state.breakers
    assert breaker == BreakerReport("service", "open", error="ConnectionError", rejected=1)
    assert state.index == {}
    assert state.dropped == {sink.__qualname__: 3}


def test_a_tier_that_failed_is_down(monkeypatch):
    ops = ToolOps()
    (tier,) = ops.state().tiers
    assert tier.up
    ops._tiers.failing.add(("L1", "write"))
    (tier,) = ops.state().tiers
    assert not tier.up


def test_the_index_is_counted_once_it_is_open(tmp_path):
    with ToolOps(semantic=SemanticCache(tmp_path)) as ops:
        assert ops.state().index == {}
        ops.semantic.put("What is the capital of France?", "Paris")
        wait_for(lambda: ops.state().index == {"entries": 1}, "the index in memory")


def test_each_sink_gets_the_state_of_its_runtimes():
    first, later = Watcher(), Watcher()
    ops = ToolOps("one", sinks=[first])
    ops.add_sink(later)
    other = ToolOps("two", sinks=[first])
    assert [state().namespace for state in first.states] == ["one", "two"]
    assert [state().namespace for state in later.states] == ["one"]
    del ops, other
    gc.collect()
    assert [state() for state in first.states] == [None, None]


def test_a_sink_that_fails_to_take_it_is_counted():
    class Broken(Watcher):
        def on_runtime(self, state):
            raise ValueError

    ops = ToolOps(sinks=[Broken()])
    assert list(ops.state().dropped.values()) == [1]


def test_it_must_be_callable():
    class Wrong(Watcher):
        on_runtime = 3

    with pytest.raises(ConfigurationError, match="sinks"):
        ToolOps(sinks=[Wrong()])


def test_a_state_needs_no_call():
    ops = ToolOps()
    ops.readonly(cache=Cache(ttl=60))(lambda: 1)
    assert ops.state().breakers == ()
