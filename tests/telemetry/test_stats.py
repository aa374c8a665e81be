"""Statistics of calls, and their reports."""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from dataclasses import FrozenInstanceError, fields
from functools import partial
from html.parser import HTMLParser

import pytest
from callers import race_for_lock, shaken
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from toolops_plugins.errors import ConfigurationError
from toolops_plugins.telemetry import stats as stats_module
from toolops_plugins.telemetry.events import OUTCOMES, CallEvent
from toolops_plugins.telemetry.formats import cell_width, duration, money, shorten_name
from toolops_plugins.telemetry.report import StatsSnapshot, ToolReport
from toolops_plugins.telemetry.stats import OTHER, Stats

EVENTS = st.lists(
    st.builds(
        CallEvent,
        name=st.sampled_from(["quote", "search", "send"]),
        outcome=st.sampled_from(OUTCOMES),
        latency=st.floats(0, 1e6),
        tier=st.sampled_from([None, "L1", "L2", "semantic"]),
        saved_latency=st.floats(0, 1e6),
        saved_price=st.floats(0, 1e6),
        key=st.sampled_from([None, "ab"]),
        price=st.floats(0, 1e6),
        attempts=st.integers(0, 5),
    ),
    max_size=120,
)
FIELD = {
    "stale": "stale",
    "coalesced": "coalesced",
    "miss": "misses",
    "fallback": "fallbacks",
    "rejected": "rejected",
    "error": "errors",
    "bypass": "bypassed",
    "refresh": "refreshes",
}
SUMS = ("saved_seconds", "saved_price", "spent")


def fill(events):
    stats = Stats()
    for event in events:
        stats.recorder(event.name).record(event)
    return stats


@pytest.fixture
def thread_shaker():
    return partial(shaken, stats_module)


# --- counting -------------------------------------------------------------------------------


def test_nothing_counted():
    snapshot = Stats().snapshot()
    assert snapshot == StatsSnapshot()
    assert not snapshot
    assert repr(snapshot) == "No calls yet."
    assert "No calls yet." in snapshot._repr_html_()
    assert snapshot.to_dict()["tools"] == {}
    assert snapshot.total.hit_rate is None
    assert snapshot.total.latency.p99 is None


def test_a_tool_that_was_never_called_has_no_row():
    stats = Stats()
    stats.recorder("quote")
    assert list(stats.snapshot()) == []


@examples(0.3)
@given(EVENTS)
def test_every_event_is_counted_in_its_place(events):
    snapshot = fill(events).snapshot()
    assert {tool.name for tool in snapshot} == {event.name for event in events}
    for tool in snapshot:
        mine = [event for event in events if event.name == tool.name]
        outcomes = Counter(event.outcome for event in mine)
        assert {name: getattr(tool, FIELD[name]) for name in FIELD} == {
            name: outcomes[name] for name in FIELD
        }
        tiers = Counter(event.tier or "L1" for event in mine if event.outcome == "hit")
        assert tool.hits_by_tier == tiers
        assert tool.hits == outcomes["hit"]
        assert tool.reasons == Counter(event.reason for event in mine if event.reason)
        assert tool.calls == len(mine) - outcomes["refresh"]
        assert tool.asked == sum(event.asked_cache for event in mine)
        assert tool.attempts == sum(event.attempts for event in mine)
        assert math.isclose(tool.spent, math.fsum(event.price for event in mine))
        assert math.isclose(tool.saved_price, math.fsum(event.saved_price for event in mine))
        assert math.isclose(tool.saved_seconds, math.fsum(event.saved_latency for event in mine))
    # The total is the sum of the rows.
    for field in (*FIELD.values(), "hits", "calls", "asked", "attempts"):
        assert getattr(snapshot.total, field) == sum(getattr(tool, field) for tool in snapshot)
    for field in SUMS:
        rows = math.fsum(getattr(tool, field) for tool in snapshot)
        assert math.isclose(getattr(snapshot.total, field), rows)
    tiers = sum((Counter(tool.hits_by_tier) for tool in snapshot), Counter())
    assert snapshot.total.hits_by_tier == tiers


