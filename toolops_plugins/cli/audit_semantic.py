"""The `toolops audit --semantic` command."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import click
from click.core import ParameterSource
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from toolops_plugins import check
from toolops_plugins.audit.log_reader import Broken, Columns, Record
from toolops_plugins.audit.measures import Mean
from toolops_plugins.audit.report import doubts, measures, plain_measure
from toolops_plugins.audit.text import bullet, echo_json
from toolops_plugins.errors import ConfigurationError

if TYPE_CHECKING:
    from toolops_plugins.audit.semantic_replay import Tell
    from toolops_plugins.semantic.embedding.embedders import Embedder

__all__ = [
    "LogInput",
    "SemanticOptions",
    "check_options",
    "parse_options",
    "run_semantic_audit",
    "semantic_options",
]

F = TypeVar("F", bound=Callable[..., Any])

_BOUNDS: Final = (0.01, 0.02, 0.05)
_LIMIT: Final = 20_000

_SEMANTIC: Final = (
    "Replay the log through the semantic cache, with several settings. The options below need it."
)
_TRUTH: Final = (
    "Field that is equal for questions with the same answer, such as an intent or the answer "
    "itself. Wrong answers are counted by it."
)
_ON: Final = (
    "Field of the question, if --field names several; the other fields and the tool must be equal."
)
_EMBEDDER: Final = "wordllama, chroma, or your own as module:attribute. Default: wordllama."
_THRESHOLD: Final = "Threshold to inspect instead of the default, which is a bound of 1 %."
_ERROR: Final = "Allowed share of wrong answers; may be repeated. Default: 0.01, 0.02, 0.05."
_ORDERS: Final = "Number of random orders to replay. Default: the order of the log."
_LIMITED: Final = "Number of questions to read; 0: all."
_PLOT: Final = "Plot hits against wrong answers, as .png, or as .html with all tables."

_OPTIONS: Final = (
    click.option("--semantic", is_flag=True, help=_SEMANTIC),
    click.option("--truth", metavar="FIELD", help=_TRUTH),
    click.option("--on", metavar="FIELD", help=_ON),
    click.option("--embedder", metavar="NAME", help=_EMBEDDER),
    click.option("--threshold", type=float, help=_THRESHOLD),
    click.option("--max-error", "bounds", type=float, multiple=True, help=_ERROR),
    click.option("--orders", type=click.IntRange(min=1), help=_ORDERS),
    click.option(
        "--limit", type=click.IntRange(min=0), default=_LIMIT, show_default=True, help=_LIMITED
    ),
    click.option("--plot", "plots", multiple=True, metavar="FILE", help=_PLOT),
)
_THEIRS: Final = frozenset(
    ("truth", "on", "embedder", "threshold", "bounds", "orders", "limit", "plots")
)
_OTHERS: Final = frozenset(("time", "ttl", "max_items", "normalize", "redis"))


class SemanticOptions(NamedTuple):
    """The options of the semantic audit.

    Args:
        truth: The field of the truth, or None.
        on: The field of the question, or None.
        embedder: The name of the embedder, or None for the default.
        threshold: The threshold to inspect, or None for the default; then that of the embedder is
            the middle one.
        bounds: Allowed shares of wrong answers; empty for the default.
        orders: Number of random orders, or None for the order of the log.
        limit: Largest number of questions; 0 for all.
        plots: Files to plot to.
    """

    truth: str | None
    on: str | None
    embedder: str | None
    threshold: float | None
    bounds: tuple[float, ...]
    orders: int | None
    limit: int
    plots: tuple[str, ...]


class LogInput(NamedTuple):
    """A log and the options that describe it.

    Args:
        lines: All lines of the log.
        sample: The first records.
        fields: The fields of a call, as given by the user.
        tool: The field of the tool's name, or None.
        price: Cost of a call.
        latency: Seconds that a call takes.
        columns: The fields of cost and latency, if the log has them.
    """

    lines: Iterable[Record | Broken]
    sample: Sequence[Any]
    fields: Sequence[str]
    tool: str | None
    price: float
    latency: float
    columns: Columns


def semantic_options(command: F) -> F:
    """Add the options of the semantic audit."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_options(context: click.Context) -> None:
    """Refuse options that do not go together.

    Raises:
        ConfigurationError: An option does not go with ``--semantic``, or needs it.
    """
    semantic = context.params["semantic"]
    for parameter in context.command.params:
        name = parameter.name or ""
        is_set = context.get_parameter_source(name) is not ParameterSource.DEFAULT
        if is_set and name in (_OTHERS if semantic else _THEIRS):
            problem = "does not go with --semantic" if semantic else "needs --semantic"
            raise ConfigurationError(parameter.opts[0], problem)


def parse_options(options: dict[str, Any]) -> SemanticOptions | None:
    """Remove the options of the semantic audit from ``options`` and return them.

    Returns:
        None without ``--semantic``.

    Raises:
        ConfigurationError: A value is invalid.
    """
    found = SemanticOptions(**{name: options.pop(name) for name in SemanticOptions._fields})
    if not options.pop("semantic"):
        return None
    for bound in found.bounds:
        check.share("--max-error", bound)
    if found.bounds and found.truth is None:
        raise ConfigurationError("--max-error", "needs --truth: what is bounded must be counted")
    if found.threshold is not None:
        check.share("--threshold", found.threshold)
    return found


