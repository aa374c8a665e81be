"""No operation is longer than its deadline, and no reply larger than a value may be.

A reply that comes byte by byte would be whole in the end, so what shows that a deadline holds is
the error: without it these lookups succeed, after half a minute.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from faults.fault_proxy import Proxy, black_hole, delay, huge, trickle
from servers import Server, free_port, start_valkey, wait_for

from toolops_plugins import Cache, Memory, Redis, ToolOps
from toolops_plugins.cache.entry import Entry
from toolops_plugins.cache.envelope import Envelope
from toolops_plugins.cache.redis.host_lookup import find_addresses
from toolops_plugins.cache.redis.reply_sizes import ReplySizes, ReplyTooLargeError
from toolops_plugins.clock import SYSTEM_CLOCK
from toolops_plugins.codec import Codec
from toolops_plugins.errors import TierError

CODEC = Codec()
KEY = b"k" * 32
KINDS = ["standalone", "sentinel", "cluster"]


class Places:
    """Servers of every kind, each behind a proxy, started when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: list[Server] = []
        self._proxies: dict[str, tuple[Proxy, str]] = {}

    def __call__(self, kind: str) -> tuple[Proxy, str]:
        if kind not in self._proxies:
            proxy = Proxy()
            self._proxies[kind] = proxy, ""
            self._proxies[kind] = proxy, self._start(kind, proxy)
        return self._proxies[kind]

    def _start(self, kind: str, proxy: Proxy) -> str:
        options: dict[str, Any] = {}
        if kind == "cluster":
            options = {
                "cluster_enabled": "yes",
                "cluster_announce_ip": proxy.host,
                "cluster_announce_port": proxy.port,
            }
        server = start_valkey(self._folder / kind, **options)
        self._servers.append(server)
        proxy.target = server.port
        if kind == "cluster":
            server.command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            wait_for(lambda: b"cluster_state:ok" in server.command("CLUSTER", "INFO"), "a cluster")
            return f"redis+cluster://{proxy.host}:{proxy.port}"
        if kind == "sentinel":
            monitor = f"monitor main {proxy.host} {proxy.port} 1"
            sentinel = Server(self._folder / "sentinels", sentinel=monitor)
            self._servers.append(sentinel)
            return f"redis+sentinel://{sentinel.host}:{sentinel.port}/main"
        return proxy.url

    def heal(self) -> None:
        for proxy, _ in self._proxies.values():
            proxy.fault = None
            proxy.hang_up()

    def stop(self) -> None:
        for proxy, _ in self._proxies.values():
            proxy.close()
        for server in self._servers:
            server.stop()


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    made = Places(tmp_path_factory.mktemp("places"))
    yield made
    made.stop()


@pytest.fixture
def place(places: Places) -> Iterator[Places]:
    """Takes a kind, and returns the proxy before such servers, and their URL."""
    yield places
    places.heal()


@pytest.fixture
def tier(namespace: str) -> Iterator[Callable[..., Redis]]:
    made: list[Redis] = []

    def make(url: str, **options: Any) -> Redis:
        new = Redis(url, **options)
        new.bind(namespace, Envelope(CODEC), SYSTEM_CLOCK, "r1")
        made.append(new)
        return new

    yield make
    for each in made:
        each.close()


def entry(value: Any = "x" * 300) -> Entry:
    now = time.monotonic()
    return Entry(CODEC.encode(value), now, now + 100, now + 100)


class Face:
    """One of the two faces of a tier, on one event loop."""

    def __init__(self, tier: Redis, kind: str, runner: asyncio.Runner) -> None:
        self._tier = tier
        self._kind = kind
        self._runner = runner

    def well(self, name: str, *args: Any) -> Any:
        """As a call, of a server that is well, but perhaps slow on a busy machine."""
        found: list[Any] = []

        def attempt() -> bool:
            self._tier.connection.cooldown.reset()
            self._tier.connection.write_cooldown.reset()
            with suppress(TierError):
                found.append(self(name, *args))
            return bool(found)

        wait_for(attempt, f"{name} without trouble")
        return found[-1]

    def __call__(self, name: str, *args: Any) -> Any:
        if self._kind == "sync":
            return getattr(self._tier, name)(*args)

        async def run() -> Any:
            return await getattr(self._tier, f"a{name}")(*args)

        return self._runner.run(run())


@pytest.fixture(params=["sync", "async"])
def face(request: pytest.FixtureRequest) -> Iterator[Callable[[Redis], Face]]:
    with asyncio.Runner() as runner:
        yield lambda tier: Face(tier, request.param, runner)


