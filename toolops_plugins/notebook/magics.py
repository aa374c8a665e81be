"""The magics, and the hooks of IPython by which they see a cell begin and end.

A cell magic gets its cell as text, and would have to run it itself: without ``await``, with other
line numbers in tracebacks, without the last expression's display. So the line ``%%toolops`` is
taken out of the cell before IPython compiles it, and IPython's own events tell when the cell begins
and ends. What it called is the difference of two snapshots of the statistics, so that calls cost
the same as ever.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from IPython.core.display_functions import display
from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class

from toolops_plugins.notebook.figures import Figures
from toolops_plugins.runtime import ToolOps, all_runtimes
from toolops_plugins.telemetry.formats import duration
from toolops_plugins.telemetry.report import StatsSnapshot

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell

__all__ = ["add_magics", "remove_magics"]

_MAGIC = "%%toolops"
_OPTIONS = ("--on", "--off")
_display: Any = display  # which has no types


class _Measurement(NamedTuple):
    """The statistics at the start of a cell.

    Args:
        info: The cell.
        names: The runtimes that the magic names. None: the cell has no magic.
        before: The statistics of each runtime; it also keeps those alive that the cell drops.
        started: The start, by ``time.perf_counter``.
    """

    info: ExecutionInfo
    names: tuple[str, ...] | None
    before: dict[ToolOps, StatsSnapshot]
    started: float


class _Cells(threading.local):
    """The cells that run in a thread, the outermost first: a magic may run further ones."""

    def __init__(self) -> None:
        self.stack: list[_Measurement | ExecutionInfo] = []


@magics_class
class ToolOpsMagics(Magics):
    """``%toolops`` and ``%%toolops``.

    Args:
        shell: The shell whose cells are measured.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self._shell = shell
        self.every = False
        self._cells = _Cells()

    @line_cell_magic
    def toolops(self, line: str, cell: str | None = None) -> Figures | None:
        """Show what tools were called, hit, saved and spent.

        Usage, as a line: %toolops [NAME ...] [--on | --off]

        Shows the figures since each runtime was made. A NAME is a runtime's namespace, or a
        variable that holds a runtime; without one, all runtimes with calls are shown. --on shows a
        table under every further cell that makes a call; --off ends that.

        Usage, as the first line of a cell: %%toolops [NAME ...]

        Shows the figures of that cell under its output, also if it raises. Calls that other threads
        and tasks make while the cell runs are among them.
        """
        if cell is not None:
            # Only code that calls the magic by itself comes here; IPython's cells do not.
            shell: Any = self._shell  # whose method has no types
            shell.run_cell(f"{_MAGIC} {line}\n{cell}")
            return None
        words = line.split()
        options = [word for word in words if word.startswith("-")]
        names = [word for word in words if not word.startswith("-")]
        if wrong := [option for option in options if option not in _OPTIONS]:
            raise UsageError(f"%toolops has no option {wrong[0]}; there are: {', '.join(_OPTIONS)}")
        if len(set(options)) > 1 or (options and names):
            raise UsageError("%toolops takes either names of runtimes, or --on, or --off")
        if options:
            self.every = options[-1] == "--on"
            return None
        chosen, unknown = self._choose(names)
        if unknown:
            raise UsageError(unknown)
        return Figures([(runtime.namespace, runtime.stats()) for runtime in chosen])

    # -- hooks of IPython ------------------------------------------------------------------------

    def take_out(self, lines: list[str]) -> list[str]:
        """Return the lines of a cell without the magic, with the same line numbers."""
        if not lines or _magic_line(lines[0]) is None:
            return lines
        if len(lines) > 1 and lines[1].startswith("%%"):
            return lines[1:]  # another cell magic has to be the first line
        return [f"# {lines[0]}", *lines[1:]]

    # In a terminal, a cell is complete at its first empty line; IPython would see none otherwise.
    take_out.has_side_effects = True  # type: ignore[attr-defined]  # IPython's own mark

    def on_start(self, info: ExecutionInfo) -> None:
        """Note the statistics at the start of a cell, if it is to be measured."""
        stack = self._cells.stack
        names = _names_in(info.raw_cell or "")
        inside = any(isinstance(each, _Measurement) for each in stack)
        if inside or (names is None and not self.every):
            stack.append(info)
            return
        before = {runtime: runtime.stats() for runtime in all_runtimes()}
        stack.append(_Measurement(info, names, before, time.perf_counter()))

    def on_end(self, result: ExecutionResult | None) -> None:
        """Show the table under the output of a cell that was measured."""
        stack = self._cells.stack
        if not stack:
            return
        if result is not None and not _is_same(stack[-1], result.info):
            return  # an empty cell ends without a start
        ended = stack.pop()
        if isinstance(ended, _Measurement):
            self._show(ended, time.perf_counter() - ended.started)

    def _show(self, measured: _Measurement, seconds: float) -> None:
        names = [name for name in measured.names or () if not name.startswith("-")]
        chosen, unknown = self._choose(names, tuple(measured.before))
        if unknown:
            print(f"{_MAGIC}: {unknown}", file=sys.stderr)  # noqa: T201 - the cell's own output
        empty = StatsSnapshot()
        figures = Figures(
            [
                (runtime.namespace, runtime.stats().since(measured.before.get(runtime, empty)))
                for runtime in chosen
            ],
            f"this cell, {duration(seconds)}",
        )
        if figures or (measured.names is not None and not unknown):
            _display(figures)

    def _choose(
        self, names: Sequence[str], alive: Sequence[ToolOps] = ()
    ) -> tuple[list[ToolOps], str]:
        """Return the runtimes of the names, or all, and a line about a name that is unknown."""
        runtimes = list({*all_runtimes(), *alive})
        runtimes.sort(key=lambda runtime: runtime.namespace)
        if not names:
            return runtimes, ""
        chosen: dict[ToolOps, None] = {}
        unknown = ""
        for name in names:
            value = self._shell.user_ns.get(name)
            found = [value] if isinstance(value, ToolOps) else []
            found = found or [each for each in runtimes if each.namespace == name]
            if not found and not unknown:
                known = ", ".join(dict.fromkeys(repr(each.namespace) for each in runtimes))
                unknown = f"no runtime or variable is called {name!r}; runtimes: {known or 'none'}"
            chosen.update(dict.fromkeys(found))
        return list(chosen), unknown


