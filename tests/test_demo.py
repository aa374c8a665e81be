"""The demo and its data: what `make demo` does, made small, and that it measures what it says."""

from __future__ import annotations

import importlib
import json
import re
import runpy
from collections import Counter
from functools import partial

import httpx
import pytest

from toolops_plugins.audit.log_reader import seconds_of


@pytest.fixture
def demo(root, monkeypatch):
    monkeypatch.syspath_prepend(root / "examples")
    monkeypatch.setenv("COLUMNS", "80")
    return importlib.import_module("demo")


@pytest.fixture
def url(demo):
    with demo.service(pace=0) as url:
        yield url


@pytest.fixture
def calls(demo):
    return [json.loads(line) for line in demo.QUESTIONS.read_text().splitlines()]


async def test_agents_with_the_library_call_less_and_see_no_errors(demo, url):
    asked = demo.questions()[:300]
    bare, ours = await demo.compare(url, asked, agents=20)
    assert bare.calls == len(bare.waits) == len(ours.waits) == len(asked)
    assert ours.errors.total() == 0
    # Every distinct question at least once; the rest is retries of the few that failed.
    assert len(set(asked)) <= ours.calls < bare.calls / 2
    # The service charges for all that it works on, which is all but what it refuses with 503.
    refused = bare.errors["status 503"]
    assert refused > 0
    assert bare.money == pytest.approx((bare.calls - refused) * demo.PRICE)
    assert ours.money < bare.money / 2
    assert bare.errors.total() > refused  # some connections were reset


async def test_the_service_is_as_flaky_in_every_run(demo, url):
    asked = demo.questions()[:200]
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        waits = set()

        async def ask(question):
            response = await client.get("/answer", params={"q": question})
            waits.add((response.status_code, response.headers.get("retry-after")))
            response.raise_for_status()

        found = []
        for agents in (1, 20):
            await client.post("/bill")
            run = await demo.crowd(ask, asked, agents)
            found.append((run.errors.total(), run.errors["status 503"]))
        assert found[0] == found[1]
        assert found[0][0] > found[0][1] > 0
        assert waits == {(200, None), (503, "0")}
        assert (await client.get("/nothing")).status_code == 404


def test_it_ends_in_one_table_of_what_was_measured(demo, monkeypatch, capsys):
    monkeypatch.setattr(demo, "service", partial(demo.service, 0))
    demo.live(demo.Console(highlight=False))
    lines = capsys.readouterr().out.splitlines()
    rows = [re.split(r" {2,}", line.strip()) for line in lines[-5:]]
    assert [row[0] for row in rows] == [
        "calls made", "money", "p50", "p95", "errors seen by agents",
    ]  # fmt: skip
    assert re.split(r" {2,}", lines[-7].strip()) == ["without", "with ToolOps"]
    assert int(rows[0][1]) == len(demo.questions()) > int(rows[0][2])
    assert int(rows[4][1]) > int(rows[4][2]) == 0
    assert max(map(len, lines)) <= 80


def test_it_audits_the_real_questions_where_they_are(demo, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("TOOLOPS_DATA", str(tmp_path))
    demo.audits(demo.Console(highlight=False))
    out = capsys.readouterr().out
    assert out.count("$ toolops audit") == 1
    assert "questions.jsonl" in out
    (tmp_path / "banking77.jsonl").write_text('{"question": "why?", "intent": "x"}\n')
    demo.audits(demo.Console(highlight=False))
    out = capsys.readouterr().out
    assert out.count("$ toolops audit") == 2
    assert "semantic cache" in out


def test_the_questions_are_what_their_script_writes(demo):
    script = runpy.run_path(str(demo.QUESTIONS.with_name("make_questions.py")))
    assert script["text"]() == demo.QUESTIONS.read_text(encoding="utf-8")
    assert script["text"](seed=1) != script["text"]()


def test_the_questions_are_a_log_worth_auditing(calls):
    times = [seconds_of(call["time"]) for call in calls]
    assert len(calls) >= 400
    assert times == sorted(times)
    assert len({call["agent"] for call in calls}) >= 5
    assert len({call["tool"] for call in calls}) >= 5
    counts = [n for _, n in Counter(call["question"] for call in calls).most_common()]
    assert counts[0] > 10 * counts[len(counts) // 2]
    assert any(re.match(r"\[\d{4}-\d\d-\d\dT", call["question"]) for call in calls)
