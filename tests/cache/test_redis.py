from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from cache.tier_conformance import TTL, TierConformance, assert_same
from hypothesis import given
from hypothesis import strategies as st
from servers import Cluster, Server, TlsFront, start_valkey, wait_for

from toolops_plugins.cache.entry import Entry
from toolops_plugins.cache.envelope import Envelope
from toolops_plugins.cache.redis import Redis
from toolops_plugins.cache.redis.url import parse
from toolops_plugins.clock import SYSTEM_CLOCK, SystemClock
from toolops_plugins.codec import Codec
from toolops_plugins.cooldown import Cooldown
from toolops_plugins.errors import ConfigurationError, TamperedError, TierError

CODEC = Codec()
# A machine that is busy with other tests must not look like a server that hangs.
PATIENT = {"socket_timeout": 10, "connect_timeout": 10}


class Hands(SystemClock):
    """A clock whose hands a test turns."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


def key(number: int = 0) -> bytes:
    return number.to_bytes(32, "big")


def entry(value: Any, tags: tuple[str, ...] = (), life: float = 100) -> Entry:
    now = time.monotonic()
    return Entry(CODEC.encode(value), now, now + life / 2, now + life, tags=tags)


def value(found: Entry | None) -> Any:
    return None if found is None else CODEC.decode(found.payload)


def make(url: str, namespace: str, *, secret: bytes | None = None, **options: Any) -> Redis:
    trouble = options.pop("on_trouble", None)
    clock = options.pop("clock", SYSTEM_CLOCK)
    tier = Redis(url, **{**PATIENT, **options})
    tier.bind(namespace, Envelope(CODEC, secret), clock, "r1", trouble)
    return tier


class Face:
    """One of a tier's two faces, under the names of the blocking one."""

    def __init__(self, tier: Redis, kind: str) -> None:
        self._tier = tier
        self._kind = kind

    def __getattr__(self, name: str) -> Any:
        if self._kind == "async":
            return getattr(self._tier, f"a{name}")
        method = getattr(self._tier, name)
        return lambda *args: asyncio.to_thread(method, *args)


@pytest.fixture(params=["standalone", "cluster", "sentinel"])
def url(request: pytest.FixtureRequest) -> str:
    fixture = {"standalone": "valkey", "cluster": "valkey_cluster", "sentinel": "valkey_sentinels"}
    return request.getfixturevalue(fixture[request.param]).url


@pytest.fixture
def tier(url: str, namespace: str) -> Iterator[Redis]:
    made = make(url, namespace)
    yield made
    made.close()


@pytest.fixture(params=["sync", "async"])
def face(request: pytest.FixtureRequest, tier: Redis) -> Face:
    return Face(tier, request.param)


class TestConformance(TierConformance):
    # Sentinels only lead to a standalone server; the tests below reach it through them.
    @pytest.fixture(params=["valkey", "valkey_cluster"])
    def tier(self, request: pytest.FixtureRequest, namespace: str) -> Iterator[Redis]:
        url = request.getfixturevalue(request.param).url
        made = make(url, namespace, ttl=TTL)
        yield made
        made.close()


# What is kept


async def test_an_entry_comes_back_whole(face: Face) -> None:
    written = entry({"a": [1, (2, None)]}, ("x", "y"))
    found, mark = await face.get(key(), ["y", "x", "x"])
    assert found is None
    await face.set(key(), written, mark)
    found, _ = await face.get(key(), ["x", "y"])
    assert_same(found, written)
    assert value(found) == {"a": [1, (2, None)]}


async def test_an_entry_with_other_tags_than_the_call_is_not_found(face: Face) -> None:
    await face.set(key(), entry(1, ("x",)))
    for tags in ([], ["y"], ["x", "y"]):
        assert (await face.get(key(), tags))[0] is None
    assert value((await face.get(key(), ["x"]))[0]) == 1


