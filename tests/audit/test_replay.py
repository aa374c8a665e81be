"""The replay behind `toolops audit`: what it reads, what it counts, and what it keeps."""

from __future__ import annotations

import csv
import io
import json
import random
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from toolops_plugins import ConfigurationError, TierError
from toolops_plugins.audit import log_reader
from toolops_plugins.audit.log_reader import (
    MISSING,
    Broken,
    Columns,
    Record,
    choose,
    pick,
    read,
    seconds_of,
    sniff,
)
from toolops_plugins.audit.replay import OTHER, Assumed, Audit
from toolops_plugins.audit.sketches import Distinct, Frequent

PLAIN = Columns(())
TIMED = Columns(("q",), "t")


def stream(data: str | bytes) -> io.BufferedReader:
    raw = data.encode() if isinstance(data, str) else data
    return io.BufferedReader(io.BytesIO(raw), 65_536)


def parse(data, form=None, name="-"):
    source = stream(data)
    return list(read(source, form or sniff(source, name)))


def run_replay(values, columns=PLAIN, *, top=10, **assumed):
    audit = Audit(columns, Assumed(**assumed))
    try:
        for number, value in enumerate(values, 1):
            audit.add(Record(number, value))
        return audit.result(top)
    finally:
        audit.close()


# Sketches


def test_distinct_is_exact_up_to_its_size_and_near_beyond():
    random_ = random.Random(3)
    hashes = [random_.getrandbits(64) for _ in range(50_000)]
    sketch = Distinct(1_024)
    for hashed in hashes[:1_024] * 2:
        sketch.add(hashed)
    assert (sketch.count, sketch.exact) == (1_024, True)
    for hashed in hashes * 2:
        sketch.add(hashed)
    assert not sketch.exact
    assert len(sketch) == 1_024
    assert abs(sketch.count / 50_000 - 1) < 5 / 1_024**0.5


