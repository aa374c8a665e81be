"""The stored form of a chat model's answer: the usual one as plain JSON.

The codec reads plain JSON in half the time that it takes for a value of a registered type, and a
hit is little more than that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.outputs import Generation

from langchain_toolops._codec_types import Generations, dump_simple, load_simple

__all__ = ["GenerationsView", "dump", "load"]

_FORM = "langchain.generation"


def dump(generations: Sequence[Generation]) -> Any:
    """Return what is stored of the generations of a model.

    Returns:
        For one message that needs no validators, a list of the form's name and the fields; else
        :class:`Generations`.
    """
    if len(generations) == 1:
        try:
            stored = dump_simple(generations[0])
        except Exception:  # noqa: BLE001 - the codec meets it again, and says that it is not stored
            stored = None
        if stored is not None:
            return [_FORM, stored]
    return Generations(generations)


def load(value: Any) -> list[Generation] | None:
    """Return the generations of what is stored, or None if it is none of ours.

    Args:
        value: What the cache gave; the generations take over what is in it.
    """
    if type(value) is list and len(value) == 2 and value[0] == _FORM:
        try:
            return [load_simple(value[1])]
        except Exception:  # noqa: BLE001 - a shared server may hold anything in this form
            return None
    return value if type(value) is Generations and value else None


@dataclass(frozen=True)
class GenerationsView:
    """A callable over what is stored, in place of one over generations.

    Two are equal if their callables are.
    """

    function: Callable[[Any], Any]

    def __call__(self, value: Any) -> Any:
        generations = load(value)
        return self.function(value if generations is None else generations)
