"""The `toolops` command.

Exit codes: 0 success; 1 something does not work or does not exist; 2 the command line or its input
is invalid; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from typing import Any, TypeVar

import click
import orjson
from rich.console import Console
from rich.text import Text

from toolops_plugins.audit.text import echo_json, printable, span, table
from toolops_plugins.cache.redis.survey import LIVES, Survey
from toolops_plugins.cli.audit import audit
from toolops_plugins.cli.doctor import Finding, examine, version_of
from toolops_plugins.cli.redis_namespace import RedisNamespace, key_bytes
from toolops_plugins.environment import switch, unknown_variables
from toolops_plugins.errors import ConfigurationError, TierError
from toolops_plugins.telemetry.report import duration, money

__all__ = ["main"]

F = TypeVar("F", bound=Callable[..., Any])


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version_of("toolops-plugins") or "(not installed)", prog_name="toolops")
@click.pass_context
def toolops(context: click.Context) -> None:
    """Audit the calls of agents, and inspect or clear their cache."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(args: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Args:
        args: The arguments, without the program name. Default None: those of this process.
    """
    # Without a handler, Python would print the library's warnings between our output.
    logger, quiet = logging.getLogger("toolops_plugins"), logging.NullHandler()
    logger.addHandler(quiet)
    try:
        return toolops.main(args=args, prog_name="toolops", standalone_mode=False) or 0
    except (click.ClickException, ConfigurationError) as error:
        text = error.format_message() if isinstance(error, click.ClickException) else str(error)
        return _complain(text, 2)
    except TierError as error:
        return _complain(str(error), 1)
    except click.Abort as error:
        stopped = isinstance(error.__cause__, KeyboardInterrupt)
        return _complain("stopped", 130) if stopped else _complain("nothing was done", 1)
    finally:
        logger.removeHandler(quiet)


def _complain(text: str, code: int) -> int:
    click.echo(f"toolops: {printable(' '.join(text.split()))}", err=True)
    return code


toolops.add_command(audit)


# Redis --------------------------------------------------------------------------------------------


def _place(command: F) -> F:
    """Add the options for the Redis server and the namespace."""
    url = click.option("--redis-url", metavar="URL", help="Default: TOOLOPS_REDIS_URL.")
    space = click.option("--namespace", help="Default: TOOLOPS_NAMESPACE, or default.")
    return url(space(command))


def _environment(redis_url: str | None, namespace: str | None) -> Mapping[str, str]:
    """Return the environment, overridden by the options of the command line."""
    options = {"TOOLOPS_REDIS_URL": redis_url, "TOOLOPS_NAMESPACE": namespace}
    return {**os.environ, **{name: value for name, value in options.items() if value is not None}}


def _open_namespace(
    redis_url: str | None, namespace: str | None
) -> AbstractContextManager[RedisNamespace]:
    environ = _environment(redis_url, namespace)
    url = environ.get("TOOLOPS_REDIS_URL")
    if not url:
        slips = [
            f"{name} {problem}"
            for name, problem in unknown_variables(environ).items()
            if problem.endswith("TOOLOPS_REDIS_URL?")
        ]
        raise ConfigurationError(
            "--redis-url",
            "is needed, or TOOLOPS_REDIS_URL: what a process keeps in its own memory cannot be "
            "seen from outside" + "".join(f" ({slip})" for slip in slips),
        )
    secret = environ.get("TOOLOPS_SECRET")
    namespace = environ.get("TOOLOPS_NAMESPACE") or "default"
    return closing(
        RedisNamespace(url, namespace, secret, encrypt=switch(environ, "TOOLOPS_ENCRYPT"))
    )


@toolops.command()
@_place
def doctor(redis_url: str | None, namespace: str | None) -> int:
    """Check versions, configuration and Redis.

    Exits with 1 if a configured part does not work.
    """
    console = Console()
    marks = {"ok": ("ok", "green"), "note": ("--", "yellow"), "fail": ("FAIL", "bold red")}
    section = ""
    failed = 0
    for finding in examine(_environment(redis_url, namespace)):
        if finding.section != section:
            console.print(Text(f"{section and chr(10)}{finding.section}", style="bold"))
            section = finding.section
        mark, style = marks[finding.verdict]
        failed += finding.verdict == "fail"
        console.print(_finding_line(finding, mark, style), soft_wrap=True)
    console.print()
    console.print("Something does not work." if failed else "All that is configured works.")
    return 1 if failed else 0


def _finding_line(finding: Finding, mark: str, style: str) -> Text:
    line = Text("  ").append(f"{mark:4} ", style=style)
    return line.append(f"{finding.name:29} ").append(printable(finding.text))


@toolops.command()
@_place
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    help="Stop counting after this time.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def stats(redis_url: str | None, namespace: str | None, seconds: float, as_json: bool) -> int:  # noqa: FBT001 - click passes it by name
    """Count the entries of a namespace in Redis.

    Hits and savings are counted inside each process: call ops.stats() there.
    """
    with _open_namespace(redis_url, namespace) as space:
        found = space.survey(seconds)
        if as_json:
            echo_json(_stats_json(found, space))
        else:
            _show_stats(Console(), found, space)
    return 0


def _stats_json(found: Survey, space: RedisNamespace) -> dict[str, Any]:
    return {
        "namespace": space.namespace,
        "redis": space.place,
        "whole": found.whole,
        "tiers": {
            label: {
                "entries": tier.entries,
                "bytes": tier.nbytes,
                "tags": tier.tags,
                "tombstones": tier.tombstones,
                "seconds_left_at_most": {
                    "more" if life is None else str(life): tier.lives[life]
                    for life in (*LIVES, None)
                },
            }
            for label, tier in sorted(found.tiers.items())
        },
        "foreign_keys": found.foreign,
    }


def _show_stats(console: Console, found: Survey, space: RedisNamespace) -> None:
    console.print(Text(f"namespace {printable(space.namespace)} in {space.place}", style="bold"))
    if not found.tiers:
        console.print("  Nothing is kept.")
    else:
        lives = [*(f"< {span(life)}" for life in LIVES), "more"]
        made = table("  tier", "entries", "memory", "tags")
        times = table("  entries by time left", *lives)
        for label, tier in sorted(found.tiers.items()):
            name = Text(f"  {printable(label)}")
            made.add_row(name, f"{tier.entries:,}", _size(tier.nbytes), f"{tier.tags:,}")
            times.add_row(name, *(f"{tier.lives[life]:,}" for life in (*LIVES, None)))
        console.print(made)
        console.print()
        console.print(times)
    if found.foreign:
        console.print(f"  {found.foreign:,} keys under this namespace are none of ours.")
    if not found.whole:
        console.print("  There was no time to see everything: see --seconds.")


def _size(count: float) -> str:
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:,.1f} GB"


@toolops.command()
@_place
@click.option("--yes", is_flag=True, help="Do not ask.")
def clear(redis_url: str | None, namespace: str | None, yes: bool) -> int:  # noqa: FBT001 - click passes it by name
    """Delete all entries of a namespace.

    The entries are deleted in Redis and in the memory of all processes that use the namespace.
    """
    with _open_namespace(redis_url, namespace) as space:
        place = f"namespace {space.namespace} in {space.place}"
        if not yes:
            click.confirm(f"Forget everything of {printable(place)}?", abort=True)
        _report_change("Cleared", space.clear(), place)
    return 0


@toolops.command()
@click.argument("tags", metavar="TAG...", nargs=-1)
@click.option("--tag", "more", multiple=True, metavar="TAG", help="The same, as an option.")
@_place
def invalidate(
    tags: tuple[str, ...], more: tuple[str, ...], redis_url: str | None, namespace: str | None
) -> int:
    """Delete all entries with one of the tags.

    The entries are deleted in Redis and in the memory of all processes that use the namespace.
    Exits with 1 if no entry in Redis has one of the tags; running processes are notified anyway.
    """
    names = (*tags, *more)
    if not names or not all(names):
        raise ConfigurationError("TAG", "must name at least one tag, and none may be empty")
    with _open_namespace(redis_url, namespace) as space:
        place = f"namespace {space.namespace} in {space.place}"
        known = space.tags_in_use(names)
        labels = space.invalidate(names)
        if known:
            _report_change(f"Invalidated {', '.join(known)}", labels, place)
        for tag in dict.fromkeys(names):
            if tag not in known:
                text = f"Nothing had the tag {tag} in {place}; running processes have been told."
                click.echo(printable(text))
    return 0 if known else 1


def _report_change(what: str, labels: list[str], place: str) -> None:
    where = f"{what} in {', '.join(labels)} of" if labels else "Redis holds nothing of"
    click.echo(printable(f"{where} {place}; running processes have been told."))


@toolops.command()
@click.argument("key")
@_place
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(key: str, redis_url: str | None, namespace: str | None, as_json: bool) -> int:  # noqa: FBT001 - click passes it by name
    """Show the entries of a key in Redis.

    KEY is the result of tool.key(...), 64 hexadecimal digits. Each tier has its own entry.
    """
    digest = key_bytes(key)
    with _open_namespace(redis_url, namespace) as space:
        found = space.inspect(digest)
        if as_json:
            echo_json(found)
        else:
            console = Console()
            place = f"namespace {printable(space.namespace)} in {space.place}"
            if not found:
                console.print(f"Nothing at all is kept in {place}.", markup=False)
            for label, facts in found.items():
                _show_entry(console, label, facts)
    there = any(facts["state"] != "absent" for facts in found.values())
    return 0 if there else 1


def _show_entry(console: Console, label: str, facts: dict[str, Any]) -> None:
    console.print(Text(f"{printable(label)}: {facts['state']}", style="bold"))
    texts: dict[str, str] = {}
    if "problem" in facts:
        texts["problem"] = facts["problem"]
    if "bytes" in facts:
        texts["bytes in Redis"] = f"{facts['bytes']:,}"
        texts["Redis drops it in"] = _left(facts["seconds_left"])
    if "kind" in facts:
        texts["kind"] = f"{facts['kind']}, kept as {facts['codec']}"
        texts["age"] = duration(max(0.0, facts["age"]))
        texts["fresh for"] = _left(facts["fresh_for"])
        texts["usable for"] = _left(facts["stale_for"])
        texts["took"] = duration(facts["took"])
        texts["price"] = money(facts["price"])
        texts["tags"] = ", ".join(facts["tags"]) or "none"
    for name, text in texts.items():
        console.print(Text(f"  {name:18} {printable(text)}"), soft_wrap=True)
    if "value" in facts:
        value = orjson.dumps(facts["value"], option=orjson.OPT_INDENT_2).decode()
        console.print(Text("  value"))
        for line in value.splitlines():
            console.print(Text(f"    {printable(line)}"), soft_wrap=True)


def _left(seconds: float | None) -> str:
    if seconds is None:
        return "for ever"
    return duration(seconds) if seconds >= 0 else f"over since {duration(-seconds)}"
