"""A tier in Redis with a secret: what is planted, changed, moved or played back is a miss."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cache.tier_conformance import TTL, TierConformance
from hypothesis import given
from hypothesis import strategies as st

from toolops_plugins.cache.entry import Entry
from toolops_plugins.cache.envelope import Envelope
from toolops_plugins.cache.redis import Redis
from toolops_plugins.cache.redis.signed_commands import SignedCommands
from toolops_plugins.cache.redis.stamps import Stamps
from toolops_plugins.clock import SYSTEM_CLOCK, Clock
from toolops_plugins.codec import Codec
from toolops_plugins.testing import FakeClock

CODEC = Codec()
PATIENT = {"socket_timeout": 10, "connect_timeout": 10}
ALICE, BOB = b"a" * 32, b"b" * 32


def entry(value: Any, *tags: str, life: float = 100) -> Entry:
    now = time.monotonic()
    return Entry(CODEC.encode(value), now, now + life / 2, now + life, tags=tags)


def value(found: Entry | None) -> Any:
    return None if found is None else CODEC.decode(found.payload)


Make = Callable[..., Redis]


@pytest.fixture(params=["valkey", "valkey_cluster"])
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture
def tier_of(server: Any, namespace: str) -> Iterator[Make]:
    made: list[Redis] = []

    def tier_of(
        secret: bytes | None = b"secret",
        place: str = namespace,
        label: str = "r1",
        told: list[str] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        **options: Any,
    ) -> Redis:
        tier = Redis(server.url, **PATIENT, **options)

        def trouble(kind: str, _: Exception) -> None:
            if told is not None:
                told.append(kind)

        tier.bind(place, Envelope(CODEC, secret), clock, label, trouble)
        made.append(tier)
        return tier

    yield tier_of
    for tier in made:
        tier.close()


class Attacker:
    """Reads and writes whatever is in Redis, and has no secret."""

    def __init__(self, tier: Redis) -> None:
        self._tier = tier

    def names(self) -> list[bytes]:
        """Return all keys of all tiers in all namespaces of this test's server."""
        client = self._tier.connection.clients.open()
        prefix = self._tier._commands.prefix.split(":r1:")[0]
        return sorted(client.scan_iter(f"{prefix}*", count=1000))

    def copy(self, names: list[bytes] | None = None) -> dict[bytes, bytes]:
        client = self._tier.connection.clients.open()
        return {name: client.get(name) for name in names or self.names()}

    def put_back(self, copy: dict[bytes, bytes]) -> None:
        client = self._tier.connection.clients.open()
        for name, data in copy.items():
            client.set(name, data)

    def delete(self, names: list[bytes]) -> None:
        client = self._tier.connection.clients.open()
        for name in names:
            client.delete(name)


@pytest.fixture
def attacker(tier_of: Make) -> Attacker:
    return Attacker(tier_of(secret=None))


class TestConformance(TierConformance):
    @pytest.fixture
    def tier(self, tier_of: Make) -> Redis:
        return tier_of(ttl=TTL)


def forget_key(tier: Redis) -> None:
    tier.delete(ALICE)


def forget_tag(tier: Redis) -> None:
    tier.invalidate(["x"])


def forget_all(tier: Redis) -> None:
    tier.clear()


FORGET = pytest.mark.parametrize("forget", [forget_key, forget_tag, forget_all])


@FORGET
def test_an_entry_played_back_after_an_invalidation_is_a_miss(
    tier_of: Make, attacker: Attacker, forget: Callable[[Redis], None]
) -> None:
    one, other = tier_of(), tier_of()
    one.set(ALICE, entry("old", "x", "y"))
    assert value(other.get(ALICE, ["x", "y"])[0]) == "old"
    entries = {n: d for n, d in attacker.copy().items() if n.endswith(ALICE.hex().encode())}
    forget(one)
    attacker.put_back(entries)
    # Here, where it was seen, and for one who comes later and reads the stamps.
    for tier in (one, other, tier_of()):
        assert tier.get(ALICE, ["x", "y"])[0] is None
        assert tier.get_many([ALICE]) == {}
    other.set(ALICE, entry("new", "x", "y"))
    for tier in (one, other, tier_of()):
        assert value(tier.get(ALICE, ["x", "y"])[0]) == "new"


