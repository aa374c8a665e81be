"""The identity of an embedder follows its settings, and not what it counts and remembers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, PrivateAttr

from toolops_plugins.adapters.embedding_identity import LiveIdentity, identity_parts
from toolops_plugins.adapters.internals import Canon


class Model(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True, extra="allow")

    model: str = "m"
    calls: int = 0
    seconds: float = 0.0
    texts: list[str] = []
    known: dict[str, int] = {}
    seen: set[str] = set()
    options: Any = None
    strict: bool = False
    _loaded: str | None = PrivateAttr(default=None)
    _prefix: str = PrivateAttr(default="")


def live(model: Model, *, is_counting: bool = True) -> LiveIdentity:
    def make() -> dict[str, bytes]:
        private = model.__pydantic_private__ or {}
        values = {**vars(model), **(model.model_extra or {})}
        fields = {name: each for name, each in values.items() if each is not None}
        return identity_parts(
            fields, private, Canon(), is_named=True, is_told=False, option="model"
        )

    return LiveIdentity(model, make, is_counting=is_counting)


def count(model: Model) -> None:
    model.calls += 1
    model.seconds += 0.5
    model.texts.append("a")
    model.known[f"a{model.calls}"] = 1
    model.seen.add(f"a{model.calls}")
    model._loaded = "weights"


CHANGES: dict[str, Callable[[Model], Any]] = {
    "field": lambda model: setattr(model, "model", "other"),
    "number": lambda model: setattr(model, "calls", 5),
    "bool": lambda model: setattr(model, "strict", True),
    "list": lambda model: model.texts.append("b"),
    "dict": lambda model: model.known.update(b=1),
    "deep": lambda model: setattr(model, "options", {"a": [1]}),
    "private": lambda model: setattr(model, "_prefix", "query: "),
    "extra": lambda model: setattr(model, "more", 1),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_from_outside_counts(kind):
    model = Model()
    identity = live(model)
    before = identity.current()
    assert identity.current() == before
    CHANGES[kind](model)
    after = identity.current()
    assert after != before
    assert identity.current() == after
    assert live(model).current() == after


def test_a_change_inside_of_a_nested_value_counts():
    model = Model(options={"extra_body": {"tags": ["x"]}})
    identity = live(model)
    before = identity.current()
    model.options["extra_body"]["tags"].append("y")
    changed = identity.current()
    model.options["extra_body"]["tags"].pop()
    assert changed != before == identity.current()


def test_objects_that_may_change_inside_are_looked_at_each_time():
    class Options:
        def __init__(self) -> None:
            self.tags = ["x"]

        def __toolops_key__(self) -> Any:
            return self.tags

    model = Model(options=[Options()])
    identity = live(model)
    before = identity.current()
    model.options[0].tags.append("y")
    assert identity.current() != before


def test_what_grows_while_the_embedder_works_does_not_count():
    model = Model()
    identity = live(model)
    before = identity.current()
    for _ in range(3):
        with identity.watch():
            count(model)
            # Of another caller, who comes while it works.
            assert identity.current() == before
        assert identity.current() == before
    model.strict = True
    changed = identity.current()
    assert changed != before
    with identity.watch():
        count(model)
    assert identity.current() == changed


@pytest.mark.parametrize("kind", ["field", "bool", "private"])
def test_a_setting_that_changes_while_the_embedder_works_counts(kind):
    model = Model()
    identity = live(model)
    before = identity.current()
    with identity.watch():
        CHANGES[kind](model)
    assert identity.current() != before


def test_a_class_that_does_not_count_may_change_a_number_as_a_setting():
    model = Model()
    identity = live(model, is_counting=False)
    before = identity.current()
    with identity.watch():
        model.calls = 8
    assert identity.current() != before


def test_a_counter_that_is_set_back_is_as_it_was():
    model = Model()
    identity = live(model)
    before = identity.current()
    with identity.watch():
        model.calls += 1
    model.calls = 0
    assert identity.current() == before
