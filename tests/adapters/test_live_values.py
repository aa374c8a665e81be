"""Identities of functions in other processes, and the names of credentials."""

from __future__ import annotations

import subprocess
import sys

import pytest

from toolops_plugins.adapters.live_values import is_credential_name

_PROGRAM = """
import sys
from functools import partial
from pydantic import BaseModel, ConfigDict
from toolops_plugins.adapters.live_values import LiveValues
from toolops_plugins.adapters.model_identity import field_identities
from toolops_plugins.keys.canonical import Canon
from toolops_plugins.policy import NOTHING

class Model(BaseModel):
    token_provider: object = None

token = partial(str, "a")
if sys.argv[1] == "named":
    token.__toolops_key__ = "team a"
canon = Canon()
live = LiveValues(canon, lambda place: None)
identity = field_identities(Model(token_provider=token), lambda value: NOTHING, live)
print(canon.encode(identity).hex())
"""


def test_processes_share_by_name_alone() -> None:
    def identity(how: str) -> str:
        command = [sys.executable, "-W", "ignore", "-c", _PROGRAM, how]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    named = identity("named")
    assert b"team a" in bytes.fromhex(named)
    assert named == identity("named")
    assert identity("unnamed") != identity("unnamed")


@pytest.mark.parametrize(
    "name",
    [
        "api_key", "azure_ad_token_provider", "azure_ad_async_token_provider", "credentials",
        "_credential", "auth", "http_auth", "get_token", "token_getter", "token_source",
        "interceptor", "request_signer", "bearer_token_fn",
    ],
)  # fmt: skip
def test_names_of_credentials(name: str) -> None:
    assert is_credential_name(name)


@pytest.mark.parametrize(
    "name", ["max_tokens", "_token_usage", "tokenizer", "custom_get_token_ids", "author", "client"]
)
def test_names_of_others(name: str) -> None:
    assert not is_credential_name(name)
