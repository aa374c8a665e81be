"""What a type checker sees of wrapped functions; `make lint` checks it, nobody runs it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

from toolops_plugins import Cache, Policy, Retry, Timeout, ToolOps

ops = ToolOps("typing")


@ops.tool(cache=Cache(ttl=60), retry=Retry(attempts=2), timeout=Timeout(total=5))
def plain(ticker: str, day: int = 0) -> dict[str, int]:
    return {ticker: day}


@ops.tool
async def coroutine(ticker: str) -> int:
    return len(ticker)


@ops.tool(policy=Policy(cache=Cache(ttl=60)))
def stream(count: int) -> Iterator[int]:
    yield count


@ops.tool(cache=Cache(ttl=60))
async def astream(count: int) -> AsyncIterator[int]:
    yield count


class Shop:
    @ops.tool(cache=Cache(ttl=60))
    def price(self, ticker: str) -> float:
        return float(len(ticker))


assert_type(plain("ACME", day=1), dict[str, int])
assert_type(stream(3), Iterator[int])
assert_type(astream(3), AsyncIterator[int])
assert_type(Shop().price("ACME"), float)
assert_type(plain.key("ACME"), str)
assert_type(plain.policy, Policy)
plain.invalidate("ACME")

plain(1)  # type: ignore[arg-type] # a wrong argument is seen through the wrapper
plain.key(ticker=1)  # type: ignore[arg-type] # and through its helpers
Shop().price(1)  # type: ignore[arg-type] # and through a method
ops.tool(retry=3)  # type: ignore[call-overload] # a part of a policy has its type


async def calls() -> None:
    assert_type(await coroutine("ACME"), int)
    assert_type(ops.call(plain.__wrapped__, "ACME"), Any)
    assert_type(await ops.gather(coroutine("a"), coroutine("b"), limit=2), list[int])
    assert_type(ops.map(len, ["a"]), list[int])
    async with ops as same:
        assert_type(same, ToolOps)
