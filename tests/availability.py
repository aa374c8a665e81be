"""The frameworks that the running Python can have."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMPORT = re.compile(r"\b(?:from|import) crewai")

# CrewAI allows no Python after 3.13; on those that it allows, a missing CrewAI is a failure. The
# adapter is looked for, since the folder of its tests would be found as a package `crewai`.
HAS_CREWAI = sys.version_info < (3, 14) or importlib.util.find_spec("crewai_toolops") is not None


def can_run(path: Path) -> bool:
    """Return false if a file's code needs a framework that this Python cannot have."""
    needs_crewai = "crewai" in path.relative_to(ROOT).as_posix() or IMPORT.search(path.read_text())
    return HAS_CREWAI or not needs_crewai
