"""Configure a runtime from environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from toolops_plugins import check
from toolops_plugins.cache.entry import Tier
from toolops_plugins.cache.memory import Memory
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.semantic.unavailable import SEMANTIC
from toolops_plugins.telemetry.log import SHARED_LOG

__all__ = ["OFF", "VARIABLES", "options_from", "switch", "unknown_variables"]

_LOGGER = "toolops_plugins.environment"

VARIABLES: Final = (
    "TOOLOPS_NAMESPACE",
    "TOOLOPS_REDIS_URL",
    "TOOLOPS_MEMORY_ITEMS",
    "TOOLOPS_MEMORY_TTL",
    "TOOLOPS_REDIS_TTL",
    "TOOLOPS_REDIS_LONG_TTL",
    "TOOLOPS_CHROMA_PATH",
    "TOOLOPS_CHROMA_URL",
    "TOOLOPS_SECRET",
    "TOOLOPS_ENCRYPT",
    "TOOLOPS_LEDGER",
    "TOOLOPS_LEDGER_COMMANDS",
)
"""The variables that configure a runtime."""

OFF: Final = ("off", "0", "false")
"""Values of ``TOOLOPS_LEDGER`` for no ledger."""

_PREFIX: Final = "TOOLOPS_"
_OTHERS: Final = (
    f"{_PREFIX}DATA",
    f"{_PREFIX}NOTEBOOK_ROWS",
)  # of our tests and notebooks


def options_from(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of the runtime that the environment configures.

    ``ToolOps.from_env`` documents the variables. An unknown variable with the prefix ``TOOLOPS_``
    may be a misspelling: it has no effect but a warning in the log, with the nearest known name.

    Raises:
        ConfigurationError: A variable's value is wrong; it names the variable.
    """
    for name, problem in unknown_variables(environ).items():
        SHARED_LOG.report_failure(
            _LOGGER, ("environment", name), "%(name)s %(problem)s", name=name, problem=problem
        )
    redis_url = environ.get("TOOLOPS_REDIS_URL")
    items = _count(environ, "TOOLOPS_MEMORY_ITEMS", 10_000)
    tiers: list[Tier] = [
        Memory(items, _seconds(environ, "TOOLOPS_MEMORY_TTL", 300 if redis_url else None))
    ]
    if redis_url:
        from toolops_plugins.cache.redis import Redis  # noqa: PLC0415 - many programs do not need it

        for name, default in (("TOOLOPS_REDIS_TTL", 3_600), ("TOOLOPS_REDIS_LONG_TTL", 86_400)):
            seconds = _seconds(environ, name, default) or default
            try:
                tiers.append(Redis(redis_url, seconds))
            except ConfigurationError as error:
                raise ConfigurationError("TOOLOPS_REDIS_URL", error.problem) from None
    path, url = environ.get("TOOLOPS_CHROMA_PATH"), environ.get("TOOLOPS_CHROMA_URL")
    semantic = None
    if path or url:
        if path and url:
            raise ConfigurationError(
                "TOOLOPS_CHROMA_PATH", "is set beside TOOLOPS_CHROMA_URL; set only one of the two"
            )
        try:
            from toolops_plugins.semantic.cache import SemanticCache  # noqa: PLC0415 - imports numpy
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "numpy":
                raise
            name = "TOOLOPS_CHROMA_PATH" if path else "TOOLOPS_CHROMA_URL"
            raise ConfigurationError(name, f"is set, but {SEMANTIC}") from None
        semantic = SemanticCache(path or None, url=url or None)
    return {
        "semantic": semantic,
        "namespace": environ.get("TOOLOPS_NAMESPACE") or "default",
        "tiers": tiers,
        "secret": environ.get("TOOLOPS_SECRET") or None,
        "encrypt": switch(environ, "TOOLOPS_ENCRYPT"),
        "ledger": _ledger(environ),
    }


def _ledger(environ: Mapping[str, str]) -> Any:
    """Return the ledger that the environment asks for, as an argument of the runtime."""
    url = environ.get("TOOLOPS_LEDGER")
    allow_commands = switch(environ, "TOOLOPS_LEDGER_COMMANDS")
    if url and url.lower() in OFF:
        return False
    if not url and not (allow_commands and environ.get("TOOLOPS_REDIS_URL")):
        return None
    from toolops_plugins.telemetry.ledger.config import Ledger  # noqa: PLC0415 - rarely needed

    try:
        return Ledger(url or None, allow_commands=allow_commands)
    except ConfigurationError as error:
        raise ConfigurationError("TOOLOPS_LEDGER", error.problem) from None


def unknown_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the problem of each unknown variable that looks like one of ToolOps's, by name."""
    found: dict[str, str] = {}
    for name in sorted(environ):
        # The prefix may be misspelled too; but other programs have similar variables.
        if name in (*VARIABLES, *_OTHERS) or not name.upper().startswith(_PREFIX[:4]):
            continue
        from difflib import get_close_matches  # noqa: PLC0415 - rarely needed

        ours = name.upper().startswith(_PREFIX)
        near = get_close_matches(name.upper(), VARIABLES, 1, cutoff=0.6 if ours else 0.85)
        if near:
            found[name] = f"is unknown and has no effect; did you mean {near[0]}?"
        elif ours:
            found[name] = f"is unknown and has no effect; known are: {', '.join(VARIABLES)}"
    return found


def switch(environ: Mapping[str, str], name: str) -> bool:
    """Return whether a variable is 1 or "true".

    Args:
        environ: The environment.
        name: The variable.

    Raises:
        ConfigurationError: It is not one of 1, "true", 0, "false" and "".
    """
    text = environ.get(name, "").lower()
    if text not in ("", "0", "1", "false", "true"):
        raise ConfigurationError(name, "must be 1 or 0")  # the value is not shown: it may be a key
    return text in ("1", "true")


def _number(environ: Mapping[str, str], name: str) -> float | None:
    text = environ.get(name)
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise ConfigurationError(name, f"must be a number, not {text!r}") from None


def _seconds(environ: Mapping[str, str], name: str, default: float | None) -> float | None:
    number = _number(environ, name)
    return default if number is None else check.seconds(name, number, zero=False)


def _count(environ: Mapping[str, str], name: str, default: int) -> int:
    number = _number(environ, name)
    if number is None:
        return default
    return check.count(name, int(number) if number.is_integer() else number)
