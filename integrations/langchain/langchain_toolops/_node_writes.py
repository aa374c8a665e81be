"""The writes of LangGraph's nodes as bytes, for as far as these bring them back whole.

LangGraph hands its cache the writes of a node, a deque of pairs of a channel and a value. Its
serializer turns some values into others without a word; it was made for checkpoints, where a graph
goes on with what it gets.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import Any, TypeAlias

from langchain_core.messages.base import TextAccessor
from langgraph.checkpoint.serde.base import SerializerProtocol

from toolops_plugins.adapters.value_comparison import find_difference, type_name

__all__ = ["INTERRUPTED", "NotKeptError", "StoredWrites", "WritesCodec", "has_signal"]

INTERRUPTED = "a human answered it, by interrupt(); the answer belongs to this run alone"
_SIGNALS = frozenset(("__resume__", "__interrupt__", "__error__", "__error_source_node__"))
"""LangGraph's own channels, which tell of a run that was interrupted or failed."""

_PAIRS, _ARRAYS = "p", "a"

StoredWrites: TypeAlias = tuple[str, bytes, str]
"""The serializer's name for the bytes, the bytes, and the repairs that they need when read."""


class NotKeptError(Exception):
    """The serializer does not bring a value back as it was."""


def has_signal(writes: Any) -> bool:
    """Return whether writes hold an interrupt, a human's answer to one, or an error."""
    return isinstance(writes, deque | list) and any(
        isinstance(write, tuple) and len(write) == 2 and write[0] in _SIGNALS for write in writes
    )


class WritesCodec:
    """Turns writes into bytes, and back, by one of LangGraph's serializers. Thread-safe."""

    def __init__(self, serde: SerializerProtocol) -> None:
        self._serde = serde

    def dump(self, writes: Any) -> StoredWrites:
        """Return the bytes of writes, from which :meth:`load` makes the same again.

        This takes twice the time of serializing and reading them: they are read again, and
        compared at any depth.

        Raises:
            NotKeptError: The serializer does not bring them back in value and type.
        """
        try:
            kind, data = self._serde.dumps_typed(writes)
            data = bytes(data)
        except Exception as error:  # noqa: BLE001 - of a serializer, and of classes that it asks
            raise NotKeptError(self._find_refused(writes, type(error).__name__)) from None
        repairs = _PAIRS if _is_pairs(writes) else ""
        difference = self._find_difference(writes, (kind, data, repairs))
        if difference is not None and "numpy" in sys.modules:
            repairs += _ARRAYS
            if self._find_difference(writes, (kind, data, repairs)) is None:
                return kind, data, repairs
        if difference is not None:
            raise NotKeptError(difference)
        return kind, data, repairs

    def load(self, stored: StoredWrites) -> Any:
        """Return the writes of what :meth:`dump` returned.

        Raises:
            Exception: Anything, if it was not that.
        """
        kind, data, repairs = stored
        writes = self._serde.loads_typed((kind, data))
        if _PAIRS in repairs:
            writes = deque(map(tuple, writes))
        if _ARRAYS in repairs:
            writes = _thaw(writes)
        return writes

    def _find_refused(self, writes: Any, error: str) -> str:
        """Return which write the serializer refuses, and the type of the error."""
        for channel, value in writes if _is_pairs(writes) else ():
            try:
                self._serde.dumps_typed(value)
            except Exception as refusal:  # noqa: BLE001 - as above
                kind = type_name(type(value))
                return f"in {channel!r}, the serializer refuses {kind} ({type(refusal).__name__})"
        return f"the serializer refuses {type_name(type(writes))} ({error})"

    def _find_difference(self, writes: Any, stored: StoredWrites) -> str | None:
        try:
            again = self.load(stored)
            if _PAIRS not in stored[2] or len(writes) != len(again):
                return _find_difference(writes, again)
            for (channel, value), (other, read) in zip(writes, again, strict=True):
                difference = _find_difference(channel, other) or _find_difference(value, read)
                if difference is not None:
                    return f"in {channel!r}, {difference}"
        except Exception as error:  # noqa: BLE001 - of a serializer, and of the classes that it builds
            return f"they cannot be read again ({type(error).__name__})"
        return None


def _find_difference(before: Any, after: Any) -> str | None:
    # The ``text`` of a message is one but for a call that is deprecated, and a checkpoint brings
    # back the plain text too.
    return find_difference(before, after, texts=(TextAccessor,))


def _is_pairs(writes: Any) -> bool:
    return type(writes) is deque and all(type(each) is tuple and len(each) == 2 for each in writes)


def _thaw(value: Any) -> Any:
    """Make arrays writable, which the serializer reads as views of its bytes.

    Those in dicts and lists alone are reached; writes with others are not kept.
    """
    kind = type(value)
    if kind is dict:
        for key, item in value.items():
            value[key] = _thaw(item)
    elif kind is list or kind is deque or kind is tuple:
        return kind([_thaw(item) for item in value])
    elif kind is sys.modules["numpy"].ndarray and not value.flags.writeable:
        return value.copy(order="K")
    return value
