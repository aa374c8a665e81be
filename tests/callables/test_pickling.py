"""Runtimes and wrapped functions that are pickled for other processes."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from toolops_plugins import (
    Bulkhead,
    Cache,
    CircuitBreaker,
    Memory,
    Policy,
    RateLimit,
    Redis,
    Retry,
    RetryBudget,
    SemanticCache,
    ToolOps,
    get_default,
    readonly,
)
from toolops_plugins.policy import NOTHING
from toolops_plugins.testing import FakeClock

of_module = ToolOps("pickled-of-module", secret="hunter2")
tenant: ContextVar[str] = ContextVar("pickled_tenant", default="ann")


@of_module.tool(cache=Cache(ttl=60))
def of_this_module(n: int) -> int:
    return n + 1


@readonly(ttl=60)
def of_default(n: int) -> int:
    return n + 1


class Shop:
    def __init__(self, name: str) -> None:
        self.name = name

    @of_module.tool(cache=Cache(ttl=60))
    def quote(self, ticker: str) -> str:
        return f"{ticker} at {self.name}"


def again(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


# In one process


@pytest.mark.parametrize("copied", [again, copy.copy, copy.deepcopy])
def test_in_its_own_process_a_runtime_is_itself(copied: Any) -> None:
    for ops in (ToolOps("pickled"), of_module, get_default(), ToolOps(tiers=[Redis("redis://h")])):
        assert copied(ops) is ops


def test_functions_and_methods_of_modules_are_pickled_by_name() -> None:
    for function in (of_this_module, of_default, Shop.quote):
        assert again(function) is function
    method = again(Shop("Ulm").quote)
    assert method("ACME") == "ACME at Ulm"


def test_policies_are_equal_to_their_pickles() -> None:
    policy = Policy(
        cache=Cache(ttl=5), retry=Retry(), breaker=CircuitBreaker(), rate_limit=RateLimit("1/s"),
        bulkhead=Bulkhead(1),
    )  # fmt: skip
    assert again(policy) == policy
    assert again(policy).fallback is NOTHING


def test_a_function_by_value_is_the_same_tool() -> None:
    ops = ToolOps("pickled-by-value")
    runs = []

    @ops.tool(cache=Cache(ttl=60), breaker=CircuitBreaker(), bulkhead=Bulkhead(1))
    def local(n: int) -> int:
        runs.append(n)
        return n

    local(1)
    other = pickle.loads(cloudpickle.dumps(local))
    assert other is not local
    assert (other.name, other.policy, other.key(1)) == (local.name, local.policy, local.key(1))
    assert other(1) == 1
    assert runs == [1]
    assert ops.stats()[local.name].calls == 2
    other.invalidate(1)
    local(1)
    assert runs == [1, 1]


def test_a_cache_aside_by_value_is_the_same_cache() -> None:
    ops = ToolOps("pickled-aside")
    kept = ops.aside(lambda q: None, cache=Cache(ttl=60), name="aside")
    kept.store("a", "q")
    assert pickle.loads(cloudpickle.dumps(kept)).lookup("q") == "a"


# What must not travel


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"secret": "hunter2"}, "it has a secret"),
        ({"tiers": Redis("redis://ann:hunter2@h")}, "has a password"),
        ({"tiers": Redis("redis://h", password="hunter2")}, "has a password"),
        ({"tiers": Redis("redis://h", credential_provider=object())}, "has a password"),
        ({"semantic": SemanticCache("somewhere")}, "it has a semantic cache"),
        ({"clock": FakeClock()}, "it has a clock of its own"),
        ({"tenant": ContextVar("nowhere")}, "its tenant is a context variable that no module"),
    ],
)
def test_a_runtime_that_cannot_be_pickled_says_what_to_do(
    options: dict[str, Any], problem: str
) -> None:
    ops = ToolOps("pickled", **options)

    @ops.tool(cache=Cache(ttl=60), name="t")
    def local() -> None: ...

    for dumps, value in ((pickle.dumps, ops), (cloudpickle.dumps, local)):
        with pytest.raises(TypeError, match=f"cannot be pickled: .*{problem}") as caught:
            dumps(value)
        assert "keep the runtime in a module that both processes import, or make" in str(
            caught.value
        )
        assert "hunter2" not in str(caught.value)


def test_no_secret_is_in_a_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLOPS_SECRET", "hunter2")
    monkeypatch.setenv("TOOLOPS_REDIS_URL", "redis://:hunter2@127.0.0.1:1")
    for ops in (of_module, ToolOps.from_env()):
        assert b"hunter2" not in pickle.dumps(ops)


# In another process

SCRIPT = """
import asyncio, os, pickle, sys
if __name__ == "__main__":
    things = pickle.load(sys.stdin.buffer)
    {code}
