"""Tokens and prices of the calls that providers report to CrewAI."""

from __future__ import annotations

from typing import Any

import pytest
from crewai.events.types.llm_events import LLMCallCompletedEvent, LLMCallType

from crewai_toolops.prices import ModelPrices, TokenPrice, names_of, usage_of
from toolops_plugins import ConfigurationError


@pytest.mark.parametrize(
    ("told", "counts", "cached"),
    [
        ({"prompt_tokens": 40, "completion_tokens": 2, "total_tokens": 42}, (40, 2), 0),
        ({"prompt_tokens": 40, "completion_tokens": 2, "cached_prompt_tokens": 9}, (40, 2), 9),
        ({"prompt_tokens": 40, "prompt_tokens_details": {"cached_tokens": 9}}, (40, 0), 9),
        # Anthropic, by CrewAI's own client, and as it is.
        ({"input_tokens": 40, "output_tokens": 2, "cached_prompt_tokens": 9}, (40, 2), 9),
        ({"input_tokens": 40, "output_tokens": 2, "cache_read_input_tokens": 9}, (49, 2), 9),
        # Gemini.
        ({"prompt_token_count": 40, "candidates_token_count": 2}, (40, 2), 0),
        # Bedrock.
        ({"inputTokens": 40, "outputTokens": 2, "totalTokens": 42}, (40, 2), 0),
        ({"inputTokens": 40, "outputTokens": 2, "cacheReadInputTokens": 9}, (49, 2), 9),
        (
            {"inputTokens": 4, "cacheReadInputTokenCount": 9, "cacheWriteInputTokens": 7},
            (20, 0),
            9,
        ),
    ],
)
def test_usage(told: dict[str, Any], counts: tuple[int, int], cached: int) -> None:
    usage = usage_of(told)
    assert usage is not None
    assert (usage["input_tokens"], usage["output_tokens"]) == counts
    assert usage["total_tokens"] == sum(counts)
    assert usage.get("input_token_details", {}).get("cache_read", 0) == cached


@pytest.mark.parametrize("told", [None, {}, {"total_tokens": 0}, "many", 7])
def test_no_usage(told: Any) -> None:
    assert usage_of(told) is None


def test_names() -> None:
    assert names_of("openrouter/openai/gpt-4o") == ["openrouter/openai/gpt-4o", "gpt-4o"]
    assert names_of("gpt-4o") == ["gpt-4o"]
    assert names_of("") == names_of(None) == []


def test_a_table_prices_what_tells_model_and_tokens() -> None:
    prices = ModelPrices({"gpt-4o": TokenPrice(2.0, 3.0, per=1), "azure/gpt-4o": (0.0, 0.0)})

    def event(model: str, usage: Any) -> LLMCallCompletedEvent:
        return LLMCallCompletedEvent(
            model=model, call_id="1", response="7", call_type=LLMCallType.LLM_CALL, usage=usage
        )

    usage = {"prompt_tokens": 10, "completion_tokens": 1}
    assert prices(event("gpt-4o", usage)) == prices(event("openai/gpt-4o-2024-08-06", usage)) == 23
    assert prices(event("azure/gpt-4o", usage)) == 0.0  # the whole name comes first
    assert prices(event("gpt-4o", None)) == prices(event("other", usage)) == prices("7") == 0.0


def test_wrong_prices() -> None:
    with pytest.raises(ConfigurationError, match="prices"):
        ModelPrices({"gpt-4o": 1.0})
