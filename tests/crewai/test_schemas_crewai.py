"""Structured output of CrewAI's models, by the conformance list of all adapters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any, ClassVar

import crewai
from adapters.adapter_schemas import SchemaConformance
from crewai.utilities.converter import Converter, get_conversion_instructions

from crewai_toolops import guard_llm
from toolops_plugins import ToolOps

from .conftest import TextLLM

QUESTION = "Tell me of Ulm."
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "streaming": {"stream": True},
    "responses": {"api": "responses"},
    "responses streaming": {"api": "responses", "stream": True},
}


def call(llm: Any, kind: Any) -> Any:
    return llm.call(QUESTION, response_model=kind)


def acall(llm: Any, kind: Any) -> Any:
    return asyncio.run(llm.acall(QUESTION, response_model=kind))


def convert(llm: Any, kind: Any) -> Any:
    instructions = get_conversion_instructions(kind, llm)
    converter = Converter(
        llm=llm, text=QUESTION, model=kind, instructions=instructions, max_attempts=1
    )
    return converter.to_pydantic()


def make_ways() -> dict[str, Any]:
    """Return each way to ask a model of each kind."""

    def make(options: Any, how: Any, url: str, ops: ToolOps, kind: Any) -> Any:
        given = {"model": "gpt-4o-mini", "api_key": "sk-test", "max_retries": 0, **options}
        return partial(how, guard_llm(crewai.LLM(base_url=url, **given), ops=ops), kind)

    def make_with_format(url: str, ops: ToolOps, kind: Any) -> Any:
        llm = crewai.LLM(
            model="gpt-4o-mini",
            api_key="sk-test",
            max_retries=0,
            base_url=url,
            response_format=kind,
        )
        return partial(guard_llm(llm, ops=ops).call, QUESTION)

    def make_text(url: str, ops: ToolOps, kind: Any) -> Any:
        llm = TextLLM(model="gpt-4o-mini", api_key="sk-test", max_retries=0, base_url=url)
        return partial(convert, guard_llm(llm, ops=ops), kind)

    made: dict[str, Any] = {"response_format": make_with_format, "converter, text": make_text}
    for (name, options), how in product(OPTIONS.items(), (call, acall)):
        made[f"{name}, {how.__name__}"] = partial(make, options, how)
    made["converter"] = partial(make, {}, convert)
    return made


class TestStructuredOutput(SchemaConformance):
    ways: ClassVar[dict[str, Callable[..., Any]]] = make_ways()
    unread: ClassVar[frozenset[str]] = frozenset(("converter, text",))
