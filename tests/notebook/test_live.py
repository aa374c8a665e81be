"""Live statistics in a real kernel: what comes to the page, and from which thread."""

from __future__ import annotations

import json
import queue
import re
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel
from kernels import keep_kernels_in

from toolops_plugins import ConfigurationError, ToolOps
from toolops_plugins.telemetry.live.live_figures import Trend, figures_of

LIVE = Path(__file__).parents[2] / "toolops_plugins" / "telemetry" / "live"
WIDGET = "application/vnd.jupyter.widget-view+json"
SETUP = """
import gc, logging, sys, threading, time
from pathlib import Path
from toolops_plugins import ToolOps
ops = ToolOps("shop")

@ops.readonly(name="quote", price=0.5)
def quote(ticker):
    return ticker.lower()

def live_threads():
    return [thread for thread in threading.enumerate() if thread.name == "toolops-live"]

def wait(condition):
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()
"""


class Notebook:
    """A notebook's page: it sends cells to a kernel, and reads what comes back."""

    def __init__(self, folder):
        with pytest.MonkeyPatch.context() as patch:
            keep_kernels_in(folder, patch)
            self.manager, self.client = start_new_kernel(kernel_name="python3", cwd=str(folder))

    def send(self, cell):
        """Send a cell, and return its id."""
        return self.client.execute(cell)

    def read(self, cell_id, until=lambda kind, content: False):
        """Return kinds and contents of messages until the cell ends, or one is as wanted."""
        found = []
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=20)
            except queue.Empty:
                pytest.fail(f"nothing more came after {found}")
            kind, content = message["msg_type"], message["content"]
            found.append((kind, content))
            own = message["parent_header"].get("msg_id") == cell_id
            if own and kind == "status" and content["execution_state"] == "idle":
                return found
            if until(kind, content):
                return found

    def run(self, cell):
        """Run a cell, and return its result as the data of each of its formats."""
        found = self.read(self.send(cell))
        errors = [content["evalue"] for kind, content in found if kind == "error"]
        assert not errors
        shown = [content["data"] for kind, content in found if kind == "execute_result"]
        return shown[-1] if shown else {}

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    notebook = Notebook(tmp_path_factory.mktemp("kernel"))
    notebook.run(SETUP)
    yield notebook
    notebook.close()


def figures_in(kind, content, method):
    """Return the figures of a message to a widget: of the state, or of a message of its own."""
    if kind != "comm_msg" or content["data"]["method"] != method:
        return None
    return content["data"]["content" if method == "custom" else "state"].get("figures")


def calls_in(figures):
    return dict(figures["tiles"])["calls"]


pytestmark = pytest.mark.allow_leaks("the channels of a Jupyter client have threads of their own")


def test_figures_come_while_a_cell_keeps_the_kernel_busy(page, tmp_path):
    page.run("busy = ToolOps('busy'); ask = busy.readonly(name='ask', price=0.5)(str.lower)")
    page.run("live = busy.live(interval=0.1)")
    flag = tmp_path / "go"
    cell = page.send(f"for _ in range(7): ask('ACME')\nassert wait(Path({str(flag)!r}).exists)")
    # The cell waits for the flag, and so for the figures.
    messages = page.read(
        cell,
        lambda *each: calls_in(figures_in(*each, "custom") or {"tiles": [["calls", ""]]}) == "7",
    )
    assert not [each for each in messages if figures_in(*each, "update")]
    flag.touch()
    rest = page.read(cell)
    assert not [each for each in rest if each[0] == "error"]
    # The state, which a page gets that is opened later, is set by the kernel's own thread.
    (state,) = [figures for each in rest if (figures := figures_in(*each, "update"))]
    assert calls_in(state) == "7"
    assert dict(state["tiles"])["saved cost"] == "3.00"
    assert state["tools"][0]["outcomes"] == [["L1 hits", 6], ["miss", 1]]
    page.run("live.close()")


def test_a_page_without_widgets_shows_a_table(page):
    page.run("quote('ACME')")
    shown = page.run("live = ops.live(); live")
    assert shown[WIDGET]["model_id"]
    assert "toolops-stats" in shown["text/html"]
    assert shown["text/plain"].startswith("tool ")
    page.run("live.close()")


