"""The HTTP status and the retry delay that an exception reports.

No client is imported. Errors of httpx, requests, aiohttp, urllib, botocore, gRPC, google-api-core
and of clients built on them are recognized by the names of their attributes.
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
"""HTTP statuses, or None, of errors that a used up limit can explain."""
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
"""HTTP statuses for gRPC's, as in google.rpc.Code; all others are the server's fault."""


def iter_chain(
    error: BaseException, outside: BaseException | None = None
) -> Iterator[BaseException]:
    """Yield an exception and its causes and contexts, at most ten.

    Args:
        error: The exception.
        outside: An exception that was handled before the call was made, and has nothing to do with
            it: the chain ends there. Default None.
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

    The attributes are ``status_code``, ``status`` and ``http_status``, of the object itself and of
    its ``response``; botocore's ``response["ResponseMetadata"]["HTTPStatusCode"]``; ``code`` where
    there are also headers or a response; and ``code()`` of gRPC.

    Example:
        >>> import urllib.error
        >>> status_of(urllib.error.HTTPError("http://x", 404, "not found", {}, None))
        404
    """
    response = _attribute(error, "response")
    for owner in (error, response):
        for name in ("status_code", "status", "http_status"):
            status = _valid_status(_attribute(owner, name))
            if status is not None:
                return status
    if isinstance(response, Mapping):
        metadata = response.get("ResponseMetadata")
        if isinstance(metadata, Mapping):
            return _valid_status(metadata.get("HTTPStatusCode"))
    code = _attribute(error, "code")
    if callable(code) and callable(_attribute(error, "details")):
        with suppress(Exception):
            return _GRPC.get(code().name)
    if response is not None or _attribute(error, "headers") is not None:
        return _valid_status(code)
    return None


def retry_after(
    outcome: Any, clock: Clock = SYSTEM_CLOCK, outside: BaseException | None = None
) -> float | None:
    """Return the seconds that a server asks its client to wait, or None.

    The outcome itself is read first, then the exceptions from which it was raised. Of a group the
    longest wait counts. An object may name a wait by

    - ``retry_after``: a number, a timedelta, or text as in the header;
    - the headers of its ``response``, or its own: a mapping, pairs, or gRPC's trailing metadata, of
      text or bytes. The header ``retry-after-ms`` (OpenAI, Azure) precedes ``Retry-After`` (RFC
      9110, section 10.2.3). Where neither is present and the status is that of a limit, the
      longest reset of a limit with nothing remaining counts: ``x-ratelimit-reset-requests``
      (OpenAI), ``anthropic-ratelimit-tokens-reset``, ``x-ratelimit-reset`` (GitHub), and so on;
    - ``retry_delay`` or ``retryDelay`` (google.rpc.RetryInfo), its own or in its details.

    Times are seconds, durations such as "6m0s" or "88ms", HTTP dates, ISO 8601, or seconds since
    the epoch. Anything else is ignored.

    Args:
        outcome: An exception, or a response.
        clock: The clock that dates are compared with.
        outside: As in :func:`iter_chain`.

    Returns:
        Seconds, 0 or more (``math.inf`` for a number too large for a float), or None.

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
        return _own_delay(outcome, clock)
    for error in iter_chain(outcome, outside):
        if isinstance(error, BaseExceptionGroup) and depth:
            asked = (_retry_after(leaf, clock, outside, depth - 1) for leaf in iter_leaves(error))
            wait = max((each for each in asked if each is not None), default=None)
        else:
            wait = _own_delay(error, clock)
        if wait is not None:
            return wait
    return None


def _own_delay(outcome: Any, clock: Clock) -> float | None:
    try:
        wait = _seconds(getattr(outcome, "retry_after", None), clock)
        if wait is not None:
            return wait
        for headers in _all_headers(outcome):
            if headers is None:
                continue
            found = _lower_names(headers)
            wait = _from_headers(found, clock)
            if wait is None and status_of(outcome) in _LIMITED:
                wait = _longest_reset(found, clock)
            if wait is not None:
                return wait
        return _from_details(outcome, clock)
    except Exception:  # noqa: BLE001 - a user's property may raise anything
        return None


def _all_headers(outcome: Any) -> Iterator[Any]:
    response = _attribute(outcome, "response")
    if isinstance(response, Mapping):
        metadata = response.get("ResponseMetadata")
        if isinstance(metadata, Mapping):
            yield metadata.get("HTTPHeaders")
        yield response.get("headers")
    yield _attribute(response, "headers")
    yield _attribute(outcome, "headers")
    trailing = _attribute(outcome, "trailing_metadata")
    if callable(trailing):
        yield trailing()


def _lower_names(headers: Any) -> dict[str, str]:
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
            found.setdefault(_decode(name).strip().lower(), _decode(value))
    return found


def _from_headers(headers: Mapping[str, str], clock: Clock) -> float | None:
    for name in ("retry-after-ms", "x-ms-retry-after-ms", "grpc-retry-pushback-ms"):
        milliseconds = headers.get(name, "").strip()
        if _NUMBER.fullmatch(milliseconds):
            return float(milliseconds) / 1000
    return _seconds(headers.get("retry-after"), clock)


def _longest_reset(headers: Mapping[str, str], clock: Clock) -> float | None:
    """Return the longest reset of limits with nothing remaining, or of all if none says so."""
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
    wait = _delay(_attribute(outcome, "retry_delay"), clock)
    if wait is not None:
        return wait
    parts = (_attribute(outcome, name) for name in ("details", "body"))
    waiting = [part for part in parts if part is not None]
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
            wait = _delay(_attribute(item, "retry_delay"), clock)
        if wait is not None:
            return wait
    return None


def _delay(value: Any, clock: Clock) -> float | None:
    if value is None:
        return None
    if isinstance(value, Mapping):
        seconds, nanos = value.get("seconds", 0), value.get("nanos", 0)
    elif hasattr(value, "seconds") and hasattr(value, "nanos"):
        seconds, nanos = value.seconds, value.nanos
    else:
        return _seconds(value, clock)
    return _seconds(float(seconds) + float(nanos) / 1e9, clock)


def _seconds(value: Any, clock: Clock) -> float | None:
    if value is None:
        return None
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bytes):
        value = _decode(value)
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
    if date.tzinfo is None:  # dates of RFC 9110 are in UTC
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.fromtimestamp(clock.time(), UTC)).total_seconds())


def _from_now(number: float, clock: Clock) -> float:
    """Return a number of seconds, or the time until it where it is a moment of about now."""
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


def _decode(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _valid_status(value: Any) -> int | None:
    # A text may be a code of the library itself.
    if isinstance(value, int) and not isinstance(value, bool) and 100 <= value < 600:
        return int(value)
    return None


def _attribute(owner: Any, name: str) -> Any:
    try:
        return getattr(owner, name, None)
    except Exception:  # noqa: BLE001 - a property may raise anything, such as a warning
        return None
