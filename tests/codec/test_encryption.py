"""Encryption: messages decrypt in their own place with their own key, unchanged, or not at all."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolops_plugins import ToolOps
from toolops_plugins.codec.encryption import Cipher, make_cipher
from toolops_plugins.codec.signing import Signer, derive_key
from toolops_plugins.errors import ConfigurationError, TamperedError, UnknownFormatError

CIPHER = Cipher([b"secret"])


@given(data=st.binary(max_size=300), place=st.binary(max_size=40))
def test_data_comes_back(data: bytes, place: bytes) -> None:
    message = CIPHER.encrypt(data, place)
    assert Cipher([b"secret"]).decrypt(message, place) == data
    assert len(message) == len(data) + 49
    assert CIPHER.encrypt(data, place) != message


@given(data=st.binary(max_size=50), place=st.binary(max_size=10), draw=st.data())
def test_no_changed_bit_and_nothing_cut_short_comes_back(
    data: bytes, place: bytes, draw: st.DataObject
) -> None:
    message = CIPHER.encrypt(data, place)
    at = draw.draw(st.integers(0, len(message) - 1))
    flipped = bytearray(message)
    flipped[at] ^= 1 << draw.draw(st.integers(0, 7))
    for changed in (bytes(flipped), message[:at], message + b"\0", message[at + 1 :]):
        with pytest.raises((TamperedError, UnknownFormatError)):
            CIPHER.decrypt(changed, place)
    with pytest.raises(TamperedError):
        CIPHER.decrypt(message, place + b"x")


def test_the_first_secret_encrypts_and_all_decrypt() -> None:
    old, both = Cipher([b"old"]), Cipher([b"new", b"old"])
    assert both.decrypt(old.encrypt(b"x", b""), b"") == b"x"
    assert Cipher([b"new"]).decrypt(both.encrypt(b"x", b""), b"") == b"x"
    with pytest.raises(UnknownFormatError):
        old.decrypt(both.encrypt(b"x", b""), b"")


@pytest.mark.parametrize("encrypt", [7, None, b"", ""])
def test_what_is_no_key_is_refused_and_not_shown(encrypt: object) -> None:
    with pytest.raises(ConfigurationError, match="encrypt: must be"):
        make_cipher(encrypt, b"s")


def test_encryption_needs_a_secret_and_says_so() -> None:
    with pytest.raises(ConfigurationError, match=r"encrypt: needs secret="):
        ToolOps(encrypt=True)


def test_without_the_package_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from toolops_plugins import ToolOps, ConfigurationError\n"
        "ToolOps(secret='s')\n"
        "try:\n    ToolOps(secret='s', encrypt=True)\n"
        "except ConfigurationError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "toolops-plugins[encrypt]"' in done.stdout


def test_keys_of_different_purposes_and_places_differ() -> None:
    keys = {derive_key(s, p) for s in (b"a", b"b") for p in ("x", "y")}
    assert len(keys) == 4
    assert all(len(key) == 32 for key in keys)
    one = Signer(b"s", "row", "a", "bc")
    signature = one.sign(b"ab", b"c")
    assert one.verify(signature, b"ab", b"c")
    assert not one.verify(signature, b"a", b"bc")
    for place in (("ab", "c"), ("a",), ("a", "bc", "")):
        assert not Signer(b"s", "row", *place).verify(signature, b"ab", b"c")
    assert not Signer(b"s", "state", "a", "bc").verify(signature, b"ab", b"c")


def test_the_derivation_is_that_of_rfc_5869() -> None:
    """Compared with another's code, since what is stored depends on it."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    for secret, purpose in ((b"secret", "encryption"), (b"x" * 100, "stamp")):
        theirs = HKDF(SHA256(), 32, b"toolops_plugins", purpose.encode()).derive(secret)
        assert derive_key(secret, purpose) == theirs
