"""What is asked of every model, however its calls are guarded: identity, name, which errors count.

A model's own description for LangChain's caches is made once and names classes only, so that it
misses what was changed since, and the fields of a response schema. Here the key is made of what
will be sent: all of it is hashed, and nothing of it, secrets included, is kept or shown.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from langchain_core.runnables import Runnable, RunnableBinding, RunnableConfig
from langchain_core.runnables.config import ensure_config, merge_configs
from langchain_core.runnables.configurable import DynamicRunnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

from toolops_plugins import Cache, CircuitBreaker, Policy, Retry, ToolOps
from toolops_plugins.errors import NotCanonicalError

__all__ = [
    "MODEL_POLICY",
    "Unknown",
    "is_outage",
    "may_pass",
    "model_identity",
    "model_name",
    "sent",
    "told_apart",
    "worth_trying",
]

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
MODEL_POLICY = Policy(cache=Cache(ttl=3_600.0), retry=Retry(), breaker=CircuitBreaker())
"""What is asked of model calls where nothing else is said: kept for an hour, retried, and behind a
circuit breaker."""
_ALIKE = 1_000
"""Different breakers of one name that are remembered."""
_parts: weakref.WeakKeyDictionary[ToolOps, dict[tuple[str, str], list[Any]]] = (
    weakref.WeakKeyDictionary()
)
_lock = threading.Lock()
_PASSING = frozenset((408, 409, 425, 429))
"""HTTP statuses of errors that are the client's by number, but may pass."""


def model_identity(model: Any, config: RunnableConfig | None = None) -> Any:
    """Return what tells a model from others that might answer differently, to be hashed.

    It holds the class and all fields, those included that were changed after construction, but
    for those that only say how a run is watched, tried or transported. A model that is configured
    when it runs is the one that it is under the run's configuration. A class with
    ``__toolops_key__()`` says for itself what tells its instances apart.

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
        # What a class does not want to be written down are its clients.
        if not field.exclude and name not in _NOT_ASKED:
            value = getattr(model, name)
            if value is not None:  # most are, and to leave them out says the same
                fields[name] = _plain(value, config)
    # By these a model class names what its instances keep elsewhere.
    parameters = getattr(model, "_identifying_params", None)
    return [type(model), fields, model.model_extra, _plain(parameters, config)]


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


class Unknown:
    """What cannot be told apart, so that the call goes past the cache, with a warning.

    Args:
        error: What was met when it was looked at.
    """

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __toolops_key__(self) -> Any:
        raise NotCanonicalError(type(self._error).__name__) from self._error


def may_pass(error: BaseException) -> bool:
    """Return whether a failed model call is worth another attempt.

    LangChain's ``ModelError`` says so by ``is_retryable``. Of other errors those are not that came
    with an HTTP status of the 4xx kind, other than 408, 409, 425 and 429.
    """
    says = getattr(error, "is_retryable", None)
    if isinstance(says, bool):
        return says
    status = getattr(error, "status_code", None)
    return not (isinstance(status, int) and 400 <= status < 500 and status not in _PASSING)


def is_outage(error: BaseException) -> bool:
    """Return whether a failed model call speaks against the service that was called.

    An answer that does not fit its schema does not.
    """
    agents = sys.modules.get("langchain.agents.structured_output")
    if agents is not None and isinstance(error, agents.StructuredOutputError):
        return False
    return may_pass(error)


def worth_trying(policy: Policy) -> Policy:
    """Return the policy with the errors left alone that no other attempt could mend.

    Args:
        policy: The user's policy; a retry or breaker that names exceptions stays as it is.
    """
    retry, breaker = policy.retry, policy.breaker
    if retry is not None and retry.on is Exception:
        policy = policy.replace(retry=replace(retry, on=may_pass))
    if breaker is not None and breaker.on is Exception:
        policy = policy.replace(breaker=replace(breaker, on=is_outage))
    return policy


def told_apart(ops: ToolOps, policy: Policy, name: str) -> Policy:
    """Return the policy with names for its breaker, limit and bulkhead.

    Equal ones of one name are one, wherever they were asked for; where somebody asks for another,
    that gets a name of its own, since nobody can know beforehand who else calls this model.

    Args:
        ops: The runtime.
        policy: The user's policy; what has a name keeps it.
        name: Of the model or tool.
    """
    changes: dict[str, Any] = {}
    for part in ("breaker", "rate_limit", "bulkhead"):
        chosen = getattr(policy, part)
        if chosen is None or chosen.name is not None:
            continue
        with _lock:
            known = _parts.setdefault(ops, {}).setdefault((part, name), [])
            if chosen not in known:
                known.append(chosen)
                del known[:-_ALIKE]
            number = known.index(chosen)
        changes[part] = replace(chosen, name=f"{name} #{number + 1}" if number else name)
    return policy.replace(**changes)
