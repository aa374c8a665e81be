"""A real Chroma server for tests, and rows to keep in it.

The server listens on 127.0.0.1 only, on a free port, in a folder of its own. The fixture
``chroma_server`` is one for the whole session, for tests that keep to a fresh ``collection``.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray
from servers import free_port, wait_for

from toolops_plugins.codec import JSON, TAGGED
from toolops_plugins.semantic.index.rows import Row

_RUN = "import sys; from chromadb.cli.cli import app; sys.argv[0] = 'chroma'; sys.exit(app())"
_SILENT = {"ANONYMIZED_TELEMETRY": "False", "OTEL_SDK_DISABLED": "true"}


class ChromaServer:
    """A server process; :meth:`stop` ends it."""

    host = "127.0.0.1"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """Its URL."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = ["--path", str(self.folder), "--host", self.host, "--port", str(self.port)]
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _RUN, "run", *options],
                stdout=log,
                stderr=log,
                env=os.environ | _SILENT,
            )
        try:
            # On a busy machine it takes half a minute.
            wait_for(self._answers, "the server's answer", 50.0)
        except BaseException:
            self.stop()
            raise

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the server ended at once"
        with urllib.request.urlopen(f"{self.url}/api/v2/heartbeat", timeout=5) as answer:
            return bool(answer.status == 200)

    def stop(self) -> None:
        """End it, whatever its state."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Let it hang: it accepts connections, and answers nothing."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """End :meth:`pause`, and start again after :meth:`stop`."""
        if self._process is None:
            self.start()
        else:
            os.kill(self._process.pid, signal.SIGCONT)


@pytest.fixture(scope="session")
def chroma_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromaServer]:
    """One server for all tests that keep to their ``collection``."""
    server = ChromaServer(tmp_path_factory.mktemp("chroma") / "data")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def restartable_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromaServer]:
    """One server for the tests that pause and stop it."""
    server = ChromaServer(tmp_path_factory.mktemp("restartable") / "data")
    yield server
    server.stop()


@pytest.fixture
def own_server(restartable_server: ChromaServer) -> ChromaServer:
    """A running server that the test may pause and stop, with a ``collection`` of its own."""
    restartable_server.resume()
    return restartable_server


@pytest.fixture
def collection() -> str:
    """A name that no other test uses."""
    return f"test-{uuid.uuid4().hex}"


def scope_of(number: int) -> bytes:
    """Return a scope's digest."""
    return number.to_bytes(16, "big")


def make_row(number: int, scope: int = 0, **changes: Any) -> Row:
    """Return a row that differs from those of other numbers and scopes in everything."""
    values: dict[str, Any] = {
        "id": f"{scope:016x}{number:016x}",
        "scope": scope_of(scope),
        "text": f"what is question {number}?",
        "codec": "json",
        "data": b"\x00\xff%d" % number,
        "answer": (number + 1).to_bytes(16, "big"),
        "created": 1000.25 + number,
        "expires": math.inf,
        "tags": (),
        "took": 0.5 + number,
        "price": 0.125 * number,
    }
    return Row(**(values | changes))


def row_strategy(tags: st.SearchStrategy[str]) -> st.SearchStrategy[Row]:
    """Return a strategy for rows of any content.

    Args:
        tags: A strategy for the tags.
    """
    finite = st.floats(allow_nan=False, allow_infinity=False)
    return st.builds(
        make_row,
        st.integers(0, 2**60),
        text=st.none() | st.text(st.characters()),  # half surrogates included
        codec=st.sampled_from([JSON, TAGGED]),
        data=st.binary(),
        created=st.floats(allow_nan=False),
        expires=finite | st.just(math.inf),
        tags=st.lists(tags, max_size=3).map(tuple),
        hits=st.integers(0, 2**50),
        used=st.floats(min_value=1, max_value=2.0**53),
    )


def make_vectors(count: int, dimension: int = 16, seed: int = 0) -> NDArray[np.float32]:
    """Return unit vectors, the same for the same seed."""
    vectors = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def fields(row: Row) -> dict[str, Any]:
    """Return all that a row holds."""
    return {name: getattr(row, name) for name in Row.__slots__}
