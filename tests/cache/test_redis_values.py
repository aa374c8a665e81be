"""Requests for values on connections that are kept ready beside redis-py's pool."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from faults.fault_proxy import Proxy, trickle
from servers import Server

from toolops_plugins.cache.entry import Entry
from toolops_plugins.cache.envelope import Envelope
from toolops_plugins.cache.redis import Redis
from toolops_plugins.cache.redis.value_requests import OTHER, parse_values, value_request
from toolops_plugins.clock import SYSTEM_CLOCK
from toolops_plugins.codec import Codec
from toolops_plugins.errors import TierError

CODEC = Codec()
KEY = b"k" * 32
LARGEST = 100


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (b"$-1\r\n", None),
        (b"$0\r\n\r\n", b""),
        (b"$5\r\n\r\n$1\n\r\n", b"\r\n$1\n"),
        (b"*0\r\n", []),
        (b"*3\r\n$1\r\na\r\n$-1\r\n$2\r\n\r\n\r\n", [b"a", None, b"\r\n"]),
        (b"$100\r\n" + b"x" * 100 + b"\r\n", b"x" * 100),
    ],
)
def test_a_whole_reply_is_parsed_and_no_part_of_it_is(reply: bytes, found: Any) -> None:
    assert parse_values(reply, LARGEST) == found
    for end in range(len(reply)):
        assert parse_values(reply[:end], LARGEST) is OTHER
    assert parse_values(reply + b"$", LARGEST) is OTHER


@pytest.mark.parametrize(
    "reply",
    [
        b"-ERR no\r\n",
        b"+OK\r\n",
        b":1\r\n",
        b"$101\r\n" + b"x" * 101 + b"\r\n",
        b"*1\r\n$101\r\n" + b"x" * 101 + b"\r\n",
        b"*1\r\n:1\r\n",
        b"*-1\r\n",
        b"$-2\r\n",
        b"$x\r\n",
        b"\r\n",
        b"*99999999\r\n",
    ],
)
def test_other_replies_are_left_to_redis_py(reply: bytes) -> None:
    assert parse_values(reply, LARGEST) is OTHER


def test_noise_is_never_an_exception() -> None:
    chance = random.Random(1)
    for _ in range(2_000):
        noise = bytes(chance.choice(b"$*-1234567890\r\nx") for _ in range(chance.randrange(20)))
        parse_values(noise, LARGEST)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_request_is_what_redis_py_packs(valkey: Server, count: int) -> None:
    names = [b"n" * number for number in range(count)]
    with redis.Redis(host=valkey.host, port=valkey.port) as client:
        connection = client.connection_pool.get_connection()
        packed = connection.pack_command("GET" if count == 1 else "MGET", *names)
        client.connection_pool.release(connection)
    assert value_request(names) == b"".join(packed)


@pytest.fixture
def proxy(valkey: Server) -> Iterator[Proxy]:
    made = Proxy()
    made.target = valkey.port
    yield made
    made.close()


class Lookups:
    """The lookups of a tier, for threads or on one event loop."""

    def __init__(self, kind: str) -> None:
        self._runner = asyncio.Runner() if kind == "async" else None

    def __call__(self, tier: Redis) -> Any:
        if self._runner is None:
            return tier.get(KEY)[0]
        return self._runner.run(tier.aget(KEY))[0]

    def ready(self, tier: Redis) -> list[Any]:
        clients = tier._clients
        if self._runner is None:
            ready = clients.ready
        else:
            ready = clients._clients.loops[self._runner.get_loop()].ready
        assert ready is not None
        return ready.idle

    def close(self) -> None:
        if self._runner is not None:
            self._runner.close()


@pytest.fixture(params=["sync", "async"])
def lookup(request: pytest.FixtureRequest) -> Iterator[Lookups]:
    made = Lookups(request.param)
    yield made
    made.close()


def make(url: str, namespace: str, **options: Any) -> Redis:
    tier = Redis(url, **options)
    tier.bind(namespace, Envelope(CODEC), SYSTEM_CLOCK, "r1")
    return tier


def entry(value: Any) -> Entry:
    now = time.monotonic()
    return Entry(CODEC.encode(value), now, now + 100, now + 100)


def test_a_ready_connection_serves_replies_in_pieces(
    proxy: Proxy, namespace: str, lookup: Lookups
) -> None:
    tier = make(proxy.url, namespace, socket_timeout=30)
    tier.set(KEY, entry("x"))
    for _ in range(3):  # a new connection also asks for the server's time, at the next lookup
        assert lookup(tier) is not None
    (connection,) = lookup.ready(tier)
    proxy.fault = trickle(2_000)
    for _ in range(2):
        found = lookup(tier)
        assert CODEC.decode(found.payload) == "x"
        assert lookup.ready(tier) == [connection]  # nothing was broken, nothing is left behind
    proxy.fault = None
    lookup.close()
    tier.close()


def test_a_large_value_comes_whole(valkey: Server, namespace: str, lookup: Lookups) -> None:
    tier = make(valkey.url, namespace, socket_timeout=30)
    value = "x" * 3_000_000
    tier.set(KEY, entry(value))
    for _ in range(3):
        assert CODEC.decode(lookup(tier).payload) == value
    lookup.close()
    tier.close()


def test_an_error_reply_keeps_the_connection_and_an_oversized_one_does_not(
    valkey: Server, namespace: str, lookup: Lookups
) -> None:
    tier = make(valkey.url, namespace)
    name = tier._commands.prefix + KEY.hex()
    tier.set(KEY, entry("x"))
    for _ in range(3):  # a new connection also asks for the server's time, at the next lookup
        assert lookup(tier) is not None
    (connection,) = lookup.ready(tier)
    valkey.command("DEL", name)
    valkey.command("LPUSH", name, "x")
    with pytest.raises(TierError, match="WRONGTYPE"):
        lookup(tier)
    assert lookup.ready(tier) == [connection]
    valkey.command("SET", name, b"x" * (tier._clients.limits.largest + 1))
    with pytest.raises(TierError, match="ReplyTooLarge"):
        lookup(tier)
    assert lookup.ready(tier) == []
    valkey.command("DEL", name)
    assert lookup(tier) is None
    assert not tier.connection.cooldown.is_down
    lookup.close()
    tier.close()


def test_other_commands_use_the_ready_connection_too(valkey: Server, namespace: str) -> None:
    name = f"c{uuid.uuid4().hex}"
    tier = make(valkey.url, namespace, client_name=name)
    for _ in range(3):
        tier.set(KEY, entry(1))
        tier.get(KEY)
        tier.get(KEY, ["t"])
    assert [client["name"] for client in valkey.command("CLIENT LIST")].count(name) == 1
    tier.close()


@pytest.mark.parametrize(
    ("url", "options", "keeps"),
    [
        ("redis://h", {}, True),
        ("rediss://h", {"username": "u", "password": "p"}, True),
        ("unix:///s", {}, True),
        ("redis+sentinel://h/main", {}, False),
        ("redis+cluster://h", {}, False),
        ("redis://h", {"health_check_interval": 5}, False),
        ("redis://h", {"protocol": 3}, False),
        (
            "redis://h",
            {"credential_provider": redis.UsernamePasswordCredentialProvider("u", "p")},
            False,
        ),
    ],
)
def test_where_the_pool_has_work_at_each_checkout_nothing_is_kept_ready(
    url: str, options: dict[str, Any], keeps: bool
) -> None:
    assert Redis(url, **options)._clients.keeps_ready is keeps
