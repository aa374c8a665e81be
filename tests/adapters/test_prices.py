"""Prices of models: published ones, the user's own on top, and what is no price."""

from __future__ import annotations

import logging
import math
import subprocess
import sys

import pytest

from toolops_plugins import Cache, ConfigurationError, Policy, ToolOps
from toolops_plugins.adapters.model_costs import ModelCosts, ModelCounter, Reading
from toolops_plugins.prices.published_prices import find_published_price
from toolops_plugins.prices.tables import PriceTable, TokenPrice

USAGE = {"input_tokens": 1_000, "output_tokens": 100}
GPT_4O = 0.0035
SONNET_4 = 0.0045


class Table(PriceTable):
    def __call__(self, result):
        return self.of(["gpt-4o"], result)


@pytest.fixture
def ops():
    with ToolOps("prices") as made:
        yield made


@pytest.mark.parametrize(
    ("name", "provider", "money"),
    [
        ("gpt-4o", "openai", GPT_4O),
        ("gpt-4o", "", GPT_4O),
        ("gpt-4o-2024-08-06", "", GPT_4O),
        ("openai/gpt-4o", "", GPT_4O),
        ("openai:gpt-4o", "", GPT_4O),
        ("openrouter/openai/gpt-4o", "", GPT_4O),
        ("openai/gpt-4o", "openrouter", GPT_4O),
        ("gpt-4o", "azure", GPT_4O),
        ("gpt-4o", "azure_openai", GPT_4O),
        ("azure/gpt-4o", "azure", GPT_4O),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", "amazon_bedrock", SONNET_4),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", "", SONNET_4),
        ("bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0", "", SONNET_4),
        ("claude-sonnet-4-5@20250929", "google_vertexai", SONNET_4),
        ("models/gemini-2.5-flash", "google_genai", 0.00055),
        ("deepseek-chat", "openai", 0.00019),  # at an address of the user's own
        ("text-embedding-3-small", "", 0.00002),
        ("mistral-large-latest", "mistralai", 0.0026),
        ("my-deployment", "azure", None),
        ("llama3", "ollama", None),
        ("", "", None),
    ],
)
def test_published_prices_know_models_by_many_names(name, provider, money):
    found = find_published_price([name], USAGE, provider)
    assert found == (None if money is None else pytest.approx(money))


def test_the_first_name_that_is_known_counts():
    assert find_published_price(["deployed", "gpt-4o"], USAGE, "azure") == GPT_4O


@pytest.mark.parametrize(
    ("details", "money"),
    [
        ({"cache_read": 500, "cache_creation": 300}, (200 * 3 + 500 * 0.3 + 300 * 3.75) / 1e6),
        ({"ephemeral_1h_input_tokens": 300}, (700 * 3 + 300 * 6) / 1e6),
        ({"cache_read": 5_000}, 1_000 * 0.3 / 1e6),  # more than there are
        ({"cache_read": None}, 0.003),
    ],
)
def test_tokens_of_the_providers_cache_have_a_price_of_their_own(details, money):
    usage = {"input_tokens": 1_000, "output_tokens": 0, "input_token_details": details}
    found = find_published_price(["claude-sonnet-4-5"], usage, "anthropic")
    assert found == pytest.approx(money)


def test_prices_of_the_users_own_come_first(ops):
    table = Table({"gpt-4o": (1.0, 0.0), "mine": TokenPrice(2.0, 0.0)})
    assert table.of(["gpt-4o-2024-08-06"], USAGE) == 0.001
    assert table.of(["mine"], USAGE) == 0.002
    assert math.isclose(table.of(["gpt-4o-mini"], USAGE), 0.00021)
    assert Table({"mine": (1.0, 1.0)}, published=False).of(["gpt-4o-mini"], USAGE) == 0.0
    assert ModelCosts(ops, table).price(["gpt-4o"], USAGE) == 0.001
    assert ModelCosts(ops, None).price(["gpt-4o"], USAGE) == GPT_4O
    assert ModelCosts(ops, lambda model, usage: usage["input_tokens"]).price(["x"], USAGE) == 1_000
    assert ModelCosts(ops, None).price(["gpt-4o"], None) == 0.0


@pytest.mark.parametrize("prices", [3, "gpt-4o", [("gpt-4o", 1.0)]])
def test_what_is_no_table_is_refused(prices):
    with pytest.raises(ConfigurationError, match="prices"):
        Table(prices)


