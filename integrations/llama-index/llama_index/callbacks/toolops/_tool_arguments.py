"""Which arguments of a tool count, and under which names, however a call gives them."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Mapping, Sequence
from typing import Any

from toolops_plugins.adapters.tool_arguments import ABSENT

__all__ = ["Arguments"]

_REST = "_toolops_rest"
_OTHERS = "_toolops_others"
_FORM = "_toolops_form"


class Arguments:
    """The arguments of one tool, by name.

    Where a tool takes whatever it is given (``*args, **kwargs``, as query engine tools do), the
    names are those of its schema: what comes by position is what the schema has in that place.

    Args:
        signature: What takes the arguments, without its receiver.
        schema: Names of the arguments that a model is told of, in order.
        defaults: Defaults that stand in the place of those of the signature.
        context: The parameter that takes the workflow's Context, which never counts; or None.
        form: What tells the tool's results from those that others keep under the same name and
            arguments; None where the results are the same.
    """

    def __init__(
        self,
        signature: inspect.Signature,
        schema: Sequence[str],
        defaults: Mapping[str, Any],
        context: str | None,
        form: str | None,
    ) -> None:
        self._given = signature
        self._context = context
        own: dict[str, Any] = {}
        self._rest: str | None = None
        self._extra: str | None = None
        positional = False
        for name, parameter in signature.parameters.items():
            if parameter.kind is parameter.VAR_POSITIONAL:
                self._rest = name
            elif parameter.kind is parameter.VAR_KEYWORD:
                self._extra = name
            elif name != context:
                own[name] = defaults.get(name, parameter.default)
                positional |= parameter.kind is not parameter.KEYWORD_ONLY
        told = () if self._extra is None else tuple(n for n in schema if n not in own)
        self._places = told if self._rest is not None and not positional else ()
        named = {**own, **dict.fromkeys(told, ABSENT)}
        self.signature = _signature(
            named, rest=self._rest is not None, extra=self._extra is not None, form=form
        )

    def without_context(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return keyword arguments that fit the tool though they may lack the Context."""
        return dict(kwargs) if self._context is None else {self._context: None, **kwargs}

    def counted(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the arguments of a call that count, by name; None if they do not fit the tool."""
        try:
            named = self._given.bind(*args, **kwargs).arguments
        except TypeError:
            return None
        if self._context is not None:
            named.pop(self._context, None)
        rest = named.pop(self._rest, ()) if self._rest is not None else ()
        extra = named.pop(self._extra, {}) if self._extra is not None else {}
        if rest:
            places = self._places[: len(rest)]
            if len(places) == len(rest) and not extra.keys() & set(places):
                named.update(zip(places, rest, strict=True))
            else:
                named[_REST] = rest
        return {**named, **extra}


def _signature(
    named: Mapping[str, Any], *, rest: bool, extra: bool, form: str | None
) -> inspect.Signature:
    """Return the signature under which a policy knows the tool: its arguments by name."""
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter(name, kind, default=default)
        for name, default in named.items()
        if name.isidentifier() and not keyword.iskeyword(name)
    ]
    if rest:
        parameters.append(inspect.Parameter(_REST, kind, default=()))
    if form is not None:
        # A default is part of every key.
        parameters.append(inspect.Parameter(_FORM, kind, default=form))
    if extra:
        parameters.append(inspect.Parameter(_OTHERS, inspect.Parameter.VAR_KEYWORD))
    return inspect.Signature(parameters)
