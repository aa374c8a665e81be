"""The reader of logs: questions or tool calls as JSONL, JSON or CSV, one record at a time."""

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
"""The result of :func:`pick` for a missing field."""

_LONGEST: Final = 16 * 1024 * 1024  # bytes of a line or a field; longer ones are not read
_BOM: Final = b"\xef\xbb\xbf"
_DELIMITERS: Final = ",;\t|"
_LISTED: Final = 30  # fields that an error lists
_DEPTH: Final = 3  # levels of objects in which fields are listed

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
    """A record of the log.

    Args:
        number: Number of its first line, or of its item in an array, from 1.
        value: An object or a plain value.
    """

    number: int
    value: Any


class Broken(NamedTuple):
    """A line that could not be read.

    Args:
        number: As in :class:`Record`.
        problem: The reason.
    """

    number: int
    problem: str


class Measure(NamedTuple):
    """A field with an amount of money or time.

    Args:
        path: The field.
        unit: The unit; "" for the default unit, which is money or seconds.
        read: Converts a value of the field, given the unit, to money or seconds; None if invalid.
        doubtful: Whether the values look like another unit.
    """

    path: str
    unit: str
    read: Callable[[Any, str], float | None]
    doubtful: bool = False

    def of(self, record: Any) -> float | None:
        """Return the amount in a record, or None."""
        value = pick(record, self.path)
        return None if value is MISSING else self.read(value, self.unit)


class Columns(NamedTuple):
    """The fields of a log, by meaning.

    Args:
        fields: The field of the question, or several fields that form the arguments of a call.
            Empty: the record itself is the question.
        time: The field of the time, or None.
        tool: The field of the tool's name, or None.
        guessed: The fields above that the user did not name.
        cost: The cost of a call, or None.
        latency: The duration of a call, or None.
    """

    fields: tuple[str, ...]
    time: str | None = None
    tool: str | None = None
    guessed: tuple[str, ...] = ()
    cost: Measure | None = None
    latency: Measure | None = None


# Formats ------------------------------------------------------------------------------------------


def sniff(stream: io.BufferedReader, name: str) -> Format:
    """Return the format of a stream, from its first bytes and its file name.

    It removes a byte order mark from the stream.

    Raises:
        ConfigurationError: The stream is encoded as UTF-16.
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
    """Yield the records of a stream.

    Args:
        stream: The stream.
        form: "jsonl": a JSON value on each line. "json": an array, or an object that contains one
            (:func:`~toolops_plugins.audit.json_object.array_path`). "csv": columns with a header,
            separated by commas, semicolons, tabs or bars.

    Raises:
        ConfigurationError: The start of the stream does not have that format.
    """
    if form == "json":
        lines = _array(stream)
    else:
        lines = _lines_of_json(stream) if form == "jsonl" else _rows(stream)
    return _with_damage(lines, stream)


def _with_damage(
    lines: Iterator[Record | Broken], stream: io.BufferedReader
) -> Iterator[Record | Broken]:
    """Yield the lines, then the problem of a damaged compressed stream, if there is one."""
    number = 0
    for line in lines:
        number = line.number
        yield line
    problem = getattr(stream.raw, "problem", None)
    if problem is not None:
        yield Broken(number + 1, problem)


def _lines(stream: io.BufferedReader) -> Iterator[tuple[int, bytes | None]]:
    """Yield line numbers and lines; None for a line that is too long."""
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
        # The parser is written in C and keeps one item in memory at a time.
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
            # A line that is too long is replaced by one that the parser refuses.
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
        path: The name of the field; ``input.question`` and ``messages.-1.content`` name nested
            fields.
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
    """Choose the fields of the question, the time and the tool.

    Args:
        sample: The first records.
        fields: The fields of the question. Default empty: guess.
        time: The field of the time. Default None: guess, if there is one.
        tool: The field of the tool's name. Default None: guess, if there is one.

    Raises:
        ConfigurationError: A named field is in no record, or no field looks like a question.
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
    """Return the fields of the records as a text, for an error."""
    paths = field_paths(sample)
    if not paths:
        return "the records are not objects and have no fields"
    more = f", and {len(paths) - _LISTED} more" if len(paths) > _LISTED else ""
    return f"these are: {', '.join(paths[:_LISTED])}{more}"


def field_paths(sample: Sequence[Any]) -> list[str]:
    """Return the paths of all fields of the records, nested ones included, in order."""
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
        value: ISO 8601 (UTC if it has no zone), or seconds, milliseconds, microseconds or
            nanoseconds since the epoch, which are recognised by their size.

    Raises:
        ValueError: The value is not a time.
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
    # In the next smaller unit, a number of this size would be a time before 1974.
    for least, unit in ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3)):
        if abs(number) >= least:
            number /= unit
            break
    if not abs(number) < 1e11:
        raise ValueError(f"{str(value)[:40]!r} is no time")
    return number
