"""Users' keywords pass every guard: no name of our own code stands in their way, in any adapter."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, ClassVar

import pytest

import toolops_plugins
from toolops_plugins import Cache, Policy, ToolOps

__all__ = ["TRICKY", "KeywordConformance", "ToolKeywordConformance"]

_PATH = (
    "adapters", "callables", "calls", "coalesce", "codec", "concurrency", "drivers", "keys",
    "policy", "telemetry", "wrapping",
)  # fmt: skip
"""The folders of the core that a call of an adapter passes."""
TRICKY = (
    "args", "body", "call", "callbacks", "cls", "config", "context", "ctx", "form", "func",
    "function", "guard", "input", "kind", "kwargs", "key", "llm", "messages", "method", "model",
    "name", "ops", "others", "own", "policy", "question", "rest", "run_manager", "runtime", "scope",
    "self", "state", "store", "text", "tool", "tool_call_id", "tool_input", "value", "way",
)  # fmt: skip
"""Names of tools' own arguments that ours, or the frameworks', may be called."""
_KEPT = Policy(cache=Cache(ttl=60.0))
Seen = list[dict[str, Any]]


@cache
def own_names(package: ModuleType) -> tuple[str, ...]:
    """Return the names of all parameters and variables of our code in a call's path."""
    core = Path(toolops_plugins.__path__[0])
    files = [file for folder in _PATH for file in (core / folder).rglob("*.py")]
    files += [core / "runtime.py", *Path(package.__path__[0]).rglob("*.py")]
    return tuple(sorted({name for code in _codes_of(files) for name in code.co_varnames}))


@cache
def own_parameters(package: ModuleType) -> tuple[str, ...]:
    """Return the names of the parameters of an adapter, and of what the adapters share."""
    folders = Path(toolops_plugins.__path__[0]) / "adapters", Path(package.__path__[0])
    files = [file for folder in folders for file in folder.rglob("*.py")]
    found: set[str] = set()
    for code in _codes_of(files):
        found.update(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
    return tuple(sorted(found))


def _codes_of(files: Iterable[Path]) -> Iterator[CodeType]:
    for file in files:
        yield from _codes(compile(file.read_text(encoding="utf-8"), str(file), "exec"))


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _codes(inner)


class KeywordConformance:
    """The guarded methods of one object that take keywords of a user's.

    A subclass says how an object is made that notes the keywords which reach it, how it is guarded,
    and how each of its methods is called.

    Attributes:
        package: The adapter's package.
        ways: Call a method with keywords, by its name; plain or asynchronous functions.
        stores: Whether answers to calls with keywords are stored.
        uncounted: Keywords of the framework's that say how a call is watched.
    """

    package: ClassVar[ModuleType]
    ways: ClassVar[Mapping[str, Callable[[Any, dict[str, Any]], Any]]]
    stores: ClassVar[bool] = True
    uncounted: ClassVar[frozenset[str]] = frozenset()

    def original(self, seen: Seen) -> Any:
        """Return an object that appends the keywords of each call to a list."""
        raise NotImplementedError

    def guard(self, original: Any, ops: ToolOps, policy: Policy) -> Any:
        """Guard it."""
        raise NotImplementedError

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "way" in metafunc.fixturenames:
            metafunc.parametrize("way", list(self.ways))

    @pytest.fixture
    def ops(self) -> Iterator[ToolOps]:
        with ToolOps() as ops:
            yield ops

    async def test_keywords_named_like_variables_of_ours_reach_the_original(
        self, way: str, ops
    ) -> None:
        names = await self._accepted(way, own_names(self.package))
        for policy in (_KEPT, Policy()):
            seen: Seen = []
            guarded = self.guard(self.original(seen), ops, policy)
            for _ in range(2):
                await self._call(way, guarded, dict.fromkeys(names, 1))
            assert len(seen) == (1 if policy is _KEPT and self.stores else 2)
            assert all(names <= each.keys() for each in seen)

    async def test_each_keyword_counts_in_the_key(self, way: str, ops) -> None:
        seen: Seen = []
        guarded = self.guard(self.original(seen), ops, _KEPT)
        accepted = await self._accepted(way, own_parameters(self.package))
        names = sorted(accepted - self.uncounted)
        for count, name in enumerate(names, 1):
            await self._call(way, guarded, {name: 1})
            assert len(seen) == count, name
        await self._call(way, guarded, {names[-1]: 2})
        assert len(seen) == len(names) + 1

    async def _accepted(self, way: str, names: Sequence[str]) -> set[str]:
        """Return the names that the framework itself leaves to its users."""
        found = await self._find_accepted(way, names)
        assert len(found) > 0.8 * len(names)
        return found

    async def _find_accepted(self, way: str, names: Sequence[str]) -> set[str]:
        seen: Seen = []
        try:
            await self._call(way, self.original(seen), dict.fromkeys(names, 1))
        except Exception:
            seen.clear()
        if len(seen) == 1 and set(names) <= seen[0].keys():
            return set(names)
        if len(names) == 1:
            return set()
        middle = len(names) // 2
        halves = names[:middle], names[middle:]
        return {n for half in halves for n in await self._find_accepted(way, half)}

    async def _call(self, way: str, guarded: Any, given: dict[str, Any]) -> None:
        made = self.ways[way](guarded, given)
        if inspect.isawaitable(made):
            await made


class ToolKeywordConformance(KeywordConformance):
    """The guarded tools of one adapter: beside the above, each name as a parameter of a tool's."""

    def tool(self, function: Callable[..., Any]) -> Any:
        """Return the framework's tool of a function; an error if it can make none."""
        raise NotImplementedError

    async def test_an_argument_of_any_name_works_as_without_us(self, way: str, ops) -> None:
        left = 0
        for name in TRICKY:
            scope: dict[str, Any] = {"seen": [], "name": name}
            source = f"def find_{name}({name}: str) -> str:\n 'Find.'\n return note({name})"
            exec(_NOTE + source, scope)
            seen = scope["seen"]
            try:
                original = self.tool(scope[f"find_{name}"])
                for given in ("a", "b"):
                    await self._call(way, original, {name: given})
            except Exception:
                seen.clear()
            if seen != [[name, "a"], [name, "b"]]:
                continue  # the framework itself takes it
            left += 1
            seen.clear()
            guarded = self.guard(self.tool(scope[f"find_{name}"]), ops, _KEPT)
            for given in ("a", "b", "a", "b"):
                await self._call(way, guarded, {name: given})
            assert seen == [[name, "a"], [name, "b"]]
        assert left > 0.7 * len(TRICKY)


_NOTE = """
def note(given, seen=seen, name=name):
    seen.append([name, given])
    return str(given)
"""
