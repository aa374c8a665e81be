"""Functions that are defined again: by notebook cells, module reloads and exec."""

from __future__ import annotations

import asyncio
import importlib
import linecache
import sys
import textwrap

import pytest

from toolops_plugins import (
    Bulkhead,
    BulkheadFull,
    Cache,
    CircuitBreaker,
    CircuitOpen,
    ConfigurationError,
    Memory,
    RateLimit,
    RateLimited,
    Redis,
    ToolOps,
)
from toolops_plugins.wrapping.redefinition import same_policy


class Notebook:
    """A namespace in which cells are run, each under a file name of its own, as IPython does."""

    def __init__(self, ops, module="notebook", file=None):
        self.names = {
            "__name__": module,
            "ops": ops,
            "made": [],
            **{each.__name__: each for each in (Bulkhead, Cache, CircuitBreaker, RateLimit)},
        }
        self.count = 0
        self.file = file

    def run(self, cell):
        self.count += 1
        file = self.file or f"<ipython-input-{self.count}-{hash(cell) % 1000}>"
        exec(compile(textwrap.dedent(cell), file, "exec"), self.names)

    def __getattr__(self, name):
        return self.names[name]


@pytest.fixture
def ops():
    with ToolOps(retry_budget=None) as ops:
        yield ops


FILES = [None, "<string>", "<stdin>", "/tmp/ipykernel_1/123.py"]


@pytest.fixture(params=FILES)
def notebook(ops, request):
    return Notebook(ops, file=request.param)


BREAKER = """
@ops.tool(breaker=CircuitBreaker(window=1, on=lambda e: not isinstance(e, KeyError)))
def quote(ticker):
    if ticker == "down":
        raise ConnectionError
    return ticker
"""
LIMIT = """
@ops.tool(rate_limit=RateLimit("1/h", wait=0, cost=lambda ticker: 1))
def quote(ticker):
    return ticker
"""
BULKHEAD = """
import threading
inside = threading.Event()
leave = threading.Event()
@ops.tool(bulkhead=Bulkhead(1))
def quote(ticker, wait=False):
    if wait:
        inside.set()
        leave.wait(20)
    return ticker
"""


def test_a_cell_that_is_run_again_keeps_its_circuit_breaker(notebook):
    notebook.run(BREAKER)
    with pytest.raises(ConnectionError):
        notebook.quote("down")
    notebook.run(BREAKER)
    with pytest.raises(CircuitOpen):
        notebook.quote("ACME")


def test_a_cell_that_is_run_again_keeps_its_rate_limit(notebook):
    notebook.run(LIMIT)
    notebook.quote("ACME")
    notebook.run(LIMIT)
    with pytest.raises(RateLimited):
        notebook.quote("ACME")


def test_a_cell_that_is_run_again_keeps_its_bulkhead(notebook):
    notebook.run(BULKHEAD)
    first, leave = notebook.quote, notebook.leave

    async def main():
        waiting = asyncio.ensure_future(asyncio.to_thread(first, "ACME", wait=True))
        await asyncio.to_thread(notebook.inside.wait, 20)
        notebook.run(BULKHEAD)
        with pytest.raises(BulkheadFull):
            await asyncio.to_thread(notebook.quote, "ACME")
        leave.set()
        await waiting

    asyncio.run(main())


@pytest.mark.parametrize(
    ("cell", "old", "new"),
    [(BREAKER, "window=1", "window=2"), (LIMIT, "1/h", "2/h"), (BULKHEAD, "(1)", "(2, queue=1)")],
)
def test_another_policy_takes_the_place_of_the_first(notebook, cell, old, new):
    notebook.run(cell)
    before = notebook.quote
    notebook.run(cell.replace(old, new))
    assert notebook.quote("ACME") == "ACME"
    notebook.run("\n# a line more\n" + cell)
    assert notebook.quote("ACME") == "ACME"
    assert before("ACME") == "ACME"  # who still holds the first can call it


def test_the_state_begins_anew_where_the_policy_has_changed(notebook):
    notebook.run(BREAKER)
    with pytest.raises(ConnectionError):
        notebook.quote("down")
    notebook.run(BREAKER.replace("window=1", "window=5"))
    assert notebook.quote("ACME") == "ACME"


