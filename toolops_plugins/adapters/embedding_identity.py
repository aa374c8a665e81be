"""Identities of embedders: the values that tell one from others that might give other vectors."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from operator import is_
from typing import Any, NamedTuple

from pydantic import BaseModel, SecretBytes, SecretStr

from toolops_plugins.callables.digests import sha256
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import ConfigurationError, NotCanonicalError
from toolops_plugins.keys.canonical import Canon
from toolops_plugins.keys.signature import is_secret_name

__all__ = ["REACH_FIELDS", "SETTINGS", "LiveIdentity", "identity_parts"]

REACH_FIELDS = frozenset(
    (
        # How a call is watched, kept and tried.
        "cache", "callback_manager", "callbacks", "embeddings_cache", "max_retries", "rate_limiter",
        "request_timeout", "retry_max_seconds", "retry_min_seconds", "show_progress",
        "show_progress_bar", "timeout", "verbose",
        # How the texts travel, and where they are computed.
        "azure_ad_async_token_provider", "azure_ad_token_provider", "batch_size", "cache_folder",
        "device", "embed_batch_size", "keep_alive", "max_concurrency", "multi_process",
        "num_workers", "openai_proxy", "parallel_process", "proxies", "reuse_client",
        "target_devices", "user_agent", "validate_model_on_init",
        # Their settings are fields too.
        "aclient", "async_client", "async_http_client", "client", "http_async_client",
        "http_client", "session", "sync_client",
    )
)  # fmt: skip
"""Fields of embedders that change nothing in the vectors."""
SETTINGS = (str, int, float, Mapping)
"""Types of private attributes, and of fields that are not written down, that count."""
_STATE = (list, set, tuple, bytes)
"""Types of private values that are memories, not what the embedder is."""
_MOST_PARTS = 200
_CONTAINERS = (dict, list, tuple, set)
_ATOMS = frozenset((type(None), str, bytes, bool, int, float))


def identity_parts(
    fields: Mapping[str, Any],
    private: Mapping[str, Any],
    canon: Canon,
    *,
    is_named: bool,
    is_told: bool,
    option: str,
) -> dict[str, bytes]:
    """Return canonical bytes of an embedder's settings, by name.

    An object without a canonical form counts as itself, for as long as it lives; of private ones,
    such as clients and loaded models, only where no field names the model.

    Args:
        fields: The fields that count, but for secrets.
        private: All private attributes. Texts, numbers and mappings among them count.
        canon: Makes the canonical form.
        is_named: Whether a field names the model.
        is_told: Whether the user has given a name, which then stands for such objects.
        option: The adapter's parameter for that name.

    Raises:
        ConfigurationError: There is an object that cannot even be told from others of its kind.
    """
    parts: dict[str, bytes] = {}
    for name, value in fields.items():
        if isinstance(value, SecretStr | SecretBytes):
            continue
        parts[name] = canon.encode(_value_for_key(canon, name, value, option, is_told=is_told))
    for name, value in private.items():
        if value is None or is_secret_name(name):
            continue
        if isinstance(value, SETTINGS):
            parts[name] = canon.encode(_value_for_key(canon, name, value, option, is_told=is_told))
        elif not (is_told or is_named or isinstance(value, _STATE)):
            parts[name] = _itself(canon, name, value, option)
    return parts


def _value_for_key(canon: Canon, name: str, value: Any, option: str, *, is_told: bool) -> Any:
    """Return a setting for a key, without secrets and with objects inside of it as themselves."""
    if isinstance(value, Mapping):  # such as headers
        return {
            key: _value_for_key(canon, name, each, option, is_told=is_told)
            for key, each in value.items()
            if not is_secret_name(str(key).replace("-", "_"))
        }
    try:
        return canon.encode(value)
    except NotCanonicalError:
        if type(value) in (list, tuple):
            return [_value_for_key(canon, name, each, option, is_told=is_told) for each in value]
        return None if is_told else _itself(canon, name, value, option)


def _itself(canon: Canon, name: str, value: Any, option: str) -> bytes:
    try:
        return canon.receiver(value)
    except NotCanonicalError:
        raise ConfigurationError(
            option, f"is needed for this model: its {name} cannot be told from others"
        ) from None


class _Text(NamedTuple):
    """The content of a container as it can be compared later."""

    length: int
    content: str | None
    """None: the container is large, and only its length is compared."""


class _State(NamedTuple):
    """The state of an embedder for which an identity was made."""

    names: tuple[str, ...]
    values: tuple[Any, ...]
    texts: list[tuple[Any, _Text | None]]
    """The containers among the values, each with its text; None: it may change unnoticed."""
    parts: dict[str, bytes]
    digest: str


class LiveIdentity:
    """The identity of an embedder as it is set now. Thread-safe.

    It is made again when the embedder has changed. Users' classes may count and remember in their
    own attributes: what grows while the embedder works counts with the value that it had before.

    Args:
        model: The live embedder.
        make: Returns the parts of its identity.
        is_counting: Whether its class may count in its attributes.
    """

    def __init__(
        self, model: BaseModel, make: Callable[[], dict[str, bytes]], *, is_counting: bool
    ) -> None:
        self._model = model
        self._make = make
        self._is_counting = is_counting
        self._running = 0
        self._grown: dict[str, bytes | None] = {}
        self._lock = fork_safe(self, threading.Lock())
        self._known = self._state(*_attributes(model))

    def current(self) -> str:
        """Return the digest of the embedder's settings."""
        names, values = _attributes(self._model)
        known = self._known
        if _is_same(known, names, values):
            return known.digest
        with self._lock:
            return self._renew(names, values, is_own=self._running > 0)

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Note what the embedder changes by itself while it works in this block."""
        with self._lock:
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                names, values = _attributes(self._model)
                if not _is_same(self._known, names, values):
                    self._renew(names, values, is_own=True)

    def reset_after_fork(self) -> None:
        """Forget the calls of the parent, which do not end here; for a forked child."""
        self._running = 0

    def _renew(self, names: tuple[str, ...], values: tuple[Any, ...], *, is_own: bool) -> str:
        """Make the identity again, and return its digest; under the lock."""
        known = self._known
        texts = {id(each): text for each, text in known.texts}
        before = dict(zip(known.names, known.values, strict=True))
        for name, value in zip(names, values, strict=True):
            old = before.get(name)
            text, now = texts.get(id(old)), _text(value) if _is_container(value) else None
            if (old is value or _is_equal(old, value)) and text == now:
                continue
            if is_own and self._is_counting and _is_growth(name, old, value, text, now):
                self._grown.setdefault(name, known.parts.get(name))
            else:
                self._grown.pop(name, None)
        self._known = self._state(names, values)
        return self._known.digest

    def _state(self, names: tuple[str, ...], values: tuple[Any, ...]) -> _State:
        # The texts before the parts, so that a change in between is noticed at the next call.
        texts = [(each, _text(each)) for each in values if _is_container(each)]
        parts = {**self._make(), **self._grown}
        kept = {name: part for name, part in parts.items() if part is not None}
        whole = b"".join(
            b"%d:%b%d:%b" % (len(name.encode()), name.encode(), len(part), part)
            for name, part in sorted(kept.items())
        )
        return _State(
            names, values, texts, kept, sha256(whole).hex()
        )  # a text, as keys are memoized


def _attributes(model: BaseModel) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Return the names and values of a model's fields, extra values and private attributes."""
    fields = vars(model)
    extra = model.__pydantic_extra__ or {}
    private = model.__pydantic_private__ or {}
    return (*fields, *extra, *private), (*fields.values(), *extra.values(), *private.values())


