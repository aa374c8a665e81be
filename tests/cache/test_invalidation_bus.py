from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import Server, start_valkey, wait_for

from toolops_plugins.cache.envelope import Envelope
from toolops_plugins.cache.invalidation_bus import Bus
from toolops_plugins.cache.redis import Redis
from toolops_plugins.clock import SYSTEM_CLOCK
from toolops_plugins.codec import Codec
from toolops_plugins.errors import TierError

PATIENCE = 20.0  # only a failing test waits so long
ALICE, BOB = b"a" * 32, b"b" * 32


class Ear:
    """Keeps what a bus was told, and lets a test wait for it."""

    def __init__(self) -> None:
        self.heard: list[tuple[list[bytes], list[str], bool]] = []
        self._news = threading.Condition()

    def __call__(self, keys: list[bytes], tags: list[str], everything: bool) -> None:
        with self._news:
            self.heard.append((keys, tags, everything))
            self._news.notify_all()

    def wait(self, number: int) -> list[tuple[list[bytes], list[str], bool]]:
        with self._news:
            assert self._news.wait_for(lambda: len(self.heard) >= number, PATIENCE)
            return self.heard


Ends = Callable[..., tuple[Bus, Ear]]


@pytest.fixture
def end(namespace: str) -> Iterator[Ends]:
    """Makes ends of one bus, that listen."""
    made: list[tuple[Bus, Redis]] = []

    def make(url: str, *, ready: bool = True, start: bool = True) -> tuple[Bus, Ear]:
        tier = Redis(url, socket_timeout=10, connect_timeout=10)
        tier.bind(namespace, Envelope(Codec()), SYSTEM_CLOCK, "r1")
        ear = Ear()
        bus = Bus(tier, ear)
        made.append((bus, tier))
        if start:
            bus.start()
            assert not ready or bus.ready.wait(PATIENCE)
        return bus, ear

    yield make
    for bus, _ in made:
        bus._stop.set()  # all at once, or each would be waited for in turn
    for bus, tier in made:
        bus.close()
        tier.close()


@pytest.fixture(params=["valkey", "valkey_cluster", "valkey_sentinels"])
def url(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(request.param).url


def test_what_one_end_publishes_the_others_hear(end: Ends, url: str) -> None:
    (one, own), (_, first), (_, second) = end(url), end(url), end(url)
    one.publish(keys=[ALICE, BOB])
    one.publish(tags=["ticker:ACME", "ünï\0"])
    one.publish(everything=True)
    expected = [
        ([ALICE, BOB], [], False),
        ([], ["ticker:ACME", "ünï\0"], False),
        ([], [], True),
    ]
    assert first.wait(3) == expected
    assert second.wait(3) == expected
    assert own.heard == []


async def test_publishing_from_a_loop(end: Ends, valkey: Server) -> None:
    (one, _), (_, ear) = end(valkey.url), end(valkey.url)
    await one.apublish(tags=["t"])
    assert ear.wait(1) == [([], ["t"], False)]
    await one._tier.aclose()


def test_it_does_not_hear_itself(end: Ends, valkey: Server) -> None:
    (one, own), (other, _) = end(valkey.url), end(valkey.url)
    one.publish(tags=["own"])
    other.publish(tags=["other"])  # comes after, so its coming shows that the first was dropped
    assert own.wait(1) == [([], ["other"], False)]


@pytest.mark.parametrize(
    "noise",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b"7",
        b"{}",
        b'{"origin":"x"}',
        b'{"origin":"x","keys":["zz"],"tags":[],"everything":false}',
        b'{"origin":"x","keys":[7],"tags":[],"everything":false}',
        b'{"origin":"x","keys":7,"tags":7,"everything":false}',
    ],
)
def test_messages_that_it_does_not_know_are_ignored(
    end: Ends, valkey: Server, noise: bytes
) -> None:
    (one, _), (_, ear) = end(valkey.url), end(valkey.url)
    valkey.command("PUBLISH", one._tier.channel, noise)
    one.publish(tags=["t"])
    assert ear.wait(1) == [([], ["t"], False)]


def test_namespaces_do_not_hear_each_other(end: Ends, valkey: Server, namespace: str) -> None:
    _, ear = end(valkey.url)
    (one, _) = end(valkey.url)
    stranger = Redis(valkey.url)
    stranger.bind(f"{namespace}*", Envelope(Codec()), SYSTEM_CLOCK, "r1")
    Bus(stranger, Ear()).publish(tags=["strange"])
    one.publish(tags=["t"])
    assert ear.wait(1) == [([], ["t"], False)]
    stranger.close()


