"""What a model's answer hangs on besides the conversation, taken from the live objects.

A model's own description for LangChain's caches is made once and names classes only, so that it
misses what was changed since, and the fields of a response schema. Here the key is made of what
will be sent: all of it is hashed, and nothing of it, secrets included, is kept or shown.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from langchain.agents.structured_output import AutoStrategy, ProviderStrategy, ToolStrategy
from langchain_core.runnables import Runnable, RunnableBinding
from langchain_core.tools import BaseTool, Tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

from toolops_plugins.errors import NotCanonicalError

__all__ = ["format_identity", "model_identity", "model_name", "tool_arguments", "tool_identity"]

_NOT_ASKED = frozenset(
    (
        # How a run is watched.
        "cache",
        "callback_manager",
        "callbacks",
        "custom_get_token_ids",
        "metadata",
        "name",
        "tags",
        "verbose",
        # How long and how often it is tried, and how the answer travels.
        "default_request_timeout",
        "disable_streaming",
        "http_socket_options",
        "max_retries",
        "rate_limiter",
        "request_timeout",
        "stream_chunk_timeout",
        "stream_usage",
        "streaming",
        "timeout",
    )
)
"""Fields of models that change nothing in what is answered."""
_SCHEMAS = 256

_schemas: OrderedDict[int, tuple[Any, Any]] = OrderedDict()
"""Descriptions of response schemas by the schema's address, each held beside its schema."""
_lock = threading.Lock()


def model_identity(model: Any) -> Any:
    """Return what tells a model from others that might answer differently, to be hashed.

    It holds the class and all fields, those included that were changed after construction, but
    for those that only say how a run is watched, tried or transported. A class with
    ``__toolops_key__()`` says for itself what tells its instances apart.
    """
    if hasattr(type(model), "__toolops_key__"):
        return model
    if isinstance(model, RunnableBinding):
        return ["binding", model_identity(model.bound), model.kwargs]
    if not (isinstance(model, BaseModel) and isinstance(model, Runnable)):
        return model  # of which the keyer knows whether it has a canonical form
    fields = {}
    for name, field in type(model).model_fields.items():
        # What a class does not want to be written down are its clients.
        if not field.exclude and name not in _NOT_ASKED:
            value = getattr(model, name)
            if value is not None:  # most are, and to leave them out says the same
                fields[name] = _plain(value)
    # By these a model class names what its instances keep elsewhere.
    parameters = getattr(model, "_identifying_params", None)
    return [type(model), fields, model.model_extra, _plain(parameters)]


def model_name(model: Any) -> str:
    """Return the name under which a model's calls are counted, such as "openai:gpt-5"."""
    try:
        told = model._get_ls_params()  # noqa: SLF001 - where LangChain's models say their names
        name = told.get("ls_model_name")
        if name:
            return f"{told.get('ls_provider', 'model')}:{name}"
    except Exception:  # noqa: BLE001, S110 - a model that does not say its name is called by its class
        pass
    return type(model).__name__


def _plain(value: Any) -> Any:
    """Return a value with the models inside it replaced by their identities."""
    if isinstance(value, Runnable):
        return model_identity(value)
    if isinstance(value, Mapping):  # such as headers, whatever the class of the mapping
        return {name: _plain(content) for name, content in value.items()}
    if type(value) in (list, tuple):
        return [_plain(each) for each in value]
    return value


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
        return ["tool", response_format.tool_message_content, _named(specs)]
    if isinstance(response_format, AutoStrategy):
        return ["auto", _described(response_format.schema)]
    return ["auto", _described(response_format)]


def _described(schema: Any) -> Any:
    """Return the description of a schema, which takes long to make."""
    if isinstance(schema, dict):  # may have been changed, and is its own description
        return _named(ToolStrategy(schema=schema).schema_specs)
    known = _schemas.get(id(schema))
    if known is not None and known[0] is schema:
        return known[1]
    description = _named(ToolStrategy(schema=schema).schema_specs)
    with _lock:
        _schemas[id(schema)] = schema, description
        if len(_schemas) > _SCHEMAS:
            _schemas.popitem(last=False)
    return description


def _named(specs: Sequence[Any]) -> list[Any]:
    for spec in specs:
        if isinstance(spec.schema, dict) and "title" not in spec.schema:
            raise NotCanonicalError(
                "a response schema without a title gets another name in each process"
            )
    return [_spec_identity(spec) for spec in specs]


def _spec_identity(spec: Any) -> list[Any]:
    # The name of a provider's schema may be random too, but its answer does not carry it.
    name = None if isinstance(spec.schema, dict) else spec.name
    return [name, spec.description, spec.json_schema]
