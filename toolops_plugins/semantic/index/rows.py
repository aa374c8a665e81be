"""A question with its answer, the entry of the index."""

from __future__ import annotations

import math

__all__ = ["Row"]


class Row:
    """One entry of the index; only ``hits``, ``used``, ``mark``, ``seen`` and ``until`` change.

    It has slots, since an index holds a hundred thousand of them.

    Args:
        id: 32 hexadecimal digits, a digest of scope and question: the same question in the same
            scope replaces its older answer.
        scope: 16 bytes, a digest of everything that must be identical for questions to share
            an answer.
        text: The question, or None where only digests are kept.
        codec: The id of the encoding.
        data: The encoded answer.
        answer: 16 bytes that are equal for equal answers in one scope.
        created: Seconds since the epoch at which the answer was computed.
        expires: Seconds since the epoch at which it expires; infinite for never.
        tags: The tags under which it can be invalidated, sorted.
        took: Seconds that computing the answer took.
        price: Money that it cost.
        traits: The traits of a question whose text is not stored, as JSON; else None.
        hits: Number of hits.
        used: Seconds since the epoch at which it was last served, or stored.

    Attributes:
        mark: The mark of the moment at which the answer holds, where this process computed it, as
            in :class:`~toolops_plugins.invalidation.Invalidations`. None: loaded from the store.
        seen: The number of the last invalidation by another process that was known when its call
            began, as in :mod:`~toolops_plugins.semantic.index.remote_invalidations`.
        until: Its end by this process's monotonic clock; None: not computed yet.
    """

    __slots__ = (
        "answer",
        "codec",
        "created",
        "data",
        "expires",
        "hits",
        "id",
        "mark",
        "price",
        "scope",
        "seen",
        "tags",
        "text",
        "took",
        "traits",
        "until",
        "used",
    )

    def __init__(
        self,
        id: str,  # noqa: A002 - what Chroma and its users call it
        scope: bytes,
        text: str | None,
        codec: str,
        data: bytes,
        answer: bytes,
        created: float,
        expires: float = math.inf,
        tags: tuple[str, ...] = (),
        took: float = 0.0,
        price: float = 0.0,
        traits: str | None = None,
        hits: int = 0,
        used: float = 0.0,
    ) -> None:
        self.id = id
        self.scope = scope
        self.text = text
        self.codec = codec
        self.data = data
        self.answer = answer
        self.created = created
        self.expires = expires
        self.tags = tags
        self.took = took
        self.price = price
        self.traits = traits
        self.hits = hits
        self.used = used or created
        self.mark: int | None = None
        self.seen = 0
        self.until: float | None = None
