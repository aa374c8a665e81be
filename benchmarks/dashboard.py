"""First paint of the dashboard with a million rows of ledger, in Chromium.

Each row counts one tool in one minute; sums of ten minutes, hours and days come on top. A visit is
a new browser profile, so that nothing is in its cache; its first paint is the moment at which the
figures of the overview stand on the page.

    python benchmarks/dashboard.py [--rows 1000000] [--visits 5]
"""

from __future__ import annotations

import argparse
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "scripts")]
from chromium import find_chromium  # noqa: E402 - a script
from ledger_data import fill_rows  # noqa: E402 - from the tests

WINDOWS = ("15m", "1h", "6h", "24h", "7d", "30d")


def measure(browser: Browser, address: str, window: str) -> tuple[float, float]:
    """Return the seconds until the figures and until the charts stand on the page."""
    context = browser.new_context(viewport={"width": 1_100, "height": 900})
    page = context.new_page()
    begin = time.perf_counter()
    page.goto(f"{address}/?window={window}", wait_until="commit")
    page.get_by_test_id("stMetricValue").first.wait_for(timeout=120_000)
    figures = time.perf_counter() - begin
    page.locator(
        "[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg"
    ).first.wait_for(timeout=120_000)
    charts = time.perf_counter() - begin
    context.close()
    return figures, charts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--visits", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        url = fill_rows(Path(folder) / "ledger.db", given.rows)
        size = sum(file.stat().st_size for file in Path(folder).iterdir()) / 2**20
        print(f"{given.rows:,} rows of minutes, {size:,.0f} MB, written in", end=" ")
        print(f"{time.perf_counter() - begin:.0f} s; {platform.machine()}, {os.cpu_count()} cores")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        address = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "toolops_plugins.cli", "dashboard", "--ledger", url]
        with subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.DEVNULL) as server:
            try:
                for _ in range(600):
                    with suppress(OSError), urllib.request.urlopen(f"{address}/_stcore/health"):
                        break
                    time.sleep(0.1)
                with sync_playwright() as playwright:
                    browser = playwright.chromium.launch(
                        executable_path=find_chromium(), args=["--no-sandbox"]
                    )
                    run(browser, address, given.visits)
                    browser.close()
            finally:
                server.terminate()


def run(browser: Browser, address: str, visits: int) -> None:
    """Print a line for each window of time."""
    print(
        "first visit after the start, 1h: figures {:.2f} s, charts {:.2f} s".format(
            *measure(browser, address, "1h")
        )
    )
    for window in WINDOWS:
        found = [measure(browser, address, window) for _ in range(visits)]
        figures, charts = (sorted(times) for times in zip(*found, strict=True))
        print(
            f"{window:>4}: figures {statistics.median(figures):.2f} s (worst {figures[-1]:.2f} s), "
            f"charts {statistics.median(charts):.2f} s (worst {charts[-1]:.2f} s)"
        )


if __name__ == "__main__":
    main()
