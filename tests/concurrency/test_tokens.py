"""Tokens for which threads wait in turn."""

from __future__ import annotations

import threading
import time

import pytest
from callers import start
from hypothesis import given
from hypothesis import strategies as st

from toolops_plugins.concurrency.tokens import Tokens

LONG = 20.0


def await_waiters(tokens: Tokens, count: int) -> None:
    end = time.monotonic() + LONG
    while len(tokens._waiters) < count:
        assert time.monotonic() < end
        time.sleep(0.001)


def test_a_token_goes_to_whoever_has_waited_longest() -> None:
    tokens = Tokens(1)
    assert tokens.take(0.0)
    assert not tokens.take(0.0)
    order: list[int] = []

    def wait(number: int) -> None:
        assert tokens.take(LONG)
        order.append(number)
        tokens.give_back()

    waiters = []
    for number in range(5):
        waiters.append(start(wait, number))
        await_waiters(tokens, number + 1)
    tokens.give_back()
    for waiter in waiters:
        waiter.result(LONG)
    assert order == [0, 1, 2, 3, 4]
    assert tokens.take(0.0)
    assert not tokens.take(0.0)


def test_a_wait_ends_however_short_it_is(spinning_threads: None) -> None:
    tokens = Tokens(0)
    assert not any(tokens.take(1e-6) for _ in range(300))
    assert not tokens._waiters


def test_a_wait_longer_than_locks_allow() -> None:
    tokens = Tokens(0)
    waiter = start(tokens.take, float("inf"))
    await_waiters(tokens, 1)
    tokens.give_back()
    assert waiter.result(LONG)


class Interrupted(BaseException):
    """As another thread may raise it in this one."""


def test_an_interrupted_wait_keeps_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = Tokens(1)
    assert tokens.take(0.0)

    class Lock:
        """A lock whose wait is interrupted, after the token has come or before."""

        def __init__(self) -> None:
            self.waits = False

        def acquire(self, timeout: float = -1.0) -> bool:
            if self.waits:
                if comes:
                    tokens.give_back()
                raise Interrupted
            self.waits = True
            return True

        def release(self) -> None:
            pass

    monkeypatch.setattr(threading, "Lock", Lock)
    for comes in (False, True):
        with pytest.raises(Interrupted):
            tokens.take(LONG)
        assert not tokens._waiters
        assert tokens.take(0.0) is comes


@given(st.lists(st.booleans(), max_size=50), st.integers(0, 5))
def test_there_are_never_more_tokens_than_were_made(steps: list[bool], count: int) -> None:
    tokens, held = Tokens(count), 0
    for takes in steps:
        if takes:
            assert tokens.take(0.0) is (held < count)
            held = min(held + 1, count)
        elif held:
            tokens.give_back()
            held -= 1
