"""Attribution of an exception to the callee, to the request or to its arguments.

An agent invents arguments: a ticker that does not exist says nothing about the service that was
asked. Four such errors must neither be retried nor open the circuit for everybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from toolops_plugins.policy.base import iter_leaves
from toolops_plugins.policy.error_details import iter_chain, retry_after, status_of

__all__ = ["Fault", "callee_failed", "fault_of"]

Fault: TypeAlias = Literal["callee", "request", "arguments"]
"""The party at fault.

- ``callee``: the callee is down, slow, overloaded, or its answer cannot be read.
- ``request``: the callee answered and refused this request.
- ``arguments``: the arguments are wrong; perhaps the callee was never reached.
"""

_MAY_PASS = frozenset((408, 409, 425, 429))
"""HTTP statuses of client errors that may pass by themselves."""
_ARGUMENTS = (ValueError, TypeError, LookupError)
_ARGUMENT_NAMES = frozenset(
    (
        "InvalidSchema",
        "InvalidURL",
        "MissingSchema",
        "MultipleInvalid",
        "ParamValidationError",
        "UnsupportedProtocol",
        "ValidationError",
    )
)
"""Classes of pydantic, jsonschema, requests, httpx, botocore and others."""
_THROTTLED = ("throttl", "toomanyrequests", "limitexceeded", "slowdown", "throughputexceeded")
"""Parts of AWS' error codes, which come with the status 400."""


def callee_failed(error: BaseException) -> bool:
    """Return whether an exception speaks against the callee; the default of ``on=``.

    It does not if it is a ``ValueError``, ``TypeError``, ``LookupError`` (such as ``KeyError``) or
    a validation error, or came with an HTTP status of the 4xx kind. It still does

    - with the statuses 408, 409, 425 and 429, a ``Retry-After``, or an AWS code for throttling;
    - if it is a JSON error, or bytes could not be decoded, since the callee sent them;
    - if it was raised from an ``OSError``, such as ``ConnectionError`` or ``TimeoutError``.

    A group of exceptions speaks against the callee if one of them does.

    Example:
        >>> callee_failed(ConnectionError("reset")), callee_failed(KeyError("no such ticker"))
        (True, False)
    """
    return fault_of(error) == "callee"


def fault_of(error: BaseException, outside: BaseException | None = None) -> Fault:
    """Return the party at fault for an exception, by the rules of :func:`callee_failed`.

    Args:
        error: The exception.
        outside: An exception that was being handled before the call was made. Default None.
    """
    if isinstance(error, BaseExceptionGroup):
        faults = {fault_of(leaf, outside) for leaf in iter_leaves(error)}
        return next(fault for fault in ("callee", "request", "arguments") if fault in faults)
    for each in iter_chain(error, outside):
        said = _by_answer(each)
        if said is not None:
            return said
    return _by_type(error)


def _by_answer(error: BaseException) -> Fault | None:
    """Return the fault that the answer, or the lack of one, shows; None without a sign."""
    status = status_of(error)
    if status is not None and 400 <= status < 500 and status not in _MAY_PASS:
        asked_back = retry_after(error) is not None or _is_throttled(error)
        return "callee" if asked_back else "request"
    if status is not None and (status >= 500 or status in _MAY_PASS):
        return "callee"
    names = {kind.__name__ for kind in type(error).__mro__}
    if "JSONDecodeError" in names or isinstance(error, UnicodeDecodeError):
        return "callee"
    if isinstance(error, OSError) and not names & _ARGUMENT_NAMES:
        return "callee"
    return "callee" if "ValidationError" in names and _is_json(error) else None


def _by_type(error: BaseException) -> Fault:
    if isinstance(error, _ARGUMENTS):
        return "arguments"
    names = {kind.__name__ for kind in type(error).__mro__}
    return "arguments" if names & _ARGUMENT_NAMES else "callee"


def _is_throttled(error: BaseException) -> bool:
    response: Any = getattr(error, "response", None)
    inner = response.get("Error") if isinstance(response, Mapping) else None
    code = inner.get("Code") if isinstance(inner, Mapping) else None
    return isinstance(code, str) and any(part in code.lower() for part in _THROTTLED)


def _is_json(error: BaseException) -> bool:
    """Return whether a validation error of pydantic's is about text that is no JSON."""
    try:
        found: Any = error.errors(include_url=False, include_context=False, include_input=False)  # type: ignore[attr-defined]  # duck-typed
        return any(each["type"] == "json_invalid" for each in found)
    except Exception:  # noqa: BLE001 - it is another library's ValidationError
        return False