OPERATIONS = [
    ("get", KEY),
    ("get", KEY, ["t"]),
    ("set",),
    ("get_many", [KEY, b"o" * 32]),
    ("set_many",),
    ("delete", KEY),
    ("invalidate", ["t"]),
    ("clear",),
    ("ping",),
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation[0])
def test_a_reply_that_trickles(place, tier, face, operation):
    proxy, url = place("standalone")
    one = tier(url)
    call = face(one)
    call.well("set", KEY, entry())
    assert call.well("get", KEY)[0] is not None
    name, *args = operation
    if name == "set":  # an entry of this moment, since one that has expired is not sent
        args = [KEY, entry()]
    elif name == "set_many":
        args = [{KEY: entry()}]
    proxy.fault = trickle(5)
    with pytest.raises(TierError, match=r"(?i)time"):
        call(name, *args)
    with pytest.raises(TierError, match="skipped"):
        call("get", KEY)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("connected", [True, False], ids=["connected", "unconnected"])
def test_a_reply_that_trickles_from_servers_of_every_kind(place, tier, face, kind, connected):
    proxy, url = place(kind)
    one = tier(url)
    call = face(one)
    if connected:
        call.well("set", KEY, entry())
        assert call.well("get", KEY)[0] is not None
    proxy.fault = trickle(5)
    with pytest.raises(TierError):
        call("get", KEY)
    with pytest.raises(TierError, match="skipped"):
        call("get", KEY)


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_reply_that_trickled_nobody_gets_its_rest(place, tier, face, kind):
    proxy, url = place(kind)
    one = tier(url)
    call = face(one)
    keys = [bytes([n]) * 32 for n in range(20)]
    for key in keys:
        call.well("set", key, entry(key.hex() * 5))
    for _ in range(3):
        proxy.fault = trickle(5)
        with pytest.raises(TierError):
            call("get", keys[0])
        proxy.fault = None
        for key in keys:
            found = call.well("get", key)[0]
            assert found is not None
            assert CODEC.decode(found.payload) == key.hex() * 5


def test_tls_that_never_shakes_hands(place, tier, face):
    proxy, url = place("standalone")
    proxy.fault = black_hole()
    one = tier(url.replace("redis://", "rediss://"))
    with pytest.raises(TierError, match=r"(?i)time"):
        face(one)("get", KEY)


