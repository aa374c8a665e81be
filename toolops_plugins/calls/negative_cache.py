"""Exceptions that are remembered in this process, without anything of the call that raised them.

An exception leads to a whole request: by its traceback to the frames and their variables, by its
cause and context to other exceptions, by its attributes to anything. None of these is kept. Its
arguments and attributes are kept in the encoded form, so that their size is known and nobody shares
them; where no codec takes one, the exception is not remembered.
"""

from __future__ import annotations

from sys import getsizeof
from typing import Any

from toolops_plugins.coalesce.error_copies import copy_error, iter_members
from toolops_plugins.codec import Codec
from toolops_plugins.codec.payload import LOCAL, Payload, immutable_size
from toolops_plugins.errors import NotEncodableError
from toolops_plugins.keys.encoding_failures import type_name
from toolops_plugins.keys.object_state import hides_state

__all__ = ["RememberedError", "remember_error"]

_OVERHEAD = 600  # bytes of a bare exception and what holds it, measured


class RememberedError:
    """An exception whose type is not registered, taken apart.

    Args:
        bare: A copy of it without arguments, attributes, traceback, cause and context.
        parts: Its encoded arguments and attributes.
    """

    __slots__ = ("_bare", "_parts")

    def __init__(self, bare: Exception, parts: Payload) -> None:
        self._bare = bare
        self._parts = parts

    @property
    def problem(self) -> str:
        """Why no other process can have it."""
        name = type_name(type(self._bare))
        return f"the exception {name} before codec.register_error({type(self._bare).__name__})"

    def again(self, codec: Codec) -> Exception:
        """Return a new exception that is equal to the one that was remembered."""
        parts = codec.decode(self._parts)
        error = copy_error(self._bare)
        error.args = tuple(parts["args"])
        error.__dict__.update(parts["state"])
        return error


def remember_error(error: Exception, codec: Codec) -> Payload:
    """Return what is kept of an exception.

    Raises:
        NotEncodableError: It holds something that no codec takes, or cannot be made again.
    """
    try:
        return codec.encode_error(error)
    except NotEncodableError:  # its type is not registered; this process can remember it
        pass
    kind = type(error)
    try:
        parts = codec.encode({"args": list(error.args), "state": dict(error.__dict__)})
    except NotEncodableError as refused:
        place = refused.place.replace("$.state", "").replace("$", "")
        refusal = _refusal(f"{refused.problem} at {type_name(kind)}{place}")
        refusal.read_once = refused.read_once
        raise refusal from None
    bare = _bare_copy(error)
    if bare is None or any(
        base.__module__ != "builtins" and hides_state(base) for base in kind.__mro__
    ):
        raise _refusal(f"the exception {type_name(kind)}, which cannot be made again")
    size = _OVERHEAD + parts.size
    for name, value in iter_members(bare):
        held = 1 if value is None else immutable_size(value)
        if not held:
            held_by = f"{type_name(kind)}.{name}"
            raise _refusal(f"{type_name(type(value))} at {held_by}")
        size += held
    return Payload(LOCAL, None, RememberedError(bare, parts), size + getsizeof(bare))


def _bare_copy(error: Exception) -> Exception | None:
    bare = copy_error(error)
    if bare is error:
        return None
    bare.__cause__ = bare.__context__ = bare.__traceback__ = None
    bare.__suppress_context__ = error.__suppress_context__
    bare.args = ()
    bare.__dict__.clear()
    return bare


def _refusal(problem: str) -> NotEncodableError:
    error: Any = NotEncodableError(problem)
    error.problem = problem
    return error  # type: ignore[no-any-return]  # set above