def test_exceptions_that_the_cell_defines_count(notebook):
    cell = """
    class Down(Exception): ...
    @ops.tool(breaker=CircuitBreaker(window=1, on=Down))
    def quote(ticker):
        raise Down
    """
    for _ in range(2):
        notebook.run(cell)
        with pytest.raises(notebook.Down):
            notebook.quote("ACME")
        with pytest.raises(CircuitOpen):
            notebook.quote("ACME")


def test_methods_of_a_class_that_is_defined_again(notebook):
    cell = """
    class Shop:
        @ops.tool(rate_limit=RateLimit("1/h", wait=0, cost=lambda *args: 1), cache=Cache(ttl=60))
        def quote(self, ticker):
            made.append(ticker)
            return 1
        def __toolops_key__(self):
            return "shop"
    """
    notebook.run(cell)
    notebook.Shop().quote("ACME")
    notebook.run(cell)
    with pytest.raises(RateLimited):
        notebook.Shop().quote("OTHER")
    notebook.run(cell.replace("1/h", "5/h").replace("return 1", "return 2"))
    assert notebook.Shop().quote("ACME") == 2


# --- answers ----------------------------------------------------------------------------------

QUOTE = """
@ops.tool(cache=Cache(ttl=60){more})
def quote(ticker):
    made.append(ticker)
    return {body}
"""


@pytest.mark.parametrize("more", ["", ", name='quote'"])
@pytest.mark.parametrize("module", ["notebook", "__main__"])
@pytest.mark.parametrize("file", FILES)
def test_an_edited_body_does_not_serve_the_old_bodys_answers(ops, more, module, file):
    notebook = Notebook(ops, module, file)

    def run(body):
        notebook.run(QUOTE.format(more=more, body=body))

    run("1")
    assert (notebook.quote("ACME"), notebook.made) == (1, ["ACME"])
    run("1")  # unedited: nothing is lost
    assert (notebook.quote("ACME"), notebook.made) == (1, ["ACME"])
    run("2")
    assert (notebook.quote("ACME"), notebook.quote("ACME")) == (2, 2)
    run("3")
    assert notebook.quote("ACME") == 3
    run("1")  # as at first
    assert notebook.quote("ACME") == 1
    assert len(notebook.made) == 3
    notebook.run("def other(): ...\n" + QUOTE.format(more=more, body="2"))
    assert notebook.quote("ACME") == 2
    assert len(notebook.made) == 3


@pytest.mark.parametrize("more", ["", ", name='quote'"])
def test_nor_from_redis(valkey, namespace, more):
    def process():
        return Notebook(ToolOps(namespace, [Memory(), Redis(valkey.url, ttl=600)]))

    def run(notebook, body):
        notebook.run(QUOTE.format(more=more, body=body))
        return notebook.quote("ACME")

    one, two = process(), process()
    try:
        assert run(one, "1") == run(two, "1") == 1
        assert two.made == []  # another process with the same code shares the answer
        assert run(one, "2") == 2
        assert run(two, "2") == 2
        assert two.made == []
        assert run(two, "1") == 1
        assert two.made == []
    finally:
        one.ops.clear()
        one.ops.close()
        two.ops.close()


def test_edited_decorators_count_too(notebook):
    cell = """
    import functools
    def rounded(function):
        @functools.wraps(function)
        def wrapper(ticker):
            return round(function(ticker), 1)
        return wrapper

    @ops.tool(cache=Cache(ttl=60), name="quote")
    @rounded
    def quote(ticker):
        return 1.25
    """
    notebook.run(cell)
    assert notebook.quote("ACME") == 1.2
    notebook.run(cell.replace(", 1)", ", 2)"))
    assert notebook.quote("ACME") == 1.25


def test_faces_of_one_name_share_their_answers(notebook):
    cell = """
    @ops.tool(cache=Cache(ttl=60), name="quote")
    def quote(ticker):
        made.append("sync")
        return 1

    @ops.tool(cache=Cache(ttl=60), name="quote")
    async def aquote(ticker):
        made.append("async")
        return 1
    """
    for _ in range(2):
        notebook.run(cell)
        assert notebook.quote("ACME") == asyncio.run(notebook.aquote("ACME")) == 1
    assert notebook.made == ["sync"]


