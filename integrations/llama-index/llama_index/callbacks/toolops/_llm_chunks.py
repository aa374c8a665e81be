"""Chunks of a stream in the form that is kept: each with no more than what is new in it.

Every chunk of LlamaIndex holds the whole text so far, so that a stream of a thousand words would
take room in proportion to their square. What a chunk begins with as the one before it did is cut
off on the way into the cache, and put back on the way out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatResponse,
    CompletionResponse,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from llama_index.callbacks.toolops._codec_types import pack_raw, unpack_raw
from llama_index.callbacks.toolops._llm_answers import Response, read_end
from toolops_plugins import Codec
from toolops_plugins.adapters.finish_reasons import Ending

__all__ = ["Joiner", "Piece", "Splitter", "join_pieces", "teach_chunks"]

_GROWING: dict[type[Any], str] = {
    TextBlock: "text",
    ThinkingBlock: "content",
    ToolCallBlock: "tool_kwargs",
}
"""Blocks that grow from chunk to chunk, with what of them does."""


class Piece:
    """A chunk without what it begins with as the one before it did.

    Args:
        response: The chunk; its texts are cut, and it has no ``raw``.
        kept: For each text how much of the text before it stands in front of it.
        raw: The provider's own object, packed: it takes long to make, and the one who has asked
            the model needs it no second time.
        run: With the first chunk of a stream, what tells that stream from all others.
        ending: What the chunk says of the end of the answer, as ``Ending.dump`` returns it.
    """

    __slots__ = ("ending", "kept", "raw", "response", "run")

    def __init__(
        self,
        response: Response,
        kept: list[int],
        raw: list[Any],
        run: bytes = b"",
        ending: Sequence[Any] = (),
    ) -> None:
        self.response = response
        self.kept = kept
        self.raw = raw
        self.run = run
        self.ending = ending


class Splitter:
    """Cuts the chunks of one stream, in their order.

    Args:
        run: What tells the stream from all others.
    """

    def __init__(self, run: bytes = b"") -> None:
        self._before: list[str] = []
        self._run = run

    def cut(self, response: Response) -> Piece:
        """Return what is new in a chunk, which is left as it is."""
        texts = _texts(response)
        kept = []
        cut = []
        for index, text in enumerate(texts):
            before = self._before[index] if index < len(self._before) else ""
            kept.append(len(before) if text.startswith(before) else 0)
            cut.append(text[kept[-1] :])
        self._before = texts
        run, self._run = self._run, b""
        piece = _with_texts(response, cut, None)
        # Of the chunk itself, since not all of the provider's own object is kept.
        return Piece(piece, kept, pack_raw(response.raw), run, read_end(response).dump())


class Joiner:
    """Puts the chunks of one stream together again, in their order."""

    def __init__(self) -> None:
        self._before: list[str] = []

    def join(self, piece: Piece) -> Response:
        """Return the chunk that was cut, as one that nobody else has."""
        whole = []
        for index, text in enumerate(_texts(piece.response)):
            kept = piece.kept[index]
            whole.append(self._before[index][:kept] + text if kept else text)
        self._before = whole
        return _with_texts(piece.response, whole, unpack_raw(piece.raw))


def join_pieces(pieces: Iterable[Any]) -> Iterator[Response]:
    """Yield the chunks that pieces are of."""
    joiner = Joiner()
    for piece in pieces:
        yield joiner.join(piece)


def teach_chunks(codec: Codec) -> None:
    """Make pieces encodable; the chunks in them have to be already."""
    codec.register(Piece, "llama_index.Piece", encode=_parts, decode=_piece, verify=False)


def _parts(piece: Piece) -> list[Any]:
    return [piece.response, piece.kept, piece.raw, piece.run, piece.ending]


def _piece(parts: Any) -> Piece:
    response, kept, raw, run, ending = parts
    if type(response) not in (ChatResponse, CompletionResponse):
        raise TypeError("a piece is of something that is no response")
    if len(kept) != len(_texts(response)) or not all(type(length) is int for length in kept):
        raise ValueError("a piece does not say of each text how much of it was there before")
    if len(raw) != 2:
        raise ValueError("a piece does not say of which type the provider's object was")
    Ending().add(ending)
    return Piece(response, kept, raw, run, ending)


def _texts(response: Response) -> list[str]:
    """Return the texts of a chunk that may grow."""
    if isinstance(response, CompletionResponse):
        return [response.text]
    blocks = response.message.blocks
    texts = [getattr(block, _GROWING.get(type(block), ""), None) for block in blocks]
    return [text for text in texts if isinstance(text, str)]


def _with_texts(response: Response, texts: list[str], raw: Any) -> Response:
    """Return the chunk with other texts and ``raw``, and with containers that are its own."""
    changes: dict[str, Any] = {
        "additional_kwargs": dict(response.additional_kwargs),
        "raw": raw,
    }
    if isinstance(response, CompletionResponse):
        return response.model_copy(update={"text": texts[0], **changes})
    blocks = []
    rest = iter(texts)
    for block in response.message.blocks:
        name = _GROWING.get(type(block), "")
        if isinstance(getattr(block, name, None), str):
            blocks.append(block.model_copy(update={name: next(rest)}))
        else:
            blocks.append(block.model_copy())
    message = response.message.model_copy(update={"blocks": blocks})
    return response.model_copy(update={"message": message, **changes})