@given(st.lists(st.integers(0, 9).map(lambda n: n // 2)), st.integers(1, 6))
@example([0, 0, 0, 1, 2], 2)
def test_frequent_brackets_every_count_and_keeps_the_heavy(values, size):
    sketch = Frequent(size)
    for value in values:
        sketch.add(str(value), f"label {value}")
    true = Counter(map(str, values))
    kept = {value.key: value for value in sketch.top(size)}
    assert len(sketch) == min(size, len(true))
    assert sum(value.count for value in kept.values()) == len(values)
    for key, value in kept.items():
        assert value.least <= true[key] <= value.count
        assert value.label == f"label {key}"
    for key, count in true.items():
        if count > len(values) / size:
            assert key in kept
    if size >= len(true):
        assert {key: value.count for key, value in kept.items()} == true


def test_frequent_orders_by_what_is_certain():
    sketch = Frequent(10)
    for value in "abbccc":
        sketch.add(value, value)
    assert [value.key for value in sketch.top(2)] == ["c", "b"]
    assert [value.key for value in sketch.top(9, least=2)] == ["c", "b"]


# Input

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)


@given(st.lists(st.fixed_dictionaries({"a": TEXT, "b": TEXT}), min_size=1))
def test_every_format_gives_the_same_records(rows):
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    table = io.StringIO()
    writer = csv.DictWriter(table, ["a", "b"])
    writer.writeheader()
    writer.writerows(rows)
    for data, form in ((lines, "jsonl"), (json.dumps(rows), "json"), (table.getvalue(), "csv")):
        assert [record.value for record in parse(data, form)] == rows


def test_formats_are_told_apart():
    for name, data, form in (
        ("-", '{"a": 1}\n{"a": 2}', "jsonl"),
        ("-", '"a"\n"b"', "jsonl"),
        ("-", '\n [{"a": 1}]', "json"),
        ("x.json", '{"a": 1}\n{"a": 2}', "jsonl"),
        ("x.json", "[\n1]", "json"),
        ("x.jsonl", "[1]\n[2]", "jsonl"),
        ("-", "a,b\n1,2", "csv"),
        ("x.csv", '"a","b"\n1,2', "csv"),
        ("x.TSV", "a\tb", "csv"),
        ("-", "{\n  1", "json"),
        ("-", "\ufeff[1]", "json"),
    ):
        assert sniff(stream(data), name) == form, (name, data)


def test_a_byte_order_mark_is_no_text():
    assert parse('\ufeff{"a": 1}')[0].value == {"a": 1}
    assert parse("\ufeffa,b\n1,2")[0].value == {"a": "1", "b": "2"}
    assert parse('\ufeff["x"]')[0].value == "x"


def test_utf_16_is_refused_by_name():
    with pytest.raises(ConfigurationError, match="UTF-16"):
        sniff(stream('{"a": 1}'.encode("utf-16")), "-")


def test_broken_lines_of_json_have_their_numbers():
    found = parse(b'{"a": 1}\n\n{"a": \n"\xff"\n{"a": 2}\n', "jsonl")
    assert [(type(line), line.number) for line in found] == [
        (Record, 1), (Broken, 3), (Broken, 4), (Record, 5),
    ]  # fmt: skip


def test_broken_rows_have_their_numbers():
    found = parse(b'a;b\n1;2\n3\n\n"x\ny";4\n\xff;5\n6;7\n')
    assert [(line.number, getattr(line, "value", None)) for line in found] == [
        (2, {"a": "1", "b": "2"}),
        (3, None),
        (5, {"a": "x\ny", "b": "4"}),
        (7, None),
        (8, {"a": "6", "b": "7"}),
    ]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_line_without_an_end_is_not_held(monkeypatch, form):
    monkeypatch.setattr(log_reader, "_LONGEST", 100)
    first = '"q"\n' if form == "csv" else ""
    found = parse(f'{first}"before"\n"{"x" * 1_000}"\n"after"\n', form)
    assert [type(line) for line in found] == [Record, Broken, Record]
    assert found[2].number == found[1].number + 1


def test_a_row_without_an_end_does_not_swallow_the_file(monkeypatch):
    monkeypatch.setattr(log_reader, "_LONGEST", 100)
    rows = [f"{i},ok\n" for i in range(100)]
    found = parse("a,b\n" + '1,"open\n' + "".join(rows), "csv")
    assert isinstance(found[0], Broken)
    assert found[-1].value == {"a": "99", "b": "ok"}


def test_an_array_breaks_at_a_place_and_keeps_what_came_before():
    found = parse('["a", {"b": 1.5}, 1 2]')
    assert [line.value for line in found[:2]] == ["a", {"b": 1.5}]
    assert isinstance(found[-1], Broken)
    assert "cannot be read" in found[-1].problem


def test_an_object_is_no_array():
    with pytest.raises(ConfigurationError, match="array"):
        parse('{\n "data": [1]\n}')


def test_an_array_is_streamed():
    class Endless(io.RawIOBase):
        taken = 0

        def readable(self):
            return True

        def readinto(self, buffer):
            data = b'{"q": "a"}, ' if self.taken else b"["
            data *= 1 if data == b"[" else len(buffer) // len(data)
            self.taken += 1
            buffer[: len(data)] = data
            return len(data)

    raw = Endless()
    records = read(io.BufferedReader(raw), "json")
    for _ in range(1_000):
        assert next(records).value == {"q": "a"}
    assert raw.taken < 100


def test_fields_are_found_inside():
    record = {"a.b": 1, "a": {"c": [{"d": 2}]}, "n": None}
    assert pick(record, "a.b") == 1
    assert pick(record, "a.c.0.d") == pick(record, "a.c.-1.d") == 2
    assert pick(record, "n") is None
    for path in ("x", "a.x", "a.c.1", "a.c.x", "n.x", "a.c.0.d.e"):
        assert pick(record, path) is MISSING


def test_fields_are_guessed_from_usual_names():
    sample = [{"id": 1, "Prompt": "x", "ts": "2024-01-01", "tool_name": "search"}]
    assert choose(sample) == Columns(("Prompt",), "ts", "tool_name", ("ts", "tool_name", "Prompt"))
    assert choose(sample, ["id"], "ts", "Prompt") == Columns(("id",), "ts", "Prompt")
    assert choose([{"only": "x", "time": 5}]).fields == ("only",)
    assert choose(["a", "b"]).fields == ()
    assert choose([{"question": "x", "time": "soon"}]).time is None
    assert choose([{"tool": "x"}], ["tool"]).tool is None


def test_a_wrong_field_lists_those_that_exist():
    sample = [{"a": {"b": 1, "c": {}}}, {"d": 2}]
    for choice in ({"fields": ["x"]}, {"time": "x"}, {"tool": "x"}, {}):
        with pytest.raises(ConfigurationError, match=r"these are: a\.b, a\.c, d"):
            choose(sample, **choice)
    with pytest.raises(ConfigurationError, match="not objects"):
        choose(["a"], ["x"])


def test_times_in_every_form():
    for value in (
        1_704_103_200, "1704103200", 1_704_103_200.0, 1_704_103_200_000, "1704103200000",
        1_704_103_200_000_000, 1_704_103_200_000_000_000, "2024-01-01T10:00:00Z",
        "2024-01-01 10:00:00", "2024-01-01T12:00:00+02:00",
    ):  # fmt: skip
        assert seconds_of(value) == 1_704_103_200
    for value in (None, True, "", "soon", "nan", float("inf"), 10**400, {}, "9999-99-99"):
        with pytest.raises(ValueError, match="is no time"):
            seconds_of(value)


# Replay


def test_repeats_are_counted_and_priced():
    result = run_replay(["a", "b", "a", "a"], price=0.5, latency=2)
    assert (result.calls, result.distinct, result.exact) == (4, 2, True)
    assert (result.misses, dict(result.hits), result.coalesced) == (2, {"L1": 2}, 0)
    assert (result.answers, result.remaining_calls, result.hit_rate, result.seconds) == (
        2,
        2,
        0.5,
        4,
    )
    assert result.wasted == [("a", 3, True, 1.0)]


def simulate(calls, latency, ttl):
    """Simulate a cache as simply as possible."""
    ends, good, now = {}, {}, -1
    counts, waited, bursts = Counter(), 0.0, set()
    for time, question in calls:
        now = max(now, time)
        if question in good and now < good[question]:
            if now < ends[question]:
                counts["coalesced"] += 1
                waited += ends[question] - now
                bursts.add((question, ends[question]))
            else:
                counts["hits"] += 1
        else:
            counts["misses"] += 1
            ends[question] = now + latency
            good[question] = now + latency + ttl
    return counts, waited, len(bursts)


CALLS = st.lists(st.tuples(st.integers(0, 60), st.sampled_from("abc")))


@given(CALLS, st.sampled_from([1, 3, 8]), st.sampled_from([1, 5, 20]))
def test_times_make_ttls_and_bursts_real(calls, latency, ttl):
    records = [{"t": time, "q": question} for time, question in calls]
    result = run_replay(records, TIMED, latency=latency, ttl=ttl)
    counts, waited, bursts = simulate(calls, latency, ttl)
    assert result.misses == counts["misses"]
    assert result.coalesced == counts["coalesced"]
    assert result.hits.total() == counts["hits"]
    assert (result.waited, result.bursts) == (waited, bursts)
    backwards = sum(b < max(t for t, _ in calls[: i + 1]) for i, (b, _) in enumerate(calls[1:]))
    assert result.backwards == backwards


def test_without_times_nothing_expires_or_joins():
    result = run_replay(["a"] * 100, ttl=1, latency=50)
    assert (result.misses, result.coalesced, result.hits["L1"]) == (1, 0, 99)


def test_real_times_may_be_as_large_as_they_are():
    start = 1_718_265_600.0
    records = [{"t": start, "q": "a"}, {"t": start + 0.25, "q": "a"}, {"t": start + 9, "q": "a"}]
    result = run_replay(records, TIMED)
    assert (result.coalesced, result.bursts, result.hits["L1"]) == (1, 1, 1)
    assert result.waited == pytest.approx(0.75)


def test_questions_differ_by_case_and_space_unless_told_otherwise():
    questions = ["How  much?", "how much?", " HOW\nmuch? "]
    assert run_replay(questions).misses == 3
    assert run_replay(questions, normalize=True).misses == 1
    records = [{"a": "X", "b": [1]}, {"a": "x", "b": [1]}]
    assert run_replay(records, Columns(("a", "b")), normalize=True).misses == 1


def test_several_fields_and_the_tool_make_the_call():
    columns = Columns(("a", "b"), None, "tool")
    rows = [(1, 2, "x"), (1, 3, "x"), (1, 2, "y"), (1, 2, "x"), (True, 2, "x")]
    result = run_replay([{"a": a, "b": b, "tool": tool} for a, b, tool in rows], columns)
    assert (result.misses, result.answers) == (4, 1)
    assert result.tools == {"x": [4, 1], "y": [1, 0]}


def test_lines_without_a_field_or_a_time_are_broken():
    audit = Audit(TIMED, Assumed())
    for number, value in enumerate([{"q": "a"}, {"t": 1}, {"q": "a", "t": "x"}, "a"], 1):
        audit.add(Record(number, value))
    audit.add(Broken(5, "bad"))
    audit.add(Record(6, {"q": "a", "t": 1}))
    result = audit.result()
    audit.close()
    assert (result.calls, result.broken) == (1, 5)
    assert [line.number for line in result.broken_lines] == [1, 2, 3, 4, 5]


def test_empty_questions_are_calls_that_nothing_answers():
    result = run_replay(["", " \n", None, [], {"a": ""}] * 2)
    assert (result.calls, result.empty, result.answers, result.misses) == (10, 10, 0, 0)


def test_a_value_without_a_key_is_a_bypass():
    result = run_replay([object(), object()])
    assert dict(result.bypassed) == {"not_canonical": 2}
    assert (result.remaining_calls, result.misses) == (2, 0)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("timestamp", "It is 2024-06-13T08:00:0{}Z: what now?"),
        ("timestamp", "what now? 170410320{}"),
        ("uuid", "for 123e4567-e89b-12d3-a456-42661417400{}: what now?"),
        ("id", "what now? (request_id={}abc123)"),
    ],
)
def test_what_makes_each_call_unique_is_told(kind, text):
    result = run_replay(["plain", "plain", *(text.format(i) for i in range(4)), text.format(0)])
    marked = result.marked[kind]
    assert (marked.calls, marked.first, marked.repeats) == (4, 3, 3)
    assert marked.example in text.format(0)
    assert set(result.marked) == {kind}


