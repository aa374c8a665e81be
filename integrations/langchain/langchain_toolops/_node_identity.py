"""The identity of a LangGraph node: what it runs, where its writes go, what it reads of the run.

LangGraph names an entry of its cache after the node and the qualified name of its function. So two
closures of one function share their entries, and so do all callable objects, partials and models
under one node's name, the methods of all instances of a class, and two graphs that send the writes
of one function to different nodes. Nor does the name change with the code.
"""

from __future__ import annotations

import dis
import enum
import functools
import sys
import types
import weakref
from collections.abc import Iterator
from functools import lru_cache
from inspect import getattr_static
from typing import Any, NamedTuple

from langchain_core.runnables import Runnable
from langchain_core.runnables.configurable import DynamicRunnable
from langchain_core.runnables.utils import accepts_config

from toolops_plugins.adapters.internals import (
    IDENTITIES,
    class_name,
    code_digest,
    is_importable,
    short_digest,
    uses_digest,
)
from toolops_plugins.adapters.value_comparison import type_name

__all__ = ["NodeIdentity", "identify"]

_ATOMS = (type(None), bool, int, float, complex, str, bytes)
_MOST_PARTS = 2_000
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
_FOREIGN = _FRAMEWORKS | sys.stdlib_module_names
"""Packages whose functions are not searched for readers."""
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
_INNER = (
    "func",
    "afunc",
    "bound",
    "first",
    "middle",
    "last",
    "steps__",
    "mapper",
    "nodes",
    "default",
)
"""Attributes of runnables that hold what they run."""


class NodeIdentity(NamedTuple):
    """What tells the node apart from others of its name."""

    digest: str
    local: str
    """The type of an object in it that other processes cannot name, or ""."""
    reads: str
    """What it reads of the run beside its input, or ""."""


def identify(node: Any, writers: Any = (), channels: Any = ()) -> NodeIdentity:
    """Return the identity of a node.

    Args:
        node: The runnable that it runs.
        writers: The runnables that send its result to channels.
        channels: The names of the graph's channels.

    Raises:
        TypeError: It holds an object that cannot be told apart from others.
    """
    walk = _Walk()
    walk.runnable(node)
    for writer in writers:
        walk.writer(writer)
    walk.add("channels", *sorted(channels))
    return NodeIdentity(
        short_digest("\n".join(walk.parts).encode("utf-8", "backslashreplace")),
        walk.local,
        walk.reads,
    )