@FORGET
def test_played_back_with_its_stamps_it_is_a_miss_for_all_who_have_seen_newer_ones(
    tier_of: Make, attacker: Attacker, forget: Callable[[Redis], None]
) -> None:
    one, other = tier_of(), tier_of()
    one.set(ALICE, entry("old", "x"))
    everything = attacker.copy()
    forget(one)
    other.get(ALICE, ["x"])  # reads what is current now
    attacker.delete(attacker.names())
    attacker.put_back(everything)
    for tier in (one, other):
        assert tier.get(ALICE, ["x"])[0] is None
    one.set(ALICE, entry("new", "x"))
    assert value(other.get(ALICE, ["x"])[0]) == "new"
    attacker.put_back(everything)
    assert other.get_many([ALICE]) == {}
    assert one.get(ALICE, ["x"])[0] is None


@FORGET
def test_who_was_told_of_an_invalidation_needs_no_stamp_to_know(
    tier_of: Make, attacker: Attacker, forget: Callable[[Redis], None]
) -> None:
    one, other = tier_of(), tier_of()
    one.set(ALICE, entry("old", "x"))
    assert value(other.get(ALICE, ["x"])[0]) == "old"
    everything = attacker.copy()
    moment = time.time()
    forget(one)
    attacker.delete(attacker.names())
    attacker.put_back(everything)
    keys, tags = [ALICE] if forget is forget_key else [], ["x"] if forget is forget_tag else []
    other.expire(keys, tags, moment, everything=forget is forget_all)
    assert other.get(ALICE, ["x"])[0] is None
    _, mark = other.get(ALICE, ["x"])
    other.set(ALICE, entry("new", "x"), mark)
    assert value(other.get(ALICE, ["x"])[0]) == "new"


@FORGET
def test_what_was_being_computed_when_it_was_invalidated_elsewhere_is_not_kept(
    tier_of: Make, forget: Callable[[Redis], None]
) -> None:
    one, other = tier_of(), tier_of()
    _, mark = one.get(ALICE, ["x"])
    forget(other)
    one.set(ALICE, entry("of before", "x"), mark)
    for tier in (one, other):
        assert tier.get(ALICE, ["x"])[0] is None


@FORGET
def test_a_void_result_does_not_take_the_place_of_a_newer_one(
    tier_of: Make, forget: Callable[[Redis], None]
) -> None:
    tags = ["x"] if forget is forget_tag else []
    one, other = tier_of(), tier_of()
    _, mark = one.get(ALICE, tags)
    forget(other)
    other.set(ALICE, entry("new", *tags))
    assert value(one.get(ALICE, tags)[0]) == "new"
    one.set(ALICE, entry("of before", *tags), mark)
    for tier in (one, other):
        assert value(tier.get(ALICE, tags)[0]) == "new"


@FORGET
def test_who_was_deceived_in_one_tier_does_not_pass_it_on_in_another(
    tier_of: Make, forget: Callable[[Redis], None]
) -> None:
    """The entry found there is older than the last invalidation here."""
    old = entry("old", "x")
    old = old._replace(created=old.created - 10)
    one, other = tier_of(), tier_of()
    _, mark = other.get(ALICE, ["x"])
    other.set(ALICE, old, mark)
    assert value(one.get(ALICE, ["x"])[0]) == "old"  # nothing was invalidated so far
    forget(one)
    for tier in (one, other):
        _, mark = tier.get(ALICE, ["x"])
        tier.set(ALICE, old, mark)
        assert tier.get(ALICE, ["x"])[0] is None
    other.set(ALICE, entry("new", "x"), mark)
    assert value(one.get(ALICE, ["x"])[0]) == "new"


def test_an_entry_does_not_outlive_its_time_in_redis(tier_of: Make, attacker: Attacker) -> None:
    """The server drops it in time; put back later, it has ended by its own word."""
    clock = FakeClock()
    tier = tier_of(ttl=60, clock=clock)
    now = clock.monotonic()
    tier.set(
        ALICE, entry("old")._replace(created=now, fresh_until=now + 1e6, stale_until=now + 1e6)
    )
    copy = attacker.copy()
    clock.advance(59)
    assert value(tier.get(ALICE)[0]) == "old"
    clock.advance(2)
    attacker.put_back(copy)
    assert tier.get(ALICE)[0] is None


@pytest.mark.parametrize("secret", [None, b"guess"])
def test_what_was_written_without_the_secret_is_a_miss(tier_of: Make, secret: bytes | None) -> None:
    told: list[str] = []
    tier, stranger = tier_of(told=told), tier_of(secret=secret)
    stranger.set(ALICE, entry("planted", "x"))
    assert tier.get(ALICE, ["x"])[0] is None
    assert told[0] == "tampered"
    tier.set(BOB, entry("ours", "x"))
    assert stranger.get(BOB, ["x"])[0] is None
    assert stranger.get_many([BOB]) == {}


