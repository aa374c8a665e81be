"""A namespace in Redis as it can be seen and changed from outside the processes that use it.

What a process keeps in its own memory nobody else can see; but it hears of what is cleared or
invalidated here, as it would from another process.
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

_PATIENCE = 5.0  # seconds; unlike an application, somebody who asks would rather wait


class _Unread(Codec):
    """Takes what is kept as it is: an entry has times and tags, whatever types its value needs."""

    def load(self, codec_id: str, data: bytes) -> Payload:
        return Payload(codec_id, data)


class RedisNamespace:
    """One namespace in one Redis. Not thread-safe.

    Args:
        url: Where; see :class:`~toolops_plugins.cache.redis.Redis`.
        namespace: The namespace.
        secret: The secret of those who use it. None: they have none.
        encrypt: Whether they encrypt with a key that is derived from it.

    Raises:
        ConfigurationError: The URL is wrong.
    """

    def __init__(
        self, url: str, namespace: str, secret: str | None = None, *, encrypt: bool = False
    ) -> None:
        self._url = url
        self.namespace = namespace
        self._codec = _Unread()
        self._secret = check.secret("TOOLOPS_SECRET", secret or None)
        self._encrypt = encrypt
        self._envelope = Envelope(self._codec, self._secret, cipher=_cipher(self._secret))
        self._tiers: dict[str, Redis] = {}
        # A runtime gives labels by position. Where Redis has none, this one finds nothing.
        self.any = self._tier("L2")
        self.place = str(parse(url))
        """Where, without user and password."""

    def _tier(self, label: str) -> Redis:
        tier = self._tiers.get(label)
        if tier is None:
            tier = Redis(
                self._url, label=label, socket_timeout=_PATIENCE, connect_timeout=_PATIENCE
            )
            tier.bind(self.namespace, self._envelope, SYSTEM_CLOCK, label)
            self._tiers[label] = tier
        return tier

    def survey(self, seconds: float | None = None) -> Survey:
        """Tell what is kept, by tier.

        Args:
            seconds: When to stop. Default None: at the end.

        Raises:
            TierError: Redis could not be reached, or refused.
        """
        return self.any.survey(seconds)

    def _tiers_with_entries(self) -> dict[str, Redis]:
        """Return the tiers that keep anything: others may be labelled otherwise than ours."""
        labels = sorted(self.any.survey(measure=False).tiers)
        return {label: self._tier(label) for label in labels}

    def clear(self) -> list[str]:
        """Forget everything, in every process; return the labels of the tiers that held something.

        Raises:
            TierError: Redis could not be reached, or refused.
        """
        return self._change(Redis.clear, everything=True)

    def invalidate(self, tags: Iterable[str]) -> list[str]:
        """Forget what carries one of the tags, in every process; return labels as :meth:`clear`.

        Raises:
            TierError: Redis could not be reached, or refused.
        """
        names = list(tags)
        return self._change(lambda tier: tier.invalidate(names), names)

    def tags_in_use(self, tags: Iterable[str]) -> list[str]:
        """Return those of the tags under which a tier may keep something.

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
            ConfigurationError: The secret is not that of what is kept.
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
        # Farthest first, as a runtime does: a call in between could fill the near from the far.
        for tier in reversed(found.values()):
            change(tier)
        messages = None
        if self._secret is not None:
            cipher = _cipher(self._secret) if self._encrypt else None
            # They are told when it began, since what is newer than that is good.
            messages = SignedMessages(self._secret, self.any.channel, cipher, clock=lambda: began)
        bus = Bus(self.any, lambda *_: None, messages=messages)
        bus.publish((), list(tags), everything=everything)
        return list(found)

    def inspect(self, key: bytes) -> dict[str, dict[str, Any]]:
        """Tell what each tier that keeps anything has under a key; durations in seconds.

        Nothing is executed: what is kept is data, and types of the user's are not known here.

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
        # Whether its tags are still good, and its time has not come, is the tier's to say.
        served = key in tier.get_many([key])
        now = tier.now()
        state = "void" if not served else "fresh" if now < entry.fresh_until else "stale"
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
        """Return the value as what JSON knows; of types that are not known here, as it is kept."""
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
    """Return what reads entries that are encrypted, if that is possible here."""
    if secret is None:
        return None
    try:
        return Cipher([secret])
    except ConfigurationError:  # the package is missing; then they are shown as what they are
        return None


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple | set | frozenset) else str(value)


def _finite(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) else None


def key_bytes(text: str) -> bytes:
    """Return a key from its hexadecimal form.

    Raises:
        ConfigurationError: It is none.
    """
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32 or len(text) != 64:
        raise ConfigurationError(
            "KEY", f"must be 64 hexadecimal digits, as tool.key(...) gives, not {text[:80]!r}"
        )
    return key
