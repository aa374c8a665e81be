"""A hit of a wrapped tool is what the miss was, in value and type, in all adapters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from value_kinds import KINDS, PLAIN, describe

from toolops_plugins import Cache, Memory, Policy, Redis, ToolOps

__all__ = ["ValuesConformance"]

KEPT = Policy(cache=Cache(ttl=60))
ALWAYS = {*PLAIN, "tuple", "tuple inside", "set", "bytes", "int keys", "Decimal", "UUID", "nan"}
"""Kinds that no adapter may refuse to keep."""


class ValuesConformance:
    """What the tools of one adapter return, from the tool and from every tier.

    Attributes:
        wrap_tool: Wraps one tool.
        ask: Calls a wrapped tool with keyword arguments, and returns what its function returned.
        tool: Makes of a function what is wrapped. Default: the function itself.
    """

    wrap_tool: ClassVar[Callable[..., Any]]
    ask: ClassVar[Callable[..., Any]]
    tool: ClassVar[Callable[[Any], Any]] = staticmethod(lambda function: function)

    @pytest.fixture(params=["memory", "redis"])
    def runtimes(self, request, namespace) -> Iterator[list[ToolOps]]:
        """Two runtimes that share a server, or one."""
        if request.param == "memory":
            with ToolOps(namespace, [Memory()]) as only:
                yield [only]
            return
        url = request.getfixturevalue("valkey").url
        tiers = [Redis(url, socket_timeout=10, connect_timeout=10) for _ in range(2)]
        with ToolOps(namespace, tiers[:1]) as one, ToolOps(namespace, tiers[1:]) as other:
            yield [one, other]

    def test_a_hit_is_what_the_miss_was_in_value_and_type(self, runtimes) -> None:
        kept = set()
        for number, (kind, make) in enumerate(KINDS.items()):
            value = make()
            runs: list[int] = []
            plain = self.tool(_returns(value, runs))
            tools = [
                self.wrap_tool(plain, KEPT, ops=ops, name=f"tool_{number}") for ops in runtimes
            ]
            for tool in (*tools, *tools):
                answer = self.ask(tool, query="x")
                assert describe(answer) == describe(value), (kind, len(runs))
            if len(runs) == 1:
                kept.add(kind)
        assert kept >= ALWAYS


def _returns(value: Any, runs: list[int]) -> Callable[[str], Any]:
    def search(query: str) -> Any:
        """Search."""
        runs.append(1)
        return value

    return search
