"""Keys: equal for equal calls, and different for all others."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import gc
import hashlib
import subprocess
import sys
import threading
from collections import OrderedDict, namedtuple
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pydantic
import pytest
from callers import race_for_lock
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from toolops_plugins.errors import ConfigurationError, NotCanonicalError
from toolops_plugins.keys.canonical import Canon
from toolops_plugins.keys.identity_tokens import IdentityTokens
from toolops_plugins.keys.keyer import Keyer, Keyspace
from toolops_plugins.keys.signature import is_secret_name
from toolops_plugins.keys.tags import Tagger
from toolops_plugins.policy import Cache


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Model(pydantic.BaseModel):
    name: str
    size: int = 1


class Account(pydantic.BaseModel):
    password: pydantic.SecretStr


Pair = namedtuple("Pair", "a b")


class Text(str):
    __slots__ = ()


class Winter(tzinfo):
    """A time zone of neither zoneinfo nor datetime."""

    def utcoffset(self, moment):
        return timedelta(hours=1)

    def dst(self, moment):
        return None


class Island(Winter):
    """Another one with the same offset."""


canon = Canon()

DISTINCT = [
    None, True, False, 1, 0, -1, 1.0, 0.0, -0.0, "1", "", b"1", b"", bytearray(b"1"), "True",
    2**80, 1j, float("inf"), float("nan"),
    Colour.RED, Level.LOW, Access.READ, Access.READ | Access.WRITE,
    datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, fold=1),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=1))),
    datetime(2024, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")),
    datetime(2024, 1, 1, tzinfo=Winter()), datetime(2024, 1, 1, tzinfo=Island()),
    date(2024, 1, 1), time(1, 2), timedelta(seconds=1), "2024-01-01",
    Decimal("1"), Decimal("1.0"), Fraction(1), UUID(int=1), PurePosixPath("1"), Path("1"),
    [], [1], [[1]], (1,), (), {1}, frozenset({1}), {}, {"a": 1}, {1: "a"}, [1, 2], [2, 1],
    ["a", "bc"], ["ab", "c"], [["a"], "b"], Point(1), Point(1, 1), Model(name="1"),
    Model(name="1", size=2), Account(password="a"), Account(password="b"),
    Pair(1, 2), (1, 2), Text("1"), OrderedDict(a=1, b=2), OrderedDict(b=2, a=1), {"a": 1, "b": 2},
    np.int64(1), np.int32(1), np.float64(1.0), np.array([1, 2]), np.array([[1, 2]]),
    np.array([1.0, 2.0]), np.array(1), range(3), slice(1, 2), ..., int, str, Point,
]  # fmt: skip


def test_no_two_different_values_share_an_encoding():
    seen = {}
    for value in DISTINCT:
        code = canon.encode(value)
        assert code not in seen, (value, seen.get(code))
        seen[code] = value


@pytest.mark.parametrize("value", DISTINCT, ids=lambda v: f"{type(v).__name__}-{v}"[:40])
def test_equal_values_share_one(value):
    import copy

    assert canon.encode(copy.deepcopy(value)) == canon.encode(value)


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.dates()
    | st.decimals(allow_nan=False)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=12,
)


def exactly(a, b):
    """Equality that tells 1 from True and 1.0, at any depth."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return (
            len(a) == len(b)
            and sorted(map(canon.encode, a)) == sorted(map(canon.encode, b))
            and all(any(exactly(k, other) and exactly(a[k], b[other]) for other in b) for k in a)
        )
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(exactly, a, b))
    if isinstance(a, float | Decimal):
        return repr(a) == repr(b)
    return a == b


@examples(0.6)
@given(values, values)
def test_encodings_are_equal_exactly_when_values_are(a, b):
    assert (canon.encode(a) == canon.encode(b)) == exactly(a, b)


