"""Functions and credentials in a model's identity: what they do is not known, only which they are.

A function that gives a token, signs requests or changes them has no canonical form. Within a
process the same object stands for the same credentials, so it counts as itself for as long as it
lives. Processes share what it stands for only by a name that the user gives it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import lru_cache, partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from toolops_plugins.errors import NotCanonicalError
from toolops_plugins.keys.canonical import Canon
from toolops_plugins.keys.identity_tokens import IDENTITIES
from toolops_plugins.keys.signature import is_secret_name
from toolops_plugins.policy import NOTHING

__all__ = ["LiveValues", "is_credential_name", "may_add"]

_FUNCTIONS = (FunctionType, MethodType, BuiltinFunctionType, partial)
_SINGLE_USE = (Iterator, AsyncIterator, Awaitable)
_ATOMS = frozenset((type(None), str, bytes, bool, int, float))
_PLAIN = frozenset((str, bool, int, float))
"""Types of values that count as they are wherever they stand, as ``SETTINGS`` says."""
_NAME = "__toolops_key__"
_GETTER = re.compile(
    r"_(?:provider|source|getter|factory|supplier|function|func|fn|callback|callable)s?$"
)
_OTHERS = re.compile(r"(?:^|_)(?:auth|signer|interceptor)$")
_PLAIN_HEADERS = frozenset(("accept", "accept-encoding", "connection", "user-agent"))
_PLAIN_CLIENTS = ("httpx", "openai")
"""Packages whose own classes of clients and transports add nothing to a request."""


@lru_cache(maxsize=1_024)
def is_credential_name(name: str) -> bool:
    """Return whether a field of this name holds credentials, or what gives or adds them."""
    return bool(_OTHERS.search(name)) or is_secret_name(_GETTER.sub("", name))


def may_add(name: str, value: Any, *, hidden: bool = False) -> bool:
    """Return whether an attribute that is mostly a client may add something to requests.

    Args:
        name: Its name.
        value: Its value.
        hidden: As for :meth:`LiveValues.added`.
    """
    if _is_http_client(value):
        return True
    if isinstance(value, _SINGLE_USE):
        return False
    return is_credential_name(name) or (not hidden and isinstance(value, _FUNCTIONS))


class LiveValues:
    """Makes values that count by what they are, while the identity of one model is made.

    Args:
        canon: Makes the canonical form.
        tell: Takes the place of a value that counts in this process alone.
    """

    def __init__(self, canon: Canon, tell: Callable[[str], None]) -> None:
        self._canon = canon
        self._tell = tell
        self._place: tuple[type, str] = type(None), ""

    def identity_of(self, kind: type, name: str, make: Callable[[Any], Any], value: Any) -> Any:
        """Return what an attribute of a model counts as.

        Args:
            kind: The class of the model.
            name: The name of the attribute.
            make: Makes it.
            value: The value, which ``make`` is called with unless it is plain.

        Raises:
            NotCanonicalError: It cannot be told from others; the error names the attribute.
        """
        if type(value) in _PLAIN:
            return value
        before, self._place = self._place, (kind, name)
        try:
            return make(value)
        except _UnknownFieldError:
            raise
        except Exception as error:
            raise _unknown_field(kind, name, error) from error
        finally:
            self._place = before

    def arguments_of(
        self, kind: type, given: Mapping[str, Any], make: Callable[[Any], Any]
    ) -> dict[str, Any]:
        """Return what the arguments of a call count as, by name.

        Args:
            kind: The class of the model.
            given: The arguments.
            make: Makes a value that has a canonical form.

        Raises:
            NotCanonicalError: One cannot be told from others; the error names it.
        """
        encode = self._canon.encode
        if not given:
            return {}

        def encoded(value: Any) -> bytes:
            return encode(make(value))

        return {name: self.identity_of(kind, name, encoded, each) for name, each in given.items()}

    def replace(self, value: Any) -> Any:
        """Return what a value counts as, or NOTHING for one that counts as it is.

        Raises:
            NotCanonicalError: It cannot be told from others.
        """
        kind = type(value)
        if kind in _ATOMS or kind is list or kind is tuple or isinstance(value, Mapping):
            return NOTHING
        if isinstance(value, _FUNCTIONS):
            return self._function(value)
        if _is_http_client(value):
            return self._http_client(value)
        if isinstance(value, type) or not (callable(value) or self.is_at_credentials):
            return self._canon.encode(value)  # here, where an error knows of the attribute
        return self._object(value)

    def added(self, value: Any, *, hidden: bool = False) -> Any:
        """Return what an attribute that is mostly a client adds to requests, or NOTHING.

        Args:
            value: The value of a field that the class does not write down, or of a private one.
            hidden: Whether it is private, so that functions need the name of credentials to count.
        """
        if not may_add(self._place[1], value, hidden=hidden):
            return NOTHING
        if _is_http_client(value):
            found = self._http_client(value)
            return found if any(found) else NOTHING
        return self.replace(value)

    @property
    def is_at_credentials(self) -> bool:
        """True if the attribute holds credentials, by its name."""
        return is_credential_name(self._place[1])

    def _function(self, function: Any) -> Any:
        name = getattr(function, _NAME, NOTHING)
        if isinstance(function, MethodType):
            owner = function.__self__
            inner = function.__func__
            place = [getattr(inner, "__module__", ""), getattr(inner, "__qualname__", "")]
            try:
                return ["method", self._canon.encode(owner), place]
            except Exception:  # noqa: BLE001 - of users' classes
                if name is NOTHING:
                    return ["method", self._itself(owner), place, self._itself(inner)]
        if name is NOTHING:
            return ["function", self._itself(function)]
        return ["name", self._canon.encode(name() if callable(name) else name)]

    def _object(self, value: Any) -> Any:
        try:
            return self._canon.encode(value)
        except NotCanonicalError:
            if isinstance(value, _SINGLE_USE):
                raise
        itself = self._canon.receiver(value)
        self._tell_place()
        return ["object", itself]

    def _itself(self, value: Any) -> bytes:
        token = IDENTITIES.token_of(value)
        self._tell_place()
        return token

    def _tell_place(self) -> None:
        kind, name = self._place
        self._tell(f"{kind.__name__}.{name}")

    def _http_client(self, client: Any) -> list[Any]:
        """Return what a client of httpx adds to the requests of whoever uses it."""
        kind: Any = type(client)
        headers = {n: v for n, v in client.headers.items() if n not in _PLAIN_HEADERS}
        hooks = {
            event: [self._function_or_object(each) for each in functions]
            for event, functions in client.event_hooks.items()
            if functions
        }
        transports = [getattr(client, "_transport", None), *getattr(client, "_mounts", {}).values()]
        return [
            None if _is_plain(kind) else kind,
            headers,
            dict(client.cookies),
            list(client.params.multi_items()),
            hooks,
            self._auth(client.auth),
            [self._object(each) for each in transports if not _is_plain(type(each))],
        ]

    def _function_or_object(self, value: Any) -> Any:
        return self._function(value) if isinstance(value, _FUNCTIONS) else self._object(value)

    def _auth(self, auth: Any) -> Any:
        if auth is None:
            return None
        state = getattr(auth, "__dict__", {})
        function = state.get("_func")
        if _is_plain(type(auth)) and state:
            if function is not None:
                return self._function_or_object(function)
            if all(isinstance(each, str | bytes) for each in state.values()):
                return [type(auth).__name__, dict(state)]
        return self._object(auth)


def _is_http_client(value: Any) -> bool:
    httpx = sys.modules.get("httpx")
    return httpx is not None and isinstance(value, httpx.Client | httpx.AsyncClient)


def _is_plain(kind: type) -> bool:
    return kind is type(None) or kind.__module__.partition(".")[0] in _PLAIN_CLIENTS


class _UnknownFieldError(NotCanonicalError):
    """An attribute of a model cannot be told from others."""


def _unknown_field(owner: type, name: str, error: Exception) -> _UnknownFieldError:
    """Return the error that names the class of a model and its attribute.

    Args:
        owner: The class of the model.
        name: The name of the attribute.
        error: The reason.
    """
    place = f"{owner.__name__}.{name}"
    text = f"{place}: {error}" if isinstance(error, NotCanonicalError) else place
    kind = getattr(error, "kind", "") or type(error).__name__
    return _UnknownFieldError(text, kind=f"{kind} in {place}")
