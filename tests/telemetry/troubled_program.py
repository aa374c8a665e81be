"""A program that runs into every kind of trouble, for tests of the lines that its user reads.

``python troubled_program.py FOLDER``: the log goes to standard error, as ``logging.basicConfig``
writes it, and all events and notices to standard output. Arguments, results, questions, messages of
errors and secrets hold the word MARKER, which must not occur in either. It ends without closing its
runtimes, while its Redis is down and a refresh runs in the background.
"""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from servers import start_valkey, wait_for

from toolops_plugins import (
    Cache,
    CircuitBreaker,
    CircuitOpen,
    Memory,
    Policy,
    Semantic,
    Timeout,
    ToolOps,
)
from toolops_plugins.cache.redis import Redis
from toolops_plugins.errors import ThreadPoolFull
from toolops_plugins.semantic.cache import SemanticCache

MARKER = "MARKER"
CACHE = Cache(ttl=60)


class Client:
    """An argument without a canonical form, and a result that no codec takes."""

    def __init__(self) -> None:
        self.connection = threading.Lock()

    def __repr__(self) -> str:
        return MARKER


class Sink:
    """Writes down everything that sinks get."""

    def on_call(self, event: object) -> None:
        sys.stdout.write(f"{event}\n")

    def on_notice(self, notice: object) -> None:
        sys.stdout.write(f"{notice}\n")


class BrokenSink:
    """Fails at every call."""

    def on_call(self, event: object) -> None:
        raise ValueError(MARKER)


def fail(*_: object) -> str:
    """Fail as a service that is down."""
    raise ConnectionError(MARKER)


def lose_redis(folder: Path) -> None:
    """Let a real server die, and come back."""
    server = start_valkey(folder, credentials=f":{MARKER}@", requirepass=MARKER)
    ops = ToolOps(
        tiers=[Memory(), Redis(server.url, label="L2")],
        secret=MARKER * 6,
        ledger=False,
        sinks=[Sink()],
    )
    search = ops.tool(cache=CACHE, name="search")(lambda text: text + MARKER)
    search(f"{MARKER} 0")
    server.stop()
    for number in range(1, 6):
        search(f"{MARKER} {number}")
    server.start()
    numbers = iter(range(6, 100_000))

    def recovered() -> bool:
        search(f"{MARKER} {next(numbers)}")
        return ops.stats().notices.get("tier_recovered", 0) == 1

    wait_for(recovered, "the recovery of the tier")
    server.stop()
    search(f"{MARKER} at the end")
    KEPT.extend([ops, server])


def lose_a_service(ops: ToolOps) -> None:
    """Let a circuit breaker open and close."""
    down = True
    breaker = CircuitBreaker(window=2, open_for=0.05, probes=1, name="quotes")

    @ops.tool(breaker=breaker, name="quote")
    def quote(ticker: str) -> str:
        return fail() if down else ticker

    for _ in range(4):
        try:
            quote(MARKER)
        except (ConnectionError, CircuitOpen) as error:
            sys.stdout.write(f"{type(error)}\n")
    down = False

    def closed() -> bool:
        try:
            return quote(MARKER) == MARKER
        except CircuitOpen:
            return False

    wait_for(closed, "the breaker's close")


def pass_the_cache(ops: ToolOps) -> None:
    """Make calls whose argument has no key, and whose results cannot be kept."""
    held = ops.tool(cache=CACHE, name="held")(lambda client, text: text)
    held(Client(), MARKER)
    held(Client(), MARKER)
    ops.tool(cache=CACHE, name="open")(lambda text: {MARKER: {"client": [Client()]}})(MARKER)
    ops.tool(cache=CACHE, name="lines")(lambda text: iter([text]))(MARKER)
    ops.tool(cache=CACHE, name="long")(lambda text: text * 1_000_000)(MARKER)
    for policy in ({"cache": Cache(key=fail)}, {"cache": Cache(when=fail)}, {"price": fail}):
        ops.tool(name=f"with {next(iter(policy))}", **{"cache": CACHE, **policy})(
            lambda text: text
        )(MARKER)
    for bound in range(2):
        ops.tool(cache=CACHE)(lambda text, bound=bound: MARKER + text)


def run_out(ops: ToolOps) -> None:
    """Use up threads and flights."""
    release = threading.Event()

    def hang(text: str) -> str:
        release.wait()
        return text

    slow = ops.tool(cache=CACHE, timeout=Timeout(attempt=20), name="slow")(hang)
    caller = threading.Thread(target=slow, args=(MARKER,))
    caller.start()
    wait_for(lambda: len(ops._shared.flights) == 1, "the flight")
    ops.tool(cache=CACHE, name="late")(lambda text: text)(MARKER)
    try:
        ops.tool(timeout=Timeout(attempt=0.05), name="queued")(lambda text: text)(MARKER)
    except ThreadPoolFull as error:
        sys.stdout.write(f"{type(error)}\n")
    release.set()
    caller.join()


def lose_the_index(folder: Path) -> None:
    """Let an embedder fail, and work again."""
    down = True

    def embed(texts: list[str]) -> list[list[float]]:
        if down:
            fail()
        return [[float(len(text)), 1.0] for text in texts]

    index = SemanticCache(folder, embedder=embed, threshold=0.9)
    ops = ToolOps(semantic=index, sinks=[Sink()])
    ask = ops.tool(cache=CACHE, semantic=Semantic(on="question"), name="ask")(
        lambda question: MARKER + question
    )
    ask(f"{MARKER}?")
    down = False
    ask(f"{MARKER} again?")
    KEPT.append(ops)


def refresh_at_the_end() -> None:
    """Leave a refresh in the background that fails, and one that is under way at the exit."""
    ops = ToolOps("shop", sinks=[Sink()])
    KEPT.append(ops)
    failing = threading.Event()

    def read(text: str) -> str:
        return fail() if failing.is_set() else text

    policy = Policy(cache=Cache(ttl=0.001, stale_ttl=60))
    news = ops.tool(policy=policy, name="news")(read)
    news(MARKER)
    failing.set()

    def failed() -> bool:
        news(MARKER)
        return "refresh_failed" in ops.stats().notices

    wait_for(failed, "the failed refresh")
    leave = threading.Event()

    def last(text: str) -> str:
        leave.wait()
        return text

    held = ops.tool(policy=policy, name="last")
    leave.set()
    hanging = held(last)
    hanging(MARKER)
    leave.clear()
    hanging(MARKER)


KEPT: list[object] = []
"""Objects that live until the interpreter ends."""


def main() -> None:
    """Run into all of it."""
    logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
    folder = Path(sys.argv[1])
    ops = ToolOps(
        "shop",
        max_flights=1,
        max_threads=1,
        max_value_bytes=1_000_000,
        sinks=[Sink(), BrokenSink()],
    )
    KEPT.append(ops)
    lose_a_service(ops)
    pass_the_cache(ops)
    run_out(ops)
    lose_the_index(folder / "index")
    refresh_at_the_end()
    lose_redis(folder / "valkey")
    sys.stdout.write(f"{ops.stats()}\n")


if __name__ == "__main__":
    main()
