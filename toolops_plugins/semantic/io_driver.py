"""The driver that runs the flows of the semantic cache without a runtime."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

from toolops_plugins.steps import Io

__all__ = ["awalk", "walk"]

T = TypeVar("T")


def walk(flow: Generator[Io, Any, T]) -> T:
    """Run a flow in this thread; return its result or raise its error."""
    try:
        step = flow.send(None)
        while True:
            try:
                result = step.sync(*step.args)
            except BaseException as error:  # noqa: BLE001 - the flow handles its errors
                step = flow.throw(error)
            else:
                step = flow.send(result)
    except StopIteration as end:
        value: T = end.value
        return value


async def awalk(flow: Generator[Io, Any, T]) -> T:
    """Run a flow on the running event loop; return its result or raise its error."""
    try:
        step = flow.send(None)
        while True:
            try:
                result = await step.aio(*step.args)
            except BaseException as error:  # noqa: BLE001 - all that happens is the flow's affair
                step = flow.throw(error)
            else:
                step = flow.send(result)
    except StopIteration as end:
        value: T = end.value
        return value
