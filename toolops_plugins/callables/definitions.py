"""Digests of the definitions of functions and classes that cannot be imported by name.

Local classes, and all code of a notebook, can share their name with others. Their definition
identifies them; it is the same in every process that runs the same code with the same version of
Python.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import re
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from toolops_plugins.callables.digests import short_digest
from toolops_plugins.callables.program import MAIN_MODULES, program_of
from toolops_plugins.errors import NotCanonicalError

__all__ = ["class_name", "code_digest", "definition_of", "is_importable", "uses_digest"]

Encode = Callable[[Any], bytes]

_MACHINERY = frozenset(
    (
        "__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__parameters__",
        "__orig_bases__", "__abstractmethods__", "_abc_impl", "__dataclass_fields__",
        "__dataclass_params__", "__match_args__", "__firstlineno__", "__static_attributes__",
        "__annotate__", "__annotate_func__", "__annotations_cache__", "__classcell__",
        "__class_vars__", "__private_attributes__", "__signature__", "__annotations__",
        "_protected_", "__class_getitem__",
    )
)  # fmt: skip
"""Class attributes that Python and libraries derive from other attributes."""
_SYNTHETIC_METHODS = frozenset(
    (
        "__init__", "__repr__", "__eq__", "__lt__", "__le__", "__gt__", "__ge__", "__hash__",
        "__setattr__", "__delattr__", "__replace__", "__getstate__", "__setstate__",
    )
)  # fmt: skip
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_MOST_NAMES = 200
_uses: weakref.WeakKeyDictionary[types.FunctionType, str] = weakref.WeakKeyDictionary()
_LONGEST_CHAIN = 20
_METHODS = (
    types.FunctionType,
    classmethod,
    staticmethod,
    property,
    functools.cached_property,
)


def class_name(kind: type) -> str:
    """Return the module and qualified name of a class, with the program for ``__main__``."""
    module = kind.__module__
    if module in MAIN_MODULES:
        program = program_of(module)
        if program is not None:
            return f"{program.name}@{program.place}.{kind.__qualname__}"
    return f"{module}.{kind.__qualname__}"


def is_importable(kind: type) -> bool:
    """Return whether an import of the module finds a class by its name.

    A subclass with the name of its base, such as a proxy, counts as importable.
    """
    module = sys.modules.get(kind.__module__)
    if module is None:
        return False
    found: Any = module
    name = kind.__qualname__
    for part in name.split(".") if "." in name else (name,):
        try:
            found = vars(found).get(part)
        except TypeError:
            return False
    if found is not kind and not any(found is base for base in kind.__mro__):
        return False
    if kind.__module__ not in MAIN_MODULES:
        return True
    program = program_of(kind.__module__)
    return program is not None and not program.interactive


def code_digest(function: Any) -> str:
    """Return a digest of a function's instructions and constants, without file and line numbers.

    "" if the function is not written in Python.
    """
    code = getattr(function, "__code__", None)
    return _code_digest(code) if isinstance(code, types.CodeType) else ""


@functools.lru_cache(4096)
def _code_digest(code: types.CodeType) -> str:
    return short_digest(b"".join(_code(code)))


def uses_digest(function: Any) -> str:
    """Return a digest of the functions and classes of its own module that a function uses.

    Those are the ones that it names, the ones that they name, and so on. They count as they are at
    the first call for a function; later changes do not count. "" if there are none.
    """
    if type(function) is not types.FunctionType:
        return ""
    known = _uses.get(function)
    if known is None:
        known = _uses[function] = _uses_digest(function)
    return known


def _uses_digest(function: types.FunctionType) -> str:
    own = function.__globals__
    module = own.get("__name__")
    names = {function.__name__}
    digests: list[str] = []
    waiting = [function]
    while waiting and len(names) < _MOST_NAMES:
        for name in _names(waiting.pop().__code__):
            item = own.get(name)
            if name in names or item is None:
                continue
            names.add(name)
            found = [item]
            if issubclass(type(item), type) and vars(item).get("__module__") == module:
                annotations = repr(vars(item).get("__annotations__"))
                digests.append(f"{name} {_ADDRESS.sub('', annotations)}")
                found = list(vars(item).values())
            for each in map(_behind, found):
                if type(each) is types.FunctionType and each.__globals__ is own:
                    digests.append(f"{name} {code_digest(each)}")
                    waiting.append(each)
    text = "\n".join(sorted(digests))
    return short_digest(text.encode("utf-8", "replace")) if text else ""


@functools.lru_cache(4096)
def _names(code: types.CodeType) -> tuple[str, ...]:
    """Return the names of the global variables that code and its inner functions may use."""
    inner = [each for each in code.co_consts if isinstance(each, types.CodeType)]
    return tuple(sorted(set(code.co_names).union(*map(_names, inner))))


def _behind(item: Any) -> Any:
    """Return the function behind decorators and descriptors, or the item itself."""
    for _ in range(_LONGEST_CHAIN):
        kind = type(item)
        if kind is property:
            item = item.fget
        elif issubclass(kind, types.FunctionType | functools._lru_cache_wrapper):  # noqa: SLF001 - it has no public name
            inner = item.__dict__.get("__wrapped__")
            if inner is None:
                break
            item = inner
        elif issubclass(kind, classmethod | staticmethod):
            item = item.__func__
        else:
            break
    return item


def _is_synthetic(function: Any) -> bool:
    file: str = getattr(getattr(function, "__code__", None), "co_filename", "")
    return file == "<string>" or file.startswith("<attrs ") or file.endswith("dataclasses.py")


def _code(code: types.CodeType) -> Iterator[bytes]:
    yield repr(
        (code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    ).encode("utf-8", "backslashreplace")
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _code(constant)
        elif isinstance(constant, frozenset):  # its order differs between processes
            yield repr(sorted(map(repr, constant))).encode("utf-8", "backslashreplace")
        else:
            yield f"{type(constant).__name__}{constant!r}".encode("utf-8", "backslashreplace")


def definition_of(kind: type, encode: Encode, encode_class: Callable[[type], bytes]) -> bytes:
    """Return the canonical bytes of a class definition.

    Args:
        kind: The class.
        encode: Encodes the values in its body.
        encode_class: Encodes its bases, and the classes in its body.

    Raises:
        NotCanonicalError: A value in its body has no canonical form.
    """
    return _Definition(kind, encode, encode_class).encode()


class _Definition:
    """The definition of one class."""

    def __init__(self, kind: type, encode: Encode, encode_class: Callable[[type], bytes]) -> None:
        self._kind = kind
        self._encode = encode
        self._encode_class = encode_class
        self._seen: list[Any] = [kind]

    def encode(self) -> bytes:
        kind = self._kind
        generic = vars(kind).get("__pydantic_generic_metadata__") or {}
        if generic.get("args"):
            parts = [self._value(generic["origin"]), *map(self._annotation, generic["args"])]
            return self._encode(["generic", *parts])
        body = {name: self._value(item) for name, item in self._body()}
        bases = [self._value(base) for base in kind.__bases__]
        return self._encode([self._annotation(type(kind)), bases, body, list(self._fields())])

    def _body(self) -> Iterator[tuple[str, Any]]:
        kind = self._kind
        is_enum = issubclass(kind, enum.Enum)
        for name, item in vars(kind).items():
            if name in _MACHINERY or name.startswith(("__pydantic_", "__attrs_")):
                continue
            if is_enum and not isinstance(item, _METHODS):
                continue  # its members are yielded below, and all else derives from them
            if name in _SYNTHETIC_METHODS and _is_synthetic(item):
                continue
            yield name, item
        if is_enum:
            for name, member in kind.__members__.items():  # type: ignore[attr-defined] # of enums
                yield f"member {name}", member.value

    def _fields(self) -> Iterator[Any]:
        kind = self._kind
        for name, annotation in vars(kind).get("__annotations__", {}).items():
            yield name, self._annotation(annotation)
        if dataclasses.is_dataclass(kind):
            for field in dataclasses.fields(kind):
                yield field.name, self._annotation(field.type), *self._default(field)
        for name, field in getattr(kind, "__pydantic_fields__", {}).items():
            yield name, self._annotation(field.annotation), *self._default(field)

    def _default(self, field: Any) -> tuple[bytes, bytes]:
        factory = field.default_factory
        if factory is dataclasses.MISSING:
            factory = None
        default = field.default
        if default is dataclasses.MISSING or type(default).__name__ == "PydanticUndefinedType":
            default = None
        return self._value(default), self._value(factory)

    def _annotation(self, annotation: Any) -> bytes:
        if isinstance(annotation, type):
            return self._value(annotation)
        return self._encode(annotation if isinstance(annotation, str) else repr(annotation))

    def _value(self, item: Any) -> bytes:
        if any(item is each for each in self._seen):
            return self._encode("again")
        if isinstance(item, type):
            return self._encode_class(item)
        if isinstance(item, types.FunctionType):
            return self._function(item)
        if isinstance(item, classmethod | staticmethod):
            return self._value(item.__func__)
        if isinstance(item, functools.cached_property):
            return self._value(item.func)
        if isinstance(item, property):
            return self._encode([self._value(f) for f in (item.fget, item.fset, item.fdel)])
        if isinstance(item, types.MemberDescriptorType | types.GetSetDescriptorType):
            return self._encode(item.__name__)
        if isinstance(item, types.BuiltinFunctionType | types.WrapperDescriptorType):
            return self._encode(item.__qualname__)
        if type(item).__name__ == "PydanticDescriptorProxy":
            return self._value(item.wrapped)
        wrapped = getattr(item, "__wrapped__", None)
        if isinstance(wrapped, types.FunctionType):
            return self._value(wrapped)
        return self._encode(item)

    def _function(self, function: types.FunctionType) -> bytes:
        self._seen.append(function)
        wrapped = getattr(function, "__wrapped__", None)
        if wrapped is not None:  # the decorator's own closure does not count
            return self._encode([code_digest(function), self._value(wrapped)])
        cells = []
        for cell in function.__closure__ or ():
            try:
                cells.append(self._value(cell.cell_contents))
            except ValueError:  # still empty
                raise NotCanonicalError("a method refers to an undefined name") from None
        defaults = [self._value(each) for each in function.__defaults__ or ()]
        named = {n: self._value(each) for n, each in (function.__kwdefaults__ or {}).items()}
        parts = [code_digest(function), cells, defaults, named]
        if function.__module__ != self._kind.__module__:
            parts.append(f"{function.__module__}.{function.__qualname__}")
        return self._encode(parts)