"""


def elsewhere(
    value: Any, code: str, environ: dict[str, str] | None = None, folder: Path | None = None
) -> str:
    """Unpickle a value in another process, run code there, and return what it prints."""
    places = [str(folder or Path(__file__).parent), str(Path(__file__).parents[2])]
    places += [p for p in sys.path if p.endswith("site-packages")]
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(code=code.replace("\n", "\n    "))],
        input=value if isinstance(value, bytes) else cloudpickle.dumps(value),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places), **(environ or {})},
        capture_output=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr.decode()
    return found.stdout.decode().strip()


@dataclass
class Quote:
    ticker: str
    price: float


def test_tools_of_every_kind_work_in_another_process_and_share_redis(
    valkey: Any, namespace: str
) -> None:
    tiers = [Memory(max_items=7), Redis(valkey.url, ttl=60)]
    ops = ToolOps(namespace, tiers, retry_budget=RetryBudget(0.5), max_threads=3)
    ops.codec.register(Quote)
    runs = os.getpid

    @ops.tool(cache=Cache(ttl=60, tags=["n:{n}"]), breaker=CircuitBreaker(), fallback=dict)
    def plain(n: int) -> tuple[int, int]:
        return n, runs()

    @ops.readonly(ttl=60)
    async def coroutine(n: int) -> tuple[int, int]:
        return n, runs()

    @ops.tool(cache=Cache(ttl=60))
    def stream(n: int) -> Iterator[int]:
        yield from (n, runs())

    @ops.tool(cache=Cache(ttl=60))
    async def astream(n: int) -> Any:
        yield n
        yield runs()

    @ops.readonly(ttl=60)
    def quote(ticker: str) -> Quote:
        return Quote(ticker, float(runs()))

    async def read(n: int) -> list[int]:
        return [item async for item in astream(n)]

    here = os.getpid()
    plain(1), asyncio.run(coroutine(1)), list(stream(1)), asyncio.run(read(1)), quote("ACME")
    code = """
plain, awaited, stream, astream, quote, ops = things
async def read(n):
    return [item async for item in astream(n)]
own = str(os.getpid())
for n in (1, 2):
    print(plain(n), asyncio.run(awaited(n)), list(stream(n)), asyncio.run(read(n)))
print(quote("ACME").price, plain.key(1), ops.stats().total.hits, own, ops)
"""
    lines = elsewhere((plain, coroutine, stream, astream, quote, ops), code).splitlines()
    first, second = lines[0], lines[1]
    price, key, hits, own, text = lines[2].split(" ", 4)
    assert first == f"(1, {here}) (1, {here}) [1, {here}] [1, {here}]"
    assert second == f"(2, {own}) (2, {own}) [2, {own}] [2, {own}]"
    assert (float(price), key, hits) == (here, plain.key(1), "5")
    assert text == repr(ops)
    assert plain(2) == (2, int(own))  # and back again


def test_runtimes_elsewhere_are_found_by_their_configuration() -> None:
    one, two = ToolOps("pickled-alike", [Memory(max_items=7)]), ToolOps("pickled-new")
    code = """
from toolops_plugins import Memory, ToolOps
alike, other = ToolOps("pickled-alike", Memory(7)), ToolOps("pickled-alike", Memory(8))
print(pickle.loads(things[0]) is alike)
new, again = pickle.loads(things[1]), pickle.loads(things[1])
print(new is again, new.stats().total.calls)
"""
    found = elsewhere([pickle.dumps(one), pickle.dumps(two)], code).splitlines()
    assert found == ["True", "True 0"]


def test_a_runtime_and_a_tenant_of_a_module_are_found_there() -> None:
    data = pickle.dumps(of_module)
    assert b"hunter2" not in data
    ops = ToolOps("pickled-tenant", tenant=tenant)
    function = ops.tool(lambda n: n, cache=Cache(ttl=60), name="t")
    code = f"""
import {__name__} as m
print(pickle.loads(things[0]) is m.of_module, m.__name__)
print(things[1].key(1))
m.tenant.set("bob")
print(things[1].key(1))
"""
    folder = Path(__file__).parents[2]
    found, one, two = elsewhere((data, function), code, folder=folder).splitlines()
    assert found == f"True {__name__}"
    assert one == function.key(1) != two
    token = tenant.set("bob")
    assert two == function.key(1)
    tenant.reset(token)


def test_a_runtime_of_the_environment_is_found_by_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOOLOPS_NAMESPACE", "pickled-env")
    monkeypatch.setenv("TOOLOPS_SECRET", "hunter2")
    ops = ToolOps.from_env()
    function = ops.tool(lambda n: n, cache=Cache(ttl=60), name="t")
    data = cloudpickle.dumps(function)
    assert b"hunter2" not in data
    assert elsewhere(data, "print(things.key(1))") == function.key(1)
    code = "print(things)"
    with pytest.raises(AssertionError, match="set the same TOOLOPS_ variables for both"):
        elsewhere(data, code, {"TOOLOPS_NAMESPACE": "other"})


def test_the_default_runtime_is_the_default_there(monkeypatch: pytest.MonkeyPatch) -> None:
    from toolops_plugins import default_runtime

    monkeypatch.setattr(default_runtime, "_runtime", None)

    @readonly(ttl=60)
    def local(n: int) -> int:
        return n

    code = """
from toolops_plugins import get_default
print(things(1), things(1), get_default().stats().total.hits)
"""
    assert elsewhere(local, code) == "1 1 1"


def test_a_missing_module_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import types

    module = types.ModuleType("nowhere_to_be_found")
    module.ops = ops = ToolOps("pickled-nowhere", secret="hunter2")  # type: ignore[attr-defined]  # as a module has it
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(AssertionError, match="the runtime nowhere_to_be_found.ops is not in this"):
        elsewhere(pickle.dumps(ops), "print(things)")


def test_joblib_and_spawned_processes_take_tools_of_a_script(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        """
import multiprocessing, os
from joblib import Parallel, delayed
from toolops_plugins import Cache, ToolOps

ops = ToolOps("scripted")

class Shop:
    @ops.tool(cache=Cache(ttl=60))
    def quote(self, n):
        return n * 10

@ops.readonly(ttl=60)
def double(n):
    return n * 2

if __name__ == "__main__":
    print(Parallel(n_jobs=2)(delayed(double)(n) for n in range(4)))
    print(Parallel(n_jobs=2)(delayed(Shop().quote)(n) for n in range(4)))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(double, range(3)))
"""
    )
    found = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False
    )
    assert found.stdout.splitlines() == ["[0, 2, 4, 6]", "[0, 10, 20, 30]", "[0, 2, 4]"]
