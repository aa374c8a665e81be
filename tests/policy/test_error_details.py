"""The status and retry delay that clients' exceptions report."""

from __future__ import annotations

import email.message
import math
import urllib.error
from datetime import timedelta
from types import SimpleNamespace

import aiohttp
import httpx
import openai
import pytest
import requests
from yarl import URL

from toolops_plugins import Retry
from toolops_plugins.policy.error_details import iter_chain, retry_after, status_of
from toolops_plugins.resilience.retry import Retrying
from toolops_plugins.testing import FakeClock

NOW = 1_800_000_000.0
REQUEST = httpx.Request("GET", "http://x")


class AnyError(Exception):
    def __init__(self, *args, **attributes):
        super().__init__(*args)
        vars(self).update(attributes)


def ask_for(seconds):
    return AnyError(retry_after=seconds)


def headers(status=None, **pairs):
    named = {name.replace("_", "-"): value for name, value in pairs.items()}
    return AnyError(headers=named, **({} if status is None else {"status_code": status}))


def boto(status=400, code="ValidationException", **pairs):
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": headers(**pairs).headers}
    return AnyError(response={"Error": {"Code": code}, "ResponseMetadata": metadata})


def message(**pairs):
    made = email.message.Message()
    for name, value in pairs.items():
        made[name.replace("_", "-")] = value
    return made


def aiohttp_error(status, **pairs):
    info = aiohttp.RequestInfo(URL("http://x"), "GET", {}, URL("http://x"))
    return aiohttp.ClientResponseError(info, (), status=status, headers=headers(**pairs).headers)


def openai_error(status, **pairs):
    response = httpx.Response(status, headers=headers(**pairs).headers, request=REQUEST)
    return openai.APIStatusError("no", response=response, body=None)


def requests_error(status, **pairs):
    response = requests.Response()
    response.status_code = status
    response.headers.update(headers(**pairs).headers)
    return requests.HTTPError("no", response=response)


def httpx_error(status, **pairs):
    response = httpx.Response(status, headers=headers(**pairs).headers, request=REQUEST)
    return httpx.HTTPStatusError("no", request=REQUEST, response=response)


def grpc_error(code, *pairs):
    return AnyError(
        code=lambda: SimpleNamespace(name=code),
        details=lambda: "no",
        trailing_metadata=lambda: pairs,
    )


CLIENTS = [aiohttp_error, openai_error, requests_error, httpx_error, boto, headers]


# --- status -----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", CLIENTS, ids=lambda make: make.__name__)
def test_clients_report_the_status(make):
    assert status_of(make(418)) == 418


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (urllib.error.HTTPError("http://x", 404, "no", message(), None), 404),
        (httpx.Response(503), 503),
        (AnyError(status="404"), None),
        (AnyError(http_status=402), 402),
        (AnyError(code=404, response=None, headers={}), 404),
        (AnyError(code=404), None),  # the code of a database, for all that is known
        (AnyError(status_code=True), None),
        (AnyError(status=7), None),
        (AnyError(response={}), None),
        (AnyError(response={"ResponseMetadata": 3}), None),
        (grpc_error("NOT_FOUND"), 404),
        (grpc_error("RESOURCE_EXHAUSTED"), 429),
        (grpc_error("UNAVAILABLE"), None),
        (ConnectionError(), None),
        (None, None),
    ],
)
def test_what_carries_a_status(error, expected):
    assert status_of(error) == expected


# --- when to come back ------------------------------------------------------------------------