def test_ordinary_numbers_are_no_time_stamps():
    questions = ["order 4711", "12:30 or 2024?", "call 0049 30 1234567", "session tomorrow?"]
    assert run_replay(questions).marked == {}


def test_what_it_keeps_does_not_grow_with_the_log():
    columns = Columns(("q",), "t", "tool")
    audit = Audit(columns, Assumed(max_items=50, latency=10), tracked=30)
    audit._distinct = Distinct(40)
    sizes = []
    for lines in (range(4_200), range(4_200, 6_000)):
        for i in lines:
            stamp = f"2024-06-13T08:00:00.{i}Z {i}"
            for question in (f"question {i}", f"question {i}", stamp):
                audit.add(Record(i, {"q": question, "t": i, "tool": f"t{i}"}))
            audit.add(Broken(i, "bad"))
        sizes.append(audit.sizes())
    result = audit.result()
    audit.close()
    assert sizes[0] == sizes[1]
    assert sizes[1] == {
        "memory": 50, "distinct": 40, "frequent": 30, "bursts": sizes[1]["bursts"],
        "tools": 1_001, "marked": 4_096, "broken_lines": 10,
    }  # fmt: skip
    assert sizes[1]["bursts"] <= 11
    assert result.broken == 6_000
    assert result.tools[OTHER][0] == 3 * 5_000
    assert not result.exact