async def test_delete_forgets_and_voids_earlier_marks(face: Face) -> None:
    _, before = await face.get(key())
    await face.delete(key())
    found, after = await face.get(key())
    assert found is None
    await face.set(key(), entry("old"), before)
    assert (await face.get(key()))[0] is None
    await face.set(key(), entry("new"), after)
    # An older result must not come back over a newer one either.
    await face.set(key(), entry("old"), before)
    assert value((await face.get(key()))[0]) == "new"
    await face.set(key(), entry("newest"))
    await face.set(key(), entry("old"), before)
    assert value((await face.get(key()))[0]) == "newest"


async def test_a_refresh_overwrites_what_it_found(face: Face) -> None:
    await face.set(key(), entry(1))
    _, mark = await face.get(key())
    await face.set(key(), entry(2), mark)
    assert value((await face.get(key()))[0]) == 2


async def test_invalidating_a_tag_forgets_its_entries_and_no_others(face: Face) -> None:
    for number, tags in enumerate([("a",), ("a", "b"), ("b",), ()]):
        await face.set(key(number), entry(number, tags))
    await face.invalidate(["a"])
    found = [(await face.get(key(n), t))[0] for n, t in enumerate([["a"], ["a", "b"], ["b"], []])]
    assert [value(each) for each in found] == [None, None, 2, 3]


async def test_a_result_from_before_an_invalidation_never_counts(face: Face) -> None:
    # The hard case: no stamp existed at the lookup, and another writer makes one in between.
    _, before = await face.get(key(), ["a"])
    await face.invalidate(["a"])
    await face.set(key(1), entry("other", ("a",)))
    await face.set(key(), entry("old", ("a",)), before)
    assert (await face.get(key(), ["a"]))[0] is None
    assert value((await face.get(key(1), ["a"]))[0]) == "other"


async def test_a_mark_of_an_untagged_lookup_still_binds_the_tags_of_the_result(face: Face) -> None:
    _, mark = await face.get(key())
    await face.set(key(), entry(1, ("a",)), mark)
    assert value((await face.get(key(), ["a"]))[0]) == 1


async def test_many_entries_go_in_chunks(face: Face) -> None:
    entries = {key(n): entry(n, ("odd",) if n % 2 else ()) for n in range(1200)}
    await face.set_many(entries)
    found = await face.get_many([*entries, key(5000)])
    assert found.keys() == entries.keys()
    for name, one in entries.items():
        assert_same(found[name], one)
    await face.invalidate(["odd"])
    assert len(await face.get_many(entries)) == 600
    assert await face.get_many([]) == {}


async def test_clear_forgets_everything_of_its_own(face: Face) -> None:
    _, untagged = await face.get(key(7001))
    _, tagged = await face.get(key(7002), ["a"])
    await face.set_many({key(n): entry(n, ("a",)) for n in range(1200)})
    await face.clear()
    assert await face.get_many([key(n) for n in range(1200)]) == {}
    await face.set(key(7001), entry("old"), untagged)
    await face.set(key(7002), entry("old", ("a",)), tagged)
    assert (await face.get(key(7001)))[0] is None
    assert (await face.get(key(7002), ["a"]))[0] is None


def test_clear_touches_no_other_namespace_or_label(valkey: Server) -> None:
    fresh = uuid.uuid4().hex
    spaces = [fresh, f"{fresh}*", f"{fresh}:r1", "*", "[a-z]*", f"{fresh}?", "{" + fresh + "}", ""]
    tiers = [make(valkey.url, space) for space in spaces]
    tiers += [make(valkey.url, fresh, label=label) for label in ("r1:tag", "*", "r?")]
    try:
        for number, each in enumerate(tiers):
            each.set(key(), entry(number, ("t",)))
        for number, each in enumerate(tiers):
            each.clear()
            rest = [value(other.get(key(), ["t"])[0]) for other in tiers]
            assert rest == [None if n <= number else n for n in range(len(tiers))]
    finally:
        for each in tiers:
            each.close()