@examples(0.4)
@given(st.dictionaries(st.text() | st.integers() | st.booleans(), scalars))
def test_the_order_of_a_dict_does_not_matter(value):
    turned = dict(reversed(list(value.items())))
    assert canon.encode(turned) == canon.encode(value)


@examples(0.5)
@given(st.lists(scalars, max_size=4), st.lists(scalars, max_size=4))
def test_nothing_runs_over_from_one_argument_into_the_next(a, b):
    if not exactly([a, b], [b, a]):
        assert canon.encode([a, b]) != canon.encode([b, a])


def test_an_object_is_refused_and_never_turned_into_text():
    with pytest.raises(NotCanonicalError, match="object has no canonical form"):
        canon.encode({"deep": [object()]})
    with pytest.raises(NotCanonicalError):
        canon.encode(lambda: None)
    with pytest.raises(NotCanonicalError, match="Python objects"):
        canon.encode(np.array([object()]))


def test_a_value_that_contains_itself_is_refused():
    loop = []
    loop.append(loop)
    with pytest.raises(NotCanonicalError, match="contains itself"):
        canon.encode(loop)


def test_an_attribute_of_a_subclass_counts():
    class Marked(str):
        pass

    plain, marked = Marked("a"), Marked("a")
    marked.safe = True
    assert canon.encode(plain) != canon.encode(marked)


def test_encoders_can_be_registered_for_a_type():
    class Money:
        def __init__(self, cents):
            self.cents = cents

    own = Canon()
    own.register(Money, lambda money: money.cents)
    assert own.encode(Money(1)) == own.encode(Money(1)) != own.encode(Money(2))
    assert own.encode(Money(1)) != own.encode(1)
    with pytest.raises(NotCanonicalError):
        canon.encode(Money(1))


@pytest.mark.parametrize("late", [False, True])
def test_what_a_receiver_holds_is_encoded_as_registered(late):
    class Money:
        def __init__(self, cents):
            self.cents = cents

    own = Canon()
    shop = dataclasses.make_dataclass("Shop", ["lock", "debt"])(threading.Lock(), Money(1))
    if late:
        own.receiver(shop)
    own.register(Money, lambda money: money.cents)
    one = own.receiver(shop)
    shop.debt = Money(1)
    assert own.receiver(shop) == one
    shop.debt = Money(2)
    assert own.receiver(shop) != one


def test_an_object_may_bring_its_own_key():
    class Client:
        def __init__(self, url):
            self.url = url

        def __toolops_key__(self):
            return self.url

    assert canon.encode(Client("a")) == canon.encode(Client("a")) != canon.encode(Client("b"))


def test_a_receiver_without_a_form_counts_as_itself_while_it_lives():
    class Shop:
        __hash__ = None  # must not be asked

        def __eq__(self, other):
            raise AssertionError

    one, two = Shop(), Shop()
    assert canon.receiver(one) == canon.receiver(one) != canon.receiver(two)
    seen = set()
    for _ in range(50):  # addresses are used again; tokens are not
        shop = Shop()
        token = canon.receiver(shop)
        assert token not in seen
        seen.add(token)
        del shop
        gc.collect(0)
    assert canon.receiver(Point(1)) == canon.receiver(Point(1))


def test_threads_that_ask_for_one_object_s_token_at_once_get_the_same():
    class Shop:
        pass

    shop, tokens = Shop(), IdentityTokens()
    one, other = race_for_lock(tokens, lambda: tokens.token_of(shop))
    assert one == other == tokens.token_of(shop)


def test_encodings_do_not_depend_on_the_process():
    code = (
        "from toolops_plugins.keys.canonical import Canon\n"
        "print(Canon().encode([{'b': {1, 2, 3}, 'a': {'x', 'y', 'z'}}, frozenset('abc')]).hex())"
    )
    results = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(results) == 1


# -- keys of calls ---------------------------------------------------------------------------

space = Keyspace("shop", canon)


def keyer(function, cache=None, **options):
    return Keyer(function, options.pop("space", space), "f", cache, **options)