def test_without_anywidget_there_is_a_table_and_a_hint(page):
    page.run("quote('ACME'); import anywidget")
    page.run("sys.modules.pop('toolops_plugins.telemetry.live.widget', None)")
    page.run("sys.modules['anywidget'] = None")
    shown = page.run("ops.live()")
    page.run("sys.modules['anywidget'] = anywidget")
    assert WIDGET not in shown
    assert "<table" in shown["text/html"]
    for text in (shown["text/html"], shown["text/plain"]):
        assert "[notebook]" in text


def test_the_thread_ends_with_the_last_view(page):
    page.run("first, second = ops.live(interval=0.1), ops.live(interval=30)")
    assert page.run("len(live_threads())")["text/plain"] == "1"
    page.run("first.close()")
    assert page.run("len(live_threads())")["text/plain"] == "1"
    assert page.run("second.close(); wait(lambda: not live_threads())")["text/plain"] == "True"


def test_a_view_that_nobody_holds_is_not_updated(page):
    page.run("view = ops.live(interval=0.1)\ndel view")
    assert page.run("gc.collect(); wait(lambda: not live_threads())")["text/plain"] == "True"


def test_a_view_ends_with_its_runtime(page):
    page.run("short = ToolOps('short'); short.call(len, 'ab', name='len')")
    page.run("view = short.live(interval=0.1); del short")
    assert page.run("gc.collect(); wait(lambda: not live_threads())")["text/plain"] == "True"
    assert "len" in page.run("view")["text/plain"]


def test_a_view_that_fails_stops_with_a_line_in_the_log(page):
    page.run("lines = []; handler = logging.Handler(); handler.emit = lines.append")
    page.run("logging.getLogger('toolops_plugins').addHandler(handler)")
    page.run("view = ops.live(interval=0.1)\nops.stats = lambda: 1 / 0")
    assert page.run("wait(lambda: not live_threads())")["text/plain"] == "True"
    page.run("del ops.stats; logging.getLogger('toolops_plugins').removeHandler(handler)")
    text = page.run("[line.getMessage() for line in lines]")["text/plain"]
    assert text == ("['A live view has stopped, since it could not be sent (ZeroDivisionError)']")


def test_a_script_prints_the_text_and_starts_no_thread():
    ops = ToolOps("script")
    ops.call(len, "ab", name="len")
    view = ops.live()
    assert view.widget is None
    assert repr(view) == repr(ops.stats())
    assert view._repr_mimebundle_().keys() == {"text/plain", "text/html"}
    view.close()


@pytest.mark.parametrize("interval", [0, 0.01, -1, "often", float("nan")])
def test_a_wrong_interval_is_refused(interval):
    with pytest.raises(ConfigurationError, match="interval"):
        ToolOps("wrong").live(interval=interval)


def test_the_figures_are_plain_and_tell_all():
    ops = ToolOps("plain")
    for _ in range(3):
        ops.call(len, "ab", name="len", policy=None)
    trend = Trend(1.0, 100.0)
    trend.add(100.2, ops.stats().total)  # too early
    trend.add(102.0, ops.stats().total)
    figures = figures_of("plain", ops.stats(), trend, {"quote": "half_open", "len": "closed"})
    assert json.loads(json.dumps(figures)) == figures
    assert figures["trend"] == [[0.0, 1.5]]
    assert figures["breakers"] == ["quote: half open"]
    assert [tool["name"] for tool in figures["tools"]] == ["len"]
    assert len(figures["titles"]) == len(figures["tools"][0]["cells"])
    assert "spent" not in figures["titles"]


def test_the_widget_loads_nothing():
    script = (LIVE / "widget.js").read_text(encoding="utf-8")
    assert re.findall(r"https?://[^\"]+", script) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"\b(?:import|require|fetch|innerHTML|insertAdjacentHTML|eval)\b", script)
    assert "url(" not in (LIVE / "widget.css").read_text(encoding="utf-8")
