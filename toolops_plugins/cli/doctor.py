"""Checks of the installed versions, the configuration and Redis."""

from __future__ import annotations

import platform
import re
import statistics
import time
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from toolops_plugins.cache.redis import Redis
from toolops_plugins.cache.redis.url import parse
from toolops_plugins.environment import OFF, VARIABLES, options_from, unknown_variables
from toolops_plugins.errors import ConfigurationError, TierError
from toolops_plugins.runtime import ToolOps
from toolops_plugins.telemetry.ledger import LedgerError, open_reader
from toolops_plugins.telemetry.ledger.store import NOT_WRITTEN

__all__ = ["VARIABLES", "Finding", "examine", "version_of"]

Verdict: TypeAlias = Literal["ok", "note", "fail"]

_OPTIONAL: Final = {
    "chromadb": ("the semantic cache", '"toolops-plugins[semantic]"'),
    "wordllama": ("its default embedder", '"toolops-plugins[semantic]"'),
    "cryptography": ("encrypt=", '"toolops-plugins[encrypt]"'),
    "matplotlib": ("the picture of toolops audit --semantic", '"toolops-plugins[plot]"'),
    "numpy": (
        "the semantic cache; numpy scalars and arrays as arguments and results",
        '"toolops-plugins[semantic]"',
    ),
    "pydantic": ("models as arguments and results", "pydantic"),
    "hiredis": ("faster reading of what Redis answers", "hiredis"),
}
_ADAPTERS: Final = {
    "langchain-toolops": "LangChain and LangGraph",
    "llama-index-callbacks-toolops": "LlamaIndex",
    "crewai-toolops": "CrewAI",
}
_PINGS: Final = 20


class Finding(NamedTuple):
    """The result of one check.

    Args:
        section: The section of the report.
        name: The name of the check.
        verdict: "ok", "note", or "fail" if a configured part does not work.
        text: The details.
    """

    section: str
    name: str
    verdict: Verdict
    text: str


def examine(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Check versions, configuration and Redis. No finding contains a secret.

    Args:
        environ: The environment of the processes that use the library.
    """
    yield from _versions()
    options: dict[str, Any] | None = None
    trouble = ""
    try:
        options = options_from(environ)
        ToolOps(**options).close()
    except (ConfigurationError, TierError) as error:
        trouble = str(error)
        options = None
    yield from _configuration(environ)
    if trouble:
        yield Finding("configuration", "runtime", "fail", trouble)
    url = environ.get("TOOLOPS_REDIS_URL")
    if not url:
        yield Finding("redis", "redis", "note", "not configured: each process caches for itself")
    elif options is not None:
        yield from _redis(next(tier for tier in options["tiers"] if isinstance(tier, Redis)))
    if options is not None:
        yield _ledger(environ.get("TOOLOPS_LEDGER") or url)


def _ledger(url: str | None) -> Finding:
    section = name = "ledger"
    if not url or url.lower() in OFF:
        return Finding(section, name, "note", "none: figures of a process end with it")
    try:
        with open_reader(url) as reader:
            count = len(reader.processes())
            return Finding(section, name, "ok", f"{reader.place}, {count} processes write to it")
    except LedgerError as error:
        text = str(error)
        return Finding(section, name, "note" if text.endswith(NOT_WRITTEN) else "fail", text)


def _versions() -> Iterator[Finding]:
    section = "versions"
    yield Finding(
        section, "toolops-plugins", "ok", version_of("toolops-plugins") or "not installed"
    )
    yield Finding(section, "Python", "ok", f"{platform.python_version()}, {platform.system()}")
    for name in _requirements():
        version = version_of(name)
        yield Finding(section, name, "ok" if version else "fail", version or "missing")
    for name, (use, package) in _OPTIONAL.items():
        yield _part("optional parts", name, use, package)
    for name, use in _ADAPTERS.items():
        yield _part("adapters", name, use, name)


def _part(section: str, name: str, use: str, package: str) -> Finding:
    version = version_of(name)
    if version:
        return Finding(section, name, "ok", f"{version}: {use}")
    return Finding(section, name, "note", f"not installed: {use}; pip install {package}")


def _requirements() -> list[str]:
    try:
        wanted = metadata.requires("toolops-plugins") or []
    except metadata.PackageNotFoundError:  # run from its sources
        return []
    return [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in wanted if "extra ==" not in line]


def version_of(name: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _configuration(environ: Mapping[str, str]) -> Iterator[Finding]:
    section = "configuration"
    for name in VARIABLES:
        value = environ.get(name)
        if not value:
            text = "not set"
        elif name == "TOOLOPS_SECRET" or (name == "TOOLOPS_ENCRYPT" and len(value) > 5):
            text = "set; it is not shown"
        elif name == "TOOLOPS_REDIS_URL" or (
            name == "TOOLOPS_LEDGER" and "://" in value and not value.startswith("sqlite:")
        ):
            try:
                text = str(parse(value))
            except ConfigurationError:
                text = "set; it is not shown, since it cannot be read"
        else:
            text = re.sub(r"//[^/@]*@", "//***@", value)  # a server's URL may hold a password
        if name == "TOOLOPS_NAMESPACE" and not value:
            text = "not set: default"
        yield Finding(section, name, "ok", text)
    for name, problem in unknown_variables(environ).items():
        yield Finding(section, name, "note", problem)


def _redis(tier: Redis) -> Iterator[Finding]:
    section = "redis"
    try:
        found = tier.describe()
        text = f"{found['server']} {found['version']}, {found['kind']}"
        yield Finding(section, "reachable", "ok", text)
        times = []
        for _ in range(_PINGS):
            began = time.perf_counter()
            tier.ping()
            times.append(time.perf_counter() - began)
        half = statistics.median(times) * 1000
        text = f"{half:.3g} ms (median of {_PINGS}; worst {max(times) * 1000:.3g} ms)"
        yield Finding(section, "round trip", "ok", text)
    except TierError as error:
        yield Finding(section, "reachable", "fail", str(error))
        return
    finally:
        tier.close()
    try:
        tier.write_check()
        yield Finding(section, "write access", "ok", "a key was written and deleted")
    except TierError as error:
        yield Finding(section, "write access", "fail", str(error))
    finally:
        tier.close()
