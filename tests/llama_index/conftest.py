"""Fixtures of the tests of the LlamaIndex adapter."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import certifi
import llama_index.core
import pytest
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata, MockLLM
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.llms.openai import OpenAI
from openai_server import OpenAIServer
from pydantic import PrivateAttr

from llama_index.callbacks.toolops import guard_llm
from toolops_plugins import CallEvent, ToolOps


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # LlamaIndex 0.14 itself uses what pydantic and its own workflows have deprecated.
    old = pytest.mark.filterwarnings(
        "ignore::pydantic.warnings.PydanticDeprecationWarning",
        "ignore:is_running called from within a step:DeprecationWarning",
    )
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(old)


@pytest.fixture
def openai_server() -> Iterator[OpenAIServer]:
    """A server that echoes what the user said, until it is told otherwise."""
    with OpenAIServer() as server:
        yield server


@pytest.fixture(scope="session")
def _one_certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with one root certificate: nobody here speaks TLS, and each client reads them all."""
    known = Path(certifi.where()).read_text(encoding="utf-8")
    end = "-----END CERTIFICATE-----\n"
    path = tmp_path_factory.mktemp("certificates") / "one.pem"
    path.write_text(known[known.index("-----BEGIN") :].partition(end)[0] + end, encoding="utf-8")
    return str(path)


@pytest.fixture
def llm(
    openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, _one_certificate: str
) -> Callable[..., OpenAI]:
    """Makes OpenAI models that speak to that server and never retry by themselves.

    The model is one that LlamaIndex knows, since it looks up what it can: chat, tools, and answers
    by a JSON schema. "gpt-4" has no JSON schemas, so that it makes structured answers by tools.
    """
    monkeypatch.setenv("SSL_CERT_FILE", _one_certificate)

    def make(**options: Any) -> OpenAI:
        given = {"model": "gpt-4o-mini", "api_key": "sk-test", "max_retries": 0, **options}
        return OpenAI(api_base=openai_server.url, **given)

    return make


class EchoLLM(CustomLLM):
    """A model as users write them: it repeats its prompt, and keeps a log of its calls.

    Its chat methods, and its asynchronous ones, come from LlamaIndex and end in these two.
    """

    is_chat_model: bool = False
    _log: list[str] = PrivateAttr(default_factory=list)

    @property
    def calls(self) -> int:
        """The number of prompts so far."""
        return len(self._log)

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="echo", is_chat_model=self.is_chat_model)

    @classmethod
    def class_name(cls) -> str:
        return "EchoLLM"

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        self._log.append(prompt)
        return CompletionResponse(text=prompt, raw={"prompt": prompt})

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        self._log.append(prompt)

        def chunks() -> Iterator[CompletionResponse]:
            text = ""
            for word in re.findall(r"\S+\s*", prompt):
                text += word
                yield CompletionResponse(text=text, delta=word)
            yield CompletionResponse(text=text, delta="", raw={"finish_reason": "stop"})

        return chunks()


@pytest.fixture
def echo() -> Callable[..., EchoLLM]:
    """Makes custom models that repeat their prompt, and count in ``calls``."""
    return EchoLLM


@pytest.fixture
def mock_llm() -> Callable[..., MockLLM]:
    """Makes LlamaIndex's own mock models, which repeat their prompt."""
    return MockLLM


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    """Leave LlamaIndex's global settings as they were, and count tokens without a download.

    The tokenizer that LlamaIndex takes by default lies in its wheel, and so do its stop words.
    That of a model by name does not; an application sets ``Settings.tokenizer``.
    """
    before = vars(Settings).copy()
    known = llama_index.core.global_tokenizer
    llama_index.core.global_tokenizer = str.split
    Settings.callback_manager = CallbackManager()
    yield
    vars(Settings).update(before)
    llama_index.core.global_tokenizer = known


@pytest.fixture
def events() -> list[CallEvent]:
    """The events of the runtime of the fixture ``ops``."""
    return []


@pytest.fixture
def ops(events: list[CallEvent]) -> Iterator[ToolOps]:
    """A runtime with a memory."""
    with ToolOps(sinks=[events.append]) as ops:
        yield ops


@pytest.fixture
def model(ops: ToolOps, llm: Callable[..., OpenAI]) -> OpenAI:
    """A guarded model that speaks to the server."""
    return guard_llm(llm(), ops=ops)
