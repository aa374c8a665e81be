"""Plain models, which answer prompts with text, behind a policy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.language_models.fake import FakeListLLM, FakeStreamingListLLM
from langchain_core.language_models.llms import LLM
from langchain_core.outputs import GenerationChunk, LLMResult
from langchain_openai import OpenAI
from openai_server import OpenAIServer
from pydantic import Field

from langchain_toolops import ModelPrices, aforget_answer, forget_answer, guard_llm
from toolops_plugins import Cache, CallEvent, ConfigurationError, Policy, Retry, ToolOps


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


@pytest.fixture
def events() -> list[CallEvent]:
    return []


@pytest.fixture
def ops(events: list[CallEvent]) -> Iterator[ToolOps]:
    with ToolOps(sinks=[events.append]) as ops:
        yield ops


@pytest.fixture
def model(server: OpenAIServer) -> Callable[..., Any]:
    def model(**options: Any) -> Any:
        given = {"base_url": server.url, "api_key": "key", "max_retries": 0, **options}
        return OpenAI(model="m", **given)

    return model


def prompts_of(server: OpenAIServer) -> list[Any]:
    """Return the prompts that reached the server, in order; each came alone."""
    asked = [body["prompt"] for body in server.requests]
    return [each if isinstance(each, str) else each[0] for each in asked]


async def _astream(m: Any, /, prompt: str, **options: Any) -> str:
    return "".join([chunk async for chunk in m.astream(prompt, **options)])


WAYS: dict[str, Callable[..., str]] = {
    "invoke": lambda m, /, prompt, **options: m.invoke(prompt, **options),
    "ainvoke": lambda m, /, prompt, **options: asyncio.run(m.ainvoke(prompt, **options)),
    "stream": lambda m, /, prompt, **options: "".join(m.stream(prompt, **options)),
    "astream": lambda m, /, prompt, **options: asyncio.run(_astream(m, prompt, **options)),
}


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_is_kept_every_way(way: str, ops, model, server, events) -> None:
    guarded = guard_llm(model(), ops=ops)
    assert isinstance(guarded, OpenAI)
    for _ in range(2):
        assert WAYS[way](guarded, "one two") == "one two"
    assert prompts_of(server) == ["one two"]
    assert [event.outcome for event in events] == ["miss", "hit"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "options", [{"stop": ["x"]}, {"temperature": 0.1}, {"model": "other"}, {"seed": 7}]
)
def test_each_parameter_of_a_call_counts(way: str, options, ops, model, server) -> None:
    guarded = guard_llm(model(), ops=ops)
    for given in ({}, options, options, {}):
        WAYS[way](guarded, "q", **given)
    assert len(server.requests) == 2
    for bound in (guarded.bind(**options), guarded.bind(**options)):
        bound.invoke("q")
    assert len(server.requests) == (2 if way in ("invoke", "ainvoke") else 3)


def test_each_prompt_of_a_batch_is_a_call(ops, model, server) -> None:
    guarded = guard_llm(model(), ops=ops)
    assert guarded.batch(["a", "b", "a", "c"]) == ["a", "b", "a", "c"]
    assert sorted(prompts_of(server)) == ["a", "b", "c"]
    assert asyncio.run(guarded.abatch(["c", "d"])) == ["c", "d"]
    assert guarded.invoke("d") == "d"
    assert sorted(prompts_of(server)) == ["a", "b", "c", "d"]
    assert guarded.batch([]) == []


def test_results_keep_their_type_and_their_tokens(ops, model) -> None:
    guarded = guard_llm(model(), ops=ops)
    first = guarded.generate(["one two", "three"])
    plain = model().generate(["one two", "three"])
    assert isinstance(first, LLMResult)
    assert first.flatten()[0].generations == plain.flatten()[0].generations
    assert first.llm_output == plain.llm_output
    again = asyncio.run(guarded.agenerate(["one two", "three"]))
    assert [each[0].text for each in again.generations] == ["one two", "three"]
    assert again.generations[0][0].generation_info["toolops"] == {"hit": True}
    assert again.generations[0][0].generation_info["finish_reason"] == "stop"
    assert set(again.llm_output["token_usage"].values()) == {0}
    kept = guard_llm(model(), ops=ops, usage_on_hit="keep").generate(["one two", "three"])
    assert kept.llm_output == plain.llm_output


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("reply", [{"content": "half", "finish_reason": "length"}, ""])
def test_half_answers_are_not_kept(way: str, reply, ops, model, server) -> None:
    server.reply = lambda body: reply
    guarded = guard_llm(model(), ops=ops)
    for _ in range(2):
        WAYS[way](guarded, "q")
    assert len(server.requests) == 2


def test_errors_are_tried_again(ops, model, server) -> None:
    replies = iter([{"status": 500}, "fine"])
    server.reply = lambda body: next(replies)
    guarded = guard_llm(model(), ops=ops, retry=Retry(attempts=2, base=0.001))
    assert guarded.invoke("q") == "fine"


def test_prices_and_fallbacks_are_over_results(ops, model, server, events) -> None:
    prices = ModelPrices({"m": (1_000_000.0, 1_000_000.0)})
    guarded = guard_llm(model(), Policy(cache=Cache(), price=prices, fallback="instead"), ops=ops)
    guarded.invoke("one two")
    assert events[-1].price == 4.0
    server.reply = lambda body: {"status": 500}
    assert guarded.invoke("other") == "instead"
    assert "".join(guarded.stream("other")) == "instead"


class _Own(LLM):
    """A plain model of a user's, with one method."""

    asked: Any = Field(exclude=True)  # no setting of the model

    @property
    def _llm_type(self) -> str:
        return "own"

    def _call(self, prompt: str, stop=None, run_manager=None, **kwargs: Any) -> str:
        self.asked.append(prompt)
        return prompt.upper()