@examples(0.3)
@given(EVENTS, st.integers(0, 120))
def test_a_call_without_an_event_counts_as_one_with_it(events, looked_at):
    stats = Stats()
    for at, event in enumerate(events):
        stats.recorder(event.name).count(
            event.outcome,
            event.latency,
            event.attempts,
            event.price,
            event.saved_latency,
            event.saved_price,
            event.tier,
            event.asked_cache,
            event.reason,
        )
        if at == looked_at:
            stats.snapshot()  # to look is not to touch
    one, other = stats.snapshot().total.to_dict(), fill(events).snapshot().total.to_dict()
    for field in SUMS:
        assert one.pop(field) == pytest.approx(other.pop(field))
    assert one == other


@examples(0.5)
@given(
    st.lists(st.tuples(st.floats(0, 1e3), st.floats(0, 1e3), st.floats(0, 1e3)), max_size=100),
    st.integers(0, 100),
)
def test_a_cheap_hit_counts_as_a_hit_event_does(hits, looked_at):
    cheap, dear = Stats(), Stats()
    for at, (latency, seconds, price) in enumerate(hits):
        cheap.recorder("quote").hit(latency, seconds, price)
        dear.recorder("quote").record(
            CallEvent(
                "quote",
                "hit",
                latency,
                tier="L1",
                saved_latency=seconds,
                saved_price=price,
                key="ab",
            )
        )
        if at == looked_at:
            cheap.snapshot()  # to look is not to touch
    one, other = cheap.snapshot().total.to_dict(), dear.snapshot().total.to_dict()
    for field in SUMS:
        assert one.pop(field) == pytest.approx(other.pop(field))
    assert one == other


def test_reasons_are_bounded():
    stats = Stats()
    for number in range(200):
        stats.recorder("quote").record(CallEvent("quote", "bypass", 0.1, reason=f"r{number}"))
    reasons = stats.snapshot()["quote"].reasons
    assert len(reasons) == 51
    assert reasons[OTHER] == 150


def test_notices_and_reasons_are_shown_where_there_are_any():
    stats = Stats()
    stats.recorder("quote").record(CallEvent("quote", "bypass", 0.1, reason="not_canonical"))
    stats.recorder("clock").record(CallEvent("clock", "bypass", 0.1, reason="no_cache"))
    plain, troubled = stats.snapshot(), stats.snapshot({"tier_failed": 1_200, "bypass": 1})
    assert "notices" not in repr(plain)
    assert "notices" not in plain._repr_html_()
    for text in (repr(troubled), troubled._repr_html_()):
        assert "notices: 1,200 tier_failed, 1 bypass" in text
        assert "not from the cache: 1 not_canonical" in text
        assert "no_cache" not in text
    assert troubled.to_dict()["notices"] == {"tier_failed": 1_200, "bypass": 1}
    assert troubled.to_dict()["tools"]["clock"]["reasons"] == {"no_cache": 1}
    assert troubled.total.reasons == {"no_cache": 1, "not_canonical": 1}
    only = Stats().snapshot({"tier_failed": 1})
    assert only
    assert repr(only) == "No calls yet.\n\nnotices: 1 tier_failed"


