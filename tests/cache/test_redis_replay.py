"""Whole runtimes with a secret, whose Redis belongs to somebody who plays back what he has seen."""

from __future__ import annotations

import pytest
from servers import wait_for

from toolops_plugins import Cache, Memory, Redis, ToolOps
from toolops_plugins.cache.invalidation_messages import Messages

PATIENT = {"socket_timeout": 10, "connect_timeout": 10}


class Notices:
    def __init__(self):
        self.kinds = []

    def on_call(self, event):
        pass

    def on_notice(self, notice):
        self.kinds.append((notice.kind, notice.name))


@pytest.fixture
def runtime(valkey, namespace):
    made = []

    def runtime(*, near=True, **options):
        tiers = [Memory()] if near else []
        tiers += [Redis(valkey.url, 600, **PATIENT), Redis(valkey.url, 6_000, **PATIENT)]
        ops = ToolOps(namespace, tiers, **({"secret": "secret"} | options))
        made.append(ops)
        calls = []

        @ops.tool(cache=Cache(ttl=500, tags=["prices"]), name="quote")
        def quote(ticker):
            calls.append(ticker)
            return f"{ticker} {len(calls)}"

        quote.calls = calls
        quote.ops = ops
        return quote

    yield runtime
    for ops in made:
        ops.close()


@pytest.fixture
def attacker(valkey, namespace):
    with valkey.client() as client:

        class Attacker:
            def copy(self):
                return {n: client.get(n) for n in client.keys(f"toolops:{namespace}:*")}

            def put_back(self, copy):
                for name, data in copy.items():
                    client.set(name, data)

            def publish(self, data):
                client.publish(f"toolops:{namespace}:void", data)

            def record(self):
                heard = client.pubsub()
                heard.subscribe(f"toolops:{namespace}:void")
                heard.get_message(timeout=5)
                return heard

        yield Attacker()


WAYS = {
    "key": lambda quote: quote.invalidate("ACME"),
    "tag": lambda quote: quote.ops.invalidate(["prices"]),
    "clear": lambda quote: quote.ops.clear(),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("encrypt", [False, True], ids=["signed", "encrypted"])
def test_what_was_invalidated_is_not_served_again(runtime, attacker, way, encrypt):
    one, other = runtime(encrypt=encrypt), runtime(encrypt=encrypt)
    assert one("ACME") == other("ACME") == "ACME 1"
    assert other.ops._shared.bus.ready.wait(20)
    heard = Notices()
    other.ops.add_sink(heard)
    copy = attacker.copy()
    WAYS[way](one)
    wait_for(lambda: ("invalidated", "L1") in heard.kinds, "the news")
    attacker.put_back(copy)  # entries and stamps, all of it
    assert one("ACME") == "ACME 2"
    attacker.put_back(copy)
    other("ACME")
    assert other.calls == ["ACME"]


@pytest.mark.parametrize("way", WAYS)
def test_nor_by_one_who_comes_later_and_reads_the_stamps(runtime, attacker, way):
    one = runtime()
    one("ACME")
    copy = attacker.copy()
    WAYS[way](one)
    entries = {n: d for n, d in copy.items() if n.count(b":") == 3 and not n.endswith(b":space")}
    assert len(entries) == 2
    attacker.put_back(entries)
    later = runtime(near=False)
    later("ACME")
    assert later.calls == ["ACME"]


def test_a_forged_message_empties_nobodys_memory(runtime, attacker):
    quote = runtime()
    quote("ACME")
    assert quote.ops._shared.bus.ready.wait(20)
    seen = Notices()
    quote.ops.add_sink(seen)
    forged = Messages().encode("attacker", [], ["prices"], everything=True)
    attacker.publish(forged)
    attacker.publish(b"\x00" * 32 + forged)
    wait_for(lambda: seen.kinds.count(("tampered", "L2")) == 2, "both refusals")
    assert ("invalidated", "L1") not in seen.kinds
    assert quote.ops._tiers.near(bytes.fromhex(quote.key("ACME")), ("prices",)) is not None


def test_a_message_played_back_empties_it_no_more(runtime, attacker):
    one, other = runtime(), runtime()
    one("ACME"), other("ACME")
    assert other.ops._shared.bus.ready.wait(20)
    seen = Notices()
    other.ops.add_sink(seen)
    ear = attacker.record()
    one.ops.invalidate(["prices"])
    message = ear.get_message(timeout=20)["data"]
    ear.close()
    wait_for(lambda: ("invalidated", "L1") in seen.kinds, "the news")
    other("ACME")
    attacker.publish(message)
    one.ops.invalidate(["unheard of"])  # what comes after shows that it was passed over
    wait_for(lambda: seen.kinds.count(("invalidated", "L1")) == 2, "the other news")
    assert other.ops._tiers.near(bytes.fromhex(other.key("ACME")), ("prices",)) is not None


def test_who_has_no_secret_or_another_gets_a_miss_and_a_notice(runtime, attacker):
    runtime(encrypt=True)("ACME")
    copy = attacker.copy()
    for options in ({"secret": None}, {"secret": "other"}, {"encrypt": "another key"}):
        seen = Notices()
        quote = runtime(near=False, sinks=[seen], **options)
        key = quote.key("ACME").encode()
        # Under the very key that it asks for.
        entries = {
            n.rsplit(b":", 1)[0] + b":" + key: d for n, d in copy.items() if d[8:11] == b"tOe"
        }
        assert len(entries) == 2
        attacker.put_back(entries)
        assert quote("ACME") == "ACME 1"
        kinds = {kind for kind, _ in seen.kinds}
        assert kinds & {"tampered", "unknown_format"}
        assert "tier_failed" not in kinds


def test_neither_questions_nor_answers_nor_tags_can_be_read_where_they_are_encrypted(
    valkey, namespace
):
    with ToolOps(namespace, [Redis(valkey.url, **PATIENT)], secret="s", encrypt=True) as ops:

        @ops.tool(cache=Cache(ttl=60, tags=["patient:{name}"]))
        def diagnosis(name):
            return f"{name} is well"

        assert diagnosis("xanthippe") == diagnosis("xanthippe") == "xanthippe is well"
    names = valkey.command("KEYS", f"toolops:{namespace}:*")
    dump = repr([(name, valkey.command("GET", name)) for name in names])
    assert namespace in dump
    for word in ("xanthippe", "patient", "well"):
        assert word not in dump
