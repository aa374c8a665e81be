"""Every exception of the core, drawn as the tree that it is.

::

    ToolOpsError
    ├── ConfigurationError          (also ValueError)   a policy or runtime was put together wrongly
    ├── Rejected                                        the call was not made, by our own decision
    │   ├── CircuitOpen                                 its circuit breaker is open
    │   ├── RateLimited                                 its rate limit is used up
    │   ├── BulkheadFull                                its bulkhead and queue are full
    │   └── ThreadPoolFull                              no thread became free for it in time
    ├── CallTimeout                 (also TimeoutError) the call took too long
    │   ├── AttemptTimeout                              one attempt did
    │   ├── TotalTimeout                                all attempts and waits together did
    │   └── DeadlineExceeded                            this caller would not wait longer
    ├── NotCanonicalError           (also TypeError)    an argument has no canonical form, so no key
    ├── CodecError                                      a value or stored bytes did not translate
    │   ├── NotEncodableError       (also TypeError)    no codec takes this value
    │   │   └── TooLargeError                           it has more bytes than are kept
    │   ├── UnknownFormatError                          bytes of a format or codec that is not ours
    │   └── TamperedError                               bytes whose signature does not fit
    └── TierError                                       a cache tier could not be reached or refused
        └── EmbeddingError                              an embedder failed, or gave no embedding

Of these only ``ConfigurationError``, ``Rejected`` and ``CallTimeout`` ever reach the caller of a
wrapped function. The others are raised and caught inside, and show up as events: trouble with a
cache is a miss. When retries are used up the caller gets the function's own last error, not a
wrapper round it.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AttemptTimeout",
    "BulkheadFull",
    "CallTimeout",
    "CircuitOpen",
    "CodecError",
    "ConfigurationError",
    "DeadlineExceeded",
    "EmbeddingError",
    "NotCanonicalError",
    "NotEncodableError",
    "RateLimited",
    "Rejected",
    "TamperedError",
    "ThreadPoolFull",
    "TierError",
    "TooLargeError",
    "ToolOpsError",
    "TotalTimeout",
    "UnknownFormatError",
]


def _make(kind: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    error = kind.__new__(kind)
    error.args = args
    return error


class ToolOpsError(Exception):
    """Base of everything that this library raises of its own.

    All of them survive pickling and copying with their attributes. Exceptions by default call their
    class with ``args`` then, which are not what these classes take: an exception that cannot be
    unpickled hangs ``multiprocessing.Pool`` and breaks ``ProcessPoolExecutor``.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _make, (type(self), self.args), self.__dict__ or None


class ConfigurationError(ToolOpsError, ValueError):
    """A policy or a runtime was put together wrongly.

    Args:
        parameter: The name of the offending parameter, as the user typed it.
        problem: What is wrong with it, and what would be right.
    """

    def __init__(self, parameter: str, problem: str) -> None:
        super().__init__(f"{parameter}: {problem}")
        self.parameter = parameter
        self.problem = problem


class Rejected(ToolOpsError):  # noqa: N818 - named for what happened, as in TimeoutError's kin
    """The call was not made, by our own decision; it never counts as a failure of the callee.

    Args:
        message: What was refused, and why.
        retry_after: Seconds after which a new call has a chance, or None if that is not known.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CircuitOpen(Rejected):
    """The circuit breaker of this call is open.

    The message says for how long, and names the type of the last failure. Its text stands only in
    ``cause``, since it may tell one caller of another's call.

    Args:
        message: What was refused, and why.
        retry_after: Seconds after which a new call has a chance, or None if that is not known.
        cause_type: Name of the type of the last failure that was counted, or None.
        cause: That failure's text, at most 500 characters, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        cause_type: str | None = None,
        cause: str | None = None,
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.cause_type = cause_type
        self.cause = cause


class RateLimited(Rejected):
    """The rate limit of this call is used up, and its policy says not to wait (that long)."""


class BulkheadFull(Rejected):
    """As many calls as the bulkhead admits are running, and its queue is full."""


class ThreadPoolFull(Rejected):
    """The call needs a thread, and none became free in its time; the message says who holds them.

    A runtime has ``max_threads`` threads, of which one tool gets no more than are left to others.
    """


class CallTimeout(ToolOpsError, TimeoutError):  # noqa: N818 - as above
    """The call took longer than it was given.

    Args:
        message: What ran out of time.
        seconds: The time that it had been given.
    """

    def __init__(self, message: str, *, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class AttemptTimeout(CallTimeout):
    """One attempt took longer than ``Timeout(attempt=...)``; this is a failure of the callee."""


class TotalTimeout(CallTimeout):
    """Attempts and waits together took longer than ``Timeout(total=...)``."""


class DeadlineExceeded(CallTimeout):
    """This caller's own deadline passed; the work goes on for others who wait for it."""


class NotCanonicalError(ToolOpsError, TypeError):
    """An argument has no canonical form, so the call has no key and bypasses the cache.

    Attributes:
        kind: The name of the type that has none, or "" where that is not known.
    """

    kind = ""


class CodecError(ToolOpsError):
    """A value could not be turned into bytes, or bytes into a value."""


class NotEncodableError(CodecError, TypeError):
    """No registered codec takes this value; it is returned to the caller and not stored.

    Attributes:
        place: The place in the value, such as ``$.items[3]``, without the value's own texts.
        problem: The type that no codec takes, or another short reason, without data too.
        read_once: Whether it can be read once only, such as a generator or a file, so that no codec
            can ever take it.
    """

    place = "$"
    problem = "it"
    read_once = False


class TooLargeError(NotEncodableError):
    """The encoded value has more than ``max_value_bytes``, or would take too much memory again."""


class UnknownFormatError(CodecError):
    """Stored bytes are not of a format, codec or type that this process knows."""


class TamperedError(CodecError):
    """Stored bytes carry no signature, or a wrong one, although a secret is configured."""


class TierError(ToolOpsError):
    """A cache tier could not be reached, was too slow or refused; the call goes on without it."""


class EmbeddingError(TierError):
    """An embedder failed, or returned something that is no embedding: to a call this is a miss."""
