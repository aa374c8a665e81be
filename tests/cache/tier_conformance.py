"""The conformance suite of tiers: `class TestMine(TierConformance)` runs it on a tier.

The subclass supplies two fixtures:

- `tier`: an empty tier, ready for use. Its own TTL, if it has one, is `TTL` seconds.
- `clock`: the `ManualClock` that the tier goes by, if its time can be turned: then the subclass is
  one of `TimedTierConformance`.

Import it with `from cache.tier_conformance import TierConformance`: pyproject.toml puts `tests` on
the path.
"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import pytest

from toolops_plugins.cache.entry import Entry, Tier
from toolops_plugins.codec import Codec

TTL = 1000.0
CODEC = Codec()
ALICE, BOB, CAROL = (sha256(name).digest() for name in (b"alice", b"bob", b"carol"))


class ManualClock:
    """A clock whose hands are turned by the test; both of them, as one."""

    def __init__(self, started: float = 1_700_000_000.0) -> None:
        self._started = started
        self.passed = 0.0

    def advance(self, seconds: float) -> None:
        self.passed += seconds

    def monotonic(self) -> float:
        return 50.0 + self.passed

    def time(self) -> float:
        return self._started + self.passed

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    async def asleep(self, seconds: float) -> None:
        self.advance(seconds)
        await asyncio.sleep(0)


def value_of(entry: Entry | None) -> Any:
    """Return the value of an entry that must be there."""
    assert entry is not None
    return CODEC.decode(entry.payload)


def assert_same(found: Entry | None, entry: Entry) -> None:
    """Assert that an entry came back as it was, its times but for a rounding error."""
    assert found is not None
    times = ("created", "fresh_until", "stale_until")
    for name in times:
        assert getattr(found, name) == pytest.approx(getattr(entry, name), rel=0, abs=1e-4)
    assert found._replace(**dict.fromkeys(times, 0.0)) == entry._replace(
        **dict.fromkeys(times, 0.0)
    )


class TierConformance:
    """The list. Tests may use `make`, which builds an entry of a value at the tier's time."""

    @pytest.fixture
    def clock(self) -> ManualClock | None:
        return None

    @pytest.fixture
    def make(self, clock: ManualClock | None) -> Callable[..., Entry]:
        now = time.monotonic if clock is None else clock.monotonic

        def make(
            value: Any,
            *tags: str,
            fresh: float = 60.0,
            stale: float = 120.0,
            **more: Any,
        ) -> Entry:
            payload = CODEC.encode(value)
            at = now()
            return Entry(payload, at, at + fresh, at + stale, tags=tuple(sorted(tags)), **more)

        return make

    # Keeping ------------------------------------------------------------------------------------

    def test_knows_nothing_at_first(self, tier: Tier) -> None:
        assert tier.get(ALICE)[0] is None

    @pytest.mark.parametrize(
        "value",
        ["text", "", None, False, True, 0, 0.0, b"", [], {}, (), {"a": [1, None]}, "x" * 100_000],
        ids=lambda value: f"{type(value).__name__}-{str(value)[:8]}",
    )
    def test_gives_back_what_it_was_given(self, tier: Tier, make, value: Any) -> None:
        entry = make(value)
        tier.set(ALICE, entry)
        found, _ = tier.get(ALICE)
        assert_same(found, entry)
        assert value_of(found) == value
        assert type(value_of(found)) is type(value)

    @pytest.mark.parametrize("kind", ["value", "stream"])
    def test_keeps_what_is_known_of_the_result(self, tier: Tier, make, kind: str) -> None:
        entry = make([1, 2], "t", kind=kind, took=1.5, price=0.25)
        tier.set(ALICE, entry)
        assert_same(tier.get(ALICE, ["t"])[0], entry)

    def test_keeps_errors(self, tier: Tier, make) -> None:
        entry = make("")._replace(payload=CODEC.encode_error(KeyError("gone")), kind="error")
        tier.set(ALICE, entry)
        found, _ = tier.get(ALICE)
        assert found is not None
        assert found.kind == "error"
        assert repr(value_of(found)) == repr(KeyError("gone"))

    def test_tells_keys_apart(self, tier: Tier, make) -> None:
        tier.set(ALICE, make("a"))
        tier.set(BOB, make("b"))
        assert value_of(tier.get(ALICE)[0]) == "a"
        assert value_of(tier.get(BOB)[0]) == "b"
        assert tier.get(CAROL)[0] is None

    def test_a_later_write_replaces_an_earlier_one(self, tier: Tier, make) -> None:
        tier.set(ALICE, make("old"))
        _, mark = tier.get(ALICE)
        tier.set(ALICE, make("new"), mark)
        assert value_of(tier.get(ALICE)[0]) == "new"

    def test_many_at_once(self, tier: Tier, make) -> None:
        entries = {ALICE: make("a"), BOB: make(None)}
        tier.set_many(entries)
        found = tier.get_many([BOB, CAROL, ALICE])
        assert found.keys() == entries.keys()
        for key, entry in entries.items():
            assert_same(found[key], entry)
        assert_same(tier.get(ALICE)[0], entries[ALICE])

    def test_none_at_once(self, tier: Tier) -> None:
        tier.set_many({})
        assert tier.get_many([]) == {}

    # Time ---------------------------------------------------------------------------------------

    def test_keeps_what_is_stale_but_may_be_served(self, tier: Tier, make) -> None:
        tier.set(ALICE, make("stale", fresh=-5, stale=60))
        assert value_of(tier.get(ALICE)[0]) == "stale"

    def test_does_not_keep_what_is_past_its_end(self, tier: Tier, make) -> None:
        tier.set(ALICE, make("dead", fresh=-20, stale=-10))
        tier.set_many({BOB: make("dead", fresh=-20, stale=-10)})
        assert tier.get(ALICE)[0] is None
        assert tier.get_many([BOB]) == {}

    # Tags ---------------------------------------------------------------------------------------

    def test_finds_by_the_tags_in_any_order(self, tier: Tier, make) -> None:
        tier.set(ALICE, make("a", "x", "y"))
        assert value_of(tier.get(ALICE, ("x", "y"))[0]) == "a"
        assert value_of(tier.get(ALICE, ["y", "x"])[0]) == "a"

    @pytest.mark.parametrize("tags", [(), ("x",), ("x", "z"), ("x", "y", "z")])
    def test_other_tags_are_a_miss(self, tier: Tier, make, tags: tuple[str, ...]) -> None:
        tier.set(ALICE, make("a", "x", "y"))
        assert tier.get(ALICE, tags)[0] is None
        assert value_of(tier.get(ALICE, ("x", "y"))[0]) == "a"

    def test_tags_on_an_untagged_entry_are_a_miss(self, tier: Tier, make) -> None:
        tier.set(ALICE, make("a"))
        assert tier.get(ALICE, ("x",))[0] is None

    @pytest.mark.parametrize("tag", ["x", "y"])
    def test_invalidating_any_tag_forgets_the_entry(self, tier: Tier, make, tag: str) -> None:
        tier.set(ALICE, make("a", "x", "y"))
        tier.invalidate([tag])
        assert tier.get(ALICE, ("x", "y"))[0] is None

    def test_invalidation_spares_the_others(self, tier: Tier, make) -> None:
        tier.set(ALICE, make("a", "x"))
        tier.set(BOB, make("b", "y"))
        tier.set(CAROL, make("c"))
        tier.invalidate(["x", "unheard of"])
        tier.invalidate([])
        assert tier.get(ALICE, ("x",))[0] is None
        assert value_of(tier.get(BOB, ("y",))[0]) == "b"
        assert value_of(tier.get(CAROL)[0]) == "c"

    def test_what_is_computed_after_an_invalidation_is_kept(self, tier: Tier, make) -> None:
        tier.invalidate(["x"])
        _, mark = tier.get(ALICE, ("x",))
        tier.set(ALICE, make("a", "x"), mark)
        tier.set(BOB, make("b", "x"))
        assert value_of(tier.get(ALICE, ("x",))[0]) == "a"
        assert value_of(tier.get(BOB, ("x",))[0]) == "b"

    def test_each_invalidation_counts(self, tier: Tier, make) -> None:
        for round_ in range(3):
            tier.set(ALICE, make(round_, "x"))
            assert value_of(tier.get(ALICE, ("x",))[0]) == round_
            tier.invalidate(["x"])
            assert tier.get(ALICE, ("x",))[0] is None

    @pytest.mark.parametrize(
        "tag", ["", "ticker:ACME", "{a}*[b]?", "naïve ☃", "a\nb\0c", "x" * 999]
    )
    def test_a_tag_is_any_text(self, tier: Tier, make, tag: str) -> None:
        tier.set(ALICE, make("a", tag))
        assert value_of(tier.get(ALICE, (tag,))[0]) == "a"
        tier.invalidate([tag])
        assert tier.get(ALICE, (tag,))[0] is None

    # Marks --------------------------------------------------------------------------------------

    def test_a_mark_that_nothing_has_voided_counts(self, tier: Tier, make) -> None:
        _, mark = tier.get(ALICE, ("x",))
        tier.invalidate(["y"])
        tier.delete(BOB)
        tier.set(ALICE, make("a", "x"), mark)
        assert value_of(tier.get(ALICE, ("x",))[0]) == "a"

    @pytest.mark.parametrize("known", [False, True], ids=["unknown", "known"])
    def test_an_invalidation_voids_earlier_marks(self, tier: Tier, make, known: bool) -> None:
        if known:
            tier.set(ALICE, make("before", "x", "y"))
        _, mark = tier.get(ALICE, ("x", "y"))
        tier.invalidate(["y"])
        tier.set(ALICE, make("computed before", "x", "y"), mark)
        assert tier.get(ALICE, ("x", "y"))[0] is None

    @pytest.mark.parametrize("known", [False, True], ids=["unknown", "known"])
    @pytest.mark.parametrize("tags", [(), ("x",)], ids=["untagged", "tagged"])
    def test_a_deletion_voids_earlier_marks(
        self, tier: Tier, make, tags: tuple[str, ...], known: bool
    ) -> None:
        if known:
            tier.set(ALICE, make("before", *tags))
        _, mark = tier.get(ALICE, tags)
        tier.delete(ALICE)
        tier.set(ALICE, make("computed before", *tags), mark)
        assert tier.get(ALICE, tags)[0] is None
        _, mark = tier.get(ALICE, tags)
        tier.set(ALICE, make("computed after", *tags), mark)
        assert value_of(tier.get(ALICE, tags)[0]) == "computed after"

    @pytest.mark.parametrize("tags", [(), ("x",)], ids=["untagged", "tagged"])
    def test_clearing_voids_earlier_marks(self, tier: Tier, make, tags: tuple[str, ...]) -> None:
        _, mark = tier.get(ALICE, tags)
        tier.clear()
        tier.set(ALICE, make("computed before", *tags), mark)
        assert tier.get(ALICE, tags)[0] is None

    def test_a_voided_write_leaves_what_came_after(self, tier: Tier, make) -> None:
        _, old = tier.get(ALICE, ("x",))
        tier.invalidate(["x"])
        _, new = tier.get(ALICE, ("x",))
        tier.set(ALICE, make("new", "x"), new)
        tier.set(ALICE, make("old", "x"), old)
        assert value_of(tier.get(ALICE, ("x",))[0]) == "new"

    # Forgetting ---------------------------------------------------------------------------------

    def test_deletes_one_key(self, tier: Tier, make) -> None:
        tier.set(ALICE, make("a"))
        tier.set(BOB, make("b"))
        tier.delete(ALICE)
        tier.delete(CAROL)
        assert tier.get(ALICE)[0] is None
        assert tier.get_many([ALICE, BOB]).keys() == {BOB}
        tier.set(ALICE, make("again"))
        assert value_of(tier.get(ALICE)[0]) == "again"

    def test_clears_everything(self, tier: Tier, make) -> None:
        tier.set(ALICE, make("a"))
        tier.set(BOB, make("b", "x"))
        tier.clear()
        assert tier.get(ALICE)[0] is None
        assert tier.get(BOB, ("x",))[0] is None
        tier.set(ALICE, make("again"))
        assert value_of(tier.get(ALICE)[0]) == "again"

    def test_works_again_after_closing(self, tier: Tier, make) -> None:
        tier.set(ALICE, make("a"))
        tier.close()
        tier.close()
        tier.set(BOB, make("b"))
        assert value_of(tier.get(BOB)[0]) == "b"

    # The awaiting face --------------------------------------------------------------------------

    async def test_async_twins_do_the_same(self, tier: Tier, make) -> None:
        a, b = make("a", "x"), make("b")
        await tier.aset(ALICE, a)
        await tier.aset_many({BOB: b})
        assert_same((await tier.aget(ALICE, ("x",)))[0], a)
        found = await tier.aget_many([BOB, CAROL])
        assert found.keys() == {BOB}
        assert_same(found[BOB], b)
        await tier.adelete(BOB)
        assert (await tier.aget(BOB))[0] is None
        _, mark = await tier.aget(ALICE, ("x",))
        await tier.ainvalidate(["x"])
        assert (await tier.aget(ALICE, ("x",)))[0] is None
        await tier.aset(ALICE, a, mark)
        assert (await tier.aget(ALICE, ("x",)))[0] is None
        await tier.aset(ALICE, make("a", "x"))
        await tier.aclear()
        assert (await tier.aget(ALICE, ("x",)))[0] is None
        await tier.aclose()
        a = make("a", "x")  # computed since then
        await tier.aset(ALICE, a)
        assert_same((await tier.aget(ALICE, ("x",)))[0], a)
        await tier.aclose()

    async def test_both_faces_see_one_thing(self, tier: Tier, make) -> None:
        entry = make("a", "x")
        await asyncio.to_thread(tier.set, ALICE, entry)
        found, mark = await tier.aget(ALICE, ("x",))
        assert_same(found, entry)
        await asyncio.to_thread(tier.invalidate, ["x"])
        await tier.aset(ALICE, entry, mark)
        assert (await asyncio.to_thread(tier.get, ALICE, ("x",)))[0] is None
        await tier.aclose()

    # Concurrency --------------------------------------------------------------------------------

    @pytest.fixture
    def switch_often(self) -> Iterator[None]:
        """Let threads cut each other short wherever they can."""
        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        yield
        sys.setswitchinterval(before)

    @pytest.mark.usefixtures("switch_often")
    def test_threads_never_see_anothers_value(self, tier: Tier, make) -> None:
        keys = [bytes([n]) * 32 for n in range(8)]
        threads, rounds = 4, 80
        start = threading.Barrier(threads)

        def hammer(seed: int) -> None:
            rng = random.Random(seed)
            start.wait(timeout=30)
            for _ in range(rounds):
                key = rng.choice(keys)
                tags = (f"odd:{key[0] % 2}",)
                entry, mark = tier.get(key, tags)
                if entry is not None:
                    assert value_of(entry) == key.hex()
                what = rng.random()
                if what < 0.6:
                    tier.set(key, make(key.hex(), *tags), mark)
                elif what < 0.7:
                    tier.delete(key)
                elif what < 0.75:
                    tier.invalidate(tags)
                elif what < 0.76:
                    tier.clear()

        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(hammer, seed) for seed in range(threads)]:
                done.result(timeout=60)

    @pytest.mark.usefixtures("switch_often")
    @pytest.mark.parametrize("tags", [(), ("x",)], ids=["by key", "by tag"])
    def test_nobody_sees_what_was_voided_before_they_looked(
        self, tier: Tier, make, tags: tuple[str, ...]
    ) -> None:
        """Readers compute from a source that changes; every change is followed by an invalidation.

        An entry that was computed before an invalidation must not be found once that has returned.
        """
        source = settled = 0
        hits = 0
        done = threading.Event()

        def read() -> None:
            nonlocal hits
            while not done.is_set():
                least = settled
                entry, mark = tier.get(ALICE, tags)
                if entry is None:
                    tier.set(ALICE, make(source, *tags), mark)
                else:
                    hits += 1
                    assert value_of(entry) >= least

        with ThreadPoolExecutor(3) as pool:
            readers = [pool.submit(read) for _ in range(3)]
            try:
                for version in range(1, 150):
                    source = version
                    if tags:
                        tier.invalidate(tags)
                    else:
                        tier.delete(ALICE)
                    settled = version
                    before = hits
                    patience = time.monotonic() + 30
                    # Some rounds wait until there was something to see, so the test sees it.
                    while version % 10 == 0 and hits == before and time.monotonic() < patience:
                        if any(reader.done() for reader in readers):
                            break
                        time.sleep(0)
            finally:
                done.set()
            for reader in readers:
                reader.result(timeout=60)
        assert hits


