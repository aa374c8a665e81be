"""Cache exceptions in this process, without the objects of the call that raised them.

An exception refers to a whole request: its traceback to frames and their variables, its cause and
context to other exceptions, its attributes to anything. None of these is stored. Arguments and
attributes are stored encoded, so that their size is known and callers do not share them; an
exception that no codec takes is not cached.
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

__all__ = ["CachedError", "encode_error"]

_OVERHEAD = 600  # bytes of a bare exception and what holds it, measured


class CachedError:
    """A cached exception whose type is not registered with the codec.

    Args:
        bare: A copy without arguments, attributes, traceback, cause and context.
        parts: Its encoded arguments and attributes.
    """

    __slots__ = ("_bare", "_parts")

    def __init__(self, bare: Exception, parts: Payload) -> None:
        self._bare = bare
        self._parts = parts

    @property
    def problem(self) -> str:
        """The reason why other processes cannot share it."""
        name = type_name(type(self._bare))
        return f"the exception {name} before codec.register_error({type(self._bare).__name__})"

    def rebuild(self, codec: Codec) -> Exception:
        """Return a new exception that is equal to the cached one."""
        parts = codec.decode(self._parts)
        error = copy_error(self._bare)
        error.args = tuple(parts["args"])
        error.__dict__.update(parts["state"])
        return error


def encode_error(error: Exception, codec: Codec) -> Payload:
    """Return the payload of an exception.

    Raises:
        NotEncodableError: It holds something that no codec takes, or cannot be rebuilt.
    """
    try:
        return codec.encode_error(error)
    except NotEncodableError:  # its type is not registered, so it is cached in this process only
        pass
    kind = type(error)
    try:
        parts = codec.encode({"args": list(error.args), "state": dict(error.__dict__)})
    except NotEncodableError as cause:
        place = cause.place.replace("$.state", "").replace("$", "")
        refusal = _refusal(f"{cause.problem} at {type_name(kind)}{place}")
        refusal.read_once = cause.read_once
        raise refusal from None
    bare = _bare_copy(error)
    if bare is None or any(
        base.__module__ != "builtins" and hides_state(base) for base in kind.__mro__
    ):
        raise _refusal(f"the exception {type_name(kind)}, which cannot be rebuilt")
    size = _OVERHEAD + parts.size
    for name, value in iter_members(bare):
        part = 1 if value is None else immutable_size(value)
        if not part:
            raise _refusal(f"{type_name(type(value))} at {type_name(kind)}.{name}")
        size += part
    return Payload(LOCAL, None, CachedError(bare, parts), size + getsizeof(bare))


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
