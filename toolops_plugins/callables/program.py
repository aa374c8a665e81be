"""The program behind the module name ``__main__``.

The main module of every script, notebook and ``python -m`` is called ``__main__``, which identifies
nothing where several programs share a cache.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from toolops_plugins.callables.digests import short_digest

__all__ = ["MAIN_MODULES", "Program", "program_of"]

MAIN_MODULES = frozenset(("__main__", "__mp_main__", "<run_path>"))
"""Names of the main module, also in spawned children and under runpy.run_path()."""


class Program(NamedTuple):
    """A program.

    Args:
        name: The module that ``python -m`` runs, or the file name of the script or notebook
            without its suffix; ``__main__`` if neither is known.
        place: A digest of the file's path, so that ``a/main.py`` differs from ``b/main.py``; "" for
            a module, which is the same wherever it is installed.
        interactive: Whether its code has no file that Python could import: a notebook, a prompt or
            ``python -c``.
    """

    name: str
    place: str
    interactive: bool


def program_of(module: str, scope: Mapping[str, Any] | None = None) -> Program | None:
    """Return the program of a main module; None for any other module.

    Args:
        module: The ``__module__`` of a function or class.
        scope: Its global variables. None: those of the module.
    """
    if module not in MAIN_MODULES:
        return None
    if scope is None:
        scope = vars(sys.modules.get(module) or sys.modules["__main__"])
    spec = getattr(scope.get("__spec__"), "name", None)
    if isinstance(spec, str) and spec not in MAIN_MODULES:
        return Program(spec, "", interactive=False)
    file = scope.get("__file__")
    if isinstance(file, str) and not file.startswith("<"):
        return _by_file(file, interactive=False)
    notebook = scope.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    if "ipykernel" in sys.modules and isinstance(notebook, str) and _is_path(notebook):
        return _by_file(notebook, interactive=True)
    return Program("__main__", "", interactive=True)


def _is_path(notebook: str) -> bool:
    # VS Code adds a number to the name that changes with each session.
    return notebook.endswith(".ipynb") and "-jvsc-" not in notebook


@functools.lru_cache(64)
def _by_file(file: str, *, interactive: bool) -> Program:
    path = os.path.realpath(file)
    stem = os.path.splitext(os.path.basename(path))[0]  # noqa: PTH119, PTH122 - pathlib is slow to import
    if stem == "__main__":  # a folder or an archive that Python runs
        stem = os.path.splitext(os.path.basename(os.path.dirname(path)))[0]  # noqa: PTH119, PTH120, PTH122 - as above
    digest = short_digest(path.encode("utf-8", "surrogatepass"))
    return Program(stem or "__main__", digest, interactive)