@given(st.text(), st.text())
def test_no_prefix_covers_keys_of_another_namespace(one: str, other: str) -> None:
    tiers = [Redis("redis://127.0.0.1:1") for _ in range(2)]
    for each, namespace in zip(tiers, (one, other), strict=True):
        each.bind(namespace, Envelope(CODEC), SYSTEM_CLOCK, "r1")
    first, second = (each._commands.prefix for each in tiers)
    assert second.startswith(first) is (one == other)
    assert not set(first) & set("*?[]^\\{}")


def test_an_entry_lives_for_the_shorter_of_its_own_and_the_tiers_time(
    valkey: Server, namespace: str
) -> None:
    tier = make(valkey.url, namespace, ttl=50)
    for number, life in enumerate([20, 1000]):
        tier.set(key(number), entry(1, ("a",), life))
    tier.set(key(2), entry(1, life=-1))
    names = [tier._commands.prefix + key(number).hex() for number in range(3)]
    lives = [tier.send("PTTL", name) for name in names]
    stamp = tier.send("PTTL", tier._commands._stamp("a"))
    tier.close()
    assert 0 < lives[0] <= 20_000 < lives[1] <= 50_000
    assert lives[2] == -2  # not written at all
    assert stamp > 50_000  # a stamp outlives every entry that names it


def test_a_stamp_is_extended_by_every_write(valkey: Server, namespace: str) -> None:
    tier = make(valkey.url, namespace)
    tier.set(key(0), entry(1, ("a",)))
    stamp = tier._commands._stamp("a")
    tier.send("PEXPIRE", stamp, 5_000)
    tier.set(key(1), entry(1, ("a",)))
    life = tier.send("PTTL", stamp)
    both = len(tier.get_many([key(0), key(1)]))
    tier.close()
    assert life > 3_000_000
    assert both == 2


def test_what_is_past_its_time_is_not_found_whatever_the_server_thinks(
    valkey: Server, namespace: str
) -> None:
    class Late(SystemClock):
        ahead = 0.0

        def monotonic(self) -> float:
            return time.monotonic() + self.ahead

    clock = Late()
    tier = make(valkey.url, namespace, clock=clock)
    tier.set(key(), entry(1, life=100))
    assert tier.get(key())[0] is not None
    clock.ahead = 101
    assert tier.get(key())[0] is None
    tier.close()


@pytest.mark.parametrize("garbage", [b"", b"x", b"12345678", b"a" * 9, os.urandom(300)])
def test_bytes_that_cannot_be_read_are_a_miss_and_left_alone(
    valkey: Server, namespace: str, garbage: bytes
) -> None:
    told: list[tuple[str, Exception]] = []
    tier = make(valkey.url, namespace, on_trouble=lambda *args: told.append(args))
    name = tier._commands.prefix + key().hex()
    valkey.command("SET", name, garbage)
    found, mark = tier.get(key())
    assert found is None
    assert [kind for kind, _ in told] == ([] if len(garbage) == 8 else ["unknown_format"])
    assert valkey.command("GET", name) == garbage
    tier.set(key(), entry(1), mark)  # our own result may take its place
    assert value(tier.get(key())[0]) == 1
    tier.close()


def test_a_planted_entry_is_a_miss(valkey: Server, namespace: str) -> None:
    told: list[tuple[str, Exception]] = []
    attacker = make(valkey.url, namespace, secret=b"guess")
    tier = make(valkey.url, namespace, secret=b"secret", on_trouble=lambda *args: told.append(args))
    attacker.set(key(), entry("planted"))
    assert tier.get(key())[0] is None
    assert told[0][0] == "tampered"
    assert isinstance(told[0][1], TamperedError)
    # An entry that is genuine elsewhere is not genuine here.
    tier.set(key(1), entry("genuine"))
    data = valkey.command("GET", tier._commands.prefix + key(1).hex())
    valkey.command("SET", tier._commands.prefix + key(2).hex(), data)
    assert tier.get(key(2))[0] is None
    attacker.close()
    tier.close()


