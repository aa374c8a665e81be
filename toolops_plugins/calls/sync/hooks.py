"""Run a call between the hooks of sinks that are told of its start."""

# Generated from ../aio by scripts/make_sync.py; edit that, then run `make sync`.
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from toolops_plugins.calls.answer import end_abandoned_call
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.hooks import start_call

if TYPE_CHECKING:
    from toolops_plugins.drivers.thread import ThreadDriver

__all__ = ["run_between_hooks"]


def run_between_hooks(driver: ThreadDriver, run: Callable[..., Any], call: Call, *args: Any) -> Any:
    """Tell sinks that a call starts, run it, and see to it that they are told of its end.

    Args:
        driver: Runs it in a context that it keeps until its end.
        run: Runs the call and records its end, given the driver, the call and ``args``.
        call: The call.
        args: Further arguments.
    """
    return driver.run_in_context(_run, driver, run, call, *args)


def _run(driver: ThreadDriver, run: Callable[..., Any], call: Call, *args: Any) -> Any:
    try:
        start_call(call)
        return run(driver, call, *args)
    finally:
        end_abandoned_call(call)
