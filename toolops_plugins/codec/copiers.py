"""Copies of small dicts and lists, made from a template instead of from bytes.

To read the bytes of a small dict takes a third of a hit in memory. The first hit of an entry keeps
what it has read as a template in place of the bytes; the methods of dict and list copy it in a
fraction of that time. Its texts, numbers and other immutable parts are shared by all copies.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from sys import getsizeof
from typing import Any, Final, TypeAlias

from toolops_plugins.codec.payload import OVERHEAD, Payload, immutable_size
from toolops_plugins.policy import NOTHING

__all__ = ["Copier", "copier_of", "copyable_payload"]

Copier: TypeAlias = Callable[[], Any]

_BYTES: Final = 4_096  # of data; a large value is not read so often that its memory pays
_CONTAINERS: Final = 32  # dicts and lists; from here on reading is about as fast
_PARTS: Final = 128
_CONTAINER: Final = 400  # bytes of an empty dict or list with its copier, as measured
_PART: Final = 100  # bytes of a part and its place, beside its text


def copyable_payload(codec_id: str, data: bytes, first: list[Any] | None = None) -> Payload:
    """Return the payload of an encoded dict or list, with the memory that its template will take.

    Args:
        codec_id: Id of the form of the data.
        data: The encoded value.
        first: As for :class:`Payload`.
    """
    size = len(data)
    if size <= _BYTES:
        # Marks inside of texts count, too, since a closer look would take longer.
        containers = data.count(b"{") + data.count(b"[")
        parts = data.count(b",") + containers
        if containers <= _CONTAINERS and parts <= _PARTS:
            if not data.isascii():
                size = getsizeof(data.decode())  # one wide character widens its whole text
            elif b"\\u" in data:
                size *= 4
            size += OVERHEAD + containers * _CONTAINER + parts * _PART
            return Payload(codec_id, data, NOTHING, size, first, True)  # noqa: FBT003 - a named argument takes longer
    return Payload(codec_id, data, NOTHING, OVERHEAD + size, first)


def copier_of(template: Any) -> Copier | None:
    """Return a function that returns copies of a value, which must not change any more.

    Returns:
        None if the value is neither a dict nor a list, or holds other objects that can change.
    """
    kind = type(template)
    if kind is dict:
        places, items = template.keys(), template.values()
    elif kind is list:
        places, items = range(len(template)), template
    else:
        return None
    children = []
    for place, item in zip(places, items, strict=True):
        # A key that has a hash may still hold a list that does not count for it.
        if type(place) is not str and not immutable_size(place):
            return None
        if type(item) is dict or type(item) is list:
            child = copier_of(item)
            if child is None:
                return None
            children.append((place, child))
        elif not immutable_size(item):
            return None
    copy: Copier = template.copy
    return partial(_copy_nested, copy, children) if children else copy


def _copy_nested(copy: Copier, children: list[tuple[Any, Copier]]) -> Any:
    value = copy()
    for place, copy_child in children:
        value[place] = copy_child()
    return value
