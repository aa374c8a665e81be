"""The runner of ``make faults``, briefly: whatever a server does, callers get right answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.fault_table import FAULTS, measure

BRIEF = [
    "kill",
    "maxmemory",
    "AUTH",
    "CLIENT KILL",
    "cuts",
    "bit flips",
    "duplicates",
    "500 MB declared",
    "trickle of 10 B/s",
    "refusal",
]


@pytest.mark.parametrize("fault", BRIEF)
def test_nobody_is_failed_or_misled_and_hits_come_back(tmp_path: Path, fault: str) -> None:
    row = measure(fault, tmp_path, 0.2, threads=2, tasks=4)
    assert row.calls
    assert (row.failed, row.wrong, row.hung) == (0, 0, 0)
    assert row.recovery is not None


def test_every_fault_has_a_name_of_its_own_in_the_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "operations" / "faults.md"
    rows = [line.split("|")[1].strip() for line in page.read_text().splitlines() if "| " in line]
    assert [name for name in rows if name not in ("fault", "---")] == list(FAULTS)
