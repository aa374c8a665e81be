"""The sums of one tool's calls since the last write to the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, Final

from toolops_plugins.quantiles import Quantiles
from toolops_plugins.telemetry.events import CallEvent

__all__ = ["Tally", "plain_name"]

_LONGEST_NAME: Final = 200
_MOST_CELLS: Final = 200
"""Pairs of model and agent of a tool that are told apart between two writes."""
_RETURNED: Final = frozenset(("miss", "bypass", "refresh"))
"""Outcomes of calls whose function has returned."""
_MOST_NAMES: Final = 100
"""Reasons, types of errors, and so on, of a cell that are told apart."""
_OTHER: Final = "(other)"


def plain_name(name: Any) -> str:
    """Return a name as text that every store takes, of bounded length; "" for None."""
    if name is None:
        return ""
    try:
        text = str(name)[:_LONGEST_NAME]
    except Exception:  # noqa: BLE001 - details may hold any object
        text = type(name).__name__[:_LONGEST_NAME]
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


class _CellTally:
    """The sums of the calls of one kind, model and agent."""

    __slots__ = ("groups", "numbers", "waited", "worked")

    def __init__(self) -> None:
        self.groups: dict[str, dict[str, Any]] = {}
        self.numbers: dict[str, Any] = {}
        self.waited: Quantiles | None = None
        self.worked: Quantiles | None = None

    def add(self, group: str, name: str, count: float = 1) -> None:
        """Add to the number of a name, such as an outcome; see :meth:`Summary.to_record`."""
        names = self.groups.get(group)
        if names is None:
            names = self.groups[group] = {}
        if name in names:
            names[name] += count
            return
        name = plain_name(name)
        if name not in names and len(names) >= _MOST_NAMES:
            name = _OTHER
        names[name] = names.get(name, 0) + count

    def add_number(self, name: str, number: float) -> None:
        """Add to a sum, such as that of the attempts."""
        self.numbers[name] = self.numbers.get(name, 0) + number

    def add_waits(self, durations: Sequence[float]) -> None:
        """Add the seconds that callers waited."""
        if self.waited is None:
            self.waited = Quantiles()
        self.waited.add_all(durations)

    def add_works(self, durations: Sequence[float]) -> None:
        """Add the seconds that the function took."""
        if self.worked is None:
            self.worked = Quantiles()
        self.worked.add_all(durations)

    def add_one(self, waited: float | None, worked: float) -> None:
        """Add the durations of one call; None and 0: there is none."""
        if waited is not None:
            if self.waited is None:
                self.waited = Quantiles()
            self.waited.add(waited)
        if worked:
            if self.worked is None:
                self.worked = Quantiles()
            self.worked.add(worked)

    def to_record(self) -> dict[str, dict[str, Any]]:
        """Return the sums in their stored form."""
        record = self.groups
        if self.waited is not None:
            record["w"] = self.waited.buckets()
        if self.worked is not None:
            record["k"] = self.worked.buckets()
        if self.numbers:
            record["n"] = self.numbers
        # A price or token count of the user's may be no number, which no store could add up.
        finite = {
            group: {name: number for name, number in numbers.items() if isfinite(number) and number}
            for group, numbers in record.items()
        }
        return {group: numbers for group, numbers in finite.items() if numbers}


class Tally:
    """The sums of one tool's calls, by kind, model and agent.

    It is part of :class:`~toolops_plugins.telemetry.stats.ToolStats`, which calls it under its own
    lock with each batch of calls. Not thread-safe by itself.
    """

    __slots__ = ("_cells", "_plain")

    def __init__(self) -> None:
        self._cells: dict[tuple[str, str, str], _CellTally] = {}
        self._plain: _CellTally | None = None

    def add_hits(
        self, tier: str, durations: Sequence[float], saved_seconds: float, saved_cost: float
    ) -> None:
        """Add hits in memory that have neither a model nor an agent.

        Args:
            tier: The label of the memory tier.
            durations: Seconds that their callers waited.
            saved_seconds: Seconds that these were spared, in all.
            saved_cost: Money that was not spent again, in all.
        """
        cell = self._plain_cell()
        count = len(durations)
        cell.add("o", "hit", count)
        cell.add("t", tier, count)
        cell.add_number("asked", count)
        cell.add_number("saved_seconds", saved_seconds)
        cell.add_number("saved_cost", saved_cost)
        cell.add_waits(durations)

    def add_bypasses(self, durations: Sequence[float]) -> None:
        """Add calls without a cache that the function answered at its first attempt.

        Args:
            durations: Seconds that their callers waited, which is what the function took.
        """
        cell = self._plain_cell()
        cell.add("o", "bypass", len(durations))
        cell.add("r", "no_cache", len(durations))
        cell.add_number("attempts", len(durations))
        cell.add_waits(durations)
        cell.add_works(durations)

    def add_call(
        self,
        outcome: str,
        latency: float,
        attempts: int,
        spent: float,
        saved_seconds: float,
        saved_cost: float,
        tier: str,
        asked_cache: bool,  # noqa: FBT001 - as in ToolStats.count()
        event: CallEvent | None,
    ) -> None:
        """Add a call with any outcome.

        Args:
            outcome: As in :meth:`ToolStats.count`, as are all but the last.
            latency: The same.
            attempts: The same.
            spent: The same.
            saved_seconds: The same.
            saved_cost: The same.
            tier: The label of the tier that answered.
            asked_cache: The same.
            event: The event of the call, or None.
        """
        cell = self._plain_cell() if event is None else self._cell_of(event)
        cell.add("o", outcome)
        if outcome == "hit":
            cell.add("t", tier)
        cell.add_one(
            None if outcome == "refresh" else latency, 0.0 if event is None else event.worked
        )
        numbers = cell.numbers
        for name, number in (
            ("asked", int(asked_cache)),
            ("attempts", attempts),
            ("spent_cost", spent),
            ("saved_seconds", saved_seconds),
            ("saved_cost", saved_cost),
        ):
            if number:
                numbers[name] = numbers.get(name, 0) + number
        if event is not None:
            _add_event(cell, event)

    def add_check(self, *, right: bool) -> None:
        """Add a comparison of a stored answer with the function's own; see :class:`Decisions`."""
        cell = self._plain_cell()
        cell.add("dn", "checked")
        if not right:
            cell.add("dn", "wrong")

    def pop_records(self) -> list[tuple[str, str, str, dict[str, dict[str, Any]]]]:
        """Return kind, model, agent and sums of each cell, and start again at zero."""
        cells, self._cells, self._plain = self._cells, {}, None
        return [(*key, cell.to_record()) for key, cell in cells.items()]

    def clear(self) -> None:
        """Start again at zero."""
        self._cells, self._plain = {}, None

    def _plain_cell(self) -> _CellTally:
        if self._plain is None:
            self._plain = self._cells.setdefault(("tool", "", ""), _CellTally())
        return self._plain

    def _cell_of(self, event: CallEvent) -> _CellTally:
        details = event.details
        if event.kind == "tool" and not details:
            return self._plain_cell()
        found = details or {}
        key = (event.kind, plain_name(found.get("model")), plain_name(found.get("agent")))
        cell = self._cells.get(key)
        if cell is None:
            if len(self._cells) >= _MOST_CELLS:
                key = (event.kind, _OTHER, _OTHER)
            cell = self._cells.setdefault(key, _CellTally())
        return cell


