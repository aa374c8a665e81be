"""Which arguments of a tool count, and under which names, however a call gives them."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Iterable, Mapping
from typing import Any

from toolops_plugins.adapters.tool_arguments import ABSENT

__all__ = ["FORM", "Arguments"]

FORM = "_toolops_form"
"""The argument that tells tools of one name apart, where they are configured."""
_REST = "_toolops_rest"
_OTHERS = "others"
_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Arguments:
    """The arguments of one tool, by name.

    Args:
        given: The signature of what takes them, without a receiver.
        told: Names of the arguments that a model is told of; where the tool takes whatever it is
            given (``**kwargs``), these are its own.
        formed: Whether the argument :data:`FORM` is among them, as a part of every key.

    Attributes:
        signature: The signature under which a policy knows the tool: its arguments by name.
    """

    def __init__(self, given: inspect.Signature, told: Iterable[str], *, formed: bool) -> None:
        self._given = given
        self._rest: str | None = None
        self._extra: str | None = None
        named: dict[str, Any] = {}
        for name, parameter in given.parameters.items():
            if parameter.kind is parameter.VAR_POSITIONAL:
                self._rest = name
            elif parameter.kind is parameter.VAR_KEYWORD:
                self._extra = name
            else:
                named[name] = parameter.default
        positional = any(p.kind in _BY_POSITION for p in given.parameters.values())
        if self._extra is not None:
            named = {**dict.fromkeys(told, ABSENT), **named}
        # Who takes whatever comes, hands it on to whoever knows its place.
        self._places = () if positional or self._extra is None else tuple(told)
        if formed:
            named[FORM] = inspect.Parameter.empty
        parameters = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
            for name, default in named.items()
            if name.isidentifier() and not keyword.iskeyword(name)
        ]
        if self._extra is not None or self._rest is not None:
            others = _OTHERS
            while others in named:
                others += "_"
            parameters.append(inspect.Parameter(others, inspect.Parameter.VAR_KEYWORD))
        self.signature = inspect.Signature(parameters)

    def counted(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the arguments of a call by name; None if they do not fit the tool."""
        try:
            named = self._given.bind(*args, **kwargs).arguments
        except TypeError:
            return None
        rest = named.pop(self._rest, ()) if self._rest is not None else ()
        extra = named.pop(self._extra, {}) if self._extra is not None else {}
        places = self._places[: len(rest)]
        if len(places) == len(rest) and not extra.keys() & set(places):
            named.update(zip(places, rest, strict=True))
        else:
            named[_REST] = rest
        return {**named, **extra}

    def takes(self, name: str) -> bool:
        """Return whether the tool takes an argument of this name."""
        return self._extra is not None or name in self.signature.parameters
