"""Bounds on planted bytes: their cost in memory and time, and values over a bound."""

from __future__ import annotations

import base64
import math
import os
import random
import struct
import subprocess
import sys
import zlib
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

import orjson
import pytest
import zstandard
from callers import Notices
from hypothesis import given
from hypothesis import strategies as st

from toolops_plugins import Cache, Codec, ConfigurationError, ToolOps
from toolops_plugins.cache.envelope import Envelope
from toolops_plugins.codec.bounds import estimate_memory
from toolops_plugins.errors import NotEncodableError, TooLargeError, UnknownFormatError

KEY = b"k" * 32
MIB = 1 << 20


def plant(data: bytes, codec: bytes = b"json", *, packed: bool = True) -> bytes:
    """Return an unsigned envelope that anybody can make who can write to the store."""
    header = struct.pack(
        ">3sBBBBI5d", b"tOe", 2, int(packed), 0, len(codec), 0, 1.0, 2e9, 2e9, 0.0, 0.0
    )
    body = header + codec + (zstandard.compress(data) if packed else data)
    return body + struct.pack(">I", zlib.crc32(body, zlib.crc32(KEY)))


def refuse(codec: Codec, value: bytes, codec_id: str = "json+") -> None:
    with pytest.raises(UnknownFormatError):
        codec.load(codec_id, value)


# Each is small when it is packed, and would become hundreds of megabytes or take hours.
BOMBS = {
    "lists": (b"json", b"[" + b"[]," * (16 * MIB) + b"[]]"),
    "dicts": (b"json", b"[" + b'{"":0},' * (6 * MIB) + b"{}]"),
    "commas": (b"json", b"[" + b"0," * (24 * MIB) + b"0]"),
    "tags": (b"json+", b"[" + b'{"~":["S"]},' * (4 * MIB) + b"0]"),
    "too long": (b"json", b'"' + b"a" * (65 * MIB) + b'"'),
    "an int": (b"json+", b'{"~":["i","0x' + b"f" * (32 * MIB) + b'"]}'),
    "a path": (b"json+", b'{"~":["p","PurePosixPath","' + b"a/" * (16 * MIB) + b'"]}'),
    "a float": (b"json+", b'{"~":["f","' + b"1" * (8 * MIB) + b'"]}'),
    "a complex": (b"json+", b'{"~":["c","' + b"1" * (8 * MIB) + b'"]}'),
}