def test_latencies_are_distinguished():
    stats = Stats()
    recorder = stats.recorder("quote")
    for at in range(1, 1001):
        recorder.hit(at * 1e-6)
        recorder.record(CallEvent("quote", "miss", at * 1e-3, key="ab", attempts=1))
        # In neither of the two groups, but among all.
        recorder.record(CallEvent("quote", "rejected", 100.0, key="ab"))
        # Nobody waited for it.
        recorder.record(CallEvent("quote", "refresh", 10_000.0, key="ab"))
    tool = stats.snapshot()["quote"]
    close = 0.03
    assert tool.hit_latency.p50 == pytest.approx(500e-6, rel=close)
    assert tool.hit_latency.p95 == pytest.approx(950e-6, rel=close)
    assert tool.hit_latency.p99 == pytest.approx(990e-6, rel=close)
    assert tool.miss_latency.p50 == pytest.approx(0.5, rel=close)
    assert tool.miss_latency.p99 == pytest.approx(0.99, rel=close)
    assert tool.latency.p50 == pytest.approx(0.5, rel=close)
    assert tool.latency.p95 == tool.latency.p99 == pytest.approx(100, rel=close)
    assert stats.snapshot().total.latency == tool.latency


def test_the_total_weighs_every_tool_by_its_calls():
    stats = Stats()
    for _ in range(99):
        stats.recorder("fast").hit(0.001)
    stats.recorder("slow").hit(10.0)
    total = stats.snapshot().total
    assert total.latency.p95 == pytest.approx(0.001, rel=0.03)
    assert total.latency.p99 == pytest.approx(0.001, rel=0.03)
    assert stats.snapshot()["slow"].latency.p50 == pytest.approx(10, rel=0.03)


def test_the_hit_rate_is_over_those_who_asked():
    stats = Stats()
    recorder = stats.recorder("quote")
    recorder.hit(1e-6)
    for outcome in ("stale", "coalesced", "miss", "error", "rejected", "fallback", "bypass"):
        recorder.record(CallEvent("quote", outcome, 1.0, key="ab"))
    stats.recorder("send").record(CallEvent("send", "bypass", 1.0, reason="no_cache"))
    stats.recorder("send").record(CallEvent("send", "error", 1.0, error="OSError"))
    snapshot = stats.snapshot()
    assert snapshot["quote"].hit_rate == 3 / 7
    assert snapshot["send"].hit_rate is None
    assert snapshot.total.hit_rate == 3 / 7


def test_hits_are_booked_to_the_local_tier_by_its_label():
    stats = Stats(local_tier="memory")
    stats.recorder("quote").hit(1e-6)
    assert stats.snapshot()["quote"].hits_by_tier == {"memory": 1}


def test_rows_stand_in_the_order_of_their_calls():
    stats = Stats()
    for name, times in (("b", 1), ("c", 3), ("a", 1)):
        for _ in range(times):
            stats.recorder(name).hit(1e-6)
    assert [tool.name for tool in stats.snapshot()] == ["c", "a", "b"]
    with pytest.raises(KeyError):
        stats.snapshot()["d"]


def test_after_a_reset_recorders_count_from_zero():
    stats = Stats()
    recorder = stats.recorder("quote")
    for _ in range(40):
        recorder.hit(1.0, 1.0, 1.0)
        recorder.record(CallEvent("quote", "miss", 1.0, price=1.0, attempts=1, key="ab"))
    stats.recorder("search").hit(1.0)
    stats.reset()
    assert stats.snapshot() == StatsSnapshot()
    recorder.hit(1e-6, 2.0, 3.0)
    tool = stats.snapshot()["quote"]
    assert (tool.calls, tool.saved_seconds, tool.saved_price, tool.spent) == (1, 2.0, 3.0, 0.0)
    assert tool.latency.p99 == pytest.approx(1e-6, rel=0.03)


def test_an_old_snapshot_stays_as_it_was():
    stats = Stats()
    stats.recorder("quote").hit(1e-6)
    old = stats.snapshot()
    stats.recorder("quote").hit(1e-6)
    assert (old.total.calls, stats.snapshot().total.calls) == (1, 2)
    old["quote"].hits_by_tier["L1"] = 99
    assert old["quote"].hits == 1
    for part in (old, old.total, old.total.latency):
        for field in fields(part):
            with pytest.raises(FrozenInstanceError):
                setattr(part, field.name, None)


# --- threads, reentrance, bounds ------------------------------------------------------------


