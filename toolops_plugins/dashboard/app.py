"""The script that Streamlit runs for every session: navigation, controls, and the chosen page."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import streamlit as st

from toolops_plugins.dashboard import options, parts, reading
from toolops_plugins.dashboard.view import choose
from toolops_plugins.telemetry.ledger import LedgerError

_HERE: Final = Path(__file__).parent
_SIDEBAR: Final = 230  # pixels; narrow, so that 1,100 pixels leave room for the figures
# Streamlit's margins are those of a text; figures need the width, above all on a phone.
_STYLE: Final = """<style>
.stMainBlockContainer { padding-left: 2rem; padding-right: 2rem; padding-bottom: 3rem; }
/* Streamlit fades what is about to be drawn anew; at every refresh that would flicker. */
[data-stale="true"] { opacity: 1 !important; transition: none !important; }
@media (max-width: 640px) {
  .stMainBlockContainer { padding-left: 1rem; padding-right: 1rem; }
}
</style>"""

# The pages by their file and address, with title and icon. (Streamlit would show a docstring here.)
PAGES: Final = {
    "overview": ("Overview", ":material/monitoring:"),
    "tools": ("Tools and models", ":material/build:"),
    "breakers": ("Breakers and limits", ":material/electrical_services:"),
    "tiers": ("Tiers and index", ":material/layers:"),
    "semantic": ("Semantic decisions", ":material/join_inner:"),
    "waste": ("Waste", ":material/delete_sweep:"),
    "processes": ("Processes", ":material/memory:"),
    "notices": ("Notices", ":material/notifications:"),
}

_ADVICE: Final = """\
Start the dashboard with the URL that your runtimes write to:

    toolops dashboard --ledger sqlite:///ledger.db
    toolops dashboard --ledger redis://localhost:6379/0

or set `TOOLOPS_LEDGER`. A runtime writes a ledger with `ToolOps(ledger=...)`.
"""


def main() -> None:
    """Draw the page that the address names."""
    st.set_page_config(
        page_title="ToolOps",
        page_icon=str(_HERE / "icon.svg"),
        layout="wide",
        initial_sidebar_state=_SIDEBAR,
    )
    folder = _HERE / "views"
    st.html(_STYLE)
    page = st.navigation(
        [
            st.Page(
                folder / f"{name}.py",
                title=title,
                icon=icon,
                url_path=name,
                default=name == "overview",
            )
            for name, (title, icon) in PAGES.items()
        ],
        expanded=True,
    )
    st.header(page.title, anchor=False)
    if not options.current().ledger:
        st.info("**No ledger is named.**", icon=":material/link_off:")
        st.markdown(_ADVICE)
        return
    try:
        choose()
    except LedgerError:
        st.fragment(_retry, run_every=options.current().refresh or None)()
        return
    page.run()


def _retry() -> None:
    try:
        reading.processes()
    except LedgerError as error:
        parts.draw_error(error)
    else:
        st.rerun()


if __name__ == "__main__":
    main()
