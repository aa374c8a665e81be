"""The state of an instance beside the value of a built-in type: its attributes and slots."""

from __future__ import annotations

import types
import weakref
from collections import OrderedDict
from typing import Any

from toolops_plugins.standard_types import PATHS, standard_name

__all__ = ["has_hidden_state", "hides_state", "state_of"]

_WORD = tuple.__itemsize__  # bytes of a pointer
_KNOWN = frozenset((object, str, int, float, bytes, tuple, list, dict, set, frozenset, OrderedDict))
"""Classes whose own state is encoded as their value, beside those of paths."""
_LIBRARIES = frozenset(("numpy", "pydantic"))
"""Packages whose classes are encoded by their own description of themselves."""

_slots: weakref.WeakKeyDictionary[type, tuple[tuple[str, Any], ...]] = weakref.WeakKeyDictionary()
_hidden: weakref.WeakKeyDictionary[type, bool] = weakref.WeakKeyDictionary()


def state_of(value: Any) -> dict[str, Any]:
    """Return the attributes of an instance and the values of its slots, by name.

    A slot that a subclass declares again is a second one; its key names the class.
    """
    try:
        state = dict(object.__getattribute__(value, "__dict__"))
    except AttributeError:
        state = {}
    if "__orig_class__" in state:  # set by typing: what a generic class was called with
        state["__orig_class__"] = repr(state["__orig_class__"])
    for name, slot in _slots_of(type(value)):
        try:
            item = slot.__get__(value)
        except AttributeError:  # not set
            continue
        state[name if name not in state else f"{name} of {slot.__objclass__.__qualname__}"] = item
    return state


def has_hidden_state(kind: type) -> bool:
    """Return whether instances hold state in C that no attribute shows."""
    known = _hidden.get(kind)
    if known is None:
        known = _hidden[kind] = any(map(hides_state, kind.__mro__))
    return known


def hides_state(kind: type) -> bool:
    """Return whether a class adds state in C to its base that no attribute shows."""
    base = kind.__base__
    if base is None or _has_known_state(kind):
        return False
    own = vars(kind)
    slots = sum(isinstance(item, types.MemberDescriptorType) for item in own.values())
    extra = ("__dict__" in own) + ("__weakref__" in own)
    return kind.__basicsize__ - base.__basicsize__ > _WORD * (slots + extra)


def _has_known_state(kind: type) -> bool:
    if kind in _KNOWN or standard_name(kind) in PATHS:
        return True
    return kind.__module__.partition(".")[0] in _LIBRARIES


def _slots_of(kind: type) -> tuple[tuple[str, Any], ...]:
    """Return the slots of a class and its bases, but for those of known classes."""
    known = _slots.get(kind)
    if known is None:
        known = _slots[kind] = tuple(
            (name, item)
            for base in kind.__mro__
            if not _has_known_state(base)
            for name, item in vars(base).items()
            if isinstance(item, types.MemberDescriptorType)
        )
    return known