def _add_event(cell: _CellTally, event: CallEvent) -> None:
    """Add the facts that only the event of a call has."""
    if event.reason is not None:
        cell.add("r", event.reason)
    if event.error is not None:
        cell.add("e", event.error)
    if event.retried:
        cell.add_number("retried", 1)
        if event.outcome in _RETURNED:
            cell.add_number("rescued", 1)
    if event.outcome == "stale" and event.error is not None:
        cell.add_number("stale_on_error", 1)
    if event.hedged:
        cell.add_number("hedged", 1)
    if event.details:
        _add_tokens(cell, event.details)
    if event.semantic:
        _add_decision(cell, event.semantic)


def _add_tokens(cell: _CellTally, details: Mapping[str, Any]) -> None:
    for name in ("input_tokens", "output_tokens"):
        cell.add_number(name, _whole(details.get(name)))
        cell.add_number("saved_tokens", _whole(details.get(f"saved_{name}")))


def _add_decision(cell: _CellTally, semantic: Mapping[str, Any]) -> None:
    """Add a decision of the semantic cache; see :class:`Decisions`."""
    verdict = plain_name(semantic.get("verdict"))
    if not verdict:
        return
    cell.add("dv", verdict)
    similarity = semantic.get("similarity")
    if isinstance(similarity, int | float) and 0 < similarity <= 1.01:
        cell.add("ds" if verdict in _SERVED else "dr", str(round(100 * min(similarity, 1.0))))
    bound = semantic.get("max_error")
    if bound is not None:
        cell.add("db", f"{bound:g}" if isinstance(bound, int | float) else plain_name(bound))
    risk = semantic.get("risk")
    if verdict in _SERVED and isinstance(risk, int | float) and 0 <= risk <= 1:
        cell.add("dn", "estimated", risk)
        cell.add("dn", "estimates")


_SERVED: Final = frozenset({"served", "exact", "joined"})


def _whole(value: Any) -> int:
    """Return a plausible number of tokens; JSON keeps no larger one exactly."""
    return value if isinstance(value, int) and 0 < value < 2**53 else 0