def test_an_entry_is_genuine_under_its_own_key_tier_and_namespace_only(
    tier_of: Make, attacker: Attacker, namespace: str
) -> None:
    tiers = [tier_of(), tier_of(label="r2"), tier_of(place=f"{namespace}-other")]
    for tier in tiers:
        for key, text in ((ALICE, "alice's"), (BOB, "bob's")):
            tier.set(key, entry(text, "x"))
    names = [tier._commands.prefix + key.hex() for tier in tiers for key in (ALICE, BOB)]
    copy = attacker.copy([name.encode() for name in names])
    texts = list(copy.values())
    for shift in range(1, len(names)):
        attacker.put_back(dict(zip(copy, texts[shift:] + texts[:shift], strict=True)))
        for tier in tiers:
            assert tier.get(ALICE, ["x"])[0] is None
            assert tier.get(BOB, ["x"])[0] is None


def test_stamps_moved_between_names_are_refused(tier_of: Make, attacker: Attacker) -> None:
    told: list[str] = []
    tier = tier_of(told=told)
    tier.set(ALICE, entry(1, "x"))
    tier.set(BOB, entry(2, "y"))
    tags = [name for name in attacker.names() if b":tag:" in name]
    one, two = attacker.copy(tags).values()
    attacker.put_back(dict(zip(tags, (two, one), strict=True)))
    fresh = tier_of(told=told)
    assert fresh.get(ALICE, ["x"])[0] is None
    assert fresh.get(BOB, ["y"])[0] is None
    assert set(told) == {"tampered"}


@pytest.mark.parametrize("garbage", [b"", b"x", b"0123456789abcdef", b"\xff" * 43, b"A" * 43])
def test_garbage_in_the_place_of_stamps_is_a_miss_and_mended(
    tier_of: Make, attacker: Attacker, garbage: bytes
) -> None:
    tier = tier_of()
    tier.delete(ALICE)
    tier.set(ALICE, entry(1, "x"))
    entries = {ALICE.hex().encode()}
    stamps = [n for n in attacker.names() if n.split(b":")[-1] not in entries or b":key:" in n]
    assert len(stamps) == 3
    attacker.put_back(dict.fromkeys(stamps, garbage))
    for each in (tier, tier_of()):
        assert each.get(ALICE, ["x"])[0] is None
    tier.set(ALICE, entry(2, "x"))
    assert value(tier_of().get(ALICE, ["x"])[0]) == 2


@pytest.mark.parametrize("server", ["valkey", "valkey_cluster", "valkey_sentinels"], indirect=True)
async def test_both_faces_know_the_same(tier_of: Make, attacker: Attacker) -> None:
    tier = tier_of()
    await tier.aset(ALICE, entry("old", "x"))
    assert value((await tier.aget(ALICE, ["x"]))[0]) == "old"
    copy = await asyncio.to_thread(attacker.copy)
    await tier.adelete(ALICE)
    await asyncio.to_thread(attacker.put_back, copy)
    assert (await tier.aget(ALICE, ["x"]))[0] is None
    assert await tier.aget_many([ALICE]) == {}
    await tier.aset_many({ALICE: entry("new")})
    assert value((await tier.aget(ALICE))[0]) == "new"
    await tier.aclose()


def test_tags_are_not_named_in_keys(tier_of: Make, attacker: Attacker) -> None:
    tier_of().set(ALICE, entry(1, "patient:ann"))
    names = b" ".join(attacker.names())
    assert b"patient" not in names
    assert hashlib.sha256(b"patient:ann").hexdigest().encode() not in names


def test_clear_leaves_the_stamp_of_the_tier_alone(tier_of: Make, attacker: Attacker) -> None:
    tier = tier_of()
    tier.set(ALICE, entry(1, "x"))
    tier.delete(BOB)
    tier.clear()
    assert [name.split(b":")[-1] for name in attacker.names()] == [b"space"]
    found = tier.survey()
    assert (found.foreign, found.tiers["r1"].entries) == (0, 0)


def test_the_survey_knows_every_kind_of_key(tier_of: Make) -> None:
    tier = tier_of()
    tier.set(ALICE, entry(1, "x"))
    tier.delete(BOB)
    found = tier.survey()
    assert found.foreign == 0
    tier = found.tiers["r1"]
    assert (tier.entries, tier.tombstones, tier.tags) == (1, 1, 1)


# Stamps -----------------------------------------------------------------------------------------