def test_no_count_is_lost_under_threads(thread_shaker):
    stats = Stats()
    recorder = stats.recorder("quote")
    miss = CallEvent("quote", "miss", 0.5, price=1.0, attempts=1, key="ab")
    seen = []

    def work():
        for at in range(400):
            recorder.hit(1e-6, 1.0, 2.0)
            if at % 4 == 0:
                recorder.record(miss)
            if at % 100 == 0:
                seen.append(stats.snapshot().total.calls)

    thread_shaker(work)
    tool = stats.snapshot()["quote"]
    assert tool.hits == 3_200
    assert tool.misses == tool.attempts == 800
    assert (tool.saved_seconds, tool.saved_price, tool.spent) == (3_200, 6_400, 800)
    assert tool.asked == 4_000
    assert max(seen) <= 4_000
    sketches = recorder._sketches
    assert (sketches["hit"].count, sketches["miss"].count) == (3_200, 800)


def test_one_name_has_one_recorder_under_threads(thread_shaker):
    stats = Stats(max_tools=50)

    def work():
        for at in range(100):
            stats.recorder(f"tool{at}").hit(1e-6)

    thread_shaker(work)
    snapshot = stats.snapshot()
    assert len(snapshot) == 51
    assert snapshot[OTHER].calls == 8 * 50
    assert {tool.calls for tool in snapshot if tool.name != OTHER} == {8}


def test_two_threads_that_make_one_recorder_at_once_get_the_same():
    stats = Stats()
    one, other = race_for_lock(stats, lambda: stats.recorder("quote"))
    assert one is other is stats.recorder("quote")


def test_a_reset_among_calls_leaves_whole_numbers(thread_shaker):
    stats = Stats()
    recorder = stats.recorder("quote")

    def work():
        for at in range(300):
            recorder.hit(1e-6, 1.0)
            if at % 50 == 0:
                stats.reset()

    thread_shaker(work)
    total = stats.snapshot().total
    assert total.hits == total.asked == total.saved_seconds


def test_a_call_made_in_the_middle_of_counting_is_counted_too():
    # A finalizer or a signal handler may run between any two instructions of a sum; a price that
    # makes calls while it is added stands for it.
    stats = Stats()
    recorder = stats.recorder("quote")
    made = []

    class Nested(float):
        def __radd__(self, other):
            for _ in range(40):
                recorder.hit(1e-6, 0.0, 1.0)
                recorder.record(CallEvent("quote", "miss", 1.0, price=1.0))
            stats.snapshot()
            made.append(40)
            return float(self) + other

    for _ in range(3):
        recorder.record(CallEvent("quote", "miss", 1.0, price=Nested(1.0)))
        recorder.hit(1e-6, 0.0, Nested(1.0))
    stats.snapshot()
    assert len(made) == 6
    total = stats.snapshot().total
    assert total.misses == total.spent == 3 + sum(made)
    assert total.hits == total.saved_price == 3 + sum(made)


def test_a_wrong_event_takes_no_other_call_with_it():
    stats = Stats()
    recorder = stats.recorder("quote")
    for _ in range(10):
        recorder.count("miss", 1.0, 1, 2.0)
    recorder.record(CallEvent("quote", "miss", 1.0, price="free"))
    for _ in range(10):
        recorder.count("miss", 1.0, 1, 2.0)
    with pytest.raises(TypeError):
        stats.snapshot()
    tool = stats.snapshot()["quote"]
    assert tool.spent == 40.0
    assert recorder._sketches["miss"].count == 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_child_forked_while_another_thread_counts_counts_too():
    recorder = Stats().recorder("quote")
    recorder._counting = True  # as that thread leaves it
    child = os.fork()
    if child == 0:
        for _ in range(40):
            recorder.hit(1e-6)
            recorder.count("miss", 1.0)
        os._exit(len(recorder.hits) + len(recorder._calls))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) < 2 * 32


