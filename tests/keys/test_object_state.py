"""The state of arguments and receivers in keys, and classes of one name."""

from __future__ import annotations

import dataclasses
import enum
import functools
import gc
import os
import subprocess
import sys
import threading
import time
from collections import OrderedDict, defaultdict
from contextvars import ContextVar
from pathlib import Path, PurePosixPath
from typing import Any, Generic, TypeVar

import attrs
import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolops_plugins import Cache, ToolOps
from toolops_plugins.errors import NotCanonicalError
from toolops_plugins.keys.canonical import Canon
from toolops_plugins.keys.keyer import Keyspace

canon = Canon()


class Session(pydantic.BaseModel):
    host: str = "h"
    _user: Any = pydantic.PrivateAttr(default=None)
    __hash__ = object.__hash__


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    host: str = "h"


@dataclasses.dataclass
class Desk:
    name: str = "x"
    user: dataclasses.InitVar[Any] = None

    @functools.cached_property
    def salute(self) -> str:
        return "hello"


@dataclasses.dataclass(slots=True, weakref_slot=True)
class Slim:
    name: str = "x"


class SlimChild(Slim):
    __slots__ = ("__user", "user")

    def hide(self, user: Any) -> None:
        self.__user = user


@attrs.define(slots=False)
class Attrs:
    name: str = "x"


@attrs.define
class SlotAttrs:
    name: str = "x"
    user: Any = None


@dataclasses.dataclass
class Bag(dict):
    name: str = "x"


class Row(dict):
    __slots__ = ("user",)


T = TypeVar("T")


@dataclasses.dataclass
class Box(Generic[T]):
    content: T


class Names(list):
    pass


class Text(str):
    __slots__ = ("__dict__",)


class Number(int):
    pass


class Folder(PurePosixPath):
    pass


class Array(np.ndarray):
    user: Any = None


class Secret(pydantic.SecretStr):
    pass


MAKERS = [
    Session, Open, Desk, SlimChild, Attrs, SlotAttrs, Bag, Row, Names, Folder,
    lambda: Text("x"), lambda: Number(1), lambda: np.zeros(2).view(Array), lambda: Secret("x"),
]  # fmt: skip


def set_user(value: Any, user: Any) -> Any:
    if isinstance(value, Session):
        value._user = user
    elif isinstance(value, SlimChild) and user is not None:
        value.hide(user)
    else:
        object.__setattr__(value, "user", user)
    return value


@pytest.mark.parametrize("make", MAKERS, ids=lambda m: getattr(m, "__qualname__", "x"))
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: {"a": (v,)}])
def test_state_that_is_no_field_counts(make: Any, wrap: Any) -> None:
    bob = canon.encode(wrap(set_user(make(), "bob")))
    assert bob == canon.encode(wrap(set_user(make(), "bob")))
    assert bob != canon.encode(wrap(set_user(make(), "ann")))
    assert bob != canon.encode(wrap(make()))
    with pytest.raises(NotCanonicalError):
        canon.encode(wrap(set_user(make(), threading.Lock())))


@given(st.data())
def test_two_states_are_one_key_exactly_when_they_are_equal(data: st.DataObject) -> None:
    make = data.draw(st.sampled_from(MAKERS))
    users = st.integers() | st.text(max_size=3) | st.lists(st.booleans(), max_size=2)
    one, two = data.draw(users), data.draw(users)
    same = type(one) is type(two) and one == two
    assert (canon.encode(set_user(make(), one)) == canon.encode(set_user(make(), two))) == same


def test_what_is_set_on_an_enum_s_member_counts() -> None:
    class Planet(enum.Enum):
        EARTH = 1, 2

        def __init__(self, mass: float, radius: float) -> None:
            self.mass, self.radius = mass, radius
            self.lock = threading.Lock()

    plain = canon.encode(Planet.EARTH)
    Planet.EARTH.user = "ann"
    ann = canon.encode(Planet.EARTH)
    Planet.EARTH.user = "bob"
    assert len({plain, ann, canon.encode(Planet.EARTH)}) == 3


