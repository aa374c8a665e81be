"""The cache tiers of a runtime: their notices, their invalidation, and other processes."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from toolops_plugins.cache.entry import Tier
from toolops_plugins.cache.memory import Memory
from toolops_plugins.cache.tiers import Tiers, class_problem, tier_list
from toolops_plugins.calls.plan import Shared
from toolops_plugins.errors import (
    ConfigurationError,
    NotEncodableError,
    TamperedError,
    TierError,
    TooLargeError,
)
from toolops_plugins.steps import (
    Flow,
    Io,
    as_tier_error,
    is_caller_error,
    tier_problem,
    trouble_kind,
)
from toolops_plugins.telemetry.events import Notice, NoticeKind

if TYPE_CHECKING:
    from toolops_plugins.cache.invalidation_bus import Bus
    from toolops_plugins.cache.invalidation_messages import Message
    from toolops_plugins.cache.redis import Redis
    from toolops_plugins.codec.encryption import Cipher
    from toolops_plugins.invalidation import History
    from toolops_plugins.resilience.breaker import Breaker
    from toolops_plugins.semantic.cache import SemanticCache

__all__ = ["Storage"]


class Storage:
    """The tiers and the semantic cache of one runtime. Safe to use from any threads and loops.

    Args:
        shared: The parts of the runtime that all functions share.
        tiers: The tiers, nearest first; or the only one.
        secret: Signs entries outside this process. None: they are not signed.
        semantic: The semantic cache, or None.
        cipher: Encrypts entries outside this process. None: they are not encrypted.

    Raises:
        ConfigurationError: A tier or the semantic cache is not one, or serves another runtime.
    """

    def __init__(
        self,
        shared: Shared,
        tiers: Tier | Iterable[Tier],
        secret: bytes | None,
        semantic: SemanticCache | None = None,
        cipher: Cipher | None = None,
    ) -> None:
        self._shared = shared
        self._secret = secret
        self._cipher = cipher
        self._semantic = semantic
        tiers = tier_list(tiers)
        if semantic is not None:
            if isinstance(semantic, type):
                raise ConfigurationError("semantic", class_problem(semantic))
            if not hasattr(semantic, "bind"):
                raise ConfigurationError("semantic", f"must be a SemanticCache, not {semantic!r}")
            semantic.bind(
                shared.namespace, shared.codec, shared.clock, secret,
                self._semantic_trouble, self._stage_trouble, cipher,
                partial(self.notice, "tier_recovered", "semantic"),
            )  # fmt: skip
        for number, tier in enumerate(tiers, 1):
            self._bind(tier, f"L{number}")
        self.tiers = Tiers(tiers, self._tier_trouble, partial(self.notice, "tier_recovered"))
        shared.bus = self._make_bus()

    def _bind(self, tier: Tier, label: str) -> None:
        shared = self._shared
        if _is_redis(tier):
            from toolops_plugins.cache.envelope import Envelope  # noqa: PLC0415 - see _is_redis

            label = tier.label or label
            trouble = partial(self._codec_trouble, label)
            envelope = Envelope(shared.codec, self._secret, cipher=self._cipher)
            tier.bind(shared.namespace, envelope, shared.clock, label, trouble)
        elif isinstance(tier, Memory):
            tier.bind(shared.clock, label)

    # -- notices ---------------------------------------------------------------------------------

    def notice(self, kind: NoticeKind, name: str, detail: str = "") -> None:
        """Emit a notice."""
        shared = self._shared
        shared.emitter.notice(Notice(kind, name, detail, shared.clock.time(), shared.namespace))

    def notify_threads_full(self, name: str, detail: str) -> None:
        """Emit a notice that a tool waits for a thread, with a text that says who holds them."""
        self.notice("threads_full", name, detail)

    def notify_flights_full(self, name: str, detail: str) -> None:
        """Emit a notice that a call of a tool is not joined with equal ones, with the reason."""
        shared = self._shared
        shared.emitter.notice_rarely(
            Notice("flights_full", name, detail, shared.clock.time(), shared.namespace)
        )

    def notify_breaker_change(self, breaker: Breaker, old: str, new: str) -> None:
        """Emit a notice that a circuit breaker has changed its state."""
        shared = self._shared
        opens = new in ("open", "forced_open")
        shared.emitter.notice(
            Notice(
                "breaker",
                breaker.name,
                f"{old} -> {new}",
                shared.clock.time(),
                shared.namespace,
                breaker.cause_type or "" if new == "open" else "",
                0 if opens or new == "half_open" else breaker.rejections,
            )
        )

    def _tier_trouble(self, label: str, error: Exception) -> None:
        self.notice(cast("NoticeKind", trouble_kind(error)), label, tier_problem(error))

    def _stage_trouble(self, stage: str, error: Exception) -> None:
        self.notice("stage_failed", "semantic", f"{stage}: {type(error).__name__}")

    def _semantic_trouble(self, error: Exception) -> None:
        if isinstance(error, TamperedError):
            self._codec_trouble("semantic", "tampered", error)
        else:
            self._tier_trouble("semantic", error)

    def _codec_trouble(self, label: str, kind: NoticeKind, error: Exception) -> None:
        if isinstance(error, TooLargeError):
            kind = "too_large"
        detail = type(error).__name__
        self.notice(kind, label, error.problem if isinstance(error, NotEncodableError) else detail)

    @property
    def first_redis(self) -> Redis | None:
        """The first Redis tier, or None."""
        return next((tier for tier in self.tiers.all if _is_redis(tier)), None)

    # -- other processes -------------------------------------------------------------------------

    def _make_bus(self) -> Bus | None:
        """Return the bus that sends invalidations to other processes, or None without Redis."""
        remote = self.first_redis
        semantic = self._semantic
        has_memory = any(isinstance(tier, Memory) for tier in self.tiers.all)
        if remote is None or (semantic is None and not has_memory):
            return None
        from toolops_plugins.cache.invalidation_bus import Bus  # noqa: PLC0415 - see _is_redis
        from toolops_plugins.cache.invalidation_messages import (  # noqa: PLC0415 - the same
            Messages,
            SignedMessages,
        )

        messages = Messages()
        if self._secret is not None:
            messages = SignedMessages(
                self._secret,
                remote.channel,
                self._cipher,
                on_refusal=partial(self._codec_trouble, remote.label, "tampered"),
                on_message=self._expire,
                clock=self._shared.clock.time,
            )
        if semantic is None:
            return Bus(remote, self._void, messages=messages)
        messages.place = semantic.place
        bus = Bus(remote, self._void, messages=messages, on_news=self._follow)
        self._follow_record(semantic, bus)
        return bus

    def _follow_record(self, semantic: SemanticCache, bus: Bus) -> None:
        from toolops_plugins.semantic.index.remote_invalidations import (  # noqa: PLC0415 - rarely needed
            Position,
            Source,
        )

        def read(position: Position | None) -> History:
            return bus.history(position)

        async def aread(position: Position | None) -> History:
            return await bus.ahistory(position)

        semantic.follow(Source(read, aread))

    def _follow(self, message: Message | None) -> None:
        """Let the semantic cache follow the invalidations of other processes.

        Args:
            message: The latest one; None: some may have been missed.
        """
        semantic = self._semantic
        if semantic is None:
            return
        ids = [key.hex()[:32] for key in message.keys] if message is not None else []
        tags = message.tags if message is not None else []
        everything = message is None or message.everything
        semantic.hear_of_long(ids, tags, everything=everything)
        if message is None:
            semantic.fall_behind()
        try:
            semantic.catch_up(missed=message is None)
        except Exception as error:  # noqa: BLE001 - a notice is emitted, and the bus goes on
            self._stage_trouble("invalidation", error)
            if message is not None:
                semantic.hear(ids, tags, everything=everything)

    def _expire(self, message: Message) -> None:
        """Refuse all entries from before an invalidation by another process from now on."""
        if self._semantic is not None:
            self._semantic.expire(
                [key.hex()[:32] for key in message.keys],
                message.tags,
                message.moment or 0.0,
                everything=message.everything,
            )
        for tier in self.tiers.all:
            if _is_redis(tier):
                tier.expire(
                    message.keys,
                    message.tags,
                    message.moment or 0.0,
                    everything=message.everything,
                )

    def _void(self, keys: Sequence[bytes], tags: Sequence[str], everything: bool) -> None:  # noqa: FBT001 - as the bus calls it
        self._forget_flights(keys, everything=bool(tags) or everything)
        local = [tier for tier in self.tiers.all if isinstance(tier, Memory)]
        for tier in local:
            tier.void(keys, tags, everything=everything)
        place = local[0].label if local else "semantic"
        self.notice("invalidated", place, f"{len(keys)} keys, {len(tags)} tags")

    def reset_after_fork(self) -> None:
        """Clear the memory tiers in a forked child.

        Until the child has a subscription of its own, it gets no invalidations. There is no notice,
        since no sink may be called in the middle of a fork.
        """
        if self._shared.bus is not None:
            for tier in self.tiers.all:
                if isinstance(tier, Memory):
                    tier.clear()

    def stop_bus(self) -> None:
        """End the thread that receives invalidations; the next call starts it again."""
        if self._shared.bus is not None:
            self._shared.bus.close()

    # -- invalidation ----------------------------------------------------------------------------

    def invalidate(self, tags: Iterable[str], keys: Iterable[bytes | str]) -> Flow:
        """Return the flow that invalidates results by tag and key, in all processes.

        Args:
            tags: The tags.
            keys: The keys, as bytes or in hexadecimal.

        Raises:
            ConfigurationError: ``tags`` or ``keys`` is not a list, or a key is malformed.
            TierError: A tier could not be reached; the others have invalidated.
        """
        for name, value in (("tags", tags), ("keys", keys)):
            if isinstance(value, str | bytes) or not isinstance(value, Iterable):
                raise ConfigurationError(name, f"must be a list, not {type(value).__name__}")
        names = [str(tag) for tag in tags]
        digests = [_digest(key) for key in keys]
        self._forget_flights(digests, everything=bool(names))
        work: list[Flow] = []
        if self._semantic is not None:
            # Before the tiers, since its answers are copied to the nearest one.
            semantic = self._semantic
            if digests:
                ids = [digest.hex()[:32] for digest in digests]
                work.append(self._run_semantic(semantic.remove, semantic.aremove, ids))
            if names:
                work.append(self._run_semantic(semantic.invalidate, semantic.ainvalidate, names))
        if digests:
            work.append(self.tiers.delete(digests))
        if names:
            work.append(self.tiers.invalidate(names))
        yield from self._run_and_publish(work, digests, names, everything=False)

    def clear(self) -> Flow:
        """Return the flow that invalidates all results, in all processes.

        Raises:
            TierError: A tier could not be reached; the others have invalidated.
        """
        self._forget_flights((), everything=True)
        work = [self.tiers.clear()]
        if self._semantic is not None:
            work.insert(0, self._run_semantic(self._semantic.clear, self._semantic.aclear))
        yield from self._run_and_publish(work, (), (), everything=True)

    def close(self) -> Flow:
        """Return the flow that releases the resources of the tiers and the semantic cache.

        Trouble makes a notice, since the caller can do nothing about it. A forked worker cannot
        write to its parent's index, for example.
        """
        if self._semantic is not None:
            try:
                yield Io(self._semantic.close, self._semantic.aclose)
            except Exception as error:
                if is_caller_error(error):
                    raise
                self._semantic_trouble(as_tier_error(error))
        with suppress(TierError):  # it has made a notice already
            yield from self.tiers.close()

    def _run_semantic(
        self, sync: Callable[..., None], aio: Callable[..., Awaitable[None]], *args: Any
    ) -> Flow:
        """Run an operation of the semantic cache; a failure makes a notice, and is raised.

        A folder in use is none where the process that holds it is told through Redis.
        """
        try:
            yield Io(sync, aio, *args)
        except Exception as error:
            if not is_caller_error(error):
                self._tier_trouble("semantic", error)
            if self._shared.bus is None or trouble_kind(error) != "folder_in_use":
                raise

    def _forget_flights(self, keys: Sequence[bytes], *, everything: bool) -> None:
        """Let no caller join flights and streams that may have read old data.

        The keys of a tag are not known here, so a tag counts as everything; the only cost is that
        some calls are made twice. Flights that wait for one of the same question in other words
        get its result, so they are forgotten with it.
        """
        if everything:
            self._shared.forget_flight(None)
            return
        waiting = [] if self._semantic is None else self._semantic.list_joiners(keys)
        for key in (*keys, *waiting):
            self._shared.forget_flight(key)

    def _run_and_publish(
        self, work: Sequence[Flow], keys: Sequence[bytes], tags: Sequence[str], *, everything: bool
    ) -> Flow:
        """Run all operations, then tell other processes; a failure does not stop the others."""
        trouble: TierError | None = None
        bus = self._shared.bus
        if bus is not None:
            # The moment before the operations: entries written meanwhile are newer.
            moment = bus.moment()
            publish = partial(bus.publish, keys, tags, everything=everything, moment=moment)
            apublish = partial(bus.apublish, keys, tags, everything=everything, moment=moment)
            work = [*work, _io_flow(publish, apublish)]
            if self._semantic is not None:
                work.append(self._catch_up(self._semantic))
        for part in work:
            try:
                yield from part
            except Exception as error:
                if is_caller_error(error):
                    raise
                trouble = trouble or as_tier_error(error)
        if trouble is not None:
            raise trouble

    def _catch_up(self, semantic: SemanticCache) -> Flow:
        """Let calls from now on be known to be newer than an invalidation of this process."""
        try:
            yield Io(semantic.catch_up, semantic.acatch_up)
        except TierError as error:  # everybody has been told; what is stored now counts as older
            self._semantic_trouble(error)


def _is_redis(tier: Tier) -> TypeGuard[Redis]:
    """Return whether a tier is a Redis, without importing its module."""
    module = sys.modules.get("toolops_plugins.cache.redis")
    return module is not None and isinstance(tier, module.Redis)


def _io_flow(sync: Callable[..., None], aio: Callable[..., Awaitable[None]], *args: Any) -> Flow:
    yield Io(sync, aio, *args)


def _digest(key: bytes | str) -> bytes:
    try:
        digest = bytes.fromhex(key) if isinstance(key, str) else key
    except ValueError:
        digest = b""
    if not isinstance(digest, bytes) or len(digest) != 32:
        raise ConfigurationError("keys", f"must be 32 bytes or 64 hexadecimal digits, not {key!r}")
    return digest
