"""The functions that wrap tools agree in all adapters: what they take, do and refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from toolops_plugins import (
    Cache,
    CircuitBreaker,
    ConfigurationError,
    Policy,
    RateLimit,
    ToolOps,
    get_default,
    set_default,
)

__all__ = ["WrappingConformance"]

CELL = """
@tool
def search(query: str) -> str:
    "Search."
    made.append(query)
    return {body!r}
wrapped = wrap(search, policy())
"""


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"policy": ToolOps("other")}, "policy: must be a Policy; a runtime is given by name: ops="),
    ({"policy": Cache()}, r"did you mean Policy\(cache=...\)"),
    ({"ops": "shop"}, "ops: must be a ToolOps or None"),
    ({"secret": "query"}, "secret: must be a list of names"),
    ({"ignore": "query"}, "ignore: must be a list of names"),
    ({"secret": ["nothing"]}, "secret: names 'nothing', which .* take"),
    ({"ignore": ["nothing"]}, "ignore: names 'nothing', which .* take"),
    ({"nonsense": 1}, "nonsense: is no part of a policy"),
    ({"cache": Cache(version="2"), "version": "3"}, "version: is given twice"),
]
KEPT = Policy(cache=Cache(ttl=60))


class WrappingConformance:
    """The functions of one adapter that wrap tools.

    Attributes:
        wrap_tool: Wraps one tool.
        wrap_tools: Wraps several.
        tool: Makes a tool of the framework of a function.
        ask: Calls a wrapped tool with keyword arguments, and returns what its function returned.
    """

    wrap_tool: ClassVar[Callable[..., Any]]
    wrap_tools: ClassVar[Callable[..., list[Any]]]
    tool: ClassVar[Callable[[Any], Any]]
    ask: ClassVar[Callable[..., Any]]

    @pytest.fixture
    def ops(self) -> Iterator[ToolOps]:
        with ToolOps() as made:
            yield made

    @pytest.fixture
    def runs(self) -> list[tuple[str, int]]:
        return []

    @pytest.fixture
    def search(self, runs: list[tuple[str, int]]) -> Callable[..., str]:
        def search(query: str, limit: int = 1) -> str:
            """Search."""
            runs.append((query, limit))
            return f"found {query}"

        return search

    def test_a_function_is_taken_as_a_tool(self, search, runs, ops) -> None:
        (first,) = self.wrap_tools([search], KEPT, ops=ops)
        second = self.wrap_tool(self.tool(search), KEPT, ops=ops)
        for each in (first, second):
            assert self.ask(each, query="x") == "found x"
        assert runs == [("x", 1)]

    def test_secret_and_ignored_arguments_are_named(self, search, runs, ops) -> None:
        wrapped = self.wrap_tool(search, KEPT, ops=ops, secret=["query"], ignore=["limit"])
        for limit in (1, 2):
            assert self.ask(wrapped, query="x", limit=limit) == "found x"
        assert runs == [("x", 1)]

    def test_tools_of_one_given_name_share_their_results(self, search, runs, ops) -> None:
        for _ in range(2):
            wrapped = self.wrap_tool(search, KEPT, ops=ops, name="shared")
            assert self.ask(wrapped, query="x") == "found x"
        assert ops.stats()["shared"].hits == 1
        assert runs == [("x", 1)]

    def test_without_a_runtime_it_is_the_default_one(self, search, ops) -> None:
        before = get_default()
        set_default(ops)
        try:
            self.ask(self.wrap_tool(search, KEPT), query="x")
        finally:
            set_default(before)
        assert ops.stats()["search"].misses == 1

    @pytest.mark.parametrize(("options", "problem"), WRONG)
    def test_wrong_options_are_refused(self, options, problem, search, ops) -> None:
        for wrap, wanted in ((self.wrap_tool, search), (self.wrap_tools, [search])):
            with pytest.raises(ConfigurationError, match=problem):
                wrap(wanted, **{"ops": ops, **options})

    def test_a_wrong_name_is_refused(self, search, ops) -> None:
        with pytest.raises(ConfigurationError, match="name: must be a non-empty string"):
            self.wrap_tool(search, ops=ops, name="")

    @pytest.mark.parametrize("wanted", [None, 3, object()])
    def test_what_is_no_tool_is_refused(self, wanted, ops) -> None:
        with pytest.raises(ConfigurationError, match="tool: must be a .* tool or a function, not"):
            self.wrap_tool(wanted, ops=ops)

    def test_what_is_not_several_tools_is_refused(self, search, ops) -> None:
        for wanted in (self.tool(search), "tools", {"a": search}, None):
            with pytest.raises(ConfigurationError, match="tools: must be several tools, not"):
                self.wrap_tools(wanted, ops=ops)

    def test_what_has_a_policy_is_refused(self, search, ops) -> None:
        wrapped = self.wrap_tool(search, ops=ops)
        decorated = ops.tool(search)
        for again in (wrapped, decorated, self.tool(decorated)):
            with pytest.raises(ConfigurationError, match="behind a policy already"):
                self.wrap_tool(again, ops=ops)

    def test_a_cell_of_a_notebook_is_run_again(self) -> None:
        """An edited body is asked anew, the same one is not."""
        with ToolOps(retry_budget=None) as ops:
            rates = iter(["9/h", "9/h", "8/h", "7/h", "7/h"])

            def policy() -> Policy:
                return Policy(
                    cache=Cache(ttl=60),
                    breaker=CircuitBreaker(on=lambda error: isinstance(error, OSError)),
                    rate_limit=RateLimit(next(rates), cost=lambda **_: 1.0),
                )

            names: dict[str, Any] = {
                "__name__": "notebook",
                "tool": self.tool,
                "wrap": lambda made, policy: self.wrap_tool(made, policy, ops=ops),
                "policy": policy,
                "made": [],
            }
            asked = []
            for number, body in enumerate(["first", "first", "second", "second", "first"]):
                exec(compile(CELL.format(body=body), f"<ipython-input-{number}>", "exec"), names)
                assert self.ask(names["wrapped"], query="x") == body
                asked.append(len(names["made"]))
            assert asked == [1, 1, 2, 2, 2]
