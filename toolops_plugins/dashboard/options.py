"""The settings of the dashboard's process.

The pages are scripts that Streamlit runs again and again in this process, so their settings stand
in a module, and not in arguments.
"""

from __future__ import annotations

import os
from typing import NamedTuple

__all__ = ["Options", "configure", "current"]


class Options(NamedTuple):
    """The settings of one dashboard.

    Args:
        ledger: The ledger's URL. "": there is none, and the pages say what to do.
        refresh: Seconds between two refreshes of a page. Default 5. 0: the pages stand still.
        allow_actions: True if breakers may be opened and closed, and tags invalidated. Default
            False.
    """

    ledger: str
    refresh: float = 5.0
    allow_actions: bool = False


_chosen: Options | None = None


def configure(options: Options | None) -> None:
    """Set the settings of this process. None: those of the environment."""
    global _chosen  # noqa: PLW0603 - see the module's docstring
    _chosen = options


def current() -> Options:
    """Return the settings; without any, the ledger is that of TOOLOPS_LEDGER."""
    return _chosen or Options(os.environ.get("TOOLOPS_LEDGER", ""))