def test_an_entry_without_bytes_is_told_of_and_not_kept(valkey: Server, namespace: str) -> None:
    told: list[str] = []
    tier = make(valkey.url, namespace, on_trouble=lambda kind, _: told.append(kind))
    good = entry(1)
    bad = good._replace(payload=type(good.payload).local(object()))
    tier.set_many({key(0): bad, key(1): good})
    assert told == ["not_encodable"]
    assert set(tier.get_many([key(0), key(1)])) == {key(1)}
    tier.close()


# Where it connects


def test_doctors_questions(tier: Redis, url: str) -> None:
    tier.ping()
    tier.write_check()
    described = tier.describe()
    assert described["server"] == "valkey"
    assert described["version"].startswith("9.")
    assert described["kind"] == parse(url).kind


async def test_an_async_ping(tier: Redis) -> None:
    await tier.aping()
    await tier.aclose()


def test_a_cluster_spreads_the_keys(valkey_cluster: Cluster, namespace: str) -> None:
    tier = make(valkey_cluster.url, namespace)
    tier.set_many({key(n): entry(n) for n in range(60)})
    for node in valkey_cluster.nodes:
        with node.client() as client:
            assert any(client.scan_iter(f"toolops:{namespace}:*"))
    tier.close()


def test_a_url_may_name_a_cluster_by_one_node(valkey_cluster: Cluster, namespace: str) -> None:
    node = valkey_cluster.nodes[1]
    tier = make(f"valkey+cluster://{node.host}:{node.port}", namespace)
    tier.set_many({key(n): entry(n) for n in range(60)})
    assert len(tier.get_many([key(n) for n in range(60)])) == 60
    tier.close()


