"""The names under which the results of tools are kept, told apart where tools are not the same.

A tool's name is what another framework, process or agent finds its results by. But two tools of one
name may do different things, and what one of them found must not be handed out by the other.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeAlias

from toolops_plugins.adapters.notices import report_problem
from toolops_plugins.callables.target import resolve
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.runtime import ToolOps

__all__ = ["label_of", "parts_of_class", "parts_of_function"]

_NAMES = 10_000
"""Names of a runtime that are remembered."""
_ALIKE = 100
"""Tools of one name that are remembered, beside the first."""
_ATOMS = (str, bytes, int, float, bool, type(None))

_Part: TypeAlias = Callable[[Any], bool]
"""Whether a part of another tool is the one that this was made of; keeps no part alive."""


class _Known:
    """The tools of one name in one runtime."""

    def __init__(self, first: list[_Part]) -> None:
        self.first = first
        self.count = 1
        self.others: OrderedDict[str, list[_Part]] = OrderedDict()


_lock = fork_safe(sys.modules[__name__], threading.Lock())
_runtimes: weakref.WeakKeyDictionary[ToolOps, OrderedDict[tuple[str, str], _Known]] = (
    weakref.WeakKeyDictionary()
)


def label_of(ops: ToolOps, name: str, parts: Iterable[Any], logger: str, advice: str) -> str:
    """Return the name under which a tool's results are kept. Thread-safe.

    It is the tool's own, unless another tool of that name was met in this runtime and framework
    before: then it is one that nobody else has, and a warning is logged. Tools of one name in two
    frameworks are taken for the same, since each makes its own of one function.

    Args:
        ops: The runtime.
        name: The tool's name.
        parts: What the tool is made of, as far as its results may hang on it. Atoms are compared by
            type and value, all else by identity.
        logger: The name of the logger of the warning, which stands for the framework.
        advice: What to do about it, such as "say guard_tool(name=...)".
    """
    made_of = list(parts)
    key = logger, name
    with _lock:
        names = _runtimes.setdefault(ops, OrderedDict())
        known = names.get(key)
        if known is None:
            names[key] = _Known([_part(each) for each in made_of])
            if len(names) > _NAMES:
                names.popitem(last=False)
            return name
        names.move_to_end(key)
        if _same(known.first, made_of):
            return name
        for label, other in known.others.items():
            if _same(other, made_of):
                known.others.move_to_end(label)
                return label
        known.count += 1
        label = f"{name}#{known.count}-{os.urandom(4).hex()}"
        known.others[label] = [_part(each) for each in made_of]
        if len(known.others) > _ALIKE:
            known.others.popitem(last=False)
    report_problem(
        logger,
        ("label", name),
        "Another tool is called %(name)r. So that neither gets the other's results, this one's are "
        "kept as %(label)r, and nobody shares them; %(advice)s to give it a name.",
        name=name,
        label=label,
        advice=advice,
    )
    return label


def parts_of_function(function: Any) -> Iterator[Any]:
    """Yield what tells a function from others of its name: what it is, and what is bound to it."""
    target = resolve(function)
    yield target.name
    if target.distinct:
        yield target.function
    yield from target.args
    for item in target.kwargs.items():
        yield from item


def parts_of_class(kind: type) -> Iterator[Any]:
    """Yield what tells a class from others; one that was made anew under its name is the same."""
    name = f"{kind.__module__}.{kind.__qualname__}"
    yield name
    if "<locals>" in name:
        yield kind


def _part(value: Any) -> _Part:
    if type(value) in _ATOMS:
        return partial(_is_equal, value)
    try:
        reference = weakref.ref(value)
    except TypeError:
        return partial(_is_it, value)
    return partial(_is_alive, reference)


def _is_equal(value: Any, other: Any) -> bool:
    return type(value) is type(other) and bool(value == other)


def _is_it(value: Any, other: Any) -> bool:
    return value is other


def _is_alive(reference: weakref.ref[Any], other: Any) -> bool:
    return reference() is other


def _same(known: list[_Part], parts: list[Any]) -> bool:
    return len(known) == len(parts) and all(
        is_it(part) for is_it, part in zip(known, parts, strict=True)
    )
