"""Messages of the bus: only holders of the secret can send them, and each counts once."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolops_plugins.cache.invalidation_messages import Message, Messages, SignedMessages
from toolops_plugins.codec.encryption import Cipher

ALICE = b"a" * 32


def messages(
    secret: bytes = b"secret", channel: str = "toolops:n:void", **options
) -> SignedMessages:
    return SignedMessages(secret, channel, clock=lambda: 5.0, **options)


texts = st.text(st.characters())


@pytest.mark.parametrize("cipher", [None, Cipher([b"secret"])], ids=["signed", "encrypted"])
@given(
    keys=st.lists(st.binary(min_size=32, max_size=32), max_size=3),
    tags=st.lists(texts, max_size=3),
    everything=st.booleans(),
)
def test_a_message_comes_through(cipher, keys, tags, everything):
    heard = []
    data = messages(cipher=cipher).encode("one", keys, tags, everything=everything)
    found = messages(cipher=cipher, on_message=heard.append).decode(data, "two")
    assert found == Message("one", keys, tags, everything, 5.0)
    assert heard == [found]
    assert messages(cipher=cipher).decode(data, "one") is None
    plain = Messages().encode("one", keys, tags, everything=everything)
    assert Messages().decode(plain, "two") == found._replace(moment=None)
    assert Messages().decode(plain, "one") is None


@given(place=st.integers(0, 200), bit=st.integers(0, 7))
def test_no_changed_message_is_taken(place, bit):
    refused = []
    data = bytearray(messages().encode("one", [ALICE], ["x"], everything=True))
    place %= len(data)
    data[place] ^= 1 << bit
    reader = messages(on_refusal=refused.append)
    assert reader.decode(bytes(data), "two") is None
    assert reader.decode(bytes(data[:place]), "two") is None
    assert len(refused) == 2
    assert messages().decode(bytes(data), "two") is None  # though nobody wants to know


@pytest.mark.parametrize("cipher", [None, Cipher([b"secret"])], ids=["signed", "encrypted"])
def test_what_others_write_is_refused(cipher):
    refused = []
    reader = messages(cipher=cipher, on_refusal=refused.append)
    for writer in (
        Messages(),
        messages(b"guess"),
        messages(channel="toolops:other:void"),
    ):
        assert reader.decode(writer.encode("one", [], [], everything=True), "two") is None
    assert len(refused) == 3
    for data in (b"", b"\xff" * 100, b"{}"):
        assert reader.decode(data, "two") is None
    assert Messages().decode(messages().encode("one", [], [], everything=True), "two") is None


def test_an_encrypted_message_names_no_tag():
    data = messages(cipher=Cipher([b"secret"])).encode("one", [], ["ann"], everything=False)
    assert b"ann" not in data
    plain = messages().encode("one", [], ["ann"], everything=False)
    assert messages(cipher=Cipher([b"secret"])).decode(plain, "two").tags == ["ann"]


def test_a_message_played_back_is_dropped():
    writer, reader = messages(), messages()
    sent = [writer.encode("one", [], [str(n)], everything=False) for n in range(2_000)]
    assert reader.decode(sent[0], "two").tags == ["0"]
    assert reader.decode(sent[0], "two") is None
    # They may overtake each other, for a while.
    assert reader.decode(sent[5], "two").tags == ["5"]
    assert reader.decode(sent[3], "two").tags == ["3"]
    assert reader.decode(sent[4], "two").tags == ["4"]
    for number in (0, 3, 4, 5):
        assert reader.decode(sent[number], "two") is None
    assert reader.decode(sent[1_999], "two").tags == ["1999"]
    assert reader.decode(sent[900], "two") is None  # too far behind
    assert reader.decode(sent[1_000], "two").tags == ["1000"]
    assert reader.decode(sent[1_000], "two") is None


@given(st.permutations(range(30)))
def test_each_counts_once_in_whatever_order(order):
    writer, reader = messages(), messages()
    sent = [writer.encode("one", [], [str(n)], everything=False) for n in range(30)]
    taken = [reader.decode(sent[n], "two") for n in [*order, *order]]
    assert [m.tags[0] for m in taken if m] == [str(n) for n in order]


def test_ends_are_counted_apart_and_bounded():
    reader = messages()
    for number in range(1_100):
        data = messages().encode(f"end {number}", [], [], everything=False)
        assert reader.decode(data, "two") is not None
    assert len(reader._received) == 1_000


def test_what_is_signed_but_cannot_be_read_stands_for_everything_once():
    """Nodes that do not encrypt yet, or have another key, must not keep what became void."""
    encrypted = messages(cipher=Cipher([b"secret"])).encode("one", [], ["ann"], everything=False)
    bodies = [json.dumps(form).encode() for form in ({}, [], {"origin": "x"}, {"keys": 7})]
    unread = [messages()._signer.sign(body) + body for body in bodies]
    for reader in (messages(), messages(cipher=Cipher([b"other"]))):
        for data in (encrypted, *unread):
            assert reader.decode(data, "two") == Message("", [], [], everything=True)
            assert reader.decode(data, "two") is None
    for number in range(1_100):
        body = b"%d" % number
        reader.decode(reader._signer.sign(body) + body, "two")
    assert len(reader._unreadable) == 1_000
