"""Identities of the tools and the response format that an agent's model gets."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from langchain.agents.structured_output import AutoStrategy, ProviderStrategy, ToolStrategy
from langchain_core.tools import BaseTool, Tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

from toolops_plugins.adapters.internals import fork_safe
from toolops_plugins.errors import NotCanonicalError

__all__ = ["format_identity", "tool_arguments", "tool_identity"]

_SCHEMAS = 256

_schemas: OrderedDict[int, tuple[Any, Any]] = OrderedDict()
"""Descriptions of response schemas by the schema's address, each held beside its schema."""
_lock = fork_safe(sys.modules[__name__], threading.Lock())


def tool_identity(tool: Any) -> Any:
    """Return what a model is told of a tool: name, description and the schema of its arguments."""
    if isinstance(tool, dict):
        return tool
    if not isinstance(tool, BaseTool):
        return convert_to_openai_tool(tool)
    schema: Any = tool.tool_call_schema
    if not isinstance(schema, dict):
        if not hasattr(schema, "model_json_schema"):  # of pydantic 1
            return [convert_to_openai_tool(tool), tool.extras]
        schema = schema.model_json_schema()
    return [tool.name, tool.description, schema, tool.extras]


def tool_arguments(
    tool: BaseTool, given: Mapping[str, Any], injected: frozenset[str]
) -> dict[str, Any]:
    """Return a tool's arguments as its schema makes them, without those that no model writes.

    Raises:
        ValueError: They do not fit the schema.
    """
    schema = tool.args_schema
    written = {name: value for name, value in given.items() if name not in injected}
    if schema is None and isinstance(tool, Tool):
        return written  # its one input has no name that a schema could know
    if injected or schema is None:
        schema = tool.tool_call_schema
    if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        return written
    checked = schema.model_validate(written)
    fields = {name: getattr(checked, name) for name in schema.model_fields}
    # A schema may not know all that a tool takes.
    return {**written, **fields, **(checked.model_extra or {})}


def format_identity(response_format: Any) -> Any:
    """Return what a model is told of the structured response that is wanted, fields included.

    Raises:
        NotCanonicalError: The schema is sent under a name made at random.
    """
    if response_format is None:
        return None
    if isinstance(response_format, ProviderStrategy):
        spec = response_format.schema_spec
        return ["provider", _spec_identity(spec), spec.strict]
    if isinstance(response_format, ToolStrategy):
        specs = response_format.schema_specs
        return ["tool", response_format.tool_message_content, _describe_specs(specs)]
    if isinstance(response_format, AutoStrategy):
        return ["auto", _describe(response_format.schema)]
    return ["auto", _describe(response_format)]


def _describe(schema: Any) -> Any:
    """Return the description of a schema, which takes long to make."""
    if isinstance(schema, dict):  # may have been changed, and is its own description
        return _describe_specs(ToolStrategy(schema=schema).schema_specs)
    known = _schemas.get(id(schema))
    if known is not None and known[0] is schema:
        return known[1]
    description = _describe_specs(ToolStrategy(schema=schema).schema_specs)
    with _lock:
        _schemas[id(schema)] = schema, description
        if len(_schemas) > _SCHEMAS:
            _schemas.popitem(last=False)
    return description


def _describe_specs(specs: Sequence[Any]) -> list[Any]:
    for spec in specs:
        if isinstance(spec.schema, dict) and "title" not in spec.schema:
            raise NotCanonicalError(
                "a response schema without a title gets another name in each process",
                kind="response schema without a title, which gets a name of its own each time",
            )
    return [_spec_identity(spec) for spec in specs]


def _spec_identity(spec: Any) -> list[Any]:
    # The name of a provider's schema may be random too, but its answer does not carry it.
    name = None if isinstance(spec.schema, dict) else spec.name
    return [name, spec.description, spec.json_schema]
