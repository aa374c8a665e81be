"""What every test may use; `guards` says what none may do."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from availability import HAS_CREWAI

pytest_plugins = ["guards", "servers", "commands"]

ROOT = Path(__file__).resolve().parents[1]
collect_ignore = [] if HAS_CREWAI else ["crewai"]

hypothesis.settings.register_profile(
    "toolops",
    deadline=None,  # the machine is shared; pytest-timeout ends what hangs
    print_blob=True,  # a failure on a build machine can be replayed on a desk
    suppress_health_check=[hypothesis.HealthCheck.too_slow],  # as for the deadline
)
hypothesis.settings.load_profile("toolops")


def pytest_report_header() -> str | None:
    return None if HAS_CREWAI else "crewai does not support this Python: its tests are left out"


@pytest.fixture(autouse=True, scope="module")
def _young_heap(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let collections of a module's tests pass over what stood before it.

    Late in a run that is every framework and its models, a second for each collection.
    """
    if not hasattr(request.module, "gc"):
        yield
        return
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's folder."""
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data: TOOLOPS_DATA, or `shared/data` beside the repository."""
    folder = Path(os.environ.get("TOOLOPS_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no data: {folder} is missing (set TOOLOPS_DATA to where it is)")
    return folder
