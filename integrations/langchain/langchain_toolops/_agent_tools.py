"""Calls of an agent's tools: the functions that stand for them, their policies and results."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

from langchain.agents.middleware.types import ToolCallRequest
from langchain_core.messages import ToolMessage
from langgraph.types import Command

from langchain_toolops._agent_answers import Lone, ToolAnswer, tool_message
from langchain_toolops._agent_calls import Faces, HandlerCall
from toolops_plugins import Policy
from toolops_plugins.policy import NOTHING

__all__ = ["OWN", "drop_refresh", "tool_faces", "tool_result"]

OWN = "_toolops_own"
"""The name of the parameter that takes the caller's own call."""


class _Absent(Enum):
    """Stands in a key for an argument that a call does without."""

    ABSENT = "absent"


def tool_faces(names: Sequence[str]) -> Faces:
    """Return functions with a tool's own parameters, so that policies can name these."""

    def run(own: HandlerCall, /, **_: Any) -> Any:
        return own.call()

    async def arun(own: HandlerCall, /, **_: Any) -> Any:
        return await own.acall()

    own = inspect.Parameter(OWN, inspect.Parameter.POSITIONAL_ONLY)
    named = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_Absent.ABSENT)
        for name in names
        if name.isidentifier() and not keyword.iskeyword(name)
    ]
    # By its default the keys differ from those under which wrap_tool keeps the same tool's results.
    form = inspect.Parameter("_toolops_form", inspect.Parameter.KEYWORD_ONLY, default="message")
    others = inspect.Parameter("_toolops_others", inspect.Parameter.VAR_KEYWORD)
    signature = inspect.Signature([own, *named, form, others])
    for function in (run, arun):
        setattr(function, "__signature__", signature)  # noqa: B010 - typed functions do not have it
    return run, arun


def drop_refresh(policy: Policy) -> Policy:
    """Return the policy of tool calls without refresh in the background."""
    cache = policy.cache
    if cache is None:
        return policy
    patience = cache.stale_ttl if cache.stale_if_error is None else cache.stale_if_error
    calm = replace(cache, beta=0.0, stale_ttl=0.0, stale_if_error=patience)
    return policy.replace(cache=calm)


def tool_result(value: Any, request: ToolCallRequest) -> Any:
    """Return what another call has brought as the caller's result, or NOTHING."""
    if type(value) is Lone:
        return NOTHING
    name, call_id = request.tool_call["name"], request.tool_call["id"]
    if type(value) is ToolAnswer:
        return tool_message(value, name, call_id)
    if isinstance(value, ToolMessage | Command):  # a fallback's
        return value
    return ToolMessage(value, name=name, tool_call_id=call_id or "")
