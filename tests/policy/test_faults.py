"""The attribution of errors to the callee, and its use by retries and breakers."""

from __future__ import annotations

import asyncio
import concurrent.futures
import io
import json
import ssl
import urllib.error
from email.message import Message

import aiohttp
import httpx
import jsonschema
import marshmallow
import openai
import orjson
import pydantic
import pytest
import requests
from yarl import URL

from toolops_plugins import (
    Cache,
    CircuitBreaker,
    CircuitOpen,
    ConfigurationError,
    RateLimited,
    Retry,
    ToolOps,
)
from toolops_plugins.errors import AttemptTimeout, TotalTimeout
from toolops_plugins.policy.base import iter_leaves, matches
from toolops_plugins.policy.faults import callee_failed, fault_of
from toolops_plugins.resilience.breaker import Breaker
from toolops_plugins.resilience.retry import Retrying

REQUEST = httpx.Request("GET", "http://x")


def catch(make):
    try:
        make()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def httpx_error(status, **headers):
    response = httpx.Response(status, headers=headers, request=REQUEST)
    return catch(response.raise_for_status)


def requests_error(status):
    response = requests.Response()
    response.status_code = status
    return catch(response.raise_for_status)


def aiohttp_error(status):
    info = aiohttp.RequestInfo(URL("http://x"), "GET", {}, URL("http://x"))
    return aiohttp.ClientResponseError(info, (), status=status)


def openai_error(status):
    return openai.APIStatusError("no", response=httpx.Response(status, request=REQUEST), body=None)


def urllib_error(status):
    with urllib.error.HTTPError("http://x", status, "no", Message(), io.BytesIO()) as error:
        return error  # its body is closed, as Python 3.14 asks for


class BotoError(Exception):
    def __init__(self, status, code="ValidationException"):
        self.response = {
            "Error": {"Code": code},
            "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}},
        }


CLIENTS = [httpx_error, requests_error, aiohttp_error, openai_error, urllib_error, BotoError]


class Quote(pydantic.BaseModel):
    price: float


@pytest.mark.parametrize("make", CLIENTS, ids=lambda make: make.__name__)
@pytest.mark.parametrize(
    ("status", "fault"),
    [
        *((status, "request") for status in (400, 401, 403, 404, 410, 422)),
        *((status, "callee") for status in (408, 409, 425, 429, 500, 502, 503, 504)),
    ],
)
def test_http_errors(make, status, fault):
    error = make(status)
    assert fault_of(error) == fault
    wrapped = catch(lambda: _raise(RuntimeError("lookup failed"), error))
    assert fault_of(wrapped) == fault


