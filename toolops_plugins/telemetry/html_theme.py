"""The look that tables in notebooks share: the colours of the page, light or dark, and no more.

A notebook's theme is not the system's: chosen by ``prefers-color-scheme``, text would be white on
white in a light notebook on a dark desktop. So text is in the page's own colour, lines and
backgrounds are a grey that shows on any, and accents come from the variables of VS Code
(``--vscode-*``) or JupyterLab (``--jp-*``). Where there are neither, accents are tones of middle
lightness, which can be read on white and on black.
"""

from __future__ import annotations

__all__ = ["TABLE", "style_element", "theme_css"]

TABLE = '<table class="toolops-table">'
"""Opens a table. The class also tells Material for MkDocs to leave it as it is."""

# JupyterLab and VS Code style all tables of an output; their stripes need !important to go.
_THEME = """
ROOT { --toolops-green: var(--vscode-charts-green, var(--jp-success-color1, #2a9a5a));
  --toolops-blue: var(--vscode-charts-blue, var(--jp-info-color1, #3b82c4));
  --toolops-red: var(--vscode-charts-red, var(--jp-error-color1, #d1495b));
  --toolops-amber: var(--vscode-charts-orange, var(--jp-warn-color1, #cf8a2d));
  --toolops-grey: #8a8a8a; --toolops-shade: rgb(128 128 128 / 18%);
  --toolops-line: rgb(128 128 128 / 45%); }
ROOT .faint { opacity: .7; }
ROOT .toolops-table { border-collapse: collapse; border: 0; margin: .5em 0; table-layout: auto;
  display: table; background: none; font-size: inherit; color: inherit; }
ROOT .toolops-table tr { background: none !important; border: 0; }
ROOT .toolops-table th, ROOT .toolops-table td { border: 0; background: none; color: inherit;
  font-size: inherit; line-height: inherit; }
"""


def theme_css(root: str) -> str:
    """Return the shared rules for the elements inside of a selector, as CSS.

    They define the variables ``--toolops-green``, ``-blue``, ``-red``, ``-amber``, ``-grey``,
    ``-shade`` (a background) and ``-line``.

    Args:
        root: The selector, such as ".toolops-stats".
    """
    return " ".join(_THEME.replace("ROOT", root).split())


def style_element(root: str, rules: str) -> str:
    """Return a style element with the shared rules and further ones.

    It has no empty line, at which Markdown would end the HTML.

    Args:
        root: The selector inside of which the shared rules hold.
        rules: Further rules, as CSS.
    """
    return f"<style>{theme_css(root)} {' '.join(rules.split())}</style>"
