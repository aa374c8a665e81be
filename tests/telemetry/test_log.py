"""Log lines about trouble: their text, their rate, and the secrets that they never hold."""

from __future__ import annotations

import io
import logging
import sqlite3
import threading
from functools import partial
from pathlib import Path
from typing import get_args

import pytest
from callers import in_child, shaken

from toolops_plugins import Cache, CircuitBreaker, CircuitOpen, Memory, ToolOps
from toolops_plugins.errors import TierError
from toolops_plugins.telemetry import log as log_module
from toolops_plugins.telemetry.emitter import Emitter
from toolops_plugins.telemetry.events import Notice, NoticeKind
from toolops_plugins.telemetry.log import ProblemLog
from toolops_plugins.telemetry.notice_lines import BYPASSES, KINDS, SILENT
from toolops_plugins.testing import FakeClock

LOGGER = "toolops_plugins.cache"


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def log(clock):
    return ProblemLog(clock)


@pytest.fixture
def fail(log):
    return partial(log.report_failure, LOGGER, "down", "%(name)s is down", name="L2")


@pytest.fixture
def recover(log):
    text = "%(name)s is up again, after %(duration)s (%(failures)d times)"
    return partial(log.report_recovery, LOGGER, "down", text, name="L2")


def test_the_first_failure_is_written_at_once_and_more_once_a_minute(fail, clock, caplog):
    for _ in range(130):
        fail()
        clock.advance(1.0)
    assert caplog.messages == [
        "L2 is down",
        "L2 is down (59 more in the last 60 s)",
        "L2 is down (59 more in the last 60 s)",
    ]
    assert {(record.name, record.levelname) for record in caplog.records} == {(LOGGER, "WARNING")}


def test_a_failure_after_a_quiet_time_is_written_alone(fail, clock, caplog):
    fail()
    clock.advance(3600)
    fail()
    assert caplog.messages == ["L2 is down"] * 2


def test_a_recovery_says_how_long_and_how_often(fail, recover, clock, caplog):
    recover()
    assert caplog.messages == []
    for _ in range(5):
        fail()
        clock.advance(2.5)
    recover()
    recover()
    assert caplog.messages == ["L2 is down", "L2 is up again, after 12.5 s (5 times)"]


def test_what_fails_and_recovers_all_the_time_does_not_flood(fail, recover, clock, caplog):
    for _ in range(120):
        fail()
        clock.advance(0.5)
        recover()
        clock.advance(0.5)
    assert caplog.messages == [
        "L2 is down",
        "L2 is up again, after 500 ms (1 times)",
        "L2 is down (59 more in the last 60 s)",
        "L2 is up again, after 500 ms (1 times)",
    ]


def test_causes_are_bounded_and_those_beyond_are_counted_together(clock, caplog):
    log = ProblemLog(clock, max_causes=3)
    for number in range(10):
        log.report_failure(LOGGER, number, "%(name)s is down", name=number)
    assert caplog.messages[:3] == ["0 is down", "1 is down", "2 is down"]
    assert caplog.messages[3:] == ["More than 3 causes of trouble in 60 s; others failed too"]
    assert len(log._problems) == 3
    clock.advance(61)
    log.report_failure(LOGGER, 11, "%(name)s is down", name=11)
    assert caplog.messages[-1] == "11 is down"
    assert len(log._problems) == 3


def test_threads_count_every_failure(log, fail, clock, caplog):
    shaken(log_module, lambda: [fail() for _ in range(100)])
    clock.advance(60)
    fail()
    assert caplog.messages == ["L2 is down", "L2 is down (799 more in the last 60 s)"]


def test_a_child_forked_while_a_thread_writes_can_write(log, fail):
    inside, leave = threading.Event(), threading.Event()

    def hold():
        with log._lock:
            inside.set()
            leave.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(20)

    def child():
        seen = []
        handler = logging.Handler()
        handler.emit = lambda record: seen.append(record.getMessage())
        logging.getLogger(LOGGER).addHandler(handler)
        fail()
        return seen == ["L2 is down"]

    try:
        assert in_child(child) == 0
    finally:
        leave.set()
        thread.join()


