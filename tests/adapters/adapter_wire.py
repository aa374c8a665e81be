"""Keys of conversations against what really reaches a provider, for all adapters.

What a framework makes anew for each run, and never sends, must not count: such a conversation
would never be found again. What is sent must.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import pytest
from openai_server import OpenAIServer

from toolops_plugins import ToolOps

__all__ = ["MakeConversation", "WireConformance"]

MakeConversation: TypeAlias = Callable[[Path], Any]
"""Makes a conversation anew; it may write files to a folder, which is another one each time."""


class WireConformance:
    """The guarded models of one adapter, whose clients speak to a server.

    Attributes:
        equal: Conversations that reach the server as the same bytes each time, by what they hold.
        generated: Conversations of which only ids differ on their way: those of tool calls, and
            those that the framework generates.
        different: Conversations that are sent in two ways, by what they hold.
    """

    equal: ClassVar[dict[str, MakeConversation]]
    generated: ClassVar[dict[str, MakeConversation]]
    different: ClassVar[dict[str, tuple[MakeConversation, MakeConversation]]]

    def client(self, url: str) -> Any:
        """Return the framework's own model, which asks the server at an address."""
        raise NotImplementedError

    def guard(self, client: Any, ops: ToolOps) -> Any:
        raise NotImplementedError

    def ask(self, model: Any, conversation: Any) -> Any:
        """Ask a model, guarded or not."""
        raise NotImplementedError

    @pytest.fixture
    def server(self) -> Iterator[OpenAIServer]:
        with OpenAIServer() as server:
            server.reply = lambda body: "fine"
            yield server

    @pytest.fixture
    def folders(self, tmp_path: Path) -> Iterator[Path]:
        """Folders that no conversation has written to yet."""
        return (_make(tmp_path / str(number)) for number in range(1_000))  # type: ignore[return-value]  # which is what it yields

    def bodies(self, server: OpenAIServer, model: Any, *conversations: Any) -> list[str]:
        """Return what reaches the server when a model is asked."""
        server.requests.clear()
        for conversation in conversations:
            self.ask(model, conversation)
        return [json.dumps(body) for body in server.requests]

    def test_what_is_sent_alike_is_found_again(self, server: OpenAIServer, folders: Any) -> None:
        client = self.client(server.url)
        for name, make in self.equal.items():
            one, two = self.bodies(server, client, make(next(folders)), make(next(folders)))
            assert one == two, name
            with ToolOps() as ops:
                made = (make(next(folders)) for _ in range(3))
                assert len(self.bodies(server, self.guard(client, ops), *made)) == 1, name

    def test_what_differs_in_generated_ids_is_found_again(
        self, server: OpenAIServer, folders: Any
    ) -> None:
        client = self.client(server.url)
        for name, make in self.generated.items():
            one, two = self.bodies(server, client, make(next(folders)), make(next(folders)))
            assert one != two, name
            assert _without_ids(one) == _without_ids(two), name
            with ToolOps() as ops:
                made = (make(next(folders)) for _ in range(3))
                assert len(self.bodies(server, self.guard(client, ops), *made)) == 1, name

    def test_what_is_sent_otherwise_is_another_question(
        self, server: OpenAIServer, folders: Any
    ) -> None:
        client = self.client(server.url)
        for name, pair in self.different.items():
            one, two = self.bodies(server, client, *(make(next(folders)) for make in pair))
            assert one != two, name
            with ToolOps() as ops:
                made = [make(next(folders)) for make in (*pair, *pair)]
                assert len(self.bodies(server, self.guard(client, ops), *made)) == 2, name


def _make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _without_ids(body: str) -> str:
    return re.sub(r'"(?:\w*id|tool_call_id)": "[^"]*"', '"id": ""', body)