def test_what_is_set_on_the_instance_in_place_of_a_cached_property_counts() -> None:
    one, two = Desk(), Desk()
    one.salute = "good day"
    two.salute = "good night"
    assert canon.encode(one) != canon.encode(two)


def test_which_fields_of_a_model_were_set_does_not_count() -> None:
    assert canon.encode(Session(host="h")) == canon.encode(Session())


def test_the_content_of_a_builtin_under_a_dataclass_counts() -> None:
    one, two = Bag(), Bag()
    one["a"] = 1
    assert canon.encode(one) != canon.encode(two)


def test_what_a_generic_class_was_called_with_counts() -> None:
    assert canon.encode(Box[int](1)) == canon.encode(Box[int](1))
    kinds = Box(1), Box[int](1), Box[float](1)
    assert len({canon.encode(box) for box in kinds}) == 3


def test_a_default_factory_counts_and_a_lambda_has_no_form() -> None:
    assert canon.encode(defaultdict(list)) != canon.encode(defaultdict(set))
    with pytest.raises(NotCanonicalError):
        canon.encode(defaultdict(lambda: 0))


def test_hidden_fields_of_a_time_count() -> None:
    now = time.localtime(0)
    other = time.struct_time(tuple(now), {"tm_zone": "XXX", "tm_gmtoff": 7})
    assert tuple(now) == tuple(other)
    assert canon.encode(now) != canon.encode(other)


def test_an_ordered_subclass_keeps_its_order() -> None:
    class Kind(OrderedDict):
        pass

    assert canon.encode(Kind(a=1, b=2)) != canon.encode(Kind(b=2, a=1))


def test_arrays_of_other_kinds_are_distinguished() -> None:
    plain = np.array([1.0, 2.0])
    shown = np.ma.array(plain, mask=[False, False])
    hidden = np.ma.array(plain, mask=[True, False])
    other = np.ma.array(plain, mask=[True, False], fill_value=7.0)
    kinds = [plain, shown, hidden, other, plain.view(Array)]
    assert len({canon.encode(each) for each in kinds}) == len(kinds)
    assert canon.encode(np.ma.array(plain, mask=[True, False])) == canon.encode(hidden)
    tagged = np.zeros(1, dtype=np.dtype("i4", metadata={"unit": "m"}))
    assert canon.encode(tagged) != canon.encode(np.zeros(1, dtype="i4"))
    pair = np.zeros(1, dtype=[("a", "i4"), ("b", "i4")])
    assert canon.encode(pair) != canon.encode(pair.view(np.recarray))
    assert canon.encode(pair[0]) != canon.encode(pair.view([("b", "i4"), ("a", "i4")])[0])
    assert canon.encode(np.str_("a\0")) != canon.encode(np.str_("a"))
    with pytest.raises(NotCanonicalError):
        canon.encode(np.ma.array([object()], dtype=object))


# -- receivers -------------------------------------------------------------------------------


@pytest.mark.parametrize("make", MAKERS[:4], ids=lambda m: getattr(m, "__qualname__", "x"))
def test_a_receiver_that_holds_what_has_no_form_is_itself_and_what_it_holds(make: Any) -> None:
    one, two = set_user(make(), threading.Lock()), set_user(make(), threading.Lock())
    assert canon.receiver(one) == canon.receiver(one) != canon.receiver(two)
    before = canon.receiver(one)
    field = "host" if hasattr(one, "host") else "name"
    setattr(one, field, "other")
    assert canon.receiver(one) != before
    setattr(one, field, "h" if field == "host" else "x")
    assert canon.receiver(one) == before


def test_what_a_receiver_holds_beside_a_lock_counts_at_any_depth() -> None:
    desk = Desk()
    desk.state = {"lock": threading.Lock(), "user": "ann"}
    ann = canon.receiver(desk)
    desk.state["user"] = "bob"
    assert canon.receiver(desk) != ann
    desk.state["user"] = "ann"
    assert canon.receiver(desk) == ann


