"""Calls in a block that forces a refresh: what was stored for them before is forgotten first.

After that a call takes its usual path. Whatever it finds has begun since: the results of calls that
were under way are not stored any more, and nobody joins these. So equal calls in one block are made
once.
"""

# Generated from ../aio by scripts/make_sync.py; edit that, then run `make sync`.
from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from toolops_plugins.calls.call import Call
from toolops_plugins.calls.context import ForcedRefresh, current_forced_refresh, needs_thread
from toolops_plugins.calls.sync.results import run_optional
from toolops_plugins.errors import TierError

if TYPE_CHECKING:
    from toolops_plugins.drivers.thread import ThreadDriver

__all__ = ["forget_earlier_result"]


def forget_earlier_result(driver: ThreadDriver, call: Call, seconds: float | None) -> bool:
    """Forget what was stored for a call before the block of this context, if there is one.

    Where it cannot be forgotten, the call loses its key: it is made, and is not stored.

    Args:
        driver: Does the I/O.
        call: The call, which has a key.
        seconds: Seconds that its caller waits. None: without limit.

    Returns:
        Whether its result may be stored.
    """
    block = current_forced_refresh(call.plan.shared)
    key = call.key
    if block is None or key is None:
        return True
    # Whoever is not in this block may be answered by meaning, so that nobody here may join them.
    call.forced, call.scope = True, block.token + call.scope
    if key in block.forgotten:
        return True
    in_thread = seconds is not None and needs_thread(call)
    # The flights of a key end with it, and are forgotten with it; this one must not be.
    driver.fly(
        key + block.token, _forget, call, block,
        seconds=seconds, in_thread=in_thread, owner=call.plan.name,
    )  # fmt: skip
    if key in block.forgotten:
        return True
    call.key, call.reason = None, "not_forgotten"
    return False


def _forget(driver: ThreadDriver, call: Call, block: ForcedRefresh) -> None:
    run_optional(call, "forced_refresh", _invalidate, driver, call.key or b"", block)


def _invalidate(driver: ThreadDriver, key: bytes, block: ForcedRefresh) -> None:
    with suppress(TierError):  # which has made a notice
        driver.run(block.forget([key]))
        block.forgotten.add(key)
