"""Errors keep their attributes when they are copied, pickled or sent to other processes."""

from __future__ import annotations

import copy
import importlib
import pickle
import pkgutil
import subprocess
import sys
import textwrap

import pytest

import toolops_plugins
from toolops_plugins import errors
from toolops_plugins.errors import ToolOpsError

MADE = {
    "ConfigurationError": lambda kind: kind("ttl", "must be more than 0"),
    "CircuitOpen": lambda kind: kind("open", retry_after=2.5, cause_type="OSError", cause="down"),
    "Rejected": lambda kind: kind("not now", retry_after=1.5),
    "CallTimeout": lambda kind: kind("too slow", seconds=0.25),
    "NotCanonicalError": lambda kind: kind("no form", kind="Thing"),
    "ToolOpsError": lambda kind: kind("trouble", 3),
}
"""How a class is made; its subclasses are made alike unless they have a line of their own."""


def all_classes():
    for module in pkgutil.walk_packages(toolops_plugins.__path__, "toolops_plugins."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, new = set(), {ToolOpsError}
    while new:
        found |= new
        new = {kind for parent in new for kind in parent.__subclasses__()} - found
    ours = ("toolops_plugins", "langchain_toolops", "llama_index", "crewai_toolops")
    return sorted((kind for kind in found if kind.__module__.startswith(ours)), key=repr)


def make(kind):
    maker = next(MADE[parent.__name__] for parent in kind.__mro__ if parent.__name__ in MADE)
    error = maker(kind)
    error.add_note("a note")
    error.more = ["something", "else"]
    return error


WAYS = {
    "pickle": lambda error, number: pickle.loads(pickle.dumps(error, number)),
    "copy": lambda error, _: copy.copy(error),
    "deepcopy": lambda error, _: copy.deepcopy(error),
}


@pytest.mark.parametrize("kind", all_classes(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("way", WAYS)
def test_every_error_survives_with_all_it_knows(kind, way):
    error = make(kind)
    for number in range(pickle.HIGHEST_PROTOCOL + 1):
        again = WAYS[way](error, number)
        assert type(again) is kind
        assert again is not error
        assert (str(again), again.args) == (str(error), error.args)
        assert vars(again) == vars(error)
        assert vars(again)["more"] == ["something", "else"]


def test_every_public_class_of_errors_is_covered():
    known = {kind.__name__ for kind in all_classes()}
    assert set(errors.__all__) <= known


def test_subclasses_of_users_survive_too():
    class OurError(errors.CircuitOpen):
        def __init__(self, ticker, *, venue):
            super().__init__(f"{ticker} is closed at {venue}", retry_after=3.0)
            self.venue = venue

    again = copy.deepcopy(OurError("ACME", venue="XETRA"))
    assert (str(again), again.venue, again.retry_after) == ("ACME is closed at XETRA", "XETRA", 3.0)


PROGRAM = """
import multiprocessing, sys, threading
from concurrent.futures import ProcessPoolExecutor
from toolops_plugins import CircuitBreaker, Timeout, ToolOps
from toolops_plugins.errors import AttemptTimeout, CircuitOpen, ConfigurationError

ops = ToolOps()
never = threading.Event()

@ops.tool(timeout=Timeout(attempt=0.01))
def slow():
    never.wait(1)

@ops.tool(breaker=CircuitBreaker(window=1))
def down():
    raise ConnectionError("refused")

def rejected():
    try:
        down()
    except ConnectionError:
        down()

def wrong():
    Timeout(attempt=-1)

def caught(ask):
    try:
        ask()
    except Exception as error:
        return error

def check(ask_for):
    error = caught(lambda: ask_for(slow))
    assert type(error) is AttemptTimeout and error.seconds == 0.01, error
    error = caught(lambda: ask_for(rejected))
    assert type(error) is CircuitOpen and error.cause == "refused" and error.retry_after > 0, error
    error = caught(lambda: ask_for(wrong))
    assert type(error) is ConfigurationError and error.parameter == "attempt", error

context = multiprocessing.get_context("fork")
"""

POOLS = {
    "Pool": """
with context.Pool(1) as pool:
    check(lambda function: pool.apply_async(function).get(timeout=20))
    pool.close()
    pool.join()
""",
    "ProcessPoolExecutor": """
with ProcessPoolExecutor(1, mp_context=context) as pool:
    check(lambda function: pool.submit(function).result(timeout=20))
""",
}


@pytest.mark.parametrize("pool", POOLS)
def test_errors_come_back_from_other_processes(pool):
    program = textwrap.dedent(PROGRAM + POOLS[pool])
    run = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert run.returncode == 0, run.stderr