def test_a_receiver_that_raises_when_it_is_looked_at_is_itself() -> None:
    @dataclasses.dataclass
    class Odd:
        name: str = "x"

        def __getattribute__(self, name: str) -> Any:
            if name == "name":
                raise RuntimeError(name)
            return object.__getattribute__(self, name)

    one, two = Odd(), Odd()
    assert canon.receiver(one) == canon.receiver(one) != canon.receiver(two)


class Masked:
    """A descriptor that shows something else than is held."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: Any = None) -> str:
        return "***"

    def __set__(self, instance: Any, value: str) -> None:
        vars(instance)[self.name] = value


@dataclasses.dataclass
class MaskedLogin:
    token: Any = Masked()


class MaskedModel(pydantic.BaseModel):
    token: str

    def __getattribute__(self, name: str) -> Any:
        return "***" if name == "token" else super().__getattribute__(name)


@pytest.mark.parametrize("kind", [MaskedLogin, MaskedModel])
def test_what_a_field_holds_counts_and_not_only_what_it_shows(kind: Any) -> None:
    ann, again, bob = kind(token="ann"), kind(token="ann"), kind(token="bob")
    assert ann.token == bob.token
    encode = Canon().encode
    assert encode(ann) == encode(again)
    assert encode(ann) != encode(bob)


def test_a_receiver_that_contains_itself_counts_with_its_state() -> None:
    @dataclasses.dataclass
    class Session:
        user: str
        itself: Any = None

    canon = Canon()
    session = Session("ann")
    session.itself = [session]
    before = canon.receiver(session)
    assert canon.receiver(session) == before
    session.user = "bob"
    assert canon.receiver(session) != before


def test_methods_and_arguments_never_share_between_sessions() -> None:
    class Mail(Session):
        @ToolOps().readonly
        def inbox(self) -> str:
            return f"mail of {self._user}"

    ops = ToolOps()

    @ops.readonly
    def read(session: Session) -> str:
        return f"mail of {session._user}"

    for user in ("ann", "bob", "ann"):
        assert set_user(Mail(), user).inbox() == f"mail of {user}"
        assert read(set_user(Session(), user)) == f"mail of {user}"
    assert ops.stats().total.hits == 1


def test_an_argument_without_a_form_bypasses_and_says_so() -> None:
    notices: list[Any] = []

    class Sink:
        def __call__(self, event: Any) -> None: ...

        def on_notice(self, notice: Any) -> None:
            notices.append((notice.kind, notice.detail))

    ops = ToolOps(sinks=[Sink()])
    ran: list[Any] = []

    @ops.readonly
    def read(session: Session) -> int:
        ran.append(session)
        return len(ran)

    session = set_user(Session(), threading.Lock())
    assert (read(session), read(session)) == (1, 2)
    assert notices == [("bypass", "not_canonical")]


# -- classes of one name ---------------------------------------------------------------------


def enums(*values: Any) -> list[Any]:
    def make(value: Any) -> Any:
        class Colour(enum.Enum):
            RED = value

        return Colour.RED

    return [make(value) for value in values]


def records() -> list[Any]:
    def make(tax: float) -> Any:
        @dataclasses.dataclass
        class Price:
            net: float = 1.0

            def gross(self) -> float:
                return self.net * tax

        return Price()

    def other() -> Any:
        @dataclasses.dataclass
        class Price:
            net: float = 1.0

            def gross(self) -> float:
                return self.net + 1

        Price.__qualname__ = type(made[0]).__qualname__
        return Price()

    made = [make(1.2), make(1.5)]
    return [*made, other()]


def models() -> list[Any]:
    def make(sign: int) -> Any:
        class Item(pydantic.BaseModel):
            count: int = 1

            def scale(self) -> int:
                return sign * self.count

        return Item()

    return [make(1), make(-1)]


def text_classes() -> list[Any]:
    def make(sign: str) -> Any:
        class Name(str):
            __slots__ = ()
            SIGN = sign

        return Name("a")

    return [make("+"), make("-")]


@pytest.mark.parametrize(
    "make",
    [
        lambda: enums(1, 2, "a"),
        lambda: [enum.Enum("Colour", {"RED": n}).RED for n in (1, 2)],
        records,
        models,
        text_classes,
        lambda: [
            dataclasses.make_dataclass("Made", ["x"], namespace={"n": n})(1) for n in range(2)
        ],
        lambda: [pydantic.create_model("Made", x=(int, n))(x=1) for n in range(2)],
    ],
)
def test_instances_of_different_classes_of_one_name_are_distinguished(make: Any) -> None:
    values = make()
    assert len({(type(v).__module__, type(v).__qualname__) for v in values}) == 1
    assert len({canon.encode(v) for v in values}) == len(values)
    assert len({canon.encode(type(v)) for v in values}) == len(values)
    assert [canon.encode(v) for v in make()] == [canon.encode(v) for v in values]


def test_a_class_that_holds_what_has_no_form_is_known_by_itself() -> None:
    def make() -> Any:
        class Name(str):
            __slots__ = ()
            LOCK = threading.Lock()

        return Name("a")

    one, two = make(), make()
    assert canon.encode(one) == canon.encode(type(one)("a")) != canon.encode(two)


def test_a_class_that_is_made_anew_under_its_name_is_another_one() -> None:
    before = canon.encode(Slim())
    code = "import dataclasses\n@dataclasses.dataclass\nclass Slim:\n    name: str = 'x'\n"
    scope: dict[str, Any] = {"__name__": __name__}
    exec(code, scope)
    assert canon.encode(scope["Slim"]()) != before
    assert canon.encode(Slim()) == before


def test_definitions_keep_no_class_alive() -> None:
    def use() -> None:
        for value in (*enums(1), *records()):
            canon.encode(value)

    use()
    gc.collect()
    before = len(canon._definitions)
    for _ in range(3):
        use()
    gc.collect()
    assert len(canon._definitions) == before


LOCAL = """
import dataclasses, enum, sys
import pydantic
from toolops_plugins.keys.canonical import Canon
class Top(enum.Enum):
    RED = 1
