"""Looking up a host's addresses within a time limit, for threads and event loops.

The resolver of the C library can be neither interrupted nor bounded, and an event loop asks it in
threads that are waited for at exit. So it is asked in a daemon thread here, once for all who want
the same host at the same time.
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

_under_way: dict[tuple[Any, ...], Future[list[Any]]] = {}
_lock = threading.Lock()


def find_addresses(host: str, port: int, family: int, seconds: float | None) -> list[Any]:
    """Return what ``socket.getaddrinfo`` returns for a stream.

    Raises:
        TimeoutError: It took longer than ``seconds``.
        OSError: There is no such host.
    """
    if _is_near(host):
        return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    return _asked(host, port, family).result(seconds)


async def afind_addresses(host: str, port: int, family: int) -> list[Any]:
    """As :func:`find_addresses`, as long as the caller waits."""
    if _is_near(host):
        return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    return await asyncio.shield(asyncio.wrap_future(_asked(host, port, family)))


def _is_near(host: str) -> bool:
    """Return whether no server has to be asked."""
    if host == "localhost":
        return True
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _asked(host: str, port: int, family: int) -> Future[list[Any]]:
    question = host, port, family
    with _lock:
        answer = _under_way.get(question)
        if answer is None:
            answer = _under_way[question] = Future()
            threading.Thread(
                target=_ask, args=(question, answer), name="toolops-lookup", daemon=True
            ).start()
        return answer


def _ask(question: tuple[str, int, int], answer: Future[list[Any]]) -> None:
    found: list[Any] = []
    error: BaseException | None = None
    try:
        found = socket.getaddrinfo(*question, socket.SOCK_STREAM)
    except BaseException as caught:  # noqa: BLE001 - it is raised where it is waited for
        error = caught
    with _lock:
        if _under_way.get(question) is answer:
            del _under_way[question]
    if error is None:
        answer.set_result(found)
    else:
        answer.set_exception(error)


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - a thread that the child does not have may hold it
    _lock = threading.Lock()
    _under_way.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
