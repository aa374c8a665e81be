"""Fixtures of the dashboard's tests: a ledger with some hours of data, pages without a browser."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from ledger_data import fill_sqlite
from streamlit.testing.v1 import AppTest

from toolops_plugins.dashboard import app, options
from toolops_plugins.dashboard.options import Options

Open = Callable[..., AppTest]

_components: dict[str, Any] = {}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a ledger with three hours of example data that end now."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    return fill_sqlite(path, days=0.13, now=time.time())


@pytest.fixture
def open_page(ledger: str) -> Iterator[Open]:
    """A function that draws a page; by default the overview of the example ledger."""
    st.cache_resource.clear()

    def draw(page: str = "overview", url: str = ledger, **settings: bool) -> AppTest:
        options.configure(Options(url, **settings))
        test = AppTest.from_file(Path(app.__file__), default_timeout=30)
        # To look for components among all installed packages takes longer than to draw a page.
        test._bidi_component_manager = _components.get("found")
        test.run()
        _components["found"] = test._bidi_component_manager
        if page != "overview":
            test.switch_page(f"views/{page}.py").run()
        return test

    yield draw
    options.configure(None)
    st.cache_resource.clear()
