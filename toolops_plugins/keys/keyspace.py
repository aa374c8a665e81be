"""Keys of calls: digests of the tool, the arguments, the tenant and the namespace."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeAlias

from toolops_plugins.errors import ConfigurationError, NotCanonicalError
from toolops_plugins.keys.canonical import Canon

__all__ = ["Keyspace", "TenantLike"]

SCHEMA = 1
"""Version of the key format. A new version leaves every older entry unread."""

TenantLike: TypeAlias = ContextVar[Any] | Callable[[], Any] | str | None


class Keyspace:
    """The keys of one namespace: 32 bytes each, for one tenant at a time.

    A key is the SHA-256 of canonical bytes, or their HMAC-SHA-256 where a secret is given. With a
    secret, somebody who sees keys cannot test guesses of the arguments. Thread-safe.

    Args:
        namespace: The namespace of the runtime.
        canon: The canonical encoding.
        tenant: The source of the tenant, asked at every call: a context variable, a callable, a
            constant, or None. Default None.
        secret: Key of the HMAC, or None. Default None.

    Attributes:
        ask: Returns the tenant of this call; None: all calls have the same one.
        fixed: The canonical bytes of that one.

    Raises:
        ConfigurationError: ``tenant`` is none of these.
    """

    def __init__(
        self,
        namespace: str,
        canon: Canon,
        tenant: TenantLike = None,
        secret: bytes | None = None,
    ) -> None:
        # Late, since they load OpenSSL, in 3 ms.
        import hashlib  # noqa: PLC0415 - as it says
        import hmac  # noqa: PLC0415 - as it says

        self._sha256, self._hmac = hashlib.sha256, hmac.digest
        self.canon = canon
        self._secret = secret
        self._root = canon.encode(("toolops", SCHEMA, namespace))
        self.ask: Callable[[], Any] | None = None
        self.fixed = canon.encode(None)
        if isinstance(tenant, ContextVar):
            self.ask = partial(_value_of, tenant)
        elif callable(tenant):
            self.ask = tenant
        elif tenant is None or isinstance(tenant, str):
            self.fixed = canon.encode(tenant)
        else:
            raise ConfigurationError(
                "tenant",
                f"must be a ContextVar, a callable, a string or None, not {type(tenant).__name__}",
            )

    def prefix(self, name: str, version: str) -> bytes:
        """Return the canonical bytes at the beginning of every key of a tool."""
        return self._root + self.canon.encode((name, version))

    def tenant(self) -> bytes:
        """Return the canonical bytes of this call's tenant.

        Raises:
            NotCanonicalError: The tenant has no canonical form.
        """
        if self.ask is None:
            return self.fixed
        try:
            return self.canon.encode(self.ask())
        except NotCanonicalError as error:
            error.argument = "tenant="
            raise

    def digest(self, body: bytes) -> bytes:
        """Return the key for canonical bytes."""
        if self._secret is None:
            return self._sha256(body).digest()
        return self._hmac(self._secret, body, "sha256")


def _value_of(variable: ContextVar[Any]) -> Any:
    """Return the value of a context variable, its default included; None if it has neither."""
    try:
        return variable.get()
    except LookupError:
        return None
