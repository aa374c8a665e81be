"""The page of `toolops report` in a real Chromium, headless: `make browser`.

Not part of `make test`, since not every machine has a browser.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsers import open_chromium
from ledger_data import fill_sqlite
from playwright.sync_api import Browser

from toolops_plugins.cli.main import main

pytestmark = pytest.mark.allow_blocking("Playwright's loop runs in the test's own thread")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    ledger = fill_sqlite(folder / "ledger.db", days=1)
    path = folder / "report.html"
    options = ["--cost", "50/month", "--currency", "USD", "--html", str(path)]
    assert main(["report", "--ledger", ledger, *options]) == 0
    return path


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with open_chromium() as browser:
        yield browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1_100])
def test_the_page_fits_the_screen_and_loads_nothing(chromium, report, width, scheme):
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    assert asked == [report.as_uri()]
    whole = "[document.documentElement, ...document.querySelectorAll('.scroll')]"
    wide = page.evaluate(f"{whole}.filter((e) => e.scrollWidth > e.clientWidth).length")
    assert wide == 0
    bars = page.locator("rect.saved").evaluate_all("(all) => all.map((e) => e.getBBox().height)")
    assert max(bars) > 20
    light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(246, 247, 249)"
    assert light is (scheme == "light")
    page.close()