def test_a_model_without_a_price_is_named_once(ops, caplog):
    for costs in (ModelCosts(ops, None), ModelCosts(ops, Table({}))):
        for _ in range(3):
            assert costs.price(["secretive-1"], USAGE, "openai") == 0.0
            assert costs.price(["llama3"], USAGE, "ollama") == 0.0  # which nobody sells
    (line,) = [record.getMessage() for record in caplog.records]
    assert "'secretive-1' count as free (price_unknown)" in line
    assert "ModelPrices({'secretive-1': (2.5, 10.0)})" in line


@pytest.mark.parametrize(
    ("price", "line"),
    [
        (lambda *_: math.nan, "price= gave nan, which is no amount of money"),
        (lambda *_: math.inf, "price= gave inf, which is no amount of money"),
        (lambda *_: -1, "price= gave -1.0, which is no amount of money"),
        (lambda *_: "secret", "price= raised ValueError"),
        (lambda *_: None, "price= raised TypeError"),
    ],
)
def test_a_price_that_is_no_number_is_told_once_and_calls_go_on(ops, caplog, price, line):
    with caplog.at_level(logging.WARNING):
        tool = ops.tool(price=price, name="quote")(lambda ticker: 7)
        costs = ModelCosts(ops, price)
        for ticker in "abc":
            assert tool(ticker) == 7
            assert costs.price(["gpt-4o"], USAGE) == 0.0
    assert ops.stats()["quote"].spent == 0.0
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    for name, found in zip(("quote", "gpt-4o"), lines, strict=True):
        assert f"'{name}' counts as free" in found
        assert line in found
        assert "secret" not in found


def test_details_and_prices_of_a_counter(ops):
    events = []
    ops.add_sink(events.append)
    counter = ModelCounter(
        ops, "openai:best", "chat", None, lambda usage: Reading(("gpt-4o",), usage)
    )
    wrap = ops.tool(policy=counter.apply_price(Policy(cache=Cache())), name="openai:best")
    ask = wrap(_answer)
    counter.describe(ask, lambda args: f"agent of {args[0]}")
    ask("a")
    ask("a")
    miss, hit = events
    known = {"model": "best", "provider": "openai", "agent": "agent of a"}
    assert dict(miss.details) == {
        **known,
        "response_model": "gpt-4o",
        "input_tokens": 1_000,
        "output_tokens": 100,
    }
    assert {**known, "saved_input_tokens": 1_000, "saved_output_tokens": 100}.items() <= (
        dict(hit.details).items()
    )
    assert "input_tokens" not in hit.details
    assert (miss.kind, miss.price, hit.kind, hit.saved_price) == ("chat", GPT_4O, "chat", GPT_4O)


def _answer(question):
    return USAGE


def test_neither_an_import_nor_a_hit_loads_the_prices(root):
    program = """
import sys
from toolops_plugins import Cache, Memory, Policy, ToolOps
from toolops_plugins.adapters.model_costs import ModelCounter, Reading

tier = Memory()
def ask(question):
    return 7
def wrap(price):
    ops = ToolOps(tiers=[tier])
    read = lambda _: Reading((), {"input_tokens": 9})
    counter = ModelCounter(ops, "openai:gpt-4o", "chat", price, read)
    made = ops.tool(policy=counter.apply_price(Policy(cache=Cache(), price=price)), name="m")(ask)
    counter.describe(made, lambda _: "")
    return ops, made
first, asked = wrap(0.5)
asked("a")
second, asked = wrap(None)
asked("a")
assert second.stats()["m"].hits == 1 and second.stats()["m"].saved_price == 0.5
assert not {"genai_prices", "httpx2"} & set(sys.modules)
asked("b")
assert second.stats()["m"].spent > 0
assert "genai_prices" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True, text=True)


def test_a_call_costs_nothing_without_the_extra(ops, monkeypatch, caplog):
    from toolops_plugins.adapters import model_costs
    from toolops_plugins.prices import published_prices

    for module in (model_costs, published_prices):
        monkeypatch.setattr(module, "has_published_prices", lambda: False)
    assert ModelCosts(ops, None).price(["gpt-4o"], USAGE) == 0.0
    assert not caplog.records  # nobody has asked for money
    assert ModelCosts(ops, Table({"mine": (1.0, 1.0)})).price(["gpt-4o"], USAGE) == 0.0
    assert len(caplog.records) == 1
