"""The command `toolops report`, on ledgers as processes write them."""

from __future__ import annotations

import json
import re
import time
from html.parser import HTMLParser

import pytest
from commands import complaint
from ledger_data import fill_sqlite

from toolops_plugins import Cache, Retry, ToolOps
from toolops_plugins.cli.time_span import parse_cost, parse_since
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.quantiles import Quantiles
from toolops_plugins.telemetry.ledger import Ledger
from toolops_plugins.telemetry.ledger.records import ProcessState
from toolops_plugins.telemetry.ledger.sqlite import SQLiteStore
from toolops_plugins.telemetry.ledger.store import Batch
from toolops_plugins.telemetry.ledger.sums import Cell, Summary

pytestmark = pytest.mark.usefixtures("terminal")

DAY = 86_400
ODD = "<script>alert(1)</script>"


def buckets(*durations: tuple[float, int]) -> dict[str, int]:
    quantiles = Quantiles()
    for seconds, count in durations:
        quantiles.add_all([seconds] * count)
    return quantiles.buckets()


def write(path, cells: dict[Cell, Summary], at: float) -> str:
    store = SQLiteStore(path)
    minute = int(at) // 60 * 60
    sums = {(minute, cell): summary.to_record() for cell, summary in cells.items()}
    store.add(Batch("here-1", 1, sums, (), ProcessState("here-1", "here", 1, "shop", seen=at)))
    store.close()
    return store.place


def shop(*, paid: bool = True) -> dict[Cell, Summary]:
    asked = Summary(
        outcomes={"hit": 60, "coalesced": 10, "miss": 28, "stale": 2},
        tiers={"L1": 60},
        waited_buckets=buckets((2.0, 28), (0.001, 72)),
        worked_buckets=buckets((2.0, 28)),
        asked=100,
        attempts=33,
        retried=5,
        rescued=4,
        stale_on_error=2,
        saved_seconds=140.0,
        saved_cost=7.0 * paid,
        spent_cost=3.0 * paid,
        input_tokens=30_000,
        output_tokens=3_000,
        saved_tokens=70_000,
    )
    searched = Summary(
        outcomes={"bypass": 50, "error": 3, "rejected": 7, "fallback": 2},
        reasons={"not_canonical": 50, "circuit_open": 7},
        errors={"TimeoutError": 3},
        waited_buckets=buckets((1.0, 62)),
        worked_buckets=buckets((1.0, 53)),
        attempts=53,
        spent_cost=0.5 * paid,
    )
    chain = Summary(outcomes={"bypass": 9}, waited_buckets=buckets((60.0, 9)))
    return {
        Cell("shop", "ask", "chat", "gpt-4o", "Buyer"): asked,
        Cell("shop", ODD, agent="Buyer"): searched,
        Cell("shop", "chain:Graph"): chain,
        Cell("shop", "embed:m (batches)", "embeddings", "m"): chain,
    }


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    return write(tmp_path_factory.mktemp("ledger") / "shop.db", shop(), time.time() - 60)


@pytest.fixture(scope="module")
def days(tmp_path_factory):
    return fill_sqlite(tmp_path_factory.mktemp("days") / "days.db", days=1)


