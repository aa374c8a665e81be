"""Reading a ledger: sums, series, processes, notices and commands."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from ledger_data import NAMESPACE, fill, fill_sqlite

from toolops_plugins.errors import ConfigurationError
from toolops_plugins.telemetry.ledger import (
    Command,
    LedgerError,
    LedgerReader,
    Summary,
    open_reader,
)
from toolops_plugins.telemetry.ledger.levels import DAY, LEVELS, cover, retention_of
from toolops_plugins.telemetry.ledger.sqlite import SQLiteStore
from toolops_plugins.telemetry.ledger.sums import Decisions

NOW = 1_800_000_123.0


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LedgerReader, dict]]:
    store = SQLiteStore(tmp_path_factory.mktemp("ledger") / "ledger.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "now", lambda: NOW)
        sums = fill(store, hours=6)
        yield LedgerReader(store), sums
    store.close()


def total(sums: dict, since: float, until: float = NOW + 60) -> Summary:
    found = Summary()
    for (minute, _), record in sums.items():
        if since <= minute < until:
            found.add_record(record)
    return found


@pytest.mark.parametrize("hours", [0.5, 2, 26, 24 * 7, 24 * 29])
def test_a_span_of_any_length_has_the_sums_that_were_written(example, hours):
    reader, sums = example
    since = NOW - NOW % 3_600 - hours * 3_600
    (found,) = reader.summaries(since, by=()).values()
    wanted = total(sums, since)
    assert found.outcomes == wanted.outcomes
    assert found.waited_buckets == wanted.waited_buckets
    assert found.spent_cost == pytest.approx(wanted.spent_cost)
    assert found.calls == sum(wanted.outcomes.values()) == found.waited.count
    assert 0 < found.hit_rate < 1


@pytest.mark.parametrize(("since", "until"), [(7_200, 3_600), (26 * 3_600, 6_000), (172_800, 600)])
def test_a_span_that_has_ended_leaves_out_what_came_later(example, since, until):
    reader, sums = example
    start = NOW - NOW % 600 - since
    end = NOW - NOW % 600 - until
    (found,) = reader.summaries(start, end, by=()).values()
    assert found.outcomes == total(sums, start, end).outcomes


def test_sums_are_told_apart_by_dimensions(example):
    reader, _ = example
    by_tool = reader.summaries(NOW - DAY)
    assert {tool for (tool,) in by_tool} == {
        "search_web", "get_quote", "send_mail", "run_query", "answer", "embed",
    }  # fmt: skip
    by_model = reader.summaries(NOW - DAY, by=("model", "agent"), where={"kind": "chat"})
    assert set(by_model) == {("gpt-4.1", "writer"), ("claude-sonnet-4-5", "researcher")}
    both = Summary()
    for part in by_model.values():
        both += part
    whole = by_tool["answer",]
    assert both.outcomes == whole.outcomes
    assert both.worked_buckets == whole.worked_buckets
    assert both.saved_cost == pytest.approx(whole.saved_cost)
    assert reader.summaries(NOW - DAY, where={"namespace": "other"}) == {}


def test_a_series_has_every_step_and_adds_up(example):
    reader, sums = example
    since = NOW - NOW % 3_600 - 7 * 3_600
    steps = reader.series(since, step=600, by=("tool",))
    assert [at for at, _ in steps] == [since + 600 * n for n in range(len(steps))]
    assert steps[-1][0] <= NOW < steps[-1][0] + 600
    whole = Summary()
    for _, by_tool in steps:
        for part in by_tool.values():
            whole += part
    assert whole.outcomes == total(sums, since).outcomes


def test_a_series_of_old_days_stands_on_the_records_that_are_left(example):
    reader, sums = example
    since = NOW - NOW % DAY - 28 * DAY
    hourly = reader.series(since, since + DAY, step=60)
    assert len(hourly) == 1_440
    assert sum(bool(by) for _, by in hourly) == 4
    found = sum(by[()].calls for _, by in hourly if by)
    assert found == total(sums, since, since + DAY).calls


def test_decisions_are_summed(example):
    reader, _ = example
    (found,) = reader.decisions(NOW - DAY, by=()).values()
    assert found.total == sum(found.verdicts.values()) > 0
    assert found.bound == 0.02
    assert 0 < found.estimated_error < 0.02
    assert found.measured_error is not None
    assert sum(found.served.values()) == found.verdicts["served"]
    copy = Decisions()
    copy += found
    assert copy == found


def test_processes_and_notices_are_read(example):
    reader, _ = example
    first, *others = reader.processes()
    assert (first.host, first.pid, len(others)) == ("web-2", 4_003, 2)
    assert first.breakers[0].name == "send_mail"
    assert first.tiers[0].max_items == 10_000
    notices = reader.notices(NOW - DAY)
    assert [notice.at for notice in notices] == sorted((n.at for n in notices), reverse=True)
    assert (notices[0].kind, notices[1].count) == ("breaker", 17)
    assert len(reader.notices(NOW - DAY, limit=2)) == 2


def test_histograms_give_quantiles(example):
    reader, _ = example
    found = reader.summaries(NOW - DAY)["search_web",]
    assert found.worked.quantile(0.5) == pytest.approx(0.9, rel=0.1)
    assert found.waited.quantile(0.01) < 1e-4


def test_another_process_may_read(tmp_path):
    url = fill_sqlite(tmp_path / "ledger.db", days=1)
    with open_reader(url) as reader:
        assert reader.summaries(reader.now() - DAY)
        command = reader.send(Command("open_breaker", NAMESPACE, "send_mail"))
        assert command.id
        assert command.sent


@pytest.mark.parametrize(
    ("command", "parameter"),
    [
        (Command("open_breaker", ""), "namespace"),
        (Command("open_breaker", "n"), "name"),
        (Command("invalidate", "n"), "tags"),
        (Command("shout", "n", "x"), "kind"),  # type: ignore[arg-type]  # the point of it
    ],
)
def test_a_command_that_lacks_something_is_refused(example, command, parameter):
    with pytest.raises(ConfigurationError, match=parameter):
        example[0].send(command)


def test_unknown_dimensions_and_endless_series_are_refused(example):
    reader, _ = example
    with pytest.raises(ConfigurationError, match="no dimension 'colour'"):
        reader.summaries(NOW, by=("colour",))
    with pytest.raises(ConfigurationError, match="no dimension 'colour'"):
        reader.summaries(NOW, where={"colour": "red"})
    with pytest.raises(ConfigurationError, match="10,000 steps"):
        reader.series(0, step=60)


def test_what_is_no_ledger_is_refused_with_one_clear_line(tmp_path: Path):
    with pytest.raises(LedgerError, match="no such file; no process has written"):
        open_reader(f"sqlite:///{tmp_path / 'absent.db'}")
    (tmp_path / "text.db").write_text("no database at all, but a text")
    with pytest.raises(LedgerError, match="not a database"):
        open_reader(f"sqlite:///{tmp_path / 'text.db'}")
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE users (name TEXT)")
    other.close()
    with pytest.raises(LedgerError, match="no ledger"):
        open_reader(f"sqlite:///{tmp_path / 'other.db'}")
    for url in ("sqlite://", "sqlite:///:memory:", "mysql://host"):
        with pytest.raises(ConfigurationError, match="ledger"):
            open_reader(url)


def test_a_ledger_of_a_newer_version_is_refused(tmp_path: Path):
    url = fill_sqlite(tmp_path / "ledger.db", days=0.1)
    with sqlite3.connect(tmp_path / "ledger.db") as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(LedgerError, match="version 99.*upgrade"):
        open_reader(url)


def test_pieces_meet_without_gaps_and_are_long():
    retention = retention_of(400 * DAY)
    for since in (NOW - 100, NOW - 5_000, NOW - 3 * DAY, NOW - 30 * DAY, NOW - 390 * DAY):
        pieces = list(cover(since, NOW + 60, NOW, retention))
        assert pieces[0].start <= since
        assert pieces[-1].end >= NOW
        for before, after in pairwise(pieces):
            assert before.end == after.start
        for piece in pieces:
            assert piece.start % piece.level == piece.end % piece.level == 0
            assert piece.level in LEVELS
        assert sum((piece.end - piece.start) // piece.level for piece in pieces) < 500
