"""The ordered walk through the tiers, with a near one, a far one behind steps, and a broken one."""

from __future__ import annotations

import pytest

from toolops_plugins.cache.entry import Entry
from toolops_plugins.cache.memory import Memory
from toolops_plugins.cache.tiers import Tiers
from toolops_plugins.codec import Codec
from toolops_plugins.errors import ConfigurationError, TierError
from toolops_plugins.steps import Io
from toolops_plugins.testing import FakeClock

codec = Codec()


class Far(Memory):
    """A tier that is not local, so that the walk has to yield steps for it."""

    local = False


class Broken(Far):
    def get(self, *_):
        raise TierError("unreachable")

    set = delete = invalidate = clear = get_many = set_many = get


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def entry(clock):
    def entry(value, ttl=60.0, tags=(), age=0.0):
        now = clock.monotonic() - age
        return Entry(codec.encode(value), now, now + ttl, now + ttl + 100, tags=tags)

    return entry


@pytest.fixture
def troubles():
    return []


@pytest.fixture
def walk(clock):
    def walk(flow):
        steps = []
        try:
            step = flow.send(None)
            while True:
                assert isinstance(step, Io)
                steps.append(step.sync.__name__)
                try:
                    result = step.sync(*step.args)
                except TierError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(result)
        except StopIteration as end:
            walk.steps = steps
            return end.value

    return walk


@pytest.fixture
def tiers(clock, troubles):
    near = Memory(clock=clock)
    far = Far(label="L2", ttl=500, clock=clock)
    broken = Broken(label="L3", clock=clock)
    return Tiers([near, broken, far], lambda label, error: troubles.append(label))


KEYS = [bytes([n]) * 32 for n in range(4)]


def test_a_write_goes_to_all_that_can_be_reached(tiers, walk, entry, troubles):
    walk(tiers.store(KEYS[0], entry("a")))
    assert [len(tier) for tier in tiers.all] == [1, 0, 1]
    assert troubles == ["L3"]


def test_a_lookup_stops_at_the_first_fresh_entry_and_promotes_it(tiers, walk, entry, clock):
    near, _, far = tiers.all
    far.set(KEYS[0], entry("a"))
    found = walk(tiers.lookup(KEYS[0], (), clock.monotonic()))
    assert codec.decode(found.entry.payload) == "a"
    assert found.tier == "L2"
    assert len(near) == 1
    assert walk(tiers.lookup(KEYS[0], (), clock.monotonic())).tier == "L1"
    assert walk.steps == []


def test_of_stale_entries_the_freshest_is_found_and_none_promoted(tiers, walk, entry, clock):
    near, _, far = tiers.all
    near.set(KEYS[0], entry("old", age=90))
    far.set(KEYS[0], entry("newer", age=70))
    found = walk(tiers.lookup(KEYS[0], (), clock.monotonic()))
    assert codec.decode(found.entry.payload) == "newer"
    assert codec.decode(near.get(KEYS[0])[0].payload) == "old"


def test_a_tier_whose_lookup_failed_is_not_written(tiers, walk, entry, clock, troubles):
    found = walk(tiers.lookup(KEYS[0], (), clock.monotonic()))
    assert troubles == ["L3"]
    walk(tiers.store(KEYS[0], entry("a"), found.marks))
    assert troubles == ["L3"]
    assert [len(tier) for tier in tiers.all] == [1, 0, 1]


def test_a_write_after_an_invalidation_is_dropped(tiers, walk, entry, clock):
    found = walk(tiers.lookup(KEYS[0], ("t",), clock.monotonic()))
    with pytest.raises(TierError):
        walk(tiers.invalidate(["t"]))
    walk(tiers.store(KEYS[0], entry("a", tags=("t",)), found.marks))
    assert walk(tiers.lookup(KEYS[0], ("t",), clock.monotonic())).entry is None


def test_what_is_to_be_refreshed_does_not_count_as_fresh(tiers, walk, entry, clock):
    walk(tiers.store(KEYS[0], entry("a")))
    found = walk(tiers.lookup(KEYS[0], (), clock.monotonic(), newer_than=clock.monotonic()))
    assert len(found.marks) == 3


def test_many_keys_ask_each_tier_once(tiers, walk, entry, clock):
    near, _, far = tiers.all
    near.set(KEYS[0], entry("a"))
    far.set(KEYS[1], entry("b"))
    far.set(KEYS[2], entry("stale", age=90))
    found = walk(tiers.get_many([*KEYS, KEYS[1]], clock.monotonic()))
    assert {key: codec.decode(e.payload) for key, e in found.items()} == {
        KEYS[0]: "a",
        KEYS[1]: "b",
    }
    assert walk.steps.count("get_many") == 1
    assert near.get(KEYS[1])[0] is not None
    walk(tiers.set_many({KEYS[3]: entry("d")}))
    assert near.get(KEYS[3])[0] is not None
    assert far.get(KEYS[3])[0] is not None
    assert walk(tiers.get_many([KEYS[3]], clock.monotonic()))
    assert walk.steps == []


def test_all_are_told_though_one_fails(tiers, walk, entry):
    for tell in (tiers.delete([KEYS[0]]), tiers.invalidate(["t"]), tiers.clear()):
        walk(tiers.store(KEYS[0], entry("a", tags=("t",))))
        with pytest.raises(TierError):
            walk(tell)
        near, _, far = tiers.all
        assert near.get(KEYS[0], ("t",))[0] is far.get(KEYS[0], ("t",))[0] is None


def test_many_keys_are_one_operation_where_a_tier_can_do_that(walk, clock, entry):
    class Quick(Far):
        def delete_many(self, keys):
            for key in keys:
                self.delete(key)

        async def adelete_many(self, keys):
            self.delete_many(keys)

    near, far = Memory(clock=clock), Far(clock=clock, label="L2")
    quick = Quick(clock=clock, label="L3")
    tiers = Tiers([near, far, quick], lambda *_: None)
    walk(tiers.set_many({key: entry("a") for key in KEYS}))
    walk(tiers.delete(KEYS[:3]))
    assert walk.steps == ["delete_many", "delete", "delete", "delete"]
    for tier in tiers.all:
        assert [tier.get(key)[0] is None for key in KEYS[:4]] == [True, True, True, False]


def test_labels_are_unique_and_known(tiers, clock):
    assert tiers.only(["L2", "L1"]).labels == ("L1", "L2")
    with pytest.raises(ConfigurationError, match="no tier 'L7'"):
        tiers.only(["L7"])
    with pytest.raises(ConfigurationError, match="one label"):
        Tiers([Memory(clock=clock), Memory(clock=clock)], lambda *_: None)