def add_magics(shell: InteractiveShell) -> None:
    """Register the magics and hooks with a shell, in place of earlier ones."""
    remove_magics(shell)
    magics = ToolOpsMagics(shell)
    shell.register_magics(magics)
    shell.input_transformers_cleanup.append(magics.take_out)
    shell.events.register("pre_run_cell", magics.on_start)
    shell.events.register("post_run_cell", magics.on_end)


def remove_magics(shell: InteractiveShell) -> None:
    """Remove the magics and hooks from a shell; nothing happens where there are none."""
    magics: Any = shell.magics_manager.registry.pop(ToolOpsMagics.__name__, None)
    if magics is None:
        return
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("toolops", None)
    shell.input_transformers_cleanup.remove(magics.take_out)
    shell.events.unregister("pre_run_cell", magics.on_start)
    shell.events.unregister("post_run_cell", magics.on_end)


def _magic_line(line: str) -> str | None:
    """Return the words behind the magic, or None if the line is another one."""
    first, *words = line.split(maxsplit=1) or [""]
    return (words[0] if words else "") if first == _MAGIC else None


def _names_in(cell: str) -> tuple[str, ...] | None:
    """Return the words behind the magic, which may stand among other cell magics at the top."""
    for line in cell.lstrip().splitlines():
        words = _magic_line(line)
        if words is not None:
            return tuple(words.split())
        if not line.startswith("%%"):
            return None
    return None


def _is_same(begun: _Measurement | ExecutionInfo, info: ExecutionInfo | None) -> bool:
    started = begun.info if isinstance(begun, _Measurement) else begun
    # IPython describes a cell anew if it was interrupted.
    return started is info or (info is not None and started.raw_cell == info.raw_cell)
