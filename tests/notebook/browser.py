"""The live view in a real Chromium, headless: `make browser`.

Not part of `make test`, since not every machine has a browser. The page holds the widget's own
script and style, and a model as anywidget hands it to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsers import open_chromium
from playwright.sync_api import Browser, Page

from toolops_plugins import ToolOps
from toolops_plugins.telemetry.html_theme import theme_css
from toolops_plugins.telemetry.live.live_figures import Trend, figures_of

ROOT = Path(__file__).parents[2]

LIVE = ROOT / "toolops_plugins" / "telemetry" / "live"
MODEL = """
async ([script, figures]) => {
  const widget = (await import(URL.createObjectURL(new Blob([script], {type: "text/javascript"}))));
  const listeners = {}, state = { figures };
  const tell = (event, value) => (listeners[event] ?? []).forEach((listener) => listener(value));
  window.model = {
    get: (name) => state[name],
    set: (name, value) => { state[name] = value; tell(`change:${name}`, value); },
    on: (event, listener) => (listeners[event] ??= []).push(listener),
    off: (event, listener) => {
      listeners[event] = listeners[event].filter((other) => other !== listener);
    },
    tell,
    count: () => (listeners["change:figures"] ?? []).length,
  };
  widget.default.initialize({ model });
  window.end = widget.default.render({ model, el: document.getElementById("output") });
}
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with open_chromium() as browser:
        yield browser


def figures(calls: int, breakers: dict[str, str] | None = None) -> dict:
    ops = ToolOps("shop <b>")
    tool = ops.readonly(name="tools.<i>search</i>_flights", price=0.5)(len)
    for _ in range(calls):
        tool("ab")
    trend = Trend(1.0, 0.0)
    trend.add(2.0, ops.stats().total)
    return figures_of("shop <b>", ops.stats(), trend, breakers or {})


def show(browser: Browser, first: dict, *, width: int = 1_000, dark: bool = False) -> Page:
    page = browser.new_page(viewport={"width": width, "height": 600})
    colours = "#111; color: #eee; --jp-layout-color0: #111; --jp-content-font-color1: #eee"
    css = theme_css(".toolops-live") + (LIVE / "widget.css").read_text(encoding="utf-8")
    page.set_content(
        f"<style>body {{ margin: 0; {f'background: {colours}' if dark else ''} }} {css}</style>"
        '<div id="output"></div>'
    )
    page.evaluate(MODEL, [(LIVE / "widget.js").read_text(encoding="utf-8"), first])
    return page


def test_figures_follow_messages_of_a_busy_kernel(chromium):
    page = show(chromium, figures(4))
    tiles = page.locator(".tile b")
    assert tiles.all_inner_texts()[:2] == ["4", "75.0%"]
    assert page.locator("tbody th").all_inner_texts() == ["tools.<i>search</i>_flights"]
    assert page.locator("tbody th").get_attribute("title") == "3 L1 hits, 1 miss"
    assert page.locator(".name").inner_text() == "shop <b>"
    assert page.locator("svg rect.answered").count() == 1
    page.evaluate(
        "figures => model.tell('msg:custom', { figures })", figures(9, {"search": "open"})
    )
    assert tiles.all_inner_texts()[0] == "9"
    assert page.locator(".breakers").inner_text() == "Breakers: search: open"
    page.evaluate("end()")
    assert page.evaluate("model.count()") == 0
    page.close()


def test_nothing_is_shown_before_the_first_call(chromium):
    page = show(chromium, figures(0))
    assert page.locator(".toolops-live").inner_text().endswith("No calls yet.")
    page.close()


@pytest.mark.parametrize("width", [1_000, 700, 400])
def test_it_fits_the_page(chromium, width):
    page = show(chromium, figures(4), width=width)
    box = page.locator(".toolops-live").bounding_box()
    assert box is not None
    assert box["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width >= 700:
        table = page.locator("table").bounding_box()
        assert table is not None
        assert table["width"] <= box["width"]
    page.close()


@pytest.mark.parametrize(("dark", "text"), [(False, "rgb(0, 0, 0)"), (True, "rgb(238, 238, 238)")])
def test_it_takes_the_colours_of_the_page(chromium, dark, text):
    page = show(chromium, figures(4), dark=dark)
    style = "element => getComputedStyle(element).color"
    assert page.locator("tbody td").first.evaluate(style) == text
    page.close()


@pytest.mark.parametrize("width", [1_000, 700])
def test_statistics_show_what_was_saved_and_spent(chromium, width):
    ops = ToolOps("shop")
    for number in range(32):
        tool = ops.readonly(name=f"company.research.tools.search_flights_{number}", price=0.5)(len)
        tool("ab")
        tool("ab")
    page = chromium.new_page(viewport={"width": width, "height": 800})
    page.set_content(f"<body style='margin:0'>{ops.stats()._repr_html_()}")
    for title in ("saved time", "saved cost", "spent", *(["miss p50"] if width == 1_000 else [])):
        box = page.get_by_role("columnheader", name=title).bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= width
    page.close()