def _is_same(known: _State, names: tuple[str, ...], values: tuple[Any, ...]) -> bool:
    return (
        names == known.names
        and all(map(is_, values, known.values))
        and all(text is not None and _text(each) == text for each, text in known.texts)
    )


def _is_container(value: Any) -> bool:
    return isinstance(value, _CONTAINERS)


def _is_equal(old: Any, new: Any) -> bool:
    return type(old) is type(new) and type(old) in _ATOMS and bool(old == new)


def _is_growth(name: str, old: Any, new: Any, before: _Text | None, now: _Text | None) -> bool:
    """Return whether a change is one that counters and memories make."""
    if old is None:  # what is loaded when it is first needed
        return name.startswith("_")
    if isinstance(old, bool) or isinstance(new, bool):
        return False
    if isinstance(old, int | float) and isinstance(new, int | float):
        return new > old
    if before is None or now is None or type(old) is not type(new):
        return False
    if before.content is None or now.content is None or isinstance(new, set):
        return now.length > before.length
    return now.length > before.length and now.content.startswith(before.content[:-1])


def _text(container: Any) -> _Text | None:
    """Return the content of a container, or None where it holds anything but plain values."""
    pending: list[Any] = [container]
    for part in pending:  # which grows meanwhile
        if len(pending) > _MOST_PARTS:
            return _Text(len(container), None)
        kind = type(part)
        if kind is dict:
            pending += part.keys()
            pending += part.values()
        elif kind in (list, tuple, set):
            pending += part
        elif kind not in _ATOMS:
            return None
    return _Text(len(container), repr(container))
