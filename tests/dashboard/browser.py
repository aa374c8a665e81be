"""The dashboard in a real Chromium, headless: `make browser`.

Not part of `make test`, since not every machine has a browser. One server and one browser serve all
tests.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from browsers import open_chromium
from ledger_data import NAMESPACE, _states, fill_sqlite
from playwright.sync_api import Browser, Page, expect
from servers import free_port, wait_for

from toolops_plugins.dashboard.app import PAGES
from toolops_plugins.telemetry.ledger import Summary, open_reader
from toolops_plugins.telemetry.ledger.sqlite import SQLiteStore
from toolops_plugins.telemetry.ledger.store import Batch
from toolops_plugins.telemetry.ledger.sums import Cell

pytestmark = pytest.mark.allow_blocking("Playwright's loop runs in the test's own thread")

PATIENCE = 30_000  # milliseconds; only a failing test waits them


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fill_sqlite(tmp_path_factory.mktemp("ledger") / "ledger.db", days=0.13)


@pytest.fixture(scope="module")
def dashboard(ledger: str) -> Iterator[str]:
    """The address of a dashboard in a process of its own, as a user starts it."""
    port = free_port()
    command = [sys.executable, "-m", "toolops_plugins.cli", "dashboard", "--ledger", ledger]
    options = ["--port", str(port), "--allow-actions", "--refresh", "1"]
    with subprocess.Popen([*command, *options]) as process:
        try:
            wait_for(lambda: health(port) == b"ok", "the dashboard", 60)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def health(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=10) as answer:
        return answer.read()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with open_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def outside() -> list[str]:
    """The addresses that pages asked for outside of this machine."""
    return []


@pytest.fixture(scope="module")
def visit(chromium: Browser, dashboard: str, outside: list[str]) -> Iterator[Page]:
    """A page of 1,100 pixels in a light theme, which all tests share: it loads the program once."""
    page = new_page(chromium, outside, dashboard)
    page.goto(dashboard)
    yield page
    page.close()


def new_page(
    browser: Browser, outside: list[str], address: str, width: int = 1_100, scheme: str = "light"
) -> Page:
    page = browser.new_page(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        timezone_id="Asia/Kolkata",
    )
    page.set_default_timeout(PATIENCE)
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((address, "data:", "blob:"))
            else outside.append(request.url)
        ),
    )
    return page


def open_by_click(page: Page, name: str) -> None:
    """Follow the link in the sidebar, and wait until the page is drawn."""
    title = PAGES[name][0]
    page.get_by_test_id("stSidebarNavLink").filter(has_text=title).click()
    expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0, timeout=PATIENCE)


def card(page: Page, label: str) -> str:
    found = page.get_by_test_id("stMetric").filter(has=page.get_by_text(label, exact=True))
    return found.get_by_test_id("stMetricValue").inner_text()


def within_a_minute(shown, computed) -> bool:
    """Whether a figure is that of the ledger at a start near now; the window moves meanwhile."""
    start = (time.time() - 3_600) // 60 * 60
    return shown in {computed(start + minutes * 60) for minutes in (-1, 0, 1)}


@pytest.mark.parametrize("name", [*PAGES])
def test_every_page_opens_by_a_click(visit, name):
    open_by_click(visit, name)
    expect(visit.get_by_test_id("stException")).to_have_count(0)
    expect(visit.get_by_text("Deploy")).to_have_count(0)
    drawn = visit.get_by_test_id("stMetric").or_(visit.get_by_test_id("stDataFrame"))
    expect(drawn.first).to_be_visible(timeout=PATIENCE)


def test_figures_are_those_of_the_ledger(visit, ledger):
    with open_reader(ledger) as reader:

        def hit_rate(since):
            return f"{reader.summaries(since, by=())[()].hit_rate:.1%}"

        def ran(since):
            outcomes = reader.summaries(since, by=())[()].outcomes
            return f"{outcomes['miss'] + outcomes['bypass']:,}"

        def questions(since):
            return f"{reader.decisions(since, by=())[()].total:,}"

        for name, label, computed in (
            ("overview", "Hit rate", hit_rate),
            ("waste", "Calls that ran", ran),
            ("semantic", "Questions", questions),
        ):
            open_by_click(visit, name)
            assert within_a_minute(card(visit, label), computed)


def test_a_shorter_time_is_chosen_by_a_click(visit):
    open_by_click(visit, "waste")
    hour = int(card(visit, "Calls that ran").replace(",", ""))
    visit.get_by_text("15m", exact=True).click()
    wait_for(lambda: int(card(visit, "Calls that ran").replace(",", "")) < hour / 2, "15 minutes")
    assert "window=15m" in visit.url
    visit.get_by_text("1h", exact=True).click()
    wait_for(lambda: int(card(visit, "Calls that ran").replace(",", "")) > hour / 2, "an hour")


def test_charts_have_bars_for_every_tool(visit):
    open_by_click(visit, "waste")
    chart = visit.get_by_test_id("stVegaLiteChart").first
    expect(chart.locator("canvas, svg").first).to_be_visible(timeout=PATIENCE)
    # A label that is no tool's was once drawn before the data had come.
    assert "undefined" not in chart.inner_html()


def test_new_calls_come_by_themselves_without_flicker(visit, ledger):
    open_by_click(visit, "overview")
    chart = visit.get_by_test_id("stVegaLiteChart").first
    expect(chart.locator("canvas, svg").first).to_be_visible(timeout=PATIENCE)
    before = card(visit, "Hit rate")
    # Had the chart been made anew, or the page loaded again, the mark would be gone.
    chart.locator("canvas, svg").first.evaluate("element => { element.dataset.mark = 'same' }")
    write_hits(ledger, 20_000)
    wait_for(lambda: card(visit, "Hit rate") != before, "a refresh", 30)
    assert chart.locator("[data-mark=same]").count() == 1


def write_hits(ledger: str, calls: int) -> None:
    store = SQLiteStore(Path(ledger.removeprefix("sqlite:///")))
    summary = Summary(outcomes={"hit": calls}, tiers={"L1": calls}, asked=calls)
    sums = {(int(time.time()) // 60 * 60, Cell(NAMESPACE, "get_quote")): summary.to_record()}
    state = replace(_states(time.time())[0], id="another", pid=9)
    store.add(Batch(state.id, 1, sums, (), state))
    store.close()


def test_a_breaker_is_opened_by_clicks(visit, ledger):
    open_by_click(visit, "breakers")
    visit.get_by_test_id("stBaseButton-secondary").filter(has_text="Open").click()
    expect(visit.get_by_text("Open the breaker")).to_be_visible(timeout=PATIENCE)
    visit.get_by_role("button", name="Do it").click()
    expect(visit.get_by_text("Sent. Processes carry it out")).to_be_visible(timeout=PATIENCE)
    with sqlite3.connect(ledger.removeprefix("sqlite:///")) as connection:
        ((record,),) = connection.execute("SELECT record FROM command").fetchall()
    connection.close()
    assert b"open_breaker" in record


def test_notices_have_the_time_of_the_visitor(visit):
    open_by_click(visit, "notices")
    visit.get_by_role("button", name="tier_failed").click()
    expect(visit.get_by_test_id("stDataFrame")).to_be_visible(timeout=PATIENCE)


def test_dark_and_a_phone(chromium, dashboard, outside):
    page = new_page(chromium, outside, dashboard, width=390, scheme="dark")
    page.goto(dashboard)
    expect(page.get_by_test_id("stMetric").first).to_be_visible(timeout=PATIENCE)
    red, green, blue = page.get_by_test_id("stApp").evaluate(
        "app => getComputedStyle(app).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
    )
    assert max(red, green, blue) < 64
    # Nothing is wider than the screen, and two cards stand side by side.
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    boxes = [page.get_by_test_id("stMetric").nth(number).bounding_box() for number in range(2)]
    assert boxes[0]["y"] == boxes[1]["y"]
    page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Processes").click()
    expect(page.get_by_role("heading", name="Processes", exact=True)).to_be_visible()
    page.close()


def test_nothing_is_asked_for_outside_of_this_machine(visit, outside):
    assert outside == []
