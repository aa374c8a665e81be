"""Three designs of the path of a call, over cache, single flight, retry and circuit breaker.

The parts are those of the library (memory tier, flights, retry, breaker); only what joins them
differs. *Steps*: a generator yields a step object for each effect, and a driver takes it; so it
was before. *Plain*: one coroutine function, or its synchronous twin, that asks at each stage
whether its policy was given. *Composed*: the policies that were given are composed into closures
when the function is wrapped. Each prototype misses, so that every stage is passed; then the same
with the breaker alone. Prints the microseconds that each adds to the bare call.

The decision that it led to is in docs/decisions/straight-calls.md.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from itertools import count
from typing import Any

from toolops_plugins import CircuitBreaker, Memory, Retry
from toolops_plugins.cache.entry import Entry
from toolops_plugins.clock import SYSTEM_CLOCK
from toolops_plugins.coalesce.flights import Flights
from toolops_plugins.codec import Codec
from toolops_plugins.resilience.breaker import Breaker
from toolops_plugins.resilience.retry import Retrying

ROUNDS, CALLS = 25, 400
CODEC = Codec()


class Parts:
    """The parts of one wrapped function; a part that is None was not asked for."""

    def __init__(self, *, everything: bool) -> None:
        self.memory = Memory(max_items=64) if everything else None
        self.flights = Flights() if everything else None
        self.retry = Retry() if everything else None
        self.breaker = Breaker(CircuitBreaker(), "prototype")

    def store(self, key: bytes, value: Any) -> None:
        """Store a result as the library does: encoded, with its times."""
        if self.memory is not None:
            now = SYSTEM_CLOCK.monotonic()
            payload = CODEC.encode(value)
            self.memory.set(key, Entry(payload, now, now + 60, now + 60, 0.0, 0.0, (), "value"))


# Steps


class Step:
    """An effect and its arguments."""

    __slots__ = ("args", "function")

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.function = function
        self.args = args


class Invoke(Step):
    """Call the function."""


class Fly(Step):
    """Run a flow as a flight."""


Flow = Generator[Step, Any, Any]


def make_flow(parts: Parts, function: Callable[..., Any]) -> Callable[[int], Flow]:
    """Return the flow function of the design with steps."""

    def fetch(key: bytes, number: int) -> Flow:
        value = yield from retry(number)
        parts.store(key, value)
        return value

    def retry(number: int) -> Flow:
        if parts.retry is None:
            return (yield from guard(number))
        retrying = Retrying(parts.retry)
        value = yield from guard(number)
        retrying.after_result(value)
        return value

    def guard(number: int) -> Flow:
        permit = parts.breaker.admit()
        value = yield Invoke(function, number)
        permit.succeed(0.0, value)
        return value

    def flow(number: int) -> Flow:
        if parts.memory is None or parts.flights is None:
            return (yield from retry(number))
        key = b"%d" % number
        parts.memory.get(key)
        return (yield Fly(fetch, key, number)).value

    return flow


class Driver:
    """Runs the flows of steps on a loop, or in a thread."""

    def __init__(self, flights: Flights | None) -> None:
        self.flights = flights
        self.take = {Invoke: self.invoke, Fly: self.fly}
        self.atake = {Invoke: self.ainvoke, Fly: self.afly}

    def run(self, flow: Flow) -> Any:
        """Run a flow in this thread."""
        try:
            step = flow.send(None)
            while True:
                step = flow.send(self.take[type(step)](step))
        except StopIteration as end:
            return end.value

    async def arun(self, flow: Flow) -> Any:
        """Run a flow on the loop."""
        try:
            step = flow.send(None)
            while True:
                step = flow.send(await self.atake[type(step)](step))
        except StopIteration as end:
            return end.value

    def invoke(self, step: Step) -> Any:
        """Call the function."""
        return step.function(*step.args)

    async def ainvoke(self, step: Step) -> Any:
        """Await the function."""
        return await step.function(*step.args)

    def fly(self, step: Step) -> Any:
        """Run a flow as a flight."""
        assert self.flights is not None
        return self.flights.run(step.args[0], lambda: self.run(step.function(*step.args)), None)

    async def afly(self, step: Step) -> Any:
        """Run a flow as a flight of a loop."""
        assert self.flights is not None
        return await self.flights.arun(step.args[0], lambda: self.arun(step.function(*step.args)))


# Plain


def make_aplain(parts: Parts, function: Callable[..., Any]) -> Callable[[int], Awaitable[Any]]:
    """Return the coroutine function of the plain design."""

    async def fetch(key: bytes, number: int) -> Any:
        value = await retry(number)
        parts.store(key, value)
        return value

    async def retry(number: int) -> Any:
        if parts.retry is None:
            return await guard(number)
        retrying = Retrying(parts.retry)
        value = await guard(number)
        retrying.after_result(value)
        return value

    async def guard(number: int) -> Any:
        permit = parts.breaker.admit()
        value = await function(number)
        permit.succeed(0.0, value)
        return value

    async def flow(number: int) -> Any:
        if parts.memory is None or parts.flights is None:
            return await retry(number)
        key = b"%d" % number
        parts.memory.get(key)
        return (await parts.flights.arun(key, lambda: fetch(key, number))).value

    return flow


def make_plain(parts: Parts, function: Callable[..., Any]) -> Callable[[int], Any]:
    """Return the synchronous twin of the plain design, as a script would generate it."""

    def fetch(key: bytes, number: int) -> Any:
        value = retry(number)
        parts.store(key, value)
        return value

    def retry(number: int) -> Any:
        if parts.retry is None:
            return guard(number)
        retrying = Retrying(parts.retry)
        value = guard(number)
        retrying.after_result(value)
        return value

    def guard(number: int) -> Any:
        permit = parts.breaker.admit()
        value = function(number)
        permit.succeed(0.0, value)
        return value

    def flow(number: int) -> Any:
        if parts.memory is None or parts.flights is None:
            return retry(number)
        key = b"%d" % number
        parts.memory.get(key)
        return parts.flights.run(key, lambda: fetch(key, number), None).value

    return flow


# Composed


def acompose(parts: Parts, function: Callable[..., Any]) -> Callable[[int], Awaitable[Any]]:
    """Return the coroutine function into which the given policies are composed."""
    breaker = parts.breaker
    admit = breaker.admit

    async def run(number: int) -> Any:
        permit = admit()
        value = await function(number)
        permit.succeed(0.0, value)
        return value

    if parts.retry is not None:
        run = _aretry(parts.retry, run)
    return run if parts.memory is None or parts.flights is None else _acache(parts, run)


def _aretry(policy: Retry, run: Callable[[int], Awaitable[Any]]) -> Callable[[int], Awaitable[Any]]:
    async def retry(number: int) -> Any:
        retrying = Retrying(policy)
        value = await run(number)
        retrying.after_result(value)
        return value

    return retry


def _acache(parts: Parts, run: Callable[[int], Awaitable[Any]]) -> Callable[[int], Awaitable[Any]]:
    assert parts.memory is not None
    assert parts.flights is not None
    get, arun, store = parts.memory.get, parts.flights.arun, parts.store

    async def lookup(number: int) -> Any:
        key = b"%d" % number
        get(key)

        async def fetch() -> Any:
            value = await run(number)
            store(key, value)
            return value

        return (await arun(key, fetch)).value

    return lookup


def compose(parts: Parts, function: Callable[..., Any]) -> Callable[[int], Any]:
    """Return the function into which the given policies are composed."""
    admit = parts.breaker.admit

    def run(number: int) -> Any:
        permit = admit()
        value = function(number)
        permit.succeed(0.0, value)
        return value

    if parts.retry is not None:
        run = _retry(parts.retry, run)
    return run if parts.memory is None or parts.flights is None else _cache(parts, run)


def _retry(policy: Retry, run: Callable[[int], Any]) -> Callable[[int], Any]:
    def retry(number: int) -> Any:
        retrying = Retrying(policy)
        value = run(number)
        retrying.after_result(value)
        return value

    return retry


def _cache(parts: Parts, run: Callable[[int], Any]) -> Callable[[int], Any]:
    assert parts.memory is not None
    assert parts.flights is not None
    get, fly, store = parts.memory.get, parts.flights.run, parts.store

    def lookup(number: int) -> Any:
        key = b"%d" % number
        get(key)

        def fetch() -> Any:
            value = run(number)
            store(key, value)
            return value

        return fly(key, fetch, None).value

    return lookup


# Measuring


def body(number: int) -> int:
    """Do nothing."""
    return number


async def abody(number: int) -> int:
    """Do nothing."""
    return number


def designs(*, everything: bool) -> dict[str, tuple[Callable[..., Any], Callable[..., Any]]]:
    """Return the synchronous and the asynchronous call of each design."""

    def parts() -> Parts:
        return Parts(everything=everything)

    one, two = parts(), parts()
    flow, aflow = make_flow(one, body), make_flow(two, abody)
    run, arun = Driver(one.flights).run, Driver(two.flights).arun
    return {
        "bare": (body, abody),
        "steps": (lambda number: run(flow(number)), lambda number: arun(aflow(number))),
        "plain": (make_plain(parts(), body), make_aplain(parts(), abody)),
        "composed": (compose(parts(), body), acompose(parts(), abody)),
    }


def measure(
    calls: dict[str, tuple[Callable[..., Any], Callable[..., Any]]],
) -> dict[str, list[float]]:
    """Return the best microseconds of each design, plain and on a loop, over interleaved rounds."""
    numbers = count()
    best = {name: [float("inf"), float("inf")] for name in calls}

    async def around(call: Callable[..., Any]) -> float:
        began = time.thread_time()
        for _ in range(CALLS):
            await call(next(numbers))
        return time.thread_time() - began

    loop = asyncio.new_event_loop()
    for _ in range(ROUNDS):
        for name, (call, acall) in calls.items():
            began = time.thread_time()
            for _ in range(CALLS):
                call(next(numbers))
            took = time.thread_time() - began
            best[name][0] = min(best[name][0], took / CALLS * 1e6)
            best[name][1] = min(best[name][1], loop.run_until_complete(around(acall)) / CALLS * 1e6)
    loop.close()
    return best


def main() -> None:
    """Print both tables."""
    for title, everything in (("cache, single flight, retry, breaker", True), ("breaker", False)):
        best = measure(designs(everything=everything))
        bare, abare = best.pop("bare")
        print(f"A miss under {title}, microseconds added:")
        for name, (sync, aio) in best.items():
            print(f"  {name:10} sync {sync - bare:6.2f}   async {aio - abare:6.2f}")


if __name__ == "__main__":
    main()
