"""Conformance: tenants, namespaces, runtimes, Redis and secrets."""

from __future__ import annotations

import logging
import uuid
from typing import Any

import pytest
from adapters.adapter_body import WHO, Body, Trouble, all_of
from adapters.adapter_subject import KEPT, Subject, needs, one_way
from callers import Notices
from redis import Redis as Client

from toolops_plugins import Memory, Redis


class Apart(Subject):
    """Tenants, namespaces and secrets: no caller sees the answers of another."""

    @pytest.fixture
    def make_with_redis(self, make_ops, valkey, namespace: str) -> Any:
        """Makes runtimes with a memory of their own and one Redis."""

        def make_with_redis(name: str = namespace, **options: Any) -> Any:
            return make_ops(name, tiers=[Memory(), Redis(valkey.url, ttl=60)], **options)

        return make_with_redis

    @one_way
    async def test_tenants_are_apart(self, way: str, body: Body, make_ops) -> None:
        guarded = self.guard(self.original(body), make_ops(tenant=WHO), KEPT)
        for who in ("alice", "bob", "alice", "bob"):
            token = WHO.set(who)
            assert await self.hear(way, guarded, "x") == body.of("x", who)
            WHO.reset(token)
        assert body.runs == ["x"] * 2

    async def test_tenants_are_apart_at_the_same_time(self, mix: Any, body: Body, make_ops) -> None:
        ops = make_ops(tenant=WHO)
        guarded = self.guard(self.original(body), ops, KEPT)
        tenants = ["alice", "bob", "carol"] * 2
        callers = []
        for number, who in enumerate(tenants):
            token = WHO.set(who)
            callers.append(self.begin(mix[number % len(mix)], guarded, "x"))
            WHO.reset(token)
        answers = await all_of(callers)
        assert list(map(self.text_of, answers)) == [body.of("x", who) for who in tenants]

    async def test_runtimes_share_one_redis(self, way: str, body: Body, make_with_redis) -> None:
        answer = await self.ask(way, self.guard(self.original(body), make_with_redis(), KEPT), "x")
        for other in self.ways:
            ops, unused = make_with_redis(), Body()
            guarded = self.guard(self.original(unused), ops, KEPT)
            hit = await self.ask(other, guarded, "x")
            assert self.text_of(hit) == self.text_of(answer) == body.of("x")
            assert self.shape(hit) == self.shape(answer)
            assert ops.stats().total.hits_by_tier == {"L2": 1}
            assert unused.runs == []

    @one_way
    async def test_namespaces_are_apart(
        self, way: str, body: Body, make_with_redis, namespace: str
    ) -> None:
        for name in (namespace, f"{namespace}-other"):
            guarded = self.guard(self.original(body), make_with_redis(name), KEPT)
            await self.ask(way, guarded, "x")
        assert body.runs == ["x"] * 2

    @one_way
    async def test_a_redis_that_is_down_is_a_miss(self, way: str, body: Body, make_ops) -> None:
        nobody = Redis("redis://127.0.0.1:1/0", ttl=60)
        guarded = self.guard(self.original(body), make_ops(tiers=[nobody]), KEPT)
        for _ in range(2):
            assert await self.hear(way, guarded, "x") == body.of("x")
        assert body.runs == ["x"] * 2

    @needs("own_entries")
    @pytest.mark.parametrize(
        "foreign", [[{"foreign": 1}], ([{"foreign": 1}], None)], ids=["value", "stream"]
    )
    @one_way
    async def test_an_entry_that_cannot_be_its_own_is_a_miss(
        self, way: str, body: Body, make_ops, events, foreign: Any
    ) -> None:
        tier = Memory()
        ops = make_ops(tiers=[tier])
        guarded = self.guard(self.original(body), ops, KEPT)
        answer = await self.ask(way, guarded, "x")
        replaced = 0
        for event in events:
            key = bytes.fromhex(event.key or "")
            entry, _ = tier.get(key, event.tags)
            if entry is not None:
                tier.set(key, entry._replace(payload=ops.codec.encode(foreign)))
                replaced += 1
        assert replaced == 1
        again = await self.ask(way, guarded, "x")
        assert self.text_of(again) == body.of("x")
        assert self.shape(again) == self.shape(answer)
        assert body.runs == ["x"] * 2

    # Secrets -------------------------------------------------------------------------------------

    @needs("secret")
    @one_way
    async def test_what_it_is_reached_with_is_never_seen(
        self, way: str, body: Body, make_with_redis, valkey, events, caplog
    ) -> None:
        secret = f"sk-{uuid.uuid4().hex}"
        ops = make_with_redis()
        notices = Notices(ops)
        body.complaint = f"cannot log in with {secret}"
        with caplog.at_level(logging.DEBUG):
            guarded = self.guard(self.original(body, secret), ops, KEPT)
            body.failures = 1
            with pytest.raises(Trouble):
                await self.ask(way, guarded, "x")
            for _ in range(2):
                await self.ask(way, guarded, "x")
        assert body.runs == ["x"] * 2
        self._unseen(secret, body, events, notices, caplog, valkey, ops)

    @needs("secret_argument")
    @one_way
    async def test_a_secret_argument_counts_and_is_never_seen(
        self, way: str, body: Body, make_with_redis, valkey, events, caplog
    ) -> None:
        secrets = [f"sk-{uuid.uuid4().hex}" for _ in range(2)]
        ops = make_with_redis()
        notices = Notices(ops)
        with caplog.at_level(logging.DEBUG):
            guarded = self.guard(self.original(body), ops, KEPT)
            for secret in secrets * 2:
                await self.ask(way, guarded, "x", api_key=secret)
        assert body.runs == ["x"] * 2  # bob never gets what alice's key opened
        for secret in secrets:
            self._unseen(secret, body, events, notices, caplog, valkey, ops)

    def entry(self, body: Body) -> bytes:
        """Return a part of the answers that stands in Redis as it is."""
        return body.word.encode()

    def _unseen(
        self, secret: str, body: Body, events: Any, notices: Notices, caplog: Any, valkey, ops
    ) -> None:
        """Look for a secret wherever something is told or kept."""
        kept = _dump(valkey.client(), ops.namespace)
        assert any(self.entry(body) in each for each in kept), "Redis cannot be read like this"
        assert events
        for where, text in {
            "events": repr(events),
            "notices": repr(notices.all),
            "logs": caplog.text + repr([record.__dict__ for record in caplog.records]),
            "statistics": repr(ops.stats().to_dict()),
            "Redis": repr(kept),
        }.items():
            assert secret not in text, f"the secret is in the {where}"


def _dump(client: Client, namespace: str) -> list[bytes]:
    """Return all that a server holds of a namespace, names included."""
    found: list[bytes] = []
    for key in client.scan_iter(count=1_000):
        if namespace.encode() not in key:
            continue
        kind = client.type(key)
        found.append(key)
        if kind == b"string":
            found.append(client.get(key))
        elif kind == b"hash":
            found.extend(part for pair in client.hgetall(key).items() for part in pair)
        elif kind == b"set":
            found.extend(client.smembers(key))
        elif kind == b"zset":
            found.extend(client.zrange(key, 0, -1))
        else:
            raise AssertionError(f"{key!r} is a {kind!r}, which nobody looks into")
    client.close()
    return found
