"""A runtime's configuration from environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolops_plugins import check
from toolops_plugins.cache.entry import Tier
from toolops_plugins.cache.memory import Memory
from toolops_plugins.errors import ConfigurationError

__all__ = ["options_from"]


def options_from(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of a runtime that the environment asks for.

    The variables are those that ``ToolOps.from_env`` documents.

    Raises:
        ConfigurationError: A variable's value is wrong; it names the variable.
    """
    redis_url = environ.get("TOOLOPS_REDIS_URL")
    items = _count(environ, "TOOLOPS_MEMORY_ITEMS", 10_000)
    tiers: list[Tier] = [
        Memory(items, _seconds(environ, "TOOLOPS_MEMORY_TTL", 300 if redis_url else None))
    ]
    if redis_url:
        from toolops_plugins.cache.redis import Redis  # noqa: PLC0415 - not everybody needs it

        tiers.append(Redis(redis_url, _seconds(environ, "TOOLOPS_REDIS_TTL", 3_600) or 3_600))
        tiers.append(
            Redis(redis_url, _seconds(environ, "TOOLOPS_REDIS_LONG_TTL", 86_400) or 86_400)
        )
    path, url = environ.get("TOOLOPS_CHROMA_PATH"), environ.get("TOOLOPS_CHROMA_URL")
    semantic = None
    if path or url:
        from toolops_plugins.semantic.cache import SemanticCache  # noqa: PLC0415 - imports numpy

        if path and url:
            raise ConfigurationError("TOOLOPS_CHROMA_PATH", "stands beside TOOLOPS_CHROMA_URL")
        semantic = SemanticCache(path or None, url=url or None)
    return {
        "semantic": semantic,
        "namespace": environ.get("TOOLOPS_NAMESPACE") or "default",
        "tiers": tiers,
        "secret": environ.get("TOOLOPS_SECRET") or None,
    }


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
