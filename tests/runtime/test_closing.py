"""``with`` and ``async with`` close what they opened, with or without an error."""

from __future__ import annotations

import pytest

from toolops_plugins.closing import Closing


class Door(Closing):
    def __init__(self) -> None:
        self.done: list[str] = []

    def close(self) -> None:
        self.done.append("close")

    async def aclose(self) -> None:
        self.done.append("aclose")


def test_with_closes():
    door = Door()
    with door as same:
        assert same is door
        assert door.done == []
    assert door.done == ["close"]
    with pytest.raises(KeyError), door:
        raise KeyError
    assert door.done == ["close", "close"]


async def test_async_with_closes():
    door = Door()
    async with door as same:
        assert same is door
        assert door.done == []
    assert door.done == ["aclose"]
    with pytest.raises(KeyError):
        async with door:
            raise KeyError
    assert door.done == ["aclose", "aclose"]
