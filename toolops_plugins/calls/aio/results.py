"""Keys, copies and optional parts of a call, as far as they may take time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from toolops_plugins.calls.answer import report_failure
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.results import copy_large
from toolops_plugins.coalesce.value_copies import LARGE, copy_value, count_parts
from toolops_plugins.policy import NOTHING
from toolops_plugins.steps import is_caller_error

if TYPE_CHECKING:
    from toolops_plugins.cache.invalidation_bus import Bus
    from toolops_plugins.drivers.loop import LoopDriver
    from toolops_plugins.keys.keyer import Keyer

__all__ = ["make_key", "make_template", "run_optional", "start_bus"]

_BUS_WAIT = 0.05
"""Seconds that the first call with a cache waits for the subscription to invalidations."""


async def make_key(driver: LoopDriver, call: Call) -> None:
    """Make the key of a call with large arguments; in another thread for an event loop."""
    plan = call.plan
    keyer = cast("Keyer", plan.keyer)  # which has found the arguments large
    try:
        call.key = await driver.compute(keyer.key, call.args, call.kwargs)
    except Exception as error:  # noqa: BLE001 - as in Plan.open
        plan.note_missing_key(call, error)


async def start_bus(driver: LoopDriver, bus: Bus) -> None:
    """Subscribe to the invalidations of other processes before anything is stored here.

    Waits a moment for the subscription, once: invalidations before it are lost.
    """
    if bus.start():
        await driver.wait(bus.ready, _BUS_WAIT)


async def run_optional(
    call: Call, stage: str, function: Callable[..., Awaitable[Any]], *args: Any
) -> Any:
    """Run a part of a call that the call can do without; return None if it fails.

    Trouble with the cache of any kind ends here, in a notice.

    Args:
        call: The call.
        stage: The name of the part, for the notice.
        function: Does the part. It must not call the user's function.
        args: Its arguments.

    Raises:
        CallTimeout: The caller's time is up.
        ConfigurationError: The part is configured wrongly.
    """
    try:
        return await function(*args)
    except Exception as error:
        if is_caller_error(error):
            raise
        report_failure(call, stage, error)
        return None


async def make_template(driver: LoopDriver, value: Any) -> Any:
    """Return a copy of a result that no codec takes, or NOTHING if copying could have an effect."""
    parts = count_parts(value, LARGE)
    if parts is None:
        return NOTHING
    if parts < LARGE:
        return copy_value(value)
    return await driver.compute(copy_large, value)
