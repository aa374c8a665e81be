"""Writing a ledger: what runtimes count arrives, whatever happens to ledger, process and clock."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from servers import Server, start_valkey, wait_for

from toolops_plugins import (
    Bulkhead,
    Cache,
    CircuitBreaker,
    Memory,
    RateLimit,
    Retry,
    ToolOps,
)
from toolops_plugins.cache.redis import Redis
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.telemetry.events import CallEvent, Notice
from toolops_plugins.telemetry.ledger import (
    Command,
    Ledger,
    LedgerError,
    Summary,
    open_reader,
)
from toolops_plugins.telemetry.ledger.pending import PendingSums
from toolops_plugins.telemetry.ledger.sqlite import SQLiteStore
from toolops_plugins.telemetry.ledger.steady_time import SteadyTime
from toolops_plugins.telemetry.ledger.sums import Cell


class Notices:
    """A sink that keeps notices."""

    def __init__(self) -> None:
        self.got: list[Notice] = []

    def on_call(self, event: CallEvent) -> None: ...

    def on_notice(self, notice: Notice) -> None:
        self.got.append(notice)

    def kinds(self) -> list[str]:
        return [notice.kind for notice in self.got]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


def read(url: str, namespace: str = "default", **options: Any) -> dict[tuple[str, ...], Summary]:
    with open_reader(url) as reader:
        where = {"namespace": namespace, **options.pop("where", {})}
        return reader.summaries(reader.now() - 7_200, where=where, **options)


def ledger_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "toolops-ledger"]


def test_the_ledger_has_the_sums_of_the_statistics(url: str):
    ops = ToolOps(ledger=url)
    search = ops.tool(cache=Cache(ttl=60), price=0.25, name="search")(lambda x: x)
    send = ops.tool(name="send")(lambda x: x)

    @ops.tool(retry=Retry(attempts=2, base=0.001), name="shaky")
    def shaky() -> None:
        raise ConnectionError

    for number in range(100):
        search(number % 7)
        send(number)
    for _ in range(3):
        with pytest.raises(ConnectionError):
            shaky()
    stats = ops.stats()
    ops.close()
    found = read(url)
    for report in stats:
        sums = found[report.name,]
        assert sums.calls == report.calls == sums.waited.count
        assert sums.tiers == report.hits_by_tier
        assert sums.outcomes.get("miss", 0) == report.misses
        assert sums.asked == report.asked
        assert sums.attempts == report.attempts
        assert sums.saved_seconds == pytest.approx(report.saved_seconds)
        assert sums.saved_cost == pytest.approx(report.saved_price)
        assert sums.spent_cost == pytest.approx(report.spent)
        assert sums.hit_rate == report.hit_rate
    assert found["shaky",].errors == {"ConnectionError": 3}
    assert found["shaky",].retried == 3
    assert found["search",].worked.count == 7
    assert found["send",].reasons == {"no_cache": 100}


async def test_calls_on_a_loop_arrive_too(url: str):
    ops = ToolOps(ledger=url)

    @ops.tool(cache=Cache(ttl=60), name="fetch")
    async def fetch(x: int) -> int:
        await asyncio.sleep(0)
        return x

    @ops.tool(name="post")
    async def post(x: int) -> int:
        return x

    for number in range(50):
        await fetch(number % 5)
        await post(number)
    await ops.aclose()
    found = await asyncio.to_thread(read, url)
    assert found["fetch",].outcomes == {"miss": 5, "hit": 45}
    assert found["post",].outcomes == {"bypass": 50}


def test_models_and_agents_are_told_apart_by_the_details_of_events(url: str):
    ops = ToolOps(ledger=url)
    details = {"model": "gpt", "agent": "writer", "input_tokens": 30, "output_tokens": 12}
    saved = {"model": "gpt", "agent": "writer", "saved_input_tokens": 30, "saved_output_tokens": 12}
    event = CallEvent("answer", "miss", 1.0, key="ab", attempts=1, price=0.5, kind="chat")
    ops.tell(event._replace(details=details, worked=0.9))
    ops.tell(event._replace(outcome="hit", tier="L2", details=saved, attempts=0, price=0.0))
    ops.tell(event._replace(details={"model": "claude", "agent": "writer"}))
    ops.close()
    found = read(url, by=("kind", "model", "agent"))
    assert set(found) == {("chat", "gpt", "writer"), ("chat", "claude", "writer")}
    gpt = found["chat", "gpt", "writer"]
    assert (gpt.input_tokens, gpt.output_tokens, gpt.saved_tokens) == (30, 12, 42)
    assert gpt.tiers == {"L2": 1}
    assert gpt.worked.count == 1


def test_hits_of_a_described_plan_are_counted_by_model(url: str):
    ops = ToolOps(ledger=url)
    answer: Any = ops.tool(cache=Cache(ttl=60), name="answer")(lambda text: text.upper())
    plan = answer.__toolops_plan__
    plan.describe(
        "chat",
        lambda args, kwargs: {"model": "gpt"},
        lambda value: {"output_tokens": len(value)},
    )
    for _ in range(5):
        answer("hello")
    stats = ops.stats()["answer"]
    ops.close()
    ((key, sums),) = read(url, by=("kind", "model")).items()
    assert key == ("chat", "gpt")
    assert sums.outcomes == {"miss": 1, "hit": 4}
    assert (sums.output_tokens, sums.saved_tokens) == (5, 20)
    assert stats.hits == 4


def test_decisions_of_the_semantic_cache_are_summed(url: str):
    ops = ToolOps(ledger=url)
    event = CallEvent("ask", "hit", 0.1, tier="semantic", key="ab")
    served = {"verdict": "served", "similarity": 0.934, "max_error": 0.02, "risk": 0.01}
    ops.tell(event._replace(semantic={**served, "question": "a secret question"}))
    refused = {"verdict": "vetoed", "similarity": 0.9, "max_error": 0.02, "risk": 0.5}
    ops.tell(event._replace(outcome="miss", tier=None, semantic=refused))
    ops.close()
    with open_reader(url) as reader:
        (found,) = reader.decisions(reader.now() - 600).values()
    assert found.verdicts == {"served": 1, "vetoed": 1}
    assert (found.served, found.refused) == ({93: 1}, {90: 1})
    assert (found.estimated_error, found.bound) == (0.01, 0.02)
    assert b"secret question" not in Path(url.removeprefix("sqlite:///")).read_bytes()


def test_odd_events_do_not_stop_the_ledger(url: str):
    ops = ToolOps(ledger=url)
    event = CallEvent("f", "miss", 0.1)
    ops.tell(event._replace(price=float("nan"), saved_latency=float("inf")))
    ops.tell(event._replace(kind="chat", details={"input_tokens": 10**400}))
    ops.tell(event._replace(name="\ud800" * 500, error="E" * 5_000, reason="\ud800"))
    for number in range(1_000):
        ops.tell(event._replace(details={"model": f"model {number}"}, error=f"E{number}"))
    ops.close()
    found = read(url, by=())
    assert found[()].calls == 1_003
    assert len(read(url, by=("model",))) <= 202


def test_a_thread_starts_with_the_first_call_and_ends_with_the_runtime(url: str):
    before = len(ledger_threads())
    ops = ToolOps(ledger=Ledger(url, interval=0.05))
    f = ops.tool(cache=Cache(ttl=60))(lambda x: x)
    assert len(ledger_threads()) == before
    f(1)
    assert len(ledger_threads()) == before + 1
    ops.close()
    assert len(ledger_threads()) == before
    f(2)  # a closed runtime opens again
    assert len(ledger_threads()) == before + 1
    del f, ops
    gc.collect()
    wait_for(lambda: len(ledger_threads()) == before, "the end of the thread")
    ((_, sums),) = read(url).items()
    assert sums.calls == 2


def test_a_process_state_says_what_its_parts_do(url: str):
    ops = ToolOps("shop", ledger=Ledger(url, interval=0.05))
    guarded = ops.tool(
        breaker=CircuitBreaker(), rate_limit=RateLimit("10/min"), bulkhead=Bulkhead(2), name="buy"
    )
    assert guarded(lambda: 1)() == 1
    with wait_for_reader(url) as reader:
        (state,) = wait_for(reader.processes, "the process")
    ops.close()
    assert (state.pid, state.namespace, state.allow_commands) == (os.getpid(), "shop", False)
    assert [each.name for each in state.breakers] == ["buy"]
    assert (state.limits[0].used, state.limits[0].limit) == (pytest.approx(1, abs=0.1), 10)
    assert (state.bulkheads[0].used, state.bulkheads[0].limit) == (0, 2)
    assert state.tiers[0].label == "L1"


def wait_for_reader(url: str) -> Any:
    def find() -> Any:
        try:
            return open_reader(url)
        except LedgerError:
            return None

    return wait_for(find, "the ledger")


def test_commands_are_carried_out_once_where_they_are_allowed(url: str, tmp_path: Path):
    ops = ToolOps(ledger=Ledger(url, interval=0.05, allow_commands=True))
    deaf = ToolOps(ledger=Ledger(url, interval=0.05))
    runs: list[int] = []

    def tool(x: int) -> int:
        runs.append(x)
        return x

    guarded = [
        each.tool(cache=Cache(ttl=60, tags=["t"]), breaker=CircuitBreaker(), name="f")(tool)
        for each in (ops, deaf)
    ]
    for f in guarded:
        f(1)
    breaker, other = (each.breakers.find("f") for each in (ops, deaf))
    assert breaker is not None
    assert other is not None
    with wait_for_reader(url) as reader:
        early = Command("invalidate", "default", tags=("t",), id="1", sent=reader.now() + 3_600)
        SQLiteStore(tmp_path / "ledger.db", read_only=True).send(early)
        reader.send(Command("open_breaker", "default", "f"))
        wait_for(lambda: breaker.state == "forced_open", "the open breaker")
        breaker.reset()
        reader.send(Command("close_breaker", "default", "f"))
        wait_for(lambda: breaker.state == "forced_closed", "the closed breaker")
        reader.send(Command("reset_breaker", "default", "f"))
        wait_for(lambda: breaker.state == "closed", "the breaker's own state")
        assert guarded[0](1) == 1
        assert runs.count(1) == 2  # a command that is not of the present time is void
        reader.send(Command("invalidate", "default", tags=("t",)))
        wait_for(lambda: guarded[0](1) == 1 and runs.count(1) == 3, "the invalidation")
        assert guarded[1](1) == 1
    assert runs.count(1) == 3  # of the one that is deaf, nothing was invalidated
    assert other.state == "closed"
    ops.close()
    deaf.close()


def test_notices_are_kept_with_their_number(url: str):
    ops = ToolOps(ledger=url)
    fails = ops.tool(cache=Cache(ttl=60), name="fails")(lambda x: x)
    for _ in range(3):
        fails(object())
    ops.close()
    with open_reader(url) as reader:
        kinds = {notice.kind: notice for notice in reader.notices(reader.now() - 60)}
    assert kinds["bypass"].name == "fails"
    assert kinds["bypass"].detail == "not_canonical"
    assert kinds["bypass"].pid == os.getpid()


# Trouble ------------------------------------------------------------------------------------------


def test_calls_go_on_while_the_ledger_is_down_and_arrive_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    server = start_valkey(tmp_path)
    try:
        notices = Notices()
        ops = ToolOps(ledger=Ledger(server.url, interval=0.05), sinks=[notices])
        f = ops.tool(cache=Cache(ttl=60), name="f")(lambda x: x)
        f(1)
        wait_for(lambda: wait_for_reader(server.url).processes(), "the first write")
        server.stop()
        for number in range(100):
            f(number % 3)
        wait_for(lambda: "ledger_failed" in notices.kinds(), "the notice")
        failure = next(each for each in notices.got if each.kind == "ledger_failed")
        assert (failure.name, failure.detail) == (server.url, "ConnectionError")
        server.start()  # empty
        f(7)
        wait_for(lambda: "ledger_recovered" in notices.kinds(), "the recovery")
        ops.close()
        (sums,) = read(server.url).values()
        assert sums.calls == 101
        failed, works = (line for line in caplog.messages if "ledger" in line)
        start = f"The ledger {server.url!r}"
        assert failed == f"{start} failed (ConnectionError); calls go on, and it is tried again"
        assert works.startswith(f"{start} works again, after ")
    finally:
        server.stop()


def test_a_newer_ledger_is_refused_with_one_line_and_calls_go_on(url: str, tmp_path: Path):
    import sqlite3

    first = ToolOps(ledger=url)
    first.tool(name="f")(lambda: 1)()
    first.close()
    with sqlite3.connect(tmp_path / "ledger.db") as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    notices = Notices()
    ops = ToolOps(ledger=url, sinks=[notices])
    assert ops.tool(name="f")(lambda: 1)() == 1
    ops.close()
    (failure,) = (each for each in notices.got if each.kind == "ledger_failed")
    assert "version 99" in failure.detail
    assert "\n" not in failure.detail


def test_memory_is_bounded_and_hours_are_kept_before_anything_is_lost():
    pending = PendingSums(200)
    for minute in range(0, 300 * 60, 60):
        pending.add(minute, Cell("n", "f"), {"o": {"hit": 1}})
        assert len(pending) <= 201
    assert pending.lost == 0
    sums = pending.pop(1_000)
    assert sum(record["o"]["hit"] for record in sums.values()) == 300
    for tool in range(1_000):
        pending.add(600, Cell("n", f"tool {tool}"), {"o": {"hit": 2, "refresh": 1}})
    left = sum(record["o"]["hit"] for record in pending.pop(1_000).values())
    assert left + pending.lost == 2_000
    assert left > 0


def test_a_clock_that_jumps_is_followed_only_when_it_stays():
    steady = SteadyTime()
    assert steady.read(1_000.0, 0.0) == 1_000.0
    assert steady.read(1_005.2, 5.0) == pytest.approx(1_005.2)
    assert steady.read(9e9, 10.0) == pytest.approx(1_010.2)  # far ahead
    assert steady.read(1_015.2, 15.0) == pytest.approx(1_015.2)  # and back
    assert steady.read(500.0, 20.0) == pytest.approx(1_020.2)
    assert steady.read(530.0, 50.0) == pytest.approx(1_050.2)
    assert steady.read(561.0, 81.0) == pytest.approx(561.0)  # it has stayed there for a minute


# Processes ----------------------------------------------------------------------------------------


def start_python(code: str, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *args], stdout=subprocess.PIPE, text=True
    )


COUNT = """
    import sys
    from toolops_plugins import Cache, ToolOps
    ops = ToolOps("many", ledger=sys.argv[1])
    f = ops.tool(cache=Cache(ttl=60), name="f")(lambda x: x)
    for number in range(2_000):
        f(number % 10)
    print(ops.stats()["f"].calls, flush=True)
