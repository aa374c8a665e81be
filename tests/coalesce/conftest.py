"""Fixtures of coalescing: a runtime, a tool whose work waits, and event loops in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from callers import Loop, Work, new_loops, new_runtime

from toolops_plugins import ToolOps


@pytest.fixture
def ops() -> Iterator[ToolOps]:
    yield from new_runtime()


@pytest.fixture
def work(ops: ToolOps) -> Work:
    return Work(ops)


@pytest.fixture
def loops() -> Iterator[Callable[[], Loop]]:
    """Return a function that starts an event loop in a thread of its own."""
    yield from new_loops()