def test_evictions_cost_hits():
    questions = [f"q{i}" for i in range(100)] * 2
    assert run_replay(questions, max_items=10_000).evictions == 0
    small = run_replay(questions, max_items=10)
    assert small.evictions > 0
    assert small.misses > small.distinct == 100


def test_redis_stands_under_the_memory_and_is_left_clean(valkey):
    def keys_of_audits():
        # Of audits only: keys of other tests expire on this shared server at any time.
        return valkey.command("KEYS", "toolops:toolops-audit-*")

    audit = Audit(PLAIN, Assumed(max_items=10, redis=valkey.url))
    try:
        for number, question in enumerate([f"q{i}" for i in range(100)] * 2, 1):
            audit.add(Record(number, question))
        result = audit.result(10)
        assert keys_of_audits()
    finally:
        audit.close()
    assert result.misses == 100
    assert result.hits["L2"] > 0
    assert result.trouble == 0
    assert keys_of_audits() == []


def test_redis_that_is_not_there_is_an_error():
    with pytest.raises(TierError):
        Audit(PLAIN, Assumed(redis="redis://127.0.0.1:1"))


@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        ("price", -1.0), ("price", float("nan")), ("latency", float("inf")), ("ttl", 0.0),
        ("ttl", -5.0), ("max_items", 0),
    ],
)  # fmt: skip
def test_wrong_assumptions_are_named(option, wrong):
    with pytest.raises(ConfigurationError, match="--" + option.replace("_", "-")):
        Assumed(**{option: wrong})