def test_a_forked_child_writes_its_own_trouble_at_once(fail, recover, caplog):
    fail()

    def child():
        caplog.clear()
        recover()  # of the parent's trouble
        fail()
        fail()
        return caplog.messages == ["L2 is down"]

    assert in_child(child) == 0


def test_a_handler_that_raises_disturbs_no_call(fail):
    class Broken(logging.Handler):
        def emit(self, record):
            raise OSError("disk full")

    handler = Broken()
    logging.getLogger(LOGGER).addHandler(handler)
    try:
        fail()
    finally:
        logging.getLogger(LOGGER).removeHandler(handler)


def test_a_handler_that_calls_a_tool_that_fails_does_not_go_round_in_circles(fail, caplog):
    class Again(logging.Handler):
        def emit(self, record):
            fail()

    handler = Again()
    logging.getLogger(LOGGER).addHandler(handler)
    try:
        fail()
    finally:
        logging.getLogger(LOGGER).removeHandler(handler)
    assert caplog.messages == ["L2 is down"]


# --- notices ----------------------------------------------------------------------------------


def test_every_kind_of_notice_has_a_line_or_is_silent(clock):
    kinds = set(get_args(NoticeKind))
    assert kinds == KINDS | SILENT
    assert not KINDS & SILENT


@pytest.mark.parametrize("kind", [*get_args(NoticeKind), "some_new_kind"])
def test_every_kind_makes_one_line_of_one_line(kind, clock, caplog):
    emitter = Emitter(clock=clock)
    if ended := {"tier_recovered": "tier_failed", "ledger_recovered": "ledger_failed"}.get(kind):
        emitter.notice(Notice(ended, "x\nERROR forged", "a\nb"))
    detail = "closed -> open" if kind == "breaker" else "a\nb"
    emitter.notice(Notice(kind, "x\nERROR forged", detail, namespace="shop"))
    assert len(caplog.records) == (kind not in SILENT) + (ended is not None)
    for record in caplog.records:
        assert "\n" not in record.getMessage()
        assert "forged" in record.getMessage()
    assert all("shop" in record.getMessage() for record in caplog.records[-1:])


@pytest.mark.parametrize(
    ("notice", "logger"),
    [
        (Notice("tier_failed", "L2", "TimeoutError"), "toolops_plugins.cache"),
        (Notice("tier_failed", "semantic", "TimeoutError"), "toolops_plugins.semantic"),
        (Notice("breaker", "quote", "closed -> open"), "toolops_plugins.resilience"),
        (Notice("sink_failed", "Queue", "Full"), "toolops_plugins.telemetry"),
    ],
)
def test_loggers_are_named_by_package(notice, logger, clock, caplog):
    Emitter(clock=clock).notice(notice)
    assert [record.name for record in caplog.records] == [logger]


class Moody(Memory):
    """A tier behind I/O, which works when it wants."""

    local = False
    broken = frozenset()

    def get(self, key, tags=()):
        if "get" in self.broken:
            raise TierError("down") from ConnectionError("redis://:hunter2@host")
        return super().get(key, tags)

    def set(self, key, entry, mark=None):
        if "set" in self.broken:
            raise TierError("full") from ConnectionError("redis://:hunter2@host")
        super().set(key, entry, mark)


@pytest.fixture
def tier(clock):
    return Moody(label="L2", ttl=600, clock=clock)


@pytest.fixture
def notices():
    return []


@pytest.fixture
def quote(tier, clock, notices):
    class Sink:
        def on_call(self, event): ...
        def on_notice(self, notice):
            notices.append((notice.kind, notice.name))

    with ToolOps(tiers=[tier], clock=clock, sinks=[Sink()]) as ops:
        yield ops.tool(cache=Cache(ttl=60))(lambda ticker, api_key="hunter2": ticker)


