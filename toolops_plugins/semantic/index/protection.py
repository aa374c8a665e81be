"""Signatures and optional encryption of the records of a semantic index.

A row's signature covers the collection, scope, id, question, vector, answer, times, price and tags,
which decide whether, to whom and until when it is served. It does not cover hit counts and the last
use, which change independently and only affect evictions.
"""

from __future__ import annotations

import hmac
import json
import struct
from base64 import b64decode, b64encode
from contextlib import suppress
from typing import Any, Final

from toolops_plugins.codec.encryption import Cipher
from toolops_plugins.codec.signing import Signer, derive_key
from toolops_plugins.errors import CodecError, TamperedError, UnknownFormatError
from toolops_plugins.semantic.index.rows import Row

__all__ = ["Protection"]

_NUMBERS: Final = struct.Struct(">4d")
_ENCRYPTED: Final = "encrypted:"


class Protection:
    """The signer and cipher of the records of one collection. Thread-safe.

    Args:
        secret: The secret of all users of the collection.
        collection: Its name; records that were signed for another are refused.
        cipher: Encrypts questions, answers and tags; None: no encryption.
    """

    def __init__(self, secret: bytes, collection: str, cipher: Cipher | None = None) -> None:
        self._rows = Signer(secret, "semantic row", collection)
        self._states = Signer(secret, "semantic state", collection)
        self._voids = Signer(secret, "semantic invalidation", collection)
        self._positions = Signer(secret, "semantic position", collection)
        self._tags = derive_key(secret, "semantic tag")
        self._collection = collection
        self._cipher = cipher

    @property
    def encrypts(self) -> bool:
        """Return whether questions, answers and tags are encrypted."""
        return self._cipher is not None

    def tag(self, name: str) -> str:
        """Return the form of a tag in filters."""
        if self._cipher is None:
            return name.encode("utf-8", "backslashreplace").decode("utf-8")
        data = name.encode("utf-8", "surrogatepass")
        return hmac.digest(self._tags, data, "sha256")[:16].hex()

    # -- rows ------------------------------------------------------------------------------------

    def signature(self, row: Row, vector: str) -> str:
        """Return the signature of a row.

        Args:
            row: The row.
            vector: Its vector in the stored form.
        """
        return b64encode(self._rows.sign(*_parts(row, vector))).decode("ascii")

    def check(self, row: Row, vector: Any, signature: Any) -> None:
        """Check the signature of a stored row.

        Raises:
            TamperedError: It is missing or wrong.
        """
        given = _bytes(signature)
        if not isinstance(vector, str) or not self._rows.verify(given, *_parts(row, vector)):
            raise TamperedError("the signature of a record is missing or wrong")

    def encode_entry(self, entry: dict[str, Any], id_: str, scope: str) -> str:
        """Return a record's entry as JSON, encrypted if there is a cipher."""
        text = json.dumps(entry, separators=(",", ":"))
        if self._cipher is None:
            return text
        data = self._cipher.encrypt(text.encode("ascii"), self._place("row", id_, scope))
        return _ENCRYPTED + b64encode(data).decode("ascii")

    def decode_entry(self, text: str, id_: str, scope: str) -> Any:
        """Return the entry of a record, encrypted or not.

        Raises:
            TamperedError: It is encrypted and cannot be decrypted.
            ValueError: It is not JSON.
        """
        if text.startswith(_ENCRYPTED):
            if self._cipher is None:
                raise TamperedError("a record is encrypted, and there is no key")
            data = _bytes(text.removeprefix(_ENCRYPTED))
            try:
                text = self._cipher.decrypt(data, self._place("row", id_, scope)).decode("ascii")
            except CodecError as error:
                raise TamperedError(str(error)) from error
        return json.loads(text)

    # -- learned state and invalidations ---------------------------------------------------------

    def encode_state(self, process: str, state: bytes) -> dict[str, str]:
        """Return the metadata for the learned state of a process."""
        return self._encode(self._states, "state", process, state)

    def decode_state(self, process: str, record: Any) -> bytes:
        """Return the learned state of a process.

        Raises:
            TamperedError: The signature is missing or wrong.
        """
        return self._decode(self._states, "state", process, record)

    def encode_void(self, id_: str, void: bytes) -> dict[str, str]:
        """Return the metadata for an invalidation."""
        return self._encode(self._voids, "void", id_, void)

    def decode_void(self, id_: str, record: Any) -> bytes:
        """Return an invalidation.

        Raises:
            TamperedError: The signature is missing or wrong.
        """
        return self._decode(self._voids, "void", id_, record)

    def encode_position(self, id_: str, position: bytes) -> dict[str, str]:
        """Return the metadata for the position in the record of invalidations."""
        return self._encode(self._positions, "position", id_, position)

    def decode_position(self, id_: str, record: Any) -> bytes:
        """Return the position in the record of invalidations.

        Raises:
            TamperedError: The signature is missing or wrong.
        """
        return self._decode(self._positions, "position", id_, record)

    def _encode(self, signer: Signer, field: str, id_: str, data: bytes) -> dict[str, str]:
        if self._cipher is not None:
            data = self._cipher.encrypt(data, self._place(field, id_))
        return {field: _text(data), "signature": _text(signer.sign(id_.encode(), data))}

    def _decode(self, signer: Signer, field: str, id_: str, record: Any) -> bytes:
        data, signature = _bytes(record.get(field)), _bytes(record.get("signature"))
        if not signer.verify(signature, id_.encode("utf-8", "replace"), data):
            raise TamperedError(f"the signature of a {field} is missing or wrong")
        if self._cipher is not None:
            # Records from before encryption was enabled are signed only.
            with suppress(UnknownFormatError):
                return self._cipher.decrypt(data, self._place(field, id_))
        return data

    def _place(self, *names: str) -> bytes:
        return "\0".join((self._collection, *names)).encode("utf-8", "replace")


def _parts(row: Row, vector: str) -> list[bytes]:
    words = [row.id, row.codec, vector, *row.tags]
    question = ("text", row.text) if row.text is not None else ("traits", row.traits or "")
    return [
        row.scope,
        row.data,
        row.answer,
        _NUMBERS.pack(row.created, row.expires, row.took, row.price),
        *(word.encode("utf-8", "surrogatepass") for word in (*question, *words)),
    ]


def _text(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def _bytes(text: Any) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (TypeError, ValueError):
        return b""
