"""Simultaneous callers of one tool: real threads, real loops and real forks."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from servers import wait_for

from toolops_plugins import Notice, ToolOps

LONG = 20.0  # seconds after which a caller is taken to hang; only a failing test waits them


class Latch:
    """A gate that opens once, for threads and for tasks of any loops."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    def open(self) -> None:
        with self._lock:
            self._event.set()
            waiting, self._waiting = self._waiting, []
        for loop, future in waiting:
            try:
                loop.call_soon_threadsafe(lambda f=future: f.done() or f.set_result(None))
            except RuntimeError:  # the loop was closed
                continue

    def is_open(self) -> bool:
        return self._event.is_set()

    def wait(self) -> None:
        assert self._event.wait(LONG), "the latch was never opened"

    async def opened(self) -> None:
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._event.is_set():
                return
            future: asyncio.Future[None] = loop.create_future()
            self._waiting.append((loop, future))
        await asyncio.wait_for(future, LONG)


class Work:
    """A synchronous and an asynchronous tool of one key, whose body waits to be released."""

    def __init__(self, ops: ToolOps, **policy: Any) -> None:
        self.ops = ops
        self.runs: list[str] = []
        self.started = Latch()
        self.release = Latch()
        self.finals: list[str] = []
        self.ended = Latch()
        self.outcome: Callable[[int], Any] = lambda n: [n]
        policy = policy or {"coalesce": True}

        @ops.tool(name="work", **policy)
        def in_thread(n: int) -> Any:
            self.runs.append("thread")
            self.started.open()
            try:
                self.release.wait()
                return self.outcome(n)
            finally:
                self.finals.append("thread")
                self.ended.open()

        @ops.tool(name="work", **policy)
        async def on_loop(n: int) -> Any:
            self.runs.append("loop")
            self.started.open()
            try:
                await self.release.opened()
                return self.outcome(n)
            finally:
                self.finals.append("loop")
                self.ended.open()

        self.sync, self.aio = in_thread, on_loop

    def aboard(self, n: int = 1) -> int:
        return self.ops._shared.flights.count_callers(bytes.fromhex(self.sync.key(n)))

    def await_aboard(self, count: int, n: int = 1) -> None:
        wait_for(lambda: self.aboard(n) == count, f"{count} aboard", LONG)

    async def reach_aboard(self, count: int, n: int = 1) -> None:
        async with asyncio.timeout(LONG):
            while self.aboard(n) != count:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0)


def start(function: Callable[..., Any], *args: Any) -> Future[Any]:
    """Call a function in a thread of its own."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(function(*args))
        except BaseException as error:
            future.set_exception(error)

    # Daemon threads, so that a caller that hangs fails its test and not the whole run.
    threading.Thread(target=run, daemon=True).start()
    return future


def race_for_lock(owner: Any, function: Callable[[], Any]) -> list[Any]:
    """Call a function in two threads that both wait for the owner's lock before either has it."""
    lock, meeting = owner._lock, threading.Barrier(2, timeout=LONG)

    class Meeting:
        def __enter__(self) -> None:
            meeting.wait()
            lock.__enter__()

        def __exit__(self, *error: object) -> None:
            lock.__exit__(*error)

    owner._lock = Meeting()
    try:
        return [future.result(LONG) for future in (start(function), start(function))]
    finally:
        owner._lock = lock


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def start(self, coroutine: Any) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(LONG)

    def close(self) -> None:
        if not self.loop.is_closed():
            if self._thread.is_alive():
                self.start(self._cancel_all()).result(LONG)
            self.stop()
            self.loop.close()

    async def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.loop.shutdown_default_executor()


def new_loops() -> Iterator[Callable[[], Loop]]:
    """Body of a fixture that makes loops and closes them at the end."""
    made: list[Loop] = []

    def make() -> Loop:
        made.append(Loop())
        return made[-1]

    yield make
    for loop in made:
        loop.close()


def new_runtime() -> Iterator[ToolOps]:
    """Body of a fixture that makes a runtime, and checks that no flight is left at the end."""
    runtime = ToolOps("callers")
    yield runtime
    wait_for(lambda: not runtime._shared.flights, "an empty table of flights", LONG)
    assert not runtime._shared.flights._tasks


def in_child(work: Callable[[], bool]) -> int:
    """Return the exit code of a forked child that does the work; 0 is success."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)  # ends a child that hangs
        code = 0 if work() else 2
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


class Notices:
    """A sink of notices."""

    def __init__(self, ops: ToolOps) -> None:
        self.all: list[Notice] = []
        ops.add_sink(self)

    def on_call(self, event: Any) -> None:
        pass

    def on_notice(self, notice: Notice) -> None:
        self.all.append(notice)

    @property
    def reasons(self) -> list[str]:
        return [notice.detail for notice in self.all if notice.kind == "bypass"]


def shaken(module, work):
    """Run work in eight threads, with a switch between any two instructions of the module."""
    start = threading.Barrier(8)
    errors = []

    def body(seed):
        chance = random.Random(seed).random

        def shake(frame, what, arg):
            if frame.f_code.co_filename != module.__file__:
                return None
            frame.f_trace_opcodes = True
            if what == "opcode" and chance() < 0.05:
                time.sleep(0)  # lets another thread go on
            return shake

        start.wait()
        sys.settrace(shake)
        try:
            work()
        except BaseException as error:
            errors.append(error)
        finally:
            sys.settrace(None)

    threads = [threading.Thread(target=body, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
