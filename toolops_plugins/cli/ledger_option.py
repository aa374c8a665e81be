"""The option for the ledger, as the commands that read it take it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from toolops_plugins.environment import OFF
from toolops_plugins.errors import ConfigurationError

__all__ = ["find_ledger_url", "ledger_option"]

F = TypeVar("F", bound=Callable[..., Any])


def ledger_option(command: F) -> F:
    """Add the option ``--ledger``."""
    text = "Default: TOOLOPS_LEDGER, or TOOLOPS_REDIS_URL."
    return click.option("--ledger", metavar="URL", help=text)(command)


def find_ledger_url(ledger: str | None) -> str:
    """Return the URL of the ledger to read.

    Args:
        ledger: The value of the option. None: that of the environment.

    Raises:
        ConfigurationError: There is none.
    """
    named = ledger or os.environ.get("TOOLOPS_LEDGER") or ""
    url = os.environ.get("TOOLOPS_REDIS_URL") if named.lower() in ("", *OFF) else named
    if not url:
        raise ConfigurationError(
            "--ledger",
            "is needed, or TOOLOPS_LEDGER, or TOOLOPS_REDIS_URL: what a process counts without a "
            "ledger ends with it",
        )
    return url
