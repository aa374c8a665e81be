"""Blocks in which a context variable has a value."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

__all__ = ["set_within"]

_V = TypeVar("_V")


@contextmanager
def set_within(variable: ContextVar[_V], value: _V) -> Iterator[None]:
    """Give a context variable a value in this block, which must have no yield in it.

    Args:
        variable: The variable.
        value: Its value in the block.
    """
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
