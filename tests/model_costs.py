"""An answer of a model whose tokens and price are known, for the tests of all adapters."""

from __future__ import annotations

from openai_server import OpenAIServer

__all__ = ["MONEY", "TOKENS", "reply_with_tokens"]

TOKENS = {
    "prompt_tokens": 1_000,
    "completion_tokens": 100,
    "total_tokens": 1_100,
    "prompt_tokens_details": {"cached_tokens": 400},
}
MONEY = (600 * 2.5 + 400 * 1.25 + 100 * 10) / 1e6
"""Their published price by gpt-4o."""


def reply_with_tokens(server: OpenAIServer) -> OpenAIServer:
    """Let a server answer every question with the same text and these tokens."""
    server.reply = lambda _: {"content": "It is Paris.", "usage": TOKENS}
    return server
