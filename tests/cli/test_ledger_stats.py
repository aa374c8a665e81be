"""`toolops stats --since` sums the calls of a ledger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ledger_data import fill_sqlite

from toolops_plugins.cli.doctor import examine
from toolops_plugins.cli.ledger_option import find_ledger_url
from toolops_plugins.cli.main import main
from toolops_plugins.telemetry.ledger import open_reader


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fill_sqlite(tmp_path_factory.mktemp("ledger") / "ledger.db", days=0.2)


def test_calls_are_summed_as_a_table(ledger, capsys):
    assert main(["stats", "--since", "1h", "--ledger", ledger]) == 0
    out = capsys.readouterr().out
    assert ledger in out
    for name in ("search_web", "answer", "total", "hit rate", "own p95", "saved"):
        assert name in out


def test_json_has_the_figures_of_the_reader(ledger, capsys, monkeypatch):
    monkeypatch.setenv("TOOLOPS_LEDGER", ledger)
    options = ["--by", "model", "--by", "agent", "--namespace", "support", "--json"]
    assert main(["stats", "--since", "2h", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    with open_reader(ledger) as reader:
        wanted = reader.summaries(found["since"], by=("model", "agent"))
    rows = {(row["model"], row["agent"]): row for row in found["rows"]}
    assert {key: row["calls"] for key, row in rows.items()} == {
        key: sums.calls for key, sums in wanted.items()
    }
    assert found["total"]["calls"] == sum(row["calls"] for row in rows.values())
    assert main(["stats", "--since", "2h", "--namespace", "other"]) == 0
    assert "No calls" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["--since", "soon"], 2, "--since: must be a length"),
        (["--since", "1h", "--by", "colour"], 2, "--by: must be of namespace, tool"),
        (["--since", "1h", "--ledger", "mysql://host"], 2, "no known scheme"),
        (["--since", "1h", "--ledger", "sqlite:///absent.db"], 1, "no such file"),
        (["--since", "1h", "--ledger", "redis://127.0.0.1:1"], 1, "redis://127.0.0.1:1/0"),
    ],
)
def test_mistakes_are_told_in_one_line(ledger, capsys, monkeypatch, options, code, text):
    monkeypatch.setenv("TOOLOPS_LEDGER", ledger)
    monkeypatch.chdir(Path(ledger.removeprefix("sqlite:///")).parent)
    assert main(["stats", *options]) == code
    err = capsys.readouterr().err
    assert text in err
    assert err.count("\n") == 1


def test_a_ledger_is_needed(capsys):
    assert main(["stats", "--since", "1h"]) == 2
    assert "TOOLOPS_LEDGER" in capsys.readouterr().err


def test_doctor_tells_whether_the_ledger_can_be_read(ledger, tmp_path):
    def look(value: str) -> tuple[str, str]:
        (found,) = (each for each in examine({"TOOLOPS_LEDGER": value}) if each.name == "ledger")
        return found.verdict, found.text

    verdict, text = look(ledger)
    assert (verdict, "3 processes" in text) == ("ok", True)
    assert look(f"sqlite:///{tmp_path / 'absent.db'}")[0] == "note"
    assert look("off")[0] == "note"
    verdict, text = look("redis://ann:hunter2@127.0.0.1:1")
    assert verdict == "fail"
    environ = {"TOOLOPS_LEDGER": "redis://ann:hunter2@127.0.0.1:1?password=hunter2"}
    assert "hunter2" not in repr([*examine(environ)])


@pytest.mark.parametrize("value", ["off", "0", "False", ""])
def test_without_a_ledger_of_its_own_a_command_reads_that_of_the_redis(monkeypatch, value):
    monkeypatch.setenv("TOOLOPS_LEDGER", value)
    monkeypatch.setenv("TOOLOPS_REDIS_URL", "redis://cache")
    assert find_ledger_url(None) == "redis://cache"
    assert find_ledger_url("sqlite:///other.db") == "sqlite:///other.db"
