"""The digest of a model's identity is made again whenever the model has changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from toolops_plugins.adapters.identity_memo import IdentityMemo
from toolops_plugins.keys.canonical import Canon


class Client:
    """An object that has no canonical form."""


class Model(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True, extra="allow")

    model: str = "m"
    temperature: Any = 1
    options: Any = Field(default_factory=dict)
    callbacks: Any = None
    _mode: Any = PrivateAttr(default="a")
    _client: Any = PrivateAttr(default=None)


class Memo:
    """A memory, and how often it has made the identity."""

    def __init__(self) -> None:
        self.made = 0
        self._memo = IdentityMemo(Canon(), {"callbacks"}, _is_client)

    def __call__(self, model: Model) -> Any:
        def make() -> Any:
            self.made += 1
            return [model.model, model.temperature, model.options, model.model_extra, model._mode]

        return self._memo.identity(model, make)


def _is_client(model: Any, name: str, value: Any) -> bool:
    return name == "_client" and isinstance(value, Client)


def _set(name: str, value: Any) -> Callable[[Model], None]:
    return lambda model: setattr(model, name, value)


CHANGES: dict[str, Callable[[Model], Any]] = {
    "a text": _set("model", "n"),
    "the type of a number": _set("temperature", 1.0),
    "a truth value": _set("temperature", True),
    "a dict": _set("options", {"a": [2]}),
    "a dict in place": lambda model: model.options.update(b=2),
    "a type in a dict, in place": lambda model: model.options.update(a=[True]),
    "a list in place": lambda model: model.options["a"].append(2),
    "an extra value": _set("more", 1),
    "a private attribute": _set("_mode", "b"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_noticed(change: Callable[[Model], Any]) -> None:
    model, memo = Model(options={"a": [1]}), Memo()
    model._client = Client()
    before = memo(model)
    assert memo(model) == before
    assert memo.made == 1
    change(model)
    after = memo(model)
    assert memo.made == 2
    assert after == memo(model)
    assert after != before
    assert after == Memo()(model)  # by itself, not by what came before


def test_what_does_not_count_may_be_anything() -> None:
    model, memo = Model(callbacks=[object()]), Memo()
    model._client = Client()
    assert memo(model) == memo(model)
    assert memo.made == 1
    assert memo(Model()) == memo(model)


@pytest.mark.parametrize("value", [{"a": Client()}, [{1}], {"a": list(range(1_000))}])
def test_what_could_change_unnoticed_is_looked_at_each_time(value: Any) -> None:
    model, memo = Model(options=value), Memo()
    memo(model)
    memo(model)
    assert memo.made == 2


def test_copies_of_a_model_share_the_memory() -> None:
    model, memo = Model(), Memo()
    before = memo(model)
    copy = model.model_copy(update={"temperature": 2})
    assert memo(copy) != before
    assert memo(model) == before


def test_an_identity_without_a_form_is_handed_on() -> None:
    canon = Canon()
    client = Client()
    assert IdentityMemo(canon, (), _is_client).identity(Model(), lambda: [client]) == [client]
    model = Model()
    assert IdentityMemo(canon, (), _is_client).identity(model, lambda: model) is model


def test_a_property_in_place_of_a_field_is_asked_each_time() -> None:
    class Computed(Model):
        pass

    Computed.model = property(lambda self: "n")  # type: ignore[assignment, misc]  # a class of a user may have one
    model, memo = Computed(), Memo()
    memo(model)
    memo(model)
    assert memo.made == 2
