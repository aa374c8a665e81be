"""LangChain's own suites for caches: in memory, in Redis, and with a semantic cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.caches import BaseCache
from langchain_tests.integration_tests import AsyncCacheTestSuite, SyncCacheTestSuite

from langchain_toolops import ToolOpsCache
from toolops_plugins import Memory, Redis, Semantic, SemanticCache, ToolOps

MODES = ["memory", "both", "bounded"]


@pytest.fixture(params=MODES)
def cache(request: pytest.FixtureRequest, tmp_path: Path, namespace: str) -> Iterator[BaseCache]:
    mode = request.param
    options: dict[str, Any] = {}
    semantic = None
    if mode == "both":
        options["tiers"] = [Memory(), Redis(request.getfixturevalue("valkey").url, ttl=60)]
    elif mode == "bounded":
        options["semantic"] = SemanticCache(path=tmp_path)
        semantic = Semantic(on="question", max_error=0.02)
    with ToolOps(namespace, **options) as ops:
        yield ToolOpsCache(ops, semantic=semantic)


class TestSync(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self, cache: BaseCache) -> BaseCache:
        return cache


class TestAsync(AsyncCacheTestSuite):
    @pytest.fixture
    def cache(self, cache: BaseCache) -> BaseCache:
        return cache
