"""The eight endpoints of a model, each as one call of a wrapped function.

Whatever LlamaIndex asks of a model ends in these eight, and a model may make one of them by another
(``CustomLLM.achat`` is its ``chat``, which is its ``complete``). What the provider is asked goes
through a view of the model: an instance of the model's own class that shares all state with the
guarded one, so that what begins inside a call never comes back to the guard, and whatever is
changed in the one is changed in the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing, closing
from functools import partial
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.llms.llm import LLM
from pydantic import BaseModel

from llama_index.callbacks.toolops._codec_types import teach
from llama_index.callbacks.toolops._llm_answers import Response, is_whole, mark_hit
from llama_index.callbacks.toolops._llm_call import Own, Reader, spoken, tell
from llama_index.callbacks.toolops._llm_chunks import teach_chunks
from llama_index.callbacks.toolops._llm_conversation import asked, reads_files
from llama_index.callbacks.toolops._llm_identity import model_identity, model_name, rendered, sent
from llama_index.callbacks.toolops._llm_policy import is_whole_stream, over_answers, over_chunks
from toolops_plugins import Policy, ToolOps
from toolops_plugins.adapters.fallback_answers import Substitute, with_substitutes
from toolops_plugins.adapters.model_policy import Unknown, told_apart, worth_trying
from toolops_plugins.adapters.outcomes import Heard, listening
from toolops_plugins.adapters.pydantic_state import view_of
from toolops_plugins.adapters.signals import adapt_policy
from toolops_plugins.policy import NOTHING

__all__ = ["Guard"]


class Guard:
    """The guarded endpoints of one model, and what they share.

    Args:
        ops: The runtime.
        policy: What is asked of the model's calls.
        llm: The model, for its name.
        after_tools: Whether a call that ends in tool results has a question.
        keeps_usage: Whether hits tell the tokens of the call that made them.

    Raises:
        ConfigurationError: The policy does not fit the runtime.
    """

    def __init__(
        self, ops: ToolOps, policy: Policy, llm: LLM, *, after_tools: bool, keeps_usage: bool
    ) -> None:
        teach(ops.codec)
        teach_chunks(ops.codec)
        self._ops = ops
        self._kind = type(llm)
        self._name = name = model_name(llm)
        policy = told_apart(ops, worth_trying(policy), name)
        self._after_tools = after_tools
        self._keeps_usage = keeps_usage
        whole = adapt_policy(with_substitutes(over_answers(policy)), _is_whole)
        streamed = with_substitutes(over_chunks(policy), stream=True).replace(hedge=None)
        streamed = adapt_policy(streamed, is_whole_stream)
        wrap = partial(ops.tool, ignore=["own"])
        self._call = wrap(policy=whole, name=name)(_call)
        self._acall = wrap(policy=whole, name=name)(_acall)
        self._stream = wrap(policy=streamed, name=f"{name} stream")(_stream)
        self._astream = wrap(policy=streamed, name=f"{name} stream")(_astream)

    def __deepcopy__(self, memo: dict[int, Any]) -> Guard:
        return self

    def endpoints(self) -> dict[str, Callable[..., Any]]:
        """Return the methods that stand in place of the model's own, by name."""

        def chat(llm: Any, messages: Any, **kwargs: Any) -> Any:
            given = _listed(messages)
            make = partial(self._view(llm).chat, given, **kwargs)
            return self._whole(self._asked_chat(llm, given, kwargs), make, ChatResponse)

        async def achat(llm: Any, messages: Any, **kwargs: Any) -> Any:
            given = _listed(messages)
            make = partial(self._view(llm).achat, given, **kwargs)
            question = await self._aasked_chat(llm, given, kwargs)
            return await self._awhole(question, make, ChatResponse)

        def stream_chat(llm: Any, messages: Any, **kwargs: Any) -> Any:
            given = _listed(messages)
            make = partial(self._view(llm).stream_chat, given, **kwargs)
            return self._read(self._asked_chat(llm, given, kwargs), Own(make), ChatResponse)

        async def astream_chat(llm: Any, messages: Any, **kwargs: Any) -> Any:
            given = _listed(messages)
            make = partial(self._view(llm).astream_chat, given, **kwargs)
            question = await self._aasked_chat(llm, given, kwargs)
            return self._aread(question, Own(make), ChatResponse)

        def complete(
            llm: Any,
            prompt: str,
            formatted: bool = False,  # noqa: FBT001, FBT002 - LlamaIndex says so
            **kwargs: Any,
        ) -> Any:
            question, make = self._prompted(llm, "complete", prompt, formatted, kwargs)
            return self._whole(question, make, CompletionResponse)

        async def acomplete(
            llm: Any,
            prompt: str,
            formatted: bool = False,  # noqa: FBT001, FBT002 - LlamaIndex says so
            **kwargs: Any,
        ) -> Any:
            question, make = self._prompted(llm, "acomplete", prompt, formatted, kwargs)
            return await self._awhole(question, make, CompletionResponse)

        def stream_complete(
            llm: Any,
            prompt: str,
            formatted: bool = False,  # noqa: FBT001, FBT002 - LlamaIndex says so
            **kwargs: Any,
        ) -> Any:
            question, make = self._prompted(llm, "stream_complete", prompt, formatted, kwargs)
            return self._read(question, Own(make), CompletionResponse)

        async def astream_complete(
            llm: Any,
            prompt: str,
            formatted: bool = False,  # noqa: FBT001, FBT002 - LlamaIndex says so
            **kwargs: Any,
        ) -> Any:
            question, make = self._prompted(llm, "astream_complete", prompt, formatted, kwargs)
            return self._aread(question, Own(make), CompletionResponse)

        made: list[Any] = [
            chat,
            achat,
            stream_chat,
            astream_chat,
            complete,
            acomplete,
            stream_complete,
            astream_complete,
        ]
        for function in made:
            function.__qualname__ = f"{self._kind.__qualname__}.{function.__name__}"
            function.__module__ = self._kind.__module__
            function.__doc__ = getattr(self._kind, function.__name__).__doc__
        return {function.__name__: function for function in made}

    def _view(self, llm: BaseModel) -> Any:
        """Return the unguarded model, which is the guarded one in all but its class."""
        return view_of(llm, self._kind)

    def _prompted(
        self,
        llm: Any,
        name: str,
        prompt: str,
        formatted: bool,  # noqa: FBT001 - as it came
        kwargs: Mapping[str, Any],
    ) -> tuple[tuple[str, Any], Callable[[], Any]]:
        """Return what a prompt asks, and what asks the model by its endpoint of this name."""
        make = partial(getattr(self._view(llm), name), prompt, formatted=formatted, **kwargs)
        return self._asked_prompt(llm, prompt, formatted, kwargs), make

    # -- keys ------------------------------------------------------------------------------------

    def _asked_chat(
        self, llm: Any, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]
    ) -> tuple[str, Any]:
        """Return the question, and all else that the answer hangs on."""
        try:
            question, turns = asked(messages, after_tools=self._after_tools)
            known = rendered(llm, messages)
            return question, ["chat", turns, self._identity(llm), known, sent(kwargs)]
        except Exception as error:  # noqa: BLE001 - of users' classes; the call goes past the cache
            return "", Unknown(error)

    async def _aasked_chat(
        self, llm: Any, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]
    ) -> tuple[str, Any]:
        """As :meth:`_asked_chat`, without blocking the event loop."""
        if not isinstance(messages, list) or not reads_files(messages):
            return self._asked_chat(llm, messages, kwargs)
        return await asyncio.to_thread(self._asked_chat, llm, messages, kwargs)

    def _asked_prompt(
        self,
        llm: Any,
        prompt: str,
        formatted: bool,  # noqa: FBT001 - as it came
        kwargs: Mapping[str, Any],
    ) -> tuple[str, Any]:
        """As :meth:`_asked_chat`; a prompt that was formatted holds more than the question."""
        try:
            known = [formatted, rendered(llm, prompt), sent(kwargs)]
            turns = prompt if formatted else None
            return "" if formatted else prompt, ["complete", turns, self._identity(llm), known]
        except Exception as error:  # noqa: BLE001 - as above
            return "", Unknown(error)

    def _identity(self, llm: Any) -> Any:
        return model_identity(self._view(llm), self._ops.canon)

    # -- answers ---------------------------------------------------------------------------------

    def _whole(self, question: tuple[str, Any], make: Callable[[], Any], kind: type[Any]) -> Any:
        own = Own(make)
        heard = Heard(self._ops, self._name)
        with listening(heard):
            given = self._call(*question, own)
        taken = self._taken(given, heard, kind)
        return own.call() if taken is None else taken

    async def _awhole(
        self, question: tuple[str, Any], make: Callable[[], Any], kind: type[Any]
    ) -> Any:
        own = Own(make)
        heard = Heard(self._ops, self._name)
        with listening(heard):
            given = await self._acall(*question, own)
        taken = self._taken(given, heard, kind)
        return await own.acall() if taken is None else taken

    def _taken(self, given: Any, heard: Heard, kind: type[Any]) -> Any:
        """Return what the runtime gave as a response, or None if it is none of ours."""
        if type(given) is Substitute:
            return spoken(kind, given.value)
        served = heard.served
        if served is None:
            return given
        if type(given) is not kind:
            return None
        mark_hit(given, keeps_usage=self._keeps_usage, fresh={})
        tell(heard.name, served)
        return given

    def _read(
        self, question: tuple[str, Any], own: Own, kind: type[Any]
    ) -> Generator[Response, None, None]:
        """Yield the chunks of a stream, whoever it was made for."""
        reader = Reader(self._ops, f"{self._name} stream", own, kind, keeps_usage=self._keeps_usage)
        items = self._stream(*question, own)
        try:
            while True:
                with listening(reader.heard):
                    item = next(items, NOTHING)
                if item is NOTHING:
                    return
                chunk = reader.chunk(item)
                if chunk is None:  # somebody else's entry
                    with closing(own.pieces()) as pieces:
                        for _ in pieces:
                            yield own.made.popleft()
                    return
                yield chunk
        finally:
            own.over = True
            with listening(reader.heard):
                items.close()
            reader.tell()

    async def _aread(
        self, question: tuple[str, Any], own: Own, kind: type[Any]
    ) -> AsyncGenerator[Response, None]:
        """As :meth:`_read`, of an asynchronous model."""
        reader = Reader(self._ops, f"{self._name} stream", own, kind, keeps_usage=self._keeps_usage)
        items = self._astream(*question, own)
        try:
            while True:
                with listening(reader.heard):
                    item = await anext(items, NOTHING)
                if item is NOTHING:
                    return
                chunk = reader.chunk(item)
                if chunk is None:
                    async with aclosing(own.apieces()) as pieces:
                        async for _ in pieces:
                            yield own.made.popleft()
                    return
                yield chunk
        finally:
            own.over = True
            with listening(reader.heard):
                await items.aclose()
            reader.tell()


def _listed(messages: Any) -> Any:
    """Return messages that can be read twice; what are none is left to the model to refuse."""
    none = isinstance(messages, str | BaseModel) or not isinstance(messages, Iterable)
    return messages if none else list(messages)


def _call(question: str, scope: Any, own: Own) -> Any:  # noqa: ARG001 - they make the key
    return own.call()


async def _acall(question: str, scope: Any, own: Own) -> Any:  # noqa: ARG001 - as above
    return await own.acall()


def _stream(question: str, scope: Any, own: Own) -> Iterator[Any]:  # noqa: ARG001 - as above
    with closing(own.pieces()) as pieces:
        yield from pieces


async def _astream(question: str, scope: Any, own: Own) -> AsyncIterator[Any]:  # noqa: ARG001 - as above
    async with aclosing(own.apieces()) as pieces:
        async for piece in pieces:
            yield piece


def _is_whole(response: Any) -> bool:
    return isinstance(response, ChatResponse | CompletionResponse) and is_whole(response)
