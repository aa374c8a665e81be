"""Sockets of a tier in Redis: no wait is longer than what is left of the operation's time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from time import monotonic

import pytest
from redis import exceptions as known

from toolops_plugins.cache.operation_deadline import DEADLINE, until
from toolops_plugins.cache.redis.connection import _effect_of
from toolops_plugins.cache.redis.host_lookup import afind_addresses, find_addresses
from toolops_plugins.cache.redis.sockets import _Socket

Ends = tuple[_Socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Both ends of a connection; the first is a tier's."""
    own, server = socket.socketpair()
    with own, server:
        yield _Socket(own, 20.0, 1 << 20), server


def test_a_request_that_the_system_takes_in_parts_arrives_whole(ends: Ends) -> None:
    one, server = ends
    data, received = bytes(range(256)) * 40_000, bytearray()

    def read() -> None:
        while len(received) < len(data):
            received.extend(server.recv(1 << 16))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    with until(monotonic() + 20):
        one.sendall(data)
    reader.join(20)
    assert received == data


def test_a_look_ahead_takes_nothing_away(ends: Ends) -> None:
    one, server = ends
    server.sendall(b"+OK\r\n")
    assert one.recv(5, socket.MSG_PEEK) == b"+OK\r\n"
    assert one.recv(5) == b"+OK\r\n"


def test_an_operation_whose_time_is_over_reads_nothing(ends: Ends) -> None:
    one, server = ends
    server.sendall(b"+OK\r\n")
    with until(monotonic() - 1), pytest.raises(TimeoutError, match="in time"):
        one.recv(5)
    assert one.recv(5) == b"+OK\r\n"


def test_the_timeout_of_a_short_operation_is_not_that_of_the_next(ends: Ends) -> None:
    one, server = ends
    with until(monotonic() + 5):
        one.sendall(b"PING")
    assert one.gettimeout() <= 5
    with until(monotonic() + 100):
        one.sendall(b"PING")
    assert one.gettimeout() == 20
    assert server.recv(8) == b"PINGPING"


def test_no_time_is_left_after_the_end_of_an_operation() -> None:
    assert DEADLINE.left() is None
    with until(monotonic() + 100):
        left = DEADLINE.left()
        assert left is not None
        assert 0 < left <= 100
        with until(monotonic()), pytest.raises(TimeoutError, match="no time"):
            DEADLINE.left()
        assert DEADLINE.left() is not None
    assert DEADLINE.left() is None


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
async def test_a_local_name_needs_no_thread(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = socket.getaddrinfo(host, 6379, 0, socket.SOCK_STREAM)

    def refuse(self: threading.Thread) -> None:
        raise AssertionError

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert find_addresses(host, 6379, 0, 20) == expected
    assert await afind_addresses(host, 6379, 0) == expected


@pytest.mark.parametrize(
    ("error", "of_a_read", "of_a_write"),
    [
        (known.ConnectionError("refused"), "all", "all"),
        (known.ClusterDownError("CLUSTERDOWN Hash slot not served"), "all", "all"),
        (known.ResponseError("BUSY Valkey is busy running a script"), "all", "all"),
        (known.ResponseError("MASTERDOWN Link with MASTER is down"), "all", "all"),
        (known.NoPermissionError("this user may not run 'set'"), "all", "writes"),
        (known.ReadOnlyError("You can't write against a read only replica."), "writes", "writes"),
        (known.ResponseError("MISCONF Valkey is configured to save"), "writes", "writes"),
        (known.ResponseError("WRONGTYPE Operation against a key"), "nothing", "nothing"),
    ],
)
def test_an_error_stops_what_the_server_cannot_serve(
    error: Exception, of_a_read: str, of_a_write: str
) -> None:
    assert _effect_of(error, False) == of_a_read
    assert _effect_of(error, True) == of_a_write
