"""Read from an exception what the server said: its HTTP status, and when to come back.

Nothing of a client is imported. The errors of httpx, requests, aiohttp, urllib, botocore, gRPC,
google-api-core and the clients built on them are known by the names of their attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from toolops_plugins.clock import SYSTEM_CLOCK, Clock
from toolops_plugins.policy.base import iter_leaves

__all__ = ["iter_chain", "retry_after", "status_of"]

_LONGEST_CHAIN = 10
_DEEPEST = 4  # groups inside of causes of groups
_MOST_HEADERS = 200
_MOST_DETAILS = 200
_WEEK = 7 * 86_400.0
_NUMBER = re.compile(r"\d+(\.\d*)?", re.ASCII)
_DURATION = re.compile(r"(?:\d+(?:\.\d*)?(?:ms|[smhd]))+", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d*)?)(ms|[smhd])", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_RESET = re.compile(r"(?:x-)?rate-?limit-reset(?:-.+)?|.*ratelimit-.*-reset")
_LIMITED = frozenset((None, 403, 408, 409, 425, 429, 503, 529))
"""Statuses, if there is one, of errors that a used up limit explains."""
_GRPC = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
}
"""HTTP statuses of gRPC's, as google.rpc.Code gives them; the others are the server's."""


def iter_chain(
    error: BaseException, outside: BaseException | None = None
) -> Iterator[BaseException]:
    """Yield an exception and those that it was raised from or in the handling of, at most ten.

    Args:
        error: The exception.
        outside: An exception that was being handled before the call was made, and so has nothing
            to do with it: the chain ends there. Default None.
    """
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and found is not outside and id(found) not in seen:
        yield found
        seen.add(id(found))
        if len(seen) == _LONGEST_CHAIN:
            return
        context = None if found.__suppress_context__ else found.__context__
        found = found.__cause__ or context


def status_of(error: object) -> int | None:
    """Return the HTTP status that an exception or a response carries, or None.

    Looks for ``status_code``, ``status`` and ``http_status``, at the object itself and at its
    ``response``; for botocore's ``response["ResponseMetadata"]["HTTPStatusCode"]``; for ``code``
    where there are also headers or a response; and for ``code()`` of gRPC.

    Example:
        >>> import urllib.error
        >>> status_of(urllib.error.HTTPError("http://x", 404, "not found", {}, None))
        404
    """
    response = _get(error, "response")
    for owner in (error, response):
        for name in ("status_code", "status", "http_status"):
            status = _status(_get(owner, name))
            if status is not None:
                return status
    if isinstance(response, Mapping):
        metadata = response.get("ResponseMetadata")
        if isinstance(metadata, Mapping):
            return _status(metadata.get("HTTPStatusCode"))
    code = _get(error, "code")
    if callable(code) and callable(_get(error, "details")):
        with suppress(Exception):
            return _GRPC.get(code().name)
    if response is not None or _get(error, "headers") is not None:
        return _status(code)
    return None


def retry_after(
    outcome: Any, clock: Clock = SYSTEM_CLOCK, outside: BaseException | None = None
) -> float | None:
    """Return the seconds that a server asks us to wait, if it does.

    Looks at the outcome itself, then at the exceptions it was raised from. Of a group it takes the
    longest wait. An object may say so by

    - ``retry_after``: a number, a timedelta, or text as in the header;
    - the headers of its ``response``, or its own: a mapping, pairs, or gRPC's trailing metadata, of
      text or bytes. The header ``retry-after-ms`` (OpenAI, Azure) goes before ``Retry-After`` (RFC
      9110, section 10.2.3). Where neither is there and the status is that of a limit, the
      longest reset of what has nothing remaining counts: ``x-ratelimit-reset-requests``
      (OpenAI), ``anthropic-ratelimit-tokens-reset``, ``x-ratelimit-reset`` (GitHub), and so on;
    - ``retry_delay`` or ``retryDelay`` (google.rpc.RetryInfo), its own or in its details.

    Times are seconds, durations such as "6m0s" or "88ms", dates of HTTP, ISO 8601, or seconds since
    the epoch. What cannot be understood counts as not said.

    Args:
        outcome: An exception, or a response.
        clock: The clock to compare a date with.
        outside: As in :func:`iter_chain`.

    Returns:
        Seconds, 0 or more (``math.inf`` for a number beyond all sense), or None.

    Example:
        >>> class Busy(Exception):
        ...     headers = {"Retry-After": "7"}
        >>> retry_after(Busy())
        7.0
    """
    return _retry_after(outcome, clock, outside, _DEEPEST)


def _retry_after(
    outcome: Any, clock: Clock, outside: BaseException | None, depth: int
) -> float | None:
    if not isinstance(outcome, BaseException):
        return _own(outcome, clock)
    for error in iter_chain(outcome, outside):
        if isinstance(error, BaseExceptionGroup) and depth:
            asked = (_retry_after(leaf, clock, outside, depth - 1) for leaf in iter_leaves(error))
            wait = max((each for each in asked if each is not None), default=None)
        else:
            wait = _own(error, clock)
        if wait is not None:
            return wait
    return None


def _own(outcome: Any, clock: Clock) -> float | None:
    try:
        wait = _seconds(getattr(outcome, "retry_after", None), clock)
        if wait is not None:
            return wait
        for headers in _all_headers(outcome):
            found = _named(headers)
            wait = _from_headers(found, clock)
            if wait is None and status_of(outcome) in _LIMITED:
                wait = _reset(found, clock)
            if wait is not None:
                return wait
        return _from_details(outcome, clock)
    except Exception:  # noqa: BLE001 - a user's property may raise anything
        return None


def _all_headers(outcome: Any) -> Iterator[Any]:
    response = _get(outcome, "response")
    if isinstance(response, Mapping):
        metadata = response.get("ResponseMetadata")
        if isinstance(metadata, Mapping):
            yield metadata.get("HTTPHeaders")
        yield response.get("headers")
    yield _get(response, "headers")
    yield _get(outcome, "headers")
    trailing = _get(outcome, "trailing_metadata")
    if callable(trailing):
        yield trailing()


def _named(headers: Any) -> dict[str, str]:
    """Return headers by their names in lower case; the first of a name counts."""
    pairs: Iterable[Any] = ()
    if hasattr(headers, "items"):
        pairs = headers.items()
    elif isinstance(headers, Sequence) and not isinstance(headers, str | bytes):
        pairs = headers
    found: dict[str, str] = {}
    for number, pair in enumerate(pairs):
        if number == _MOST_HEADERS:
            break
        if not isinstance(pair, Sequence) or isinstance(pair, str | bytes) or len(pair) != 2:
            continue
        name, value = pair
        if isinstance(value, list | tuple) and value:
            value = value[0]
        if isinstance(name, str | bytes) and isinstance(value, str | bytes | int | float):
            found.setdefault(_text(name).strip().lower(), _text(value))
    return found


def _from_headers(headers: Mapping[str, str], clock: Clock) -> float | None:
    for name in ("retry-after-ms", "x-ms-retry-after-ms", "grpc-retry-pushback-ms"):
        milliseconds = headers.get(name, "").strip()
        if _NUMBER.fullmatch(milliseconds):
            return float(milliseconds) / 1000
    return _seconds(headers.get("retry-after"), clock)


def _reset(headers: Mapping[str, str], clock: Clock) -> float | None:
    """Return how long the limits need that have nothing remaining, or all if none says so."""
    waits: list[float] = []
    used_up: list[float] = []
    spare = False
    for name, value in headers.items():
        if not _RESET.fullmatch(name):
            continue
        wait = _seconds(value, clock)
        if wait is None:
            continue
        remaining = headers.get(name.replace("reset", "remaining"), "").strip()
        if _NUMBER.fullmatch(remaining):
            if float(remaining) > 0:
                spare = True
                continue
            used_up.append(wait)
        waits.append(wait)
    if used_up or not spare:
        return max(used_up or waits, default=None)
    return None


def _from_details(outcome: Any, clock: Clock) -> float | None:
    """Return the delay of a google.rpc.RetryInfo, which is an object or plain data."""
    wait = _delay(_get(outcome, "retry_delay"), clock)
    if wait is not None:
        return wait
    waiting = [_get(outcome, name) for name in ("details", "body")]
    for _ in range(_MOST_DETAILS):
        if not waiting:
            return None
        item = waiting.pop()
        if isinstance(item, Mapping):
            wait = _delay(item.get("retryDelay", item.get("retry_delay")), clock)
            waiting += [each for each in item.values() if isinstance(each, Mapping | list | tuple)]
        elif isinstance(item, list | tuple):
            waiting += item[:_MOST_DETAILS]
        else:
            wait = _delay(_get(item, "retry_delay"), clock)
        if wait is not None:
            return wait
    return None


def _delay(value: Any, clock: Clock) -> float | None:
    if isinstance(value, Mapping):
        seconds, nanos = value.get("seconds", 0), value.get("nanos", 0)
    elif value is not None and hasattr(value, "seconds") and hasattr(value, "nanos"):
        seconds, nanos = value.seconds, value.nanos
    else:
        return _seconds(value, clock)
    return _seconds(float(seconds) + float(nanos) / 1e9, clock)


def _seconds(value: Any, clock: Clock) -> float | None:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bytes):
        value = _text(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_now(float(value), clock) if value >= 0 else None
    if not isinstance(value, str):
        return None
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return _from_now(float(text), clock)
    if _DURATION.fullmatch(text):
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    date = _date(text)
    if date is None:
        return None
    if date.tzinfo is None:  # RFC 9110 knows no dates but those in UTC
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.fromtimestamp(clock.time(), UTC)).total_seconds())


def _from_now(number: float, clock: Clock) -> float:
    """Return a number of seconds, or the time from now where it is a moment of about now."""
    now = clock.time()
    for moment in (number, number / 1000):  # some count milliseconds since the epoch
        if number > _WEEK and abs(moment - now) < _WEEK:
            return max(0.0, moment - now)
    return number


def _date(text: str) -> datetime | None:
    with suppress(ValueError):
        return datetime.fromisoformat(text)
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - rarely needed, and slow to import

    with suppress(ValueError):
        return parsedate_to_datetime(text)
    return None


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _status(value: Any) -> int | None:
    # Text may be a code of the library's own.
    if isinstance(value, int) and not isinstance(value, bool) and 100 <= value < 600:
        return int(value)
    return None


def _get(owner: Any, name: str) -> Any:
    try:
        return getattr(owner, name, None)
    except Exception:  # noqa: BLE001 - a property may raise anything, such as a warning
        return None
