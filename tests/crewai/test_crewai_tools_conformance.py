"""CrewAI's guarded tools under the list that every adapter must pass."""

from __future__ import annotations

from typing import Any, ClassVar

from adapters.adapter_body import Body
from adapters.adapter_conformance import AdapterConformance, Sharing
from crewai.tools import BaseTool, tool
from pydantic import PrivateAttr

from crewai_toolops.mixin import ToolOpsMixin
from crewai_toolops.tools import wrap_tool

_ANY = "whatever stands under its key may be the result of a tool"


class Echo(BaseTool):
    """A tool with a body for threads and one for event loops."""

    name: str = "echo"
    description: str = "Echo."
    api_key: str = ""
    _body: Body = PrivateAttr()

    def _run(self, text: str, thing: Any = None, api_key: str = "") -> dict[str, Any]:
        return {"said": self._body.answer(text), "more": [1]}

    async def _arun(self, text: str, thing: Any = None, api_key: str = "") -> dict[str, Any]:
        return {"said": await self._body.aanswer(text), "more": [1]}


class Reading(Echo):
    """And one whose result can be read once."""

    def _run(self, text: str, thing: Any = None, api_key: str = "") -> Any:
        return iter(self._body.answer(text))

    async def _arun(self, text: str, thing: Any = None, api_key: str = "") -> Any:
        return iter(await self._body.aanswer(text))


class TestTool(AdapterConformance):
    lacks: ClassVar[dict[str, str]] = {"own_entries": _ANY, "own_fallback": _ANY}

    def original(self, body: Body, secret: str = "") -> Any:
        made = Echo(api_key=secret)
        made._body = body
        return made

    def single_use(self, body: Body) -> Any:
        made = Reading()
        made._body = body
        return made

    def read(self, answer: Any) -> str:
        return "".join(answer)

    def guard(self, original: Any, ops: Any, policy: Any) -> Any:
        return wrap_tool(original, policy, ops=ops, on_error="raise")

    def call(self, guarded: Any, text: str, **more: Any) -> Any:
        return guarded.run(text=text, **more)

    async def acall(self, guarded: Any, text: str, **more: Any) -> Any:
        return await guarded.arun(text=text, **more)

    def text_of(self, answer: Any) -> str:
        return answer["said"]

    def spoil(self, answer: Any) -> None:
        answer["said"] = "spoilt"
        answer["more"].append(2)

    def fallback(self) -> Any:
        return {"said": "instead"}


class TestMixin(TestTool):
    lacks: ClassVar[dict[str, str]] = {
        "own_entries": _ANY,
        "own_fallback": _ANY,
        "original": "the tool is the original, and its class says what is asked of it",
        "once": "the tool is the original, and its class says what is asked of it",
    }

    def guard(self, original: Any, ops: Any, policy: Any) -> Any:
        settings = {
            # As if it were written once, in a module.
            "__module__": Echo.__module__,
            "__qualname__": Echo.__qualname__,
            "toolops_ops": ops,
            "toolops_policy": policy,
            "toolops_on_error": "raise",
        }
        made = type("Echo", (ToolOpsMixin, Echo), settings)(api_key=original.api_key)
        made._body = original._body
        return made


class TestFunction(TestTool):
    only = Sharing
    ways: ClassVar[tuple[str, ...]] = ("sync",)

    def original(self, body: Body, secret: str = "") -> Any:
        def echo(text: str, thing: Any = None, api_key: str = secret) -> dict[str, Any]:
            """Echo."""
            return {"said": body.answer(text), "more": [1]}

        return tool(echo)

    def guard(self, original: Any, ops: Any, policy: Any) -> Any:
        # Each original is another closure, so that they share by the name that they are given.
        return wrap_tool(original, policy, ops=ops, name="echo", on_error="raise")


class TestStructured(TestFunction):
    def original(self, body: Body, secret: str = "") -> Any:
        return super().original(body, secret).to_structured_tool()

    def call(self, guarded: Any, text: str, **more: Any) -> Any:
        return guarded.invoke({"text": text, **more})


class TestCoroutine(TestFunction):
    ways: ClassVar[tuple[str, ...]] = ("async",)

    def original(self, body: Body, secret: str = "") -> Any:
        async def echo(text: str, thing: Any = None, api_key: str = secret) -> dict[str, Any]:
            """Echo."""
            return {"said": await body.aanswer(text), "more": [1]}

        return tool(echo)