def test_positional_keyword_and_default_forms_share_a_key():
    def f(a, b=2, *, c=3): ...

    key = keyer(f).key
    forms = [
        ((1,), {}),
        ((1, 2), {}),
        ((), {"a": 1}),
        ((1,), {"b": 2, "c": 3}),
        ((), {"c": 3, "a": 1}),
    ]
    assert len({key(args, kwargs) for args, kwargs in forms}) == 1
    assert key((1, 3), {}) != key((1, 2), {})
    assert key((True,), {}) != key((1,), {})


@given(
    st.integers(),
    st.text(),
    st.booleans(),
    st.permutations(["a", "b", "c"]),
    st.integers(0, 3),
)
def test_every_form_of_one_call_has_one_key(a, b, c, order, positional):
    def f(a, b, c): ...

    values = {"a": a, "b": b, "c": c}
    args = tuple(values[n] for n in "abc"[:positional])
    kwargs = {n: values[n] for n in order if n not in "abc"[:positional]}
    assert keyer(f).key(args, kwargs) == keyer(f).key((), values)


def test_the_order_of_the_parameters_does_not_change_the_key():
    def f(a, b): ...
    def g(b, a): ...

    key = keyer(f).key((1, 2), {})
    assert key == keyer(g).key((2, 1), {})
    # The format of keys: a change of it would leave every stored entry unread.
    root = canon.encode(("toolops", 1, "shop")) + canon.encode(("f", "1"))
    body = [None, None, "a", 1, "b", 2]  # tenant and scope, then the arguments by name
    assert key == hashlib.sha256(root + b"".join(map(canon.encode, body))).digest()


def test_variable_arguments_count():
    def f(a, *rest, **more): ...

    key = keyer(f).key
    assert key((1, 2, 3), {}) != key((1, 2), {}) != key((1,), {})
    assert key((1,), {"x": 1, "y": 2}) == key((1,), {"y": 2, "x": 1}) != key((1,), {"x": 1})
    assert key((1, "x"), {}) != key((1,), {"x": 1})


def test_a_positional_only_name_may_come_again_among_the_keywords():
    def f(a, /, **more): ...

    key = keyer(f).key
    assert key((1,), {"a": 2}) != key((1,), {}) != key((2,), {"a": 1})


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), ((1, 2, 3), {}), ((1,), {"a": 2}), ((1,), {"z": 3})]
)
def test_arguments_that_do_not_fit_are_a_type_error(args, kwargs):
    def f(a, b=1): ...

    with pytest.raises(TypeError):
        keyer(f).key(args, kwargs)


def test_a_default_without_a_form_is_refused_only_where_it_is_used():
    marker = object()

    def f(a, b=marker): ...

    key = keyer(f).key
    assert key((1, 2), {})
    with pytest.raises(NotCanonicalError):
        key((1,), {})


def test_ignored_parameters_do_not_count_and_need_no_form():
    def f(question, request_id=None, **more): ...

    key = keyer(f, ignore=["request_id"]).key
    assert key(("q",), {"request_id": object()}) == key(("q", 7), {}) != key(("p",), {})


def test_ignored_variable_arguments_do_not_count_and_need_no_form():
    def f(question, *context): ...

    key = keyer(f, ignore=["context"]).key
    assert key(("q", object()), {}) == key(("q",), {}) != key(("p",), {})


def test_a_default_counts_once_its_type_has_an_encoder():
    class Money:
        cents = 1

    euro = Money()

    def f(a, b=euro, /, c=2): ...

    own = Canon()
    key = keyer(f, space=Keyspace("shop", own)).key
    with pytest.raises(NotCanonicalError):
        key((1,), {})
    own.register(Money, lambda money: money.cents)
    assert key((1,), {}) == key((1, Money()), {}) == key((1, Money(), 2), {})
    assert key((1,), {}) != key((2,), {})


