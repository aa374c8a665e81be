"""Host name resolution with a time limit, for threads and event loops.

The resolver of the C library cannot be interrupted, and an event loop runs it in threads that the
interpreter joins at exit. So a daemon thread runs it here, once for all concurrent lookups of one
host.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import threading
from concurrent.futures import Future
from typing import Any

__all__ = ["afind_addresses", "find_addresses"]

_lookups: dict[tuple[Any, ...], Future[list[Any]]] = {}
_lock = threading.Lock()


def find_addresses(host: str, port: int, family: int, seconds: float | None) -> list[Any]:
    """Return what ``socket.getaddrinfo`` returns for a stream.

    Raises:
        TimeoutError: The lookup took longer than ``seconds``.
        OSError: The host does not exist.
    """
    if _is_local(host):
        return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    return _start_lookup(host, port, family).result(seconds)


async def afind_addresses(host: str, port: int, family: int) -> list[Any]:
    """As :func:`find_addresses`, without a time limit of its own."""
    if _is_local(host):
        return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    return await asyncio.shield(asyncio.wrap_future(_start_lookup(host, port, family)))


def _is_local(host: str) -> bool:
    """Return whether the host resolves without a name server."""
    if host == "localhost":
        return True
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _start_lookup(host: str, port: int, family: int) -> Future[list[Any]]:
    """Return the future of a lookup, which may be under way already."""
    query = host, port, family
    with _lock:
        future = _lookups.get(query)
        if future is None:
            future = _lookups[query] = Future()
            threading.Thread(
                target=_look_up, args=(query, future), name="toolops-lookup", daemon=True
            ).start()
        return future


def _look_up(query: tuple[str, int, int], future: Future[list[Any]]) -> None:
    addresses: list[Any] = []
    error: BaseException | None = None
    try:
        addresses = socket.getaddrinfo(*query, socket.SOCK_STREAM)
    except BaseException as caught:  # noqa: BLE001 - the waiting caller raises it
        error = caught
    with _lock:
        if _lookups.get(query) is future:
            del _lookups[query]
    if error is None:
        future.set_result(addresses)
    else:
        future.set_exception(error)


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - a thread that the child does not have may hold it
    _lock = threading.Lock()
    _lookups.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
