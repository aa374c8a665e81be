"""LangChain's own suites for caches, on every tier and in every semantic mode."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chroma_servers import chroma_server
from langchain_core.caches import BaseCache
from langchain_tests.integration_tests import AsyncCacheTestSuite, SyncCacheTestSuite

from langchain_toolops import ToolOpsCache
from toolops_plugins import Memory, Redis, Semantic, SemanticCache, ToolOps

__all__ = ["chroma_server"]

MODES = ["memory", "redis", "both", "threshold", "bounded", "server"]


@pytest.fixture(params=MODES)
def cache(request: pytest.FixtureRequest, tmp_path: Path, namespace: str) -> Iterator[BaseCache]:
    mode = request.param
    options: dict[str, Any] = {}
    if mode in ("redis", "both"):
        redis = Redis(request.getfixturevalue("valkey").url, ttl=60)
        options["tiers"] = [redis] if mode == "redis" else [Memory(), redis]
    elif mode == "server":
        url = request.getfixturevalue("chroma_server").url
        options["semantic"] = SemanticCache(url=url, collection=namespace)
    elif mode != "memory":
        options["semantic"] = SemanticCache(path=tmp_path)
    with ToolOps(namespace, **options) as ops:
        bounded = Semantic(on="question", max_error=0.02) if mode == "bounded" else None
        yield ToolOpsCache(ops, semantic=bounded)


class TestSync(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self, cache: BaseCache) -> BaseCache:
        return cache


class TestAsync(AsyncCacheTestSuite):
    @pytest.fixture
    def cache(self, cache: BaseCache) -> BaseCache:
        return cache
