"""A batch of texts in which one that cannot be embedded fails alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import TypeAlias, cast

from toolops_plugins.errors import EmbeddingError
from toolops_plugins.semantic.embedding.embedders import Matrix

__all__ = ["Aembed", "Result", "Vector", "aembed_each", "embed_each", "failure"]

Vector: TypeAlias = Matrix
Result: TypeAlias = Vector | EmbeddingError
Embed: TypeAlias = Callable[[list[str]], Matrix]
Aembed: TypeAlias = Callable[[list[str]], Awaitable[Matrix]]
_Answer: TypeAlias = Matrix | EmbeddingError


def embed_each(embed: Embed, texts: list[str]) -> list[Result]:
    """Return the result of each text in order: a read-only vector or an error.

    Args:
        embed: Embeds some of the texts or raises.
        texts: At least one text.
    """
    work = _isolate_failures(texts)
    batch = next(work)
    try:
        while True:
            answer: _Answer
            try:
                answer = embed(batch)
            except Exception as error:  # noqa: BLE001 - an embedder may raise anything
                answer = failure(error)
            batch = work.send(answer)
    except StopIteration as end:
        return cast("list[Result]", end.value)


async def aembed_each(aembed: Aembed, texts: list[str]) -> list[Result]:
    """Return the result of each text, like :func:`embed_each`."""
    work = _isolate_failures(texts)
    batch = next(work)
    try:
        while True:
            answer: _Answer
            try:
                answer = await aembed(batch)
            except Exception as error:  # noqa: BLE001 - an embedder may raise anything
                answer = failure(error)
            batch = work.send(answer)
    except StopIteration as end:
        return cast("list[Result]", end.value)


def failure(error: BaseException) -> EmbeddingError:
    """Return the error of an embedder as an ``EmbeddingError``."""
    if isinstance(error, EmbeddingError):
        return error
    # Without the message, which may quote a question or a credential; the cause has it.
    text = f"the embedder failed with {type(error).__name__}"
    failure = EmbeddingError.of(text, text)
    failure.__cause__ = error
    return failure


def _isolate_failures(texts: list[str]) -> Generator[list[str], _Answer, list[Result]]:
    """Embed texts so that one which cannot be embedded fails alone; yield the next batch.

    A batch that fails is retried in halves, and so is a half that fails while the other succeeds:
    one bad text is found in twice the logarithm of their number. Where both halves fail, the cause
    is hardly the texts, and further attempts would only delay all callers.
    """
    answer = yield texts
    if isinstance(answer, EmbeddingError) and len(texts) > 1:
        return (yield from _halve(texts))
    return _each(answer, texts)


def _halve(texts: list[str]) -> Generator[list[str], _Answer, list[Result]]:
    middle = len(texts) // 2
    halves = texts[:middle], texts[middle:]
    answers = (yield halves[0]), (yield halves[1])
    failed = [isinstance(answer, EmbeddingError) for answer in answers]
    results: list[Result] = []
    for half, answer in zip(halves, answers, strict=True):
        if isinstance(answer, EmbeddingError) and len(half) > 1 and not all(failed):
            results += yield from _halve(half)
        else:
            results += _each(answer, half)
    return results


def _each(answer: _Answer, texts: list[str]) -> list[Result]:
    """Return the result of each text of a batch."""
    if isinstance(answer, EmbeddingError):
        return [answer] * len(texts)
    vectors: list[Result] = []
    for row in answer:
        vector = row.copy()  # a view would keep the whole batch in memory
        vector.setflags(write=False)
        vectors.append(vector)
    return vectors
