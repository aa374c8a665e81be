"""Prices of what functions ask by a provider's own client."""

from __future__ import annotations

import logging

import pytest
from openai import OpenAI
from openai_server import OpenAIServer

from toolops_plugins import ToolOps
from toolops_plugins.prices import ModelPrices

USAGE = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}
GPT_4O = 0.0035


@pytest.fixture
def client():
    with OpenAIServer() as server:
        server.reply = lambda body: {"content": "yes", "usage": USAGE}
        with OpenAI(base_url=server.url, api_key="k", max_retries=0) as made:
            yield made


def test_answers_of_a_client_cost_what_is_published_and_hits_save_it(client):
    with ToolOps("client") as ops:

        @ops.readonly(price=ModelPrices(), name="ask")
        def ask(question):
            messages = [{"role": "user", "content": question}]
            return client.chat.completions.create(model="gpt-4o", messages=messages).model_dump()

        assert ask("why?") == ask("why?")
        found = ops.stats()["ask"]
    assert found.spent == pytest.approx(GPT_4O)
    assert found.saved_price == pytest.approx(GPT_4O)


def test_a_stream_costs_what_its_last_chunk_tells(client):
    chunks = client.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": "why?"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    assert ModelPrices()(list(chunks)) == pytest.approx(GPT_4O)


def test_the_responses_api_whole_and_as_a_stream(client):
    whole = client.responses.create(model="gpt-4o", input="why?")
    events = list(client.responses.create(model="gpt-4o", input="why?", stream=True))
    assert ModelPrices()(whole) == ModelPrices()(events) > 0


@pytest.mark.parametrize(
    "answer",
    [
        {"model": "m", "usage": {"input_tokens": 900, "cache_read_input_tokens": 100,
                                 "output_tokens": 100}},
        {"model_version": "m", "usage_metadata": {"prompt_token_count": 1_000,
                                                  "candidates_token_count": 100}},
        {"model": "m", "response": "yes", "prompt_eval_count": 1_000, "eval_count": 100},
    ],
    ids=["anthropic", "google", "ollama"],
)  # fmt: skip
def test_answers_of_other_providers(answer):
    assert ModelPrices({"m": (2.5, 10.0)})(answer) == pytest.approx(GPT_4O)


@pytest.mark.parametrize("answer", [None, "yes", 3, [], {"model": "m"}, {"usage": {}}, object()])
def test_what_tells_no_tokens_is_free(answer):
    assert ModelPrices({"m": (2.5, 10.0)})(answer) == 0


def test_a_model_without_a_price_is_named_once(caplog):
    answer = {"model": "nobody-knows-this", "usage": {"input_tokens": 5}}
    with caplog.at_level(logging.WARNING, "toolops_plugins.prices"):
        assert [ModelPrices()(answer) for _ in range(3)] == [0, 0, 0]
    assert [record.getMessage().count("nobody-knows-this") for record in caplog.records] == [1]