"""


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_several_processes_add_up_exactly_and_write_at_their_end(
    kind: str, url: str, tmp_path: Path
):
    server = start_valkey(tmp_path / "valkey") if kind == "redis" else None
    try:
        place = url if server is None else server.url
        running = [start_python(COUNT, place) for _ in range(2)]
        calls = [int(process.communicate()[0]) for process in running]
        assert [process.returncode for process in running] == [0, 0]
        (sums,) = read(place, "many").values()
        assert sums.calls == sum(calls) == 4_000
        assert sums.outcomes == {"miss": 20, "hit": 3_980}
        assert sums.waited.count == 4_000
    finally:
        if server is not None:
            server.stop()


def test_a_process_that_is_killed_loses_no_more_than_its_last_seconds(url: str):
    code = """
        import sys, time
        from toolops_plugins import Cache, ToolOps
        from toolops_plugins.telemetry.ledger import Ledger
        ops = ToolOps("killed", ledger=Ledger(sys.argv[1], interval=0.1))
        f = ops.tool(cache=Cache(ttl=60), name="f")(lambda x: x)
        for number in range(1_000):
            f(number % 10)
        print("called", flush=True)
        time.sleep(60)
    """
    process = start_python(code, url)
    assert process.stdout is not None
    assert process.stdout.readline() == "called\n"

    def count() -> int:
        with wait_for_reader(url) as reader:
            found = reader.summaries(reader.now() - 600, by=())
        return found[()].calls if found else 0

    wait_for(lambda: count() == 1_000, "what was written in time")
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert count() == 1_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_counts_its_own_calls_only(url: str):
    ops = ToolOps("forked", ledger=Ledger(url, interval=10))
    f = ops.tool(cache=Cache(ttl=60), name="f")(lambda x: x)
    for _ in range(40):
        f(1)

    def work() -> None:
        for _ in range(10):
            f(1)

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join()
    assert child.exitcode == 0
    (sums,) = read(url, "forked").values()
    assert sums.calls == 10
    ops.close()
    (sums,) = read(url, "forked").values()
    assert sums.calls == 50


OWN = """
    import os, sys
    from multiprocessing import get_context
    from toolops_plugins import Cache, ToolOps

    def work(url):
        ops = ToolOps("own", ledger=url)
        f = ops.tool(cache=Cache(ttl=60), name="f")(lambda x: x)
        for _ in range(10):
            f(1)

    if __name__ == "__main__":
        if sys.argv[2] == "after":  # a runtime that this process does not have any more
            work(sys.argv[1])
        child = get_context("fork").Process(target=work, args=(sys.argv[1],))
        child.start()
        child.join()
        print(child.exitcode)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize(("earlier", "calls"), [("none", 10), ("after", 20)])