names = st.binary(min_size=1, max_size=40)


@given(name=names, other=names, now=st.floats(0, 4e9), bit=st.integers(0, 7), data=st.data())
def test_no_changed_stamp_is_accepted(
    name: bytes, other: bytes, now: float, bit: int, data: st.DataObject
) -> None:
    made = Stamps(b"secret", "n", "r1")
    stamp = made.make(name, now)
    assert Stamps(b"secret", "n", "r1").accept(name, stamp)
    place = data.draw(st.integers(0, len(stamp) - 1))
    flipped = stamp[:place] + chr(ord(stamp[place]) ^ (1 << bit)) + stamp[place + 1 :]
    fresh = Stamps(b"secret", "n", "r1")
    # The last character has two bits that count for nothing; no entry names such a stamp.
    assert place == len(stamp) - 1 or not fresh.accept(name, flipped)
    assert not fresh.accept(name, stamp[:place])
    assert not fresh.accept(name, stamp + "A")
    assert other == name or not fresh.accept(other, stamp)
    for stranger in (("guess", "n", "r1"), ("secret", "m", "r1"), ("secret", "n", "r2")):
        assert not Stamps(stranger[0].encode(), *stranger[1:]).accept(name, stamp)


@given(st.lists(st.floats(0, 4e9), min_size=2, max_size=10))
def test_stamps_only_grow_newer_whatever_the_clock_does(moments: list[float]) -> None:
    stamps, reader = Stamps(b"s", "n", "l"), Stamps(b"s", "n", "l")
    before: str | None = None
    made: list[str] = []
    for moment in moments:
        writer = Stamps(b"s", "n", "l")  # another process each time, which reads the last one
        before = writer.make(b"x", moment, before)
        assert stamps.accept(b"x", before)
        made.append(before)
    assert len(set(made)) == len(made)
    assert reader.accept(b"x", made[-1])
    assert not any(reader.accept(b"x", old) for old in made[:-1])


def test_two_invalidations_at_one_time_make_two_stamps() -> None:
    assert Stamps(b"s", "n", "l").make(b"x", 5.0) != Stamps(b"s", "n", "l").make(b"x", 5.0)


def test_two_stamps_made_at_one_time_follow_each_other() -> None:
    stamps = Stamps(b"secret", "n", "r1")
    first = stamps.make(b"x", 5.0)
    assert stamps.accept(b"x", first)
    assert stamps.accept(b"x", stamps.make(b"x", 5.0))
    assert not stamps.accept(b"x", first)


def test_an_invalidation_that_comes_late_changes_nothing() -> None:
    stamps = Stamps(b"secret", "n", "r1")
    stamps.expire(b"x", 5.0)
    stamps.expire(b"x", 4.0)
    assert stamps.last_invalidation(b"x") == 5.0
    other = Stamps(b"secret", "n", "r1")  # of another process
    assert not stamps.accept(b"x", other.make(b"x", 4.5))
    assert stamps.accept(b"x", other.make(b"x", 5.5))


def test_signed_commands_need_a_secret() -> None:
    with pytest.raises(ValueError, match="secret"):
        SignedCommands("n", "r1", TTL, Envelope(CODEC), SYSTEM_CLOCK, False, None)


def test_more_keys_than_one_request_takes_are_found_too(tier_of: Make) -> None:
    keys = [number.to_bytes(32, "big") for number in range(600)]
    tier_of().set_many({key: entry(number) for number, key in enumerate(keys)})
    found = tier_of().get_many([*keys, ALICE])
    assert [value(found[key]) for key in keys] == list(range(600))
    assert ALICE not in found


async def test_a_plain_lookup_on_a_loop_hits_and_sees_every_invalidation(tier_of: Make) -> None:
    one, other = tier_of(), tier_of()
    await one.aset(ALICE, entry("a"))
    for tier in (one, other, other):  # at first the stamp of the tier is not known
        assert value((await tier.aget(ALICE))[0]) == "a"
    await one.adelete(ALICE)
    assert (await other.aget(ALICE))[0] is None
    for tier in (one, other):
        await tier.aclose()


def test_what_is_remembered_of_stamps_is_bounded() -> None:
    stamps = Stamps(b"s", "n", "l", permanent=b"space")
    stamps.accept(b"space", stamps.make(b"space", 1.0))
    for number in range(10_100):
        stamps.expire(b"%d" % number, 1.0)
    assert len(stamps) == 10_000
    assert stamps.is_known(b"space")
    assert not stamps.is_known(b"1")
