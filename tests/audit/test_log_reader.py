"""Logs as they come: compressed, inside of objects, with costs and latencies of their own."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from commands import complaint

from toolops_plugins.audit.log_reader import Columns, Record, read, sniff
from toolops_plugins.audit.measures import cost_field, latency_field
from toolops_plugins.audit.replay import Assumed, Audit

pytestmark = pytest.mark.usefixtures("terminal")

ROWS = [{"question": q, "cost": c} for q, c in (("a", 0.25), ("a", 0.5), ("b", 1.0))]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": lambda data: bz2.compress(data, 1),
    "xz": lzma.compress,
    "zst": lambda data: zstandard.ZstdCompressor().compress(data),
}


@pytest.fixture
def run_audit(toolops: Any, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Write a log, audit it, and return what was printed as JSON."""

    def run_audit(name: str, data: str | bytes, *options: Any) -> dict[str, Any]:
        path = tmp_path / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        code, out, err = toolops("audit", path, "--json", *options)
        assert (code, err) == (0, "")
        found: dict[str, Any] = json.loads(out)
        return found

    return run_audit


def table(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


# Compressed


@pytest.mark.parametrize("how", COMPRESS)
@pytest.mark.parametrize("form", ["jsonl", "json", "csv"])
def test_compressed_logs_are_read(run_audit: Any, how: str, form: str) -> None:
    data = {"jsonl": LINES, "json": json.dumps(ROWS), "csv": table(ROWS)}[form]
    packed = COMPRESS[how](data.encode())
    for name in (f"log.{form}.{how}", "log", f"log.{form}"):  # by the first bytes, not by the name
        found = run_audit(name, packed)
        assert (found["source"]["format"], found["calls"], found["answered"]) == (form, 3, 1)
        assert found["broken"] == 0


def test_compressed_standard_input_is_read(toolops: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.TextIOWrapper(io.BufferedReader(io.BytesIO(gzip.compress(LINES.encode()))))
    monkeypatch.setattr("sys.stdin", data)
    code, out, _ = toolops("audit", "-", "--json")
    assert (code, json.loads(out)["answered"]) == (0, 1)


@pytest.mark.parametrize("how", COMPRESS)
def test_several_compressed_parts_are_one_log(run_audit: Any, how: str) -> None:
    packed = COMPRESS[how](LINES.encode()) * 2
    found = run_audit("log.gz", packed)
    assert (found["calls"], found["broken"]) == (6, 0)


@pytest.mark.parametrize("how", COMPRESS)
def test_a_truncated_compressed_log_is_read_to_its_last_line(run_audit: Any, how: str) -> None:
    lines = "".join(f'{{"question": "{i * 7919 % 10007}"}}\n' for i in range(8_000))
    packed = COMPRESS[how](lines.encode())
    found = run_audit("log.jsonl", packed[: len(packed) * 4 // 5])
    assert 0 < found["calls"] < 8_000
    # The line in which it ends is broken too.
    assert "the compressed file" in found["broken_lines"][-1]["problem"]


def test_what_follows_a_compressed_log_is_told(run_audit: Any) -> None:
    found = run_audit("log.gz", gzip.compress(LINES.encode()) + b"rubbish")
    assert found["calls"] == 3
    assert "damaged" in found["broken_lines"][0]["problem"]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"PK\x03\x04rest", "is a zip archive; unpack it first"),
        (b"PAR1rest", "is a Parquet file; export it as JSONL or CSV first"),
        (b"SQLite format 3\0rest", "is an SQLite database"),
        (gzip.compress(b"x" * 257 + b"ustar", mtime=0), "is a tar archive; unpack it first"),
        (gzip.compress(b"", mtime=0), "holds nothing that can be read"),
        (gzip.compress(b"oops\noops", mtime=0)[:-9], "nothing that can be read"),
    ],
)
def test_what_holds_no_log(toolops: Any, tmp_path: Path, data: bytes, text: str) -> None:
    path = tmp_path / "log"
    path.write_bytes(data)
    code, line = complaint(toolops("audit", path, "--format", "jsonl"))
    assert code == 2
    assert text in line


# Inside of an object


@pytest.mark.parametrize(
    "name", ["data", "records", "logs", "items", "results", "choices", "Items"]
)
@pytest.mark.parametrize("indent", [None, 2])
def test_records_in_an_object_are_found(run_audit: Any, name: str, indent: int | None) -> None:
    for whole, place in (
        ({name: ROWS}, name),
        ({"count": 3, "tags": ["x"], name: ROWS, "next": None}, name),
        ({"response": {"page": 1, name: ROWS}}, f"response.{name}"),
    ):
        for file in ("log.json", "log"):
            found = run_audit(file, json.dumps(whole, indent=indent) + "\n")
            assert found["source"]["records"] == place
            assert (found["source"]["format"], found["calls"], found["answered"]) == ("json", 3, 1)


def test_the_report_says_which_records_were_taken(toolops: Any, tmp_path: Path) -> None:
    path = tmp_path / "log.json.gz"
    path.write_bytes(gzip.compress(json.dumps({"data": ROWS}).encode()))
    assert toolops("audit", path)[1].startswith("log.json.gz, data (json)\n")


def test_a_long_object_is_streamed(run_audit: Any) -> None:
    whole = {"data": [{"question": str(i % 100), "pad": "x" * 50} for i in range(8_000)]}
    assert run_audit("log.json", json.dumps(whole))["answered"] == 7_900


def test_any_array_of_objects_will_do_where_no_name_is_usual(run_audit: Any) -> None:
    found = run_audit("log.json", json.dumps({"ids": [1], "things": ROWS}), "--format", "json")
    assert (found["source"]["records"], found["calls"]) == ("things", 3)


@pytest.mark.parametrize(
    "line",
    ['{"question": "a", "data": [{"x": 1}]}', '{"results": ["r"], "question": "a"}'],
)
def test_lines_that_hold_arrays_stay_lines(run_audit: Any, line: str) -> None:
    found = run_audit("log", f"{line}\n" * 2)
    assert (found["source"]["format"], found["calls"], found["answered"]) == ("jsonl", 2, 1)
    assert run_audit("log.jsonl", f"{line}\n")["source"]["format"] == "jsonl"


# Costs and latencies


def test_costs_and_latencies_of_the_log_are_used(run_audit: Any) -> None:
    rows = [
        {"question": "a", "total_cost": 0.5, "latency_ms": 2000},
        {"question": "a", "total_cost": 0.25, "latency_ms": 1000},
        {"question": "b", "total_cost": 4, "latency_ms": 500},
        {"question": "b", "total_cost": 2, "latency_ms": 500},
    ]
    for name, data in (("log.jsonl", "".join(json.dumps(r) + "\n" for r in rows)),
                       ("log.csv", table(rows))):  # fmt: skip
        found = run_audit(name, data)
        assert found["source"]["cost"] == {"field": "total_cost", "unit": ""}
        assert found["source"]["latency"] == {"field": "latency_ms", "unit": "ms"}
        assert found["money"] == {"without": 6.75, "with": 4.5, "saved": 2.25}
        assert found["seconds"] == {"without": 4.0, "with": 2.5, "saved": 1.5}
        # The mean of what a question cost, times all calls but the first.
        assert [(w["question"], w["money"]) for w in found["wasted"]] == [("a", 0.375), ("b", 3.0)]


def test_options_that_are_given_win_over_the_log(run_audit: Any) -> None:
    found = run_audit("log.jsonl", LINES, "--price", "2")
    assert "cost" not in found["source"]
    assert found["money"]["without"] == 6.0
    found = run_audit("log.jsonl", LINES, "--price", "2", "--cost", "cost")
    assert found["money"]["without"] == 1.75


def test_the_report_says_what_was_used(toolops: Any, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"question": "a", "usage": {"cost": 1}, "response_time_ms": 5}\n')
    out = toolops("audit", path)[1]
    assert "a call costs what usage.cost says and takes what response_time_ms says, in ms" in out


def test_times_and_latencies_make_ends_of_their_own(run_audit: Any) -> None:
    rows = [(0, "a", 100), (90, "a", 1), (104, "a", 1), (106, "a", 1), (108, "a", 1)]
    data = "".join(
        json.dumps({"time": t, "question": q, "duration_s": d}) + "\n" for t, q, d in rows
    )
    found = run_audit("log.jsonl", data, "--ttl", "5")
    # The second joins the first, the third is a hit, the fourth too late for the first's answer.
    assert (found["misses"], found["coalesced"], found["hits"]) == (2, 1, {"L1": 2})
    assert found["seconds"] == {"without": 104.0, "with": 111.0, "saved": -7.0}


def test_what_cannot_be_read_counts_as_the_option_says(run_audit: Any, toolops: Any) -> None:
    data = '{"q": "a", "cost": 1}\n{"q": "b", "cost": "?"}\n{"q": "c"}\n{"q": "d", "cost": -1}\n'
    found = run_audit("log.jsonl", data + '{"q": "e", "cost": 1}\n' * 3, "--field", "q")
    assert found["money"]["without"] == pytest.approx(4.006)
    assert found["warnings"] == ["3 calls without a readable 'cost': as --price says."]


@pytest.mark.parametrize(
    ("record", "cost"),
    [
        ({"cost": 0.5}, ("cost", 0.5)),
        ({"Cost": "0.5"}, ("Cost", 0.5)),
        ({"price": "$0.5"}, ("price", 0.5)),
        ({"price": "1,234.50 USD"}, ("price", 1234.5)),
        ({"totalCost": 0.5}, ("totalCost", 0.5)),
        ({"cost_cents": 50}, ("cost_cents", 0.5)),
        ({"cost-usd": 0.5}, ("cost-usd", 0.5)),
        ({"response_cost": 0.5}, ("response_cost", 0.5)),
        ({"usage": {"cost": 0.5}}, ("usage.cost", 0.5)),
        ({"response": {"usage": {"total_cost": 0.5}}}, ("response.usage.total_cost", 0.5)),
        ({"cost": {"input": 1, "total": 0.5}}, ("cost.total", 0.5)),
        ({"cost": 1, "total_cost": 0.5}, ("total_cost", 0.5)),
        ({"price": True}, None),
        ({"price": "cheap"}, None),
        ({"input_cost": 1, "costume": 1, "pricey": 1}, None),
        ({"arguments": {"price": 9}, "input": {"cost": 9}}, None),  # of what was asked
    ],
)
def test_costs_are_found_by_their_names(record: Any, cost: tuple[str, float] | None) -> None:
    found = cost_field([record], None, ())
    assert (found and (found.path, found.of(record))) == cost


@pytest.mark.parametrize(
    ("record", "latency"),
    [
        ({"latency": 2}, ("latency", 2.0)),
        ({"latency_ms": 250}, ("latency_ms", 0.25)),
        ({"latencyMs": "250"}, ("latencyMs", 0.25)),
        ({"duration": "250ms"}, ("duration", 0.25)),
        ({"duration": "1.5 s"}, ("duration", 1.5)),
        ({"duration_s": 2}, ("duration_s", 2.0)),
        ({"duration_seconds": 2}, ("duration_seconds", 2.0)),
        ({"duration_ns": 2e9}, ("duration_ns", 2.0)),
        ({"elapsed_us": 2e6}, ("elapsed_us", 2.0)),
        ({"response_time": 2}, ("response_time", 2.0)),
        ({"responseTimeMillis": 2000}, ("responseTimeMillis", 2.0)),
        ({"metrics": {"latency": 2}}, ("metrics.latency", 2.0)),
        ({"duration": 2, "latency_ms": 3000}, ("latency_ms", 3.0)),
        ({"latency": "slow"}, None),
        ({"args": {"duration": 2}}, None),
        ({"time": 2, "response_times": [2]}, None),
    ],
)
def test_latencies_are_found_by_their_names(record: Any, latency: Any) -> None:
    found = latency_field([record], None, ())
    assert (found and (found.path, found.of(record))) == latency


def test_a_field_of_the_question_is_no_cost(run_audit: Any) -> None:
    data = '{"item": "a", "price": 5}\n' * 2
    found = run_audit("log.jsonl", data, "--field", "item", "--field", "price")
    assert "cost" not in found["source"]


def test_a_unit_can_be_said_and_is_asked_for_where_it_is_doubtful(run_audit: Any) -> None:
    data = '{"question": "a", "latency": 800, "paid": 50}\n' * 2
    found = run_audit("log.jsonl", data)
    assert found["seconds"]["without"] == 1600
    assert "say --duration latency:ms" in found["warnings"][0]
    found = run_audit("log.jsonl", data, "--duration", "latency:ms", "--cost", "paid:cents")
    assert (found["seconds"]["without"], found["money"]["without"]) == (1.6, 1.0)
    assert found["warnings"] == []


def test_the_semantic_audit_takes_the_mean(run_audit: Any) -> None:
    data = "".join(
        json.dumps({"question": f"question number {i}", "cost": i, "latency_s": 2}) + "\n"
        for i in range(3)
    )
    found = run_audit("log.jsonl", data, "--semantic")
    assert (found["assumed"]["price"], found["assumed"]["latency"]) == (1.0, 2.0)
    assert found["source"]["cost"] == {"field": "cost", "unit": ""}


# Options


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--price", "-1"), "--price: must be 0 or more, not -1.0"),
        (("--price", "nan"), "--price: must be a finite number, not nan"),
        (("--latency", "-1"), "--latency: must be 0 or more seconds, not -1.0"),
        (("--ttl", "-1"), "--ttl: must be more than 0 seconds, not -1.0"),
        (("--max-items", "-1"), "--max-items: must be a whole number >= 1, not -1"),
        (("--top", "-1"), "'--top': -1 is not in the range x>=0"),
        (("--semantic", "--threshold", "-1"), "--threshold: must lie between"),
        (("--semantic", "--orders", "0"), "'--orders': 0 is not in the range x>=1"),
        (("--semantic", "--limit", "-1"), "'--limit': -1 is not in the range x>=0"),
        (("--cost", "x"), "--cost: there is no field 'x'; these are: question, cost"),
        (("--duration", "x:ms"), "--duration: there is no field 'x'; these are:"),
        (("--duration", "cost:years"), "--duration: knows no unit 'years'; these are: s, ms, us"),
        (("--cost", "question"), "--cost: 'question' holds 'a', which is no amount"),
    ],
)
def test_every_number_is_refused_in_its_own_unit(
    toolops: Any, tmp_path: Path, options: tuple[str, ...], text: str
) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(LINES)
    code, line = complaint(toolops("audit", path, *options))
    assert code == 2
    assert text in line
    assert ("seconds" in line) is ("seconds" in text)


# Streams


def test_what_is_read_is_not_held() -> None:
    packed = gzip.compress(('{"q": "a"}\n' * 1_000_000).encode())
    from toolops_plugins.audit.compression import decompress

    log = decompress(io.BufferedReader(io.BytesIO(packed), 65_536))
    lines = read(log, sniff(log, "-"))
    audit = Audit(Columns(("q",)), Assumed())
    try:
        for _ in range(1_000):
            line = next(lines)
            assert isinstance(line, Record)
            audit.add(line)
        assert audit.result().calls == 1_000
    finally:
        audit.close()
