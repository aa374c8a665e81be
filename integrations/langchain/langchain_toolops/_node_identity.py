"""The identity of a LangGraph node: what it runs, where its writes go, what it reads of the run.

LangGraph names an entry of its cache after the node and the qualified name of its function. So two
closures of one function share their entries, and so do all callable objects, partials and models
under one node's name, the methods of all instances of a class, and two graphs that send the writes
of one function to different nodes. Nor does the name change with the code.
"""

from __future__ import annotations

import enum
import functools
import types
from collections.abc import Iterator
from inspect import getattr_static
from typing import Any, NamedTuple

from langchain_core.runnables import Runnable
from langchain_core.runnables.configurable import DynamicRunnable
from langchain_core.runnables.utils import accepts_config

from langchain_toolops._node_code import find_methods, find_reader, read_names
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
    """The parts that tell a node apart from others of its name."""

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
    walk.add_runnable(node)
    for writer in writers:
        walk.add_writer(writer)
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

    def add_token(self, thing: Any, holder: Any = None) -> None:
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

    def add_runnable(self, thing: Any) -> None:
        """Take in a runnable, or a function that LangGraph did not wrap."""
        if not isinstance(thing, Runnable):
            self.add_callable(thing)
            return
        if not self._enter(thing):
            return
        kind = type(thing)
        steps = getattr(thing, "steps", None)
        if kind.__module__.startswith("langgraph._internal.") and hasattr(thing, "func"):
            self.add("callable")
            self._add_functions(thing)
        elif kind.__module__.startswith("langgraph._internal.") and steps:
            self.add_runnable(steps[0])
            for step in steps[1:]:
                self.add_writer(step)
        else:
            self.add_token(thing)
            self._add_inner(thing)

    def _add_functions(self, thing: Any) -> None:
        accepted = getattr(thing, "func_accepts", None)
        for name in accepted or ():
            self.reads = self.reads or f"it takes {name!r}"
        func, afunc = thing.func, thing.afunc
        if func is not None:
            self.add_callable(func)
        # LangGraph makes the asynchronous one itself where there is none.
        if afunc is not None and (func is None or getattr(afunc, "__wrapped__", None) is not func):
            self.add_callable(afunc)

    def _add_inner(self, thing: Any) -> None:
        """Look for readers of the run in what a runnable is made of."""
        if isinstance(thing, DynamicRunnable) or type(thing).__name__ == "_ConfigurableModel":
            self.reads = self.reads or "it is configurable"
        for name in _INNER:
            for each in _flatten(getattr(thing, name, None)):
                inner = getattr(each, "bound", each)  # of a graph's node
                if isinstance(inner, Runnable | types.FunctionType | types.MethodType):
                    self.add_runnable(inner)
        for name in getattr(thing, "func_accepts", None) or ():
            self.reads = self.reads or f"it takes {name!r}"
        for function in (getattr(thing, "func", None), getattr(thing, "afunc", None)):
            if function is not None and accepts_config(function):
                self.reads = self.reads or "it takes 'config'"

    def add_writer(self, writer: Any) -> None:
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
                    self.add_callable(mapper)
        elif hasattr(branch, "path") and hasattr(branch, "ends"):
            self.add("branch")
            self.add_runnable(branch.path)
            self.add_value(tuple(sorted((branch.ends or {}).items(), key=repr)), branch.path)
        else:
            self.add_token(writer)

    # -- functions ---------------------------------------------------------------------------

    def add_callable(self, thing: Any) -> None:
        """Take in anything that can be called."""
        if isinstance(thing, types.FunctionType):
            self._add_function(thing)
        elif isinstance(thing, types.MethodType):
            self._add_receiver(thing.__self__, thing.__func__)
            self.add_callable(thing.__func__)
        elif isinstance(thing, functools.partial):
            self.add("partial")
            self.add_callable(thing.func)
            self.add_value(thing.args, thing)
            self.add_value(tuple(thing.keywords.items()), thing)
        elif isinstance(thing, type | types.BuiltinFunctionType):
            self.add_value(thing)
        elif isinstance(thing, Runnable):
            self.add_runnable(thing)
        else:
            method = getattr_static(type(thing), "__call__", None)
            self._add_receiver(thing, method)
            if isinstance(method, types.FunctionType):
                self._add_function(method)
            wrapped = getattr_static(thing, "__wrapped__", None)
            if wrapped is not None:  # of functools.cache, for one
                self.add_callable(wrapped)

    def _add_function(self, function: types.FunctionType) -> None:
        if not self._enter(function):
            return
        self.add(
            "function",
            function.__module__,
            function.__qualname__,
            code_digest(function),
            uses_digest(function),
        )
        self.reads = self.reads or find_reader(function)
        used = read_names(function.__code__)
        names = function.__code__.co_freevars
        for name, cell in zip(names, function.__closure__ or (), strict=True):
            try:
                content = cell.cell_contents
            except ValueError:  # it is empty as yet
                self.add(name, "empty")
                continue
            if name in used.stored:  # a count, say, which tells nothing of the function
                self.add_token(content, function)
            else:
                self.add(name)
                self.add_value(content, function)
        for name in sorted(used.globals - used.stored):
            content = function.__globals__.get(name)
            if type(content) in _ATOMS:
                self.add(name, content)
        self.add_value(function.__defaults__, function)
        self.add_value(tuple((function.__kwdefaults__ or {}).items()), function)
        wrapped = function.__dict__.get("__wrapped__")
        if wrapped is not None:
            self.add_callable(wrapped)

    def _add_receiver(self, thing: Any, method: Any) -> None:
        """Take in the object that a method is called on: itself, its plain state, its methods."""
        methods = find_methods(thing, method) if isinstance(method, types.FunctionType) else []
        for each in methods:
            self._add_function(each)
        if isinstance(thing, type):
            self.add_value(thing)
            return
        self.add_token(thing)
        stored = {name for each in methods for name in read_names(each.__code__).stored}
        state = getattr(thing, "__dict__", {})
        for name, item in sorted(state.items()) if self._enter(thing) else ():
            if isinstance(item, _ATOMS) and name not in stored:
                self.add(name)
                self.add_value(item)
            elif isinstance(item, types.FunctionType | types.MethodType | functools.partial):
                self.add_callable(item)

    def add_value(self, item: Any, holder: Any = None) -> None:
        """Take in a value that a function holds: what cannot change by its content."""
        if type(item) in _ATOMS:
            self.add(type(item).__name__, item)
        elif type(item) is tuple:
            self.add("items", len(item))
            for each in item:
                self.add_value(each, holder)
        elif isinstance(item, enum.Enum):
            self.add(class_name(type(item)), item.name)
        elif isinstance(item, type) and is_importable(item):
            self.add("class", class_name(item))
        elif isinstance(item, types.ModuleType):
            self.add("module", item.__name__)
        elif isinstance(item, types.BuiltinFunctionType) and not _is_bound(item):
            self.add("builtin", item.__module__, item.__qualname__)
        elif isinstance(item, types.FunctionType | types.MethodType | functools.partial):
            self.add_callable(item)
        elif isinstance(item, Runnable) and self._enter(item):
            self.add_token(item, holder)
            self._add_inner(item)
        else:
            self.add_token(item, holder)


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
