"""Guard of a plain model, which answers prompts with text: its methods that reach the provider."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, cast

from langchain_core.language_models.llms import BaseLLM
from langchain_core.outputs import Generation, GenerationChunk, LLMResult

from langchain_toolops._codec_types import teach
from langchain_toolops._llm_answers import are_whole, content_of
from langchain_toolops._llm_identity import (
    is_outage,
    model_identity,
    model_name,
    request_identity,
)
from langchain_toolops._method_guard import MethodCall, MethodGuard
from langchain_toolops._other_retries import is_passing
from toolops_plugins import Policy, ToolOps
from toolops_plugins.adapters.answers import HIT
from toolops_plugins.adapters.fallback_answers import Substitute, no_answer
from toolops_plugins.adapters.finish_reasons import Ending
from toolops_plugins.adapters.invalid_answers import valid_or_not
from toolops_plugins.adapters.model_identity import identify
from toolops_plugins.adapters.policy_views import compare_by
from toolops_plugins.adapters.usage import zero_counts

__all__ = ["TextGuard"]

_AT_ONCE = 20
"""Prompts of one batch that are asked at once."""


class TextGuard(MethodGuard):
    """The guarded methods of one plain model, and what they share.

    Each prompt of a batch is a call of its own.

    Args:
        ops: The runtime.
        policy: The policy of the model's calls.
        model: The model, for its name.
        keeps_usage: Whether hits carry the token counts of the call that made them.

    Raises:
        ConfigurationError: The policy does not fit the runtime.
    """

    def __init__(self, ops: ToolOps, policy: Policy, model: BaseLLM, *, keeps_usage: bool) -> None:
        teach(ops.codec)
        super().__init__(
            ops, policy, model_name(model), is_outage, is_passing, kind="text_completion"
        )
        self._keeps_usage = keeps_usage
        policy = compare_by(self.policy, content_of)
        self.wrap_calls(policy, _is_whole)
        self.wrap_streams(policy, self._is_whole_stream)

    def _is_whole_stream(self, chunks: Any) -> bool:
        """Return whether the chunks of a stream are an answer, whose end was told."""
        ending = Ending(chunk.generation_info for chunk in chunks)
        if ending.is_open:
            self.warn_of_untold_end()
        return ending.may_be_kept(streamed=True) and any(chunk.text.strip() for chunk in chunks)

    def methods(self, kind: type[BaseLLM]) -> dict[str, Callable[..., Any]]:
        """Return the guarded methods of a model class, by name.

        A method that the class does not have by itself works by way of the others.
        """
        made: dict[str, Callable[..., Any]] = {"_generate": self._generate_of(kind)}
        for name, make in (
            ("_agenerate", self._agenerate_of),
            ("_stream", self._stream_of),
            ("_astream", self._astream_of),
        ):
            if getattr(kind, name) is not getattr(BaseLLM, name):
                made[name] = make(kind)
        return made

    def _generate_of(self, kind: type[BaseLLM]) -> Callable[..., LLMResult]:
        inner = kind._generate  # noqa: SLF001 - a method for model classes to write

        def _generate(
            model: Any, /, prompts: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> LLMResult:
            if self.is_active or not prompts:
                return inner(model, prompts, stop=stop, run_manager=run_manager, **kwargs)

            def ask(prompt: str, run: Any = None) -> LLMResult:
                method = partial(inner, model, [prompt], stop=stop, **kwargs)
                question = self.question(model, prompt, stop, kwargs)
                result: LLMResult = self.call_method(method, question, run)
                return result

            if len(prompts) == 1:
                return ask(prompts[0], run_manager)
            return _join(self.ops.map(ask, prompts, limit=_AT_ONCE))

        return _generate

    def _agenerate_of(self, kind: type[BaseLLM]) -> Callable[..., Any]:
        inner = kind._agenerate  # noqa: SLF001 - a method for model classes to write

        async def _agenerate(
            model: Any, /, prompts: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> LLMResult:
            if self.is_active or not prompts:
                return await inner(model, prompts, stop=stop, run_manager=run_manager, **kwargs)

            async def ask(prompt: str, run: Any = None) -> LLMResult:
                method = partial(inner, model, [prompt], stop=stop, **kwargs)
                question = self.question(model, prompt, stop, kwargs)
                result: LLMResult = await self.acall_method(method, question, run)
                return result

            if len(prompts) == 1:
                return await ask(prompts[0], run_manager)
            return _join(await self.ops.gather(*map(ask, prompts), limit=_AT_ONCE))

        return _agenerate

    def _stream_of(self, kind: type[BaseLLM]) -> Callable[..., Any]:
        inner = kind._stream  # noqa: SLF001 - a method for model classes to write

        def _stream(
            model: Any, /, prompt: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> Iterator[GenerationChunk]:
            method = partial(inner, model, prompt, stop=stop, **kwargs)
            if self.is_active:
                yield from method(run_manager=run_manager)
                return
            question = self.question(model, prompt, stop, kwargs)
            yield from self.read_method(method, question, run_manager)

        return _stream

    def _astream_of(self, kind: type[BaseLLM]) -> Callable[..., Any]:
        inner = kind._astream  # noqa: SLF001 - a method for model classes to write

        async def _astream(
            model: Any, /, prompt: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> AsyncIterator[GenerationChunk]:
            method = partial(inner, model, prompt, stop=stop, **kwargs)
            if self.is_active:
                async for chunk in method(run_manager=run_manager):
                    yield chunk
                return
            question = self.question(model, prompt, stop, kwargs)
            async with aclosing(self.aread_method(method, question, run_manager)) as chunks:
                async for chunk in chunks:
                    yield chunk

        return _astream

    def question(
        self, model: BaseLLM, prompt: str, stop: Any, kwargs: Mapping[str, Any]
    ) -> tuple[str, Any]:
        """Return the prompt, and everything else that the answer depends on."""

        def make() -> tuple[str, Any]:
            live = self.live_values()
            given = live.arguments_of(type(model), kwargs, request_identity)
            return prompt, ["text", model_identity(model, live), stop, given]

        return identify(make)

    def _result(self, answer: Any, own: MethodCall) -> LLMResult | None:
        """Return an answer of the runtime as a result, or None if it is none of ours."""
        answer = valid_or_not(answer)
        if type(answer) is Substitute:
            return _result_of(answer.value)
        if type(answer) is not LLMResult or len(answer.generations) != 1:
            return None
        if answer is own.result:
            return cast("LLMResult", answer)
        for generation in answer.generations[0]:
            self._mark(generation)
        if not self._keeps_usage:
            zero_counts(answer.llm_output)
        return answer

    def _chunk(self, item: Any, own: MethodCall, *, first: bool) -> GenerationChunk | None:
        """Return an item of the runtime as a chunk, or None if it is none of ours."""
        if type(item) is Substitute:
            return GenerationChunk(text=_text_of(item.value))
        if not isinstance(item, GenerationChunk):
            return None
        if first and not own.has_begun:
            self._mark(item)
        elif not own.has_begun and not self._keeps_usage:
            zero_counts(item.generation_info)
        return item

    def _mark(self, generation: Generation) -> None:
        info = dict(generation.generation_info or {})
        if not self._keeps_usage:
            zero_counts(info)
        generation.generation_info = {**info, "toolops": dict(HIT)}


def _join(results: Sequence[LLMResult]) -> LLMResult:
    """Return the results of several prompts as that of a batch, with their tokens added up."""
    outputs = [each.llm_output for each in results if each.llm_output]
    whole: dict[str, Any] = {}
    for output in outputs:
        whole.update(output)
    usages = [output.get("token_usage") for output in outputs]
    counts = [usage for usage in usages if isinstance(usage, dict)]
    if counts:
        whole["token_usage"] = {
            name: sum(usage[name] for usage in counts if isinstance(usage.get(name), int))
            for usage in counts
            for name in usage
            if isinstance(usage[name], int)
        }
    generations = [each for result in results for each in result.generations]
    return LLMResult(generations=generations, llm_output=whole or None)


def _is_whole(result: Any) -> bool:
    return isinstance(result, LLMResult) and all(map(are_whole, result.generations))


def _result_of(value: Any) -> LLMResult:
    if isinstance(value, LLMResult) and len(value.generations) == 1:
        return value
    generation = value if isinstance(value, Generation) else Generation(text=_text_of(value))
    return LLMResult(generations=[[generation]])


def _text_of(value: Any) -> str:
    """Return the text of what a fallback offers.

    Raises:
        ConfigurationError: It is no answer.
    """
    if isinstance(value, LLMResult) and value.generations and value.generations[0]:
        value = value.generations[0][0]
    text = value.text if isinstance(value, Generation) else value
    if not isinstance(text, str):
        raise no_answer(value, "a text, a Generation or an LLMResult")
    return text