def test_two_bodies_of_one_place_never_share(ops):
    tools = []
    if tools == []:

        @ops.tool(cache=Cache(ttl=60))
        def quote(ticker):
            return 1

        tools.append(quote)

        @ops.tool(cache=Cache(ttl=60))
        def quote(ticker):
            return 2

        tools.append(quote)
    assert [tool("ACME") for tool in tools] == [1, 2]


# --- modules ----------------------------------------------------------------------------------

MODULE = """
from toolops_plugins import Cache, CircuitBreaker, RateLimit
from {holder} import ops
@ops.tool(
    cache=Cache(ttl=60),
    breaker=CircuitBreaker(window=1, on=lambda e: True),
    rate_limit=RateLimit("{rate}"),
)
def quote(ticker):
    return {body}
"""


@pytest.fixture
def module(ops, tmp_path, monkeypatch, request):
    """Return a function that writes a module and loads or reloads it."""
    name = f"quotes_{abs(hash(str(tmp_path)))}"
    holder = f"holder_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{holder}.py").write_text("ops = None")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    importlib.import_module(holder).ops = ops

    def load(before="", **values):
        (tmp_path / f"{name}.py").write_text(before + MODULE.format(holder=holder, **values))
        linecache.clearcache()
        importlib.invalidate_caches()
        known = sys.modules.get(name)
        return importlib.import_module(name) if known is None else importlib.reload(known)

    yield load
    sys.modules.pop(name, None)
    sys.modules.pop(holder, None)


def test_a_module_that_is_loaded_again(module):
    assert module(rate="9/h", body="1").quote("ACME") == 1
    assert module(rate="9/h", body="1").quote("ACME") == 1
    assert module(rate="8/h", body="1").quote("ACME") == 1
    assert module("# moved\n\n", rate="7/h", body="2").quote("ACME") == 2
    assert module("# moved\n\n", rate="6/h", body="3").quote("ACME") == 3


# --- what is an error all the same ------------------------------------------------------------


def test_two_functions_of_one_chosen_name_conflict(notebook):
    cell = """
    @ops.tool(rate_limit=RateLimit("1/h"), name="quote")
    def one(ticker): ...

    @ops.tool(rate_limit=RateLimit("2/h"), name="quote")
    def two(ticker): ...
    """
    with pytest.raises(ConfigurationError, match="in use with another policy.*another name"):
        notebook.run(cell)


def test_two_functions_of_one_place_and_file_conflict(ops):
    def first():
        @ops.tool(bulkhead=Bulkhead(1))
        def quote(ticker): ...

        return quote

    first()
    with pytest.raises(ConfigurationError, match="bulkhead"):

        @ops.tool(bulkhead=Bulkhead(2), name=first().name)
        def quote(ticker): ...


def test_a_function_that_is_made_twice_with_other_policies_conflicts(ops):
    def make(limit):
        @ops.tool(bulkhead=Bulkhead(limit))
        def quote(ticker): ...

        return quote

    make(1)
    make(1)
    with pytest.raises(ConfigurationError, match="bulkhead"):
        make(2)


def test_two_files_of_one_place_in_one_execution_conflict(ops):
    def define():
        @ops.tool(rate_limit=RateLimit("1/h"))
        def quote(ticker): ...

        @ops.tool(rate_limit=RateLimit("2/h"))
        def quote(ticker): ...  # noqa: F811 - that is the point

    with pytest.raises(ConfigurationError, match="rate_limit"):
        define()


# --- policies ---------------------------------------------------------------------------------


