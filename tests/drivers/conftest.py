"""Fixtures of the tests of the two drivers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from toolops_plugins import ToolOps


@pytest.fixture
def ops() -> Iterator[ToolOps]:
    """A runtime with one memory tier, closed at the end."""
    with ToolOps("drivers") as ops:
        yield ops
