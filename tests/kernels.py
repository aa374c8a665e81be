"""Jupyter kernels that write their files into a folder of the test, and cells to execute there."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient


def keep_kernels_in(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Let kernels write their files where nobody else does, and announce themselves on loopback."""
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        patch.setenv(name, str(folder / name.lower()))
    patch.delenv("MPLBACKEND", raising=False)  # importing streamlit sets one that draws no picture
    patch.setenv("MPLCONFIGDIR", str(folder / "matplotlib"))
    patch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")


def execute_cells(cells: Iterable[str], folder: Path) -> nbformat.NotebookNode:
    """Execute cells in one fresh kernel, whatever they raise, and return the notebook."""
    made = [nbformat.v4.new_code_cell(textwrap.dedent(cell).strip()) for cell in cells]
    notebook = nbformat.v4.new_notebook(cells=made)
    with pytest.MonkeyPatch.context() as patch:
        keep_kernels_in(folder, patch)
        place = {"metadata": {"path": str(folder)}}
        NotebookClient(
            notebook, timeout=50, resources=place, kernel_name="python3", allow_errors=True
        ).execute()
    return notebook
