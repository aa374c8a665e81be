"""Every notebook runs from its first cell to its last, in a fresh kernel."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path

import nbformat
import pytest
from availability import can_run
from kernels import keep_kernels_in
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
ABSOLUTE = re.compile(r"(?:(?<![\w.~/<*)\]}])|(?<=file://))/(?:[\w.-]+/)+")
COLOURS = re.compile(r"\x1b\[[\d;]*m")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture
def kernels_at_home(tmp_path, monkeypatch):
    """Kernels write their files where nobody else does, and announce themselves on loopback."""
    keep_kernels_in(tmp_path, monkeypatch)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("kernels_at_home")
@pytest.mark.parametrize("path", [*filter(can_run, NOTEBOOKS)], ids=lambda path: path.stem)
def test_a_notebook_runs(path, monkeypatch, tmp_path):
    monkeypatch.setenv("TOOLOPS_NOTEBOOK_ROWS", "600")  # enough to see that it works
    data = os.environ.get("TOOLOPS_DATA") or str(ROOT.parent / "shared" / "data")
    monkeypatch.setenv("TOOLOPS_DATA", data)
    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(tmp_path)}}
    client = NotebookClient(notebook, timeout=240, resources=place, kernel_name="python3")
    client.execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in shown), "no picture"
    errors = [output for output in shown if output.output_type == "error"]
    assert not errors


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_what_it_did_and_nothing_of_the_machine(path):
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    text = path.read_text()
    for place in (str(ROOT), str(Path.home()), f"{tempfile.gettempdir()}{os.sep}", "Traceback"):
        assert place not in text, place
    found = [place for told in strings(json.loads(text)) for place in places_in(told)]
    assert not found


def places_in(text):
    """Return the folders that a text names by their absolute paths."""
    return ABSOLUTE.findall(COLOURS.sub("", text))


def strings(node):
    """Yield all texts in a notebook, without its pictures, whose Base64 is full of slashes."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, list):
        for each in node:
            yield from strings(each)
    elif isinstance(node, dict):
        for key, value in node.items():
            if not key.startswith("image/"):
                yield from strings(value)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("see /srv/data/x.csv", ["/srv/data/"]),
        ("open('/mnt/x')", ["/mnt/"]),
        ('File "/opt/a-b/c.py", line 1', ["/opt/a-b/"]),
        ("File \x1b[32m/opt/c.py\x1b[39m:1", ["/opt/"]),
        ("file:///var/lib/x", ["/var/lib/"]),
        ("https://example.org/a/b or a/b/c, ../a/b, ~/a/b, </td></tr>, 1 / 2 / 3", []),
    ],
)
def test_an_absolute_path_is_known_when_seen(text, places):
    assert places_in(text) == places
