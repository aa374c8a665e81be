"""The key of a model call besides the conversation."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents.structured_output import AutoStrategy, ProviderStrategy, ToolStrategy
from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import StructuredTool, tool
from pydantic import BaseModel, Field, PrivateAttr

from langchain_toolops import _agent_identity
from langchain_toolops._agent_identity import (
    format_identity,
    tool_identity,
)
from langchain_toolops._llm_identity import is_outage, model_identity, model_name
from toolops_plugins.adapters.live_values import LiveValues
from toolops_plugins.adapters.model_policy import may_pass
from toolops_plugins.errors import NotCanonicalError
from toolops_plugins.keys.canonical import Canon


def key(value: Any) -> bytes:
    return Canon().encode(value)


def identity(model: Any) -> Any:
    return model_identity(model, LiveValues(Canon(), lambda place: None))


class Plain(BaseChatModel):
    """A model of a user's own."""

    @property
    def _llm_type(self) -> str:
        return "plain"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("hi"))])


class Routing(Plain):
    """Has another model inside."""

    inner: Any


class Private(Plain):
    """Tells by LangChain's own name for it what its instances keep elsewhere."""

    _tone: str = PrivateAttr(default="kind")

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"tone": self._tone}


class Told(Routing):
    """Says for itself what tells its instances apart."""

    def __toolops_key__(self) -> str:
        return self.inner.name


def test_equal_models_have_one_identity_in_any_process(chat):
    assert key(identity(chat())) == key(identity(chat()))
    assert b" at 0x" not in key(identity(chat()))


def test_what_is_bound_to_a_model_is_part_of_it(chat):
    keys = {key(identity(chat().bind(**kw))) for kw in ({}, {"seed": 1}, {"seed": 2})}
    assert len(keys) == 3


def test_a_model_inside_another_is_part_of_it(chat):
    keys = {key(identity(Routing(inner=chat(model=name)))) for name in ("a", "b", "a")}
    assert len(keys) == 2


def test_what_a_model_keeps_elsewhere_counts_where_it_says_so():
    model, other = Private(), Private()
    other._tone = "curt"
    assert key(identity(model)) != key(identity(other))


class Hidden(Plain):
    """Keeps what it is where no dump shows it."""

    region: str = Field(default="east", exclude=True)
    client: Any = Field(default=None, exclude=True)
    _tone: Any = PrivateAttr(default=None)
    _client: Any = PrivateAttr(default=None)


def test_texts_and_numbers_count_wherever_a_model_keeps_them():
    models = [Hidden(), Hidden(region="west"), Hidden(), Hidden(), Hidden(client=object())]
    models[2]._tone, models[3]._tone, models[4]._client = "curt", 0.5, object()
    keys = [key(identity(model)) for model in models]
    assert len(set(keys)) == 4
    assert keys[4] == keys[0]


def test_a_class_may_say_for_itself_what_tells_its_instances_apart():
    class Handle:
        name = "a"

    assert key(identity(Told(inner=Handle()))) == key(identity(Told(inner=Handle())))


@pytest.mark.parametrize(
    "make",
    [
        lambda chat: Routing(inner=object()),
        # Its configuration names no model, as LangChain says.
        lambda chat: init_chat_model(configurable_fields=("model",)),
        lambda chat: chat().with_listeners(on_end=print),  # it is configured by a function
    ],
)
def test_what_has_no_canonical_form_has_no_key(chat, make):
    with pytest.raises((NotCanonicalError, TypeError)):
        key(identity(make(chat)))


def test_a_model_is_counted_under_provider_and_name(chat):
    assert model_name(chat()) == "openai:gpt-test"
    assert model_name(FakeListChatModel(responses=["hi"])) == "FakeListChatModel"
    assert model_name(object()) == "object"


def test_a_tool_is_what_a_model_is_told_of_it():
    def add(a: int) -> int:
        """Add."""
        return a

    made = tool(add)
    before = key(tool_identity(made))
    made.description = "Add, slowly."
    assert key(tool_identity(made)) != before
    builtin = {"type": "web_search"}
    assert tool_identity(builtin) == builtin
    assert tool_identity(add)["function"]["name"] == "add"


def test_a_tool_of_a_json_schema_is_known_by_it():
    def make(kind):
        schema = {"title": "add", "type": "object", "properties": {"a": {"type": kind}}}
        return StructuredTool.from_function(
            lambda a: a, name="add", description="Add.", args_schema=schema
        )

    assert key(tool_identity(make("integer"))) == key(tool_identity(make("integer")))
    assert key(tool_identity(make("integer"))) != key(tool_identity(make("number")))


def test_a_name_made_at_random_is_no_part_of_a_key():
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    for strategy in (ToolStrategy, AutoStrategy, lambda schema: schema):
        with pytest.raises(NotCanonicalError):
            format_identity(strategy(schema))
    once, again = (key(format_identity(ProviderStrategy(schema))) for _ in "12")
    assert once == again


def test_a_schema_is_known_by_its_fields_in_every_strategy():
    def schema(kind: type) -> type[BaseModel]:
        class Found(BaseModel):
            value: kind

        return Found

    ways = (ToolStrategy, ProviderStrategy, AutoStrategy)
    keys = [key(format_identity(way(schema(kind)))) for way in ways for kind in (int, str, int)]
    assert len(set(keys)) == 6
    assert key(format_identity(schema(int))) == key(format_identity(AutoStrategy(schema(int))))
    assert format_identity(None) is None


def test_the_schemas_that_are_remembered_are_bounded():
    for number in range(_agent_identity._SCHEMAS + 10):
        format_identity(type(f"Schema{number}", (BaseModel,), {}))
    assert len(_agent_identity._schemas) == _agent_identity._SCHEMAS


class SdkError(Exception):
    """As those of providers' clients are."""

    def __init__(self, status_code: Any) -> None:
        self.status_code = status_code


def test_an_error_that_may_pass_is_told_by_its_status():
    for status in (400, 401, 403, 404, 422):
        assert not may_pass(SdkError(status))
        assert not is_outage(SdkError(status))
    for status in (408, 409, 425, 429, 500, 503, None, "400"):
        assert may_pass(SdkError(status))
        assert is_outage(SdkError(status))
    assert may_pass(ConnectionError())