def test_the_figures_are_those_of_the_calls(toolops, ledger):
    code, out, err = toolops("report", "--ledger", ledger, "--since", "1h", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["total"]["calls"] == 162  # without the chain and the batches
    assert found["money"]["spent"] == 3.5
    assert found["money"]["without"] == 10.5
    assert found["seconds"]["waited"] == pytest.approx(2 * 28 + 0.072 + 62, rel=0.02)
    assert found["seconds"]["without"] == pytest.approx(found["seconds"]["waited"] + 140)
    assert found["failures"] == {"ended": 10, "without": 18}
    assert list(found["tools"]) == ["ask", ODD]
    assert list(found["models"]) == ["gpt-4o"]
    assert found["agents"]["Buyer"]["calls"] == 162
    prevented = {each["policy"]: each["count"] for each in found["prevented"]}
    assert prevented == {
        "retry": 4, "stale_if_error": 2, "fallback": 2, "coalesce": 10, "breaker": 7,
    }  # fmt: skip
    dearest, other = found["misses"]
    assert (dearest["tool"], dearest["runs"], dearest["spent"]) == ("ask", 28, 3.0)
    assert "no key can be made (not_canonical)" in other["advice"]
    assert sum(step["calls"] for step in found["trend"]) == 162
    assert any("without ToolOps" in sentence for sentence in found["how"])


def test_the_pay_back_is_held_against_the_time_with_calls(toolops, ledger):
    told = {}
    for cost in ("50/month", "0/month"):
        out = toolops("report", "--ledger", ledger, "--cost", cost, "--json", "--since", "1h")[1]
        told[cost] = json.loads(out)["money"]
    money = told["50/month"]
    assert 0 < money["service"] <= 50 * 3_700 / (30 * DAY)
    assert money["pay_back"] == pytest.approx(7.0 / money["service"])
    assert told["0/month"]["pay_back"] is None


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_text_fits_the_terminal(toolops, days, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    options = ("--cost", "50/month", "--currency", "USD")
    code, out, err = toolops("report", "--ledger", days, *options)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= min(width, 100)
    for part in ("times its cost", "without", "gpt-4.1", "researcher", "paid for most", "by day"):
        assert part in out
    assert "by hour" in toolops("report", "--ledger", days, "--since", "12h")[1]


def test_a_tool_that_is_never_keyed_is_advised(toolops, ledger):
    out = toolops("report", "--ledger", ledger, "--since", "1h")[1]
    assert "no key can be made (not_canonical): see the log" in out
    assert "4 were" not in out
    assert "5 were tried again" in " ".join(out.split())


class Links(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str | None]] = []
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.found += [each for each in attrs if each[0] in ("src", "href", "srcset", "action")]


def test_the_page_stands_alone_and_shows_names_as_they_are(toolops, ledger, tmp_path):
    path = tmp_path / "report.html"
    code, _, err = toolops("report", "--ledger", ledger, "--since", "1h", "--html", path)
    assert (code, err) == (0, f"Wrote {path}.\n")
    page = path.read_text(encoding="utf-8")
    links = Links(page)
    assert not links.found
    assert not {"script", "link", "iframe", "img"} & set(links.tags)
    assert not re.search(r"@import|url\(|https?:", page)
    assert "&lt;script&gt;alert(1)" in page
    assert "prefers-color-scheme: dark" in page
    assert links.tags.count("svg") == 3
    for part in ("7.00", "10.50", "gpt-4o", "How this is computed"):
        assert part in page


def test_without_prices_time_is_told(toolops, tmp_path):
    place = write(tmp_path / "free.db", shop(paid=False), time.time() - 60)
    code, out, _ = toolops("report", "--ledger", place, "--cost", "5/day", "--since", "1h")
    assert code == 0
    assert "No call had a price" in out
    assert "saved" in out
    path = tmp_path / "free.html"
    assert toolops("report", "--ledger", place, "--since", "1h", "--html", path)[0] == 0
    assert "Money by" not in path.read_text(encoding="utf-8")


def test_an_empty_ledger_says_so(toolops, tmp_path):
    place = write(tmp_path / "empty.db", {}, time.time())
    path = tmp_path / "empty.html"
    code, out, _ = toolops("report", "--ledger", place, "--html", path)
    assert code == 0
    assert out.startswith("No calls in ")
    assert "There are no calls in this time." in path.read_text(encoding="utf-8")
    found = json.loads(toolops("report", "--ledger", place, "--json")[1])
    assert found["total"]["calls"] == 0


def test_the_ledger_comes_from_the_environment(toolops, ledger, monkeypatch):
    monkeypatch.setenv("TOOLOPS_LEDGER", ledger)
    assert toolops("report", "--since", "1h")[0] == 0


@pytest.mark.parametrize(
    ("options", "code", "line"),
    [
        ((), 2, "--ledger: is needed, or TOOLOPS_LEDGER"),
        (("--ledger", "ftp://x"), 2, "sqlite:///file"),
        (("--ledger", "sqlite:////nowhere/ledger.db"), 1, "ledger"),
        (("--ledger", "redis://127.0.0.1:1"), 1, "127.0.0.1:1"),
        (("--since", "yesterday"), 2, "--since: must be a length such as 90m, 12h, 30d or 4w"),
        (("--since", "0d"), 2, "--since: must be more than 0"),
        (("--since", "2999-01-01"), 2, "--since: lies in the future"),
        (("--cost", "a lot"), 2, "--cost: must be money for a time, such as 50/month"),
        (("--cost", "50/moon"), 2, "--cost: must be money for a time"),
        (("--currency", "doubloons of gold"), 2, "--currency: must be a word"),
        (("--html", "/nowhere/at/all.html"), 2, "--html"),
    ],
)
def test_wrong_input_is_told_in_one_line(toolops, ledger, options, code, line):
    if options and options[0] != "--ledger":
        options = ("--ledger", ledger, "--json", *options)
    got, text = complaint(toolops("report", *options))
    assert got == code
    assert line in text


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("90m", 94_600),
        ("12h", 56_800),
        ("1.5h", 94_600),
        ("1d", 13_600),
        ("4w", 0),
        ("1970-01-02", 86_400),
        ("1970-01-02T01:00:00+01:00", 86_400),
    ],
)
def test_times_are_lengths_or_dates(text, since):
    assert parse_since(text, 100_000.0) == since


