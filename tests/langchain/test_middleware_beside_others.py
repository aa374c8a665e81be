"""ToolOpsMiddleware beside LangChain's own middleware, around it and inside of it.

Nothing is tried, counted or stored twice, whatever the order; and what another middleware has made
in a model's place is not stored as that model's answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from callers import Notices
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    ModelCallLimitMiddleware,
    ModelChoice,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    ModelRouterMiddleware,
    SummarizationMiddleware,
    ToolCallLimitMiddleware,
    ToolRetryMiddleware,
)
from langchain_core.decisions import BaseDecisionModel, ChoiceAnswer, ClassifierResponse
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import SystemMessage
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from langchain_toolops import ToolOpsMiddleware, guard_model, wrap_tool
from toolops_plugins import Cache, CallEvent, Policy, Retry, ToolOps

RETRY = Retry(attempts=3, wait=0)
MODEL = ToolOpsMiddleware.MODEL.replace(retry=RETRY, breaker=None)
TOOLS = Policy(cache=Cache(ttl=60), retry=RETRY)
ORDERS = pytest.mark.parametrize("order", ["around", "inside"])
FAILURES = pytest.mark.parametrize("on_failure", ["continue", "error"])


@pytest.fixture
def events() -> list[CallEvent]:
    return []


@pytest.fixture
def ops(events: list[CallEvent]) -> Iterator[ToolOps]:
    with ToolOps("matrix", sinks=[events.append]) as ops:
        yield ops


@pytest.fixture(params=["sync", "async"])
def run(request, chat, ops) -> Callable[..., str]:
    """Runs an agent with our middleware and another; returns its last message, or its error."""

    def run(
        other: AgentMiddleware[Any, Any], order: str, *, model: Any = None, tools: Any = ()
    ) -> str:
        ours = ToolOpsMiddleware(ops, model=MODEL, tools=TOOLS)
        both = [other, ours] if order == "around" else [ours, other]
        agent = create_agent(chat() if model is None else model, [*tools], middleware=both)
        question = {"messages": [("user", "hi")]}
        try:
            if request.param == "sync":
                state = agent.invoke(question)
            else:
                state = asyncio.run(agent.ainvoke(question))
        except Exception as error:
            return type(error).__name__
        return str(state["messages"][-1].content)

    return run


def outcomes(events: list[CallEvent]) -> list[tuple[str, str, int]]:
    return [(event.name.rpartition(":")[2], event.outcome, event.attempts) for event in events]


class Broken:
    """A tool that counts its runs, the first of which fail.

    Args:
        failures: How many of them. None: all.
    """

    def __init__(self, failures: int | None = None) -> None:
        self.runs = 0

        @tool
        def look(q: str) -> str:
            """Look something up."""
            self.runs += 1
            if failures is None or self.runs <= failures:
                raise ConnectionError("away")
            return q

        self.tool: BaseTool = look


def call_tool_first(body: dict[str, Any]) -> Any:
    if body["messages"][-1]["role"] == "tool":
        return "done"
    return [{"name": "look", "arguments": {"q": "x"}}]


# Retries


@ORDERS
def test_a_call_that_passes_at_the_second_try_is_tried_twice(run, order, openai_server, events):
    replies = iter([{"status": 500}, "well"])
    openai_server.reply = lambda body: next(replies)
    other = ModelRetryMiddleware(max_retries=2, initial_delay=0)
    assert [run(other, order), run(other, order)] == ["well", "well"]
    assert len(openai_server.requests) == 2
    attempts = 2 if order == "around" else 1
    assert outcomes(events) == [("gpt-test", "miss", attempts), ("gpt-test", "hit", 0)]


@FAILURES
def test_a_retry_around_ours_adds_attempts_and_does_not_multiply_them(
    run, on_failure, openai_server, events, caplog
):
    caplog.set_level(logging.WARNING, "langchain_toolops")
    openai_server.reply = lambda body: {"status": 500}
    run(ModelRetryMiddleware(max_retries=2, initial_delay=0, on_failure=on_failure), "around")
    assert [attempts for _, _, attempts in outcomes(events)] == [3, 1, 1]
    assert len(openai_server.requests) == 5
    told = [record.message for record in caplog.records if "tries failed calls" in record.message]
    assert len(told) == 1
    assert "(3 attempts)" in told[0]


@FAILURES
def test_a_retry_inside_of_ours_is_the_only_one(run, on_failure, openai_server, events):
    openai_server.reply = lambda body: {"status": 500}
    run(ModelRetryMiddleware(max_retries=2, initial_delay=0, on_failure=on_failure), "inside")
    assert len(openai_server.requests) == 3
    assert len(events) == 1


def test_a_message_that_a_retry_makes_of_an_error_is_not_stored(run, openai_server):
    openai_server.reply = lambda body: {"status": 500}
    other = ModelRetryMiddleware(max_retries=1, initial_delay=0)
    assert run(other, "inside").startswith("Model call failed after 2 attempts")
    openai_server.reply = lambda body: "well"
    assert run(other, "inside") == "well"


@ORDERS
@FAILURES
def test_retries_of_tools_do_not_multiply(run, order, on_failure, openai_server):
    openai_server.reply = call_tool_first
    broken = Broken()
    other = ToolRetryMiddleware(max_retries=2, initial_delay=0, on_failure=on_failure)
    run(other, order, tools=[broken.tool])
    assert broken.runs == (5 if order == "around" else 3)


@ORDERS
def test_a_tool_that_passes_at_the_second_try_is_run_twice_and_stored(run, order, openai_server):
    openai_server.reply = call_tool_first
    broken = Broken(failures=1)
    other = ToolRetryMiddleware(max_retries=2, initial_delay=0)
    for _ in range(2):
        assert run(other, order, tools=[broken.tool]) == "done"
    assert broken.runs == 2


# Other models


@ORDERS
def test_a_fallbacks_answer_is_stored_as_its_own_alone(run, order, chat, openai_server):
    down = [True]

    def reply(body: dict[str, Any]) -> Any:
        broken = down[0] and body["model"] == "gpt-test"
        return {"status": 400} if broken else f"from {body['model']}"

    openai_server.reply = reply
    other = ModelFallbackMiddleware(chat(model="other"))
    assert [run(other, order), run(other, order)] == ["from other"] * 2
    asked = [request["model"] for request in openai_server.requests]
    assert asked == (
        ["gpt-test", "other", "gpt-test"] if order == "around" else ["gpt-test", "other"] * 2
    )
    down[0] = False
    assert [run(other, order), run(other, order)] == ["from gpt-test"] * 2


class OtherModel(AgentMiddleware[Any, Any]):
    """Asks another model in place of the agent's.

    Args:
        model: That model.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._model = model

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return handler(request.override(model=self._model))

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        return await handler(request.override(model=self._model))


