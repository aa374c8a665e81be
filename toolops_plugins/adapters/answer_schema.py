"""The schema that a request asks its answer to fit, and the check of an answer against it.

An answer that misses its schema is an error to whoever asked, and often tried again in the same
words. Kept, it would make each of these attempts fail. So answers are checked before they are
stored; a hit is not checked again.

The words of all providers are known here, since each framework passes them on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from toolops_plugins.adapters.json_schema import breaks_schema

__all__ = ["AnswerSchema", "is_model_class", "schema_of"]

_OUTPUTS = (
    *("response_format", "text_format", "response_model", "output_cls", "output_format"),
    *("guided_json", "response_schema", "response_json_schema", "format", "json_schema"),
)
"""Names under which requests hold the schema of an answer's text."""
_HOLDERS = (
    *("extra_body", "text", "structured_outputs", "output_config"),
    *("config", "generation_config", "generationConfig"),
)
"""Names of what holds such a name in its turn."""
_ANY_CALL = frozenset(("any", "required", "true"))
_NO_FORCE = frozenset(("auto", "none", "null", "validated", "false", ""))
_PARAMETERS = ("parameters", "input_schema", "inputSchema", "parametersJsonSchema")


@dataclass(frozen=True)
class AnswerSchema:
    """The schemas that an answer must fit.

    Attributes:
        output: A pydantic class or a JSON schema for the text; True: any JSON. None: any text.
        tools: The schema of each tool's arguments, a pydantic class or a JSON schema, by its name.
        forced: The names of the tools of which one must be called. Empty: none need be.
    """

    output: Any = None
    tools: Mapping[str, Any] = field(default_factory=dict)
    forced: frozenset[str] = frozenset()

    def accepts(self, text: str, calls: Sequence[tuple[str, Any]]) -> bool:
        """Return whether an answer fits, as far as anybody can say.

        Args:
            text: Its text.
            calls: The names and arguments of its tool calls; the arguments as a mapping, or as the
                JSON of one.
        """
        try:
            return self._accepts(text, calls)
        except Exception:  # noqa: BLE001 - of users' own validators; what cannot be checked is not kept
            return False

    def _accepts(self, text: str, calls: Sequence[tuple[str, Any]]) -> bool:
        if not calls:
            return not self.forced and (self.output is None or _fits_text(text, self.output))
        if self.forced and not all(name in self.forced for name, _ in calls):
            return False
        # A text that stands for a number is an error only to those who do not read it by a class.
        lax = not self.forced
        return all(_fits_call(args, self.tools.get(name), lax=lax) for name, args in calls)


def schema_of(
    request: Mapping[str, Any], output: Any = None, tools: Iterable[Any] | None = None
) -> AnswerSchema | None:
    """Return the schema that a request asks its answer to fit, or None if it asks for none.

    Args:
        request: What the model is sent beside the conversation.
        output: The class or the JSON schema by which the answer will be read, where the adapter
            knows it; it wins over the request's. None: it does not.
        tools: The tools, where these are not in the request.
    """
    found = request.get("tools") or request.get("functions") if tools is None else tools
    every = list(found) if isinstance(found, Iterable) and not isinstance(found, str) else []
    named = dict(pair for each in every for pair in _read_tools(each))
    forced = _find_forced_tools(request, named, every)
    if output is None:
        output = _output_of(request)
    if output is None and not named:
        return None
    if len(named) == 1 and is_model_class(output) and (forced or output.__name__ in named):
        # The one tool is the answer in another form.
        return AnswerSchema(output, dict.fromkeys(named, output), forced)
    return AnswerSchema(output, named, forced)


def is_model_class(value: Any) -> bool:
    """Return whether a value is a class of pydantic, or of pydantic's first version."""
    return isinstance(value, type) and (
        issubclass(value, BaseModel) or hasattr(value, "__get_validators__")
    )


