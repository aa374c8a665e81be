"""The middleware for ``create_agent``: every model and tool call of an agent, under a policy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, TypeAlias

from langchain.agents.middleware.types import (
    AgentMiddleware,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
    ToolCallRequest,
)
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables.config import ensure_config
from langchain_core.tools import BaseTool
from langgraph.types import Command

from langchain_toolops._agent_answers import (
    Answer,
    Lone,
    ToolAnswer,
    answer_content,
    answer_in,
    answer_of,
    asked_of,
    is_whole_answer,
    is_whole_tool_answer,
    mark_key,
    restore_answer,
    teach_answers,
    tool_answer_of,
    tool_content,
)
from langchain_toolops._agent_calls import AgentCall, Faces, Functions, HandlerCall
from langchain_toolops._agent_identity import (
    format_identity,
    tool_arguments,
    tool_identity,
)
from langchain_toolops._agent_tools import OWN, drop_refresh, tool_faces, tool_result
from langchain_toolops._event_dedup import mark_inside, mark_tool
from langchain_toolops._fallback_answers import message_of
from langchain_toolops._inner_runs import InnerRuns
from langchain_toolops._llm_conversation import question_of
from langchain_toolops._llm_identity import (
    continues_response,
    is_guarded,
    is_outage,
    model_identity,
    model_name,
)
from langchain_toolops._model_runs import ModelRuns
from langchain_toolops._other_retries import is_passing, is_passing_tool_error
from langchain_toolops._run_replay import areplay_run, replay_run
from langchain_toolops._tool_injection import (
    current_config,
    has_human_answer,
    injection_names,
    part_in_key,
)
from langchain_toolops.prices import read_result
from langchain_toolops.tools import ToolOpsTool
from toolops_plugins import (
    ConfigurationError,
    Explanation,
    Policy,
    ToolOps,
)
from toolops_plugins.adapters.fallback_answers import Substitute, with_substitutes
from toolops_plugins.adapters.internals import callee_failed
from toolops_plugins.adapters.live_values import LiveValues
from toolops_plugins.adapters.model_costs import ModelCounter
from toolops_plugins.adapters.model_identity import Unknown
from toolops_plugins.adapters.model_policy import MODEL_POLICY, narrow_errors
from toolops_plugins.adapters.notices import (
    report_problem,
    warn_of_changed_request,
    warn_of_local_value,
    warn_of_untold_end,
)
from toolops_plugins.adapters.options import keeps_usage, policy_of, runtime_of, with_version
from toolops_plugins.adapters.policy_views import compare_by
from toolops_plugins.policy import NOTHING

__all__ = ["ToolOpsMiddleware"]

LOGGER = "langchain_toolops"

ModelResult: TypeAlias = ModelResponse[Any] | AIMessage | ExtendedModelResponse[Any]
ToolResult: TypeAlias = ToolMessage | Command[Any]
InjectedLike: TypeAlias = Literal["refuse", "ignore"] | Callable[[ToolCallRequest], Any]

_INJECTED = "_toolops_injected"


class ToolOpsMiddleware(AgentMiddleware[Any, Any, Any]):
    """Puts every model and tool call of an agent under a policy.

    A model call is known by the live model (class, parameters, address, headers), the tools, the
    fields of the response schema, the system prompt and the conversation, in which the ids of
    messages, tool calls and generated ones of content blocks do not count. Equal calls that run at
    the same time, in any threads and event loops, are made once. A hit has a message id and ids of
    tool calls of its own, and says
    ``{"toolops": {"hit": True}}`` in its response metadata. Never kept are errors, and answers that
    are empty, cut off, broken or at odds with their schema.

    An answer that the model was not asked for (a hit, another caller's, a fallback) is shown as a
    run of the model: callbacks, tracers, stream events and ``stream_mode="messages"`` get what they
    get of the model itself, in one chunk where that streams. Where nobody watches there is no run.
    What the model says tells under ``toolops_key`` in its response metadata the key of the answer,
    so that ``ops.invalidate(keys=[...])`` forgets it.

    Tool calls are only counted, unless ``tools`` says more: nobody here can know whether a tool
    changes something. A call is known by the tool's name and its validated arguments. Never kept
    are a ``Command``, a message that the tool makes itself, an error, and what a task does that a
    human has answered. A tool that :func:`~langchain_toolops.wrap_tool` has wrapped already goes
    its own way.

    Interrupts and cancellation pass through all policies untouched. Put this middleware last in the
    list. What others do inside of it, it sees in part: never kept are an answer of another model,
    one that other middleware has made, one to changed messages, and the result of a tool call that
    a human or other middleware has changed; changed tools, formats and settings it does not see.
    What a retry inside has tried several times is not tried again, and a call that a retry around
    this repeats is tried once. A model that :func:`~langchain_toolops.guard_llm` has guarded goes
    its own way. Models try again by themselves; with ``max_retries=0`` they leave that to the
    policy.

    Safe to use from any threads and event loops, and in any number of agents.

    Args:
        ops: The runtime. None: :func:`toolops_plugins.get_default`.
        model: What is asked of model calls, all of it; ``ToolOpsMiddleware.MODEL.replace(...)``
            adds to what stands without it. With ``semantic=Semantic(on="question")`` questions in
            other words share an answer. Callbacks of the policy get ``question`` and ``request``
            by name, and a ``ModelResponse``; its fallback may return one, a message or a text.
            None: they are only counted. Default: kept for an hour, retried, and behind a circuit
            breaker for each model. Retries and breakers that name no exceptions heed those alone
            that may pass.
        tools: What is asked of tool calls: a policy for all of them, or policies by the tool's
            name. Callbacks get the tool's arguments by name, and a ``ToolMessage``; a fallback may
            return one, or its content. Nothing is refreshed in the background, since LangGraph
            runs a tool for the graph that asked, whose stream and callbacks would still be told:
            of the cache, ``beta`` is taken for 0, and ``stale_ttl`` for ``stale_if_error`` where
            that is not given; :func:`~langchain_toolops.wrap_tool` can refresh. Calls of tools
            that the agent does not have are left alone. None: they are only counted.
        semantic_after_tools: Whether a model call that ends in tool results may share the answer
            to its question in other words. Default False.
        injected: What is done about tools with injected arguments, such as state, and about those
            made of a runnable, which gets the configuration. "refuse": their results are neither
            kept nor shared. "ignore": these arguments do not count, which is right only where
            results do not hang on them. A callable gets the ``ToolCallRequest`` and returns what
            counts, such as the user's id; where it fails, the call goes past the cache. Default
            "refuse".
        version: Part of every key; change it when what tools or answers mean has changed. Default
            "1".
        usage_on_hit: "zero": a hit says that it took no tokens, so that counters count each
            paid call once. "keep": it tells the tokens of the call that made it. Default "zero".

    Raises:
        ConfigurationError: A value is wrong, or does not fit the runtime.
    """

    MODEL: ClassVar[Policy] = MODEL_POLICY
    """What is asked of model calls where nothing else is said."""

    def __init__(
        self,
        ops: ToolOps | None = None,
        *,
        model: Policy | None = MODEL,
        tools: Policy | Mapping[str, Policy] | None = None,
        semantic_after_tools: bool = False,
        injected: InjectedLike = "refuse",
        version: str = "1",
        usage_on_hit: Literal["keep", "zero"] = "zero",
    ) -> None:
        super().__init__()
        if not (callable(injected) or injected in ("refuse", "ignore")):
            raise ConfigurationError(
                "injected", f'must be "refuse", "ignore" or a callable, not {injected!r}'
            )
        self._ops = runtime_of(ops)
        self._after_tools = semantic_after_tools
        self._injected = injected
        self._keeps_usage = keeps_usage(usage_on_hit)
        teach_answers(self._ops.codec)
        policy = with_version(policy_of(model, "model"), version)
        policy = compare_by(narrow_errors(policy, is_outage, is_passing), answer_content)
        policy = with_substitutes(policy)
        self._models = Functions(
            self._ops,
            policy,
            _model_faces,
            ("request", "own"),
            is_whole_answer,
            partial(self._counter_of, policy.price),
        )
        if not isinstance(tools, Policy | Mapping | None):
            raise ConfigurationError("tools", f"must be a policy, or policies by name: {tools!r}")
        self._rest = self._of_tools(tools if isinstance(tools, Policy) else Policy(), version)
        named = {
            name: policy_of(each, f"tools[{name!r}]")
            for name, each in (tools.items() if isinstance(tools, Mapping) else ())
        }
        self._named = {name: self._of_tools(each, version) for name, each in named.items()}
        self._questions = {
            name: each.semantic.on for name, each in named.items() if each.semantic is not None
        }
        self._compared = not named  # whether the names were held against those of an agent

    def _of_tools(self, policy: Policy, version: str) -> Functions:
        policy = narrow_errors(policy, callee_failed, is_passing_tool_error)
        whole = compare_by(drop_refresh(with_version(policy, version)), tool_content)
        return Functions(self._ops, whole, tool_faces, (OWN,), is_whole_tool_answer)

    def _counter_of(self, price: Any, name: str) -> ModelCounter:
        return ModelCounter(self._ops, name, "chat", price, read_result)

    def _compare(self, tools: Iterable[Any]) -> None:
        """Tell, once, of policies that no tool of the agent will ever be under."""
        self._compared = True
        known = {tool.name: tool for tool in tools if isinstance(tool, BaseTool)}
        for name in sorted(self._named.keys() - known.keys()):
            report_problem(
                LOGGER,
                ("tools", name),
                "tools= names %(name)r, which is none of the agent's tools: %(known)s",
                name=name,
                known=sorted(known),
            )
        for name, question in self._questions.items():
            if name in known and question not in known[name].args:
                report_problem(
                    LOGGER,
                    ("semantic", name, question),
                    "Semantic(on=%(on)r) names none of the arguments of the tool %(name)r:"
                    " %(known)s",
                    on=question,
                    name=name,
                    known=sorted(known[name].args),
                )

    # -- models ------------------------------------------------------------------------------

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResult:
        """Make a model call under the policy; LangChain calls this."""
        if self._is_guarded(request):
            return handler(request)

        def call() -> Any:
            with mark_inside():
                return handler(request)

        made = self._model_call(request, call)
        result: ModelResult = self._models.run(made)
        shown = answer_in(result) if made.own.is_foreign else None
        if shown is not None:
            replay_run(request.model, asked_of(request), request.model_settings, shown)
        return result

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResult:
        """As :meth:`wrap_model_call`, without blocking the event loop."""
        if self._is_guarded(request):
            return await handler(request)

        async def call() -> Any:
            with mark_inside():
                return await handler(request)

        made = self._model_call(request, call)
        result: ModelResult = await self._models.arun(made)
        shown = answer_in(result) if made.own.is_foreign else None
        if shown is not None:
            await areplay_run(request.model, asked_of(request), request.model_settings, shown)
        return result

    def explain_model_call(self, request: ModelRequest[Any]) -> Explanation:
        """Return why a model call would be a hit or a miss now; nothing is called or counted.

        It is for middleware in front of this one, whose ``wrap_model_call`` gets the request.

        Args:
            request: The request of the call.

        Raises:
            ConfigurationError: The answers are not stored, or the model is guarded by itself.
        """
        return self._models.explain(self._call_to_explain(request))

    async def aexplain_model_call(self, request: ModelRequest[Any]) -> Explanation:
        """As :meth:`explain_model_call`, without blocking the event loop."""
        return await self._models.aexplain(self._call_to_explain(request))

    def _call_to_explain(self, request: ModelRequest[Any]) -> AgentCall:
        if is_guarded(request.model):
            raise ConfigurationError(
                "request",
                "has a model that guard_llm() has guarded; use explain_answer(model, ...)",
            )
        return self._model_call(request, lambda: None)

    def _is_guarded(self, request: ModelRequest[Any]) -> bool:
        if not self._compared:
            self._compare(request.tools)
        return is_guarded(request.model)

    def _model_call(self, request: ModelRequest[Any], call: Callable[[], Any]) -> AgentCall:
        name = model_name(request.model)

        def pack(response: Any, runs: ModelRuns) -> Answer:
            warn = partial(warn_of_untold_end, self._ops, name)
            answer = answer_of(response, runs, request=request, warn_of_untold_end=warn)
            if own.find_key is not None:
                if runs.has_changes:
                    warn_of_changed_request(self._ops, name)
                mark_key(answer, own.find_key)
            return answer

        own = HandlerCall(call, pack, ModelRuns)
        return AgentCall(
            name=name,
            own=own,
            take=partial(self._model_result, request=request),
            args=(*self._question(request), request, own),
            kwargs={},
            names=(),
            shared=self._models.needs_key and not has_human_answer(current_config()),
            request=request,
        )

    def _question(self, request: ModelRequest[Any]) -> tuple[str, Any]:
        """Return the question, and all else that the answer hangs on."""
        if not self._models.needs_key:
            return "", None
        try:
            question, turns = question_of(
                asked_of(request),
                after_tools=self._after_tools,
                by_response=continues_response(request.model),
            )
            return question, [
                turns,
                model_identity(request.model, self._live_values(request.model)),
                request.model_settings,
                [tool_identity(tool) for tool in request.tools],
                request.tool_choice,
                format_identity(request.response_format),
                # It stands on the answer, and so in what the model is told next.
                (ensure_config().get("metadata") or {}).get("lc_agent_name"),
            ]
        except Exception as error:  # noqa: BLE001 - of users' classes; the call goes past the cache
            return "", Unknown(error)

    def _live_values(self, model: Any) -> LiveValues:
        def tell(place: str) -> None:
            warn_of_local_value(self._ops, model_name(model), place)

        return LiveValues(self._ops.canon, tell)

    def _model_result(self, value: Any, request: ModelRequest[Any]) -> Any:
        """Return what another call has brought as the caller's result, or NOTHING."""
        if type(value) is Substitute:
            whole = isinstance(value.value, ModelResponse | ExtendedModelResponse)
            return value.value if whole else message_of(value.value)
        if type(value) is not Answer:
            return NOTHING  # what was planted under its key is none of ours
        if value.lone:
            return NOTHING
        try:
            return restore_answer(value, request.response_format, keeps_usage=self._keeps_usage)
        except Exception:  # noqa: BLE001 - of the schema's own code, which has changed
            return NOTHING

    # -- tools -------------------------------------------------------------------------------

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolResult]
    ) -> ToolResult:
        """Make a tool call under the policy; LangChain calls this."""
        tool = request.tool
        # A model can make up any number of names, and each would get a circuit breaker of its own.
        if tool is None or isinstance(tool, ToolOpsTool):
            return handler(request)

        def call() -> Any:
            with mark_tool(request.tool_call["id"]):
                return handler(request)

        functions = self._of_tool(request)
        result: ToolResult = functions.run(self._tool_call(functions, request, tool, call))
        return result

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolResult]]
    ) -> ToolResult:
        """As :meth:`wrap_tool_call`, without blocking the event loop."""
        tool = request.tool
        if tool is None or isinstance(tool, ToolOpsTool):
            return await handler(request)

        async def call() -> Any:
            with mark_tool(request.tool_call["id"]):
                return await handler(request)

        functions = self._of_tool(request)
        result: ToolResult = await functions.arun(self._tool_call(functions, request, tool, call))
        return result

    def _of_tool(self, request: ToolCallRequest) -> Functions:
        return self._named.get(request.tool_call["name"], self._rest)

    def _tool_call(
        self,
        functions: Functions,
        request: ToolCallRequest,
        tool: BaseTool,
        make: Callable[[], Any],
    ) -> AgentCall:
        call = request.tool_call
        name = call["name"]

        def pack(result: Any, runs: InnerRuns) -> ToolAnswer | Lone:
            answer = tool_answer_of(result, runs, call=call, tool=tool)
            if runs.has_changes and own.find_key is not None:
                warn_of_changed_request(self._ops, name)
            return answer

        own = HandlerCall(make, pack)
        arguments = self._arguments(request, tool) if functions.needs_key else None
        return AgentCall(
            name=name,
            own=own,
            take=partial(tool_result, request=request),
            args=(own,),
            kwargs=call["args"] if arguments is None else arguments,
            names=tuple(tool.args),
            shared=arguments is not None,
            request=request,
        )

    def _arguments(self, request: ToolCallRequest, tool: BaseTool) -> dict[str, Any] | None:
        """Return what counts in the key of a tool call, or None if it has none."""
        if has_human_answer(getattr(request.runtime, "config", None)):
            return None
        injected = injection_names(tool)
        if injected and self._injected == "refuse":
            return None
        try:
            arguments = tool_arguments(tool, request.tool_call["args"], injected)
        except Exception:  # noqa: BLE001 - of the schema; the tool tells the model what is wrong
            return None
        if injected and callable(self._injected):
            arguments[_INJECTED] = part_in_key(self._injected, request)
        return arguments


def _ask_model(question: str, scope: Any, request: Any, own: HandlerCall) -> Any:  # noqa: ARG001 - they make the key
    return own.call()


async def _aask_model(question: str, scope: Any, request: Any, own: HandlerCall) -> Any:  # noqa: ARG001 - as above
    return await own.acall()


def _model_faces(_: Sequence[str]) -> Faces:
    return _ask_model, _aask_model