def test_a_name_that_is_looked_up_for_ever(tier, face, monkeypatch):
    ask = socket.getaddrinfo
    released = threading.Event()

    def getaddrinfo(host: str, *args: Any, **kwargs: Any) -> Any:
        if host == "hangs.invalid":
            released.wait(60)
            raise socket.gaierror("never")
        return ask(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    one = tier("redis://hangs.invalid:6379")
    try:
        with pytest.raises(TierError, match=r"(?i)time"):
            face(one)("get", KEY)
    finally:
        released.set()


def test_a_name_is_looked_up_once_for_all_who_want_it(monkeypatch):
    asked: list[str] = []
    go = threading.Event()
    all_here = threading.Barrier(5)

    def getaddrinfo(host: str, *args: Any) -> list[Any]:
        asked.append(host)
        go.wait(20)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    found: list[Any] = []

    def ask() -> None:
        all_here.wait()
        found.append(find_addresses("name.invalid", 1, 0, 20))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    all_here.wait()
    wait_for(lambda: asked, "the question")
    go.set()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(asked) < 4 or asked == ["name.invalid"] * len(asked)


def test_a_cluster_whose_discovery_trickles_for_ever_is_given_up(place, tier, face):
    proxy, url = place("cluster")
    proxy.fault = trickle(5)
    one = tier(url)
    with pytest.raises(TierError):
        face(one)("clear")


async def test_the_wait_for_a_place_counts(place, tier):
    """A server just under its timeout, and many more callers than places."""
    proxy, url = place("standalone")
    one = tier(url, max_connections=4, socket_timeout=2.0)
    await one.aset(KEY, entry())
    proxy.fault = delay(0.6)
    found = await asyncio.gather(*(one.aget(KEY) for _ in range(200)), return_exceptions=True)
    busy = [each for each in found if isinstance(each, TierError) and "in use" in str(each)]
    # Whoever has no place within a quarter of a second gives up; a reply may take two.
    assert len(busy) > 180
    assert not one.connection.cooldown.is_down
    await one.aclose()


def test_the_wait_of_threads_for_a_place_counts(place, tier):
    proxy, url = place("standalone")
    one = tier(url, max_connections=1, socket_timeout=2.0)
    one.set(KEY, entry())
    proxy.fault = delay(0.6)
    results: list[Any] = []

    def get() -> None:
        try:
            results.append(one.get(KEY))
        except TierError as error:
            results.append(error)

    threads = [threading.Thread(target=get) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    busy = [each for each in results if isinstance(each, TierError) and "in use" in str(each)]
    assert len(busy) >= 15
    assert not one.connection.cooldown.is_down


def test_a_walk_that_ran_out_of_time_blames_no_server(place, tier, face):
    proxy, url = place("standalone")
    one = tier(url, scan_timeout=0.3, socket_timeout=2.0)
    call = face(one)
    for start in range(0, 1200, 200):
        call.well("set_many", {n.to_bytes(32): entry(n) for n in range(start, start + 200)})
    proxy.fault = delay(0.15)
    with pytest.raises(TierError):
        call("clear")
    assert not one.connection.cooldown.is_down


# Sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
def test_a_reply_of_500_mb_is_refused_by_its_length(place, tier, face, kind, many):
    proxy, url = place(kind)
    one = tier(url)
    call = face(one)
    call.well("set", KEY, entry())
    proxy.fault = huge()
    proxy.sent = 0
    with pytest.raises(TierError):
        call("get_many", [KEY, b"o" * 32]) if many else call("get", KEY)
    proxy.fault = None
    assert proxy.sent < 100_000_000
    assert call.well("get", KEY)[0] is not None


def plant(port: int, name: str) -> None:
    with redis.Redis(port=port, socket_timeout=20) as client:
        client.set(name, b"x" * 70_000_000)


def test_a_value_that_is_too_large_is_one_keys_trouble(place, tier, face):
    proxy, url = place("standalone")
    one = tier(url)
    call = face(one)
    call.well("set", KEY, entry())
    name = one._commands.prefix + (b"o" * 32).hex()
    plant(proxy.target, name)
    with pytest.raises(TierError, match="70,000,000 bytes"):
        call("get", b"o" * 32)
    assert not one.connection.cooldown.is_down
    assert call.well("get", KEY)[0] is not None


def test_a_call_that_meets_it_is_a_miss_and_a_notice(valkey, namespace):
    notices: list[Any] = []
    sink = type(
        "Sink",
        (),
        {"on_call": lambda *_: None, "on_notice": lambda _, notice: notices.append(notice)},
    )()
    with ToolOps(namespace, [Redis(valkey.url)], sinks=[sink]) as ops:
        tool = ops.tool(cache=Cache(ttl=60))(lambda q: q.upper())
        tool("q")
        tier = ops._tiers.all[0]
        plant(valkey.port, tier._commands.prefix + tool.key("q"))
        assert tool("q") == "Q"
        assert {(notice.kind, notice.detail) for notice in notices} == {
            ("tier_failed", "ReplyTooLargeError")
        }
        tier.send("UNLINK", tier._commands.prefix + tool.key("q"))


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_sizes_are_read_wherever_the_stream_is_divided(step):
    stream = b"+OK\r\n$5\r\n$999!\r\n*2\r\n:1\r\n$0\r\n\r\n$-1\r\n*-1\r\n-ERR $9999\r\n" * 3
    sizes = ReplySizes(100)
    for start in range(0, len(stream), step):
        sizes.feed(stream[start : start + step])
    tail = b"$101\r\n"
    parts = [tail[start : start + step] for start in range(0, len(tail), step)]
    for part in parts[:-1]:
        sizes.feed(part)
    with pytest.raises(ReplyTooLargeError, match="101 bytes"):
        sizes.feed(parts[-1])


@pytest.mark.parametrize(
    "reply", [b"*2000000\r\n", b"%2000000\r\n", b"=500\r\n", b"+" + b"x" * 2_000_000]
)
def test_other_kinds_of_replies_have_their_bounds_too(reply):
    with pytest.raises(ReplyTooLargeError):
        ReplySizes(100).feed(reply)


@pytest.mark.parametrize("noise", [b"$\r\n", b"$x\r\n", b"\r\n\r\n", b"\x00\xff\n$-5\r\n", b"*\n"])
def test_noise_is_left_to_the_parser(noise):
    ReplySizes(100).feed(noise)


# Closing, and the bus ------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [trickle(5), black_hole()], ids=["trickle", "black hole"])
def test_runtimes_close_and_invalidate_while_their_server_does_not_answer(place, namespace, fault):
    proxy, url = place("standalone")
    ops = ToolOps(namespace, [Memory(), Redis(url)])
    tool = ops.tool(cache=Cache(ttl=60, tags=["t"]))(lambda q: q)
    tool("q")
    proxy.fault = fault
    with pytest.raises(TierError):
        ops.invalidate(tags=["t"], keys=[bytes([n]) * 32 for n in range(100)])
    with pytest.raises(TierError):
        ops.clear()
    thread = ops._shared.bus._thread
    ops.close()
    wait_for(lambda: not thread.is_alive(), "the end of the bus's thread")


def test_a_port_that_takes_connections_and_nobody_serves(tier, face):
    """Its backlog is full, so that connecting itself hangs."""
    port = free_port()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        one = tier(f"redis://127.0.0.1:{port}")
        with pytest.raises(TierError, match=r"(?i)time"):
            face(one)("get", KEY)
        for filler in fillers:
            filler.close()
