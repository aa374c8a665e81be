"""The guards of a class of tools, or of one tool, made as its calls need them."""

from __future__ import annotations

import inspect
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from crewai.tools import BaseTool

from crewai_toolops._double_cache_warning import watch_for_two_caches
from crewai_toolops._tool_failures import OnError
from crewai_toolops._tool_guard import CrewAIToolGuard
from crewai_toolops._tool_identity import form_of, own_names, parts_of
from toolops_plugins import Policy, ToolOps
from toolops_plugins.adapters.internals import fork_safe, resolve, signature_of
from toolops_plugins.adapters.options import runtime_of
from toolops_plugins.adapters.tool_arguments import ToolArguments
from toolops_plugins.adapters.tool_labels import label_of

__all__ = ["FORM_OF", "GUARDS", "Settings", "ToolGuards"]

LOGGER = "crewai_toolops"

FORM_OF = "_toolops_form"
"""The private attribute in which a tool remembers what tells it from others of its name."""
GUARDS = "_toolops_guards"
"""The private attribute in which a wrapped tool has its guards."""
_MOST = 1_000
"""ToolGuards of a class that are remembered; others are made anew."""


class Settings(NamedTuple):
    """The options for the calls of a tool, or of all tools of a class.

    Args:
        ops: The runtime. None: the default one, at each call.
        policy: What is asked of the calls.
        name: The name that tools are to share their results by. None: each by itself.
        secret: ToolArguments that are secret, beside those whose name says so.
        ignore: ToolArguments and fields that do not count in the key.
        on_error: Whether errors are returned as a ``ToolFailure``, or raised.
    """

    ops: ToolOps | None
    policy: Policy
    name: str | None
    secret: Sequence[str]
    ignore: Sequence[str]
    on_error: OnError


class ToolGuards:
    """The guards of one class of tools, or of one tool. Safe to use from any threads.

    Args:
        kind: The class that the tools were of before they were wrapped.
        settings: What was said about their calls.
        function: The function that the tool runs. None: its ``_run`` and ``_arun``.
    """

    def __init__(
        self, kind: Any, settings: Settings, function: Callable[..., Any] | None = None
    ) -> None:
        self.settings = settings
        self._kind = kind
        self.function = function
        self._lock = fork_safe(self, threading.Lock())
        self._ops: ToolOps | None = None
        self._made: OrderedDict[Any, CrewAIToolGuard] = OrderedDict()
        if function is not None:
            self._signature = signature_of(function)
            aio = resolve(function).kind == "coroutine"
            self._sync, self._aio = not aio, aio
        else:
            self._signature = _signature_of_run(kind)
            self._sync = not inspect.iscoroutinefunction(kind._run)  # noqa: SLF001 - a method for subclasses to write
            self._aio = not self._sync or kind._arun is not BaseTool._arun  # noqa: SLF001 - as above

    def __deepcopy__(self, memo: dict[int, Any]) -> ToolGuards:
        return self

    def of(self, tool: Any) -> tuple[CrewAIToolGuard, bytes | None]:
        """Return the guard of a tool, and what tells it from others of its name.

        Raises:
            ConfigurationError: What was said does not fit the tool or the runtime.
        """
        ops = runtime_of(self.settings.ops)
        form = self._form(ops, tool)
        known = tool.name, form is None, tuple(getattr(tool.args_schema, "model_fields", ()))
        guard = self._made.get(known) if self._ops is ops else None
        if guard is None:
            guard = self._guard(ops, tool, known[2], formed=form is not None)
            with self._lock:
                if self._ops is not ops:  # another default, or the first
                    self._ops, self._made = ops, OrderedDict()
                self._made[known] = guard
                if len(self._made) > _MOST:
                    self._made.popitem(last=False)
        return guard, form

    def arguments(self, told: Sequence[str] = (), *, formed: bool = False) -> ToolArguments:
        """Return the arguments of the tools, of which a model is told these."""
        form = inspect.Parameter.empty if formed else None
        return ToolArguments(self._signature, told, form=form)

    def _form(self, ops: ToolOps, tool: Any) -> bytes | None:
        remembered = tool.__pydantic_private__.get(FORM_OF)
        if remembered is not None and remembered[0] is ops:
            form: bytes | None = remembered[1]
            return form
        form = None
        if self.settings.name is None:
            # A tool that was made of another one is what that is.
            source = getattr(tool, "_original_tool", None) or tool
            kind = self._kind if source is tool else type(source)
            counted = [n for n in own_names(source) if n not in self.settings.ignore]
            if counted:
                form = form_of(ops, kind, source, counted)
        tool.__pydantic_private__[FORM_OF] = ops, form
        return form

    def _guard(
        self, ops: ToolOps, tool: Any, told: Sequence[str], *, formed: bool
    ) -> CrewAIToolGuard:
        settings = self.settings
        label = settings.name
        if label is None:
            label = tool.name
            if not formed or self.function is not None:
                made_of = parts_of(self._kind, self.function)
                label = label_of(ops, label, made_of, LOGGER, "say name=... (toolops_name)")
        if settings.policy.cache is not None:
            watch_for_two_caches()
        arguments = self.arguments(told, formed=formed)
        return CrewAIToolGuard(
            ops,
            label,
            settings.policy,
            arguments,
            settings.secret,
            [name for name in settings.ignore if arguments.takes(name)],
            settings.on_error,
            sync=self._sync,
            aio=self._aio,
            source=_source(self.function or getattr(tool, "func", None), self._kind),
        )


def _source(function: Any, kind: Any) -> Any:
    found = kind._run if function is None else function  # noqa: SLF001 - as above
    return found if inspect.isfunction(found) else None


def _signature_of_run(kind: Any) -> inspect.Signature:
    """Return the signature of a tool's body, without its receiver, as CrewAI itself reads it."""
    found = [_without_receiver(kind._run)]  # noqa: SLF001 - a method for subclasses to write
    if kind._arun is not BaseTool._arun:  # noqa: SLF001 - as above
        found.append(_without_receiver(kind._arun))  # noqa: SLF001 - as above
    for signature in found:
        if any(
            p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in signature.parameters.values()
        ):
            return signature
    return found[0]


def _without_receiver(method: Any) -> inspect.Signature:
    signature = inspect.signature(method)
    return signature.replace(parameters=list(signature.parameters.values())[1:])