@pytest.mark.parametrize("way", WAYS)
def test_a_class_with_one_method_is_guarded(way: str, ops) -> None:
    asked: list[str] = []
    guarded = guard_llm(_Own(asked=asked), Policy(cache=Cache()), ops=ops)
    for _ in range(2):
        assert WAYS[way](guarded, "q") == "Q"
    assert asked == ["q"]


class _Streaming(_Own):
    def _stream(self, prompt, stop=None, run_manager=None, **kwargs: Any) -> Any:
        self.asked.append(prompt)
        for letter in "abc":
            yield GenerationChunk(text=letter)
        yield GenerationChunk(text="", generation_info={"finish_reason": "stop"})


def test_streams_come_in_their_chunks(ops) -> None:
    asked: list[str] = []
    guarded = guard_llm(_Streaming(asked=asked), Policy(cache=Cache()), ops=ops)
    for _ in range(2):
        assert [chunk for chunk in guarded.stream("q") if chunk] == ["a", "b", "c"]
    assert asked == ["q"]


def test_fakes_are_guarded(ops) -> None:
    guarded = guard_llm(FakeListLLM(responses=["one", "two"]), Policy(cache=Cache()), ops=ops)
    assert guarded.invoke("q") == "one"
    assert guarded.invoke("q") in ("one", "two")  # a fake that counts in itself
    streaming = guard_llm(FakeStreamingListLLM(responses=["one"]), Policy(cache=Cache()), ops=ops)
    assert "".join(streaming.stream("q")) == "one"


def test_guarding_twice_is_refused(ops, model) -> None:
    with pytest.raises(ConfigurationError, match="already"):
        guard_llm(guard_llm(model(), ops=ops), ops=ops)


def test_one_answer_is_forgotten(ops, model, server) -> None:
    guarded = guard_llm(model(), ops=ops)
    for prompt in ("a", "b"):
        guarded.invoke(prompt, temperature=0.5)
        list(guarded.stream(prompt))
    forget_answer(guarded, "a", temperature=0.5)
    asyncio.run(aforget_answer(guarded, "b"))
    for prompt in ("a", "b"):
        guarded.invoke(prompt, temperature=0.5)
        list(guarded.stream(prompt))
    assert prompts_of(server) == ["a", "a", "b", "b", "a", "b"]