def test_a_tier_that_fails_and_recovers_is_reported(quote, tier, clock, notices, caplog):
    quote("ACME")
    assert caplog.messages == []
    tier.broken = {"get", "set"}
    for number in range(4):
        quote(f"T{number}")
        clock.advance(1)
    tier.broken = ()
    quote("OTHER")
    quote("ACME")
    assert caplog.messages == [
        "The cache tier 'L2' failed (ConnectionError); calls go on without it",
        "The cache tier 'L2' works again, after 4 s; calls that went on without it: 4",
    ]
    assert notices == [("tier_failed", "L2")] * 4 + [("tier_recovered", "L2")]
    assert "hunter2" not in caplog.text
    assert "ACME" not in caplog.text


def test_a_tier_that_reads_and_cannot_write_has_not_recovered(quote, tier, notices, caplog):
    tier.broken = {"set"}
    for number in range(4):
        quote(f"T{number}")
    assert {kind for kind, _ in notices} == {"tier_failed"}
    assert len(caplog.messages) == 1
    tier.broken = ()
    quote("OTHER")
    assert notices[-1] == ("tier_recovered", "L2")


def test_a_circuit_that_opens_and_closes_is_reported(clock, caplog):
    down = True

    with ToolOps(clock=clock) as ops:

        @ops.tool(breaker=CircuitBreaker(window=2, open_for=30, probes=1), name="quote")
        def quote(ticker):
            if down:
                raise ConnectionError("hunter2")
            return ticker

        for _ in range(2):
            with pytest.raises(ConnectionError):
                quote("ACME")
        for _ in range(3):  # probes that fail
            clock.advance(31)
            with pytest.raises(ConnectionError):
                quote("ACME")
        for _ in range(5):
            with pytest.raises(CircuitOpen):
                quote("ACME")
        clock.advance(31)
        down = False
        quote("ACME")
    opened, closed = (f"The circuit breaker 'quote' {what}" for what in ("opened", "closed"))
    again = ", after 2 min 4 s; its calls are made again; rejected calls: 5"
    after = "; its calls are rejected; the last failure was ConnectionError"
    assert "hunter2" not in caplog.text
    assert caplog.messages == [
        f"{opened} (closed -> open){after}",
        f"{opened} (half_open -> open){after} (1 more in the last 62 s)",
        f"{closed} (half_open -> closed){again}",
    ]


def way_out(ops, caplog, body, *args, **policy):
    """Call a tool and return the one line that it makes."""
    caplog.clear()
    ops.tool(name="search", **{"cache": Cache(ttl=60), **policy})(body)(*args)
    (line,) = caplog.messages
    return line


@pytest.mark.parametrize(
    "make",
    [
        lambda: map(str, "ab"),
        lambda: {"rows": [iter("ab")]},
        lambda: io.StringIO("text"),
        lambda: sqlite3.connect(":memory:").cursor(),
    ],
)
def test_of_what_can_be_read_once_only_no_notice_asks_for_a_registration(make, caplog):
    held = make()
    with ToolOps() as ops:
        line = way_out(ops, caplog, lambda: held)
    assert "'search'" in line
    assert "which can be read once only; return plain data made from it" in line
    assert "register" not in line
    if isinstance(held, sqlite3.Cursor):
        held.connection.close()


def test_a_value_without_an_end_is_reported_in_a_few_words(caplog):
    endless = []
    endless.append(endless)
    with ToolOps() as ops:
        line = way_out(ops, caplog, lambda: endless)
    assert line.endswith("no codec takes a value that contains itself, or is nested too deeply")


def test_an_argument_without_a_form_is_reported_with_its_type_and_the_ways_out(caplog):
    with ToolOps() as ops:
        line = way_out(ops, caplog, lambda client: 1, threading.Lock())
    for part in ("'search'", "_thread.lock", "ignore=[", "ops.canon.register(", "__toolops_key__"):
        assert part in line


@pytest.mark.parametrize(
    ("policy", "end"),
    [
        (
            {"cache": Cache(tags=lambda: 1 / 0)},
            "making their tags raised ZeroDivisionError; see tags=",
        ),
        (
            {"cache": Cache(when=lambda _: 1 / 0)},
            "is not kept (when_failed): Cache(when=...) raised ZeroDivisionError",
        ),
        (
            {"price": lambda _: 1 / 0},
            "counts as free (price_failed): price= raised ZeroDivisionError",
        ),
    ],
)
def test_a_function_of_the_policy_that_raises_is_reported_by_its_parameter(policy, end, caplog):
    with ToolOps() as ops:
        assert way_out(ops, caplog, lambda: 1, **policy).endswith(end)


