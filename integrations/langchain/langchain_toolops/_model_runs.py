"""Chunks of which LangChain makes an agent's message, where somebody listens to its tokens.

The message shows no more of them: neither that the stream had no end, nor that the arguments of a
tool call were cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk

from langchain_toolops._inner_runs import InnerRuns
from langchain_toolops._llm_answers import (
    has_content,
    merge_chunks,
    must_tell_end,
    read_stream_end,
)
from toolops_plugins.adapters.finish_reasons import Ending

__all__ = ["ModelRuns"]


class ModelRuns(InnerRuns):
    """The runs of one attempt of an agent's model, with the chunks of each."""

    def __init__(self) -> None:
        super().__init__()
        self._chunks: dict[Any, list[ChatGenerationChunk]] = {}

    def on_llm_new_token(self, *_: Any, chunk: Any = None, run_id: Any, **__: Any) -> None:
        """Take a chunk."""
        if isinstance(chunk, ChatGenerationChunk) and isinstance(chunk.message, AIMessageChunk):
            self._chunks.setdefault(run_id, []).append(chunk)

    def may_be_half(self, messages: Iterable[BaseMessage], warn: Callable[[], None]) -> bool:
        """Return whether a message was made of a stream that may have been cut, or was broken.

        Args:
            messages: What the call brought.
            warn: Tells of a stream without an end.
        """
        for message in messages:
            chunks = self._chunks_of(message)
            if chunks:
                ending = read_stream_end(chunks)
            elif isinstance(message, AIMessage) and must_tell_end(message):
                ending = Ending((message.response_metadata, message.additional_kwargs))
            else:
                continue
            if ending.is_open:
                warn()
            if not ending.may_be_kept(streamed=True):
                return True
            if chunks and not has_content(merge_chunks(chunks).message):
                return True
        return False

    def _chunks_of(self, message: BaseMessage) -> list[ChatGenerationChunk]:
        """Return the chunks of which a message was made, as far as the ids of chunks tell."""
        for chunks in self._chunks.values():
            if any(chunk.message.id == message.id for chunk in chunks):
                return chunks
        return []
