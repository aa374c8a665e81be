"""A short run of the random schedules of ``make soak``."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path


def test_a_round_of_random_schedules_finds_nothing(root: Path) -> None:
    """Under ``-X dev``, where asyncio and the interpreter complain of whatever is left behind."""
    seed = random.SystemRandom().randrange(10**6)
    ended = subprocess.run(
        [
            sys.executable,
            "-X",
            "dev",
            root / "tests/soak.py",
            "--seconds",
            "3",
            "--seed",
            str(seed),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert f"seed {seed}: " in ended.stdout
    assert ended.returncode == 0, ended.stdout + ended.stderr[-2_000:]
