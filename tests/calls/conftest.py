"""Fixtures of the tests of the path of a call."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from toolops_plugins import ToolOps


@pytest.fixture
def ops() -> Iterator[ToolOps]:
    """A runtime with one memory tier, closed at the end."""
    with ToolOps("calls") as ops:
        yield ops
