"""Analyze the callable that a user wraps: its function, bound arguments, kind and name."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from toolops_plugins.callables.definitions import code_digest
from toolops_plugins.callables.program import MAIN_MODULES, program_of
from toolops_plugins.errors import ConfigurationError

__all__ = ["Kind", "Target", "copy_metadata", "resolve"]

Kind = Literal["function", "coroutine", "generator", "async_generator"]


_LONGEST_CHAIN = 20
"""The maximum number of decorators around one function that are followed."""


class Target(NamedTuple):
    """The analysis of a callable, with its bound arguments separate from its function.

    Args:
        function: The function that is called in the end.
        kind: The kind of the function.
        args: Bound positional arguments, such as the receiver of a method.
        kwargs: Bound keyword arguments.
        method: Whether the first positional argument is a receiver, ``self`` or ``cls``.
        name: Module and qualified name.
        distinct: Whether other functions may have the same name: it is a lambda or a closure.
        origin: Part of the key that identifies the script or notebook of the function; "" for a
            function of an imported module.
        hidden: Whether it is a plain function around a coroutine function, so that its result may
            have to be awaited.
        interactive: Whether it belongs to a program without a file, such as a notebook.
    """

    function: Callable[..., Any]
    kind: Kind
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    method: bool
    name: str
    distinct: bool
    origin: str = ""
    hidden: bool = False
    interactive: bool = False


def resolve(wanted: Any) -> Target:
    """Return the analysis of a callable.

    Raises:
        ConfigurationError: It is not callable, or it is a class.
    """
    if not callable(wanted):
        raise ConfigurationError(
            "function",
            f"must be callable, not {wanted!r}; give options by name, such as ttl=60 or "
            "cache=Cache(ttl=60)",
        )
    if isinstance(wanted, type):
        raise ConfigurationError(
            "function", f"is the class {wanted.__qualname__}; wrap a function that calls it"
        )
    function = wanted
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    method = aio = False
    while True:
        if isinstance(function, functools.partial):
            args = (*function.args, *args)
            kwargs = {**function.keywords, **kwargs}
            function = function.func
        elif isinstance(function, types.MethodType):
            args = (function.__self__, *args)
            function, method = function.__func__, True
        elif _is_plain(function):
            break
        elif isinstance(function, types.BuiltinMethodType):
            args = (function.__self__, *args)
            function, method = getattr(type(function.__self__), function.__name__), True
        else:
            # An object may declare it: AsyncMock has a plain method that returns a coroutine.
            aio = inspect.iscoroutinefunction(function)
            args = (function, *args)
            function, method = type(function).__call__, True
    kind = "coroutine" if aio else _kind(function)
    module, origin = _module_of(function)
    name = f"{module}.{_qualified_name(function)}"
    return Target(
        function,
        kind,
        args,
        kwargs,
        method or _is_method(function),
        name,
        "<" in name and (_is_closure(function) or name.endswith("<lambda>")),
        origin,
        kind == "function" and _hides_coroutine(function),
        _is_interactive(function),
    )


def _module_of(function: Any) -> tuple[str, str]:
    """Return the module of a function, or the name of its program, and :attr:`Target.origin`."""
    module = str(getattr(function, "__module__", None) or "builtins")
    if module not in MAIN_MODULES:
        return module, ""
    inner = inspect.unwrap(function)
    scope = getattr(inner, "__globals__", None)
    if scope is not None and scope.get("__name__") not in MAIN_MODULES:
        scope = None
    program = program_of(module, scope)
    if program is None:
        return module, ""
    digest = code_digest(inner) if program.interactive else ""
    origin = f"{program.place}:{digest}" if program.place or digest else ""
    return program.name, origin


def _is_interactive(function: Any) -> bool:
    module = str(getattr(function, "__module__", None))
    if module not in MAIN_MODULES:
        return False
    scope = getattr(inspect.unwrap(function), "__globals__", None)
    program = program_of(module, scope if scope and scope.get("__name__") in MAIN_MODULES else None)
    return program is not None and program.interactive


def _is_plain(function: Any) -> bool:
    if isinstance(function, types.FunctionType):
        return True
    if isinstance(function, types.BuiltinFunctionType | types.MethodWrapperType):
        receiver = function.__self__
        return receiver is None or isinstance(receiver, types.ModuleType | type)
    # A callable in C with a name is a function of its own; any other is an object of its class.
    written_in_c = not isinstance(type(function).__call__, types.FunctionType)
    return written_in_c and hasattr(function, "__name__")


def _qualified_name(function: Any) -> str:
    for name in ("__qualname__", "__name__"):
        found = getattr(function, name, None)
        if found:
            return str(found)
    return type(function).__qualname__


def _is_closure(function: Any) -> bool:
    """Return whether this is a closure, or a wrapper in C (such as lru_cache's) around one."""
    return any(getattr(f, "__closure__", None) for f in (function, inspect.unwrap(function)))


def _is_method(function: Any) -> bool:
    """Return whether this function was defined in the body of a class, with a receiver."""
    owner = _qualified_name(function).rpartition(".")[0]
    if not owner or owner.endswith("<locals>"):
        return False
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code is not None and code.co_argcount > 0 and code.co_varnames[0] in ("self", "cls")


def _hides_coroutine(function: Any) -> bool:
    for _ in range(_LONGEST_CHAIN):
        function = getattr(function, "__wrapped__", None)
        if function is None:
            return False
        if _kind(function) == "coroutine":
            return True
    return False


def _kind(function: Any) -> Kind:
    # Before Python 3.12 asyncio marks coroutine functions itself, which inspect does not see.
    if inspect.iscoroutinefunction(function) or getattr(function, "_is_coroutine", None):
        return "coroutine"
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    if isinstance(flags, int) and flags & inspect.CO_ITERABLE_COROUTINE:  # types.coroutine
        return "coroutine"
    if inspect.isasyncgenfunction(function):
        return "async_generator"
    if inspect.isgeneratorfunction(function):
        return "generator"
    return "function"


def copy_metadata(wrapper: Any, wanted: Any) -> None:
    """Copy signature, name, documentation and annotations of a callable to its wrapper."""
    functools.update_wrapper(wrapper, wanted)
    # A partial or a callable object; a bound tool is a partial that knows its name.
    if not hasattr(wanted, "__name__") or isinstance(wanted, functools.partial):
        inner = resolve(wanted)
        is_object = inner.method and not isinstance(wanted, functools.partial)
        named = type(wanted) if is_object else inner.function
        wrapper.__name__ = getattr(named, "__name__", type(wanted).__name__)
        wrapper.__qualname__ = getattr(named, "__qualname__", wrapper.__name__)
        wrapper.__module__ = getattr(named, "__module__", wrapper.__module__)
        wrapper.__doc__ = getattr(inner.function, "__doc__", None)
    try:
        wrapper.__signature__ = inspect.signature(wanted)
    except ValueError:  # a built-in without one
        return
