"""The event that guarded models, tools and embeddings fire where no provider was asked."""

from __future__ import annotations

import logging
from typing import Literal, TypeAlias

from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.base import BaseEvent
from llama_index_instrumentation.event_handlers import NullEventHandler

__all__ = ["CacheHitEvent", "GuardedKind", "tell_hit"]

logger = logging.getLogger("llama_index.callbacks.toolops")
dispatcher = get_dispatcher(__name__)

GuardedKind: TypeAlias = Literal["llm", "tool", "embedding"]


class CacheHitEvent(BaseEvent):
    """A guarded call was answered without its model, tool or embedding having been asked.

    It holds neither what was asked nor what was answered.

    Args:
        name: The name of what is guarded, as in the runtime's ``stats()``.
        kind: What is guarded.
        tier: Label of the tier that answered, such as "L1". None: not known.
        age: Seconds since the answer was made. None: not known.
        saved_seconds: Seconds that the caller was spared. None: not known.
        saved_price: Money that was not spent again. None: not known.
    """

    name: str
    kind: GuardedKind
    tier: str | None = None
    age: float | None = None
    saved_seconds: float | None = None
    saved_price: float | None = None

    @classmethod
    def class_name(cls) -> str:
        """Return the name by which LlamaIndex's handlers know the event."""
        return "CacheHitEvent"


def tell_hit(
    name: str,
    kind: GuardedKind,
    *,
    tier: str | None = None,
    age: float | None = None,
    saved_seconds: float | None = None,
    saved_price: float | None = None,
) -> None:
    """Fire a :class:`CacheHitEvent`, in the span that is active; never raises an Exception.

    It waits for nothing but the handlers that users have added, in the caller's thread or on its
    loop.
    """
    try:
        if not _is_heard():
            return
        dispatcher.event(
            CacheHitEvent(
                name=name,
                kind=kind,
                tier=tier,
                age=age,
                saved_seconds=saved_seconds,
                saved_price=saved_price,
            )
        )
    except Exception as error:  # noqa: BLE001 - the answer is there, and must reach its caller
        logger.debug("No event was fired for a hit: %s", type(error).__name__)


def _is_heard() -> bool:
    """Return whether somebody handles events; to make one for nobody takes a tenth of a hit."""
    place = dispatcher
    while all(type(handler) is NullEventHandler for handler in place.event_handlers):
        if not place.propagate:
            return False
        place = place.parent
    return True
