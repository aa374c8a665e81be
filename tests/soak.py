"""Random schedules over all policies: threads, loops, cancellations, deadlines and forks.

Run as a program: ``python -X dev tests/soak.py --seconds 180 --seed 7``. Each round makes a runtime
with tools of random policies and lets random callers loose on them. It prints its seed, which makes
the same tools and callers again; what the machine makes of their timing stays its own affair.

What must hold: every caller ends, with a value of its own key or an error that its policy or it
itself allows; no body of a tool runs twice at once for one key where nobody leaves and nothing
hedges; and nothing is left behind: flights, streams, waits, places, threads, tasks, or errors that
nobody retrieved. In rounds of odd seeds a sink makes spans: that of each call ends once, in the
context in which it began, and each body runs inside of one.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import gc
import logging
import os
import random
import signal
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from spans import Span, Spans

from toolops_plugins import (
    AttemptTimeout,
    Bulkhead,
    Cache,
    CircuitBreaker,
    DeadlineExceeded,
    Hedge,
    Policy,
    RateLimit,
    Rejected,
    Retry,
    Timeout,
    ToolOps,
    TotalTimeout,
)

ROUND = 5.0
"""Seconds of one round."""
PATIENCE = 30.0
"""Seconds after which whoever has not ended is taken to hang."""
KEYS = 4


class Hiccup(Exception):  # noqa: N818 - what a tool may raise; a hiccup passes
    """A tool's own error."""


class Tool:
    """A tool of a random kind and policy, with a record of its runs.

    Args:
        ops: The runtime.
        number: Its number.
        draw: The round's source of chance.
        faults: Where what is wrong is written down.
        spans: Makes spans of calls, or None.
    """

    KINDS = ("function", "coroutine", "both", "generator", "async_generator")

    def __init__(
        self,
        ops: ToolOps,
        number: int,
        draw: random.Random,
        faults: list[str],
        spans: Spans | None,
    ) -> None:
        self._spans = spans
        self.name = f"tool{number}"
        self.kind = self.KINDS[number % len(self.KINDS)]
        self.calm = draw.random() < 0.5
        """True if its bodies must not overlap: nobody leaves, and nothing is begun twice."""
        self.policy = self._policy(draw)
        self.slow = draw.choice((0.0, 0.0005, 0.005))
        self.failing = draw.choice((0.0, 0.0, 0.3))
        self._faults = faults
        self._inside: Counter[Any] = Counter()
        self._lock = threading.Lock()
        self._chance = random.Random(draw.random())
        wrap = ops.tool(name=self.name, policy=self.policy)
        self.sync: Any = None
        self.aio: Any = None
        if self.kind in ("function", "both"):
            self.sync = wrap(self._function)
        if self.kind in ("coroutine", "both"):
            self.aio = wrap(self._coroutine)
        if self.kind == "generator":
            self.sync = wrap(self._generator)
        if self.kind == "async_generator":
            self.aio = wrap(self._async_generator)

    def _policy(self, draw: random.Random) -> Policy:
        def maybe(make: Callable[[], Any], odds: float = 0.4) -> Any:
            return make() if draw.random() < odds else None

        streams = "generator" in self.kind
        cache = Cache(
            ttl=draw.choice((0.002, 0.05)),
            stale_ttl=0 if self.calm else draw.choice((0, 0.2)),
            beta=0 if self.calm else 1.0,
            negative=draw.choice((None, Hiccup)),
            negative_ttl=0.01,
        )
        policy = Policy(
            cache=maybe(lambda: cache, 0.6),
            coalesce=True,
            retry=maybe(lambda: Retry(attempts=2, wait=draw.choice((0, 0.001)), on=Hiccup)),
            breaker=maybe(lambda: CircuitBreaker(window=20, min_calls=20, open_for=0.01)),
            rate_limit=maybe(lambda: RateLimit("2000/s", wait=draw.choice((0.0, 0.01))), 0.3),
            bulkhead=maybe(lambda: Bulkhead(draw.choice((1, 3)), queue=draw.choice((0, 50))), 0.3),
        )
        if draw.random() < 0.2:
            policy = policy.replace(fallback=lambda: [self.name, "fallback"])
        if not self.calm:
            policy = policy.replace(
                timeout=maybe(
                    lambda: Timeout(
                        attempt=draw.choice((0.003, 1)),
                        total=draw.choice((None, 0.01)),
                    )
                ),
                hedge=None if streams else maybe(lambda: Hedge(quantile=0.5, min_calls=5)),
            )
            if policy.timeout is not None and policy.hedge is None and draw.random() < 0.5:
                policy = policy.replace(timeout=replace(policy.timeout, in_thread=False))
        return policy

    def _begin(self, n: int) -> float:
        if self._spans is not None and self._spans.current is None:
            self._faults.append(f"{self.name} ran outside of a span")
        with self._lock:
            self._inside[self._place(n)] += 1
            if self.calm and self._inside[self._place(n)] > 1:
                self._faults.append(f"{self.name} ran twice at once for {n}")
            chance = self._chance.random()
        if chance < self.failing:
            self._end(n)
            raise Hiccup(self.name, n)
        return self.slow * chance

    def _end(self, n: int) -> None:
        with self._lock:
            self._inside[self._place(n)] -= 1

    def _place(self, n: int) -> Any:
        # Those of an asynchronous generator share it within one event loop.
        return (n, id(asyncio.get_running_loop())) if self.kind == "async_generator" else n

    def _function(self, n: int) -> Any:
        pause = self._begin(n)
        try:
            time.sleep(pause)
            return [self.name, n]
        finally:
            self._end(n)

    async def _coroutine(self, n: int) -> Any:
        pause = self._begin(n)
        try:
            await asyncio.sleep(pause)
            return [self.name, n]
        finally:
            self._end(n)

    def _generator(self, n: int) -> Iterator[Any]:
        pause = self._begin(n)
        try:
            time.sleep(pause)
            yield self.name
            yield n
        finally:
            self._end(n)

    async def _async_generator(self, n: int) -> AsyncIterator[Any]:
        pause = self._begin(n)
        try:
            await asyncio.sleep(pause)
            yield self.name
            yield n
        finally:
            self._end(n)

    def allows(self, error: BaseException, *, hurried: bool) -> bool:
        """Return whether a caller may end with an error."""
        if isinstance(error, DeadlineExceeded):
            return hurried
        return isinstance(error, Hiccup | Rejected | AttemptTimeout | TotalTimeout)