class _Walk:
    """One walk through what a node runs."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.local = ""
        self.reads = ""
        self._seen: set[int] = set()

    def add(self, *parts: object) -> None:
        self.parts.append(" ".join(map(repr, parts)))

    def _enter(self, thing: Any) -> bool:
        """Return whether a thing is new; what holds itself ends here."""
        if id(thing) in self._seen:
            self.add("again")
            return False
        self._seen.add(id(thing))
        if len(self._seen) > _MOST_PARTS:
            raise TypeError("it is made of too many parts")
        return True

    def token(self, thing: Any, holder: Any = None) -> None:
        """Let an object count as itself, for as long as it lives."""
        for each in (thing, holder):
            try:
                self.add("itself", type_name(type(thing)), IDENTITIES.token_of(each))
            except Exception:  # noqa: BLE001, S112 - it cannot be weakly referenced, as a list cannot
                continue
            self.local = self.local or type_name(type(thing))
            return
        raise TypeError(f"its {type_name(type(thing))} cannot be told apart from others")

    # -- runnables ---------------------------------------------------------------------------

    def runnable(self, thing: Any) -> None:
        """Take in a runnable, or a function that LangGraph did not wrap."""
        if not isinstance(thing, Runnable):
            self.callable(thing)
            return
        if not self._enter(thing):
            return
        kind = type(thing)
        steps = getattr(thing, "steps", None)
        if kind.__module__.startswith("langgraph._internal.") and hasattr(thing, "func"):
            self.add("callable")
            self._functions(thing)
        elif kind.__module__.startswith("langgraph._internal.") and steps:
            self.runnable(steps[0])
            for step in steps[1:]:
                self.writer(step)
        else:
            self.token(thing)
            self._inside(thing)

    def _functions(self, thing: Any) -> None:
        accepted = getattr(thing, "func_accepts", None)
        for name in accepted or ():
            self.reads = self.reads or f"it takes {name!r}"
        func, afunc = thing.func, thing.afunc
        if func is not None:
            self.callable(func)
        # LangGraph makes the asynchronous one itself where there is none.
        if afunc is not None and (func is None or getattr(afunc, "__wrapped__", None) is not func):
            self.callable(afunc)

    def _inside(self, thing: Any) -> None:
        """Look for readers of the run in what a runnable is made of."""
        if isinstance(thing, DynamicRunnable) or type(thing).__name__ == "_ConfigurableModel":
            self.reads = self.reads or "it is configurable"
        for name in _INNER:
            for each in _flatten(getattr(thing, name, None)):
                inner = getattr(each, "bound", each)  # of a graph's node
                if isinstance(inner, Runnable | types.FunctionType | types.MethodType):
                    self.runnable(inner)
        for name in getattr(thing, "func_accepts", None) or ():
            self.reads = self.reads or f"it takes {name!r}"
        for function in (getattr(thing, "func", None), getattr(thing, "afunc", None)):
            if function is not None and accepts_config(function):
                self.reads = self.reads or "it takes 'config'"

    def writer(self, writer: Any) -> None:
        """Take in where a result goes: the channels of edges, and the functions of branches."""
        branch: Any = getattr(getattr(writer, "func", None), "__self__", None)
        entries = getattr(writer, "writes", None)
        if entries is not None:
            for entry in entries:
                channel = getattr(entry, "channel", None)
                value = getattr(entry, "value", None)
                self.add("write", channel, value if isinstance(value, _ATOMS) else "")
                mapper = getattr(entry, "mapper", None)
                if getattr(mapper, "__module__", "langgraph").partition(".")[0] != "langgraph":
                    self.callable(mapper)
        elif hasattr(branch, "path") and hasattr(branch, "ends"):
            self.add("branch")
            self.runnable(branch.path)
            self.value(tuple(sorted((branch.ends or {}).items(), key=repr)), branch.path)
        else:
            self.token(writer)

    # -- functions ---------------------------------------------------------------------------

    def callable(self, thing: Any) -> None:
        """Take in anything that can be called."""
        if isinstance(thing, types.FunctionType):
            self._function(thing)
        elif isinstance(thing, types.MethodType):
            self._receiver(thing.__self__, thing.__func__)
            self.callable(thing.__func__)
        elif isinstance(thing, functools.partial):
            self.add("partial")
            self.callable(thing.func)
            self.value(thing.args, thing)
            self.value(tuple(thing.keywords.items()), thing)
        elif isinstance(thing, type | types.BuiltinFunctionType):
            self.value(thing)
        elif isinstance(thing, Runnable):
            self.runnable(thing)
        else:
            method = getattr_static(type(thing), "__call__", None)
            self._receiver(thing, method)
            if isinstance(method, types.FunctionType):
                self._function(method)

    def _function(self, function: types.FunctionType) -> None:
        if not self._enter(function):
            return
        self.add(
            "function",
            function.__module__,
            function.__qualname__,
            code_digest(function),
            uses_digest(function),
        )
        self.reads = self.reads or _find_reader(function)
        used = _names_of(function.__code__)
        names = function.__code__.co_freevars
        for name, cell in zip(names, function.__closure__ or (), strict=True):
            try:
                content = cell.cell_contents
            except ValueError:  # it is empty as yet
                self.add(name, "empty")
                continue
            if name in used.stored:  # a count, say, which tells nothing of the function
                self.token(content, function)
            else:
                self.add(name)
                self.value(content, function)
        for name in sorted(used.globals - used.stored):
            content = function.__globals__.get(name)
            if type(content) in _ATOMS:
                self.add(name, content)
        self.value(function.__defaults__, function)
        self.value(tuple((function.__kwdefaults__ or {}).items()), function)
        wrapped = function.__dict__.get("__wrapped__")
        if wrapped is not None:
            self.callable(wrapped)

    def _receiver(self, thing: Any, method: Any) -> None:
        """Take in the object that a method is called on: itself, and its plain attributes."""
        if isinstance(thing, type):
            self.value(thing)
            return
        self.token(thing)
        code = getattr(method, "__code__", None)
        stored = _names_of(code).stored if code is not None else frozenset()
        state = getattr(thing, "__dict__", {})
        for name, item in sorted(state.items()) if self._enter(thing) else ():
            if isinstance(item, _ATOMS) and name not in stored:
                self.add(name)
                self.value(item)
            elif isinstance(item, types.FunctionType | types.MethodType | functools.partial):
                self.callable(item)

    def value(self, item: Any, holder: Any = None) -> None:
        """Take in a value that a function holds: what cannot change by its content."""
        if type(item) in _ATOMS:
            self.add(type(item).__name__, item)
        elif type(item) is tuple:
            self.add("items", len(item))
            for each in item:
                self.value(each, holder)
        elif isinstance(item, enum.Enum):
            self.add(class_name(type(item)), item.name)
        elif isinstance(item, type) and is_importable(item):
            self.add("class", class_name(item))
        elif isinstance(item, types.ModuleType):
            self.add("module", item.__name__)
        elif isinstance(item, types.BuiltinFunctionType) and not _is_bound(item):
            self.add("builtin", item.__module__, item.__qualname__)
        elif isinstance(item, types.FunctionType | types.MethodType | functools.partial):
            self.callable(item)
        elif isinstance(item, Runnable) and self._enter(item):
            self.token(item, holder)
            self._inside(item)
        else:
            self.token(item, holder)


def _flatten(thing: Any) -> Iterator[Any]:
    if isinstance(thing, dict):
        yield from thing.values()
    elif isinstance(thing, list | tuple):
        for each in thing:
            yield from _flatten(each)
    elif thing is not None:
        yield thing


def _is_bound(function: types.BuiltinFunctionType) -> bool:
    return not isinstance(function.__self__, types.ModuleType | type(None))


class _Names(NamedTuple):
    """The names that code uses."""

    globals: frozenset[str]
    """Global variables, inside of inner functions too."""
    others: frozenset[str]
    """Attributes and imports, inside of inner functions too."""
    stored: frozenset[str]
    """Variables beside its own, and attributes, that it assigns."""


@lru_cache(4096)
def _names_of(code: types.CodeType) -> _Names:
    names: dict[str, set[str]] = {"global": set(), "other": set(), "stored": set()}
    for step in dis.get_instructions(code):
        kind = _INSTRUCTIONS.get(step.opname)
        if kind is not None:
            names[kind].add(step.argval)
    inner = [_names_of(each) for each in code.co_consts if isinstance(each, types.CodeType)]
    return _Names(
        frozenset(names["global"].union(*(each.globals for each in inner))),
        frozenset(names["other"].union(*(each.others for each in inner))),
        frozenset(names["stored"].union(*(each.stored for each in inner))),
    )


def _find_reader(function: types.FunctionType) -> str:
    """Return how a function, or one that it names, reads the run or writes to its stream, or "".

    Later changes of the functions that it names do not count.
    """
    known = _readers.get(function)
    if known is None:
        known = _readers[function] = _search_reader(function)
    return known


def _search_reader(function: types.FunctionType) -> str:
    waiting, seen = [function], {function}
    while waiting and len(seen) < _MOST_FUNCTIONS:
        current = waiting.pop()
        names = _names_of(current.__code__)
        found = [current.__globals__.get(name) for name in sorted(names.globals)]
        for each in found:
            name = getattr(each, "__name__", "")
            if name in _RUN_READERS and _home(each) in _FRAMEWORKS:
                return f"it calls {name}()"
            if (
                isinstance(each, types.FunctionType)
                and each not in seen
                and _home(each) not in _FOREIGN
            ):
                seen.add(each)
                waiting.append(each)
        modules = [_home(each) for each in found if isinstance(each, types.ModuleType)]
        if not _FRAMEWORKS.isdisjoint([*modules, *map(_home, names.others)]):
            for name in sorted(names.others & _RUN_READERS):
                return f"it calls {name}()"
    return ""


def _home(thing: Any) -> str:
    """Return the package of a function, or of a module or its name."""
    if isinstance(thing, types.ModuleType):
        thing = thing.__name__
    elif not isinstance(thing, str):
        thing = getattr(thing, "__module__", None)
    return str(thing).partition(".")[0]