def test_long_texts_are_encoded_for_each_call():
    def f(a, b): ...

    made = keyer(f)
    half = "x" * 600
    assert made.key((half, half), {}) == made.key((half,), {"b": half})
    assert made.key((half, half), {}) != made.key((half, "x"), {})
    assert (half, half) not in made._memo
    assert (half, "x") in made._memo


def test_only_the_chosen_parameters_count():
    def f(question, user, client): ...

    key = keyer(f, Cache(key_params=["question"])).key
    assert key(("q", "bob", object()), {}) == key(("q", "ann", None), {}) != key(("p", 1, 2), {})


def test_a_key_function_replaces_the_arguments():
    def f(question, client): ...

    key = keyer(f, Cache(key=lambda question, client: question.lower())).key
    assert key(("Q", object()), {}) == key(("q", object()), {}) != key(("p", None), {})


def test_versions_names_and_namespaces_part_keys():
    def f(a): ...

    keys = {
        keyer(f).key((1,), {}),
        keyer(f, Cache(version="2")).key((1,), {}),
        keyer(f, space=Keyspace("other", canon)).key((1,), {}),
        Keyer(f, space, "g", None).key((1,), {}),
    }
    assert len(keys) == 4


def test_a_secret_makes_keys_that_others_cannot_compute():
    def f(a): ...

    keys = {
        keyer(f, space=Keyspace("shop", canon, secret=secret)).key((1,), {})
        for secret in (None, b"one", b"two")
    }
    assert len(keys) == 3


def test_the_tenant_is_part_of_the_key_whichever_way_it_comes():
    def f(a): ...

    variable = ContextVar("tenant", default="nobody")
    by_variable = keyer(f, space=Keyspace("shop", canon, variable))
    token = variable.set("bob")
    bob = by_variable.key((1,), {})
    variable.reset(token)
    assert bob != by_variable.key((1,), {})
    assert bob == keyer(f, space=Keyspace("shop", canon, lambda: "bob")).key((1,), {})
    assert bob == keyer(f, space=Keyspace("shop", canon, "bob")).key((1,), {})
    with pytest.raises(ConfigurationError, match="tenant"):
        Keyspace("shop", canon, 7)


async def test_the_tenant_is_that_of_each_task():
    def f(a): ...

    variable = ContextVar("tenant")
    key = keyer(f, space=Keyspace("shop", canon, variable)).key

    async def as_tenant(name):
        variable.set(name)
        await asyncio.sleep(0)
        return key((1,), {})

    keys = await asyncio.gather(*map(as_tenant, ["ann", "bob", "ann"]))
    assert keys[0] == keys[2] != keys[1]


def test_secret_arguments_are_part_of_the_key():
    def f(question, api_key): ...

    key = keyer(f).key
    assert key(("q", "ann's"), {}) != key(("q", "bob's"), {})
    assert b"bob" not in key(("q", "bob's"), {})


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("api_key", True), ("openai_api_key", True), ("token", True), ("access_token", True),
        ("password", True), ("authorization", True), ("client_secret", True), ("API_KEY", True),
        ("max_tokens", False), ("key", False), ("question", False), ("tokenizer", False),
        ("secretary", False), ("monkey", False),
    ],
)  # fmt: skip
def test_secrets_are_known_by_their_names(name, secret):
    assert is_secret_name(name) is secret


# -- tags ------------------------------------------------------------------------------------


def test_tags_are_made_from_arguments():
    def f(ticker, day=1): ...

    tagger = Tagger(("all", "ticker:{ticker}", "{ticker}/{day}"), keyer(f))
    assert tagger.fixed is None
    assert tagger.tags(("ACME",), {}) == ("ACME/1", "all", "ticker:ACME")
    assert Tagger(("b", "a", "b"), keyer(f)).fixed == ("a", "b")
    assert Tagger(lambda ticker, day=1: [ticker, f"{day}"], keyer(f)).tags(("X",), {}) == ("1", "X")


