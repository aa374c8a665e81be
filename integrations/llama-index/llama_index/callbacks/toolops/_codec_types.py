"""Types of LlamaIndex for the core's codec: by name, with no class path and no pickle.

A response carries its provider's own object in ``raw``. Those of the OpenAI package come back as
the types that they were. Of any other provider's object the plain data is found (what its
``model_dump()`` returns, with the values of enums), and where a part of it has none, nothing.
"""

from __future__ import annotations

import datetime as dt
import enum
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    ChatResponse,
    CitableBlock,
    CitationBlock,
    CompletionResponse,
    DocumentBlock,
    ImageBlock,
    LogProb,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.llms.llm import ToolSelection
from pydantic import AnyUrl, BaseModel

from toolops_plugins import Codec, ConfigurationError
from toolops_plugins.adapters.pydantic_state import build_model

__all__ = ["pack_raw", "teach", "unpack_raw"]

_BY_FIELDS: tuple[type[Any], ...] = (
    AudioBlock,
    CacheControl,
    CachePoint,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    VideoBlock,
    LogProb,
    MessageRole,
    ToolSelection,
)
_COMPACT: tuple[type[BaseModel], ...] = (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
"""The parts of every answer."""
_OPENAI = ("openai.types", "openai.types.chat", "openai.types.responses")
_OPENAI_CHUNKS = "openai.types.chat.chat_completion_chunk"
_of_openai: dict[type, str] = {}
"""Its types that codecs know, with their names."""
_registered: weakref.WeakKeyDictionary[Codec, frozenset[str]] = weakref.WeakKeyDictionary()
"""The modules of the OpenAI package that were in use when a codec came to know its types."""
_PLAIN = (str, int, float, bool, bytes, dt.datetime, type(None))
_ROLES = {role.value: role for role in MessageRole}


def teach(codec: Codec) -> None:
    """Make messages, their blocks and models' responses encodable; doing it again does nothing.

    Args:
        codec: The codec of a runtime.

    Raises:
        ConfigurationError: One of the names stands for another type in that codec.
    """
    in_use = frozenset(path for path in (*_OPENAI, _OPENAI_CHUNKS) if path in sys.modules)
    if _registered.get(codec) == in_use:  # hundreds of types, which takes milliseconds
        return
    for kind in _BY_FIELDS:
        codec.register(kind, f"llama_index.{kind.__name__}")
    for compact in _COMPACT:
        encode, decode = _form(compact)
        codec.register(
            compact, f"llama_index.{compact.__name__}", encode=encode, decode=decode, verify=False
        )
    _register_unless_known(codec, AnyUrl, "llama_index.AnyUrl", str, AnyUrl)
    for openai_type, name in _openai_types():
        _of_openai[openai_type] = name
        _register_unless_known(
            codec, openai_type, name, _dump_fields_set, partial(_construct, openai_type)
        )
    _registered[codec] = in_use


def _register_unless_known(
    codec: Codec,
    kind: type[Any],
    name: str,
    encode: Callable[[Any], Any],
    decode: Callable[[Any], Any],
) -> None:
    """Register a type that is not LlamaIndex's, unless somebody has done it already."""
    with suppress(ConfigurationError):
        codec.register(kind, name, encode=encode, decode=decode, verify=False)


def _openai_types() -> Iterator[tuple[Any, str]]:
    """Yield the answers' types of the OpenAI package with their names, if it is in use."""
    for path in (*_OPENAI, _OPENAI_CHUNKS):
        module = sys.modules.get(path)
        for kind in list(vars(module).values()) if module is not None else ():
            ours = isinstance(kind, type) and issubclass(kind, BaseModel)
            if not ours or not kind.__module__.startswith("openai.types."):
                continue
            if path == _OPENAI_CHUNKS and not kind.__name__.startswith("ChoiceDelta"):
                continue
            yield kind, f"{path.removesuffix('.chat_completion_chunk')}.{kind.__name__}"


def _construct(kind: Any, fields: dict[str, Any]) -> Any:
    # Without validators, as the package itself makes what it has received.
    return kind.construct(**fields)


def _dump_fields_set(value: Any) -> dict[str, Any]:
    fields: dict[str, Any] = value.model_dump(exclude_unset=True, warnings=False)
    return fields


def pack_raw(raw: Any) -> list[Any]:
    """Return what is found of a provider's own object, as plain data with the name of its type."""
    name = _of_openai.get(type(raw))
    return [name, _dump_fields_set(raw) if name else _raw(raw)]


def unpack_raw(parts: list[Any]) -> Any:
    """Return what :func:`pack_raw` has found: of the type that it was, if that is in use here."""
    name, data = parts
    for kind, known in _of_openai.items() if name else ():
        if known == name:
            return _construct(kind, data)
    return data


# The parts of every answer, in short form and without pydantic's validators


def _form(kind: type[BaseModel]) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return the two functions that take a model apart, and put it together again.

    Only what is not at its default is found.
    """
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in kind.model_fields.items()
        if not field.is_required()
    }
    # Lists and dicts are made anew for each.
    constant = {name: value for name, value in defaults.items() if not _is_container(value)}
    empty = {name: type(value) for name, value in defaults.items() if _is_container(value)}
    return partial(_dump_fields, defaults), partial(
        _load_fields, kind, constant, empty, frozenset(kind.model_fields)
    )


def _is_container(value: Any) -> bool:
    return type(value) in (list, dict)


def _dump_fields(defaults: dict[str, Any], value: BaseModel) -> dict[str, Any]:
    if value.model_extra or value.__pydantic_private__:
        raise TypeError(f"{type(value).__name__} holds more than its fields")
    found = {}
    for name, content in value.__dict__.items():
        if (
            name in defaults
            and type(content) is type(defaults[name])
            and (content is defaults[name] or content == defaults[name])
        ):
            continue
        if name == "raw":
            found[name] = _raw(content)
        elif type(content) is MessageRole:
            found[name] = content.value
        else:
            found[name] = content
    return found


def _load_fields(
    kind: type[BaseModel],
    constant: dict[str, Any],
    empty: dict[str, type],
    names: frozenset[str],
    fields: dict[str, Any],
) -> Any:
    given = set(fields)
    if not given <= names:
        raise ValueError(f"the fields of {kind.__name__} have changed")
    if "role" in given:
        fields["role"] = _ROLES[fields["role"]]
    state = {**constant, **{name: make() for name, make in empty.items()}, **fields}
    if len(state) != len(names):
        raise ValueError(f"a field of {kind.__name__} is missing")
    return build_model(kind, state, given)


def _raw(value: Any) -> Any:
    """Return what is found of a provider's own object."""
    if isinstance(value, BaseModel) and type(value).__module__.startswith("openai.types."):
        return value if type(value) in _of_openai else _dump_fields_set(value)
    try:
        return _plain(value)
    except Exception:  # noqa: BLE001 - of providers' classes; what is no data has nothing to keep
        return None


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is dict:
        return {name: _part(content) for name, content in value.items()}
    if kind in (list, tuple):
        return [_part(each) for each in value]
    if isinstance(value, enum.Enum):  # such as Gemini's finish reasons
        return _plain(value.value)
    if isinstance(value, BaseModel):
        return _plain(value.model_dump(mode="json", warnings=False))
    if isinstance(value, dict):
        return _plain(dict(value))
    raise TypeError(f"{kind.__name__} is no plain data")


def _part(value: Any) -> Any:
    """Return what is found of a part of a provider's own object, of which the rest has more."""
    try:
        return _plain(value)
    except Exception:  # noqa: BLE001 - as above
        return None