def test_a_hundred_thousand_tools_stay_within_the_cap():
    stats = Stats()
    for at in range(100_000):
        stats.recorder(f"tool{at}").hit(1e-6, 1.0)
    assert len(stats._recorders) == 1_000
    snapshot = stats.snapshot()
    assert len(snapshot) == 1_001
    assert snapshot[OTHER].calls == 99_000
    assert snapshot.total.calls == snapshot.total.saved_seconds == 100_000


def test_what_waits_to_be_counted_is_bounded():
    recorder = Stats().recorder("quote")
    event = CallEvent("quote", "miss", 1.0)
    for _ in range(1_000):
        recorder.hit(1e-6)
        recorder.record(event)
        assert len(recorder.hits) < 32
        assert len(recorder._calls) < 32


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "many", True])
def test_a_wrong_cap_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="max_tools"):
        Stats(max_tools=wrong)


# --- what people see ------------------------------------------------------------------------


class Table(HTMLParser):
    """Collects texts of cells, and fails where tags do not match."""

    def __init__(self, html):
        super().__init__()
        self.open, self.rows, self.tags = [], [], Counter()
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.tags[tag] += 1

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def example():
    stats = Stats()
    quote = stats.recorder("quote")
    for _ in range(1_500):
        quote.hit(4e-6, 0.8, 0.001)
    for _ in range(500):
        quote.record(CallEvent("quote", "miss", 0.8, key="ab", price=0.001, attempts=1))
    stats.recorder("send").record(CallEvent("send", "bypass", 0.35, attempts=1))
    return stats.snapshot()


def test_the_text_says_what_happened():
    counts, measures = repr(example()).split("\n\n")
    head, rule, quote, send, _, total = counts.splitlines()
    assert re.split(r"\s{2,}", head.strip()) == [
        "tool", "calls", "hit rate", "L1 hits", "misses", "bypassed",
    ]  # fmt: skip
    assert set(rule) == {"-"}
    assert quote.split() == ["quote", "2,000", "75.0%", "1,500", "500", "0"]
    assert send.split() == ["send", "1", "-", "0", "0", "1"]
    assert total.split() == ["total", "2,001", "75.0%", "1,500", "500", "1"]
    assert "20 min 0 s" in measures
    assert measures.splitlines()[2].split()[-2:] == ["1.50", "0.5"]


def test_money_is_left_out_where_none_was_counted():
    stats = Stats()
    stats.recorder("quote").hit(1e-6)
    assert "spent" not in repr(stats.snapshot())
    assert "spent" not in stats.snapshot()._repr_html_()


NAMES = st.lists(st.text(max_size=60), min_size=1, max_size=5, unique=True)


@examples(0.4)
@given(NAMES)
def test_no_name_breaks_the_text(names):
    stats = Stats()
    for name in names:
        stats.recorder(name).hit(1e-6)
    for table in repr(stats.snapshot()).split("\n\n"):
        lines = table.split("\n")
        assert len(lines) == len(names) + 4
        assert len({cell_width(line) for line in lines}) == 1
        assert all(line.isprintable() for line in lines)


def test_wide_letters_keep_the_columns():
    stats = Stats()
    for name in ("天気", "weather"):
        stats.recorder(name).hit(1e-6)
    lines = repr(stats.snapshot()).splitlines()
    # Each of the two letters fills two cells, so that line has two characters less.
    assert [len(line) - len(lines[0]) for line in lines[2:4]] == [0, -2]


@examples(0.4)
@given(NAMES)
def test_no_name_breaks_the_html(names):
    stats = Stats()
    for name in names:
        recorder = stats.recorder(name)
        recorder.hit(1e-6)
        recorder.record(CallEvent(name, "hit", 1e-3, tier=name, key="ab"))
    table = Table(stats.snapshot()._repr_html_())
    figures = [table.rows[0], *table.rows[1::2]]  # below each is how its calls were answered
    assert len(figures) == len(names) + 2
    assert len({len(row) for row in figures}) == 1


