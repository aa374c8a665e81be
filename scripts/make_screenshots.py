"""Draw the pictures of the dashboard for the documentation, with example data, in Chromium.

`make screenshots` runs it; the pictures are reduced to 256 colours, which no eye misses.
"""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from browsers import open_chromium  # noqa: E402 - from the tests
from ledger_data import fill_sqlite, write_states  # noqa: E402 - from the tests

IMAGES = ROOT / "docs" / "images"
# Name of the picture, page, theme, width, height and window of time.
PICTURES = (
    ("overview", "overview", "light", 1_100, 900, "24h"),
    ("tools", "tools", "dark", 1_100, 900, "24h"),
    ("breakers", "breakers", "light", 1_100, 760, "1h"),
    ("semantic", "semantic", "dark", 1_100, 760, "24h"),
    ("waste", "waste", "light", 1_100, 760, "24h"),
    ("phone", "overview", "dark", 390, 900, "24h"),
)


def draw(browser: Browser, address: str, name: str, page: str, *look: object) -> None:
    """Write one picture."""
    scheme, width, height, window = look
    tab = browser.new_page(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        timezone_id="UTC",
    )
    place = "" if page == "overview" else page
    tab.goto(f"{address}/{place}?window={window}")
    tab.get_by_test_id("stMetric").or_(tab.get_by_test_id("stDataFrame")).first.wait_for()
    tab.wait_for_function("!document.querySelector('[data-testid=stSkeleton]')", timeout=60_000)
    tab.wait_for_timeout(3_000)  # charts and tables draw themselves
    shot = Image.open(io.BytesIO(tab.screenshot()))
    tab.close()
    reduced = shot.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    reduced.save(IMAGES / f"dashboard-{name}.png", optimize=True)


def main() -> None:
    """Write all pictures."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        url = fill_sqlite(path)
        command = [sys.executable, "-m", "toolops_plugins.cli", "dashboard"]
        server = subprocess.Popen([*command, "--ledger", url, "--port", str(port)])  # noqa: S603 - ours
        try:
            wait_until_up(address)
            with open_chromium() as browser:
                for number, picture in enumerate(PICTURES):
                    write_states(path, serial=10 + number)
                    draw(browser, address, *picture)
        finally:
            server.terminate()
            server.wait()


def wait_until_up(address: str) -> None:
    """Wait until the dashboard answers."""
    for _ in range(600):
        with suppress(OSError), urllib.request.urlopen(f"{address}/_stcore/health"):  # noqa: S310 - ours
            return
        time.sleep(0.1)
    raise TimeoutError(address)


if __name__ == "__main__":
    main()
