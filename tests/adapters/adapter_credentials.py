"""Models whose credentials are functions: kept, and never shared where they may differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, ClassVar

import httpx
import pytest

from toolops_plugins import CallEvent, ToolOps

__all__ = ["CredentialConformance"]


class Account:
    """An object whose method gives a token."""

    def __init__(self, name: str = "a") -> None:
        self.name = name

    def token(self) -> str:
        return f"secret of {self.name}"


class NamedAccount(Account):
    """As above, with a name that other processes know."""

    def __toolops_key__(self) -> str:
        return self.name


class Provider(Account):
    """An object that is a function itself."""

    def __call__(self) -> str:
        return self.token()


def _token(name: str) -> str:
    return f"secret of {name}"


def _closure() -> Callable[[], str]:
    name = "a"
    return lambda: _token(name)


def _coroutine() -> Callable[[], Any]:
    async def token() -> str:
        return _token("a")

    return token


MAKERS: dict[str, Callable[[], Any]] = {
    "closure": _closure,
    "coroutine function": _coroutine,
    "partial": lambda: partial(_token, "a"),
    "method": lambda: Account().token,
    "callable object": Provider,
}
"""Each makes another one that says the same, of which nobody can know."""


def sign(request: httpx.Request) -> None:
    """Sign a request."""


def sign_otherwise(request: httpx.Request) -> None:
    """Sign a request with another key."""


class CredentialConformance:
    """The function of one adapter that guards models, for models that hold functions.

    Attributes:
        kinds: Names of attributes of the model: "written" fields that the class writes down, of
            which "plain" has no name of credentials; one that is "excluded"; and a "private" one.
    """

    kinds: ClassVar[dict[str, str]] = {
        "written": "token_provider",
        "plain": "hook",
        "excluded": "azure_ad_token_provider",
        "private": "_credential",
        "client": "http_client",
    }

    def model(self, asked: list[Any], **attributes: Any) -> Any:
        """Return a model that answers "fine", with these attributes."""
        raise NotImplementedError

    def guard(self, model: Any, ops: ToolOps) -> Any:
        """Guard it."""
        raise NotImplementedError

    def ask(self, guarded: Any) -> None:
        """Ask it a question, always the same."""
        raise NotImplementedError

    @pytest.fixture
    def events(self) -> list[CallEvent]:
        return []

    @pytest.fixture
    def ops(self, events: list[CallEvent]) -> Iterator[ToolOps]:
        with ToolOps(sinks=[events.append]) as ops:
            yield ops

    @pytest.fixture
    def outcomes(self, ops: ToolOps, events: list[CallEvent]) -> Callable[..., list[str]]:
        """Asks a model for each value of an attribute, and returns what became of the calls."""

        def outcomes(attribute: str, *values: Any) -> list[str]:
            for value in values:
                self.ask(self.guard(self.model([], **{attribute: value}), ops))
            return [event.outcome for event in events]

        return outcomes

    @pytest.mark.parametrize("kind", ["written", "plain", "excluded", "private"])
    @pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
    def test_a_function_counts_as_itself(self, kind: str, make: Any, outcomes, caplog) -> None:
        one, other = make(), make()
        found = outcomes(self.kinds[kind], one, one, other, one, other)
        assert found == ["miss", "hit", "miss", "hit", "hit"]
        assert f".{self.kinds[kind]} is a function" in caplog.text
        assert "secret of" not in caplog.text
        assert len(caplog.records) == 1

    def test_methods_of_one_object_are_one_function(self, outcomes) -> None:
        account = Account()
        attribute = self.kinds["written"]
        found = outcomes(attribute, account.token, account.token, Account().token)
        assert found == ["miss", "hit", "miss"]

    def test_a_function_that_is_gone_is_taken_for_no_later_one(self, outcomes) -> None:
        for count in range(1, 6):
            assert outcomes(self.kinds["written"], _closure()) == ["miss"] * count

    @pytest.mark.parametrize("kind", ["written", "plain", "excluded", "private"])
    def test_functions_of_one_name_are_one(self, kind: str, outcomes, caplog) -> None:
        values: list[Any] = []
        for name in ("a", "a", "b"):
            value: Any = partial(_token, name)
            value.__toolops_key__ = name
            values.append(value)
        values += [NamedAccount("a").token, NamedAccount("a").token, NamedAccount("b").token]
        found = outcomes(self.kinds[kind], *values)
        assert found == ["miss", "hit", "miss"] * 2
        assert not caplog.records

    def test_a_value_that_cannot_be_told_is_named(self, outcomes, caplog) -> None:
        thing = object()
        assert outcomes("thing", thing, thing) == ["bypass"] * 2
        assert "of type object in " in caplog.text
        assert ".thing, which has no canonical form" in caplog.text
        assert repr(thing) not in caplog.text

    def test_a_value_inside_of_containers_is_found(self, outcomes) -> None:
        one, other = _closure(), _closure()
        values = [{"headers": [{"X": function}]} for function in (one, one, other)]
        assert outcomes("thing", *values) == ["miss", "hit", "miss"]

    @pytest.mark.parametrize(
        "options",
        [
            {"event_hooks": {"request": [sign]}},
            {"headers": {"Authorization": "a"}},
            {"auth": ("a", "b")},
            {"auth": sign},
            {"cookies": {"session": "a"}},
            {"params": {"key": "a"}},
            {"transport": httpx.HTTPTransport()},
        ],
        ids=lambda options: next(iter(options)),
    )
    def test_a_client_counts_with_what_it_adds_to_requests(self, options, outcomes) -> None:
        with httpx.Client(**options) as one, httpx.Client(**options) as equal:
            plain = [httpx.Client(), httpx.Client(timeout=7)]
            found = outcomes(self.kinds["client"], None, *plain, one, one, equal)
            for client in plain:
                client.close()
        adds = "transport" not in options  # httpx's own, which adds nothing
        assert found == ["miss", "hit", "hit", "miss" if adds else "hit", "hit", "hit"]

    def test_clients_with_other_hooks_are_others(self, outcomes) -> None:
        clients = [
            httpx.Client(event_hooks={"request": [hook]})
            for hook in (sign, sign_otherwise, sign, lambda _: None)
        ]
        found = outcomes(self.kinds["client"], *clients)
        for client in clients:
            client.close()
        assert found == ["miss", "miss", "hit", "miss"]

    def test_a_model_that_is_changed_is_another(self, ops, events) -> None:
        model = self.guard(self.model([], token_provider=None), ops)
        for value in (None, _closure(), None):
            model.token_provider = value
            for _ in range(2):
                self.ask(model)
        assert [event.outcome for event in events] == ["miss", "hit", "miss", "hit", "hit", "hit"]
