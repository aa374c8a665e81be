"""Digests of models' identities, made again only when a model has changed.

To make the identity of a model and its canonical form takes longer than all the rest of a hit.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from enum import Enum
from operator import is_
from typing import Any, NamedTuple

from pydantic import BaseModel

from toolops_plugins.callables.digests import sha256
from toolops_plugins.keys.canonical import Canon

__all__ = ["IdentityMemo"]

_ATOMS = frozenset((type(None), str, bytes, bool, int, float))
_MOST_PARTS = 200


class _State(NamedTuple):
    """The state of a model for which a digest was made."""

    names: tuple[Any, ...]
    values: tuple[Any, ...]
    containers: list[tuple[Any, str]]
    """The containers among the values, which may change in place, each with its text."""
    digest: bytes


class IdentityMemo:
    """The identity of a model, and of its copies one at a time. Thread-safe.

    A digest is valid while the model has the same objects in all of its attributes, and those of
    them that are lists and dicts of plain values have the same text. The digest of a model with any
    other object that counts is made anew for each call.

    Args:
        canon: Makes the canonical form.
        skip: Names of attributes that do not count, without leading underscores.
        is_ignored: Whether a value of a private attribute, or of a field, does not count for as
            long as it is the same object. It takes the model, the name and the value.
    """

    def __init__(
        self, canon: Canon, skip: Container[str], is_ignored: Callable[[Any, str, Any], bool]
    ) -> None:
        self._canon = canon
        self._skip = skip
        self._is_ignored = is_ignored
        self._known: _State | None = None

    def identity(self, model: BaseModel, make: Callable[[], Any]) -> Any:
        """Return the digest of a model's identity, or the identity where that has no digest.

        Args:
            model: The live model.
            make: Makes the identity, a list unless the model itself is one.
        """
        names, values = _attributes(model)
        known = self._known
        if (
            known is not None
            and names == known.names
            and all(map(is_, values, known.values))
            and all(repr(container) == text for container, text in known.containers)
        ):
            return known.digest
        # Before the identity, so that a change in between is noticed at the next call.
        containers = self._containers(model, names, values)
        identity = make()
        if type(identity) is not list:
            return identity
        try:
            digest = sha256(self._canon.encode(identity))
        except Exception:  # noqa: BLE001 - of users' classes; the keyer meets it again, and tells of it
            return identity
        if containers is not None:
            self._known = _State(names, values, containers, digest)
        return digest

    def _containers(
        self, model: BaseModel, names: tuple[Any, ...], values: tuple[Any, ...]
    ) -> list[tuple[Any, str]] | None:
        """Return the containers among a model's values, or None if one may change unnoticed."""
        found = []
        for name, value in zip(names, values, strict=True):
            if isinstance(getattr(type(model), name, None), property):
                return None  # of which the stored value does not tell
            if type(value) in _ATOMS or isinstance(value, Enum) or name.lstrip("_") in self._skip:
                continue
            if _is_plain(value):
                found.append((value, repr(value)))
            elif not self._is_ignored(model, name, value):
                return None
        return found


def _attributes(model: BaseModel) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Return the names and values of a model's fields, extra values and private attributes."""
    fields = vars(model)
    extra = model.__pydantic_extra__ or {}
    private = model.__pydantic_private__ or {}
    return (*fields, *extra, *private), (*fields.values(), *extra.values(), *private.values())


def _is_plain(value: Any) -> bool:
    """Return whether a value is a small container of plain values, whose text tells all of it."""
    pending = [value]
    for part in pending:  # which grows meanwhile
        kind = type(part)
        if kind is dict:
            pending += part.keys()
            pending += part.values()
        elif kind is list or kind is tuple:
            pending += part
        elif kind not in _ATOMS:
            return False
        if len(pending) > _MOST_PARTS:
            return False
    return True
