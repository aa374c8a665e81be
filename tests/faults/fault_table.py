"""Break a Redis server in every way, under load, and print what callers noticed.

``make faults`` runs it; docs/operations/faults.md holds the table. Threads and tasks of an event
loop call functions that are cached in Redis alone, so that every call meets the fault, and check
each answer. A fault begins once the server has served hits and ends after a while. The time from
then until the next hit is the recovery.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest has it

import redis
from faults.fault_proxy import (
    Fault,
    Proxy,
    black_hole,
    cut,
    delay,
    duplicate,
    flip,
    garble,
    huge,
    trickle,
)
from servers import Server, free_port, start_valkey

from toolops_plugins import Cache, Redis, ToolOps

__all__ = ["FAULTS", "Row", "measure"]

HUNG = 5.0  # seconds after which a call counts as hung
KEYS = 40
PATIENCE = 40.0  # seconds that recovery may take: a tier is left alone for up to half a minute


class Row(NamedTuple):
    """The result of one fault."""

    fault: str
    calls: int
    failed: int
    wrong: int
    hung: int
    p99: float
    recovery: float | None


class Site:
    """A server, the proxy before it, and what faults do to both."""

    def __init__(self, folder: Path) -> None:
        self.server: Server = start_valkey(folder)
        self.proxy = Proxy(self.server.port)
        # An administrator who gets in whatever is done to everybody else.
        self.command("ACL", "SETUSER", "admin", "on", ">admin", "~*", "&*", "+@all", name=None)

    def command(self, *command: Any, name: str | None = "admin") -> Any:
        """Run one command past the proxy."""
        with redis.Redis(
            port=self.server.port, username=name, password=name, socket_timeout=5
        ) as client:
            return client.execute_command(*command)

    def replies(self, fault: Fault | None) -> None:
        self.proxy.fault = fault

    def stop(self) -> None:
        self.proxy.close()
        self.server.resume()
        self.server.stop()


@contextmanager
def again_and_again(work: Callable[[], Any]) -> Iterator[None]:
    """Do something every 20 ms in the block."""
    end = threading.Event()

    def repeat() -> None:
        while not end.wait(0.02):
            with suppress(redis.RedisError, OSError):
                work()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


Breaking = Callable[[Site], Any]


def replies(make: Callable[[], Fault]) -> Breaking:
    """Return the fault that is done to the replies."""

    @contextmanager
    def break_server(site: Site) -> Iterator[None]:
        site.replies(make())
        yield
        site.replies(None)
        site.proxy.hang_up()

    return break_server


def commands(*break_it: Sequence[Any], heal: Sequence[Sequence[Any]] = ()) -> Breaking:
    """Return the fault that the server is told to have."""

    @contextmanager
    def break_server(site: Site) -> Iterator[None]:
        for command in break_it:
            site.command(*command)
        yield
        for command in heal:
            site.command(*command)

    return break_server


def repeat(*command: Any) -> Breaking:
    """Return the fault of a command that is sent again and again."""
    return lambda site: again_and_again(lambda: site.command(*command))


@contextmanager
def kill(site: Site) -> Iterator[None]:
    site.server.kill()
    yield
    site.server.start()
    site.command("ACL", "SETUSER", "admin", "on", ">admin", "~*", "&*", "+@all", name=None)


@contextmanager
def stop_process(site: Site) -> Iterator[None]:
    site.server.pause()
    yield
    site.server.resume()


@contextmanager
def refuse(site: Site) -> Iterator[None]:
    site.proxy.refuse()
    yield
    site.proxy.accept()


FAULTS: dict[str, Breaking] = {
    "kill": kill,
    "SIGSTOP": stop_process,
    "maxmemory": commands(
        ("CONFIG", "SET", "maxmemory", 1, "maxmemory-policy", "noeviction"),
        heal=[("CONFIG", "SET", "maxmemory", 0)],
    ),
    "READONLY": lambda site: commands(
        ("REPLICAOF", "127.0.0.1", free_port()), heal=[("REPLICAOF", "NO", "ONE")]
    )(site),
    "AUTH": commands(
        ("ACL", "SETUSER", "default", "resetpass", ">changed"),
        ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"),
        heal=[("ACL", "SETUSER", "default", "nopass")],
    ),
    "FLUSHALL": repeat("FLUSHALL"),
    "CLIENT KILL": repeat("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"),
    # Whoever would end a pause is held by it too: so it ends by itself, and begins anew.
    "CLIENT PAUSE": repeat("CLIENT", "PAUSE", 500, "ALL"),
    "delay of 20 ms": replies(lambda: delay(0.02)),
    "delay of 200 ms": replies(lambda: delay(0.2)),
    "delay of 400 ms": replies(lambda: delay(0.4)),
    "cuts": replies(cut),
    "garbage": replies(garble),
    "bit flips": replies(flip),
    "duplicates": replies(duplicate),
    "500 MB declared": replies(huge),
    "500 M items declared": replies(lambda: huge(500_000_000, b"*")),
    "black hole": replies(black_hole),
    "trickle of 10 B/s": replies(lambda: trickle(10)),
    "refusal": refuse,
}


@dataclass
class Load:
    """Callers of cached functions, in threads and on an event loop, that check their answers."""

    ops: ToolOps
    salt: str
    latencies: list[float] = field(default_factory=list)
    began: dict[int, float] = field(default_factory=dict)
    failed: int = 0
    wrong: int = 0
    hits: int = 0

    def __post_init__(self) -> None:
        def answer(n: int) -> str:
            return f"{self.salt}:{n}" * 20

        async def aanswer(n: int) -> str:
            await asyncio.sleep(0)
            return answer(n)

        cache = Cache(ttl=600, tags=["all"])
        self._plain = self.ops.tool(cache=cache, name="answer")(answer)
        self._awaited = self.ops.tool(cache=cache, name="answer")(aanswer)
        self._answer = answer
        self._end = threading.Event()
        self._threads: list[threading.Thread] = []
        self.ops.add_sink(self)

    def on_call(self, event: Any) -> None:
        self.hits += event.outcome == "hit"

    def start(self, threads: int, tasks: int) -> None:
        work = [*[self._call] * threads, lambda: asyncio.run(self._call_on_loop(tasks))]
        for number, target in enumerate(work):
            thread = threading.Thread(target=self._run_load, args=(target,), name=f"load-{number}")
            thread.daemon = True
            thread.start()
            self._threads.append(thread)

    def stop(self) -> int:
        """End the load, and return how many callers hang."""
        self._end.set()
        until = time.monotonic() + HUNG
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return sum(thread.is_alive() for thread in self._threads)

    def _run_load(self, target: Callable[[], None]) -> None:
        try:
            target()
        except BaseException:
            self.failed += 1

    def _call(self) -> None:
        chance = random.Random()
        while not self._end.is_set():
            n = chance.randrange(KEYS)
            began = time.monotonic()
            try:
                self._check(n, self._plain(n))
            except Exception:
                self.failed += 1
            self.latencies.append(time.monotonic() - began)

    async def _call_on_loop(self, tasks: int) -> None:
        async def one() -> None:
            chance = random.Random()
            while not self._end.is_set():
                n = chance.randrange(KEYS)
                began = time.monotonic()
                try:
                    self._check(n, await self._awaited(n))
                except Exception:
                    self.failed += 1
                self.latencies.append(time.monotonic() - began)

        await asyncio.gather(*(one() for _ in range(tasks)))
        await self.ops.aclose()

    def _check(self, n: int, answer: str) -> None:
        self.wrong += answer != self._answer(n)

    def wait_for_hit(self) -> float | None:
        """Return the seconds until the next hits, or None if there are none for too long."""
        hits, began = self.hits, time.monotonic()
        while time.monotonic() - began < PATIENCE:
            if self.hits > hits + 5:
                return time.monotonic() - began
            time.sleep(0.005)
        return None


def measure(name: str, folder: Path, seconds: float, *, threads: int = 4, tasks: int = 8) -> Row:
    """Run one fault for so many seconds, and return what callers noticed."""
    site = Site(folder)
    load = Load(ToolOps(f"faults-{name}", [Redis(site.proxy.url)]), name)
    load.start(threads, tasks)
    try:
        if load.wait_for_hit() is None:
            raise AssertionError("there were no hits before the fault")
        load.latencies.clear()
        with FAULTS[name](site):
            time.sleep(seconds)  # how long the fault lasts, and no wait for anything
        recovery = load.wait_for_hit()
    finally:
        alive = load.stop()
        load.ops.close()
        site.stop()
    latencies = sorted(load.latencies)
    hung = alive + sum(latency > HUNG for latency in latencies)
    p99 = latencies[int(len(latencies) * 0.99)] if latencies else 0.0
    return Row(name, len(latencies), load.failed, load.wrong, hung, p99, recovery)


def machine() -> str:
    """Return the model of the processor and how many there are."""
    model = platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(
            (line.partition(":")[2].strip() for line in lines if "model name" in line), model
        )
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"


def say(line: str = "") -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Print the table; the status is 1 if anybody was failed, misled or kept."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each fault lasts")
    parser.add_argument("faults", nargs="*", help="which; default: all")
    options = parser.parse_args()
    say(machine())
    say()
    say("| fault | calls | failed | wrong | hung | p99 | recovery |")
    say("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    bad = 0
    for name in options.faults or FAULTS:
        with tempfile.TemporaryDirectory() as folder:
            row = measure(name, Path(folder), options.seconds)
        recovery = "never" if row.recovery is None else f"{row.recovery:.1f} s"
        p99 = f"{row.p99 * 1000:.0f} ms"
        cells = [name, f"{row.calls:,}", row.failed, row.wrong, row.hung, p99, recovery]
        say(f"| {' | '.join(map(str, cells))} |")
        bad += row.failed + row.wrong + row.hung + (row.recovery is None)
    return int(bad > 0)


if __name__ == "__main__":
    raise SystemExit(main())