def test_users_and_passwords(
    valkey: Server, namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server = start_valkey(
        tmp_path_factory.mktemp("acl"),
        credentials="ann:p%40ss%3A@",
        user=["ann on >p@ss: ~* &* +@all", "default on nopass ~* &* +@all"],
    )
    try:
        tier = make(server.url, namespace)
        assert tier.send("ACL", "WHOAMI") == b"ann"
        assert "p@ss" not in repr(tier)
        assert "p%40ss" not in repr(tier)
        tier.close()
        # The arguments do as well.
        tier = make(
            f"redis://{server.host}:{server.port}", namespace, username="ann", password="p@ss:"
        )
        assert tier.send("ACL", "WHOAMI") == b"ann"
        assert "p@ss" not in repr(tier)
        tier.close()
        wrong = make(f"redis://ann:wrong@{server.host}:{server.port}", namespace)
        with pytest.raises(TierError) as raised:
            wrong.get(key())
        assert "wrong@" not in str(raised.value)
        assert wrong.connection.cooldown.is_down
        wrong.close()
    finally:
        server.stop()


async def test_tls(
    valkey: Server, namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    front = await asyncio.to_thread(TlsFront, tmp_path_factory.mktemp("tls"), valkey)
    try:
        tier = make(front.url, namespace)
        await asyncio.to_thread(tier.set, key(), entry(1))
        found, _ = await tier.aget(key())
        assert value(found) == 1
        await tier.aclose()
        # Without the certificate the server is not trusted.
        stranger = make(front.url.partition("?")[0], namespace)
        with pytest.raises(TierError, match=r"(?i)certificate"):
            await asyncio.to_thread(stranger.get, key())
        await stranger.aclose()
    finally:
        await asyncio.to_thread(front.stop)


def test_a_unix_socket_and_a_database(
    namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("unix")
    server = start_valkey(folder, unixsocket=folder / "s")
    try:
        tier = make(f"unix://{folder}/s?db=3", namespace)
        tier.set(key(), entry(1))
        assert value(tier.get(key())[0]) == 1
        asyncio.run(_get_and_close(tier))
        other = make(f"redis://{server.host}:{server.port}/3", namespace)
        assert value(other.get(key())[0]) == 1
        other.close()
        tier.close()
    finally:
        server.stop()


async def _get_and_close(tier: Redis) -> None:
    assert (await tier.aget(key()))[0] is not None
    await tier.aclose()


def test_a_connection_tells_the_server_nothing_of_itself(valkey: Server, namespace: str) -> None:
    tier = make(valkey.url, namespace, client_name=namespace)
    tier.get(key())
    (client,) = _clients_of(valkey, namespace)
    tier.close()
    assert (client["lib-name"], client["lib-ver"], client["resp"]) == ("", "", "2")


# Configuration


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost",
        "localhost:6379",
        "",
        "redis://h:port",
        "redis://h:99999",
        "redis://h/one",
        "redis://h/-1",
        "redis://h/0/1",
        "redis://a,b",
        "redis://[::1",
        "redis+sentinel://h",
        "redis+cluster://h/1",
        "unix://host/path",
        "unix://",
        "redis://h?db=x",
        "redis://h?decode_responses=1",
        "redis://h?ssl_check_hostname=maybe",
        "redis://user:hunter2@h?nonsense=1",
        7,
    ],
)
def test_a_wrong_url_is_refused_at_once(url: Any) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Redis(url)
    assert raised.value.parameter == "url"
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("ttl", 0),
        ("ttl", -1),
        ("ttl", None),
        ("socket_timeout", 0),
        ("connect_timeout", -1),
        ("max_loops", 0),
        ("max_connections", 0),
        ("decode_responses", True),
        ("retry", None),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, wrong: Any) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Redis("redis://h", **{name: wrong})
    assert raised.value.parameter == name


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://", "redis://localhost:6379/0"),
        ("valkeys://u:p@h:1/2", "rediss://h:1/2"),
        ("redis://[::1]:7/0", "redis://[::1]:7/0"),
        ("redis+sentinel://:p@a,b:9/my%20main/2", "redis+sentinel://a:26379,b:9/my%20main/2"),
        ("rediss+cluster://a:1,b:2", "rediss+cluster://a:1,b:2/0"),
        ("unix://u:p@/tmp/s?db=2", "unix:///tmp/s"),
    ],
)
def test_a_url_is_shown_without_what_is_secret(url: str, shown: str) -> None:
    assert str(parse(url)) == shown
    assert repr(shown) in repr(Redis(url))
    assert "'p'" not in repr(parse(url))


