"""Turn notebooks into Markdown, with the outputs that are stored in them."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import nbformat

COLOURS = re.compile(r"\x1b\[[\d;]*m")


def markdown_of(path: Path) -> str:
    """Return the cells of a notebook and their outputs as Markdown; nothing is executed."""
    parts = []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        elif cell.cell_type == "code":
            parts.append(f"```python\n{cell.source}\n```")
            parts.extend(_output(output) for output in cell.outputs)
    return "\n\n".join(parts)


def _output(output: Any) -> str:
    if output.output_type == "stream":
        return _text(output.text)
    data = output.get("data", {})
    if "text/html" in data:
        return f'<div class="output">{data["text/html"]}</div>'
    if "image/png" in data:
        picture = "".join(data["image/png"].split())
        return f'<img alt="output" src="data:image/png;base64,{picture}">'
    return _text(data.get("text/plain", ""))


def _text(text: str) -> str:
    # An HTML block ends at an empty line, so that no line may be empty.
    lines = html.escape(COLOURS.sub("", text.rstrip())).replace("\n\n", "\n&#8203;\n")
    return f'<pre class="output">{lines}</pre>' if lines else ""