def _output_of(request: Mapping[str, Any]) -> Any:
    for name in _OUTPUTS:
        if name in request:
            found = _output(request[name])
            if found is not None:
                return found
    for name in _HOLDERS:
        inner = request.get(name)
        if isinstance(inner, Mapping):
            found = _output_of(inner)
            if found is not None:
                return found
    guided = request.get("json")  # of vLLM, inside structured_outputs
    return _output(guided) if isinstance(guided, Mapping) and "type" in guided else None


def _output(value: Any) -> Any:
    """Return a schema in one of the forms that providers take, or None."""
    if is_model_class(value):
        return value
    if value in ("json", "json_object"):
        return True
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = json.loads(value)
    if not isinstance(value, Mapping):
        return None
    kind = value.get("type")
    for name in ("json_schema", "schema"):
        inner = value.get(name)
        if isinstance(inner, Mapping):
            return _output(inner) if name == "json_schema" and "schema" in inner else inner
    if kind == "json_object":
        return True
    is_schema = "properties" in value or "$ref" in value or "anyOf" in value
    return value if is_schema or kind in ("object", "array", "OBJECT", "ARRAY") else None


def _read_tools(tool: Any) -> Iterator[tuple[str, Any]]:
    """Yield names and schemas of a tool in one of the forms that providers take."""
    if is_model_class(tool):
        yield tool.__name__, tool
    if not isinstance(tool, Mapping):
        return
    for name in ("function_declarations", "functionDeclarations"):
        for each in tool.get(name) or ():
            yield from _read_tools(each)
    for name in ("function", "toolSpec"):
        if isinstance(tool.get(name), Mapping):
            tool = tool[name]
    if isinstance(tool.get("name"), str):
        schema = next((tool[name] for name in _PARAMETERS if name in tool), None)
        if isinstance(schema, Mapping) and isinstance(schema.get("json"), Mapping):  # of Bedrock
            schema = schema["json"]
        if schema is not None:
            yield tool["name"], schema


def _find_forced_tools(
    request: Mapping[str, Any], named: Mapping[str, Any], every: list[Any]
) -> frozenset[str]:
    """Return the names of the tools of which a request forces one to be called."""
    choice = request.get("tool_choice")
    if choice is None:
        choice = request.get("function_call")
    if choice is None or choice is False:
        return frozenset()
    if isinstance(choice, Mapping):
        mode = choice.get("mode", choice.get("type"))
        inner = choice.get("function")
        name = choice.get("name") or (inner.get("name") if isinstance(inner, Mapping) else None)
    else:
        mode = name = choice
    if isinstance(name, str) and name in named:
        return frozenset((name,))
    # A provider's own tools may be called without a trace in the answer's tool calls.
    is_any = str(mode).lower() in _ANY_CALL and str(mode).lower() not in _NO_FORCE
    return frozenset(named) if is_any and len(named) == len(every) else frozenset()


def _fits_call(arguments: Any, schema: Any, *, lax: bool) -> bool:
    if isinstance(arguments, str):
        arguments = json.loads(arguments or "{}", strict=False)
    if schema is None:
        return True
    if is_model_class(schema):
        _validate(schema, arguments)
        return True
    return not breaks_schema(arguments, schema, lax=lax)


def _fits_text(text: str, output: Any) -> bool:
    part = _json_part(text)
    data = json.loads(part, strict=False)
    if output is True:
        return isinstance(data, dict | list)
    if not is_model_class(output):
        return not breaks_schema(data, output)
    if hasattr(output, "model_validate_json"):
        output.model_validate_json(part)
    else:
        _validate(output, data)
    return True


def _validate(kind: Any, data: Any) -> None:
    """Raise what a class raises for data that it does not take."""
    if hasattr(kind, "model_validate"):
        kind.model_validate(data)
    else:
        kind.parse_obj(data)


def _json_part(text: str) -> str:
    """Return the JSON in a text, which some models put between words or marks of code.

    Raises:
        ValueError: There is none.
    """
    try:
        json.loads(text, strict=False)
    except ValueError:
        begin = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
        end = max(text.rfind("}"), text.rfind("]"))
        if begin < 0:
            raise
        return text[begin : end + 1]
    return text
