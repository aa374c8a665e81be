"""Names of registered types, by which stored bytes refer to them."""

from __future__ import annotations

from toolops_plugins.callables.definitions import class_name, is_importable
from toolops_plugins.callables.digests import short_digest
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.keys.canonical import Canon

__all__ = ["full_name", "refuse_conflict", "registration_name"]


def full_name(kind: type) -> str:
    """Return a class's module and qualified name, with a digest of it if no import finds it."""
    name = class_name(kind)
    if is_importable(kind):
        return name
    return f"{name}#{short_digest(Canon().encode(kind))}"


def registration_name(kind: type, name: str | None) -> str:
    """Return the name under which a class is registered; by default that of the class.

    Raises:
        ConfigurationError: ``name`` is no string, or empty.
    """
    if name is None:
        return kind.__name__
    if not isinstance(name, str) or not name:
        raise ConfigurationError("name", f"must be a non-empty string, not {name!r}")
    return name


def refuse_conflict(name: str, known: type | None, kind: type) -> None:
    """Refuse a name that stands for another class already.

    Raises:
        ConfigurationError: It does.
    """
    if known is None or known is kind:
        return
    # A notebook's cell that runs again defines the same class again.
    same = (known.__module__, known.__qualname__) == (kind.__module__, kind.__qualname__)
    if not same or "<locals>" in kind.__qualname__:
        raise ConfigurationError("name", f"{name!r} stands for {known.__qualname__} already")
