"""Encryption of entries outside of this process, by the package ``cryptography``.

AES-256-GCM (NIST SP 800-38D) authenticates the data that it encrypts and clear data beside it, and
runs in hardware on all servers. Its weakness is the nonce of 96 bits, which may never repeat under
one key. So each message has its own key, derived from a random salt, as in XAES-256-GCM (C2SP,
2024): processes need no counter, and a fork cannot repeat a nonce. The alternative, Fernet, takes
no clear data along, has 128-bit AES, and grows everything by a third through base64.

A message is: version (1 byte) | id of the key (4) | salt (16) | nonce (12) | data and tag.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Sequence
from typing import Any, Final

from toolops_plugins import check
from toolops_plugins.codec.signing import derive_key
from toolops_plugins.errors import ConfigurationError, TamperedError, UnknownFormatError

__all__ = ["Cipher", "make_cipher"]

_VERSION: Final = b"\x01"
_ID: Final = 4
_SALT: Final = 16
_NONCE: Final = 12
_TAG: Final = 16
_HEAD: Final = len(_VERSION) + _ID + _SALT + _NONCE


class Cipher:
    """Encrypts and decrypts bytes. Thread-safe, and safe after a fork.

    Args:
        secrets: Secrets from which the keys are derived, at least one. The first encrypts and all
            decrypt, so that a secret can be changed while data of the old one remains.

    Raises:
        ConfigurationError: The package ``cryptography`` is missing.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._cipher = _aes()
        keys = [derive_key(secret, "encryption") for secret in secrets]
        self._keys = {hmac.digest(key, b"id", "sha256")[:_ID]: key for key in reversed(keys)}
        self._id = hmac.digest(keys[0], b"id", "sha256")[:_ID]

    def encrypt(self, data: bytes, place: bytes) -> bytes:
        """Encrypt data, so that only holders of the secret can read it.

        Args:
            data: Any bytes.
            place: The place of the data, which decryption has to repeat.
        """
        random = os.urandom(_SALT + _NONCE)
        key = _message_key(self._keys[self._id], random[:_SALT])
        head = _VERSION + self._id + random
        encrypted: bytes = self._cipher(key).encrypt(random[_SALT:], data, head + place)
        return head + encrypted

    def decrypt(self, message: bytes, place: bytes) -> bytes:
        """Return the data of a message.

        Args:
            message: A message of :meth:`encrypt`.
            place: The place that was given there.

        Raises:
            UnknownFormatError: The message has another version, or an unknown key.
            TamperedError: It was changed, or belongs to another place.
        """
        head = message[:_HEAD]
        key = self._keys.get(head[1 : 1 + _ID])
        if len(message) < _HEAD + _TAG or head[:1] != _VERSION or key is None:
            raise UnknownFormatError("encrypted by another version or with another key")
        random = head[1 + _ID :]
        try:
            decrypted: bytes = self._cipher(_message_key(key, random[:_SALT])).decrypt(
                random[_SALT:], message[_HEAD:], head + place
            )
        except Exception as error:  # InvalidTag; importing it would need the package twice
            raise TamperedError("encrypted data was changed or moved") from error
        return decrypted


def make_cipher(encrypt: bool | str | bytes, secret: bytes | None) -> Cipher | None:  # noqa: FBT001 - as users pass it by name
    """Return the cipher for the option ``encrypt=``, or None.

    Args:
        encrypt: False: no cipher. True: a cipher whose key is derived from the secret. Text or
            bytes: a cipher whose key is derived from these.
        secret: The secret that signs; encrypted entries are always signed, too.

    Raises:
        ConfigurationError: There is no secret, ``encrypt`` is none of these, or the package
            ``cryptography`` is missing.
    """
    if encrypt is False:
        return None
    if secret is None:
        raise ConfigurationError(
            "encrypt", "needs secret=... (or TOOLOPS_SECRET), which signs encrypted entries"
        )
    if encrypt is True:
        return Cipher([secret])
    key = check.secret("encrypt", encrypt)
    if key is None:
        raise ConfigurationError("encrypt", "must be True, False, or non-empty text or bytes")
    return Cipher([key])


def _message_key(key: bytes, salt: bytes) -> bytes:
    return hmac.digest(key, b"message" + salt, "sha256")


def _aes() -> Callable[[bytes], Any]:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import (  # noqa: PLC0415 - an extra
            AESGCM,
        )
    except ImportError:
        raise ConfigurationError(
            "encrypt", 'needs the package cryptography: pip install "toolops-plugins[encrypt]"'
        ) from None
    return AESGCM
