"""Policies over answers and over streams: users' callables see responses, never our own forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from llama_index.callbacks.toolops._llm_answers import is_whole, said, was_cut
from llama_index.callbacks.toolops._llm_chunks import Piece, joined
from toolops_plugins import Policy, Price

__all__ = ["is_whole_stream", "over_answers", "over_chunks"]


def over_answers(policy: Policy) -> Policy:
    """Return the policy with answers compared by what they say, not by their ids and tokens.

    Where the policy says itself what is compared, that stands.
    """
    semantic = policy.semantic
    if semantic is None or semantic.answer is not None:
        return policy
    return policy.replace(semantic=replace(semantic, answer=said))


def over_chunks(policy: Policy) -> Policy:
    """Return the policy for streams: its callables get the list of a stream's chunks.

    Answers are compared by what the last chunk says, which holds all of the text.
    """
    cache, semantic, price = policy.cache, policy.semantic, policy.price
    if cache is not None and cache.when is not None:
        policy = policy.replace(cache=replace(cache, when=_of_chunks(cache.when)))
    if semantic is not None:
        answer = _said_last if semantic.answer is None else semantic.answer
        policy = policy.replace(semantic=replace(semantic, answer=_of_chunks(answer)))
    if isinstance(price, Price):
        if price.tokens is not None:
            policy = policy.replace(price=replace(price, tokens=_of_chunks(price.tokens)))
    elif callable(price):
        policy = policy.replace(price=_of_chunks(price))
    return policy


def is_whole_stream(pieces: Any) -> bool:
    """Return whether a stream, in the form that is kept, has content, and ended by itself."""
    if not pieces or not all(type(piece) is Piece for piece in pieces):
        return False
    if any(was_cut(piece.response, piece.raw[1]) for piece in pieces):
        return False
    *_, last = joined(pieces)
    return is_whole(last)


def _of_chunks(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def asked(value: Any) -> Any:
        # What is kept of a stream is its items with what its generator returned.
        items = value[0] if isinstance(value, tuple) else value
        if isinstance(items, list) and all(type(item) is Piece for item in items):
            items = list(joined(items))
        return function(items)

    return asked


def _said_last(chunks: Any) -> Any:
    return said(chunks[-1]) if chunks else ""