def test_use_before_a_runtime_bound_it_says_so() -> None:
    tier = Redis("redis://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="bound"):
        tier.get(key())
    with pytest.raises(ConfigurationError, match="bound"):
        tier.clear()


def test_two_namespaces_cannot_share_a_tier(namespace: str) -> None:
    tier = make("redis://127.0.0.1:1", namespace)
    tier.bind(namespace, Envelope(CODEC), SYSTEM_CLOCK, "r2")
    with pytest.raises(ConfigurationError, match="tiers"):
        tier.bind(f"{namespace}2", Envelope(CODEC), SYSTEM_CLOCK, "r1")


def test_the_core_is_imported_without_redis() -> None:
    code = """if True:
        import sys, toolops_plugins.cache.redis, toolops_plugins.cache.invalidation_bus
        sys.exit('redis' in sys.modules)
    """
    subprocess.run([sys.executable, "-c", code], check=True)


# Loops, threads and processes


def test_two_runs_of_a_loop_leave_no_connection(valkey: Server, namespace: str) -> None:
    name = f"c{uuid.uuid4().hex}"
    tier = make(valkey.url, namespace, client_name=name)

    async def work() -> None:
        await tier.aset(key(), entry(1))
        await asyncio.gather(*(tier.aget(key()) for _ in range(10)))
        assert _connections(valkey, name) >= 1

    for _ in range(2):
        asyncio.run(work())
        # Nothing was closed by hand: the loop's own end did it.
        wait_for(lambda: _connections(valkey, name) == 0, "no connection")
    gc.collect()
    tier.close()


def _connections(server: Server, name: str) -> int:
    return len(_clients_of(server, name))


def _clients_of(server: Server, name: str) -> list[dict[str, str]]:
    return [client for client in server.command("CLIENT LIST") if client["name"] == name]


async def test_closing_releases_every_connection_and_use_reopens(
    valkey: Server, namespace: str
) -> None:
    name = f"c{uuid.uuid4().hex}"
    tier = make(valkey.url, namespace, client_name=name)
    for _ in range(2):
        await tier.aset(key(), entry(1))
        await asyncio.to_thread(tier.get, key())
        assert await asyncio.to_thread(_connections, valkey, name) == 2
        await tier.aclose()
        await asyncio.to_thread(wait_for, lambda: _connections(valkey, name) == 0, "no connection")


def test_closing_releases_connections_of_a_loop_in_another_thread(
    valkey: Server, namespace: str
) -> None:
    name = f"c{uuid.uuid4().hex}"
    tier = make(valkey.url, namespace, client_name=name)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(tier.aset(key(), entry(1)), loop).result()
        assert _connections(valkey, name) == 1
        tier.close()
        wait_for(lambda: _connections(valkey, name) == 0, "no connection")
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_only_so_many_loops_keep_a_client(valkey: Server, namespace: str) -> None:
    name = f"c{uuid.uuid4().hex}"
    tier = make(valkey.url, namespace, client_name=name, max_loops=2)
    with asyncio.Runner() as a, asyncio.Runner() as b, asyncio.Runner() as c:
        a.run(tier.aset(key(), entry(1)))
        b.run(tier.aget(key()))
        a.run(tier.aget(key()))  # b is now the one unused for longest
        c.run(tier.aget(key()))
        b.run(asyncio.sleep(0.01))  # it lets go as soon as it runs
        assert len(tier._clients._clients.loops) == 2
        wait_for(lambda: _connections(valkey, name) == 2, "two connections")
        for runner in (a, b, c):
            assert value(runner.run(tier.aget(key()))[0]) == 1
    wait_for(lambda: _connections(valkey, name) == 0, "no connection")
    tier.close()


async def test_more_operations_than_connections_wait_their_turn(
    valkey: Server, namespace: str
) -> None:
    name = f"c{uuid.uuid4().hex}"
    tier = make(valkey.url, namespace, client_name=name, max_connections=3)
    await tier.aset(key(), entry(1))
    found = await asyncio.gather(*(tier.aget(key()) for _ in range(200)))
    assert all(value(each) == 1 for each, _ in found)
    assert await asyncio.to_thread(_connections, valkey, name) <= 3
    await tier.aclose()


def test_threads_share_a_bounded_number_of_connections(valkey: Server, namespace: str) -> None:
    name = f"c{uuid.uuid4().hex}"
    tier = make(valkey.url, namespace, client_name=name, max_connections=2)
    failed: list[Exception] = []

    def work(number: int) -> None:
        try:
            for _ in range(20):
                tier.set(key(number), entry(number))
                assert value(tier.get(key(number))[0]) == number
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert _connections(valkey, name) <= 2
    tier.close()


def _in_child(tier: Redis, results: Any) -> None:
    try:
        found = [value(tier.get(key(n % 50))[0]) for n in range(200)]
        found += [value(asyncio.run(tier.aget(key(7)))[0])]
        results.put(found)
    except Exception as error:
        results.put(repr(error))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_connections_of_its_own(valkey: Server, namespace: str) -> None:
    tier = make(valkey.url, namespace)
    tier.set_many({key(n): entry(n) for n in range(50)})
    # As if threads that the child does not have held everything.
    for _ in range(32):
        assert tier._clients.gate.take(0.0)
    locks = [tier._clients._lock, tier._clients.opening, tier.connection.cooldown._lock]
    for lock in locks:
        lock.acquire()
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=_in_child, args=(tier, results))
    child.start()
    for lock in locks:
        lock.release()
    for _ in range(32):
        tier._clients.gate.give_back()
    mine = [value(tier.get(key(n % 50))[0]) for n in range(200)]
    theirs = results.get()
    child.join()
    tier.close()
    assert mine == [n % 50 for n in range(200)]
    assert theirs == [*mine, 7]