@pytest.mark.parametrize(
    ("text", "a_day"),
    [("24/day", 24), ("1/hour", 24), ("7 per week", 1), ("365.25/year", 1), ("12,5/days", 12.5)],
)
def test_costs_are_money_for_a_time(text, a_day):
    assert parse_cost(text) * DAY == pytest.approx(a_day)
    with pytest.raises(ConfigurationError):
        parse_cost(f"{text}ish")


def test_a_process_is_reported_with_what_its_policies_prevented(toolops, tmp_path):
    place = f"sqlite:///{tmp_path}/live.db"
    with ToolOps("live", ledger=Ledger(place, interval=0.05)) as ops:
        failing: set[str] = set()
        tries: list[str] = []

        @ops.tool(cache=Cache(), retry=Retry(2, wait=0), fallback="closed", price=0.5, name="ask")
        def ask(question: str) -> str:
            tries.append(question)
            if question in failing or len(tries) == 1:
                raise ConnectionError
            return question

        @ops.tool(cache=Cache(ttl=1e-6, stale_if_error=100), name="look")
        def look(question: str) -> str:
            if question in failing:
                raise ConnectionError
            return question

        assert ask("a") == ask("a") == "a"  # at the second attempt, and then a hit
        assert look("b") == "b"
        failing.update("abc")
        assert ask("c") == "closed"
        assert look("b") == "b"
    code, out, err = toolops("report", "--ledger", place, "--json", "--since", "1h")
    assert (code, err) == (0, "")
    found = json.loads(out)
    prevented = {each["policy"]: each["count"] for each in found["prevented"]}
    assert prevented == {"retry": 1, "stale_if_error": 1, "fallback": 1}
    assert found["tools"]["ask"]["saved_cost"] == 0.5
    assert found["failures"] == {"ended": 0, "without": 3}


def test_models_with_long_names_are_told_apart_in_a_narrow_terminal(toolops, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    names = ("openai:gpt-4o", "openai:gpt-4o-mini")
    paid = Summary(outcomes={"hit": 9, "miss": 3}, saved_cost=0.000843, spent_cost=0.000421)
    place = write(
        tmp_path / "two.db", {Cell("shop", name): paid for name in names}, time.time() - 60
    )
    _, out, _ = toolops("report", "--ledger", place, "--since", "1h", "--currency", "USD")
    table = out.partition("hit rate   coalesced")[2].partition("paid for most")[0]
    shown = "".join(line.split("  ")[1] for line in table.splitlines() if line.startswith("  "))
    assert all(name in shown for name in names)
    assert "…" not in table
