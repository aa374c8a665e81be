"""Policies for streams, whose callables get chunks and never the form that is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llama_index.callbacks.toolops._llm_answers import content_of, has_content
from llama_index.callbacks.toolops._llm_chunks import Piece, join_pieces
from toolops_plugins import Policy
from toolops_plugins.adapters.finish_reasons import Ending
from toolops_plugins.adapters.policy_views import compare_by, map_results

__all__ = ["is_whole_stream", "read_stream_end", "stream_policy"]


def stream_policy(policy: Policy) -> Policy:
    """Return the policy for streams: its callables get the list of a stream's chunks.

    Answers are compared by what the last chunk says, which holds all of the text.
    """
    return map_results(compare_by(policy, _last_content), _over_chunks)


def read_stream_end(pieces: Any) -> Ending | None:
    """Return how a stream, in the form that is kept, ended; None if it is none of ours."""
    if not pieces or not all(type(piece) is Piece for piece in pieces):
        return None
    ending = Ending()
    for piece in pieces:
        ending.add(piece.ending)
    return ending


def is_whole_stream(pieces: Any, warn: Callable[[], None]) -> bool:
    """Return whether a stream, in the form that is kept, has content, and an end that was told.

    Args:
        pieces: Its pieces.
        warn: Tells of a stream without an end.
    """
    ending = read_stream_end(pieces)
    if ending is None:
        return False
    if ending.is_open:
        warn()
    if not ending.may_be_kept(streamed=True):
        return False
    *_, last = join_pieces(pieces)
    return has_content(last)


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