def test_several_closures_of_one_name_are_warned_of_the_way_to_share(caplog):
    with ToolOps() as ops:
        for number in range(2):
            ops.tool(cache=Cache(ttl=60))(lambda number=number: number)
    (line,) = caplog.messages
    assert "go past the cache" not in line
    assert "give name= to those that may share answers" in line


def test_the_page_on_the_log_lists_every_kind_and_every_reason_of_the_core():
    page = (Path(__file__).parents[2] / "docs" / "operations" / "logging.md").read_text()
    of_adapters = {
        *("address_in_model", "schema_version_missing", "model_unknown", "image_unknown"),
        "unreadable",
    }
    for word in {*get_args(NoticeKind), *BYPASSES} - of_adapters:
        assert f"`{word}`" in page


HELD = threading.Lock()


class Slotted:
    """An object that can neither be encoded nor weakly referenced."""

    __slots__ = ()

    def look(self, word):
        return word


def take_rest(*rest, **options):
    return len(rest), len(options)


ENDLESS = []
ENDLESS.append(ENDLESS)
_IS = "is or holds an object of type _thread.lock, which has no canonical form; "


@pytest.mark.parametrize(
    ("body", "args", "kwargs", "policy", "text"),
    [
        (lambda client: 1, (HELD,), {}, {}, f"the argument 'client' {_IS}leave it out with "),
        (lambda *, client: 1, (), {"client": [HELD]}, {}, f"the argument 'client' {_IS}"),
        (lambda word, client=HELD: 1, ("a",), {}, {}, f"the argument 'client' {_IS}"),
        (take_rest, (HELD,), {}, {}, f"an argument of *rest {_IS}leave it out with ignore="),
        (take_rest, (), {"x": HELD}, {}, f"an argument of **options {_IS}leave it out with "),
        (lambda word: 1, ("a",), {}, {"cache": Cache(key=lambda word: HELD)}, "what key= returned"),
        (Slotted().look, ("a",), {}, {}, "the object that they are methods of is or holds"),
        (lambda word: 1, (ENDLESS,), {}, {}, "no canonical form; leave it out with ignore="),
    ],
)  # fmt: skip
def test_an_argument_without_a_form_is_named(body, args, kwargs, policy, text, caplog):
    with ToolOps() as ops:
        ops.tool(name="search", **{"cache": Cache(ttl=60), **policy})(body)(*args, **kwargs)
    (line,) = caplog.messages
    assert line.startswith("Calls of 'search' go past the cache (not_canonical): ")
    assert text in line


def test_a_tenant_without_a_form_is_named(caplog):
    with ToolOps(tenant=lambda: HELD) as ops:
        for word in ("a", ("a",)):  # a key that would be remembered, and one that would not
            ops.tool(name="search", cache=Cache(ttl=60))(lambda word: 1)(word)
    (line,) = caplog.messages
    assert "what tenant= returned is or holds an object of type _thread.lock" in line


def test_the_ways_out_of_the_line_on_an_argument_work(caplog):
    class Client:
        def __init__(self):
            self.lock = threading.Lock()

    class Keyed(Client):
        def __toolops_key__(self):
            return "keyed"

    with ToolOps() as ops:
        tool = partial(ops.tool, cache=Cache(ttl=60))
        left_out = tool(name="left out", ignore=["client"])(lambda client: 1)
        registered = tool(name="registered")(lambda client: 1)
        keyed = tool(name="keyed")(lambda client: 1)
        ops.canon.register(Client, lambda client: "one")
        for _ in range(2):
            left_out(threading.Lock())
            registered(Client())
            keyed(Keyed())
        assert [report.hits for report in ops.stats()] == [1, 1, 1]
    assert caplog.messages == []
