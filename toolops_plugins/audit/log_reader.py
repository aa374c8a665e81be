"""Logs of questions or tool calls as a stream of records, in whatever form they come."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import orjson

from toolops_plugins.audit.json_object import USUAL, array_path, is_one_object
from toolops_plugins.errors import ConfigurationError

__all__ = [
    "MISSING",
    "Broken",
    "Columns",
    "Format",
    "Measure",
    "Record",
    "choose",
    "field_paths",
    "list_fields",
    "pick",
    "read",
    "seconds_of",
    "sniff",
]

Format: TypeAlias = Literal["jsonl", "json", "csv"]

MISSING: Final = object()
"""What :func:`pick` returns where there is no such field."""

_LONGEST: Final = 16 * 1024 * 1024  # bytes of a line or a field; what is longer is no question
_BOM: Final = b"\xef\xbb\xbf"
_DELIMITERS: Final = ",;\t|"
_LISTED: Final = 30  # fields that an error lists
_DEPTH: Final = 3  # levels of objects in which it looks for them

_TEXTS: Final = (
    "question", "prompt", "input", "query", "text", "message", "content", "user_input",
    "tool_input", "arguments", "args", "kwargs", "request", "messages", "utterance",
)  # fmt: skip
_TIMES: Final = (
    "time", "timestamp", "@timestamp", "ts", "created_at", "started_at", "start_time", "created",
    "datetime", "date",
)  # fmt: skip
_TOOLS: Final = ("tool", "tool_name", "function_name")


class Record(NamedTuple):
    """What a line holds.

    Args:
        number: Of its first line, from 1; of the item, in an array.
        value: An object or a plain value.
    """

    number: int
    value: Any


class Broken(NamedTuple):
    """A line that could not be read.

    Args:
        number: As in :class:`Record`.
        problem: What is wrong with it.
    """

    number: int
    problem: str


class Measure(NamedTuple):
    """A field that holds an amount of money or time.

    Args:
        path: The field.
        unit: Its unit, "" for the usual one: money, or seconds.
        read: Returns a value of the field as money or seconds, given the unit; None if it is none.
        doubtful: Whether its values look like another unit than that.
    """

    path: str
    unit: str
    read: Callable[[Any, str], float | None]
    doubtful: bool = False

    def of(self, record: Any) -> float | None:
        """Return the amount that a record holds, or None."""
        value = pick(record, self.path)
        return None if value is MISSING else self.read(value, self.unit)


class Columns(NamedTuple):
    """Which fields hold what.

    Args:
        fields: The question: one field, or several that make a call's arguments together. Empty:
            the record itself is the question.
        time: When it was asked, or None.
        tool: Which tool was asked, or None.
        guessed: Those of all these that nobody named.
        cost: What the call cost, or None.
        latency: How long it took, or None.
    """

    fields: tuple[str, ...]
    time: str | None = None
    tool: str | None = None
    guessed: tuple[str, ...] = ()
    cost: Measure | None = None
    latency: Measure | None = None


# Formats ------------------------------------------------------------------------------------------


def sniff(stream: io.BufferedReader, name: str) -> Format:
    """Return the format of a stream, by its first bytes and the ending of its name.

    Takes a byte order mark off the stream, and nothing else.

    Raises:
        ConfigurationError: It is encoded as UTF-16.
    """
    head = stream.peek(1)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ConfigurationError("FILE", "is encoded as UTF-16; convert it to UTF-8 first")
    if head.startswith(_BOM):
        stream.read(len(_BOM))
        head = stream.peek(1)
    ending = PurePath(name).suffix.lower()
    if ending in (".csv", ".tsv"):
        return "csv"
    if ending in (".jsonl", ".ndjson"):
        return "jsonl"
    head = head.lstrip()
    if head.startswith(b"[") or (head.startswith(b"{") and is_one_object(head)):
        return "json"
    return "jsonl" if head[:1] in (b"{", b'"') or ending == ".json" else "csv"


def read(stream: io.BufferedReader, form: Format) -> Iterator[Record | Broken]:
    """Yield what a stream holds, one record at a time.

    Args:
        stream: Where to read.
        form: "jsonl": a JSON value on each line. "json": one array, or an object with one inside;
            see :func:`~toolops_plugins.audit.json_object.array_path`. "csv": columns with a header,
            separated by commas, semicolons, tabs or bars.

    Raises:
        ConfigurationError: It is not of that format from its start.
    """
    if form == "json":
        lines = _array(stream)
    else:
        lines = _lines_of_json(stream) if form == "jsonl" else _rows(stream)
    return _to_the_end(lines, stream)


def _to_the_end(
    lines: Iterator[Record | Broken], stream: io.BufferedReader
) -> Iterator[Record | Broken]:
    """Yield lines, and at the end what is missing of a compressed stream."""
    number = 0
    for line in lines:
        number = line.number
        yield line
    problem = getattr(stream.raw, "problem", None)
    if problem is not None:
        yield Broken(number + 1, problem)


def _lines(stream: io.BufferedReader) -> Iterator[tuple[int, bytes | None]]:
    """Yield lines with their numbers; None for one that is too long to be held."""
    number = 0
    while line := stream.readline(_LONGEST):
        number += 1
        if len(line) < _LONGEST or line.endswith(b"\n"):
            yield number, line
            continue
        while (rest := stream.readline(_LONGEST)) and not rest.endswith(b"\n"):
            pass
        yield number, None


def _too_long(number: int) -> Broken:
    return Broken(number, f"longer than {_LONGEST // 2**20} MB")


def _lines_of_json(stream: io.BufferedReader) -> Iterator[Record | Broken]:
    for number, line in _lines(stream):
        if line is None:
            yield _too_long(number)
        elif not line.isspace():
            try:
                yield Record(number, orjson.loads(line))
            except orjson.JSONDecodeError as error:
                yield Broken(number, f"not JSON: {error.msg.split(':')[0]}")


def _array(stream: io.BufferedReader) -> Iterator[Record | Broken]:
    import ijson  # noqa: PLC0415 - only this format needs it

    head = stream.peek(1).lstrip()
    place = "item"
    if head and not head.startswith(b"["):
        path = array_path(head) if head.startswith(b"{") else None
        if path is None:
            raise ConfigurationError(
                "FILE",
                "must hold one JSON array of objects or strings (or, as jsonl, one on a line), or "
                f"an object with such an array in {', '.join(USUAL[:6])} or the like",
            )
        place = f"{path}.item"
    number = 0
    try:
        # Its parser is C, and holds one item at a time.
        for value in ijson.items(stream, place, use_float=True):
            number += 1
            yield Record(number, value)
    except ijson.JSONError as error:
        text = error.args[0] if error.args else ""
        text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        problem = text.strip().partition("\n")[0] or "not JSON"
        yield Broken(number + 1, f"{problem}; what follows in the array cannot be read")


def _rows(stream: io.BufferedReader) -> Iterator[Record | Broken]:
    csv.field_size_limit(_LONGEST)
    first = stream.peek(1).lstrip().split(b"\n", 1)[0].decode("utf-8", "replace")
    delimiter = max(_DELIMITERS, key=first.count)

    def texts() -> Iterator[str]:
        for _, line in _lines(stream):
            # What is too long is handed over as what the parser refuses.
            yield "\0" * (_LONGEST + 1) if line is None else line.decode("utf-8", "surrogateescape")

    reader = csv.reader(texts(), delimiter=delimiter)
    header: list[str] | None = None
    while True:
        number = reader.line_num + 1
        try:
            row = next(reader)
            "".join(row).encode()
        except StopIteration:
            return
        except UnicodeEncodeError:
            yield Broken(number, "not UTF-8")
            continue
        except csv.Error as error:
            yield Broken(number, f"not CSV: {error}")
            continue
        if not row:
            continue
        if header is None:
            header = [name.strip() for name in row]
        elif len(row) != len(header):
            yield Broken(number, f"has {len(row)} columns, the header has {len(header)}")
        else:
            yield Record(number, dict(zip(header, row, strict=True)))


# Fields -------------------------------------------------------------------------------------------


def pick(value: Any, path: str) -> Any:
    """Return the field of a record, or :data:`MISSING`.

    Args:
        value: The record.
        path: The field's name; ``input.question`` and ``messages.-1.content`` lead inside.
    """
    if isinstance(value, dict) and path in value:
        return value[path]
    for part in path.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.removeprefix("-").isdecimal():
            place = int(part)
            if not -len(value) <= place < len(value):
                return MISSING
            value = value[place]
        else:
            return MISSING
    return value


def choose(
    sample: Sequence[Any],
    fields: Sequence[str] = (),
    time: str | None = None,
    tool: str | None = None,
) -> Columns:
    """Decide which fields hold what.

    Args:
        sample: The first records.
        fields: The fields of the question. Empty: guess.
        time: The field of the time. None: guess, or do without.
        tool: The field of the tool's name. None: guess, or do without.

    Raises:
        ConfigurationError: A named field is in none of the records, or none looks like a question.
    """
    for option, names in (("--field", fields), ("--time", [time]), ("--tool", [tool])):
        for name in names:
            if name is not None and all(pick(value, name) is MISSING for value in sample):
                raise ConfigurationError(
                    option, f"there is no field {name!r}; {list_fields(sample)}"
                )
    guessed = []
    if time is None and (time := _guess_time(sample, fields)):
        guessed.append(time)
    if tool is None and (tool := _guess(sample, _TOOLS)) is not None:
        if tool in fields:
            tool = None
        else:
            guessed.append(tool)
    objects = sum(isinstance(value, dict) for value in sample)
    if not fields and 2 * objects >= len(sample):
        name = _guess(sample, _TEXTS)
        if name is None:
            left = [path for path in field_paths(sample) if path not in (time, tool)]
            if len(left) != 1:
                raise ConfigurationError(
                    "--field", f"must name the field of the question; {list_fields(sample)}"
                )
            name = left[0]
        fields = [name]
        guessed.append(name)
    return Columns(tuple(fields), time, tool, tuple(guessed))


def list_fields(sample: Sequence[Any]) -> str:
    """Return which fields the records have, for an error."""
    paths = field_paths(sample)
    if not paths:
        return "the records are no objects, so that none has fields"
    more = f", and {len(paths) - _LISTED} more" if len(paths) > _LISTED else ""
    return f"these are: {', '.join(paths[:_LISTED])}{more}"


def field_paths(sample: Sequence[Any]) -> list[str]:
    """Return the fields of the records, in the order in which they come, inner ones included."""
    found: dict[str, None] = {}

    def walk(value: Any, prefix: str, depth: int) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                if isinstance(inner, dict) and inner and depth < _DEPTH:
                    walk(inner, f"{prefix}{name}.", depth + 1)
                else:
                    found[f"{prefix}{name}"] = None

    for value in sample:
        walk(value, "", 1)
    return list(found)


def _guess(sample: Sequence[Any], usual: Sequence[str]) -> str | None:
    names = {name.lower(): name for value in sample if isinstance(value, dict) for name in value}
    return next((names[name] for name in usual if name in names), None)


def _guess_time(sample: Sequence[Any], taken: Sequence[str]) -> str | None:
    for usual in _TIMES:
        name = _guess(sample, (usual,))
        if name is None or name in taken:
            continue
        try:
            for value in sample:
                if isinstance(value, dict) and name in value:
                    seconds_of(value[name])
        except ValueError:
            continue
        return name
    return None


def seconds_of(value: Any) -> float:
    """Return a time as seconds since the epoch.

    Args:
        value: ISO 8601 (UTC where it names no zone), or seconds, milliseconds, microseconds or
            nanoseconds since the epoch, told apart by their size.

    Raises:
        ValueError: It is none of these.
    """
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            try:
                moment = datetime.fromisoformat(value.strip())
                zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
                return zoned.timestamp()
            except (ValueError, OverflowError):
                raise ValueError(f"{value[:40]!r} is no time") from None
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value) if abs(value) < 1e300 else math.inf
    else:
        raise ValueError(f"{str(value)[:40]!r} is no time")  # noqa: TRY004 - as for a wrong text
    # A number of this size in the next smaller unit would lie in 1973 at the latest.
    for least, unit in ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3)):
        if abs(number) >= least:
            number /= unit
            break
    if not abs(number) < 1e11:
        raise ValueError(f"{str(value)[:40]!r} is no time")
    return number