def test_a_model_that_is_chosen_around_ours_has_its_own_answers(run, chat, openai_server):
    openai_server.reply = lambda body: f"from {body['model']}"
    for model in ("one", "two", "one", "two"):
        assert run(OtherModel(chat(model=model)), "around") == f"from {model}"
    assert len(openai_server.requests) == 2


def test_a_model_that_is_chosen_inside_of_ours_has_none_stored(run, chat, openai_server):
    openai_server.reply = lambda body: f"from {body['model']}"
    for model in ("one", "two", "one"):
        assert run(OtherModel(chat(model=model)), "inside") == f"from {model}"
    assert len(openai_server.requests) == 3


class Adviser(AgentMiddleware[Any, Any]):
    """Asks another model something else before the agent's model is asked."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._model = model

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        self._model.invoke("advise")
        return handler(request)

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        await self._model.ainvoke("advise")
        return await handler(request)


@ORDERS
def test_another_models_run_beside_the_agents_is_no_obstacle(run, order, chat, openai_server):
    openai_server.reply = lambda body: f"from {body['model']}"
    other = Adviser(chat(model="adviser"))
    assert [run(other, order), run(other, order)] == ["from gpt-test"] * 2
    asked = [request["model"] for request in openai_server.requests]
    assert asked.count("gpt-test") == 1


class ByName(BaseDecisionModel):
    """Decides for the choice that it is told to."""

    model: str = "decider"
    choice: str = "one"

    @property
    def _provider(self) -> str:
        return "test"

    def _classify(self, state: Any, questions: dict[str, Any]) -> ClassifierResponse:
        answer = ChoiceAnswer(
            type="choice", choice=self.choice, probabilities={self.choice: 1.0}, confidence=1.0
        )
        return ClassifierResponse(model=self.model, answers=dict.fromkeys(questions, answer))


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
@ORDERS
def test_each_model_that_a_router_chooses_has_its_own_answers(run, order, chat, openai_server):
    openai_server.reply = lambda body: f"from {body['model']}"
    choices = {name: ModelChoice(model=chat(model=name), criteria=name) for name in ("one", "two")}
    for name in ("one", "two", "one", "two"):
        router = ModelRouterMiddleware(
            choices=choices, instructions="Choose.", classifier=ByName(choice=name)
        )
        assert run(router, order) == f"from {name}"
    # Inside of ours the router's choice cannot be seen beforehand: nothing is stored.
    assert len(openai_server.requests) == (2 if order == "around" else 4)


# Limits, and models and tools that are guarded already


@ORDERS
def test_calls_that_are_limited_are_counted_once(run, order, openai_server, events):
    openai_server.reply = lambda body: "well"
    other = ModelCallLimitMiddleware(run_limit=1)
    assert [run(other, order), run(other, order)] == ["well", "well"]
    assert [outcome for _, outcome, _ in outcomes(events)] == ["miss", "hit"]


@ORDERS
def test_tool_calls_that_are_limited_are_counted_once(run, order, openai_server, events):
    openai_server.reply = call_tool_first
    working = Broken(failures=0)
    for _ in range(2):
        run(ToolCallLimitMiddleware(run_limit=1), order, tools=[working.tool])
    told = [outcome for name, outcome, _ in outcomes(events) if name == "look"]
    assert told == ["miss", "hit"]


@ORDERS
def test_a_guarded_model_goes_its_own_way(run, order, ops, chat, openai_server, events):
    openai_server.reply = lambda body: {"status": 500}
    model = guard_model(chat(), ops, policy=MODEL)
    other = SummarizationMiddleware(chat(), trigger=("messages", 1_000))
    run(other, order, model=model)
    assert outcomes(events) == [("gpt-test", "error", 3)]
    openai_server.reply = lambda body: "well"
    assert [run(other, order, model=model), run(other, order, model=model)] == ["well"] * 2
    assert [outcome for _, outcome, _ in outcomes(events)[1:]] == ["miss", "hit"]
    assert len(openai_server.requests) == 4


@ORDERS
def test_a_wrapped_tool_goes_its_own_way(run, order, ops, openai_server, events):
    openai_server.reply = call_tool_first
    broken = Broken(failures=1)
    wrapped = wrap_tool(broken.tool, ops=ops, policy=TOOLS)
    other = ToolCallLimitMiddleware(run_limit=5)
    for _ in range(2):
        assert run(other, order, tools=[wrapped]) == "done"
    assert broken.runs == 2
    told = [each for each in outcomes(events) if each[0] == "look"]
    assert told == [("look", "miss", 2), ("look", "hit", 0)]


def test_an_answer_of_a_fake_model_is_stored(ops, events):
    model = FakeListChatModel(responses=["one"])
    agent = create_agent(model, [], middleware=[ToolOpsMiddleware(ops, model=MODEL)])
    for _ in range(2):
        answer = agent.invoke({"messages": [("user", "hi")]})["messages"][-1]
        assert answer.content == "one"
    assert [outcome for _, outcome, _ in outcomes(events)] == ["miss", "hit"]


# What others change inside of ours


@ORDERS
@pytest.mark.parametrize("tool_name", ["look", "find"])
def test_a_call_that_a_human_has_edited_is_not_stored_as_the_models(
    order, tool_name, ops, chat, openai_server
):
    openai_server.reply = call_tool_first

    @tool
    def look(q: str) -> str:
        """Look something up."""
        return f"looked for {q}"

    @tool
    def find(q: str) -> str:
        """Find something."""
        return f"found {q}"

    human = HumanInTheLoopMiddleware({"look": True})
    ours = ToolOpsMiddleware(ops, model=MODEL, tools=TOOLS)
    both = [human, ours] if order == "around" else [ours, human]
    agent = create_agent(chat(), [look, find], middleware=both, checkpointer=InMemorySaver())
    results = []
    for number, edited in enumerate(("one", "two", None)):
        config: Any = {"configurable": {"thread_id": str(number)}}
        agent.invoke({"messages": [("user", "hi")]}, config)
        decision: Any = {"type": "approve"}
        if edited is not None:
            action = {"name": tool_name, "args": {"q": edited}}
            decision = {"type": "edit", "edited_action": action}
        state = agent.invoke(Command(resume={"decisions": [decision]}), config)
        results.append(state["messages"][-2].text)
    verb = "looked for" if tool_name == "look" else "found"
    assert f"{verb} one" in results[0]
    assert f"{verb} two" in results[1]
    assert results[2] == "looked for x"


class Changing(AgentMiddleware[Any, Any]):
    """Adds to the system prompt, and to the arguments of tools, what holds for its user alone.

    Args:
        user: The user. None: it changes nothing.
    """

    def __init__(self, user: str | None) -> None:
        super().__init__()
        self._user = user

    def wrap_model_call(self, request, handler):
        if self._user is None:
            return handler(request)
        return handler(request.override(system_message=SystemMessage(f"You serve {self._user}")))

    def wrap_tool_call(self, request, handler):
        if self._user is None:
            return handler(request)
        call = request.tool_call
        changed = {**call, "args": {**call["args"], "q": self._user}}
        return handler(request.override(tool_call=changed))

    async def awrap_model_call(self, request, handler):
        return await self.wrap_model_call(request, handler)

    async def awrap_tool_call(self, request, handler):
        return await self.wrap_tool_call(request, handler)


@ORDERS
def test_what_is_changed_for_each_user_is_answered_to_each(run, order, openai_server, ops):
    notices = Notices(ops)

    def reply(body: dict[str, Any]) -> Any:
        last = body["messages"][-1]
        if last["role"] != "tool":
            return call_tool_first(body)
        return f"{body['messages'][0]['content']}, {last['content']}"

    openai_server.reply = reply
    look = Broken(failures=0).tool
    for user in ("ann", "bob"):
        assert run(Changing(user), order, tools=[look]) == f"You serve {user}, {user}"
    told = set(notices.reasons) - {"price_unknown"}  # for the model, and for the tool
    assert told == (set() if order == "around" else {"request_changed"})


@ORDERS
def test_what_is_not_changed_is_stored(run, order, openai_server, ops):
    notices = Notices(ops)
    openai_server.reply = call_tool_first
    broken = Broken(failures=0)
    for _ in range(2):
        assert run(Changing(None), order, tools=[broken.tool]) == "done"
    assert broken.runs == 1
    assert len(openai_server.requests) == 2
    assert set(notices.reasons) <= {"price_unknown"}