def test_names_are_escaped_in_html():
    name = "<script>alert(1)</script>\"onmouseover='x'&"
    stats = Stats()
    stats.recorder(name).record(CallEvent(name, "hit", 1e-3, tier="<img src=x>", key="ab"))
    html = stats.snapshot()._repr_html_()
    table = Table(html)
    assert table.tags["script"] == table.tags["img"] == 0
    assert (
        'title="&lt;script&gt;alert(1)&lt;/script&gt;&quot;onmouseover=&#x27;x&#x27;&amp;"' in html
    )
    assert table.rows[2] == ["1 <img src=x> hit"]


def test_the_html_has_the_numbers_and_fetches_nothing():
    html = example()._repr_html_()
    table = Table(html)
    saved = ["tool", "calls", "hit rate", "saved time", "saved cost", "spent"]
    assert table.rows[0][:6] == saved
    assert table.rows[1][:6] == ["quote", "2,000", "75.0%", "20 min 0 s", "1.50", "0.5"]
    assert table.rows[2] == ["1,500 L1 hits \N{MIDDLE DOT} 500 misses"]
    assert table.rows[4] == ["1 bypassed"]
    assert table.rows[-2][:2] == ["total", "2,001"]
    # A bar where there is a hit rate: the quote and the total, not the send.
    assert table.tags["svg"] == 2
    assert '<rect width="30.0"' in html
    assert "http" not in html
    assert "url(" not in html


def test_trouble_stands_out_in_html():
    stats = Stats()
    for outcome in ("miss", "error", "rejected"):
        stats.recorder("quote").record(CallEvent("quote", outcome, 0.1, key="ab"))
    html = stats.snapshot()._repr_html_()
    assert "1 miss \N{MIDDLE DOT} <b>1 rejected</b> \N{MIDDLE DOT} <b>1 error</b>" in html


def test_the_text_fits_a_hundred_columns_whatever_was_counted():
    stats = Stats()
    for name in ("quote", "company.research." + "travel_" * 20 + "search", "天気" * 40):
        recorder = stats.recorder(name)
        for outcome in OUTCOMES:
            recorder.record(CallEvent(name, outcome, 4_000.0, key="ab", price=1234.5))
        for tier in ("L2", "L3", "semantic"):
            recorder.record(CallEvent(name, "hit", 1.0, key="ab", tier=tier, saved_price=5e6))
    text = repr(stats.snapshot())
    assert max(cell_width(line) for line in text.splitlines()) <= 100
    titles = {title for line in text.splitlines() for title in re.split(r"\s{2,}", line.strip())}
    assert {"semantic hits", "refreshes", "rejected", "p99", "saved cost", "spent"} <= titles
    assert text.count("\nquote ") == len(text.split("\n\n")) == 5  # each table names its rows


def test_names_are_shortened_where_one_table_then_holds_all():
    stats = Stats()
    name = "shop.tools.search_cheapest_connection"
    recorder = stats.recorder(name)
    for latency in (1.23e-3, 45.6e-3, 0.705):
        recorder.record(CallEvent(name, "miss", latency, key="ab", price=123.45))
        recorder.hit(latency, 3_660.0, 0.123)
    counts, measures = repr(stats.snapshot()).split("\n\n")
    assert name in counts
    assert len(measures.splitlines()[0]) == 100
    assert measures.splitlines()[0].endswith("spent")
    assert re.search(r"^shop\.to.*\.\.\..*connection ", measures, re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("quote", "quote"),
        ("a.b.c.d.search", "a.b....earch"),
        ("天気予報天気予報", "天気...予報"),
        ("new\nline", "new\\nline"),
    ],
)
def test_a_long_name_keeps_its_beginning_and_its_end(name, shown):
    assert shorten_name(name, 12) == shown