def retry_twice(limit):
    return CircuitBreaker(on=lambda error: len(str(error)) < limit)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (CircuitBreaker(), CircuitBreaker(), True),
        (CircuitBreaker(), CircuitBreaker(window=5), False),
        (CircuitBreaker(), RateLimit("1/s"), False),
        (retry_twice(1), retry_twice(1), True),
        (retry_twice(1), retry_twice(2), False),
        (CircuitBreaker(on=lambda e: True), CircuitBreaker(on=lambda e: True), True),
        (CircuitBreaker(on=lambda e: True), CircuitBreaker(on=lambda e: False), False),
        (CircuitBreaker(on=lambda e, n=1: True), CircuitBreaker(on=lambda e, n=2: True), False),
        (CircuitBreaker(on=lambda e, *, n=1: 1), CircuitBreaker(on=lambda e, *, n=2: 1), False),
        (CircuitBreaker(on=(KeyError, OSError)), CircuitBreaker(on=(KeyError, OSError)), True),
        (CircuitBreaker(on=(KeyError, OSError)), CircuitBreaker(on=(KeyError,)), False),
    ],
)
def test_policies_are_compared_by_value(one, other, same):
    assert same_policy(one, other) is same
    assert same_policy(other, one) is same


# --- what a function uses ---------------------------------------------------------------------

USING = """
import functools
def price(ticker):
    return {price}

class Quote:
    currency = "EUR"
    def __init__(self, ticker):
        self.ticker = ticker
    def text(self):
        return f"{{price(self.ticker)}} {text}"

@ops.tool(cache=Cache(ttl=60))
def quote(ticker):
    made.append(ticker)
    return [each.text() for each in [Quote(ticker)]][0]
"""


def test_an_edited_helper_does_not_serve_the_old_answers(notebook):
    notebook.run(USING.format(price=1, text="EUR"))
    assert notebook.quote("ACME") == "1 EUR"
    notebook.run(USING.format(price=1, text="EUR"))
    assert notebook.quote("ACME") == "1 EUR"
    assert notebook.made == ["ACME"]
    notebook.run(USING.format(price=2, text="EUR"))
    assert notebook.quote("ACME") == "2 EUR"
    notebook.run(USING.format(price=2, text="USD"))
    assert notebook.quote("ACME") == "2 USD"
    notebook.run(USING.format(price=1, text="EUR"))
    assert notebook.quote("ACME") == "1 EUR"
    assert len(notebook.made) == 3


BELOW = """
@ops.tool(cache=Cache(ttl=60))
def quote(ticker):
    made.append(ticker)
    return price(ticker)
def price(ticker):
    return {price}
"""


def test_helpers_further_down_count_as_they_are_when_all_is_defined(notebook):
    for price, ran in ((1, 1), (1, 1), (2, 2), (2, 2), (1, 2), (3, 3)):
        notebook.run(BELOW.format(price=price))
        assert notebook.quote("ACME") == price
        assert len(notebook.made) == ran


def test_functions_that_call_each_other_keep_their_answers(notebook):
    cell = """
    @ops.tool(cache=Cache(ttl=60))
    def even(n):
        made.append(n)
        return n == 0 or odd(n - 1)
    def odd(n):
        return n != 0 and even(n - 1)
    """
    for _ in range(3):
        notebook.run(cell)
        assert notebook.even(2)
    ran = len(notebook.made)
    notebook.run(cell)
    assert notebook.even(2)
    assert len(notebook.made) == ran


RESULT = """
from pydantic import BaseModel
class Quote(BaseModel):
    price: int = 1
    {field}
@ops.tool(cache=Cache(ttl=60))
def quote(ticker) -> Quote:
    made.append(ticker)
    return Quote()
"""


def test_an_answer_is_of_the_class_as_it_was_defined_last(notebook):
    for field, ran in (("", 1), ("", 1), ("currency: str = 'EUR'", 2)):
        notebook.run(RESULT.format(field=field))
        assert notebook.quote("ACME") == notebook.Quote()
        assert type(notebook.quote("ACME")) is notebook.Quote
        assert len(notebook.made) == ran


def test_a_function_that_is_wrapped_again_later_keeps_its_answers(notebook):
    notebook.run(
        """
        def plain(ticker):
            made.append(ticker)
            return price(ticker)
        early = ops.tool(cache=Cache(ttl=60))(plain)
        def price(ticker):
            return 1
        late = ops.tool(cache=Cache(ttl=60))(plain)
        """
    )
    assert notebook.early("ACME") == notebook.late("ACME") == 1
    assert notebook.made == ["ACME"]
