"""The exceptions of the core, as a tree.

::

    ToolOpsError
    ├── ConfigurationError          (also ValueError)   a policy or runtime is configured wrongly
    ├── Rejected                                        a policy decided not to make the call
    │   ├── CircuitOpen                                 its circuit breaker is open
    │   ├── RateLimited                                 its rate limit is exhausted
    │   ├── BulkheadFull                                its bulkhead and queue are full
    │   └── ThreadPoolFull                              no thread became free for it in time
    ├── CallTimeout                 (also TimeoutError) the call took too long
    │   ├── AttemptTimeout                              one attempt did
    │   ├── TotalTimeout                                all attempts and waits together did
    │   └── DeadlineExceeded                            this caller's deadline passed
    ├── NotCanonicalError           (also TypeError)    an argument has no canonical form, so no key
    ├── CodecError                                      encoding or decoding failed
    │   ├── NotEncodableError       (also TypeError)    no codec takes this value
    │   │   └── TooLargeError                           it has more bytes than are stored
    │   ├── UnknownFormatError                          stored bytes of an unknown format or codec
    │   └── TamperedError                               stored bytes with a wrong signature
    └── TierError                                       a cache tier failed
        └── EmbeddingError                              an embedder failed, or returned no embedding

Of these only ``ConfigurationError``, ``Rejected`` and ``CallTimeout`` reach the caller of a wrapped
function, and of these none from the semantic cache. The others are caught inside and become events:
trouble with a cache is a miss. When retries are exhausted the caller gets the function's own last
error, unwrapped.
"""

from __future__ import annotations

from typing import Any, Self

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
    """Base of all exceptions of this library.

    They keep their attributes when they are pickled or copied. By default Python would call the
    class with ``args``, which these classes do not take; an exception that cannot be unpickled
    hangs ``multiprocessing.Pool`` and breaks ``ProcessPoolExecutor``.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _make, (type(self), self.args), self.__dict__ or None


class ConfigurationError(ToolOpsError, ValueError):
    """A policy or a runtime is configured wrongly.

    Args:
        parameter: The name of the wrong parameter.
        problem: The problem, and what to do about it.
    """

    def __init__(self, parameter: str, problem: str) -> None:
        super().__init__(f"{parameter}: {problem}")
        self.parameter = parameter
        self.problem = problem


class Rejected(ToolOpsError):  # noqa: N818 - a name of the public interface
    """The call was not made, by a policy's decision. It does not count as a failure of the callee.

    Args:
        message: The reason.
        retry_after: Seconds after which a new call has a chance. None: unknown.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CircuitOpen(Rejected):
    """The circuit breaker of this call is open.

    The message says for how long, and names the type of the last failure. The text of the failure
    is in ``cause`` only, since it may reveal another caller's data.

    Args:
        message: The reason.
        retry_after: Seconds after which a new call has a chance. None: unknown.
        cause_type: The name of the type of the last counted failure, or None.
        cause: The text of that failure, at most 500 characters; or None.
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
    """The rate limit of this call is exhausted, and its policy does not wait (that long)."""


class BulkheadFull(Rejected):
    """All places of the bulkhead are taken, and its queue is full."""


class ThreadPoolFull(Rejected):
    """No thread became free for the call in time; the message says which tools hold them.

    A runtime has ``max_threads`` threads, of which one tool gets no more than it leaves to others.
    """


class CallTimeout(ToolOpsError, TimeoutError):  # noqa: N818 - as above
    """The call took longer than its time limit.

    Args:
        message: The reason.
        seconds: The time limit in seconds.
    """

    def __init__(self, message: str, *, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class AttemptTimeout(CallTimeout):
    """One attempt took longer than ``Timeout(attempt=...)``; this is a failure of the callee."""


class TotalTimeout(CallTimeout):
    """Attempts and waits together took longer than ``Timeout(total=...)``."""


class DeadlineExceeded(CallTimeout):
    """The caller's own deadline passed; the work goes on for other callers that wait for it."""


class NotCanonicalError(ToolOpsError, TypeError):
    """An argument has no canonical form, so the call has no key and bypasses the cache.

    Args:
        text: The message.
        kind: The name of the type that has none. Default "": it is unknown.

    Attributes:
        argument: The parameter; "*" or "**" before the name of one that takes the rest, "self." for
            the object of a method, "key=" or "tenant=" for what such a function returned, "model."
            for a guarded model and what it is asked; "" if it is unknown.
    """

    kind = ""
    argument = ""

    def __init__(self, text: str = "", *, kind: str = "") -> None:
        super().__init__(text)
        if kind:
            self.kind = kind


class CodecError(ToolOpsError):
    """A value could not be encoded, or stored bytes could not be decoded."""


class NotEncodableError(CodecError, TypeError):
    """No registered codec takes this value; it is returned to the caller and not stored.

    Attributes:
        place: The path in the value, such as ``$.items[3]``, without the user's data.
        problem: The type that no codec takes, or another short reason, without the user's data.
        read_once: Whether the value can be read once only, as a generator or a file, so that no
            codec can ever take it.
    """

    place = "$"
    problem = "it"
    read_once = False


class TooLargeError(NotEncodableError):
    """The encoded value exceeds ``max_value_bytes``, or would need too much memory when decoded."""


class UnknownFormatError(CodecError):
    """Stored bytes have a format, codec or type that this process does not know."""


class TamperedError(CodecError):
    """Stored bytes have no signature, or a wrong one, although a secret is configured."""


class TierError(ToolOpsError):
    """A cache tier was unreachable or too slow, or refused; the call goes on without it.

    Attributes:
        notice: The kind of the notice that tells of it.
        problem: The cause in a few words of this library, without those of a server; "" if the type
            of the error says it.
    """

    notice = "tier_failed"
    problem = ""

    @classmethod
    def of(cls, text: str, problem: str) -> Self:
        """Return an error with its text and its ``problem``."""
        error = cls(text)
        error.problem = problem
        return error


class EmbeddingError(TierError):
    """An embedder failed or did not return an embedding; for a call this is a miss."""
