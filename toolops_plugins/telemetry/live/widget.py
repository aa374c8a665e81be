"""The widget, from files of this package; needs anywidget (extra "notebook")."""

from __future__ import annotations

from importlib.resources import files

import anywidget
import traitlets

from toolops_plugins.telemetry.html_theme import theme_css

__all__ = ["LiveWidget"]

_FILES = files("toolops_plugins.telemetry.live")


class LiveWidget(anywidget.AnyWidget):
    """Draws the figures of a live view.

    Attributes:
        figures: What it draws; set on the kernel's thread only.
    """

    _esm = (_FILES / "widget.js").read_text(encoding="utf-8")
    _css = theme_css(".toolops-live") + (_FILES / "widget.css").read_text(encoding="utf-8")
    figures = traitlets.Dict().tag(sync=True)