def test_a_child_of_multiprocessing_with_its_own_runtime_writes_at_its_end(
    url: str, earlier: str, calls: int
):
    process = start_python(OWN, url, earlier)
    assert process.communicate()[0] == "0\n"
    (sums,) = read(url, "own").values()
    assert sums.calls == calls


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_the_thread_imports_nothing_since_a_fork_amid_it_would_leave_half_a_module(
    kind: str, url: str, valkey: Server
):
    code = """
        import sys
        from toolops_plugins import ToolOps
        ops = ToolOps("imports", ledger=sys.argv[1])
        f = ops.tool(name="f")(lambda x: x)
        f(1)
        before = set(sys.modules)
        ops.close()
        print(sorted(set(sys.modules) - before))
    """
    process = start_python(code, url if kind == "sqlite" else valkey.url)
    assert process.communicate()[0] == "[]\n"


def test_reading_the_statistics_of_a_closed_runtime_starts_no_thread(url: str):
    before = len(ledger_threads())
    ops = ToolOps(ledger=url)
    ops.tool(cache=Cache(ttl=60))(lambda x: x)(1)
    ops.close()
    assert ops.stats().total.calls == 1
    assert len(ledger_threads()) == before


def test_a_namespace_that_no_store_takes_is_written_all_the_same(url: str):
    ops = ToolOps("half \ud800", ledger=url)
    ops.tool(cache=Cache(ttl=60))(lambda x: x)(1)
    ops.close()
    ((_, sums),) = read(url, "half ?").items()
    assert sums.calls == 1


