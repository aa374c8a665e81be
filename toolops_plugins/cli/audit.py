"""The `toolops audit` command: replay a log and print the savings of the cache."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import partial
from io import BufferedReader
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, cast

import click
from click.core import ParameterSource
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from toolops_plugins.audit.compression import decompress, inner_name
from toolops_plugins.audit.json_object import array_path
from toolops_plugins.audit.log_reader import Broken, Columns, Format, Record, choose, read, sniff
from toolops_plugins.audit.measures import cost_field, latency_field
from toolops_plugins.audit.replay import Assumed, Audit, Result
from toolops_plugins.audit.report import plain, show
from toolops_plugins.audit.text import echo_json
from toolops_plugins.cli.audit_semantic import (
    LogInput,
    check_options,
    parse_options,
    run_semantic_audit,
    semantic_options,
)
from toolops_plugins.errors import ConfigurationError

__all__ = ["audit"]

_SAMPLE = 100  # records from which the fields are chosen
_PROGRESS_STEP = 1_024  # lines between two updates of the progress bar

_FORMAT: Final = "Default: from the file's extension and its first bytes."
_FIELD: Final = (
    "Field of the question; input.question names a nested field. Repeat it for the arguments of a "
    "call. Default: a usual name."
)
_TIME: Final = (
    "Field of the time: ISO 8601, or seconds or milliseconds since the epoch. Default: a usual "
    "name, if there is one."
)
_TOOL: Final = "Field of the tool's name. Default: a usual name, if there is one."
_COST: Final = (
    "Field of the cost of a call, such as usage.cost. Default: a usual name, if there is one and "
    "--price is not given."
)
_DURATION: Final = (
    "Field of the duration of a call, in seconds unless its name or a suffix such as :ms says "
    "otherwise. Default: a usual name, if there is one and --latency is not given."
)
_PRICE: Final = "Cost of a call, if the log does not have it."
_LATENCY: Final = "Seconds that a call takes, if the log does not have it."
_TTL: Final = "Lifetime of an answer in seconds; 0: unlimited. Needs a log with times."
_NORMALIZE: Final = "Treat texts that differ only in case and white space as equal."
_REDIS: Final = "Add a Redis tier below the memory. The replay removes its entries at the end."

_option = partial(click.option, show_default=True)


@click.command()
@click.argument("file", metavar="FILE")
@_option("--format", "form", type=click.Choice(["jsonl", "json", "csv"]), help=_FORMAT)
@_option("--field", "fields", multiple=True, metavar="FIELD", help=_FIELD)
@_option("--time", metavar="FIELD", help=_TIME)
@_option("--tool", metavar="FIELD", help=_TOOL)
@_option("--cost", metavar="FIELD", help=_COST)
@_option("--duration", metavar="FIELD", help=_DURATION)
@_option("--price", type=float, default=0.002, help=_PRICE)
@_option("--latency", type=float, default=1.0, help=_LATENCY)
@_option("--ttl", type=float, default=3600.0, help=_TTL)
@_option("--max-items", type=int, default=10_000, help="Largest number of answers in memory.")
@_option("--normalize", is_flag=True, help=_NORMALIZE)
@_option("--redis", metavar="URL", help=_REDIS)
@_option("--top", type=click.IntRange(min=0), default=10, help="Rows of each table.")
@_option("--json", "as_json", is_flag=True, help="Print JSON.")
@_option("--no-progress", is_flag=True, help="Show no progress bar.")
@semantic_options
@click.pass_context
def audit(
    context: click.Context,
    /,
    file: str,
    form: Format | None,
    fields: tuple[str, ...],
    time: str | None,
    tool: str | None,
    cost: str | None,
    duration: str | None,
    ttl: float,
    redis: str | None,
    top: int,
    as_json: bool,  # noqa: FBT001 - click passes it by name
    no_progress: bool,  # noqa: FBT001 - click passes it by name
    **rest: Any,
) -> int:
    """Report the savings that the cache would have made.

    Replays a log through the cache, call by call, with the times of the log if it has any. With
    --semantic, replays it through the semantic cache, where paraphrased questions share an answer.

    FILE contains questions or tool calls as JSONL, JSON (an array, or an object that contains one)
    or CSV, plain or compressed with gzip, bzip2, xz or Zstandard; - is standard input.
    """
    check_options(context)
    semantic = parse_options(rest)
    terms = Assumed(ttl=ttl or None, redis=redis, **rest)
    shown = not no_progress and sys.stderr.isatty()
    with _open_log(file) as stream:
        log = decompress(stream)
        form = form or sniff(log, inner_name(file))
        inside = array_path(log.peek(1).lstrip()) if form == "json" else None
        lines = read(log, form)
        head = list(islice(lines, _SAMPLE))
        sample = [line.value for line in head if isinstance(line, Record)]
        if not sample:
            problem = f": line {head[0].number}: {head[0].problem}" if head else ""  # type: ignore[union-attr] # no record is among them
            raise ConfigurationError("FILE", f"{file} holds nothing that can be read{problem}")
        source = {"file": file, "format": form} | ({"records": inside} if inside else {})
        columns = choose(sample, fields, time, tool) if semantic is None else Columns(fields)
        columns = _add_measures(context, columns, sample, cost, duration)
        name = f"{_log_name(file)}, {inside}" if inside else _log_name(file)
        if semantic is not None:
            log_input = LogInput(
                chain(head, lines), sample, fields, tool, terms.price, terms.latency, columns
            )
            return run_semantic_audit(
                semantic, log_input, source, name, top, as_json=as_json, shown=shown
            )
        with closing(Audit(columns, terms)) as replay:
            interrupted = _replay(replay, chain(head, lines), stream, shown=shown)
            result = replay.result(top, interrupted=interrupted)
    if as_json:
        echo_json(plain(result, source))
    elif result.calls:
        show(Console(), result, f"{name} ({form})", top)
    return _audit_code(result, file)


def _add_measures(
    context: click.Context,
    columns: Columns,
    sample: list[Any],
    cost: str | None,
    duration: str | None,
) -> Columns:
    """Return the columns with the fields of cost and latency, unless options set the amounts."""

    def is_set(option: str) -> bool:
        return context.get_parameter_source(option) is not ParameterSource.DEFAULT

    used = [*columns.fields, *filter(None, (columns.time, columns.tool))]
    if cost is not None or not is_set("price"):
        columns = columns._replace(cost=cost_field(sample, cost, used))
    if duration is not None or not is_set("latency"):
        columns = columns._replace(latency=latency_field(sample, duration, used))
    return columns


def _audit_code(result: Result, file: str) -> int:
    if not result.calls:
        first = result.broken_lines[0]
        raise ConfigurationError(
            "FILE", f"{file} holds no call; line {first.number}: {first.problem}"
        )
    return 130 if result.interrupted else 0


def _log_name(file: str) -> str:
    return "standard input" if file == "-" else Path(file).name


@contextmanager
def _open_log(file: str) -> Iterator[BufferedReader]:
    if file == "-":
        if sys.stdin.isatty():
            raise ConfigurationError(
                "FILE", "is standard input, which is a terminal; pipe a log in"
            )
        yield cast("BufferedReader", sys.stdin.buffer)
        return
    try:
        # Not in a with statement, whose body would raise inside this try.
        stream = Path(file).open("rb", buffering=65_536)  # noqa: SIM115 - closed below
    except OSError as error:
        raise ConfigurationError("FILE", f"{file}: {error.strerror}") from None
    with stream:
        yield cast("BufferedReader", stream)


def _replay(
    replay: Audit, lines: Iterator[Record | Broken], stream: BufferedReader, *, shown: bool
) -> bool:
    """Replay all lines; return whether Ctrl-C interrupted the replay."""
    try:
        with ExitStack() as stack:
            update = stack.enter_context(_progress(stream)) if shown else None
            for count, line in enumerate(lines, 1):
                replay.add(line)
                if update is not None and count % _PROGRESS_STEP == 0:
                    update(count)
    except KeyboardInterrupt:
        return True
    return False


def _progress(stream: BufferedReader) -> AbstractContextManager[Callable[[int], None]]:
    """Return a progress bar on standard error, or a counter if the size is unknown."""
    status = os.fstat(stream.fileno())
    size = status.st_size if stat.S_ISREG(status.st_mode) else None
    columns: list[ProgressColumn] = [TextColumn("{task.fields[count]:,} lines")]
    if size is not None:
        columns = [BarColumn(), TaskProgressColumn(), *columns, TimeRemainingColumn()]

    @contextmanager
    def show() -> Iterator[Callable[[int], None]]:
        with Progress(
            SpinnerColumn(), *columns, console=Console(stderr=True), transient=True
        ) as bar:
            task = bar.add_task("", total=size, count=0)

            def update(count: int) -> None:
                position = None if size is None else stream.tell()
                bar.update(task, completed=position, count=count)

            yield update

    return show()
