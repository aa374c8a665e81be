"""Servers that fail, each in its own way: a tier raises TierError only, soon, and then skips."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import Cluster, Sentinels, Server, free_port, start_valkey, wait_for

from toolops_plugins.cache.entry import Entry
from toolops_plugins.cache.envelope import Envelope
from toolops_plugins.cache.redis import Redis
from toolops_plugins.clock import SystemClock
from toolops_plugins.codec import Codec
from toolops_plugins.errors import TierError

CODEC = Codec()
KEY, OTHER = b"k" * 32, b"o" * 32


class Hands(SystemClock):
    """A clock whose monotonic hand a test turns."""

    now = 1_000.0

    def monotonic(self) -> float:
        return self.now


class Counted:
    """Counts how often a tier asks for a connection, and for a client."""

    def __init__(self, tier: Redis) -> None:
        self.tries = self.clients = 0
        clients = tier._clients
        real = clients._make

        def make(*args: Any) -> Any:
            self.clients += 1
            client, closers = real(*args)
            pool = getattr(client, "connection_pool", None)
            if pool is not None:
                get = pool.get_connection

                def get_connection(*more: Any) -> Any:
                    self.tries += 1
                    return get(*more)

                pool.get_connection = get_connection
            return client, closers

        clients._make = make


def entry(value: Any = 1, tags: tuple[str, ...] = ()) -> Entry:
    now = time.monotonic()
    return Entry(CODEC.encode(value), now, now + 100, now + 100, tags=tags)


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def make(namespace: str, clock: Hands) -> Iterator[Callable[..., Redis]]:
    made: list[Redis] = []

    def make(url: str, **options: Any) -> Redis:
        tier = Redis(url, **{"socket_timeout": 0.25, "connect_timeout": 0.25, **options})
        tier.bind(namespace, Envelope(CODEC), clock, "r1")
        made.append(tier)
        return tier

    yield make
    for tier in made:
        tier.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = start_valkey(tmp_path)
    yield started
    started.stop()


OPERATIONS: dict[str, Callable[[Redis], Any]] = {
    "get": lambda tier: tier.get(KEY),
    "get tagged": lambda tier: tier.get(KEY, ["t"]),
    "set": lambda tier: tier.set(KEY, entry()),
    "set tagged": lambda tier: tier.set(KEY, entry(1, ("t",))),
    "get_many": lambda tier: tier.get_many([KEY, OTHER]),
    "set_many": lambda tier: tier.set_many({KEY: entry(), OTHER: entry()}),
    "delete": lambda tier: tier.delete(KEY),
    "invalidate": lambda tier: tier.invalidate(["t"]),
    "clear": lambda tier: tier.clear(),
    "ping": lambda tier: tier.ping(),
    "write_check": lambda tier: tier.write_check(),
    "describe": lambda tier: tier.describe(),
}
TWINS: dict[str, Callable[[Redis], Any]] = {
    "aget": lambda tier: tier.aget(KEY),
    "aget tagged": lambda tier: tier.aget(KEY, ["t"]),
    "aset": lambda tier: tier.aset(KEY, entry()),
    "aset tagged": lambda tier: tier.aset(KEY, entry(1, ("t",))),
    "aget_many": lambda tier: tier.aget_many([KEY, OTHER]),
    "aset_many": lambda tier: tier.aset_many({KEY: entry(), OTHER: entry()}),
    "adelete": lambda tier: tier.adelete(KEY),
    "ainvalidate": lambda tier: tier.ainvalidate(["t"]),
    "aclear": lambda tier: tier.aclear(),
    "aping": lambda tier: tier.aping(),
}


def attempt(tier: Redis, operation: str) -> Any:
    """Run an operation of either face from a thread without a loop."""
    if operation in TWINS:

        async def run() -> Any:
            return await TWINS[operation](tier)

        return asyncio.run(run())
    return OPERATIONS[operation](tier)


def assert_skips(tier: Redis, counted: Counted | None = None) -> None:
    """Assert that no operation tries the server."""
    tries = counted.tries if counted else 0
    for operation in [*OPERATIONS, *TWINS]:
        with pytest.raises(TierError, match="skipped"):
            attempt(tier, operation)
    assert counted is None or counted.tries == tries


# Down


@pytest.mark.parametrize("operation", [*OPERATIONS, *TWINS])
def test_refused(make: Callable[..., Redis], operation: str) -> None:
    tier = make(f"redis://127.0.0.1:{free_port()}")
    counted = Counted(tier)
    with pytest.raises(TierError) as raised:
        attempt(tier, operation)
    assert raised.value.__cause__ is not None
    assert counted.tries == 1
    assert_skips(tier, counted)


@pytest.mark.parametrize("operation", [*OPERATIONS, *TWINS])
def test_hung(make: Callable[..., Redis], hung: Server, operation: str) -> None:
    tier = make(hung.url, socket_timeout=0.05, connect_timeout=0.05)
    counted = Counted(tier)
    with pytest.raises(TierError, match=r"(?i)time"):
        attempt(tier, operation)
    assert counted.tries == 1
    assert_skips(tier, counted)


@pytest.fixture(scope="module")
def hung(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = start_valkey(tmp_path_factory.mktemp("hung"))
    started.pause()
    yield started
    started.stop()


@pytest.mark.parametrize("face", ["sync", "async"])
def test_hung_on_an_open_connection_then_well_again(
    make: Callable[..., Redis], server: Server, clock: Hands, face: str
) -> None:
    tier = make(server.url)
    operation = "get" if face == "sync" else "aget"
    with asyncio.Runner() as runner:

        def get() -> Entry | None:
            found = runner.run(tier.aget(KEY)) if face == "async" else tier.get(KEY)
            return found[0]

        tier.set(KEY, entry())
        assert get() is not None
        server.pause()
        for pause in (0.5, 1.0, 2.0):
            with pytest.raises(TierError, match=r"(?i)time"):
                get()
            clock.now += pause - 0.01
            with pytest.raises(TierError, match="skipped"):
                get()
            clock.now += 0.01
        server.resume()
        found = get()  # the probe
        assert found is not None
        assert not tier.connection.cooldown.is_down, operation
        assert get() is not None


def failures_of(callers: int, tier: Redis) -> list[str]:
    """Look KEY up in so many threads at once; return what those were told that failed."""
    errors: list[str] = []

    def get() -> None:
        try:
            tier.get(KEY)
        except TierError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=get) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_one_of_many_probes(make: Callable[..., Redis], server: Server, clock: Hands) -> None:
    tier = make(server.url, socket_timeout=0.5)
    counted = Counted(tier)
    tier.set(KEY, entry())
    server.pause()
    with pytest.raises(TierError, match=r"(?i)time"):
        tier.get(KEY)
    clock.now += 0.5
    tries = counted.tries
    errors = failures_of(16, tier)
    assert counted.tries == tries + 1
    assert sum("skipped" in error for error in errors) == 15


async def test_many_lookups_of_a_server_that_hangs_are_one_failure(
    make: Callable[..., Redis], server: Server, clock: Hands
) -> None:
    tier = make(server.url, max_connections=8)
    await tier.aset(KEY, entry())
    server.pause()
    found = await asyncio.gather(*(tier.aget(KEY) for _ in range(100)), return_exceptions=True)
    assert all(isinstance(each, TierError) for each in found)
    # Those who waited for a connection did not try; the pause is the first and shortest.
    untried = ("skipped", "in use")
    assert sum(any(word in str(each) for word in untried) for each in found) == 92
    clock.now += 0.5
    server.resume()
    assert (await tier.aget(KEY))[0] is not None
    await tier.aclose()


@pytest.mark.parametrize("face", ["sync", "async"])
def test_killed_under_load_and_restarted_empty(
    make: Callable[..., Redis], server: Server, clock: Hands, face: str
) -> None:
    tier = make(server.url)
    rounds = 0
    stop = threading.Event()
    wrong: list[BaseException] = []

    def check(found: Entry | None) -> None:
        assert found is None or CODEC.decode(found.payload) == "mine"

    def load() -> None:
        nonlocal rounds
        while not stop.is_set():
            rounds += 1
            try:
                tier.set(KEY, entry("mine"))
                check(tier.get(KEY)[0])
            except TierError:
                pass
            except BaseException as error:
                wrong.append(error)
                return

    async def aload() -> None:
        nonlocal rounds
        while not stop.is_set():
            rounds += 1
            try:
                await tier.aset(KEY, entry("mine"))
                check((await tier.aget(KEY))[0])
            except TierError:
                await asyncio.sleep(0)
            except BaseException as error:
                wrong.append(error)
                return

    async def all_of_them() -> None:
        await asyncio.gather(*(aload() for _ in range(4)))

    target = load if face == "sync" else lambda: asyncio.run(all_of_them())
    threads = [threading.Thread(target=target) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            before = rounds
            wait_for(lambda before=before: rounds > before + 20, "load")
            server.kill()
            wait_for(lambda: tier.connection.cooldown.is_down, "a blown fuse")
            server.start()
            clock.now += 60
            wait_for(lambda: not tier.connection.cooldown.is_down or _tick(clock), "a whole fuse")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong
    server.restart()
    clock.now += 60
    wait_for(lambda: _finds_nothing(tier, clock), "an empty cache")


def _tick(clock: Hands) -> None:
    clock.now += 60


def _finds_nothing(tier: Redis, clock: Hands) -> bool:
    clock.now += 60
    try:
        return tier.get(KEY, ["t"])[0] is None
    except TierError:
        return False


@pytest.mark.parametrize("kind", ["standalone", "cluster"])
def test_an_idle_connection_that_the_server_closed_is_no_failure(
    make: Callable[..., Redis], tmp_path: Path, kind: str
) -> None:
    whole: Any = Cluster(tmp_path, 1) if kind == "cluster" else start_valkey(tmp_path)
    server = whole.nodes[0] if kind == "cluster" else whole
    try:
        tier = make(whole.url)
        with asyncio.Runner() as runner:

            async def many() -> list[Any]:
                return await asyncio.gather(*(tier.aget(KEY) for _ in range(5)))

            tier.set(KEY, entry())
            runner.run(many())
            for _ in range(2):
                server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                assert tier.get(KEY)[0] is not None
                assert all(found for found, _ in runner.run(many()))
            assert not tier.connection.cooldown.is_down
    finally:
        whole.stop()


# Refusing


@pytest.mark.parametrize("face", ["sync", "async"])
def test_readonly_pauses_writes_only(
    make: Callable[..., Redis], server: Server, tmp_path: Path, clock: Hands, face: str
) -> None:
    tier = make(server.url)
    a = "a" if face == "async" else ""
    tier.set(KEY, entry())
    server.command("REPLICAOF", server.host, free_port())
    with pytest.raises(TierError, match=r"(?i)read.?only"):
        attempt(tier, f"{a}set")
    for operation in ("set_many", "delete", "invalidate", "set tagged"):
        with pytest.raises(TierError, match="skipped"):
            attempt(tier, a + operation)
    assert tier.get(KEY)[0] is not None
    assert attempt(tier, f"{a}get")[0] is not None
    # A lookup that would have to make a stamp is still a lookup; its mark only cannot be used.
    found, mark = tier.get(OTHER, ["t"])
    assert found is None
    server.command("REPLICAOF", "NO", "ONE")
    clock.now += 0.5
    tier.set(OTHER, entry(1, ("t",)), mark)
    assert tier.get(OTHER, ["t"])[0] is None
    tier.set(OTHER, entry(1, ("t",)))
    assert tier.get(OTHER, ["t"])[0] is not None


@pytest.mark.parametrize("face", ["sync", "async"])
def test_out_of_memory_pauses_writes_only(
    make: Callable[..., Redis], server: Server, clock: Hands, face: str
) -> None:
    tier = make(server.url)
    a = "a" if face == "async" else ""
    tier.set(KEY, entry())
    server.command("CONFIG", "SET", "maxmemory", 1, "maxmemory-policy", "noeviction")
    with pytest.raises(TierError, match="memory"):
        attempt(tier, f"{a}set")
    with pytest.raises(TierError, match="skipped"):
        attempt(tier, f"{a}set tagged")
    assert attempt(tier, f"{a}get")[0] is not None
    server.command("CONFIG", "SET", "maxmemory", 0)
    clock.now += 0.5
    attempt(tier, f"{a}set")
    attempt(tier, f"{a}set tagged")


def test_out_of_memory_is_known_in_every_kind_of_write(
    make: Callable[..., Redis], server: Server
) -> None:
    server.command("CONFIG", "SET", "maxmemory", 1, "maxmemory-policy", "noeviction")
    for operation in ("set", "set tagged", "set_many", "delete", "aset", "aset_many"):
        tier = make(server.url)
        with pytest.raises(TierError, match="memory"):
            attempt(tier, operation)
        assert tier.connection.write_cooldown.is_down, operation
        assert not tier.connection.cooldown.is_down, operation


@pytest.mark.parametrize("operation", ["get", "aget", "set", "get_many"])
def test_loading_is_down(
    make: Callable[..., Redis], tmp_path: Path, clock: Hands, operation: str
) -> None:
    server = start_valkey(tmp_path, enable_debug_command="yes")
    try:
        server.command("DEBUG", "POPULATE", 20_000, "filler", 10)
        server.command("CONFIG", "SET", "key-load-delay", 200)
        server.command("SAVE")
        server.stop()
        server._options["key_load_delay"] = 200  # microseconds a key: it loads for seconds
        server._options["loading_process_events_interval_bytes"] = 1024
        server._options["save"] = '""'
        server.start()
        tier = make(server.url, socket_timeout=5, connect_timeout=5)
        with pytest.raises(TierError, match="(?i)loading"):
            attempt(tier, operation)
        assert_skips(tier)
    finally:
        server.stop()


def test_a_password_that_is_missing_or_changed_is_down(
    make: Callable[..., Redis], server: Server
) -> None:
    server.command("ACL", "SETUSER", "default", "resetpass", ">secret")
    for operation in ("get", "aget", "set_many"):
        tier = make(server.url)
        with pytest.raises(TierError) as raised:
            attempt(tier, operation)
        assert "secret" not in str(raised.value)
        assert_skips(tier)


def test_a_user_who_may_only_read(make: Callable[..., Redis], server: Server) -> None:
    make(server.url).set(KEY, entry())
    server.command("ACL", "SETUSER", "reader", "on", ">r", "~*", "&*", "+@read", "+ping")
    tier = make(server.url.replace("//", "//reader:r@"))
    with pytest.raises(TierError, match="(?i)permission"):
        tier.set(KEY, entry())
    with pytest.raises(TierError, match="skipped"):
        tier.delete(KEY)
    assert tier.get(KEY)[0] is not None


@pytest.mark.parametrize("operation", ["get", "get tagged", "get_many", "aget", "aget tagged"])
def test_a_wrong_type_under_a_key_is_one_keys_trouble(
    make: Callable[..., Redis], server: Server, operation: str
) -> None:
    tier = make(server.url)
    name = tier._commands.prefix + KEY.hex()
    server.command("LPUSH", name, "x")
    with pytest.raises(TierError, match="WRONGTYPE"):
        attempt(tier, operation)
    assert not tier.connection.cooldown.is_down
    assert tier.get(OTHER)[0] is None
    tier.set(KEY, entry())  # a write puts it right
    assert tier.get(KEY)[0] is not None


def test_a_wrong_type_under_a_stamp(make: Callable[..., Redis], server: Server) -> None:
    tier = make(server.url)
    server.command("LPUSH", tier._commands._stamp("t"), "x")
    for operation in ("get tagged", "set tagged", "aget tagged", "aset tagged"):
        with pytest.raises(TierError, match="WRONGTYPE"):
            attempt(tier, operation)
    tier.invalidate(["t"])
    tier.set(KEY, entry(1, ("t",)))
    assert tier.get(KEY, ["t"])[0] is not None
    assert not tier.connection.cooldown.is_down


def test_garbage_under_our_keys_is_a_miss(make: Callable[..., Redis], server: Server) -> None:
    tier = make(server.url)
    server.command("SET", tier._commands.prefix + KEY.hex(), b"\x00\xff" * 500)
    server.command("SET", tier._commands._stamp("t"), b"\xff\x00")
    assert tier.get(KEY)[0] is None
    assert tier.get(KEY, ["t"])[0] is None
    assert tier.get_many([KEY]) == {}
    tier.set(KEY, entry(1, ("t",)))
    assert tier.get(KEY, ["t"])[0] is not None


# Clusters and sentinels


@pytest.mark.parametrize(
    "operation", ["get", "aget", "get tagged", "aget tagged", "clear", "aclear"]
)
@pytest.mark.parametrize("connected", [False, True], ids=["unconnected", "connected"])
def test_a_cluster_that_hangs(
    make: Callable[..., Redis],
    own_cluster: Cluster,
    operation: str,
    connected: bool,
) -> None:
    tier = make(own_cluster.url, socket_timeout=0.2, connect_timeout=0.2)
    with asyncio.Runner():
        if connected:
            tier.set_many({bytes([n]) * 32: entry() for n in range(30)})
        for node in own_cluster.nodes:
            node.pause()
        with pytest.raises(TierError):
            attempt(tier, operation)
        assert_skips(tier)


def test_who_waited_for_a_discovery_that_failed_does_not_try_the_next(
    make: Callable[..., Redis], own_cluster: Cluster
) -> None:
    tier = make(own_cluster.url, socket_timeout=0.1, connect_timeout=0.1)
    for node in own_cluster.nodes:
        node.pause()
    counted = Counted(tier)
    errors = failures_of(8, tier)
    assert counted.clients == 1
    assert sum("skipped" in error for error in errors) == 7


@pytest.fixture
def own_cluster(unresponsive_cluster: Cluster) -> Iterator[Cluster]:
    yield unresponsive_cluster
    for node in unresponsive_cluster.nodes:
        node.resume()
    for node in unresponsive_cluster.nodes:
        wait_for(
            lambda node=node: b"cluster_state:ok" in node.command("CLUSTER", "INFO"), "agreement"
        )


@pytest.fixture(scope="module")
def unresponsive_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("hanging"))
    yield cluster
    cluster.stop()


@pytest.mark.parametrize("face", ["sync", "async"])
def test_a_sentinel_or_primary_that_is_gone(
    make: Callable[..., Redis], tmp_path: Path, clock: Hands, face: str
) -> None:
    sentinels = Sentinels(tmp_path)
    operation = "get" if face == "sync" else "aget"
    try:
        tier = make(sentinels.url)
        tier.set(KEY, entry())
        assert attempt(tier, operation)[0] is not None
        sentinels.primary.kill()
        with pytest.raises(TierError):
            attempt(tier, operation)
        assert_skips(tier)
        sentinels.primary.start()
        clock.now += 0.5
        assert attempt(tier, operation)[0] is None
        sentinels.sentinel.kill()
        fresh = make(sentinels.url)
        with pytest.raises(TierError):
            attempt(fresh, operation)
        assert_skips(fresh)
    finally:
        sentinels.stop()
