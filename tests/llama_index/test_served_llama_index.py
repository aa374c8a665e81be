"""Answers that LlamaIndex's models get from a cache, by the list of all adapters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar

import pytest
from adapters.adapter_served import Face, ServedConformance
from llama_calls import read, user
from llama_index.core.base.llms.types import CompletionResponse
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from openai_server import OpenAIServer

from llama_index.callbacks.toolops import (
    MODEL_POLICY,
    aforget_answer,
    forget_answer,
    guard_llm,
)
from toolops_plugins import Policy, ToolOps


def told(response: Any) -> tuple[str, int | None]:
    is_text = isinstance(response, CompletionResponse)
    text = response.text if is_text else response.message.content
    usage = response.raw.usage
    assert usage.total_tokens == response.additional_kwargs["total_tokens"]
    return text, usage.total_tokens


def ask(name: str, model: Any, text: str) -> tuple[str, int | None]:
    given = text if "complete" in name else user(text)
    response = getattr(model, name)(given)
    if name.startswith("a"):
        response = asyncio.run(read(response) if "stream" in name else response)
    elif "stream" in name:
        response = list(response)
    return told(response[-1] if "stream" in name else response)


class TestModel(ServedConformance):
    faces: ClassVar[Mapping[str, Face]] = {
        name: partial(ask, name)
        for name in (
            "chat", "achat", "stream_chat", "astream_chat",
            "complete", "acomplete", "stream_complete", "astream_complete",
        )
    }  # fmt: skip

    @pytest.fixture(autouse=True)
    def _make_llm(self, llm: Callable[..., Any]) -> None:
        self.llm = llm

    def guarded(self, server: OpenAIServer, ops: ToolOps, policy: Policy = MODEL_POLICY) -> Any:
        model = self.llm(
            callback_manager=CallbackManager([TokenCountingHandler()]),
            additional_kwargs={"stream_options": {"include_usage": True}},
        )
        return guard_llm(model, policy, ops=ops)

    def forget(self, guarded: Any, ops: ToolOps, text: str, *, aio: bool) -> None:
        for given in (text, user(text)):
            if aio:
                asyncio.run(aforget_answer(guarded, given))
            else:
                forget_answer(guarded, given)

    @contextmanager
    def count_tokens(self, guarded: Any) -> Iterator[Callable[[], int]]:
        (counter,) = guarded.callback_manager.handlers
        yield lambda: counter.total_llm_token_count