@pytest.mark.parametrize("kind", ["standalone", "cluster"])
async def test_a_cancelled_lookup_leaves_no_reply_behind(
    namespace: str, tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    folder = tmp_path_factory.mktemp("cancel")
    if kind == "cluster":
        cluster = await asyncio.to_thread(Cluster, folder, 1)
        url, server = cluster.url, cluster.nodes[0]
    else:
        server = await asyncio.to_thread(start_valkey, folder)
        url = server.url
    tier = make(url, namespace, max_connections=1)
    try:
        for number in range(3):
            await tier.aset(key(number), entry(number))
        server.pause()
        for tags in ([], ["a"]):
            lookup = asyncio.create_task(tier.aget(key(0), tags))
            await _until_it_waits(lookup)
            lookup.cancel()
            with pytest.raises(asyncio.CancelledError):
                await lookup
        server.resume()
        for number in (1, 2, 0):
            assert value((await tier.aget(key(number)))[0]) == number
        assert not tier.connection.cooldown.is_down
    finally:
        await tier.aclose()
        await asyncio.to_thread(server.stop)


async def _until_it_waits(task: asyncio.Task[Any]) -> None:
    """Let the task go on until it has nothing to do but wait for the reply."""
    for _ in range(50):
        await asyncio.sleep(0)
    assert not task.done()


async def test_a_blocked_loop_is_not_a_server_that_is_down(valkey: Server, namespace: str) -> None:
    tier = make(valkey.url, namespace, socket_timeout=0.5, connect_timeout=0.5)
    await tier.aset(key(), entry(1))
    lookup = asyncio.create_task(tier.aget(key()))
    await asyncio.sleep(0)
    time.sleep(1)  # noqa: ASYNC251 - this is what is tested
    with pytest.raises(TierError, match="blocked"):
        await lookup
    assert not tier.connection.cooldown.is_down
    assert value((await tier.aget(key()))[0]) == 1
    await tier.aclose()


# The fuse


def test_a_fuse_skips_for_growing_pauses_and_lets_one_probe() -> None:
    clock = Hands()
    fuse = Cooldown(clock, lease=2.0)
    pauses = []
    for _ in range(9):
        ticket = fuse.enter()
        assert ticket is not None
        fuse.fail(ticket)
        began = clock.now
        while fuse.enter() is None:
            clock.now += 0.25
        pauses.append(clock.now - began)
        assert fuse.enter() is None  # another probes already
        clock.now += 2.0  # it never came back: the lease is over
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_fuse_counts_one_failure_of_many_at_once_and_no_late_success() -> None:
    clock = Hands()
    fuse = Cooldown(clock, lease=2.0)
    tickets = [fuse.enter() for _ in range(100)]
    for ticket in tickets:
        assert ticket is not None
        fuse.fail(ticket)
    assert tickets[0] is not None
    fuse.succeed(tickets[0])
    assert fuse.is_down
    clock.now += 0.5
    probe = fuse.enter()
    assert probe is not None
    fuse.succeed(probe)
    assert not fuse.is_down
    again = fuse.enter()
    assert again is not None
    fuse.fail(again)
    clock.now += 0.5
    assert fuse.enter() is not None  # the pause began anew at its shortest
