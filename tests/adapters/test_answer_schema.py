"""The schema of an answer: how a request names it, and the data that breaks it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from toolops_plugins.adapters.answer_schema import schema_of
from toolops_plugins.adapters.json_schema import breaks_schema

CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "size": {"type": "integer"}},
    "required": ["name", "size"],
}
GOOD, BAD = {"name": "Ulm", "size": 3}, {"name": "Ulm"}


class City(BaseModel):
    name: str
    size: int


FORMATS: dict[str, dict[str, Any]] = {
    "OpenAI": {"response_format": {"type": "json_schema", "json_schema": {"schema": CITY}}},
    "a class": {"response_format": City},
    "Responses": {"text": {"format": {"type": "json_schema", "name": "c", "schema": CITY}}},
    "a class of Responses": {"text_format": City},
    "llama.cpp": {"response_format": {"type": "json_object", "schema": CITY}},
    "Ollama": {"format": CITY},
    "vLLM": {"extra_body": {"guided_json": CITY}},
    "vLLM, as a text": {"guided_json": json.dumps(CITY)},
    "vLLM, new": {"extra_body": {"structured_outputs": {"json": CITY}}},
    "Anthropic": {"output_config": {"format": {"type": "json_schema", "schema": CITY}}},
    "Gemini": {"generation_config": {"response_schema": CITY}},
}
TOOLS: dict[str, dict[str, Any]] = {
    "OpenAI": {"type": "function", "function": {"name": "find", "parameters": CITY}},
    "Responses": {"type": "function", "name": "find", "parameters": CITY},
    "Anthropic": {"name": "find", "input_schema": CITY},
    "Bedrock": {"toolSpec": {"name": "find", "inputSchema": {"json": CITY}}},
    "Gemini": {"function_declarations": [{"name": "find", "parameters": CITY}]},
}
FORCED: dict[str, Any] = {
    "any": "any",
    "required": "required",
    "by name": "find",
    "OpenAI": {"type": "function", "function": {"name": "find"}},
    "Responses": {"type": "function", "name": "find"},
    "Anthropic": {"type": "tool", "name": "find"},
    "Anthropic, any": {"type": "any"},
    "true": True,
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_schema_of_a_text_is_found(name):
    schema = schema_of(FORMATS[name])
    assert schema.accepts(json.dumps(GOOD), [])
    assert schema.accepts(f"Here it is:\n```json\n{json.dumps(GOOD)}\n```", [])
    assert not schema.accepts(json.dumps(BAD), [])
    assert not schema.accepts("Ulm", [])


@pytest.mark.parametrize("mode", [{"type": "json_object"}, "json"])
def test_json_mode_wants_json(mode):
    schema = schema_of({"response_format": mode})
    assert schema.accepts('{"a": 1}', [])
    assert not schema.accepts("Ulm", [])


@pytest.mark.parametrize("request_", [{}, {"response_format": {"type": "text"}}, {"tools": []}])
def test_a_request_without_a_schema_wants_nothing(request_):
    assert schema_of(request_) is None


@pytest.mark.parametrize("name", TOOLS)
def test_the_schemas_of_tools_are_found(name):
    schema = schema_of({"tools": [TOOLS[name]]})
    assert schema.accepts("", [("find", GOOD)])
    assert schema.accepts("", [("find", json.dumps({**GOOD, "size": "3"}))])
    assert schema.accepts("no need of a tool", [])
    assert schema.accepts("", [("another", BAD)])
    assert not schema.accepts("", [("find", BAD)])
    assert not schema.accepts("", [("find", GOOD), ("find", BAD)])


@pytest.mark.parametrize("choice", FORCED.values(), ids=list(FORCED))
def test_a_forced_tool_must_be_called_with_what_it_takes(choice):
    schema = schema_of({"tools": [TOOLS["OpenAI"]], "tool_choice": choice})
    assert schema.accepts("", [("find", GOOD)])
    assert not schema.accepts("Ulm", [])
    assert not schema.accepts("", [("find", {**GOOD, "size": "3"})])
    assert not schema.accepts("", [("another", GOOD)])


@pytest.mark.parametrize("choice", ["auto", "none", None, False, {"type": "auto"}])
def test_a_free_model_need_not_call_a_tool(choice):
    assert schema_of({"tools": [TOOLS["OpenAI"]], "tool_choice": choice}).accepts("Ulm", [])


def test_a_providers_own_tool_may_answer_without_a_call():
    tools = [TOOLS["Responses"], {"type": "web_search"}]
    assert schema_of({"tools": tools, "tool_choice": "required"}).accepts("Ulm", [])


def test_a_validator_that_raises_anything_accepts_nothing():
    class Odd(BaseModel):
        name: str

        def model_post_init(self, context: Any) -> None:
            raise LookupError(self.name)

    assert not schema_of({"response_format": Odd}).accepts('{"name": "Ulm"}', [])


NODE: dict[str, Any] = {
    "type": "object",
    "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
    "required": ["next"],
}


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": ["integer", "null"]}, [1, 1.0, None], [True, "1", 1.5]),
        ({"type": "INTEGER", "nullable": True}, [1, None], ["1"]),
        ({"enum": ["a"], "nullable": True}, ["a", None], ["b"]),
        ({"type": "number"}, [1, 1.5], [True, "1", None]),
        ({"enum": ["a", 1]}, ["a", 1], ["b", True]),
        ({"const": "a"}, ["a"], ["b", None]),
        ({"type": "string", "minLength": 2, "pattern": "^u"}, ["ulm"], ["u", "bonn"]),
        ({"minimum": 1, "exclusiveMaximum": 3}, [1, 2.9, "a"], [0, 3]),
        ({"type": "array", "items": {"type": "string"}, "minItems": 1}, [["a"]], [[], [1]]),
        ({"prefixItems": [{"type": "string"}], "items": {"type": "null"}}, [["a"]], [["a", 1]]),
        ({"allOf": [{"type": "object"}, {"required": ["a"]}]}, [{"a": 1}], [{}, 1]),
        ({"type": "object", "additionalProperties": False}, [{}], [{"a": 1}]),
        ({"additionalProperties": {"type": "string"}}, [{"a": "b"}], [{"a": 1}]),
        ({"$ref": "#/$defs/node", "$defs": {"node": NODE}}, [{"next": None}], [{"next": {}}]),
        ({"pattern": "(?<no"}, ["a"], []),
        ({"type": "of another language", "unknown": 1}, [1, "a"], []),
        ({"$ref": "#/nowhere"}, [1], []),
    ],
)
def test_data_breaks_a_schema(schema, good, bad):
    assert not any(breaks_schema(value, schema) for value in good)
    assert all(breaks_schema(value, schema) for value in bad)


def test_numbers_and_truths_in_texts_fit_where_pydantic_reads_them():
    for kind, texts in (("integer", ["3"]), ("number", ["3.5"]), ("boolean", ["yes", 1])):
        for text in texts:
            assert not breaks_schema(text, {"type": kind}, lax=True)
            assert breaks_schema(text, {"type": kind})
    assert breaks_schema("large", {"type": "integer"}, lax=True)
    assert breaks_schema("3.5", {"type": "integer"}, lax=True)


def test_a_schema_that_refers_to_itself_ends():
    loop = {"$ref": "#"}
    assert not breaks_schema({"a": 1}, loop)
