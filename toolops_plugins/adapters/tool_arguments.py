"""The arguments of tools, by the names under which a policy and its keys know them."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["ABSENT", "FORM", "ToolArguments", "keyword_signature"]

FORM = "_toolops_form"
"""The argument that keeps tools apart that have one name and equal arguments."""
_REST = "_toolops_rest"
"""The argument that holds positional arguments without a name."""
_OTHERS = "others"
_UNNAMED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class _Absent:
    """The type of :data:`ABSENT`; one for all frameworks, since their keys have to be equal."""

    def __toolops_key__(self) -> None:
        return None

    def __repr__(self) -> str:
        return "<absent>"


ABSENT = _Absent()
"""The default of an argument that has none and need not be given."""


def keyword_signature(defaults: Mapping[str, Any], *, is_open: bool) -> inspect.Signature:
    """Return a signature of keyword-only parameters.

    Args:
        defaults: The default of each parameter by its name; ``inspect.Parameter.empty`` for none.
            A name that is no identifier gets no parameter and makes the signature open.
        is_open: Whether other keyword arguments are taken as well.
    """
    fitting = [n for n in defaults if n.isidentifier() and not keyword.iskeyword(n)]
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name])
        for name in fitting
    ]
    if is_open or len(fitting) < len(defaults):
        others = _OTHERS
        while others in fitting:
            others += "_"
        parameters.append(inspect.Parameter(others, inspect.Parameter.VAR_KEYWORD))
    return inspect.Signature(parameters)


class ToolArguments:
    """The arguments of one tool.

    A tool may take anything (``*args, **kwargs``), as query engine tools do. Then its arguments
    are those of its schema, and a positional argument is the one that the schema has in its place.

    Args:
        entry: The signature of the callable that takes the arguments, without its receiver.
        schema: Names of the arguments that a model is told of, in order.
        defaults: Defaults that replace those of ``entry``.
        context: The parameter that takes the framework's context, which is in no key. None: there
            is none.
        form: The default of :data:`FORM`, which is then in every key;
            ``inspect.Parameter.empty``: each call gives its own. None: there is no such argument.

    Attributes:
        signature: The signature under which a policy knows the tool.
    """

    def __init__(
        self,
        entry: inspect.Signature,
        schema: Iterable[str] = (),
        *,
        defaults: Mapping[str, Any] | None = None,
        context: str | None = None,
        form: Any = None,
    ) -> None:
        self._entry = entry
        self._context = context
        parameters = entry.parameters.values()
        names = {each.kind: each.name for each in parameters if each.kind in _UNNAMED}
        self._rest = names.get(inspect.Parameter.VAR_POSITIONAL)
        self._extra = names.get(inspect.Parameter.VAR_KEYWORD)
        own = [p for p in parameters if p.kind not in _UNNAMED and p.name != context]
        named = {p.name: (defaults or {}).get(p.name, p.default) for p in own}
        others = [n for n in schema if n not in named] if self._extra is not None else []
        # A callable that takes anything by position hands it on to one that knows its place.
        by_name = all(p.kind is p.KEYWORD_ONLY for p in own)
        self._places = tuple(others) if by_name else ()
        named.update(dict.fromkeys(others, ABSENT))
        if form is not None:
            named[FORM] = form
        self.signature = keyword_signature(
            named, is_open=self._extra is not None or self._rest is not None
        )

    def takes(self, name: str) -> bool:
        """Return whether the tool takes an argument of this name."""
        return self._extra is not None or name in self.signature.parameters

    def with_context(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keyword arguments, with an empty context if they lack the tool's."""
        return dict(kwargs) if self._context is None else {self._context: None, **kwargs}

    def by_name(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the arguments of a call by name, without the context; None if they do not fit."""
        try:
            named = self._entry.bind(*args, **kwargs).arguments
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
