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
from toolops_plugins.cli.dashboard import dashboard
from toolops_plugins.cli.doctor import Finding, examine, version_of
from toolops_plugins.cli.ledger_option import find_ledger_url, ledger_option
from toolops_plugins.cli.redis_namespace import RedisNamespace, key_bytes
from toolops_plugins.cli.report import report
from toolops_plugins.cli.semantic_index import index_of
from toolops_plugins.cli.serve_metrics import serve_metrics
from toolops_plugins.cli.top import top
from toolops_plugins.environment import switch, unknown_variables
from toolops_plugins.errors import ConfigurationError, TierError
from toolops_plugins.telemetry.formats import duration, money
from toolops_plugins.telemetry.ledger.records import LedgerError

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
    except (TierError, LedgerError) as error:
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
toolops.add_command(serve_metrics)
toolops.add_command(dashboard)
toolops.add_command(report)
toolops.add_command(top)


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
    return closing(_redis_namespace(redis_url, namespace))


def _redis_namespace(redis_url: str | None, namespace: str | None) -> RedisNamespace:
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
    return RedisNamespace(url, namespace, secret, encrypt=switch(environ, "TOOLOPS_ENCRYPT"))


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
        console.print(_format_line(finding, mark, style), soft_wrap=True)
    console.print()
    console.print("Something does not work." if failed else "All that is configured works.")
    return 1 if failed else 0


def _format_line(finding: Finding, mark: str, style: str) -> Text:
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
@click.option(
    "--since",
    metavar="TIME",
    help="Sum the calls of all processes since then, from the ledger: a length such as 90m, 12h or"
    " 30d, or a date (UTC).",
)
@click.option(
    "--by",
    multiple=True,
    metavar="NAME",
    help="With --since: tell calls apart by tool, model, agent, kind or namespace; may be repeated."
    "  [default: tool]",
)
@ledger_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def stats(
    redis_url: str | None,
    namespace: str | None,
    seconds: float,
    since: str | None,
    by: tuple[str, ...],
    ledger: str | None,
    *,
    as_json: bool,
) -> int:
    """Count the entries of a namespace in Redis; with --since, the calls in the ledger."""
    if since is not None or ledger is not None:
        from toolops_plugins.cli.ledger_stats import show_ledger_stats  # noqa: PLC0415 - the other half needs none

        url = find_ledger_url(ledger or redis_url)
        return show_ledger_stats(url, since or "1h", by or ("tool",), namespace, as_json=as_json)
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


def _index_place(command: F) -> F:
    """Add the options for the semantic index."""
    path = click.option("--chroma-path", metavar="FOLDER", help="Default: TOOLOPS_CHROMA_PATH.")
    url = click.option("--chroma-url", metavar="URL", help="Default: TOOLOPS_CHROMA_URL.")
    return path(url(_place(command)))


@toolops.command()
@_index_place
@click.option("--yes", is_flag=True, help="Do not ask.")
def clear(yes: bool, **place: str | None) -> int:  # noqa: FBT001 - click passes it by name
    """Delete all entries of a namespace.

    The entries are deleted in Redis, and in the memory and the semantic indexes of all processes
    that use the namespace there; a process that is down follows when it starts. A semantic index
    that is named here is deleted too, unless a running process holds its folder.
    """
    changes = _Changes(place)
    if not yes:
        click.confirm(f"Forget everything of {printable(changes.place)}?", abort=True)
    if changes.redis is not None:
        with closing(changes.redis) as space:
            _report_change("Cleared", space.clear(), changes.place)
    changes.delete_from_index("Cleared", None)
    return 0


@toolops.command()
@click.argument("tags", metavar="TAG...", nargs=-1)
@click.option("--tag", "more", multiple=True, metavar="TAG", help="The same, as an option.")
@_index_place
def invalidate(tags: tuple[str, ...], more: tuple[str, ...], **place: str | None) -> int:
    """Delete all entries with one of the tags.

    They are deleted where `toolops clear` deletes entries. Exits with 1 if no stored entry has one
    of the tags; running processes are notified anyway.
    """
    names = (*tags, *more)
    if not names or not all(names):
        raise ConfigurationError("TAG", "must name at least one tag, and none may be empty")
    changes = _Changes(place)
    known: list[str] = []
    if changes.redis is not None:
        with closing(changes.redis) as space:
            known = space.tags_in_use(names)
            labels = space.invalidate(names)
        if known:
            _report_change(f"Invalidated {', '.join(known)}", labels, changes.place)
        for tag in dict.fromkeys(names):
            if tag not in known:
                where = f"in {changes.place}; {_TOLD}"
                click.echo(printable(f"Nothing had the tag {tag} {where}"))
    deleted = changes.delete_from_index(f"Invalidated {', '.join(dict.fromkeys(names))}", names)
    return 0 if known or deleted else 1


_TOLD = "running processes have been told."


class _Changes:
    """The places that a command changes: Redis, a semantic index, or both.

    Args:
        options: The options of the command line, by name.

    Raises:
        ConfigurationError: There is no place, or an option is invalid.
    """

    def __init__(self, options: Mapping[str, str | None]) -> None:
        environ = _environment(options["redis_url"], options["namespace"])
        path, url = options["chroma_path"], options["chroma_url"]
        if path or url:  # the command line names the whole place
            chosen = {"TOOLOPS_CHROMA_PATH": path or "", "TOOLOPS_CHROMA_URL": url or ""}
            environ = {**environ, **chosen}
        self._index = index_of(environ)
        self.redis: RedisNamespace | None = None
        if self._index is None or environ.get("TOOLOPS_REDIS_URL"):
            self.redis = _redis_namespace(options["redis_url"], options["namespace"])
            self.place = f"namespace {self.redis.namespace} in {self.redis.place}"
        else:
            namespace = environ.get("TOOLOPS_NAMESPACE") or "default"
            self.place = f"namespace {namespace} in {self._index.place}"

    def delete_from_index(self, what: str, tags: Sequence[str] | None) -> int:
        """Delete stored entries of the semantic index, and say so; return their number."""
        index = self._index
        if index is None:
            return 0
        from toolops_plugins.semantic.index.chroma_folder_lock import (  # noqa: PLC0415 - rarely needed
            FolderInUseError,
        )

        try:
            count = index.clear() if tags is None else index.invalidate(tags)
        except FolderInUseError as error:
            if self.redis is None:
                raise TierError(
                    f"nothing was deleted: process {error.pid} holds {index.place}, and what it "
                    "keeps in memory cannot be reached from outside without Redis; call "
                    "ops.invalidate() or ops.clear() in it, or stop it first"
                ) from error
            text = f"Process {error.pid} holds {index.place}, and deletes its own answers there"
            click.echo(printable(f"{text} if it uses this Redis."))
            return 0
        text = f"{what}: {count} answers of the semantic index in {index.place}"
        if self.redis is not None:
            text += "."
        elif index.is_shared:
            text += "; what running processes keep in their own memory stays until it expires."
        else:
            text += ", which no process has open."
        click.echo(printable(text))
        return count


def _report_change(what: str, labels: list[str], place: str) -> None:
    where = f"{what} in {', '.join(labels)} of" if labels else "Redis holds nothing of"
    click.echo(printable(f"{where} {place}; {_TOLD}"))


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