def make():
    class Colour(enum.Enum):
        RED = 1
        @property
        def nice(self): return self.value in {"a", "b", "c"}
    @dataclasses.dataclass
    class Point:
        x: int = 1
        colour: Colour = Colour.RED
        names: list = dataclasses.field(default_factory=list)
        def norm(self): return {"x": self.x, "colour": Colour.RED}
    class Model(pydantic.BaseModel):
        point: Point = dataclasses.field(default=None)
        tags: list[str] = pydantic.Field(default_factory=list)
        @pydantic.field_validator("tags")
        @classmethod
        def check(cls, value): return value
    class Text(str): pass
    return [Colour.RED, Point(), Model(point=Point()), Text("a"), Colour, Top.RED]
print([Canon().encode(value).hex() for value in make()])
"""


def run(*args: str, **environ: str) -> str:
    path = ":".join(sys.path)
    done = subprocess.run(
        [sys.executable, *args],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path, **environ},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout


def test_the_same_class_keeps_its_key_in_every_process(tmp_path: Path) -> None:
    script = tmp_path / "shop.py"
    script.write_text(LOCAL)
    first = run(str(script), PYTHONHASHSEED="1")
    assert first.startswith("['")
    assert first == run(str(script), PYTHONHASHSEED="2")


# -- programs --------------------------------------------------------------------------------

SCRIPT = """
import enum, sys
from toolops_plugins import Cache, ToolOps
class Colour(enum.Enum):
    RED = 1
ops = ToolOps()
@ops.tool(cache=Cache(ttl=60))
def search(query): return {0!r}
if __name__ == "__main__":
    print(search.name, search.key("x"), ops.canon.encode(Colour.RED).hex())