def run_semantic_audit(
    options: SemanticOptions,
    log: LogInput,
    source: dict[str, Any],
    name: str,
    top: int,
    *,
    as_json: bool,
    shown: bool,
) -> int:
    """Replay a log through the semantic cache, print the report, and return the exit code.

    Args:
        options: The options.
        log: The log.
        source: The description of the log in the JSON report.
        name: The name of the log in the text report.
        top: Number of pairs of each kind.
        as_json: Whether to print JSON.
        shown: Whether to show a progress bar.

    Raises:
        ConfigurationError: An option or the log is invalid, or a package is missing.
        EmbeddingError: The embedder failed.
    """
    try:
        import numpy as np  # noqa: F401, PLC0415 - an extra
    except ImportError:
        raise ConfigurationError(
            "--semantic", 'needs more packages: pip install "toolops-plugins[semantic]"'
        ) from None
    # The following modules import numpy.
    from toolops_plugins.audit.semantic_plot import check_plot, save  # noqa: PLC0415 - as above
    from toolops_plugins.audit.semantic_questions import fields_of, gather  # noqa: PLC0415 - as above
    from toolops_plugins.audit.semantic_replay import Replay, settings_around  # noqa: PLC0415 - as above
    from toolops_plugins.audit.semantic_report import (  # noqa: PLC0415 - as above
        plain_semantic,
        show_semantic,
    )
    from toolops_plugins.semantic.embedding.embedders import thresholds_of  # noqa: PLC0415 - as above

    plots = [check_plot(file) for file in options.plots]
    embedder = _embedder(options.embedder)
    fields = fields_of(
        log.sample, on=options.on, fields=log.fields, tool=log.tool, truth=options.truth
    )
    price, latency = (
        Mean(log.columns.cost, log.price),
        Mean(log.columns.latency, log.latency),
    )
    questions = gather(_watch(log.lines, (price, latency)), fields, options.limit or None)
    questions.check()
    bounds = tuple(sorted(set(options.bounds or _BOUNDS)))
    around = thresholds_of(embedder) if options.threshold is None else options.threshold
    watched, settings = settings_around(around, bounds, judged=options.truth is not None)
    replay = Replay(questions, embedder, watched, settings, range(options.orders or 0))
    with ExitStack() as stack:
        replay.run(stack.enter_context(_progress()) if shown else _show_nothing)
    result = replay.result(price=price.value, latency=latency.value, bounds=bounds)
    found = {name: plain_measure(measure) for name, measure in measures(log.columns)}
    if as_json:
        echo_json(plain_semantic(result, {**source, **found}, top))
    else:
        means = [f"mean of {measure.path}" for _, measure in measures(log.columns)]
        title = f"{name} ({', '.join([source['format'], *means])})"
        show_semantic(Console(), result, title, top)
        for doubt in doubts(log.columns):
            Console().print(bullet("!", doubt, "yellow"))
    for plot in plots:
        save(plot, result, name, top)
    return 130 if result.interrupted else 0


def _watch(lines: Iterable[Record | Broken], means: Iterable[Mean]) -> Iterator[Record | Broken]:
    for line in lines:
        if isinstance(line, Record):
            for mean in means:
                mean.add(line.value)
        yield line


def _embedder(name: str | None) -> Embedder:
    """Return the embedder of a name.

    Raises:
        ConfigurationError: There is no such embedder.
    """
    from toolops_plugins.semantic.embedding.embedders import embedder_of  # noqa: PLC0415 - imports numpy

    given: Any = name
    if name is not None and name not in ("wordllama", "chroma"):
        given = _import_embedder(name)
    try:
        return embedder_of(given)
    except ConfigurationError as error:
        raise ConfigurationError("--embedder", error.problem) from None


def _import_embedder(name: str) -> Any:
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ConfigurationError(
            "--embedder", f"must be wordllama, chroma or module:attribute, not {name!r}"
        )
    sys.path.insert(0, "")  # as `python -m` does, for modules in the current folder
    try:
        found = importlib.import_module(module)
        return getattr(found, attribute)
    except ModuleNotFoundError as error:
        raise ConfigurationError("--embedder", f"there is no module {error.name!r}") from None
    except AttributeError:
        raise ConfigurationError("--embedder", f"{module} has no {attribute!r}") from None
    except Exception as error:
        # Without the message of the error, which may contain a credential.
        kind = type(error).__name__
        raise ConfigurationError("--embedder", f"importing {module} failed: {kind}") from error
    finally:
        sys.path.remove("")


def _show_nothing(what: str, done: int, total: int) -> None:
    """Show no progress."""


@contextmanager
def _progress() -> Iterator[Tell]:
    """Show a progress bar on standard error, and yield the function that updates it."""
    columns = (
        TextColumn("{task.fields[what]}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed:,} questions"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def update(what: str, done: int, total: int) -> None:
            if what not in tasks:
                for before in tasks.values():
                    bar.remove_task(before)
                tasks[what] = bar.add_task("", total=total, what=what)
            bar.update(tasks[what], completed=done)

        yield update