def _raise(error, cause):
    raise error from cause


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (ValueError("no such ticker"), "arguments"),
        (TypeError(), "arguments"),
        (KeyError("ACME"), "arguments"),
        (IndexError(), "arguments"),
        (catch(lambda: Quote(price="much")), "arguments"),
        (catch(lambda: jsonschema.validate(1, {"type": "string"})), "arguments"),
        (marshmallow.ValidationError("no"), "arguments"),
        (catch(lambda: httpx.get("ftp://x")), "arguments"),
        (catch(lambda: requests.get("no url")), "arguments"),
        (catch(lambda: "é".encode("ascii")), "arguments"),
        (ConfigurationError("ttl", "wrong"), "arguments"),
        (catch(lambda: json.loads("<html>")), "callee"),
        (catch(lambda: orjson.loads("<html>")), "callee"),
        (catch(lambda: Quote.model_validate_json("<html>")), "callee"),
        (catch(lambda: Quote.model_validate_json("{}")), "arguments"),
        (catch(lambda: b"\xff".decode()), "callee"),
        (ssl.SSLCertVerificationError("expired"), "callee"),  # an OSError and a ValueError
        (httpx.ConnectTimeout("slow"), "callee"),
        (requests.ConnectionError(), "callee"),
        (TimeoutError(), "callee"),
        (AttemptTimeout("slow", seconds=1), "callee"),
        (RuntimeError(), "callee"),
        (Exception(), "callee"),
        (httpx_error(403, **{"retry-after": "60"}), "callee"),
        (BotoError(400, "ThrottlingException"), "callee"),
        (BotoError(400, "ProvisionedThroughputExceededException"), "callee"),
        (ExceptionGroup("", [ValueError(), ConnectionError()]), "callee"),
        (ExceptionGroup("", [ValueError(), httpx_error(404)]), "request"),
        (ExceptionGroup("", [ValueError(), ExceptionGroup("", [KeyError()])]), "arguments"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_whose_fault_an_error_is(error, fault):
    assert fault_of(error) == fault
    assert callee_failed(error) is (fault == "callee")


def test_an_error_with_a_cause_in_the_callee_is_the_callees():
    def explicitly():
        raise ValueError("no price") from ConnectionError("reset")

    def raise_in_handler():
        try:
            _raise(TimeoutError(), None)
        except TimeoutError:
            raise KeyError("price")  # noqa: B904 - as many write it

    assert fault_of(catch(explicitly)) == "callee"
    assert fault_of(catch(raise_in_handler)) == "callee"


def test_what_the_caller_is_handling_is_no_cause():
    policy = Retry(attempts=2, wait=0)
    breaker = Breaker(CircuitBreaker(window=1), "quotes")
    try:
        raise httpx_error(404)
    except httpx.HTTPStatusError:
        # The error of the tool that stands in for the one that found nothing.
        retrying, permit = Retrying(policy), breaker.admit()
        error = catch(lambda: 1 / 0)
        assert retrying.after_error(error) is not None
        permit.fail(error, 0.1)
    assert breaker.state == "open"


# --- what is made of it -----------------------------------------------------------------------


@pytest.fixture
def ops():
    with ToolOps(retry_budget=None) as ops:
        yield ops


def decorators(ops):
    breaker = CircuitBreaker(window=4, min_calls=4)
    retry = Retry(attempts=3, wait=0)
    return [
        ops.readonly(breaker=breaker, retry=retry),
        ops.tool(breaker=breaker, retry=retry),
        ops.sideeffect(breaker=breaker, retry=retry, idempotent=True),
    ]


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("make", [KeyError, ValueError, TypeError, lambda t: httpx_error(404)])
@pytest.mark.parametrize("face", ["sync", "async", "stream", "astream"])
def test_invented_arguments_open_no_circuit(ops, number, make, face):
    made = []

    def quote(ticker):
        made.append(ticker)
        if ticker != "ACME":
            raise make(ticker)
        return 1.0

    async def aquote(ticker):
        return quote(ticker)

    def stream(ticker):
        yield quote(ticker)

    async def astream(ticker):
        yield quote(ticker)

    async def read(ticker):
        (item,) = [item async for item in tool(ticker)]
        return item

    body = {"sync": quote, "async": aquote, "stream": stream, "astream": astream}[face]
    tool = decorators(ops)[number](body)
    ask = {
        "sync": lambda ticker: tool(ticker),
        "async": lambda ticker: asyncio.run(tool(ticker)),
        "stream": lambda ticker: next(iter(tool(ticker))),
        "astream": lambda ticker: asyncio.run(read(ticker)),
    }[face]
    for invented in ("A", "B", "C", "D", "E", "F"):
        with pytest.raises(type(make(invented))):
            ask(invented)
    assert len(made) == 6
    assert ask("ACME") == 1.0


def test_a_json_error_is_retried_and_counted(ops):
    made = []

    @ops.readonly(breaker=CircuitBreaker(window=3), retry=Retry(attempts=3, wait=0))
    def quote(ticker):
        made.append(ticker)
        return json.loads("<html>bad gateway</html>")

    with pytest.raises(json.JSONDecodeError):
        quote("ACME")
    assert len(made) == 3
    with pytest.raises(CircuitOpen, match="JSONDecodeError"):
        quote("ACME")


def test_an_explicit_filter_wins(ops):
    made = []

    @ops.readonly(
        breaker=CircuitBreaker(window=3, on=Exception),
        retry=Retry(attempts=3, wait=0, on=(KeyError, LookupError)),
    )
    def quote(ticker):
        made.append(ticker)
        raise KeyError(ticker)

    with pytest.raises(KeyError):
        quote("A")
    assert len(made) == 3
    with pytest.raises(CircuitOpen):
        quote("A")


def test_bad_arguments_count_as_nothing_and_refusals_as_answers():
    breaker = Breaker(CircuitBreaker(window=10), "quotes")
    breaker.admit().fail(ValueError(), 0.1)
    assert breaker.snapshot().calls == 0
    breaker.admit().fail(httpx_error(404), 0.1)
    assert (breaker.snapshot().calls, breaker.snapshot().failure_rate) == (1, 0.0)
    breaker.admit().fail(httpx_error(500), 0.1)
    assert breaker.snapshot().failure_rate == 0.5


# --- groups -----------------------------------------------------------------------------------


def group(*errors):
    return BaseExceptionGroup("together", errors)


def test_leaves_of_nested_groups_in_order():
    one, two, three = ConnectionError(1), KeyError(2), OSError(3)
    assert list(iter_leaves(group(one, group(two, group(three))))) == [one, two, three]
    assert list(iter_leaves(one)) == [one]
    deep = one
    for _ in range(5_000):
        deep = ExceptionGroup("deeper", [deep])
    assert list(iter_leaves(deep)) == [one]
    assert matches(ConnectionError, deep)


@pytest.mark.parametrize(
    ("wanted", "error", "every", "any_"),
    [
        (ConnectionError, group(ConnectionError()), True, True),
        (ConnectionError, group(ConnectionError(), group(ConnectionError())), True, True),
        (ConnectionError, group(ConnectionError(), group(KeyError())), False, True),
        (ConnectionError, group(KeyError()), False, False),
        ((ConnectionError, KeyError), group(ConnectionError(), KeyError()), True, True),
        (lambda e: not isinstance(e, KeyError), group(KeyError(), OSError()), False, True),
        (ExceptionGroup, group(KeyError()), True, True),
        ((ExceptionGroup, OSError), group(KeyError()), True, True),
        (ExceptionGroup, KeyError(), False, False),
        (Exception, group(KeyError()), True, True),
        (Exception, group(KeyboardInterrupt()), False, False),
    ],
)
def test_a_filter_looks_into_groups(wanted, error, every, any_):
    assert matches(wanted, error) is every
    assert matches(wanted, error, every=False) is any_


@pytest.mark.parametrize(
    ("on", "error", "again"),
    [
        (ConnectionError, group(ConnectionError(), group(ConnectionError())), True),
        (ConnectionError, group(ConnectionError(), ValueError()), False),
        (Exception, group(ConnectionError(), RateLimited("no")), False),
        (Exception, group(group(TotalTimeout("slow", seconds=1))), False),
        (Exception, group(concurrent.futures.CancelledError()), False),
        (Exception, group(asyncio.CancelledError()), False),
        (Exception, group(KeyboardInterrupt()), False),
        (ExceptionGroup, group(ConnectionError(), CircuitOpen("open")), False),
        (None, group(ConnectionError(), TimeoutError()), True),
        (None, group(ConnectionError(), ValueError()), False),
        (None, group(httpx_error(503), httpx_error(404)), False),
    ],
)
def test_a_group_is_retried_where_each_of_it_is(on, error, again):
    policy = Retry(attempts=2, wait=0) if on is None else Retry(attempts=2, wait=0, on=on)
    assert (Retrying(policy).after_error(error) is not None) is again


@pytest.mark.parametrize(
    ("error", "calls", "state"),
    [
        (group(ConnectionError(), ValueError()), 1, "open"),
        (group(ValueError()), 0, "closed"),
        (group(RateLimited("no"), group(CircuitOpen("open"))), 0, "closed"),
        (group(RateLimited("no"), ConnectionError()), 1, "open"),
        (group(asyncio.CancelledError()), 0, "closed"),
    ],
)
def test_a_group_is_a_failure_where_one_of_it_is(error, calls, state):
    breaker = Breaker(CircuitBreaker(window=1), "quotes")
    breaker.admit().fail(error, 0.1)
    assert breaker.state == state
    assert breaker.snapshot().calls == calls


def test_a_task_group_is_retried(ops):
    made = []

    async def down():
        raise ConnectionError

    @ops.tool(retry=Retry(attempts=3, wait=0, on=ConnectionError), cache=Cache(ttl=60))
    async def fetch(url):
        made.append(url)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(down())
            tasks.create_task(down())

    with pytest.raises(ExceptionGroup):
        asyncio.run(fetch("/"))
    assert len(made) == 3