def test_a_difference_counts_what_came_after():
    stats = Stats()
    quote, send = stats.recorder("quote"), stats.recorder("send")
    send.record(CallEvent("send", "bypass", 0.35, attempts=1))
    quote.record(CallEvent("quote", "miss", 0.8, key="ab", price=0.5, attempts=1))
    quote.hit(4e-6, 0.8, 0.5)
    before = stats.snapshot()
    quote.record(CallEvent("quote", "hit", 1e-3, tier="L2", key="ab"))
    quote.hit(4e-6, 0.8, 0.5)
    stats.recorder("book").record(CallEvent("book", "error", 0.1, attempts=2))
    found = stats.snapshot().since(before)
    assert [tool.name for tool in found] == ["quote", "book"]
    assert found["quote"].hits_by_tier == {"L1": 1, "L2": 1}
    assert found["quote"].misses == 0
    assert (found.total.calls, found.total.attempts) == (3, 2)
    assert found.total.saved_price == pytest.approx(0.5)
    assert found.total.hit_rate == 1.0
    assert found.total.latency.p50 is None
    assert "p50" not in repr(found) + found._repr_html_()
    assert not stats.snapshot().since(stats.snapshot())


def test_only_the_busiest_tools_are_shown_but_all_are_listed():
    stats = Stats()
    for at in range(35):
        for _ in range(35 - at):
            stats.recorder(f"tool{at:02}").hit(1e-6)
    snapshot = stats.snapshot()
    text = repr(snapshot)
    assert "tool29" in text
    assert "tool30" not in text
    assert text.count("... and 5 more") == 2
    assert text.splitlines()[-1].startswith("total")
    table = Table(snapshot._repr_html_())
    assert ["... and 5 more"] in table.rows
    assert len(snapshot.to_dict()["tools"]) == 35


def test_the_dictionary_is_json_and_complete():
    plain = example().to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    quote = plain["tools"]["quote"]
    assert set(quote) == {field.name for field in fields(ToolReport)} | {
        "calls",
        "hits",
        "hit_rate",
    }
    assert quote["tiers"] == {"L1": 1_500}
    assert quote["hit_rate"] == 0.75
    assert plain["total"]["calls"] == 2_001
    assert plain["tools"]["send"]["miss_latency"] == {"p50": None, "p95": None, "p99": None}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (math.nan, "-"),
        (math.inf, "-"),
        (0, "0 s"),
        (45e-9, "45 ns"),
        (45e-6, "45 us"),
        (999.4e-6, "999 us"),
        (999.6e-6, "1 ms"),
        (1.234e-3, "1.23 ms"),
        (0.9999, "1 s"),
        (12.34, "12.3 s"),
        (59.96, "1 min 0 s"),
        (125, "2 min 5 s"),
        (3599.7, "1 h 0 min"),
        (5400, "1 h 30 min"),
        (86_400 * 3.5, "3.5 d"),
        (86_400 * 36_500, "36,500.0 d"),
    ],
)
def test_durations_are_written_as_people_do(seconds, text):
    assert duration(seconds) == text


UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


@given(st.floats(1e-9, 1e9))
def test_a_duration_as_text_is_close(seconds):
    parts = duration(seconds).replace(",", "").split()
    said = sum(
        float(number) * UNITS[unit] for number, unit in zip(parts[::2], parts[1::2], strict=True)
    )
    assert said == pytest.approx(seconds, rel=0.025)  # 0.05 of two days


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0"),
        (0.012345, "0.0123"),
        (0.5, "0.5"),
        (0.9996, "1.00"),
        (12.345, "12.35"),
        (1234567.8, "1,234,567.80"),
        (3.21e-7, "0.000000321"),
        (-0.25, "-0.25"),
        (math.nan, "nan"),
        (math.inf, "inf"),
    ],
)
def test_money_has_the_digits_that_matter(amount, text):
    assert money(amount) == text


@given(st.floats(1e-11, 1e9))
def test_money_as_text_is_close(amount):
    assert float(money(amount).replace(",", "")) == pytest.approx(amount, rel=0.01)