# Settings -----------------------------------------------------------------------------------------


def test_a_ledger_is_on_by_default_where_a_redis_tier_is(valkey: Server, namespace: str):
    ops = ToolOps(namespace, tiers=[Memory(), Redis(valkey.url)])
    f = ops.tool(cache=Cache(ttl=60), name="f")(lambda x: x)
    f(1)
    f(1)
    ops.close()
    (sums,) = read(valkey.url, namespace).values()
    assert sums.calls == 2
    before = len(ledger_threads())
    for runtime in (ToolOps(), ToolOps(f"{namespace}2", tiers=[Redis(valkey.url)], ledger=False)):
        runtime.tool(cache=Cache(ttl=60), name="f")(lambda x: x)(1)
        assert len(ledger_threads()) == before
        runtime.close()


def test_the_environment_names_the_ledger(url: str, valkey: Server):
    environ = {"TOOLOPS_LEDGER": url, "TOOLOPS_NAMESPACE": "env", "TOOLOPS_LEDGER_COMMANDS": "1"}
    ops = ToolOps.from_env(environ)
    ops.tool(name="f")(lambda: 1)()
    ops.close()
    with open_reader(url) as reader:
        assert reader.processes()[0].allow_commands
    off = ToolOps.from_env({"TOOLOPS_LEDGER": "off", "TOOLOPS_REDIS_URL": valkey.url})
    assert off._ledger is None
    with pytest.raises(ConfigurationError, match="TOOLOPS_LEDGER"):
        ToolOps.from_env({"TOOLOPS_LEDGER": "mysql://host"})


