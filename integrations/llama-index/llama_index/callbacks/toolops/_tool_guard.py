"""Make each call of a guarded LlamaIndex tool under its policy."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse
from llama_index.core.tools import ToolOutput
from llama_index_instrumentation.span import active_span_id

from llama_index.callbacks.toolops._tool_codec_types import teach_tools
from llama_index.callbacks.toolops.events import tell_hit
from toolops_plugins import Policy, ToolOps
from toolops_plugins.adapters.fallback_answers import map_fallback
from toolops_plugins.adapters.internals import is_secret_name
from toolops_plugins.adapters.policy_views import compare_by
from toolops_plugins.adapters.signals import release
from toolops_plugins.adapters.tool_arguments import ToolArguments
from toolops_plugins.adapters.tool_guard import Body, ToolCall, ToolGuard

__all__ = ["LlamaIndexToolGuard"]

_WORKFLOWS = "workflows.runtime.types.results"
"""Where LlamaIndex's workflows keep their signals, and what a step under way has been told."""


class _Call(ToolCall):
    """A call of a guarded tool.

    Args:
        output: Makes the tool's output of a policy's fallback. None: the fallback is one.

    Attributes:
        is_fallback: Whether the result is the policy's fallback.
    """

    __slots__ = ("is_fallback", "output")

    def __init__(
        self, body: Body, arguments: dict[str, Any], output: Callable[[Any], Any] | None
    ) -> None:
        super().__init__(body, arguments)
        self.output = output
        self.is_fallback = False

    @contextmanager
    def detach(self) -> Iterator[Body]:
        """Return the body outside of the caller's span, which has ended."""
        token = active_span_id.set(None)
        try:
            yield self.body
        finally:
            with suppress(ValueError):  # the coroutine was left behind, and is ended elsewhere
                active_span_id.reset(token)


class LlamaIndexToolGuard(ToolGuard):
    """The policy of one guarded tool.

    Args:
        ops: The runtime.
        name: The name of the tool in keys and statistics.
        policy: The policy of its calls.
        arguments: Its arguments.
        secret: Arguments that are secret, beside those whose name says so.
        ignore: Arguments that do not count in the key.
        refusal: Why results are neither stored nor shared, whatever the policy says; or None.
        aio: Whether the tool can be awaited.
        source: The function that it runs, which is another one after an edit.

    Raises:
        ConfigurationError: The policy does not fit the tool or the runtime.
    """

    call_type = _Call
    refusal_option = "context"

    def __init__(
        self,
        ops: ToolOps,
        name: str,
        policy: Policy,
        arguments: ToolArguments,
        secret: Sequence[str],
        ignore: Sequence[str],
        refusal: str | None,
        *,
        aio: bool,
        source: Any = None,
    ) -> None:
        teach_tools(ops.codec)
        self._arguments = arguments
        self._secret = frozenset(secret)
        super().__init__(
            ops,
            name,
            policy,
            arguments.signature,
            sync=True,
            aio=aio,
            secret=secret,
            ignore=ignore,
            source=source,
            refusal=refusal,
        )

    def adapt(self, policy: Policy) -> Policy:
        """Return the policy with a fallback which also notes that it has answered.

        Outputs are compared by what they say, not by the arguments that they repeat.
        """
        return compare_by(map_fallback(policy, _note_fallback), _content)

    def open_call(
        self, body: Body, args: tuple[Any, ...], kwargs: dict[str, Any], *given: Any
    ) -> ToolCall | None:
        """Return a new call, or None where the tool itself will say that its arguments are wrong.

        Args:
            body: What the tool runs, with all its arguments.
            args: The positional arguments.
            kwargs: The keyword arguments.
            given: Perhaps a function that makes an output of a policy's fallback.
        """
        named = self._arguments.by_name(args, kwargs)
        return None if named is None else _Call(body, named, given[0] if given else None)

    def may_share(self) -> bool:
        """Return whether the workflow's step under way has not been told what it waited for.

        The result of such a step is its own: the event is in no argument.
        """
        variable = getattr(sys.modules.get(_WORKFLOWS), "StepWorkerStateContextVar", None)
        step = variable.get(None) if variable is not None else None
        waiters = getattr(getattr(step, "state", None), "collected_waiters", None) or ()
        return all(waiter.resolved_event is None for waiter in waiters)

    def is_signal(self, error: Exception) -> bool:
        """Return whether a step waits for a human, or for any event, and will be run again."""
        waiting = getattr(sys.modules.get(_WORKFLOWS), "WaitingForEvent", None)
        return waiting is not None and isinstance(error, waiting)

    def is_shareable(self, value: Any) -> bool:
        """Return whether a result, or what is in an output, may be given to other calls as well."""
        if isinstance(value, ToolOutput):
            value = value.raw_output
        streamed = isinstance(value, StreamingResponse | AsyncStreamingResponse)
        return not streamed and super().is_shareable(value)

    def may_store(self, value: Any) -> bool:
        """Return whether a result may be stored: no error, and no output that shows a secret."""
        if not self.is_shareable(value):
            return False
        if not isinstance(value, ToolOutput):
            return True
        return not value.is_error and not self._shows_secret(value.raw_input)

    def _shows_secret(self, raw_input: Any) -> bool:
        if isinstance(raw_input, dict):
            return any(
                (isinstance(name, str) and (name in self._secret or is_secret_name(name)))
                or self._shows_secret(part)
                for name, part in raw_input.items()
            )
        return isinstance(raw_input, list | tuple) and any(map(self._shows_secret, raw_input))

    def finish(self, call: Any, value: Any) -> Any:
        """Return what the caller gets, and fire the event of a hit."""
        if call.is_fallback:
            return value if call.output is None else call.output(value)
        if not call.has_run:
            tell_hit(self.name, "tool")
        return release(value)

    def key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Return the key of a call, in hexadecimal.

        Raises:
            ConfigurationError: Results are neither stored nor shared.
            TypeError: The arguments do not fit the tool.
        """
        return self.key_of(self.arguments(args, kwargs))

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
        """Return the arguments of a call by name, or None if they do not fit the tool."""
        return self._arguments.by_name(args, self._arguments.with_context(kwargs))


def _content(value: Any) -> Any:
    """Return what a result says: of an output its plain data, or else its text."""
    if not isinstance(value, ToolOutput):
        return value
    raw = value.raw_output
    return raw if isinstance(raw, dict | bool | int | float) else value.content


def _note_fallback(value: Any) -> Any:
    call = _Call.current.get()
    if call is not None:
        call.is_fallback = True
    return value