"""


def names_and_keys(*args: str, cwd: Path | None = None, code: str | None = None) -> list[str]:
    done = subprocess.run(
        [sys.executable, *args],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": ":".join([str(cwd or ""), *sys.path])},
        input=code, check=True, capture_output=True, text=True, cwd=cwd,
    )  # fmt: skip
    return done.stdout.split()


def test_functions_and_classes_of_two_scripts_have_different_keys(tmp_path: Path) -> None:
    found = []
    for folder, stem in (("a", "shop"), ("a", "wiki"), ("b", "shop")):
        script = tmp_path / folder / f"{stem}.py"
        script.parent.mkdir(exist_ok=True)
        script.write_text(SCRIPT.format("same"))
        found.append(names_and_keys(str(script)))
        script.write_text(SCRIPT.format("edited"))
        assert names_and_keys(str(script)) == found[-1]
    assert [name for name, _, _ in found] == ["shop.search", "wiki.search", "shop.search"]
    assert len({key for _, key, _ in found}) == 3
    assert len({colour for _, _, colour in found}) == 3


def test_a_module_that_is_run_has_the_name_that_it_is_imported_by(tmp_path: Path) -> None:
    for stem in ("shop", "wiki"):
        (tmp_path / f"{stem}_module.py").write_text(SCRIPT.format("same"))
    shop = names_and_keys("-m", "shop_module", cwd=tmp_path)
    wiki = names_and_keys("-m", "wiki_module", cwd=tmp_path)
    assert (shop[0], wiki[0]) == ("shop_module.search", "wiki_module.search")
    assert shop[1] != wiki[1]
    code = "from shop_module import search; print(search.name, search.key('x'))"
    assert names_and_keys("-c", code, cwd=tmp_path) == shop[:2]


def test_code_without_a_file_is_known_by_its_body() -> None:
    one, again, other = (
        names_and_keys("-c", SCRIPT.format(answer)) for answer in ("one", "one", "other")
    )
    typed = names_and_keys("-", code=SCRIPT.format("one"))
    assert one == again == typed
    assert one[0] == other[0] == "__main__.search"
    assert one[1] != other[1]


def test_the_children_of_a_script_have_its_keys(tmp_path: Path) -> None:
    script = tmp_path / "shop.py"
    script.write_text(
        SCRIPT.format("same")
        + "    import multiprocessing\n"
        + "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        + "        print(pool.apply(told))\n"
    )
    text = script.read_text()
    script.write_text(
        text.replace("if __name__", "def told(): return search.key('x')\nif __name__")
    )
    _, key, _, childs = names_and_keys(str(script))
    assert childs == key


def test_a_file_that_runpy_runs_is_known_by_its_path(tmp_path: Path) -> None:
    keys = set()
    for folder in ("a", "b"):
        script = tmp_path / folder / "shop.py"
        script.parent.mkdir()
        script.write_text("""
from toolops_plugins import Cache, ToolOps
@ToolOps().tool(cache=Cache(ttl=60))
def search(query): ...
print(search.name, search.key("x"))
""")
        code = f"import runpy; runpy.run_path({str(script)!r})"
        name, key = names_and_keys("-c", code)
        assert name == "shop.search"
        keys.add(key)
    assert len(keys) == 2


# -- tenants ---------------------------------------------------------------------------------


def test_the_default_of_a_tenant_s_variable_is_a_tenant() -> None:
    ann, bob, nobody = (
        Keyspace("shop", canon, variable).tenant()
        for variable in (
            ContextVar("tenant", default="ann"),
            ContextVar("tenant", default="bob"),
            ContextVar("tenant"),
        )
    )
    assert len({ann, bob, nobody}) == 3
    assert nobody == Keyspace("shop", canon).tenant()
    assert ann == Keyspace("shop", canon, "ann").tenant()


def test_two_deployments_with_a_default_tenant_each_do_not_share() -> None:
    keys = set()
    for name in ("ann", "bob"):
        ops = ToolOps(tenant=ContextVar("tenant", default=name), secret="shared")
        keys.add(ops.tool(cache=Cache(ttl=60), name="balance")(lambda: "all").key())
    assert len(keys) == 2
