"""Every page of the dashboard, drawn without a browser, beside the ledger that it shows."""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from dataclasses import replace

import pytest
import streamlit as st
from ledger_data import NAMESPACE, fill_sqlite
from servers import wait_for

from toolops_plugins import CircuitBreaker, CircuitOpen, ToolOps
from toolops_plugins.dashboard.app import PAGES
from toolops_plugins.telemetry.formats import money
from toolops_plugins.telemetry.ledger import (
    BreakerReport,
    LedgerError,
    ProcessState,
    Summary,
    open_reader,
)
from toolops_plugins.telemetry.ledger.config import Ledger
from toolops_plugins.telemetry.ledger.sqlite import SQLiteStore
from toolops_plugins.telemetry.ledger.store import Batch
from toolops_plugins.telemetry.ledger.sums import Cell


def texts(test, *kinds):
    """Return the texts of elements, without what keeps Markdown from being applied."""
    found = "\n".join(element.value for kind in kinds for element in getattr(test, kind))
    return found.replace("\\", "")


def cards(test):
    return {metric.label: metric.value.replace("\\", "") for metric in test.metric}


def assert_drawn(test, page):
    assert not test.exception
    assert test.header[0].value == PAGES[page][0]


def write(path, *, namespace="one", tool="search", calls=3, serial=1, **state):
    """Add calls of this minute, and the state of the process that made them."""
    now = time.time()
    summary = Summary(outcomes={"hit": calls}, tiers={"L1": calls}, asked=calls)
    sums = {(int(now) // 60 * 60, Cell(namespace, tool)): summary.to_record()} if calls else {}
    process = ProcessState(f"host-{namespace}", "host", 1, namespace, "0.1.0", now - 60, now)
    store = SQLiteStore(path)
    store.add(Batch(process.id, serial, sums, (), replace(process, **state)))
    store.close()
    return f"sqlite:///{path}"


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_drawn(page, open_page):
    test = open_page(page)
    assert_drawn(test, page)
    assert not test.error or page == "overview"
    assert test.metric or test.dataframe


@pytest.mark.parametrize("page", PAGES)
def test_every_page_says_that_there_is_nothing_yet(page, open_page, tmp_path):
    SQLiteStore(tmp_path / "ledger.db").retention()  # makes the file
    test = open_page(page, f"sqlite:///{tmp_path / 'ledger.db'}")
    assert_drawn(test, page)
    assert test.info


def test_the_overview_shows_what_the_ledger_holds(open_page, ledger):
    shown = cards(open_page())
    with open_reader(ledger) as reader:
        since = (time.time() - 3_600) // 60 * 60
        whole = reader.summaries(since, by=())[()]
    assert shown["Hit rate"] == f"{whole.hit_rate:.1%}"
    assert shown["Money saved"] == money(whole.saved_cost)
    assert shown["Money spent"] == money(whole.spent_cost)


def test_a_shorter_time_shows_fewer_calls(open_page):
    test = open_page("waste")
    hour = int(cards(test)["Calls that ran"].replace(",", ""))
    test.segmented_control(key="window").set_value("15m").run()
    assert 0 < int(cards(test)["Calls that ran"].replace(",", "")) < hour / 2


def test_tools_models_and_agents_have_rows(open_page):
    tools, models, agents, *_ = open_page("tools").dataframe
    assert {"search_web", "answer", "embed"} <= set(tools.value["tool"])
    assert "gpt-4.1" in set(models.value["model"])
    assert set(agents.value["agent"]) == {"researcher", "writer"}


def test_an_open_breaker_is_named_with_its_process_and_its_error(open_page):
    test = open_page("breakers")
    first = test.dataframe[0].value.iloc[0]
    assert first["breaker"] == "send_mail"
    assert first["state"] == "● open"
    assert (first["last error"], first["rejected"]) == ("ConnectionError", 42)
    assert first["process"] == "web-1:4002"
    assert "send_mail" in texts(open_page(), "warning")


def test_a_tier_that_is_down_is_named_on_the_overview(open_page):
    assert "L2" in texts(open_page(), "error")


def test_waste_says_why_and_what_to_do(open_page):
    test = open_page("waste")
    why = test.dataframe[0].value.set_index("tool")["why"]
    assert why["run_query"] == "not_canonical"
    assert why["send_mail"] == "no_cache"
    assert "not_canonical**: An argument has no canonical form: ignore=" in texts(test, "markdown")


def test_notices_can_be_told_apart_by_kind(open_page):
    test = open_page("notices")
    assert len(test.dataframe[0].value) > 2
    test.pills(key="kinds").set_value(["tier_failed"]).run()
    assert set(test.dataframe[0].value["kind"]) == {"tier_failed"}


def test_namespaces_can_be_told_apart(open_page, tmp_path):
    url = write(tmp_path / "two.db")
    write(tmp_path / "two.db", namespace="two", tool="*odd* [tool]", calls=5)
    test = open_page("tools", url)
    assert set(test.dataframe[0].value["tool"]) == {"search", "*odd* [tool]"}
    test.selectbox(key="namespace").set_value("two").run()
    assert set(test.dataframe[0].value["tool"]) == {"*odd* [tool]"}


def test_the_chart_of_a_tool_follows_the_choice(open_page):
    test = open_page("tools")
    test.selectbox(key="tool").set_value("send_mail").run()
    assert_drawn(test, "tools")
    assert "hit" not in test.get("vega_lite_chart")[1].proto.spec


def test_a_refresh_keeps_the_specification_of_a_chart(open_page, tmp_path):
    # A new specification makes a new chart, which flickers; new data does not.
    url = write(tmp_path / "ledger.db")
    before = open_page(url=url).get("vega_lite_chart")
    write(tmp_path / "ledger.db", calls=400, serial=2)
    st.cache_resource.clear()
    after = open_page(url=url).get("vega_lite_chart")
    assert [chart.proto.spec for chart in before] == [chart.proto.spec for chart in after]
    data = [chart.proto.data.data for chart in (before[0], after[0])]
    assert data[0] != data[1]


# Broken states


def test_without_a_ledger_the_page_says_how_to_name_one(open_page):
    test = open_page(url="")
    assert "No ledger is named" in texts(test, "info")
    assert "toolops dashboard --ledger" in texts(test, "markdown")


def test_a_ledger_that_does_not_exist_yet_is_waited_for(open_page, tmp_path):
    path = tmp_path / "later.db"
    test = open_page(url=f"sqlite:///{path}")
    assert "there is no such file" in texts(test, "error")
    write(path)
    st.cache_resource.clear()
    assert cards(test.run())["Hit rate"] == "100.0%"


def test_an_unreachable_server_is_named_without_its_password(open_page):
    test = open_page(url="redis://user:geheim@127.0.0.1:1/0")
    assert "cannot be read" in texts(test, "error")
    assert "geheim" not in str(test.main)


def test_a_newer_ledger_is_not_read(open_page, tmp_path):
    url = write(tmp_path / "newer.db")
    with sqlite3.connect(tmp_path / "newer.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    test = open_page(url=url)
    assert "version 99" in texts(test, "error")
    assert not test.metric


def test_a_file_that_is_no_ledger_is_said_to_be_none(open_page, tmp_path):
    (tmp_path / "notes.db").write_text("Not a database, but long enough to be read as a header.")
    assert open_page(url=f"sqlite:///{tmp_path / 'notes.db'}").error


def test_an_url_of_another_kind_is_explained(open_page):
    assert "sqlite:///" in texts(open_page(url="postgres://host"), "error")


def test_a_clock_that_jumps_is_noticed(open_page, tmp_path):
    url = write(tmp_path / "ledger.db", started=time.time() + 7_200)
    for page in ("overview", "processes"):
        assert "clock has jumped" in texts(open_page(page, url), "warning")


def test_processes_without_a_call_are_listed(open_page, tmp_path):
    url = write(tmp_path / "ledger.db", calls=0, breakers=(BreakerReport("b", "half_open"),))
    assert open_page("processes", url).dataframe[0].value["process"].tolist() == ["host:1"]
    assert "No call was counted" in texts(open_page(url=url), "info")


# Actions


def test_nothing_can_be_changed_without_permission(open_page):
    for page in ("breakers", "tiers"):
        test = open_page(page)
        assert not test.button
        assert not test.text_input


@pytest.fixture
def own_ledger(tmp_path):
    return fill_sqlite(tmp_path / "ledger.db", days=0.01)


def commands(url):
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        found = connection.execute("SELECT namespace, record FROM command").fetchall()
    connection.close()
    return found


def test_a_breaker_is_opened_after_a_confirmation(open_page, own_ledger):
    test = open_page("breakers", own_ledger, allow_actions=True)
    test.selectbox(key="breaker").set_value((NAMESPACE, "send_mail")).run()
    test.button(key="open_breaker").click().run()
    assert "2 of 3 processes" in texts(test, "markdown")
    assert not commands(own_ledger)
    test.button(key="confirm").click().run()
    ((namespace, record),) = commands(own_ledger)
    assert namespace == NAMESPACE
    assert b'"open_breaker"' in record
    assert b'"send_mail"' in record


def test_a_change_can_be_cancelled(open_page, own_ledger):
    test = open_page("breakers", own_ledger, allow_actions=True)
    test.button(key="close_breaker").click().run()
    test.button(key="cancel").click().run()
    assert "confirm" not in {button.key for button in test.button}
    assert not commands(own_ledger)


def test_a_question_outlives_a_refresh(open_page, own_ledger):
    test = open_page("breakers", own_ledger, allow_actions=True)
    test.button(key="close_breaker").click().run()
    assert test.run().button(key="confirm")


def test_a_command_that_cannot_be_sent_is_an_error(open_page, own_ledger):
    test = open_page("breakers", own_ledger, allow_actions=True)
    test.button(key="reset_breaker").click().run()
    with sqlite3.connect(own_ledger.removeprefix("sqlite:///")) as connection:
        connection.execute("DROP TABLE command")
    connection.close()
    test.button(key="confirm").click().run()
    assert "no such table" in texts(test, "error")


def test_a_tag_is_invalidated_after_a_confirmation(open_page, own_ledger):
    test = open_page("tiers", own_ledger, allow_actions=True)
    assert test.button(key="invalidate").disabled
    test.text_input(key="tag").set_value("customer:42").run()
    test.button(key="invalidate").click().run()
    test.button(key="confirm").click().run()
    ((_, record),) = commands(own_ledger)
    assert b'"customer:42"' in record


def test_a_running_process_obeys_the_page(open_page, tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with ToolOps("shop", ledger=Ledger(url, interval=0.05, allow_commands=True)) as ops:

        @ops.readonly(breaker=CircuitBreaker(), name="quote")
        def quote(number):
            return number

        quote(1)
        wait_for(lambda: _breaker_states(url) == {"closed"}, "the first write")
        test = open_page("breakers", url, allow_actions=True)
        test.button(key="open_breaker").click().run()
        test.button(key="confirm").click().run()
        wait_for(lambda: _breaker_states(url) == {"forced_open"}, "the command")
        with pytest.raises(CircuitOpen):
            quote(2)
        st.cache_resource.clear()
        assert test.run().dataframe[0].value["state"].tolist() == ["● forced open"]


def _breaker_states(url):
    with suppress(LedgerError), open_reader(url) as reader:
        return {breaker.state for state in reader.processes() for breaker in state.breakers}
    return None  # there is no file yet


def test_waste_leaves_out_what_only_makes_other_calls(open_page, tmp_path):
    path = tmp_path / "ledger.db"
    summary = Summary(outcomes={"bypass": 4}, reasons={"no_cache": 4})
    minute = int(time.time()) // 60 * 60
    sums = {
        (minute, Cell("one", name)): summary.to_record() for name in ("search", "chain:researcher")
    }
    store = SQLiteStore(path)
    store.add(Batch("host-1", 1, sums, (), ProcessState("host-1", "host", 1, "one")))
    store.close()
    test = open_page("waste", f"sqlite:///{path}")
    assert list(test.dataframe[0].value["tool"]) == ["search"]
    assert cards(test)["Calls that ran"] == "4"
    assert cards(test)["Tools without a hit"] == "1 of 1"
