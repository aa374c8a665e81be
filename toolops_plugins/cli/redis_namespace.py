"""Access to a namespace in Redis from outside the processes that use it.

The memory of these processes cannot be inspected, but they receive the invalidations that are made
here, as they would from any other process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import orjson

from toolops_plugins import check
from toolops_plugins.cache.entry import Entry
from toolops_plugins.cache.envelope import Envelope
from toolops_plugins.cache.invalidation_bus import Bus
from toolops_plugins.cache.invalidation_messages import SignedMessages
from toolops_plugins.cache.redis import Redis
from toolops_plugins.cache.redis.signed_commands import own_tags
from toolops_plugins.cache.redis.survey import Survey
from toolops_plugins.cache.redis.url import parse
from toolops_plugins.clock import SYSTEM_CLOCK
from toolops_plugins.codec import Codec, Payload
from toolops_plugins.codec.encryption import Cipher
from toolops_plugins.errors import CodecError, ConfigurationError, TamperedError, TierError

__all__ = ["RedisNamespace", "key_bytes"]

_TIMEOUT = 5.0  # seconds; longer than an application's, because a person would rather wait


class _RawCodec(Codec):
    """A codec that does not decode values, whose types may be unknown here."""

    def load(self, codec_id: str, data: bytes) -> Payload:
        return Payload(codec_id, data)


class RedisNamespace:
    """A namespace in Redis. Not thread-safe.

    Args:
        url: The servers; see :class:`~toolops_plugins.cache.redis.Redis`.
        namespace: The namespace.
        secret: The secret of the processes that use the namespace. Default None: they have none.
        encrypt: Whether these processes encrypt. Default False.

    Raises:
        ConfigurationError: The URL or the secret is invalid.
    """

    def __init__(
        self, url: str, namespace: str, secret: str | None = None, *, encrypt: bool = False
    ) -> None:
        self._url = url
        self.namespace = namespace
        self._codec = _RawCodec()
        self._secret = check.secret("TOOLOPS_SECRET", secret or None)
        self._encrypt = encrypt
        self._envelope = Envelope(self._codec, self._secret, cipher=_cipher(self._secret))
        self._tiers: dict[str, Redis] = {}
        # For operations on the whole namespace any label will do; L2 is the usual one.
        self.any = self._tier("L2")
        self.place = str(parse(url))
        """The URL, without user and password."""

    def _tier(self, label: str) -> Redis:
        tier = self._tiers.get(label)
        if tier is None:
            tier = Redis(self._url, label=label, socket_timeout=_TIMEOUT, connect_timeout=_TIMEOUT)
            tier.bind(self.namespace, self._envelope, SYSTEM_CLOCK, label)
            self._tiers[label] = tier
        return tier

    def survey(self, seconds: float | None = None) -> Survey:
        """Count the keys of the namespace, by tier.

        Args:
            seconds: Time limit in seconds. Default None: no limit.

        Raises:
            TierError: Redis could not be reached, or refused.
        """
        return self.any.survey(seconds)

    def _tiers_with_entries(self) -> dict[str, Redis]:
        """Return the tiers that have keys, by label."""
        labels = sorted(self.any.survey(measure=False).tiers)
        return {label: self._tier(label) for label in labels}

    def clear(self) -> list[str]:
        """Delete all entries, in every process; return the labels of the tiers that had entries.

        Raises:
            TierError: Redis could not be reached, or refused.
        """
        return self._change(Redis.clear, everything=True)

    def invalidate(self, tags: Iterable[str]) -> list[str]:
        """Delete the entries with one of the tags, in every process; return as :meth:`clear`.

        Raises:
            TierError: Redis could not be reached, or refused.
        """
        names = list(tags)
        return self._change(lambda tier: tier.invalidate(names), names)

    def tags_in_use(self, tags: Iterable[str]) -> list[str]:
        """Return the tags that are in use in some tier.

        Raises:
            TierError: Redis could not be reached, or refused.
        """
        names = list(dict.fromkeys(tags))
        known = {tag for tier in self._writable_tiers().values() for tag in tier.tags_in_use(names)}
        return [tag for tag in names if tag in known]

    def _writable_tiers(self) -> dict[str, Redis]:
        """Return the tiers with entries, if this secret may change them.

        Processes with another secret would ignore the change.

        Raises:
            ConfigurationError: The secret does not fit the stored entries.
        """
        found = self._tiers_with_entries()
        for tier in found.values():
            if (problem := tier.secret_problem()) is not None:
                raise ConfigurationError("TOOLOPS_SECRET", problem)
        return found

    def _change(
        self, change: Callable[[Redis], None], tags: Iterable[str] = (), *, everything: bool = False
    ) -> list[str]:
        began = SYSTEM_CLOCK.time()
        found = self._writable_tiers()
        # Farthest first, as a runtime does. Otherwise a call in between could fill the near tier
        # from the far one.
        for tier in reversed(found.values()):
            change(tier)
        messages = None
        if self._secret is not None:
            cipher = _cipher(self._secret) if self._encrypt else None
            # The message carries the start of the invalidation; newer entries stay valid.
            messages = SignedMessages(self._secret, self.any.channel, cipher, clock=lambda: began)
        bus = Bus(self.any, lambda *_: None, messages=messages)
        bus.publish((), list(tags), everything=everything)
        return list(found)

    def inspect(self, key: bytes) -> dict[str, dict[str, Any]]:
        """Return the facts about a key, by tier; durations are in seconds.

        No stored value is turned into an object of a user's type.

        Raises:
            TierError: Redis could not be reached.
        """
        return {
            label: self._inspect_tier(tier, key)
            for label, tier in self._tiers_with_entries().items()
        }

    def _inspect_tier(self, tier: Redis, key: bytes) -> dict[str, Any]:
        from redis import ResponseError  # noqa: PLC0415 - redis is imported on first use

        try:
            data, left = tier.raw(key)
        except TierError as error:
            if not isinstance(error.__cause__, ResponseError):
                raise
            return {"state": "unreadable", "problem": str(error.__cause__)}
        if data is None:
            return {"state": "absent"}
        found: dict[str, Any] = {"state": "deleted", "bytes": len(data), "seconds_left": left}
        if len(data) == 8:
            return found
        encrypted = self._envelope.is_encrypted(data[8:])
        try:
            entry, _ = self._envelope.open(key, data[8:])
        except CodecError as error:
            if encrypted and not isinstance(error, TamperedError):
                return found | {"state": "encrypted"}
            return found | {"state": "unreadable", "problem": f"{type(error).__name__}: {error}"}
        # The tier decides whether the entry is valid.
        is_valid = key in tier.get_many([key])
        now = tier.now()
        state = "void" if not is_valid else "fresh" if now < entry.fresh_until else "stale"
        fields = self._fields(entry, now)
        if encrypted:
            fields |= {"value": "encrypted", "tags": ["encrypted"], "codec": "encrypted"}
        return found | {"state": state, **fields}

    def _fields(self, entry: Entry, now: float) -> dict[str, Any]:
        return {
            "kind": entry.kind,
            "age": now - entry.created,
            "fresh_for": _finite(entry.fresh_until - now),
            "stale_for": _finite(entry.stale_until - now),
            "took": entry.took,
            "price": entry.price,
            "tags": list(own_tags(entry.tags)),
            "codec": entry.payload.codec,
            "value": self._value(entry),
        }

    def _value(self, entry: Entry) -> Any:
        """Return the value as JSON; in its stored form if its type is unknown here."""
        with suppress(CodecError, TypeError):
            if entry.kind != "error":
                value = self._codec.decode(entry.payload)
                return orjson.loads(
                    orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS)
                )
        return orjson.loads(self._codec.data(entry.payload))

    def close(self) -> None:
        """Release all connections."""
        for tier in self._tiers.values():
            tier.close()


def _cipher(secret: bytes | None) -> Cipher | None:
    """Return the cipher for encrypted entries, or None if they cannot be decrypted here."""
    if secret is None:
        return None
    try:
        return Cipher([secret])
    except ConfigurationError:  # the package is missing; entries are shown as "encrypted"
        return None


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple | set | frozenset) else str(value)


def _finite(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) else None


def key_bytes(text: str) -> bytes:
    """Return a key from its hexadecimal form.

    Raises:
        ConfigurationError: The text is not 64 hexadecimal digits.
    """
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32 or len(text) != 64:
        raise ConfigurationError(
            "KEY", f"must be 64 hexadecimal digits, as from tool.key(...), not {text[:80]!r}"
        )
    return key