class Round:
    """One runtime, its tools and their callers, for some seconds.

    Args:
        seed: Of all that is random about them.
        seconds: For how long callers begin new calls.
    """

    def __init__(self, seed: int, seconds: float) -> None:
        self.seed = seed
        self._seconds = seconds
        self.faults: list[str] = []
        self.calls = 0
        draw = random.Random(seed)
        self._spans = Spans() if seed % 2 else None
        sinks = [] if self._spans is None else [self._spans]
        self.ops = ToolOps(f"soak{seed}", sinks=sinks, max_threads=8)
        self.tools = [
            Tool(self.ops, number, draw, self.faults, self._spans) for number in range(10)
        ]
        self._over = threading.Event()
        seeds = iter(lambda: draw.random(), None)
        self._callers = [
            threading.Thread(target=self._run, args=(body, random.Random(next(seeds))), daemon=True)
            for body in (
                *(self._in_a_thread,) * 3,
                *(self._on_a_loop,) * 2,
                *(self._on_short_loops,) * 2,
            )
        ]

    def play(self) -> None:
        """Let the callers loose, wait for all of them, and look at what is left."""
        for caller in self._callers:
            caller.start()
        self._over.wait(self._seconds)
        self._over.set()
        end = time.monotonic() + PATIENCE
        for caller in self._callers:
            caller.join(max(0.0, end - time.monotonic()))
        if any(caller.is_alive() for caller in self._callers):
            self.faults.append("somebody hangs")
            faulthandler.dump_traceback(all_threads=True)
            return
        self._look_at_what_is_left()

    def _run(self, body: Callable[[random.Random], None], draw: random.Random) -> None:
        try:
            body(draw)
        except BaseException as error:
            self.faults.append(f"{body.__name__} ended with {error!r}")
            raise

    def _check(self, tool: Tool, n: int, value: Any) -> None:
        self.calls += 1
        if list(value) not in ([tool.name, n], [tool.name, "fallback"]):
            self.faults.append(f"{tool.name}({n}) gave {value!r}")

    # -- callers -----------------------------------------------------------------------------

    def _in_a_thread(self, draw: random.Random) -> None:
        tools = [tool for tool in self.tools if tool.sync is not None]
        while not self._over.is_set():
            tool, n = draw.choice(tools), draw.randrange(KEYS)
            hurried = not tool.calm and draw.random() < 0.3
            if draw.random() < 0.002:
                self._fork(tools)
            try:
                if hurried:
                    with self.ops.deadline(draw.choice((0.0005, 0.005))):
                        value = self._value(tool, n)
                else:
                    value = self._value(tool, n)
            except Exception as error:
                self._judge(tool, error, hurried=hurried)
            else:
                self._check(tool, n, value)
            if not tool.calm and draw.random() < 0.02:  # whoever asks after it calls anew
                self.ops.invalidate(keys=[tool.sync.key(n)])

    def _value(self, tool: Tool, n: int) -> Any:
        value = tool.sync(n)
        return list(value) if tool.kind == "generator" else value

    def _judge(self, tool: Tool, error: BaseException, *, hurried: bool) -> None:
        self.calls += 1
        if not tool.allows(error, hurried=hurried):
            self.faults.append(f"{tool.name} raised {error!r}, cause {error.__cause__!r}")

    def _fork(self, tools: list[Tool]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of forks in programs that have threads
            child = os.fork()
        if child:
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if code:
                self.faults.append(f"a forked child ended with {code}")
            return
        code = 1
        try:
            signal.alarm(10)
            if len(self.ops._shared.flights) == 0:
                for tool in tools:
                    tool._lock = threading.Lock()
                    tool._inside.clear()
                    with suppress(Hiccup, Rejected, AttemptTimeout, TotalTimeout):
                        self._value(tool, 0)
                code = 0
        finally:
            os._exit(code)

    def _on_a_loop(self, draw: random.Random) -> None:
        asyncio.run(self._tasks(draw, lambda: not self._over.is_set(), 12, calm=True))

    def _on_short_loops(self, draw: random.Random) -> None:
        while not self._over.is_set():
            turns = iter(range(draw.randrange(1, 4)))
            asyncio.run(self._tasks(draw, lambda: next(turns, None) is not None, 3, calm=False))  # noqa: B023 - at once

    async def _tasks(
        self, draw: random.Random, goes_on: Callable[[], bool], most: int, *, calm: bool
    ) -> None:
        """Keep some callers under way on this loop, of which some are cancelled."""
        tools = [tool for tool in self.tools if tool.aio is not None and (calm or not tool.calm)]
        under_way: set[asyncio.Task[None]] = set()
        while tools and goes_on():
            tool = draw.choice(tools)
            hurried = not tool.calm and draw.random() < 0.2
            task = asyncio.create_task(self._one(tool, draw.randrange(KEYS), hurried=hurried))
            task.set_name("calm" if tool.calm else "any")
            under_way.add(task)
            await asyncio.sleep(draw.choice((0, 0, 0.001)))
            if draw.random() < 0.3:
                victim = draw.choice(sorted(under_way, key=id))
                if victim.get_name() == "any":
                    victim.cancel()
            under_way = {task for task in under_way if not task.done()}
            if len(under_way) >= most:
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        if calm and under_way:
            await asyncio.wait(under_way)
        await asyncio.sleep(0)  # of short loops the rest ends with them

    async def _one(self, tool: Tool, n: int, *, hurried: bool) -> None:
        try:
            if hurried:
                with self.ops.deadline(0.003):
                    value = await self._avalue(tool, n)
            else:
                value = await self._avalue(tool, n)
        except Exception as error:
            self._judge(tool, error, hurried=hurried)
        else:
            self._check(tool, n, value)

    async def _avalue(self, tool: Tool, n: int) -> Any:
        if tool.kind == "async_generator":
            return [item async for item in tool.aio(n)]
        return await tool.aio(n)

    # -- the end -----------------------------------------------------------------------------

    def _look_at_what_is_left(self) -> None:
        shared = self.ops._shared
        left: dict[str, Callable[[], Any]] = {
            "flights": lambda: list(shared.flights._table.values()),
            "tasks of flights": lambda: [t for t in shared.flights._tasks if not t.done()],
            "streams": lambda: list(shared.streams._table),
            "spans": self._open_spans,
            "bodies": lambda: [t.name for t in self.tools if +t._inside],
            "threads": lambda: [
                thread
                for thread in threading.enumerate()
                if not thread.daemon and thread is not threading.main_thread()
            ],
        }
        end = time.monotonic() + PATIENCE
        for what, look in left.items():
            while (found := look()) and time.monotonic() < end:
                gc.collect()
                time.sleep(0.01)
            if found:
                self.faults.append(f"left {what}: {found!r}")
        if self._spans is not None:
            self.faults += self._spans.troubles
        self.ops.close()

    def _open_spans(self) -> list[Span]:
        spans = [] if self._spans is None else self._spans.spans
        return [span for span in spans if len(span.events) != 1]


class Complaints(logging.Handler):
    """The errors that asyncio and the interpreter report because nobody retrieved them."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.all: list[str] = []
        logging.getLogger("asyncio").addHandler(self)
        sys.unraisablehook = self._unraisable
        threading.excepthook = self._uncaught
        warnings.simplefilter("always")
        warnings.showwarning = self._warned

    def emit(self, record: logging.LogRecord) -> None:
        self.all.append(" ".join(record.getMessage().split())[:400])

    def _unraisable(self, found: Any) -> None:
        self.all.append(f"{found.err_msg}: {found.exc_value!r} in {found.object!r}")

    def _uncaught(self, found: Any) -> None:
        self.all.append(f"{found.thread}: {found.exc_value!r}")

    def _warned(self, message: Any, category: Any, *_: Any) -> None:
        self.all.append(f"{category.__name__}: {message}")


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Play rounds for the given time; return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]  # it has one
    parser.add_argument("--seconds", type=float, default=180.0, help="for how long; default 180")
    parser.add_argument("--seed", type=int, default=None, help="of the first round")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    complaints = Complaints()
    end = time.monotonic() + options.seconds
    wrong = False
    while (left := end - time.monotonic()) > 0.1:
        game = Round(seed, min(ROUND, left))
        game.play()
        gc.collect()
        faults = [*game.faults, *complaints.all]
        complaints.all.clear()
        _tell(f"seed {seed}: {game.calls} calls, {len(faults)} faults")
        for fault, times in Counter(faults).most_common(20):
            _tell(f"    {times} x {fault}")
        wrong = wrong or bool(faults)
        seed += 1
    return int(wrong)


if __name__ == "__main__":
    faulthandler.enable()
    code = main()
    sys.stdout.flush()
    os._exit(code)  # whatever hangs does not keep the program from ending
