"""`toolops audit --semantic`: its options, and what they set going."""

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
from toolops_plugins.audit.report import bullet, doubts, echo_json, measures, plain_measure
from toolops_plugins.errors import ConfigurationError

if TYPE_CHECKING:
    from toolops_plugins.audit.semantic_replay import Tell
    from toolops_plugins.semantic.embedding.embedders import Embedder

__all__ = [
    "Asked",
    "Meaning",
    "check_options",
    "parse_options",
    "run_semantic_audit",
    "semantic_options",
]

F = TypeVar("F", bound=Callable[..., Any])

_BOUNDS: Final = (0.01, 0.02, 0.05)
_LIMIT: Final = 20_000

_SEMANTIC: Final = (
    "Replay it through the semantic cache, with several settings. The options below go with it."
)
_TRUTH: Final = (
    "Field that is equal where the same answer is wanted, such as an intent or the answer itself: "
    "wrong answers are counted by it."
)
_ON: Final = (
    "Field of the question, if --field names several; the others, and the tool, must be equal."
)
_EMBEDDER: Final = "wordllama, chroma, or one of your own as module:attribute. Default: wordllama."
_THRESHOLD: Final = (
    "Threshold of your own to look around. Default: what the cache does without one."
)
_ERROR: Final = (
    "Share of wrong answers that is allowed; may be repeated. Default: 0.01, 0.02, 0.05."
)
_ORDERS: Final = "Replay it in so many random orders. Default: in its own."
_LIMITED: Final = "Look at the first so many questions only; 0: at all."
_PLOT: Final = "Draw hits against wrong answers, as .png, or as .html with all tables."

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


class Meaning(NamedTuple):
    """What was asked of the semantic cache; see the options.

    Args:
        truth: The field of the truth, or None.
        on: The field of the question, or None.
        embedder: Its name, or None for the default.
        threshold: The threshold in the middle, or None for the embedder's.
        bounds: Shares of wrong answers that are allowed; empty for the default.
        orders: How many random orders, or None for the log's own.
        limit: Questions at the most; 0 for all.
        plots: Files to draw into.
    """

    truth: str | None
    on: str | None
    embedder: str | None
    threshold: float | None
    bounds: tuple[float, ...]
    orders: int | None
    limit: int
    plots: tuple[str, ...]


class Asked(NamedTuple):
    """A log, and what else was said of it.

    Args:
        lines: All its lines.
        sample: The first records.
        fields: The fields of a call that were named.
        tool: The field of the tool, if that was named.
        price: Money that a call costs.
        latency: Seconds that it takes.
        columns: Where the log itself says what a call costs and how long it takes, if it does.
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
        ConfigurationError: One was given that has no meaning with, or without, ``--semantic``.
    """
    semantic = context.params["semantic"]
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) is not ParameterSource.DEFAULT
        if given and name in (_OTHERS if semantic else _THEIRS):
            problem = "does not go with --semantic" if semantic else "needs --semantic"
            raise ConfigurationError(parameter.opts[0], problem)


def parse_options(options: dict[str, Any]) -> Meaning | None:
    """Take what belongs to the semantic audit out of all options; None if that is not asked for.

    Raises:
        ConfigurationError: A value is wrong.
    """
    found = Meaning(**{name: options.pop(name) for name in Meaning._fields})
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
    meaning: Meaning,
    asked: Asked,
    source: dict[str, Any],
    name: str,
    top: int,
    *,
    as_json: bool,
    shown: bool,
) -> int:
    """Replay a log through the semantic cache, tell what came of it, and return the exit code.

    Args:
        meaning: The options.
        asked: The log.
        source: What JSON says of the log.
        name: What people call it.
        top: Pairs of each kind.
        as_json: Whether to print JSON.
        shown: Whether to show a progress bar.

    Raises:
        ConfigurationError: An option or the log is wrong, or a package is missing.
        EmbeddingError: The embedder failed.
    """
    try:
        import numpy as np  # noqa: F401, PLC0415 - an extra
    except ImportError:
        raise ConfigurationError(
            "--semantic", 'needs more packages: pip install "toolops-plugins[semantic]"'
        ) from None
    # What follows imports numpy.
    from toolops_plugins.audit.semantic_plot import check_plot, save  # noqa: PLC0415 - as it says
    from toolops_plugins.audit.semantic_questions import fields_of, gather  # noqa: PLC0415 - as it says
    from toolops_plugins.audit.semantic_replay import Replay, settings_around  # noqa: PLC0415 - as it says
    from toolops_plugins.audit.semantic_report import (  # noqa: PLC0415 - as it says
        plain_semantic,
        show_semantic,
    )
    from toolops_plugins.semantic.embedding.embedders import thresholds_of  # noqa: PLC0415 - as it says

    plots = [check_plot(file) for file in meaning.plots]
    embedder = _embedder(meaning.embedder)
    fields = fields_of(
        asked.sample, on=meaning.on, fields=asked.fields, tool=asked.tool, truth=meaning.truth
    )
    price, latency = (
        Mean(asked.columns.cost, asked.price),
        Mean(asked.columns.latency, asked.latency),
    )
    questions = gather(_watch(asked.lines, (price, latency)), fields, meaning.limit or None)
    questions.check()
    bounds = tuple(sorted(set(meaning.bounds or _BOUNDS)))
    around = thresholds_of(embedder) if meaning.threshold is None else meaning.threshold
    watched, settings = settings_around(around, bounds, judged=meaning.truth is not None)
    replay = Replay(questions, embedder, watched, settings, range(meaning.orders or 0))
    with ExitStack() as stack:
        replay.run(stack.enter_context(_progress()) if shown else _silent)
    result = replay.result(price=price.value, latency=latency.value, bounds=bounds)
    found = {name: plain_measure(measure) for name, measure in measures(asked.columns)}
    if as_json:
        echo_json(plain_semantic(result, {**source, **found}, top))
    else:
        means = [f"mean of {measure.path}" for _, measure in measures(asked.columns)]
        title = f"{name} ({', '.join([source['format'], *means])})"
        show_semantic(Console(), result, title, top)
        for doubt in doubts(asked.columns):
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
    """Return the embedder of that name.

    Raises:
        ConfigurationError: There is none.
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
    sys.path.insert(0, "")  # as `python -m` does it: a module in the folder where one stands
    try:
        found = importlib.import_module(module)
        return getattr(found, attribute)
    except ModuleNotFoundError as error:
        raise ConfigurationError("--embedder", f"there is no module {error.name!r}") from None
    except AttributeError:
        raise ConfigurationError("--embedder", f"{module} has no {attribute!r}") from None
    except Exception as error:
        # Without its message, which may quote a credential.
        kind = type(error).__name__
        raise ConfigurationError("--embedder", f"importing {module} failed: {kind}") from error
    finally:
        sys.path.remove("")


def _silent(what: str, done: int, total: int) -> None:
    """Show no progress."""


@contextmanager
def _progress() -> Iterator[Tell]:
    """Show a progress bar on standard error, and yield what to tell it."""
    columns = (
        TextColumn("{task.fields[what]}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed:,} questions"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                for before in tasks.values():
                    bar.remove_task(before)
                tasks[what] = bar.add_task("", total=total, what=what)
            bar.update(tasks[what], completed=done)

        yield tell