@pytest.mark.parametrize("value", ["mysql://host", 7, True, "", "sqlite://", object()])
def test_what_is_no_ledger_is_refused_at_once(value: Any):
    with pytest.raises(ConfigurationError, match="ledger"):
        ToolOps(ledger=value)


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({"retention": 10}, "retention"),
        ({"interval": 60}, "interval"),
        ({"max_pending": 1}, "max_pending"),
    ],
)
def test_settings_of_a_ledger_are_checked(url: str, options: dict[str, Any], parameter: str):
    with pytest.raises(ConfigurationError, match=parameter):
        Ledger(url, **options)


def test_runtimes_with_a_ledger_are_pickled(url: str):
    ops = ToolOps("pickled", ledger=Ledger(url, interval=1))
    assert pickle.loads(pickle.dumps(ops)) is ops
    assert pickle.loads(pickle.dumps(Ledger(url))) == Ledger(url)
    assert repr(Ledger("redis://me:swordfish@host:1/0")) == "Ledger('redis://host:1/0')"
    with pytest.raises(TypeError, match="password"):
        pickle.dumps(Ledger("redis://me:swordfish@host:1/0"))
    secret = ToolOps("pickled", ledger="redis://me:swordfish@127.0.0.1:1/0")
    with pytest.raises(TypeError, match="password"):
        pickle.dumps(secret)
