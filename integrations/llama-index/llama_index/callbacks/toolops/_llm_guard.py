"""Guard of a model: its eight endpoints, each as a wrapped function.

Everything that LlamaIndex asks of a model ends in these eight, and a model may make one of them by
another: ``CustomLLM.achat`` is its ``chat``, which is its ``complete``. The provider is asked
through a view of the model. That is an instance of the model's own class that shares all state with
the guarded one, so a call that begins inside another never comes back to the guard, and a change in
one of them is a change in both.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping
from contextlib import aclosing, closing
from functools import partial
from typing import Any

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse
from llama_index.core.llms.llm import LLM
from pydantic import BaseModel

from llama_index.callbacks.toolops._codec_types import teach
from llama_index.callbacks.toolops._llm_answers import Response, content_of, is_whole, mark_hit
from llama_index.callbacks.toolops._llm_call import EndpointCall, Reader, report_hit, response_of
from llama_index.callbacks.toolops._llm_chunks import Piece, join_pieces, teach_chunks
from llama_index.callbacks.toolops._llm_conversation import question_of
from llama_index.callbacks.toolops._llm_identity import (
    identity_memo,
    model_identity,
    model_name,
    prompt_identity,
    request_identity,
)
from llama_index.callbacks.toolops._llm_policy import is_whole_stream, stream_policy
from llama_index.callbacks.toolops._llm_schema import (
    call_schema,
    output_class,
    output_methods,
)
from llama_index.callbacks.toolops._other_retries import is_passing
from llama_index.callbacks.toolops.prices import model_of, usage_of
from toolops_plugins import Policy, ToolOps
from toolops_plugins.adapters.answer_schema import AnswerSchema
from toolops_plugins.adapters.call_ids import CallIds
from toolops_plugins.adapters.fallback_answers import Substitute
from toolops_plugins.adapters.invalid_answers import InvalidAnswer, valid_or_not
from toolops_plugins.adapters.model_costs import Reading
from toolops_plugins.adapters.model_guard import ModelGuard, aread_within, read_within
from toolops_plugins.adapters.model_identity import identify
from toolops_plugins.adapters.outcomes import CallOutcome, capture_outcome
from toolops_plugins.adapters.policy_views import compare_by
from toolops_plugins.adapters.pydantic_state import view_of

__all__ = ["LLMGuard"]


class LLMGuard(ModelGuard):
    """The guarded endpoints of one model, and what they share.

    Args:
        ops: The runtime.
        policy: The policy of the model's calls.
        llm: The model, for its name and class.
        after_tools: Whether a call that ends in tool results has a question.
        keeps_usage: Whether hits carry the token counts of the call that made them.

    Raises:
        ConfigurationError: The policy does not fit the runtime.
    """

    def __init__(
        self, ops: ToolOps, policy: Policy, llm: LLM, *, after_tools: bool, keeps_usage: bool
    ) -> None:
        teach(ops.codec)
        teach_chunks(ops.codec)
        super().__init__(ops, policy, model_name(llm), is_passing=is_passing)
        self._kind = type(llm)
        self._after_tools = after_tools
        self._keeps_usage = keeps_usage
        self._identities = identity_memo(ops)
        self.wrap_calls(compare_by(self.policy, content_of), _is_whole)
        self.wrap_streams(
            stream_policy(self.policy), partial(is_whole_stream, warn=self.warn_of_untold_end)
        )

    def read_answer(self, answer: Any) -> Reading:
        """Return what an answer says about the model that made it."""
        if isinstance(answer, list) and all(type(item) is Piece for item in answer):
            answer = list(join_pieces(answer))
        return Reading(model_of(answer), usage_of(answer))

    def endpoints(self) -> dict[str, Callable[..., Any]]:
        """Return the methods that stand in place of the model's own, by name."""

        def chat(llm: Any, /, messages: Any, **kwargs: Any) -> Any:
            return self._answer(self._chat(llm, "chat", messages, kwargs))

        async def achat(llm: Any, /, messages: Any, **kwargs: Any) -> Any:
            return await self._aanswer(self._chat(llm, "achat", messages, kwargs))

        def stream_chat(llm: Any, /, messages: Any, **kwargs: Any) -> Any:
            own = self._chat(llm, "stream_chat", messages, kwargs)
            return self._read(own.question(), own)

        async def astream_chat(llm: Any, /, messages: Any, **kwargs: Any) -> Any:
            own = self._chat(llm, "astream_chat", messages, kwargs)
            return self._aread(await own.aquestion(), own)

        def complete(llm: Any, /, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - LlamaIndex says so
            return self._answer(self._completion(llm, "complete", prompt, formatted, kwargs))

        async def acomplete(
            llm: Any,
            /,
            prompt: str,
            formatted: bool = False,  # noqa: FBT001, FBT002 - as above
            **kwargs: Any,
        ) -> Any:
            own = self._completion(llm, "acomplete", prompt, formatted, kwargs)
            return await self._aanswer(own)

        def stream_complete(
            llm: Any,
            /,
            prompt: str,
            formatted: bool = False,  # noqa: FBT001, FBT002 - as above
            **kwargs: Any,
        ) -> Any:
            own = self._completion(llm, "stream_complete", prompt, formatted, kwargs)
            return self._read(own.question(), own)

        async def astream_complete(
            llm: Any,
            /,
            prompt: str,
            formatted: bool = False,  # noqa: FBT001, FBT002 - as above
            **kwargs: Any,
        ) -> Any:
            own = self._completion(llm, "astream_complete", prompt, formatted, kwargs)
            return self._aread(own.question(), own)

        chats: list[Any] = [chat, achat, stream_chat, astream_chat]
        made = output_methods(self._kind)
        for each in (*chats, complete, acomplete, stream_complete, astream_complete):
            made[each.__name__] = each
        for name, function in made.items():
            function.__qualname__ = f"{self._kind.__qualname__}.{name}"
            function.__module__ = self._kind.__module__
            function.__doc__ = getattr(self._kind, name).__doc__
        return made

    # -- calls -----------------------------------------------------------------------------------

    def call_of(self, llm: Any, given: Any, kwargs: Mapping[str, Any]) -> EndpointCall:
        """Return the call of ``complete`` with a prompt, or of ``chat`` with messages."""
        if isinstance(given, str):
            rest = dict(kwargs)
            return self._completion(llm, "complete", given, rest.pop("formatted", False), rest)
        return self._chat(llm, "chat", given, kwargs)

    def _chat(self, llm: Any, name: str, messages: Any, kwargs: Mapping[str, Any]) -> EndpointCall:
        """Return the call of an endpoint that takes messages."""
        given = _list(messages)

        def question() -> tuple[str, Any]:
            text, turns = question_of(given, after_tools=self._after_tools)
            known = prompt_identity(llm, given)
            return text, ["chat", turns, self._identity(llm), known, self._arguments(kwargs)]

        make = partial(getattr(view_of(llm, self._kind), name), given, **kwargs)
        schema = self._schema(llm, given, kwargs)
        return EndpointCall(make, partial(identify, question), ChatResponse, given, schema)

    def _completion(
        self,
        llm: Any,
        name: str,
        prompt: str,
        formatted: bool,  # noqa: FBT001 - as it came
        kwargs: Mapping[str, Any],
    ) -> EndpointCall:
        """Return the call of an endpoint that takes a prompt."""

        def question() -> tuple[str, Any]:
            known = [formatted, prompt_identity(llm, prompt), self._arguments(kwargs)]
            # A prompt that was formatted holds more than the question.
            text, turns = ("", prompt) if formatted else (prompt, None)
            return text, ["complete", turns, self._identity(llm), known]

        view = view_of(llm, self._kind)
        make = partial(getattr(view, name), prompt, formatted=formatted, **kwargs)
        schema = self._schema(llm, prompt, kwargs)
        return EndpointCall(make, partial(identify, question), CompletionResponse, prompt, schema)

    def _schema(
        self, llm: Any, given: Any, kwargs: Mapping[str, Any]
    ) -> Callable[[], AnswerSchema | None] | None:
        """Return what finds out what an answer must fit, if answers are stored."""
        if self.policy.cache is None:
            return None
        return partial(call_schema, llm, given, kwargs, output_class())

    def _arguments(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        return self.live_values().arguments_of(self._kind, kwargs, request_identity)

    def _identity(self, llm: Any) -> Any:
        def make() -> Any:
            view = view_of(llm, self._kind)
            return model_identity(view, self.ops.canon.receiver, self.live_values())

        return self._identities.identity(llm, make)

    # -- answers ---------------------------------------------------------------------------------

    def _answer(self, own: EndpointCall) -> Any:
        question = own.question()
        outcome = CallOutcome(self.ops, self.name)
        with capture_outcome(outcome):
            answer = self.ask(*question, own)
        response = self._response(answer, outcome, own.kind)
        return own.call() if response is None else response

    async def _aanswer(self, own: EndpointCall) -> Any:
        question = await own.aquestion()
        outcome = CallOutcome(self.ops, self.name)
        with capture_outcome(outcome):
            answer = await self.aask(*question, own)
        response = self._response(answer, outcome, own.kind)
        return await own.acall() if response is None else response

    def _response(self, answer: Any, outcome: CallOutcome, kind: type[Any]) -> Any:
        """Return an answer of the runtime as a response, or None if it is none of ours."""
        answer = valid_or_not(answer)
        if type(answer) is Substitute:
            return response_of(kind, answer.value)
        if outcome.hit is None:
            return answer
        if type(answer) is not kind:
            return None
        mark_hit(answer, keeps_usage=self._keeps_usage, new_ids=CallIds())
        report_hit(outcome.name, outcome.hit)
        return answer

    def _read(self, question: tuple[str, Any], own: EndpointCall) -> Generator[Response]:
        """Yield the chunks of a stream, whoever it was made for."""
        reader = Reader(self.ops, f"{self.name} stream", own, keeps_usage=self._keeps_usage)
        items = read_within(self.stream(*question, own), reader.capture)
        try:
            for item in items:
                if type(item) is InvalidAnswer:
                    continue
                chunk = reader.chunk(item)
                if chunk is None:  # somebody else's entry
                    with closing(own.stream()) as pieces:
                        for _ in pieces:
                            yield own.made.popleft()
                    return
                yield chunk
        finally:
            own.is_over = True
            items.close()
            reader.report()

    async def _aread(
        self, question: tuple[str, Any], own: EndpointCall
    ) -> AsyncGenerator[Response]:
        """Yield the chunks of an asynchronous stream, as :meth:`_read` does."""
        reader = Reader(self.ops, f"{self.name} stream", own, keeps_usage=self._keeps_usage)
        items = aread_within(self.astream(*question, own), reader.capture)
        try:
            async for item in items:
                if type(item) is InvalidAnswer:
                    continue
                chunk = reader.chunk(item)
                if chunk is None:
                    async with aclosing(own.astream()) as pieces:
                        async for _ in pieces:
                            yield own.made.popleft()
                    return
                yield chunk
        finally:
            own.is_over = True
            await items.aclose()
            reader.report()


def _list(messages: Any) -> Any:
    """Return messages that can be read twice; the model is left to refuse what are none."""
    none = isinstance(messages, str | BaseModel) or not isinstance(messages, Iterable)
    return messages if none else list(messages)


def _is_whole(response: Any) -> bool:
    return isinstance(response, ChatResponse | CompletionResponse) and is_whole(response)
