"""CrewAI's guarded models under the list that every adapter must pass."""

from __future__ import annotations

from typing import Any, ClassVar

from adapters.adapter_body import Body
from adapters.adapter_conformance import KEPT, AdapterConformance
from crewai import BaseLLM
from pydantic import PrivateAttr

from crewai_toolops.llms import guard_llm
from toolops_plugins import Policy, Semantic


class Echo(BaseLLM):
    """A model with a body for threads and one for event loops, as a user would write it."""

    _body: Body = PrivateAttr()

    def call(self, messages: Any, tools: Any = None, callbacks: Any = None, **more: Any) -> Any:
        return self._body.answer(messages[-1]["content"])

    async def acall(
        self, messages: Any, tools: Any = None, callbacks: Any = None, **more: Any
    ) -> Any:
        return await self._body.aanswer(messages[-1]["content"])


class TestModel(AdapterConformance):
    lacks: ClassVar[dict[str, str]] = {
        "secret_argument": "a call of a model has no arguments of the user's own",
        "mutable": "an answer is a text",
        "arguments": "what a model has written may be read another time",
        "own_entries": "whatever text stands under its key may be its answer",
    }
    refused: ClassVar[tuple[Policy, ...]] = (KEPT.replace(semantic=Semantic(on="question")),)

    def original(self, body: Body, secret: str = "") -> Any:
        made = Echo(model="echo", api_key=secret)
        made._body = body
        return made

    def guard(self, original: Any, ops: Any, policy: Any) -> Any:
        return guard_llm(original, policy, ops=ops)

    def call(self, guarded: Any, text: str, thing: Any = None, **more: Any) -> Any:
        return guarded.call(*self.arguments_of(text, thing), **more)

    async def acall(self, guarded: Any, text: str, thing: Any = None, **more: Any) -> Any:
        return await guarded.acall(*self.arguments_of(text, thing), **more)

    def arguments_of(self, text: str, thing: Any) -> tuple[Any, Any]:
        tools = None if thing is None else [{"name": "thing", "default": thing}]
        return [{"role": "user", "content": text}], tools

    def text_of(self, answer: Any) -> str:
        assert type(answer) is str
        return answer

    def spoil(self, answer: Any) -> None:
        """Do nothing: a text cannot be changed."""
