"""Encode what tools return: outputs, nodes and the responses of query engines.

LlamaIndex's nodes take themselves apart by way of pickle, and put themselves together by running
their validators. Neither is asked here: a value is its fields, and is made again of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from llama_index.core.base.response.schema import PydanticResponse, Response
from llama_index.core.schema import (
    Document,
    ImageDocument,
    ImageNode,
    IndexNode,
    MediaResource,
    MetadataMode,
    Modality,
    Node,
    NodeRelationship,
    NodeWithScore,
    ObjectType,
    QueryBundle,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.tools import ToolOutput
from pydantic import BaseModel

from llama_index.callbacks.toolops._codec_types import teach
from toolops_plugins import Codec

__all__ = ["teach_tools"]

_MODELS: tuple[type[BaseModel], ...] = (
    Document,
    ImageDocument,
    ImageNode,
    IndexNode,
    MediaResource,
    Node,
    NodeWithScore,
    RelatedNodeInfo,
    TextNode,
    ToolOutput,
)
_OTHERS: tuple[type, ...] = (
    MetadataMode,
    Modality,
    NodeRelationship,
    ObjectType,
    PydanticResponse,
    QueryBundle,
    Response,
)


def teach_tools(codec: Codec) -> None:
    """Make what tools return encodable; doing it again does nothing.

    Args:
        codec: The codec of a runtime.

    Raises:
        ConfigurationError: One of the names stands for another type in that codec.
    """
    teach(codec)
    for model in _MODELS:
        encode: Callable[[Any], Any] = partial(_take_apart, model)
        decode: Callable[[Any], Any] = partial(_make, model)
        codec.register(
            model, f"llama_index.{model.__name__}", encode=encode, decode=decode, verify=False
        )
    for other in _OTHERS:
        codec.register(other, f"llama_index.{other.__name__}")


def _take_apart(kind: type[BaseModel], value: BaseModel) -> dict[str, Any]:
    fields = value.__dict__
    if fields.keys() != kind.model_fields.keys():
        raise TypeError(f"{kind.__name__} holds other attributes than its fields")
    kept = {
        "fields": fields,
        "set": value.model_fields_set,
        "extra": value.__pydantic_extra__,
        "private": value.__pydantic_private__,
    }
    return {name: part for name, part in kept.items() if part is not None}


def _make(kind: type[BaseModel], kept: dict[str, Any]) -> Any:
    if kept["fields"].keys() != kind.model_fields.keys():
        raise ValueError(f"the fields of {kind.__name__} have changed")
    value: Any = object.__new__(kind)
    # As pydantic itself does when a model is copied.
    object.__setattr__(value, "__dict__", kept["fields"])
    object.__setattr__(value, "__pydantic_fields_set__", kept["set"])
    object.__setattr__(value, "__pydantic_extra__", kept.get("extra"))
    object.__setattr__(value, "__pydantic_private__", kept.get("private"))
    return value
