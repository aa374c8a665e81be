"""Lookups, writes and invalidation in order: a near tier, a far one, and a broken one."""

from __future__ import annotations

import asyncio

import pytest

from toolops_plugins.cache.entry import Entry
from toolops_plugins.cache.memory import Memory
from toolops_plugins.cache.tiers import Tiers
from toolops_plugins.calls.aio import tiers as aio_tiers
from toolops_plugins.calls.sync import tiers as sync_tiers
from toolops_plugins.coalesce.flights import Flights
from toolops_plugins.codec import Codec
from toolops_plugins.concurrency.pool import Pool
from toolops_plugins.drivers.loop import LoopDriver
from toolops_plugins.drivers.thread import ThreadDriver
from toolops_plugins.errors import ConfigurationError, DeadlineExceeded, TierError
from toolops_plugins.steps import Io
from toolops_plugins.testing import FakeClock

codec = Codec()


class Far(Memory):
    """A tier that is not local, so that the driver has to ask it."""

    local = False


class Broken(Far):
    def get(self, *_):
        raise TierError("unreachable")

    set = delete = invalidate = clear = get

    async def aget(self, *_):
        raise TierError("unreachable")

    aset = aget


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


class Calls:
    """Lookups and writes of one face, with the names of the operations on far tiers."""

    def __init__(self, clock):
        self.far = []
        self._parts = (clock, Flights(), Pool())

    def _note(self, function):
        self.far.append(function.__name__.removeprefix("a"))


class SyncCalls(Calls):
    def __init__(self, clock):
        super().__init__(clock)
        note = self._note

        class Driver(ThreadDriver):
            def io(self, function, *args):
                note(function)
                return super().io(function, *args)

        self.driver = Driver(*self._parts)

    def find_entry(self, *args):
        return sync_tiers.find_entry(self.driver, *args)

    def store_entry(self, *args):
        return sync_tiers.store_entry(self.driver, *args)


class AsyncCalls(Calls):
    def __init__(self, clock):
        super().__init__(clock)
        note = self._note

        class Driver(LoopDriver):
            async def io(self, function, *args):
                note(function)
                return await super().io(function, *args)

        self.driver = Driver(*self._parts)

    def find_entry(self, *args):
        return asyncio.run(aio_tiers.find_entry(self.driver, *args))

    def store_entry(self, *args):
        return asyncio.run(aio_tiers.store_entry(self.driver, *args))


@pytest.fixture(params=[SyncCalls, AsyncCalls])
def calls(request, clock):
    return request.param(clock)


@pytest.fixture
def tiers(clock, troubles):
    near = Memory(clock=clock)
    far = Far(label="L2", ttl=500, clock=clock)
    broken = Broken(label="L3", clock=clock)
    return Tiers([near, broken, far], lambda label, error: troubles.append(label))


KEYS = [bytes([n]) * 32 for n in range(4)]


def test_a_write_goes_to_all_that_can_be_reached(tiers, calls, entry, troubles):
    calls.store_entry(tiers, KEYS[0], entry("a"))
    assert [len(tier) for tier in tiers.all] == [1, 0, 1]
    assert troubles == ["L3"]


def test_a_lookup_stops_at_the_first_fresh_entry_and_promotes_it(tiers, calls, entry, clock):
    near, _, far = tiers.all
    far.set(KEYS[0], entry("a"))
    found = calls.find_entry(tiers, KEYS[0], (), clock.monotonic())
    assert codec.decode(found.entry.payload) == "a"
    assert found.tier == "L2"
    assert len(near) == 1
    assert calls.find_entry(tiers, KEYS[0], (), clock.monotonic()).tier == "L1"
    assert calls.far == ["get", "get"]  # of the broken tier and the far one; the copy is near


def test_of_stale_entries_the_freshest_is_found_and_none_promoted(tiers, calls, entry, clock):
    near, _, far = tiers.all
    near.set(KEYS[0], entry("old", age=90))
    far.set(KEYS[0], entry("newer", age=70))
    found = calls.find_entry(tiers, KEYS[0], (), clock.monotonic())
    assert codec.decode(found.entry.payload) == "newer"
    assert codec.decode(near.get(KEYS[0])[0].payload) == "old"


def test_a_tier_whose_lookup_failed_is_not_written(tiers, calls, entry, clock, troubles):
    found = calls.find_entry(tiers, KEYS[0], (), clock.monotonic())
    assert troubles == ["L3"]
    calls.store_entry(tiers, KEYS[0], entry("a"), found.marks)
    assert troubles == ["L3"]
    assert [len(tier) for tier in tiers.all] == [1, 0, 1]


def test_a_write_after_an_invalidation_is_dropped(tiers, calls, walk, entry, clock):
    found = calls.find_entry(tiers, KEYS[0], ("t",), clock.monotonic())
    with pytest.raises(TierError):
        walk(tiers.invalidate(["t"]))
    calls.store_entry(tiers, KEYS[0], entry("a", tags=("t",)), found.marks)
    assert calls.find_entry(tiers, KEYS[0], ("t",), clock.monotonic()).entry is None


def test_what_is_to_be_refreshed_does_not_count_as_fresh(tiers, calls, entry, clock):
    calls.store_entry(tiers, KEYS[0], entry("a"))
    found = calls.find_entry(tiers, KEYS[0], (), clock.monotonic(), clock.monotonic())
    assert len(found.marks) == 3


def test_the_end_of_the_caller_s_time_is_no_failure_of_a_tier(calls, entry, clock, troubles):
    class Late(Memory):
        def get(self, *_):
            raise DeadlineExceeded("the deadline has passed", seconds=1.0)

        set = get

    tiers = Tiers([Late(clock=clock)], lambda label, error: troubles.append(label))
    with pytest.raises(DeadlineExceeded):
        calls.find_entry(tiers, KEYS[0], (), clock.monotonic())
    with pytest.raises(DeadlineExceeded):
        calls.store_entry(tiers, KEYS[0], entry("a"))
    assert troubles == []


def test_a_copy_in_the_near_tier_needs_a_lookup_that_has_reached_it(calls, entry, clock):
    class Flaky(Memory):
        def get(self, *_):
            raise TierError("unreachable")

    flaky = Flaky(clock=clock)
    tiers = Tiers([flaky], lambda *_: None)
    marks = calls.find_entry(tiers, KEYS[0], (), clock.monotonic()).marks
    tiers.store_near(KEYS[0], entry("a"), marks)
    assert len(flaky) == 0
    tiers.store_near(KEYS[0], entry("a"), [None])
    assert len(flaky) == 1


def test_all_are_told_though_one_fails(tiers, calls, walk, entry):
    for tell in (tiers.delete([KEYS[0]]), tiers.invalidate(["t"]), tiers.clear()):
        calls.store_entry(tiers, KEYS[0], entry("a", tags=("t",)))
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
    for tier in tiers.all:
        for key in KEYS:
            tier.set(key, entry("a"))
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
