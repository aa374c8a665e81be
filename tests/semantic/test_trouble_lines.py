"""Log lines about a semantic cache that fails and works again, with a real server."""

from __future__ import annotations

import itertools

import pytest
from chroma_servers import ChromaServer
from servers import wait_for

from toolops_plugins import Cache, Semantic, ToolOps
from toolops_plugins.semantic.cache import SemanticCache
from toolops_plugins.semantic.health import IndexHealth


def embed(texts: list[str]) -> list[list[float]]:
    return [[float(len(text)), 1.0] for text in texts]


def make_cache(server: ChromaServer, collection: str) -> SemanticCache:
    return SemanticCache(
        url=server.url, collection=collection, embedder=embed, threshold=0.99, timeout=0.5
    )


def lines_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "toolops_plugins.semantic"]


def check(lines: list[str]) -> None:
    failed, works = lines
    assert failed.startswith("The semantic cache failed (")
    assert failed.endswith("); calls go on without it")
    assert works.startswith("The semantic cache works again, after ")
    assert "; calls that went on without it: " in works
    assert "MARKER" not in failed + works


def test_an_index_that_hangs_is_reported_until_it_answers_again(
    own_server: ChromaServer, collection: str, caplog: pytest.LogCaptureFixture
) -> None:
    with ToolOps(semantic=make_cache(own_server, collection)) as ops:
        ask = ops.tool(cache=Cache(ttl=60), semantic=Semantic(on="question"), name="ask")(
            lambda question: question
        )
        questions = (f"MARKER {number}?" for number in itertools.count())
        wait_for(lambda: ask(next(questions)) and not lines_of(caplog), "the first answer")
        own_server.pause()
        try:
            ask(next(questions))
        finally:
            own_server.resume()

        def works() -> bool:
            ask(next(questions))
            return "tier_recovered" in ops.stats().notices

        wait_for(works, "the recovery")
    check(lines_of(caplog))


def test_an_index_without_a_runtime_is_reported_too(
    own_server: ChromaServer, collection: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache = make_cache(own_server, collection)
    cache.find("MARKER?")
    own_server.pause()
    try:
        cache.find("MARKER 1?")
    finally:
        own_server.resume()
    wait_for(lambda: cache.find("MARKER?") or len(lines_of(caplog)) == 2, "the recovery")
    cache.close()
    check(lines_of(caplog))


def test_an_index_that_reads_and_cannot_write_has_not_recovered() -> None:
    recoveries: list[str] = []
    health = IndexHealth(lambda: recoveries.append("works"))
    health.succeed("read")
    health.fail("write")
    health.fail("read")
    health.succeed("read")
    assert recoveries == []
    health.succeed("write")
    health.succeed("write")
    assert recoveries == ["works"]
