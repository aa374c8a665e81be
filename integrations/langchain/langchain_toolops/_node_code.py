"""Names in the code of functions, by which a node is seen to read its run."""

from __future__ import annotations

import dis
import sys
import types
import weakref
from functools import lru_cache
from inspect import getattr_static
from typing import Any, NamedTuple

__all__ = ["Names", "find_methods", "find_reader", "read_names"]

_MOST_FUNCTIONS = 200
_RUN_READERS = frozenset(
    (
        "get_config",
        "get_runtime",
        "get_store",
        "get_stream_writer",
        "ensure_config",
        "dispatch_custom_event",
        "adispatch_custom_event",
        "push_message",
        "push_ui_message",
    )
)
"""Functions of LangGraph and LangChain that return something of the run, or write to its stream."""
_FRAMEWORKS = frozenset(("langgraph", "langchain_core", "langchain"))
_FOREIGN = ("langchain", "langgraph", "langsmith", "toolops_plugins")
"""Beginnings of packages that read the run for their own ends, to pass it on."""
_readers: weakref.WeakKeyDictionary[types.FunctionType, str] = weakref.WeakKeyDictionary()
_INSTRUCTIONS = {
    "LOAD_GLOBAL": "global",
    "LOAD_ATTR": "other",
    "LOAD_METHOD": "other",
    "IMPORT_NAME": "other",
    "IMPORT_FROM": "other",
    "STORE_DEREF": "stored",
    "STORE_ATTR": "stored",
    "STORE_GLOBAL": "stored",
}
"""Instructions that use a name of interest."""


class Names(NamedTuple):
    """The names that code uses."""

    globals: frozenset[str]
    """Global variables, inside of inner functions too."""
    others: frozenset[str]
    """Attributes and imports, inside of inner functions too."""
    stored: frozenset[str]
    """Variables beside its own, and attributes, that it assigns."""


@lru_cache(4096)
def read_names(code: types.CodeType) -> Names:
    names: dict[str, set[str]] = {"global": set(), "other": set(), "stored": set()}
    for step in dis.get_instructions(code):
        kind = _INSTRUCTIONS.get(step.opname)
        if kind is not None:
            names[kind].add(step.argval)
    inner = [read_names(each) for each in code.co_consts if isinstance(each, types.CodeType)]
    return Names(
        frozenset(names["global"].union(*(each.globals for each in inner))),
        frozenset(names["other"].union(*(each.others for each in inner))),
        frozenset(names["stored"].union(*(each.stored for each in inner))),
    )


def find_reader(function: types.FunctionType) -> str:
    """Return how a function, or one that it names, reads the run or writes to its stream, or "".

    Later changes of the functions that it names do not count.
    """
    known = _readers.get(function)
    if known is None:
        known = _readers[function] = _search_reader(function)
    return known


def _search_reader(function: types.FunctionType) -> str:
    waiting, seen, home = [function], {function}, _home(function)
    while waiting and len(seen) < _MOST_FUNCTIONS:
        current = waiting.pop()
        names = read_names(current.__code__)
        held = _collect_values(current, names)
        for each in held:
            is_function = isinstance(each, types.FunctionType)
            if is_function and each.__name__ in _RUN_READERS and _home(each) in _FRAMEWORKS:
                return f"it calls {each.__name__}()"
        modules = [_home(each) for each in held if isinstance(each, types.ModuleType)]
        if not _FRAMEWORKS.isdisjoint([*modules, *map(_home, names.others)]):
            for name in sorted(names.others & _RUN_READERS):
                return f"it calls {name}()"
        held += [getattr_static(each, "__wrapped__", None) for each in held]  # of functools.cache
        used = [each for each in held if isinstance(each, types.FunctionType)]
        used += [item for each in held for item in _find_attributes(each, names, home)]
        for each in used:
            if each not in seen and not _is_foreign(each, home):
                seen.add(each)
                waiting.append(each)
    return ""


def _collect_values(function: types.FunctionType, names: Names) -> list[Any]:
    """Return the values of the variables of modules and outer functions that a function uses."""
    held = [function.__globals__.get(name) for name in sorted(names.globals)]
    for cell in function.__closure__ or ():
        try:
            held.append(cell.cell_contents)
        except ValueError:  # it is empty as yet
            continue
    return held


def find_methods(thing: Any, method: types.FunctionType) -> list[types.FunctionType]:
    """Return a method of an object with those of its methods that it names, and so on."""
    methods = [method]
    for each in methods:  # which grows meanwhile
        found = _find_attributes(thing, read_names(each.__code__), _home(method))
        methods += [item for item in found if item not in methods][:_MOST_FUNCTIONS]
    return methods


def _find_attributes(thing: Any, names: Names, home: str) -> list[types.FunctionType]:
    """Return the functions of an object's class, a class or a module that code may name.

    Args:
        thing: The object, class or module.
        names: The names in the code.
        home: The package of the code.
    """
    kind: Any = thing if isinstance(thing, type | types.ModuleType) else type(thing)
    if _is_foreign(kind, home):
        return []
    found = []
    for name in sorted(names.others):
        item = getattr_static(kind, name, None)
        if isinstance(item, staticmethod | classmethod):
            item = item.__func__
        elif isinstance(item, property):
            item = item.fget
        if isinstance(item, types.FunctionType):
            found.append(item)
    return found


def _is_foreign(thing: Any, home: str) -> bool:
    """Return whether a function or class is of a framework or of Python, and not of ``home``."""
    other = _home(thing)
    return other != home and (other in sys.stdlib_module_names or other.startswith(_FOREIGN))


def _home(thing: Any) -> str:
    """Return the package of a function, or of a module or its name."""
    if isinstance(thing, types.ModuleType):
        thing = thing.__name__
    elif not isinstance(thing, str):
        thing = getattr(thing, "__module__", None)
    return str(thing).partition(".")[0]
