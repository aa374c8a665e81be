"""The record of invalidations in Redis, which tells a process what it has missed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from servers import Server

from toolops_plugins.cache import invalidation_log
from toolops_plugins.cache.envelope import Envelope
from toolops_plugins.cache.invalidation_bus import Bus
from toolops_plugins.cache.invalidation_messages import Messages, SignedMessages
from toolops_plugins.cache.redis import Redis
from toolops_plugins.clock import SYSTEM_CLOCK
from toolops_plugins.codec import Codec
from toolops_plugins.errors import TierError

ALICE = b"a" * 32
Make = Callable[..., Bus]


@pytest.fixture(params=["valkey", "valkey_cluster", "valkey_sentinels"])
def url(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(request.param).url


@pytest.fixture
def make(namespace: str) -> Iterator[Make]:
    """Makes ends of one bus that do not listen."""
    tiers: list[Redis] = []

    def make(url: str, messages: Messages | None = None) -> Bus:
        tier = Redis(url, socket_timeout=10, connect_timeout=10)
        tier.bind(namespace, Envelope(Codec()), SYSTEM_CLOCK, "r1")
        tiers.append(tier)
        return Bus(tier, lambda *_: None, messages=messages)

    yield make
    for tier in tiers:
        tier.close()


def test_who_did_not_listen_reads_it_all_in_order(make: Make, url: str) -> None:
    one, two = make(url), make(url)
    begun = two.history()
    assert (begun.entries, begun.is_new) == ((), True)
    one.publish([ALICE], [])
    one.publish([], ["red", "ünï\0\n"])
    one.publish(everything=True)
    found = two.history()
    named = [(entry.keys, entry.tags, entry.everything) for entry in found.entries]
    assert named == [([ALICE], [], False), ([], ["red", "ünï\0\n"], False), ([], [], True)]
    numbers = [begun.last, *(entry.number for entry in found.entries)]
    assert sorted(set(numbers)) == numbers
    assert (found.id, found.floor, found.last) == (begun.id, begun.floor, numbers[-1])
    assert (found.is_new, one.history().is_new) == (True, False)
    assert not any(entry.is_own for entry in found.entries)
    assert all(entry.is_own for entry in one.history().entries)
    rest = two.history((found.id, numbers[2]))
    assert rest.entries == found.entries[2:]
    assert len(two.history(("another", numbers[2])).entries) == 3


async def test_so_it_is_on_an_event_loop(make: Make, valkey: Server) -> None:
    one, two = make(valkey.url), make(valkey.url)
    begun = await two.ahistory()
    assert begun.is_new
    await one.apublish([], ["red"])
    (entry,) = (await two.ahistory()).entries
    assert (entry.tags, entry.is_own) == (["red"], False)
    assert (await two.ahistory((begun.id, entry.number))).entries == []
    for bus in (one, two):
        await bus._tier.aclose()


def test_it_is_bounded_and_knows_what_it_has_dropped(
    make: Make, valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invalidation_log, "_LIMIT", 1_000)
    one, two = make(valkey.url), make(valkey.url)
    numbers = [two.history().last]
    for number in range(50):
        one.publish([], [f"tag {number}"])
        numbers.append(two.history().last)
    found = two.history()
    assert len(valkey.command("GET", one._tier.channel)) < 1_100
    kept = len(found.entries)
    assert 5 < kept < 20
    assert [entry.tags for entry in found.entries] == [[f"tag {n}"] for n in range(50 - kept, 50)]
    assert (found.floor, found.last) == (numbers[-kept - 1], numbers[-1])
    one.publish([], ["x" * 2_000])  # larger than all of it
    found = two.history()
    assert (found.entries, found.floor) == ([], found.last)


def test_only_holders_of_the_secret_are_believed(make: Make, valkey: Server) -> None:
    refused: list[Exception] = []
    channel = make(valkey.url)._tier.channel

    def sign(secret: bytes) -> SignedMessages:
        return SignedMessages(secret, channel, on_refusal=refused.append)

    make(valkey.url, sign(b"guess")).publish([], ["forged"])
    make(valkey.url, sign(b"secret")).publish([], ["true"])
    (entry,) = make(valkey.url, sign(b"secret")).history().entries
    assert (entry.tags, len(refused)) == (["true"], 1)


@pytest.mark.parametrize("rubbish", [b"", b"rubbish", b"12 3 4\nx", b"ab 1 2\n7 9\nshort\n8"])
def test_rubbish_in_its_place_is_an_error_or_begun_anew(
    make: Make, valkey: Server, rubbish: bytes
) -> None:
    bus = make(valkey.url)
    valkey.command("SET", bus._tier.channel, rubbish)
    with pytest.raises(TierError, match="not readable"):
        bus.history()
    bus.publish([], ["red"])
    if not rubbish.startswith((b"ab", b"12")):
        assert [entry.tags for entry in bus.history().entries] == [["red"]]


def test_a_message_that_cannot_be_recorded_is_sent_all_the_same(
    make: Make, valkey: Server, namespace: str
) -> None:
    one = make(valkey.url)
    user = f"user-{namespace}"
    valkey.command("ACL", "SETUSER", user, "on", ">x", "~*", "&*", "+@all", "-eval")
    heard: list[object] = []
    tier = Redis(valkey.url, username=user, password="x", socket_timeout=10, connect_timeout=10)
    tier.bind(namespace, Envelope(Codec()), SYSTEM_CLOCK, "r1")
    with valkey.client() as client, client.pubsub() as ear:
        ear.subscribe(one._tier.channel)
        assert ear.get_message(timeout=20)
        with pytest.raises(TierError):
            Bus(tier, lambda *_: None).publish([], ["red"])
        heard.append(ear.get_message(timeout=20))
    assert b"red" in heard[0]["data"]
    tier.close()
    valkey.command("ACL", "DELUSER", user)
