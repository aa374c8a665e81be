"""Users' keywords and CrewAI's guarded objects, by the conformance list of all adapters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from adapters.adapter_keywords import KeywordConformance, Seen, ToolKeywordConformance
from crewai.llms.base_llm import BaseLLM
from crewai.tools import BaseTool
from crewai.tools import tool as make_tool
from crewai.tools.structured_tool import CrewStructuredTool
from pydantic import ConfigDict, PrivateAttr, create_model

import crewai_toolops
from crewai_toolops import ToolOpsMixin, guard_llm, wrap_tool
from toolops_plugins import Cache, Policy, ToolOps


class Noting(BaseLLM):
    """A model that notes the keywords of each call."""

    _seen: Any = PrivateAttr()

    def call(self, messages: Any, **kwargs: Any) -> str:
        self._seen.append(kwargs)
        return "fine"

    async def acall(self, messages: Any, **kwargs: Any) -> str:
        return self.call(messages, **kwargs)


class NotingPrompt(Noting):
    """As above, with a name of its own for what it is asked."""

    def call(self, prompt: Any, **kwargs: Any) -> str:
        self._seen.append(kwargs)
        return "fine"

    async def acall(self, prompt: Any, **kwargs: Any) -> str:
        return self.call(prompt, **kwargs)


class TestModel(KeywordConformance):
    package = crewai_toolops
    ways: ClassVar[Mapping[str, Callable[..., Any]]] = {
        "call": lambda model, given: model.call("q", **given),
        "acall": lambda model, given: model.acall("q", **given),
    }
    kind: ClassVar[type[Noting]] = Noting
    # What a call is watched by.
    uncounted = frozenset(("callbacks", "from_agent", "from_task", "available_functions"))

    def original(self, seen: Seen) -> Noting:
        made = self.kind(model="noting")
        made._seen = seen
        return made

    def guard(self, original: Any, ops: ToolOps, policy: Policy) -> Any:
        return guard_llm(original, policy, ops=ops)


class TestPromptModel(TestModel):
    kind = NotingPrompt

    def test_a_keyword_called_messages_does_not_hide_the_prompt(self, ops) -> None:
        seen: Seen = []
        guarded = self.guard(self.original(seen), ops, Policy(cache=Cache(ttl=60.0)))
        for prompt, messages in (("a", "1"), ("b", "1"), ("b", "2"), ("b", "2")):
            guarded.call(prompt, messages=messages)
        assert seen == [{"messages": "1"}, {"messages": "1"}, {"messages": "2"}]


class TestTool(ToolKeywordConformance):
    """Tools of functions."""

    package = crewai_toolops
    ways: ClassVar[Mapping[str, Callable[..., Any]]] = {
        "run": lambda tool, given: tool.run(**given),
        "a model's call": lambda tool, given: tool.to_structured_tool().invoke(given),
        "a model's awaited call": lambda tool, given: tool.to_structured_tool().ainvoke(given),
    }

    def original(self, seen: Seen) -> BaseTool:
        def find(**anything: Any) -> str:
            """Find."""
            seen.append(anything)
            return str(anything)

        made = make_tool(find)
        made.args_schema = create_model("Anything", __config__=ConfigDict(extra="allow"))
        return made

    def guard(self, original: Any, ops: ToolOps, policy: Policy) -> Any:
        return wrap_tool(original, policy, ops=ops, on_error="raise")

    def tool(self, function: Callable[..., Any]) -> BaseTool:
        return make_tool(function)


class TestStructuredTool(TestTool):
    ways: ClassVar[Mapping[str, Callable[..., Any]]] = {
        "invoke": lambda tool, given: tool.invoke(given),
        "ainvoke": lambda tool, given: tool.ainvoke(given),
    }

    def original(self, seen: Seen) -> Any:
        def find(**anything: Any) -> str:
            """Find."""
            seen.append(anything)
            return str(anything)

        schema = create_model("Anything", __config__=ConfigDict(extra="allow"))
        return CrewStructuredTool.from_function(find, args_schema=schema)

    def tool(self, function: Callable[..., Any]) -> Any:
        return CrewStructuredTool.from_function(function)


class _Find(BaseTool):
    name: str = "find"
    description: str = "Find."
    _function: Any = PrivateAttr()

    def _run(self, /, **given: Any) -> str:
        return str(self._function(**given))


class TestToolClass(TestTool):
    kind: ClassVar[type[BaseTool]] = _Find

    def original(self, seen: Seen) -> Any:
        def find(**anything: Any) -> str:
            seen.append(anything)
            return str(anything)

        return self.tool(find)

    def tool(self, function: Callable[..., Any]) -> Any:
        schema = create_model("Anything", __config__=ConfigDict(extra="allow"))
        made = self.kind(args_schema=schema)
        made._function = function
        return made


class TestToolOfMixin(TestToolClass):
    def guard(self, original: Any, ops: ToolOps, policy: Policy) -> Any:
        class Find(ToolOpsMixin, _Find):
            toolops_ops = ops
            toolops_policy = policy
            toolops_on_error = "raise"

        made = Find(args_schema=original.args_schema)
        made._function = original._function
        return made
