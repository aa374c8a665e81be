"""The ledger that a runtime asks for: its writer, and the commands of its readers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from toolops_plugins.errors import ConfigurationError
from toolops_plugins.telemetry.ledger.config import Ledger
from toolops_plugins.telemetry.ledger.writer import Writer

if TYPE_CHECKING:
    from toolops_plugins.cache.redis import Redis
    from toolops_plugins.telemetry.emitter import Emitter
    from toolops_plugins.telemetry.ledger.records import Command
    from toolops_plugins.telemetry.runtime_state import StateSource
    from toolops_plugins.telemetry.stats import Stats

__all__ = ["execute_command", "open_writer"]


def open_writer(
    ledger: Ledger | None,
    tier: Redis | None,
    namespace: str,
    stats: Stats,
    emitter: Emitter,
    state_of: StateSource,
    execute: Callable[[Command], None],
) -> Writer:
    """Return the writer of a ledger, which gets what is counted from now on.

    Args:
        ledger: The ledger. None: one in the Redis of ``tier``.
        tier: The runtime's first Redis tier, or None.
        namespace: The runtime's namespace.
        stats: Count its calls.
        emitter: Emits its notices.
        state_of: Returns its present state, or None if it is gone.
        execute: Carries out a command, where the ledger allows them.

    Raises:
        ConfigurationError: The ledger is none, or it has neither a URL nor a Redis tier.
    """
    chosen = Ledger() if ledger is None else ledger
    if not isinstance(chosen, Ledger):
        raise ConfigurationError(
            "ledger", f"must be a URL, a Ledger, False or None, not {type(chosen).__name__}"
        )
    if chosen.url is None and tier is None:
        raise ConfigurationError("ledger", "needs a URL, since there is no Redis tier")
    chosen.import_store()
    writer = Writer(
        partial(chosen.open_store, tier),
        chosen.place if chosen.url is not None or tier is None else tier.place,
        namespace,
        stats.pop_records,
        state_of,
        emitter.notice,
        execute if chosen.allow_commands else None,
        interval=chosen.interval,
        max_pending=chosen.max_pending,
    )
    stats.tally(writer.wake)
    emitter.watch(writer.on_notice)
    return writer


def execute_command(
    command: Command,
    find_breaker: Callable[[str], Any],
    invalidate: Callable[[tuple[str, ...]], object],
) -> None:
    """Carry out a command of a reader; one for a breaker of another process does nothing.

    Args:
        command: The command.
        find_breaker: Returns the runtime's breaker of a name, or None.
        invalidate: Invalidates tags.
    """
    if command.kind == "invalidate":
        invalidate(command.tags)
        return
    breaker = find_breaker(command.name)
    if breaker is None:
        return
    if command.kind == "open_breaker":
        breaker.force_open()
    elif command.kind == "close_breaker":
        breaker.force_closed()
    elif command.kind == "reset_breaker":
        breaker.reset()
