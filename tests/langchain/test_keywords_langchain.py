"""Users' keywords and LangChain's guarded objects, by the conformance list of all adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, ClassVar

from adapters.adapter_keywords import KeywordConformance, Seen, ToolKeywordConformance
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, ToolCall, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import BaseTool, StructuredTool
from openai_server import OpenAIServer
from pydantic import Field

import langchain_toolops
from langchain_toolops import ToolOpsMiddleware, guard_llm, guard_model, wrap_tool
from toolops_plugins import Policy, ToolOps


class Noting(BaseChatModel):
    """A model that notes the keywords of each call."""

    seen: Any = Field(exclude=True)  # a list, which pydantic would copy

    @property
    def _llm_type(self) -> str:
        return "noting"

    def bind_tools(self, tools: Any, /, **kwargs: Any) -> Any:
        return self.bind(tools=tools, **kwargs)

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        self.seen.append(kwargs)
        message = AIMessage("fine", response_metadata={"finish_reason": "stop"})
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        return self._generate(messages, **kwargs)

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        self.seen.append(kwargs)
        last = {"finish_reason": "stop"}
        for chunk in (
            AIMessageChunk(content="fine"),
            AIMessageChunk(content="", response_metadata=last),
        ):
            yield ChatGenerationChunk(message=chunk)

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages, **kwargs):
            yield chunk


async def _astream(model: Any, given: dict[str, Any]) -> None:
    async for _ in model.astream("q", **given):
        pass


class TestModel(KeywordConformance):
    package = langchain_toolops
    ways: ClassVar[Mapping[str, Callable[..., Any]]] = {
        "invoke": lambda model, given: model.invoke("q", **given),
        "ainvoke": lambda model, given: model.ainvoke("q", **given),
        "stream": lambda model, given: list(model.stream("q", **given)),
        "astream": _astream,
        "batch": lambda model, given: model.batch(["q"], **given),
        "abatch": lambda model, given: model.abatch(["q"], **given),
        "generate": lambda model, given: model.generate([[AIMessage("q")]], **given),
        "bind": lambda model, given: model.bind(**given).invoke("q"),
        "bind_tools": lambda model, given: model.bind_tools([], **given).invoke("q"),
    }

    def original(self, seen: Seen) -> Noting:
        return Noting(seen=seen)

    def guard(self, original: Any, ops: ToolOps, policy: Policy) -> Any:
        return guard_llm(original, policy, ops=ops)


class _Settings(AgentMiddleware[Any, Any, Any]):
    """Puts keywords into the settings of each model call."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__()
        self.given = given

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return handler(request.override(model_settings=self.given))

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        return await handler(request.override(model_settings=self.given))


def _agent(subject: Any, given: dict[str, Any]) -> Any:
    model, *middleware = subject
    return create_agent(model, middleware=[_Settings(given), *middleware])


_ASKED = {"messages": [("user", "q")]}


class TestAgent(KeywordConformance):
    package = langchain_toolops
    ways: ClassVar[Mapping[str, Callable[..., Any]]] = {
        "invoke": lambda subject, given: _agent(subject, given).invoke(_ASKED),
        "ainvoke": lambda subject, given: _agent(subject, given).ainvoke(_ASKED),
    }

    def original(self, seen: Seen) -> Any:
        return (Noting(seen=seen),)

    def guard(self, original: Any, ops: ToolOps, policy: Policy) -> Any:
        return (*original, ToolOpsMiddleware(ops, model=policy))


def _call(given: dict[str, Any], name: str = "find") -> ToolCall:
    return ToolCall(name=name, args=given, id="1", type="tool_call")


class TestTool(ToolKeywordConformance):
    package = langchain_toolops
    ways: ClassVar[Mapping[str, Callable[..., Any]]] = {
        "invoke": lambda tool, given: tool.invoke(given),
        "ainvoke": lambda tool, given: tool.ainvoke(given),
        "a model's call": lambda tool, given: tool.invoke(_call(given)),
    }

    def original(self, seen: Seen) -> StructuredTool:
        def find(**anything: Any) -> str:
            seen.append(anything)
            return str(anything)

        schema = {"type": "object", "properties": {}}
        return StructuredTool.from_function(
            find, name="find", description="Find.", args_schema=schema
        )

    def guard(self, original: Any, ops: ToolOps, policy: Policy) -> Any:
        return wrap_tool(original, policy, ops=ops)

    def tool(self, function: Callable[..., Any]) -> StructuredTool:
        return StructuredTool.from_function(function)


class _Find(BaseTool):
    name: str = "find"
    description: str = "Find."
    seen: Any = Field(exclude=True)  # a list, which pydantic would copy

    def _run(self, /, **anything: Any) -> str:
        self.seen.append(anything)
        return str(anything)


class _FindBy(_Find):
    function: Any = None

    def _run(self, /, **anything: Any) -> str:
        return str(self.function(**anything))


class TestToolClass(TestTool):
    def original(self, seen: Seen) -> _Find:
        return _Find(seen=seen, args_schema={"type": "object", "properties": {}})

    def tool(self, function: Callable[..., Any]) -> _FindBy:
        schema = {"type": "object", "properties": {n: {} for n in function.__annotations__}}
        return _FindBy(seen=[], function=function, args_schema=schema)


class _Script(BaseChatModel):
    """A model that calls the tool once with some arguments, and is done."""

    call: Any

    @property
    def _llm_type(self) -> str:
        return "script"

    def bind_tools(self, tools: Any, /, **kwargs: Any) -> Any:
        return self

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        done = isinstance(messages[-1], ToolMessage)
        message = AIMessage("done" if done else "", tool_calls=[] if done else [self.call])
        return ChatResult(generations=[ChatGeneration(message=message)])


def _agent_with(subject: Any, given: dict[str, Any]) -> Any:
    tool, *middleware = subject
    return create_agent(_Script(call=_call(given, tool.name)), tools=[tool], middleware=middleware)


class TestToolOfAgent(TestTool):
    """Tools of an agent, guarded by its middleware."""

    ways: ClassVar[Mapping[str, Callable[..., Any]]] = {
        "invoke": lambda subject, given: _agent_with(subject, given).invoke(_ASKED),
        "ainvoke": lambda subject, given: _agent_with(subject, given).ainvoke(_ASKED),
    }

    def original(self, seen: Seen) -> Any:
        return (super().original(seen),)

    def guard(self, original: Any, ops: ToolOps, policy: Policy) -> Any:
        return (*original, ToolOpsMiddleware(ops, model=None, tools=policy))

    def tool(self, function: Callable[..., Any]) -> Any:
        return (super().tool(function),)


def test_a_model_given_with_the_call_is_another_model() -> None:
    from langchain_openai import ChatOpenAI

    with OpenAIServer() as server, ToolOps() as ops:
        server.reply = lambda body: body["model"]
        model = ChatOpenAI(model="a", base_url=server.url, api_key="key", max_retries=0)
        guarded = guard_model(model, ops)
        for _ in range(2):
            assert guarded.invoke("q").text == "a"
            assert guarded.invoke("q", model="b").text == "b"
            assert guarded.bind(model="c").invoke("q").text == "c"
            assert "".join(chunk.text for chunk in guarded.stream("q", model="d")) == "d"
            assert [each.text for each in guarded.batch(["q"], model="e")] == ["e"]
        assert [body["model"] for body in server.requests] == ["a", "b", "c", "d", "e"]
