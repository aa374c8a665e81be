"""Policies for streams, whose callables get chunks and never the form that is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llama_index.callbacks.toolops._llm_answers import content_of, is_whole, says_cut_off
from llama_index.callbacks.toolops._llm_chunks import Piece, join_pieces
from toolops_plugins import Policy
from toolops_plugins.adapters.policy_views import compare_by, map_results

__all__ = ["is_whole_stream", "stream_policy"]


def stream_policy(policy: Policy) -> Policy:
    """Return the policy for streams: its callables get the list of a stream's chunks.

    Answers are compared by what the last chunk says, which holds all of the text.
    """
    return map_results(compare_by(policy, _last_content), _over_chunks)


def is_whole_stream(pieces: Any) -> bool:
    """Return whether a stream, in the form that is kept, has content, and ended by itself."""
    if not pieces or not all(type(piece) is Piece for piece in pieces):
        return False
    if any(says_cut_off(piece.response, piece.raw[1]) for piece in pieces):
        return False
    *_, last = join_pieces(pieces)
    return is_whole(last)


def _over_chunks(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def call(value: Any) -> Any:
        # What is kept of a stream is its items with what its generator returned.
        items = value[0] if isinstance(value, tuple) else value
        if isinstance(items, list) and all(type(item) is Piece for item in items):
            items = list(join_pieces(items))
        return function(items)

    return call


def _last_content(chunks: Any) -> Any:
    return content_of(chunks[-1]) if chunks else ""