@pytest.mark.parametrize(
    ("tag", "problem"),
    [
        ("{nobody}", "no parameter"),
        ("{api_key}", "secret parameter"),
        ("{pin}", "secret parameter"),
        ("{ticker", "no template"),
    ],
)
def test_a_tag_that_cannot_be_made_or_would_show_a_secret_is_refused(tag, problem):
    def f(ticker, api_key, pin): ...

    with pytest.raises(ConfigurationError, match=problem):
        Tagger((tag,), keyer(f), secret=["pin"])


def test_names_that_are_no_parameters_are_refused():
    def f(a): ...

    with pytest.raises(ConfigurationError, match="ignore.*'b'"):
        keyer(f, ignore=["b"])
    with pytest.raises(ConfigurationError, match="key_params.*'b'"):
        keyer(f, Cache(key_params=["b"]))
    with pytest.raises(ConfigurationError, match="list of parameter names"):
        keyer(f, ignore="a")


# --- remembered keys ---------------------------------------------------------------------------

NEARLY_EQUAL = st.one_of(
    st.sampled_from(
        [0, 1, True, False, 1.0, 0.0, -0.0, 2**53, float(2**53), None, "", "1", "x" * 2_000]
    ),
    st.sampled_from([Text("1"), Level.LOW, np.float64(1.0), float("nan"), float("inf"), 2**2_000]),
    st.integers(-2, 2),
    st.text(st.characters(categories=None), max_size=2),  # lone surrogates, too
)


@examples(1)
@given(st.lists(st.tuples(NEARLY_EQUAL, NEARLY_EQUAL, st.integers(0, 2)), max_size=40))
def test_a_remembered_key_is_the_key_that_would_be_made(calls):
    def search(a, b=1):
        pass

    remembering = keyer(search)
    for a, b, keywords in calls:
        args, kwargs = [((a, b), {}), ((a,), {"b": b}), ((), {"b": b, "a": a})][keywords]
        assert remembering.key(args, kwargs) == keyer(search).key(args, kwargs)
        assert remembering.key(args, kwargs) == keyer(search).key(args, kwargs)


def test_keys_of_long_arguments_and_of_secrets_are_not_remembered():
    def search(query, **others):
        pass

    def login(user, password):
        pass

    texts = keyer(search)
    for args, kwargs in [
        (("x" * 2_000,), {}),
        ((2**2_000,), {}),
        (("x" * 600, "y" * 600), {}),
        (("x",), {"api_key": "hush"}),
        ((["x"],), {}),
        ((0.0,), {}),
    ]:
        with suppress(TypeError):  # one argument too many
            texts.key(args, kwargs)
    assert texts.remembered(("x",)) is None
    assert not texts._memo
    texts.key(("x",), {})
    assert texts.remembered(("x",)) is not None
    assert keyer(login).remembered is None
    assert keyer(search, secret=["query"]).remembered is None


def test_a_remembered_key_is_that_of_the_tenant():
    tenants = ["ann", "bob", None, "ann", 7, True, 1, "x" * 2_000, Text("ann"), 1.0]
    asked = []

    def ask():
        asked.append(current)
        return current

    remembering = keyer(lambda a: a, space=Keyspace("shop", canon, ask))
    assert remembering.remembered is None
    keys = []
    for _ in range(2):
        for current in tenants:
            keys.append(remembering.key(("x",), {}))
            fresh = keyer(lambda a: a, space=Keyspace("shop", canon, lambda: current))  # noqa: B023 - called at once
            assert keys[-1] == fresh.key(("x",), {})
    assert len(asked) == 2 * len(tenants)
    assert len(set(keys)) == len(tenants) - 1


def test_remembered_keys_are_bounded():
    numbers = keyer(lambda number: number)
    for number in range(5_000):
        numbers.key((number,), {})
        assert len(numbers._memo) <= 1_024