SCRIPT = """
import resource, sys
from toolops_plugins import Codec
from toolops_plugins.cache.envelope import Envelope
from toolops_plugins.errors import UnknownFormatError
import zstandard
envelope = Envelope(Codec())
data = open(sys.argv[1], "rb").read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    envelope.open(b"k" * 32, data)
    print("opened", end=" ")
except UnknownFormatError:
    print("refused", end=" ")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("name", BOMBS)
def test_a_planted_value_takes_no_memory(name: str, tmp_path: Any) -> None:
    codec, data = BOMBS[name]
    file = tmp_path / "plant"
    file.write_bytes(plant(data, codec))
    assert file.stat().st_size < MIB
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(file)],
        env={"PYTHONPATH": ":".join(sys.path), "PATH": os.environ["PATH"]},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    outcome, megabytes = done.stdout.split()
    assert outcome == "refused"
    assert int(megabytes) < 300


def test_members_of_one_hash_are_refused_before_they_are_put_together() -> None:
    codec = Codec()
    step = 2**61 - 1  # every multiple of it has the hash 0
    alike = [f'{{"~":["i","{hex(n * step)}"]}}' for n in range(1, 3000)]
    for tag in ("S", "F"):
        refuse(codec, f'{{"~":["{tag}",{",".join(alike)}]}}'.encode())
    pairs = ",".join(f"{each},0" for each in alike)
    refuse(codec, f'{{"~":["d",{pairs}]}}'.encode())
    many = {n: n for n in range(3000)}
    assert codec.decode(codec.load("json+", codec.data(codec.encode(many)))) == many


def test_frames_that_say_too_much_of_themselves_are_refused() -> None:
    envelope = Envelope(Codec(max_value_bytes=10_000))
    for frame in (
        zstandard.ZstdCompressor(write_content_size=False).compress(b"1" * 100),
        zstandard.compress(b'"a"') + zstandard.compress(b'"b"'),
        zstandard.compress(b'"' + b"a" * 20_000 + b'"'),
        # A window of a gigabyte, as the frame's header tells it.
        b"\x28\xb5\x2f\xfd\x80\xa0\x03\x00\x00\x00\x19\x00\x00\x22\x61\x22",
    ):
        header = plant(b"", packed=False)[:-4]
        body = header[:4] + b"\1" + header[5:] + frame
        sealed = body + struct.pack(">I", zlib.crc32(body, zlib.crc32(KEY)))
        with pytest.raises(UnknownFormatError):
            envelope.open(KEY, sealed)


@pytest.mark.parametrize(
    "forged",
    [
        {"~": ["D", "1E+999999999"]},
        {"~": ["D", "1E-999999999"]},
        {"~": ["D", "9" * 200_000]},
        {"~": ["i", "0x" + "f" * 100_000]},
        {"~": ["f", "1"]},
        {"~": ["c", 1, 2]},
        {"~": ["p", "PurePosixPath", "a/" * 20_000]},
        {"~": ["a", "|S0", [2**40], ""]},
        {"~": ["a", "<f8", [0] * 65, ""]},
        {"~": ["a", [["a", "<f8"]] * 2000, [0], ""]},
        {"~": ["a", "i4," * 100_000 + "i4", [0], ""]},
        {"~": ["a", "<f8", [-1, -8], base64.b64encode(b"0" * 64).decode()]},
        {"~": ["td", 10**12, 0, 0]},
        {"~": ["tz", 10**12, 0, 0]},
        {"~": ["da", "9" * 100_000]},
        {"~": ["zi", "A" * 100_000]},
    ],
    ids=lambda forged: str(forged)[:40],
)
def test_a_forged_value_over_a_bound_is_refused(forged: Any) -> None:
    refuse(Codec(), orjson.dumps(forged))


def test_deep_nesting_is_refused_or_read() -> None:
    for left, right in ((b"[", b"]"), (b'{"~":["t",', b"]}"), (b'{"a":', b"}")):
        refuse(Codec(), left * 100_000 + b"1" + right * 100_000)
        data = left * 900 + b"1" + right * 900
        try:
            Codec().load("json+", data)
        except UnknownFormatError:
            continue


@pytest.mark.parametrize(
    "value",
    [
        10 ** (10**5),
        Decimal("1E+200000"),
        Decimal("1" * 200_000),
        PurePosixPath("a/" * 20_000),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_could_not_be_read_again_is_not_written(value: Any) -> None:
    codec = Codec()
    for held in ([value], {"a": value}):
        with pytest.raises(NotEncodableError):
            codec.encode(held)
    with pytest.raises(NotEncodableError):
        codec.data(codec.encode(value))


@given(
    st.decimals(allow_nan=False)
    | st.builds(lambda d, e: Decimal(d).scaleb(e), st.integers(1, 9), st.integers(-9999, 9999))
    | st.integers(-(2**4000), 2**4000)
)
def test_numbers_within_the_bounds_come_back(value: Any) -> None:
    codec = Codec()
    payload = codec.encode([value])
    assert codec.decode(codec.load(payload.codec, codec.data(payload))) == [value]


# -- max_value_bytes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", ["a" * 2000, b"a" * 2000, ["a" * 2000], {"a": [1] * 2000}, [(1,) * 999]]
)
def test_a_result_over_the_bound_is_returned_and_not_stored(
    value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    ops = ToolOps(max_value_bytes=1000)
    notices = Notices(ops)
    ran = []

    @ops.tool(cache=Cache(ttl=60), name="large")
    def large(small: bool) -> Any:
        ran.append(1)
        return 1 if small else value

    assert large(small=False) == large(small=False) == value
    assert len(ran) == 2
    assert large(small=True) == large(small=True) == 1
    assert len(ran) == 3
    assert [n.kind for n in notices.all] == ["too_large"] * 2
    assert "max_value_bytes=1,000" in notices.all[0].detail
    (record,) = caplog.records
    assert "'large'" in record.getMessage()
    assert "aaa" not in record.getMessage()
    ops.close()


def test_what_is_too_large_in_bytes_alone_stays_in_this_process() -> None:
    codec = Codec(max_value_bytes=1000)
    payload = codec.encode(b"a" * 900)
    assert codec.decode(payload) == b"a" * 900
    with pytest.raises(TooLargeError):
        codec.data(payload)


def test_the_bound_is_that_of_the_codec() -> None:
    assert Codec().max_value_bytes == 64 * MIB
    assert ToolOps(codec=Codec(max_value_bytes=5)).codec.max_value_bytes == 5
    with pytest.raises(ConfigurationError, match="max_value_bytes"):
        ToolOps(codec=Codec(), max_value_bytes=5)
    with pytest.raises(ConfigurationError, match="max_value_bytes"):
        Codec(max_value_bytes=0)
    with pytest.raises(TooLargeError):
        Codec(max_value_bytes=10).encode("a" * 100)
    with pytest.raises(UnknownFormatError):
        Codec(max_value_bytes=70_000).load("json", b'"' + b"a" * 70_000 + b'"')


def test_memory_is_estimated_and_texts_do_not_count() -> None:
    rows = [{"id": n, "name": f"name {n}", "price": n / 7} for n in range(5_000)]
    assert 4 < estimate_memory(orjson.dumps(rows)) / len(orjson.dumps(rows)) < 16
    table = "\n".join(",".join(random.choices("abc", k=9)) for _ in range(30_000))
    assert estimate_memory(orjson.dumps({"csv": table})) < 1.1 * len(table) + 1000
    assert estimate_memory(orjson.dumps(table)) < 1.1 * len(table)
    numbers = [math.sqrt(n) for n in range(50_000)]
    assert estimate_memory(orjson.dumps(numbers)) < 5 * len(orjson.dumps(numbers))
