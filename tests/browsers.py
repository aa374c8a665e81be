"""The machine's own Chromium, for tests that look at pages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
from chromium import find_chromium

__all__ = ["open_chromium"]


@contextmanager
def open_chromium() -> Iterator[Browser]:
    """Start Chromium without a window, and end it with the block."""
    path = find_chromium()
    assert path, "make browser finds or installs one"
    with sync_playwright() as playwright:
        # Root may not start Chromium's own sandbox; it sees no page but ours.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
