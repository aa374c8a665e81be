"""The names that users type, and that adapters and outside checks rely on."""

from __future__ import annotations

import inspect
import types

import pytest

import toolops_plugins
from toolops_plugins import ConfigurationError, ToolOps

NAMES = {
    "AttemptTimeout", "Bulkhead", "BulkheadFull", "Cache", "CallEvent", "CallTimeout",
    "CircuitBreaker", "CircuitOpen", "Codec", "ConfigurationError", "DeadlineExceeded",
    "Explanation", "Hedge", "Memory", "Notice", "Policy", "Price", "RateLimit", "RateLimited",
    "Redis", "Rejected", "Retry", "RetryBudget", "Semantic", "SemanticCache", "TierError",
    "Timeout", "ToolOps", "ToolOpsError", "TotalTimeout", "get_default", "readonly", "set_default",
    "sideeffect", "tool",
}  # fmt: skip


def test_the_public_names_are_these_and_no_others():
    assert set(toolops_plugins.__all__) == NAMES
    assert list(toolops_plugins.__all__) == sorted(toolops_plugins.__all__)
    public = {
        name
        for name, value in vars(toolops_plugins).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    # Three are imported on first use; the other two names serve the type checker.
    assert public - {"TYPE_CHECKING", "Any"} == NAMES - {"Explanation", "Redis", "SemanticCache"}
    with pytest.raises(AttributeError, match="'Rediss'"):
        _ = toolops_plugins.Rediss


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_public_name_is_documented(name):
    assert inspect.getdoc(getattr(toolops_plugins, name))


def test_the_methods_of_a_runtime_are_these():
    methods = {name for name in dir(ToolOps) if not name.startswith("_")}
    assert methods == {
        "acall", "aclear", "aclose", "active", "add_sink", "ainvalidate", "aside", "call", "clear",
        "close", "deadline", "force_refresh", "from_env", "gather", "invalidate", "limiter", "live",
        "map", "readonly", "sideeffect", "state", "stats", "tell", "tool",
    }  # fmt: skip


def test_the_plain_decorators_use_the_default_runtime(monkeypatch):
    from toolops_plugins import default_runtime

    monkeypatch.setattr(default_runtime, "_runtime", None)
    monkeypatch.setenv("TOOLOPS_NAMESPACE", "from-the-environment")
    assert toolops_plugins.get_default() is toolops_plugins.get_default()
    assert toolops_plugins.get_default().namespace == "from-the-environment"
    ops = ToolOps("chosen")
    toolops_plugins.set_default(ops)
    made = []

    @toolops_plugins.readonly(ttl=60)
    def look(key):
        made.append(key)
        return key

    @toolops_plugins.sideeffect
    def act(key):
        made.append(key)
        return key

    @toolops_plugins.tool
    def plain(key):
        made.append(key)
        return key

    for function in (look, act, plain):
        function("k")
        function("k")
    assert made == ["k"] * 5
    assert ops.stats().total.calls == 6
    with pytest.raises(ConfigurationError, match="runtime"):
        toolops_plugins.set_default("ops")
