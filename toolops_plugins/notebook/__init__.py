"""An IPython extension: a table of the calls of a cell under its output.

``%load_ext toolops_plugins.notebook`` brings two magics:

- ``%%toolops`` as the first line of a cell shows what the cell called, hit, saved and spent.
- ``%toolops`` shows the same for the whole session; ``%toolops --on`` puts the table under every
  further cell that makes a call, ``%toolops --off`` ends that.

The names of runtimes, or of variables that hold them, choose among several.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add the magics to a shell; IPython calls it for ``%load_ext``."""
    from toolops_plugins.notebook.magics import add_magics  # noqa: PLC0415 - imports IPython

    add_magics(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Remove the magics from a shell; IPython calls it for ``%unload_ext`` and ``%reload_ext``."""
    from toolops_plugins.notebook.magics import remove_magics  # noqa: PLC0415 - imports IPython

    remove_magics(shell)