@pytest.mark.parametrize("make", CLIENTS, ids=lambda make: make.__name__)
def test_clients_report_when_to_retry(make):
    assert retry_after(make(429, Retry_After="7")) == 7.0
    assert retry_after(make(429, retry_after_ms="250")) == 0.25
    assert retry_after(make(429, x_ratelimit_reset_requests="6m0s")) == 360.0


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        # headers in other shapes
        (AnyError(headers=[("Retry-After", "7")]), 7.0),
        (AnyError(headers=[(b"retry-after", b"7")]), 7.0),
        (AnyError(headers=((b"x", b"1"), ["Retry-After", "7"])), 7.0),
        (AnyError(headers={"Retry-After": ["7", "8"]}), 7.0),
        (AnyError(headers={"Retry-After": 7}), 7.0),
        (AnyError(headers=message(Retry_After="7")), 7.0),
        (AnyError(response={"headers": [("Retry-After", "7")]}), 7.0),
        (AnyError(headers="Retry-After: 7"), None),
        (AnyError(headers=[("Retry-After",), "ab", 7, None]), None),
        (grpc_error("UNAVAILABLE", ("retry-after", "7")), 7.0),
        (grpc_error("UNAVAILABLE", ("grpc-retry-pushback-ms", "1500")), 1.5),
        # times in other forms
        (headers(Retry_After="1m30s"), 90.0),
        (headers(Retry_After="2027-01-15T08:00:30Z"), 30.0),
        (headers(Retry_After="Fri, 15 Jan 2027 08:00:30 GMT"), 30.0),
        (headers(Retry_After=str(int(NOW) + 45)), 45.0),
        (headers(Retry_After=str(int(NOW) * 1000 + 45_000)), 45.0),
        (headers(Retry_After=str(int(NOW) - 45)), 0.0),
        (headers(Retry_After="99999999999999999999"), 1e20),
        # limits that are used up
        (headers(429, x_ratelimit_reset_tokens="88ms"), 0.088),
        (headers(429, x_ratelimit_reset_requests="1s", x_ratelimit_reset_tokens="6m0s"), 360.0),
        (
            headers(
                429,
                x_ratelimit_remaining_requests="0",
                x_ratelimit_reset_requests="1s",
                x_ratelimit_remaining_tokens="9000",
                x_ratelimit_reset_tokens="6m0s",
            ),
            1.0,
        ),
        (headers(403, x_ratelimit_remaining="0", x_ratelimit_reset=str(int(NOW) + 60)), 60.0),
        (headers(429, anthropic_ratelimit_tokens_reset="2027-01-15T08:00:30Z"), 30.0),
        (headers(429, ratelimit_reset="12"), 12.0),
        (headers(429, x_ratelimit_reset_after="1.5"), 1.5),
        (headers(429, x_rate_limit_reset=str(int(NOW) + 5)), 5.0),
        (headers(None, x_ratelimit_reset_requests="6m0s"), 360.0),
        (headers(429, retry_after="2", x_ratelimit_reset_requests="6m0s"), 2.0),
        # and that have nothing to do with the error
        (headers(500, x_ratelimit_reset_requests="6m0s"), None),
        (httpx.Response(200, headers={"x-ratelimit-reset-requests": "6m0s"}), None),
        (headers(429, x_ratelimit_remaining="5", x_ratelimit_reset="60"), None),
        (headers(429, x_ratelimit_reset_requests="soon"), None),
        # google.rpc.RetryInfo
        (AnyError(retry_delay=timedelta(seconds=3)), 3.0),
        (AnyError(retry_delay="3.5s"), 3.5),
        (AnyError(retry_delay={"seconds": 3, "nanos": 500_000_000}), 3.5),
        (AnyError(details=[object(), SimpleNamespace(retry_delay=4)]), 4.0),
        (
            AnyError(details=[AnyError(retry_delay=SimpleNamespace(seconds=2, nanos=250_000_000))]),
            2.25,
        ),
        (
            AnyError(details={"error": {"code": 429, "details": [{"retryDelay": "32s"}]}}),
            32.0,
        ),
        (AnyError(details="retryDelay"), None),
        (AnyError(retry_delay=-1), None),
        (AnyError(retry_delay={"seconds": "many"}), None),
        (AnyError(retry_after="6m0s"), 360.0),
        (AnyError(retry_after=b"7"), 7.0),
        (AnyError(retry_after=math.inf), math.inf),
    ],
)
def test_when_a_server_wants_to_be_asked_again(outcome, expected):
    assert retry_after(outcome, FakeClock(NOW)) == expected


def test_details_that_go_round_in_circles_have_an_end():
    around = {}
    around["again"] = [around, around]
    assert retry_after(AnyError(details=around)) is None
    assert retry_after(AnyError(headers=[("a", "b")] * 100_000)) is None


# --- chains and groups ------------------------------------------------------------------------


def catch(make):
    try:
        make()
    except Exception as error:
        return error


def test_an_error_leads_to_its_causes():
    def fail():
        raise AnyError("busy", retry_after=5)

    def explicitly():
        raise RuntimeError("wrapped") from AnyError("busy", retry_after=5)

    def raise_in_handler():
        try:
            fail()
        except AnyError:
            raise RuntimeError("wrapped")  # noqa: B904 - as many write it

    def raise_from_none():
        try:
            fail()
        except AnyError:
            raise RuntimeError("wrapped") from None

    assert retry_after(catch(explicitly)) == 5
    assert retry_after(catch(raise_in_handler)) == 5
    assert retry_after(catch(raise_from_none)) is None


def test_the_error_itself_comes_before_what_it_was_raised_from():
    error = ask_for(1)
    error.__cause__ = ask_for(5)
    assert retry_after(error) == 1


def test_a_chain_ends_even_if_it_goes_round_in_circles():
    one, two = RuntimeError("one"), RuntimeError("two")
    one.__cause__, two.__cause__ = two, one
    assert list(iter_chain(one)) == [one, two]
    assert retry_after(one) is None
    group = ExceptionGroup("all", [one])
    one.__cause__ = group
    assert retry_after(group) is None
    last = RuntimeError("0")
    for number in range(1_000):
        before, last = last, RuntimeError(number)
        last.__cause__ = before
    assert len(list(iter_chain(last))) == 10


def test_of_a_group_the_longest_wait_counts():
    nested = ExceptionGroup("in", [ask_for(2), ExceptionGroup("deeper", [ask_for(9), KeyError()])])
    assert retry_after(ExceptionGroup("out", [nested, ask_for(1), ValueError()])) == 9
    assert retry_after(ExceptionGroup("out", [ValueError()])) is None


def test_what_the_caller_is_handling_is_no_part_of_the_chain():
    policy = Retry(attempts=2, wait=0)
    try:
        raise ask_for(3_600)
    except AnyError:
        retrying = Retrying(policy)
        assert retrying.after_error(catch(lambda: 1 / 0)) == 0.0


def test_a_wait_beyond_the_longest_is_not_waited():
    policy = Retry(attempts=2, wait=0, max_wait=30)
    error = RuntimeError("wrapped")
    error.__cause__ = headers(429, x_ratelimit_reset_requests="6m0s")
    assert Retrying(policy).after_error(error) is None
    error.__cause__ = headers(429, x_ratelimit_reset_requests="20s")
    assert 20 <= Retrying(policy).after_error(error) <= 22
