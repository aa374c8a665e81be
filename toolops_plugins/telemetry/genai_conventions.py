"""Names of OpenTelemetry's conventions for generative AI, and of what this library adds to them.

From ``open-telemetry/semantic-conventions-genai`` 0.1. They are constants of our own, since those
of ``opentelemetry-semantic-conventions`` are deprecated and have moved. No cache is known to the
conventions, so all that concerns ours is named ``toolops.*``; their ``cache_read`` and
``cache_write`` mean the prompt cache of the provider.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "AGENT_NAME",
    "CALLS",
    "CALL_BUCKETS",
    "CALL_DURATION",
    "EMBEDDING_DATA_KEY",
    "ERROR_TYPE",
    "EXECUTE_TOOL",
    "EXECUTE_TOOL_DURATION",
    "INFERENCE_DATA_KEY",
    "NOTICES",
    "OPERATION_DURATION",
    "OPERATION_NAME",
    "PROVIDER_NAME",
    "REQUEST_MODEL",
    "REQUEST_STREAM",
    "RESPONSE_MODEL",
    "SAVED_COST",
    "SAVED_TIME",
    "SAVED_TOKENS",
    "SECONDS_BUCKETS",
    "SEMANTIC_DECISIONS",
    "SPENT_COST",
    "STARTS",
    "SUPPRESS_KEY",
    "TOKEN_BUCKETS",
    "TOKEN_TYPE",
    "TOKEN_USAGE",
    "TOOL_NAME",
    "TOOL_TYPE",
    "UNKNOWN_ERROR",
    "USAGE_CACHE_READ_TOKENS",
    "USAGE_CACHE_WRITE_TOKENS",
    "USAGE_INPUT_TOKENS",
    "USAGE_OUTPUT_TOKENS",
]

# -- attributes of the conventions ---------------------------------------------------------------

OPERATION_NAME: Final = "gen_ai.operation.name"
EXECUTE_TOOL: Final = "execute_tool"
"""The name of the operation that runs a tool; models have those of ``CallKind``."""
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
AGENT_NAME: Final = "gen_ai.agent.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
RESPONSE_MODEL: Final = "gen_ai.response.model"
USAGE_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
USAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
USAGE_CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_write.input_tokens"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - tokens of a model
ERROR_TYPE: Final = "error.type"
UNKNOWN_ERROR: Final = "_OTHER"
"""The error type where none is known."""

# -- metrics of the conventions, with their buckets ----------------------------------------------

OPERATION_DURATION: Final = "gen_ai.client.operation.duration"
EXECUTE_TOOL_DURATION: Final = "gen_ai.execute_tool.duration"
TOKEN_USAGE: Final = "gen_ai.client.token.usage"  # noqa: S105 - as above
SECONDS_BUCKETS: Final = tuple(0.01 * 2**power for power in range(14))
TOKEN_BUCKETS: Final = tuple(4**power for power in range(14))

# -- metrics of this library ---------------------------------------------------------------------

CALLS: Final = "toolops.calls"
CALL_DURATION: Final = "toolops.call.duration"
CALL_BUCKETS: Final = (0.00001, 0.0001, 0.001, 0.0025, 0.005, *SECONDS_BUCKETS)
"""A hit takes microseconds, for which the conventions have no bucket."""
STARTS: Final = "toolops.function.starts"
SAVED_TIME: Final = "toolops.saved.time"
SAVED_COST: Final = "toolops.saved.cost"
SAVED_TOKENS: Final = "toolops.saved.tokens"
SPENT_COST: Final = "toolops.spent.cost"
SEMANTIC_DECISIONS: Final = "toolops.semantic.decisions"
NOTICES: Final = "toolops.notices"

# -- keys in the context, by which instrumentations agree who measures ---------------------------

INFERENCE_DATA_KEY: Final = "opentelemetry.genai.client.inference.context"
"""Of ``opentelemetry-util-genai``: an ``InferenceData`` under it says that a model is measured."""
EMBEDDING_DATA_KEY: Final = "opentelemetry.genai.client.embedding.context"
"""The same for embeddings, with an ``EmbeddingData``."""
SUPPRESS_KEY: Final = "suppress_language_model_instrumentation"
"""Of ``opentelemetry-semantic-conventions-ai``, which OpenLLMetry's instrumentations heed."""