def test_an_error_of_the_callback_does_not_end_the_listening(end: Ends, valkey: Server) -> None:
    (one, _), (other, ear) = end(valkey.url), end(valkey.url)

    def fail_once(*args: Any) -> None:
        other._on_void = ear
        raise RuntimeError(args)

    other._on_void = fail_once
    one.publish(tags=["lost"])
    one.publish(tags=["t"])
    assert ear.wait(1) == [([], ["t"], False)]


def test_after_a_break_everything_is_void(end: Ends, tmp_path: Path) -> None:
    server = start_valkey(tmp_path)
    try:
        (one, own), (_, ear) = end(server.url), end(server.url)
        assert ear.heard == []  # the first subscription missed nothing
        server.restart()
        assert ear.wait(1) == [([], [], True)]
        assert own.wait(1) == [([], [], True)]
        wait_for(one.ready.is_set, "its subscription")
        wait_for(lambda: _subscribers(server, one) == 2, "both subscriptions")
        one._tier.connection.cooldown.reset()
        one.publish(tags=["t"])
        assert ear.wait(2)[1:] == [([], ["t"], False)]
    finally:
        server.stop()


def _subscribers(server: Server, bus: Bus) -> int:
    return server.command("PUBSUB", "NUMSUB", bus._tier.channel)[1]


def test_one_dropped_connection_is_a_break_too(end: Ends, valkey: Server) -> None:
    _, ear = end(valkey.url)
    (pubsub,) = [
        client
        for client in valkey.command("CLIENT LIST")
        if client["sub"] == "1" and client["name"] == ""
    ][-1:]
    valkey.command("CLIENT", "KILL", "ID", pubsub["id"])
    assert ear.wait(1) == [([], [], True)]


def test_a_first_subscription_that_came_late_voids_what_was_kept_before(
    end: Ends, tmp_path: Path
) -> None:
    server = start_valkey(tmp_path)
    try:
        server.stop()
        bus, ear = end(server.url, ready=False)
        wait_for(lambda: bus._thread is not None and not bus.ready.is_set(), "a thread")
        with pytest.raises(TierError):
            bus.publish(tags=["t"])
        server.start()
        assert ear.wait(1) == [([], [], True)]
        assert bus.ready.wait(PATIENCE)
    finally:
        server.stop()


def test_a_server_that_falls_silent_is_given_up(end: Ends, tmp_path: Path) -> None:
    server = start_valkey(tmp_path)

    class Hasty:
        """Every look at it is five seconds after the last."""

        now = 0.0

        def __getattr__(self, name: str) -> Any:
            return getattr(SYSTEM_CLOCK, name)

        def monotonic(self) -> float:
            self.now += 5
            return self.now

    try:
        bus, ear = end(server.url, start=False)
        bus._clock = Hasty()
        bus.start()
        assert bus.ready.wait(PATIENCE)
        server.pause()
        wait_for(lambda: not bus.ready.is_set(), "its giving up")
        server.resume()
        assert ear.wait(1)[0] == ([], [], True)
    finally:
        server.stop()


def test_start_and_close_may_be_called_again(end: Ends, valkey: Server) -> None:
    (one, _), (other, ear) = end(valkey.url), end(valkey.url)
    threads = set(threading.enumerate())
    other.start()
    assert set(threading.enumerate()) <= threads  # those of other tests may end meanwhile
    thread = other._thread
    other.close()
    other.close()
    assert thread is not None
    assert not thread.is_alive()
    assert not other.ready.is_set()
    other.start()
    assert other.ready.wait(PATIENCE)
    one.publish(tags=["t"])
    assert ear.wait(2) == [([], [], True), ([], ["t"], False)]  # it was away for a while


def _in_child(bus: Bus, ear: Ear, heard: Any) -> None:
    ear.heard.clear()
    assert not bus.ready.is_set()
    bus.start()
    bus.ready.wait(PATIENCE)
    heard.put("ready")
    heard.put(ear.wait(1))
    bus.publish(tags=["child"])
    bus.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_listens_for_itself(end: Ends, valkey: Server) -> None:
    (one, _), (other, ear) = end(valkey.url), end(valkey.url)
    context = multiprocessing.get_context("fork")
    heard = context.SimpleQueue()
    with other._lock:  # held by a thread that the child does not have
        child = context.Process(target=_in_child, args=(other, ear, heard))
        child.start()
    assert heard.get() == "ready"
    one.publish(tags=["t"])
    assert heard.get() == [([], ["t"], False)]
    child.join()
    assert ear.wait(2) == [([], ["t"], False), ([], ["child"], False)]