class TimedTierConformance(TierConformance):
    """The list for tiers whose time can be turned, with what needs time to pass."""

    @pytest.fixture
    def advance(self, clock: ManualClock) -> Callable[[float], None]:
        return clock.advance

    def test_ends_at_stale_until(self, tier: Tier, make, advance) -> None:
        tier.set(ALICE, make("brief", fresh=10, stale=20))
        tier.set_many({BOB: make("brief", fresh=10, stale=20)})
        advance(19.0)
        assert value_of(tier.get(ALICE)[0]) == "brief"
        advance(1.0)
        assert tier.get(ALICE)[0] is None
        assert tier.get_many([BOB]) == {}

    def test_ends_at_its_own_ttl(self, tier: Tier, make, advance) -> None:
        tier.set(ALICE, make("long", fresh=TTL * 5, stale=TTL * 5))
        advance(TTL - 1)
        assert value_of(tier.get(ALICE)[0]) == "long"
        advance(1.0)
        assert tier.get(ALICE)[0] is None

    def test_a_new_write_begins_a_new_life(self, tier: Tier, make, advance) -> None:
        tier.set(ALICE, make("first", fresh=10, stale=10))
        advance(9.0)
        tier.set(ALICE, make("second", fresh=10, stale=10))
        advance(9.0)
        assert value_of(tier.get(ALICE)[0]) == "second"
