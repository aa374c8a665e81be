"""Fixtures of the tests of wrapped functions."""

from __future__ import annotations

import pytest

from toolops_plugins import ToolOps


@pytest.fixture
def ops() -> ToolOps:
    """A runtime with one memory tier."""
    return ToolOps("wrapping")
