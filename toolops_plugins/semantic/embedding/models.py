"""The two models that are available by name, each loaded once a process at first use."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from toolops_plugins.concurrency.fork_locks import fork_safe

__all__ = ["MiniLM", "WordLlama"]

_SLICE = 4_096  # tokens summed at a time: a text of megabytes must not need gigabytes


class WordLlama:
    """WordLlama with the weights of its wheel: the mean of a text's token vectors.

    It takes 30 MB and about 25 us for a question, without network. Safe for any threads and
    loops, and in forked children: texts are tokenized one by one, which needs neither padding nor
    the tokenizer's own threads, and is four times as fast for one text as WordLlama's ``embed``.
    It ignores word order and much of English grammar; other languages do worse.

    Texts are folded to lower case and begin with a space, so that a word has the same tokens
    in any position: on BANKING77 that gives 2 points more hits at the same share of errors.
    """

    name: ClassVar[str] = "wordllama:256:l2_supercat:lower"
    dimension: ClassVar[int] = 256

    def __init__(self) -> None:
        self._lock = fork_safe(self, threading.Lock())
        self._parts: tuple[Callable[..., Any], NDArray[np.float32]] | None = None

    def quick(self, text: str) -> bool:
        """Return whether the model is loaded and the text is short."""
        # A rare character becomes as many as four tokens.
        return self._parts is not None and len(text) <= (300 if text.isascii() else 75)

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        """Return one row of unit length for each text, of zeros for the empty one.

        Raises:
            FileNotFoundError: The installed package has no weights or tokenizer in it.
        """
        encode, table = self._parts or self._load()
        rows = np.zeros((len(texts), self.dimension), np.float32)
        for index, given in enumerate(texts):
            row = rows[index]
            text = given.strip().lower()
            if not text:
                continue
            try:
                ids = encode(f" {text}", add_special_tokens=False).ids
            except TypeError:  # half of a surrogate pair has no UTF-8
                clean = text.encode("utf-8", "replace").decode()
                ids = encode(f" {clean}", add_special_tokens=False).ids
            for start in range(0, len(ids), _SLICE):
                row += np.add.reduce(table.take(ids[start : start + _SLICE], axis=0))
            length = np.sqrt(row @ row)
            if length > 0:
                row /= length
        return rows

    def _load(self) -> tuple[Callable[..., Any], NDArray[np.float32]]:
        with self._lock:
            if self._parts is None:
                wordllama = _import_wordllama()
                # By default its loader looks for the tokenizer in the wrong folder.
                model = wordllama.WordLlama.load(
                    cache_dir=Path(wordllama.__file__).parent, disable_download=True
                )
                self._parts = model.tokenizer.encode, model.embedding
            return self._parts


def _import_wordllama() -> Any:
    """Import WordLlama without the effect of its call of ``logging.basicConfig``."""
    # The call has no effect while the root logger has a handler.
    root, stand_in = logging.getLogger(), logging.NullHandler()
    root.addHandler(stand_in)
    try:
        import wordllama  # noqa: PLC0415 - slow to import, and optional
    finally:
        root.removeHandler(stand_in)
    return wordllama


class MiniLM:
    """Chroma's default model, all-MiniLM-L6-v2 on the ONNX runtime.

    Chroma downloads it at first use to the user's cache folder (80 MB). Safe to use from any
    threads and event loops.

    Chroma's ``DefaultEmbeddingFunction`` loads the model at every call and pads every text to
    256 tokens. Here it stays loaded, and texts are embedded one by one without padding, which the
    attention mask would remove anyway.
    """

    name: ClassVar[str] = "chroma:default"
    dimension: ClassVar[int] = 384

    def __init__(self) -> None:
        self._lock = fork_safe(self, threading.Lock())
        self._function: Callable[[list[str]], Any] | None = None

    def __call__(self, texts: list[str]) -> list[Any]:
        """Return one vector for each text, of its first 256 tokens."""
        function = self._function or self._load()
        return [function([text])[0] for text in texts]

    def _load(self) -> Callable[[list[str]], Any]:
        with self._lock:
            if self._function is None:
                from chromadb.utils.embedding_functions import (  # noqa: PLC0415 - slow to import
                    ONNXMiniLM_L6_V2,
                )

                function = ONNXMiniLM_L6_V2()
                function(["warm"])  # downloads, unpacks and loads
                function.tokenizer.no_padding()
                self._function = function
            return self._function
