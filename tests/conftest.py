"""Fixtures of every test; `guards` holds what no test may do."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
from availability import HAS_CREWAI

from toolops_plugins.telemetry.log import SHARED_LOG

pytest.register_assert_rewrite("adapters.adapter_vectors")
pytest_plugins = ["guards", "servers", "commands", "exported_telemetry", "spans"]

ROOT = Path(__file__).resolve().parents[1]
LONG = {"test_benchmarks.py", "test_notebooks.py", "test_demo.py"}
collect_ignore = [] if HAS_CREWAI else ["crewai"]

hypothesis.settings.register_profile(
    "toolops",
    deadline=None,  # the machine is shared; pytest-timeout ends what hangs
    print_blob=True,  # a failure on a build machine can be replayed on a desk
    suppress_health_check=[hypothesis.HealthCheck.too_slow],  # as for the deadline
)
for name, examples in (("quick", 20), ("soak", 1000)):
    profile = hypothesis.settings.get_profile("toolops")
    hypothesis.settings.register_profile(name, profile, max_examples=examples)
hypothesis.settings.load_profile("toolops")


def pytest_report_header() -> str | None:
    return None if HAS_CREWAI else "crewai does not support this Python: its tests are left out"


@pytest.hookimpl(trylast=True)  # after the order was shuffled
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # A long test that begins last leaves all workers but one idle.
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage while the test modules are imported; nearly nothing of theirs is any."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        _freeze_heap()


@pytest.fixture(autouse=True)
def _fresh_log() -> None:
    """Let each test see the line about trouble that another one has had just now."""
    SHARED_LOG.clear()


@pytest.fixture(autouse=True, scope="module")
def _young_heap(request: pytest.FixtureRequest) -> None:
    """Let the collections of a module's tests pass over what stands before it."""
    if hasattr(request.module, "gc"):
        _freeze_heap()


def _freeze_heap() -> None:
    # Every framework and its models: a second for each collection that looks at them.
    gc.collect()
    gc.freeze()


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


@pytest.fixture
def spinning_threads() -> Iterator[None]:
    """Keep two threads busy, so that any other may stand still for some milliseconds."""
    stop: list[bool] = []

    def spin() -> None:
        while not stop:
            pass

    spinners = [threading.Thread(target=spin) for _ in range(2)]
    for spinner in spinners:
        spinner.start()
    yield
    stop.append(True)
    for spinner in spinners:
        spinner.join()
