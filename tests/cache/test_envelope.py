"""An entry comes out of its envelope as it went in, under its own key, or is refused."""

from __future__ import annotations

import math
import os
import struct
import threading
from typing import Any

import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from toolops_plugins.cache.entry import Entry
from toolops_plugins.cache.envelope import Envelope
from toolops_plugins.codec import Codec, Payload
from toolops_plugins.codec.encryption import Cipher
from toolops_plugins.errors import (
    ConfigurationError,
    NotEncodableError,
    TamperedError,
    UnknownFormatError,
)

CODEC = Codec()
KEY = bytes(range(32))
PLAIN = Envelope(CODEC)
SIGNED = Envelope(CODEC, b"secret")
ENCRYPTED = Envelope(CODEC, b"secret", cipher=Cipher([b"secret"]))
BOTH = pytest.mark.parametrize(
    "envelope", [PLAIN, SIGNED, ENCRYPTED], ids=["plain", "signed", "encrypted"]
)
REFUSED = (UnknownFormatError, TamperedError)


def entry_of(value: Any, **changes: Any) -> Entry:
    return Entry(CODEC.encode(value), 1.0, 2.0, 3.0)._replace(**changes)


times = st.floats(allow_nan=False)
texts = st.text(max_size=10)
tagged = st.lists(st.tuples(texts, texts), max_size=4)
contents = st.recursive(
    st.none() | st.text() | st.integers() | st.binary() | st.just("long " * 1000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@BOTH
@given(
    value=contents,
    until=st.tuples(times, times).map(sorted),
    created=times,
    costs=st.tuples(times, times),
    pairs=tagged,
    kind=st.sampled_from(["value", "stream"]),
)
def test_an_entry_comes_out_as_it_went_in(
    envelope: Envelope,
    value: Any,
    until: list[float],
    created: float,
    costs: tuple[float, float],
    pairs: list[tuple[str, str]],
    kind: Any,
) -> None:
    tags, stamps = tuple(t for t, _ in pairs), tuple(s for _, s in pairs)
    entry = Entry(CODEC.encode(value), created, *until, *costs, tags, kind)
    opened, opened_stamps = envelope.open(KEY, envelope.seal(KEY, entry, stamps))
    assert opened == entry
    assert opened_stamps == stamps
    assert CODEC.decode(opened.payload) == value


def test_an_entry_that_never_ends_stays_so() -> None:
    entry = entry_of(1, fresh_until=math.inf, stale_until=math.inf)
    assert PLAIN.open(KEY, PLAIN.seal(KEY, entry))[0] == entry


def test_a_remembered_exception_comes_out() -> None:
    entry = Entry(CODEC.encode_error(ValueError("no")), 1.0, 2.0, 2.0, kind="error")
    opened, _ = SIGNED.open(KEY, SIGNED.seal(KEY, entry))
    assert opened == entry
    assert repr(CODEC.decode(opened.payload)) == "ValueError('no')"


@pytest.mark.parametrize(
    ("kind", "payload"),
    [("error", CODEC.encode("x")), ("value", CODEC.encode_error(ValueError()))],
)
def test_a_kind_that_does_not_fit_its_codec_is_refused(kind: Any, payload: Payload) -> None:
    sealed = PLAIN.seal(KEY, Entry(payload, 1.0, 2.0, 3.0, kind=kind))
    with pytest.raises(UnknownFormatError):
        PLAIN.open(KEY, sealed)


def test_tags_without_stamps_read_as_empty_stamps() -> None:
    entry = entry_of(1, tags=("a", "b"))
    assert PLAIN.open(KEY, PLAIN.seal(KEY, entry))[1] == ("", "")


def test_stamps_must_be_as_many_as_tags() -> None:
    for tags, stamps in ((("a", "b"), ("1",)), ((), ("1",)), (("a",), ("1", "2"))):
        with pytest.raises(ValueError):
            PLAIN.seal(KEY, entry_of(1, tags=tags), stamps)


@BOTH
@given(value=contents, pairs=tagged, data=st.data())
def test_no_flipped_or_missing_byte_goes_unseen(
    envelope: Envelope, value: Any, pairs: list[tuple[str, str]], data: st.DataObject
) -> None:
    entry = entry_of(value, tags=tuple(t for t, _ in pairs))
    sealed = envelope.seal(KEY, entry)
    place = data.draw(st.integers(0, len(sealed) - 1))
    flipped = bytearray(sealed)
    flipped[place] ^= data.draw(st.integers(1, 255))
    for damaged in (bytes(flipped), sealed[:place], sealed[place + 1 :], sealed + b"\0"):
        with pytest.raises(REFUSED):
            envelope.open(KEY, damaged)


@BOTH
@given(garbage=st.binary(max_size=200))
def test_random_bytes_are_refused(envelope: Envelope, garbage: bytes) -> None:
    with pytest.raises(REFUSED):
        envelope.open(KEY, garbage)


def reseal(body: bytes) -> bytes:
    return body + PLAIN._seal(KEY, body)


@given(body=st.binary(max_size=200))
def test_garbage_with_a_good_checksum_is_refused(body: bytes) -> None:
    with pytest.raises(UnknownFormatError):
        PLAIN.open(KEY, reseal(body))


@given(value=contents, pairs=tagged, data=st.data())
def test_a_damaged_body_with_a_good_checksum_raises_nothing_else(
    value: Any, pairs: list[tuple[str, str]], data: st.DataObject
) -> None:
    body = bytearray(PLAIN.seal(KEY, entry_of(value, tags=tuple(t for t, _ in pairs)))[:-4])
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    for forged in (bytes(body), bytes(body[:cut])):
        try:
            entry, stamps = PLAIN.open(KEY, reseal(forged))
        except UnknownFormatError:
            continue
        assert len(entry.tags) == len(stamps)
        assert entry.fresh_until <= entry.stale_until
        CODEC.decode(entry.payload)


@BOTH
def test_an_entry_moved_to_another_key_is_refused(envelope: Envelope) -> None:
    sealed = envelope.seal(KEY, entry_of("alice's"))
    with pytest.raises(REFUSED):
        envelope.open(KEY[::-1], sealed)


def test_no_byte_moves_from_the_key_to_the_body() -> None:
    body = SIGNED.seal(KEY, entry_of(1))
    with pytest.raises(TamperedError):
        SIGNED.open(KEY[:-1], KEY[-1:] + body)


@pytest.mark.parametrize("other", [PLAIN, Envelope(CODEC, b"another")], ids=["none", "another"])
def test_with_a_secret_only_that_secret_opens(other: Envelope) -> None:
    with pytest.raises(TamperedError):
        SIGNED.open(KEY, other.seal(KEY, entry_of(1)))


def test_without_a_secret_a_signed_entry_is_unknown() -> None:
    with pytest.raises(UnknownFormatError):
        PLAIN.open(KEY, SIGNED.seal(KEY, entry_of(1)))


@given(body=st.binary(max_size=200))
def test_nothing_is_parsed_before_the_signature_is_checked(body: bytes) -> None:
    with pytest.raises(TamperedError):
        SIGNED.open(KEY, body)


def test_the_same_secret_makes_the_same_envelope_elsewhere() -> None:
    sealed = Envelope(Codec(), b"secret").seal(KEY, entry_of([1]))
    assert CODEC.decode(SIGNED.open(KEY, sealed)[0].payload) == [1]


def test_another_version_is_unknown() -> None:
    body = bytearray(PLAIN.seal(KEY, entry_of(1))[:-4])
    body[3] = 9
    with pytest.raises(UnknownFormatError, match="version 9"):
        PLAIN.open(KEY, reseal(bytes(body)))


def test_only_what_gets_smaller_is_compressed() -> None:
    letters = "a" * 5000
    noise = os.urandom(5000)
    assert len(PLAIN.seal(KEY, entry_of([letters]))) < 200
    assert len(Envelope(CODEC, compress_over=10_000).seal(KEY, entry_of([letters]))) > 5000
    incompressible = Entry(Payload("json", noise), 1.0, 2.0, 3.0)
    sealed = PLAIN.seal(KEY, incompressible)
    assert noise in sealed


def test_compression_starts_above_the_size_only() -> None:
    payload = Payload("json", b'"' + b"a" * 98 + b'"')
    entry = Entry(payload, 1.0, 2.0, 3.0)
    assert payload.data in Envelope(CODEC, compress_over=100).seal(KEY, entry)
    assert payload.data not in Envelope(CODEC, compress_over=99).seal(KEY, entry)


def forge_frame(frame: bytes) -> bytes:
    """Return an unsigned envelope whose compressed data is the frame."""
    header = struct.pack(">3sBBBBI5d", b"tOe", 2, 1, 0, 4, 0, 1.0, 2.0, 3.0, 0.0, 0.0)
    return reseal(header + b"json" + frame)


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    fits = forge_frame(zstandard.compress(b'"%b"' % (b"a" * 998)))
    large = forge_frame(zstandard.compress(b'"%b"' % (b"a" * 999)))
    envelope = Envelope(Codec(max_value_bytes=1000))
    assert len(CODEC.decode(envelope.open(KEY, fits)[0].payload)) == 998
    with pytest.raises(UnknownFormatError, match="too large"):
        envelope.open(KEY, large)


def test_a_frame_of_unknown_size_is_refused() -> None:
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(b'"a"' * 100)
    with pytest.raises(UnknownFormatError, match="unknown size"):
        PLAIN.open(KEY, forge_frame(frame))


@pytest.mark.parametrize("frame", [b"", b"not zstd", zstandard.compress(b"1") + b"more"])
def test_a_malformed_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(UnknownFormatError):
        PLAIN.open(KEY, forge_frame(frame))


@pytest.mark.parametrize("tags", [b"[", b"1", b'["a"]', b'["a",1]', b"{}"])
def test_malformed_tags_are_refused(tags: bytes) -> None:
    header = struct.pack(">3sBBBBI5d", b"tOe", 2, 0, 0, 4, len(tags), 1.0, 2.0, 3.0, 0.0, 0.0)
    with pytest.raises(UnknownFormatError, match="tags"):
        PLAIN.open(KEY, reseal(header + b"json" + tags + b"1"))


@pytest.mark.parametrize("until", [(3.0, 2.0), (math.nan, 2.0), (1.0, math.nan)])
def test_times_that_contradict_each_other_are_refused(until: tuple[float, float]) -> None:
    sealed = PLAIN.seal(KEY, entry_of(1, fresh_until=until[0], stale_until=until[1]))
    with pytest.raises(UnknownFormatError):
        PLAIN.open(KEY, sealed)


def test_what_has_no_bytes_is_not_sealed() -> None:
    with pytest.raises(NotEncodableError):
        PLAIN.seal(KEY, Entry(Payload.local(object()), 1.0, 2.0, 3.0))
    with pytest.raises(NotEncodableError, match="tags"):
        PLAIN.seal(KEY, entry_of(1, tags=("\ud800",)))


@pytest.mark.parametrize(
    "wrong", [{"secret": b""}, {"secret": "text"}, {"compress_over": -1}, {"compress_over": 1.5}]
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Envelope(CODEC, **wrong)


def test_threads_share_an_envelope() -> None:
    failures: list[BaseException] = []
    start = threading.Barrier(8)

    def work(number: int) -> None:
        start.wait()
        try:
            for turn in range(50):
                entry = entry_of({"text": f"{number} {turn} " * 2000})
                assert SIGNED.open(KEY, SIGNED.seal(KEY, entry))[0] == entry
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_the_largest_tag_block_and_codec_id_lie_about_their_length() -> None:
    header = struct.pack(">3sBBBBI5d", b"tOe", 2, 0, 0, 255, 2**32 - 1, 1.0, 2.0, 3.0, 0.0, 0.0)
    with pytest.raises(UnknownFormatError):
        PLAIN.open(KEY, reseal(header + orjson.dumps(1)))


# Encryption


def test_an_encrypted_entry_shows_neither_value_nor_tag_nor_type() -> None:
    for value in ("a private answer", {"a": "private " * 1000}, (1, "private")):
        sealed = ENCRYPTED.seal(KEY, entry_of(value, tags=("patient:ann",)), ("stamp",))
        for word in (b"private", b"patient", b"stamp", b"json"):
            assert word not in sealed
    assert ENCRYPTED.seal(KEY, entry_of(1)) != ENCRYPTED.seal(KEY, entry_of(1))


def test_who_has_another_key_or_none_cannot_read_what_is_encrypted() -> None:
    sealed = ENCRYPTED.seal(KEY, entry_of("x"))
    for envelope in (SIGNED, Envelope(CODEC, b"secret", cipher=Cipher([b"another"])), PLAIN):
        with pytest.raises(UnknownFormatError):
            envelope.open(KEY, sealed)
    # A key that was changed: both are known for a while.
    changed = Envelope(CODEC, b"secret", cipher=Cipher([b"another", b"secret"]))
    assert changed.open(KEY, sealed)[0] == entry_of("x")


def test_what_was_signed_before_encryption_was_asked_for_is_read() -> None:
    assert ENCRYPTED.open(KEY, SIGNED.seal(KEY, entry_of("x")))[0] == entry_of("x")
