"""Identity, name and errors of chat models, however their calls are guarded.

A model's own description for LangChain's caches is made once and names classes only, so it misses
later changes, and the fields of a response schema.
"""

from __future__ import annotations

import sys
from typing import Any

from langchain_core.runnables import Runnable, RunnableBinding, RunnableConfig
from langchain_core.runnables.config import ensure_config, merge_configs
from langchain_core.runnables.configurable import DynamicRunnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

from toolops_plugins.adapters.live_values import LiveValues
from toolops_plugins.adapters.model_guard import guard_of
from toolops_plugins.adapters.model_identity import (
    WATCH_FIELDS,
    class_identity,
    field_identities,
    private_identities,
    replace_values,
    replacer,
)
from toolops_plugins.adapters.model_policy import may_pass
from toolops_plugins.errors import NotCanonicalError
from toolops_plugins.policy import NOTHING

__all__ = [
    "continues_response",
    "find_model",
    "is_configurable",
    "is_guarded",
    "is_outage",
    "model_identity",
    "model_name",
    "request_identity",
]

_SKIP = WATCH_FIELDS | {
    # How a run is watched.
    "cache",
    "custom_get_token_ids",
    "metadata",
    "name",
    "tags",
    # How the answer travels.
    "default_request_timeout",
    "disable_streaming",
    "http_socket_options",
    "stream_chunk_timeout",
    "stream_usage",
    "streaming",
}
"""Fields of models that change nothing in what is answered."""


def continues_response(model: Any) -> bool:
    """Return whether a model sends the id of its last response in place of the turns before it."""
    model, _ = find_model(model)
    return getattr(model, "use_previous_response_id", False) is True


def model_identity(model: Any, live: LiveValues, config: RunnableConfig | None = None) -> Any:
    """Return the values that tell a model from others that might answer differently.

    These are the class and all fields, also those that were changed after construction, but for
    fields that only say how a run is watched, tried or transported; and texts, numbers, truth
    values and mappings among its private attributes. A model that is configured when it runs is
    the model that it is under the run's configuration. A class with ``__toolops_key__()`` says for
    itself how its instances differ.

    Args:
        model: The live model.
        live: Makes what functions and credentials count as.
        config: The configuration that the bindings around it add to the run's. None: nothing.

    Raises:
        NotCanonicalError: Its configuration is made by functions when it runs, or a field cannot be
            told from others.
    """
    if hasattr(type(model), "__toolops_key__"):
        return model
    if isinstance(model, DynamicRunnable):
        chosen, config = model.prepare(ensure_config(config))
        return model_identity(chosen, live, config)
    if isinstance(model, RunnableBinding):
        if model.config_factories:
            raise NotCanonicalError(
                "the configuration of a model is made when it runs",
                kind="configuration that is made when it runs",
            )
        bound = model_identity(model.bound, live, merge_configs(config, model.config))
        kind = type(model.bound)
        return ["binding", bound, live.arguments_of(kind, model.kwargs, request_identity)]
    if is_configurable(model):  # which makes it anew by each call
        made = model._model(ensure_config(config))  # noqa: SLF001 - where LangChain's calls make it
        return model_identity(made, live, config)
    if not (isinstance(model, BaseModel) and isinstance(model, Runnable)):
        return model  # of which the keyer knows whether it has a canonical form

    def inner(value: Any) -> Any:
        return model_identity(value, live, config) if isinstance(value, Runnable) else NOTHING

    kind, plain = type(model), replacer(inner, live)
    extra = model.model_extra or {}
    return [
        class_identity(kind),
        field_identities(model, inner, live, skip=_SKIP),
        {name: live.identity_of(kind, name, plain, value) for name, value in extra.items()},
        private_identities(model, inner, live),
        # By these a model class names what its instances keep elsewhere.
        live.identity_of(kind, "_identifying_params", lambda m: plain(_params(m)), model),
    ]


def is_configurable(model: Any) -> bool:
    """Return whether a model is one of ``init_chat_model(configurable_fields=...)``."""
    base = sys.modules.get("langchain.chat_models.base")
    return base is not None and isinstance(model, base._ConfigurableModel)  # noqa: SLF001 - has no other name


def _params(model: Any) -> Any:
    return getattr(model, "_identifying_params", None)


def find_model(model: Any) -> tuple[Any, RunnableConfig]:
    """Return the model inside of bindings, and the configuration of its runs."""
    config = ensure_config()
    while True:
        if isinstance(model, DynamicRunnable):
            model, config = model.prepare(config)
        elif isinstance(model, RunnableBinding):
            model, config = model.bound, merge_configs(config, model.config)
        else:
            return model, config


def is_guarded(model: Any) -> bool:
    """Return whether a model, or the one inside of bindings around it, is guarded already."""
    while isinstance(model, RunnableBinding):
        model = model.bound
    return guard_of(model) is not None


def model_name(model: Any) -> str:
    """Return the name under which a model's calls are counted, such as "openai:gpt-5"."""
    try:
        params = model._get_ls_params()  # noqa: SLF001 - where LangChain's models say their names
        name = params.get("ls_model_name")
        if name:
            return f"{params.get('ls_provider', 'model')}:{name}"
    except Exception:  # noqa: BLE001, S110 - a model that does not say its name is called by its class
        pass
    return type(model).__name__


def request_identity(value: Any) -> Any:
    """Return what a model is sent beside the conversation, with schemas in place of classes.

    Raises:
        ValueError: A class is no schema, so that nobody knows what its name stands for.
    """
    return replace_values(value, _schema)


def _schema(value: Any) -> Any:
    if isinstance(value, type):
        return [value.__qualname__, convert_to_openai_tool(value)]
    return NOTHING


def is_outage(error: BaseException) -> bool:
    """Return whether a failed model call speaks against the service that was called.

    An answer that does not fit its schema does not. LangChain's ``ModelError`` says by
    ``is_retryable`` whether another attempt may succeed.
    """
    agents = sys.modules.get("langchain.agents.structured_output")
    if agents is not None and isinstance(error, agents.StructuredOutputError):
        return False
    return may_pass(error)
