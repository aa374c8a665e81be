"""What is asked of every model, however its calls are guarded: identity, name, which errors count.

A model's own description for LangChain's caches is made once and names classes only, so that it
misses what was changed since, and the fields of a response schema. Here the key is made of what
will be sent: all of it is hashed, and nothing of it, secrets included, is kept or shown.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import Runnable, RunnableBinding, RunnableConfig
from langchain_core.runnables.config import ensure_config, merge_configs
from langchain_core.runnables.configurable import DynamicRunnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

from toolops_plugins.adapters.model_policy import class_identity, may_pass
from toolops_plugins.errors import NotCanonicalError

__all__ = ["is_outage", "model_identity", "model_name", "sent"]

_NOT_ASKED = frozenset(
    (
        # How a run is watched.
        "cache",
        "callback_manager",
        "callbacks",
        "custom_get_token_ids",
        "metadata",
        "name",
        "tags",
        "verbose",
        # How long and how often it is tried, and how the answer travels.
        "default_request_timeout",
        "disable_streaming",
        "http_socket_options",
        "max_retries",
        "rate_limiter",
        "request_timeout",
        "stream_chunk_timeout",
        "stream_usage",
        "streaming",
        "timeout",
    )
)
"""Fields of models that change nothing in what is answered."""
_SETTINGS = (str, bool, float)
"""What private attributes, and fields that are not written down, may say of a model."""


def model_identity(model: Any, config: RunnableConfig | None = None) -> Any:
    """Return what tells a model from others that might answer differently, to be hashed.

    It holds the class and all fields, those included that were changed after construction, but
    for those that only say how a run is watched, tried or transported; and texts, truth values and
    fractions among its private attributes. A model that is configured when it runs is the one that
    it is under the run's configuration. A class with ``__toolops_key__()`` says for itself what
    tells its instances apart.

    Args:
        model: The live model.
        config: What the bindings around it add to the run's configuration. None: nothing.

    Raises:
        NotCanonicalError: Its configuration is made by functions when it runs.
    """
    if hasattr(type(model), "__toolops_key__"):
        return model
    if isinstance(model, DynamicRunnable):
        chosen, config = model.prepare(ensure_config(config))
        return model_identity(chosen, config)
    if isinstance(model, RunnableBinding):
        if model.config_factories:
            raise NotCanonicalError("the configuration of a model is made when it runs")
        bound = model_identity(model.bound, merge_configs(config, model.config))
        return ["binding", bound, sent(model.kwargs)]
    if not (isinstance(model, BaseModel) and isinstance(model, Runnable)):
        return model  # of which the keyer knows whether it has a canonical form
    fields = {}
    for name, field in type(model).model_fields.items():
        value = None if name in _NOT_ASKED else getattr(model, name)
        # What a class does not want to be written down are its clients, and sometimes settings.
        if value is not None and (not field.exclude or isinstance(value, _SETTINGS)):
            fields[name] = _plain(value, config)  # to leave out what is None says the same
    private = model.__pydantic_private__ or {}
    kept = {name: value for name, value in private.items() if isinstance(value, _SETTINGS)}
    # By these a model class names what its instances keep elsewhere.
    parameters = getattr(model, "_identifying_params", None)
    own = class_identity(type(model))
    return [own, fields, model.model_extra, kept, _plain(parameters, config)]


def model_name(model: Any) -> str:
    """Return the name under which a model's calls are counted, such as "openai:gpt-5"."""
    try:
        told = model._get_ls_params()  # noqa: SLF001 - where LangChain's models say their names
        name = told.get("ls_model_name")
        if name:
            return f"{told.get('ls_provider', 'model')}:{name}"
    except Exception:  # noqa: BLE001, S110 - a model that does not say its name is called by its class
        pass
    return type(model).__name__


def _plain(value: Any, config: RunnableConfig | None) -> Any:
    """Return a value with the models inside it replaced by their identities."""
    if isinstance(value, Runnable):
        return model_identity(value, config)
    if isinstance(value, Mapping):  # such as headers, whatever the class of the mapping
        return {name: _plain(content, config) for name, content in value.items()}
    if type(value) in (list, tuple):
        return [_plain(each, config) for each in value]
    return value


def sent(value: Any) -> Any:
    """Return what a model is sent beside the conversation, with classes as the schemas they are.

    Raises:
        ValueError: A class is no schema, so that nobody knows what its name stands for.
    """
    if isinstance(value, type):
        return [value.__qualname__, convert_to_openai_tool(value)]
    if isinstance(value, Mapping):
        return {name: sent(content) for name, content in value.items()}
    if type(value) in (list, tuple):
        return [sent(each) for each in value]
    return value


def is_outage(error: BaseException) -> bool:
    """Return whether a failed model call speaks against the service that was called.

    An answer that does not fit its schema does not. LangChain's ``ModelError`` says by
    ``is_retryable`` whether it may pass.
    """
    agents = sys.modules.get("langchain.agents.structured_output")
    if agents is not None and isinstance(error, agents.StructuredOutputError):
        return False
    return may_pass(error)
