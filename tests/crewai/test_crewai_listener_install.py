"""The event listener: how it comes to CrewAI's bus, and leaves it as it was."""

from __future__ import annotations

import contextvars
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from callers import start
from crew_agents import agent_of, crew_of
from crewai.events.event_bus import crewai_event_bus
from crewai.events.types.llm_events import (
    LLMCallCompletedEvent,
    LLMCallStartedEvent,
    LLMCallType,
)
from crewai.events.types.tool_usage_events import ToolUsageStartedEvent
from crewai.hooks import clear_all_global_hooks
from crewai.hooks.tool_hooks import get_before_tool_call_hooks

from crewai_toolops import listener as module
from crewai_toolops.listener import ToolOpsListener, install, uninstall
from toolops_plugins import ConfigurationError, ToolOps
from toolops_plugins.testing import set_active

MODEL = "chat:gpt-4o-mini"


@pytest.fixture(autouse=True)
def _uninstalled() -> Iterator[None]:
    yield
    crewai_event_bus.flush()
    uninstall()


@pytest.fixture
def other() -> Iterator[ToolOps]:
    with ToolOps("other") as ops:
        yield ops


def on_the_bus() -> tuple[Any, ...]:
    bus = crewai_event_bus
    return (
        dict(bus._sync_handlers),
        dict(bus._async_handlers),
        dict(bus._handler_dependencies),
        get_before_tool_call_hooks(),
    )


def calls(ops: ToolOps) -> int:
    """Return how many calls of models were counted."""
    crewai_event_bus.flush()
    return sum(report.calls for report in ops.stats().tools if report.name == MODEL)


def test_installing_twice_counts_once(ops, llm) -> None:
    install(ops, prices={"gpt-4o-mini": (1.0, 1.0)})
    install(ops, prices={"gpt-4o-mini": (1.0, 1.0)})
    llm().call("What?")
    assert calls(ops) == 1


def test_installing_again_loses_nothing_that_is_under_way(ops) -> None:
    for event in pair("1"):
        install(ops)
        module._installation._listener._on_event(None, event)
    assert calls(ops) == 1


def test_the_bus_is_left_as_it_was(ops, llm) -> None:
    before = on_the_bus()
    install(ops, tool_hook=True)
    assert on_the_bus() != before
    assert len(get_before_tool_call_hooks()) == len(before[-1]) + 1
    uninstall()
    assert on_the_bus() == before
    uninstall()
    llm().call("What?")
    assert calls(ops) == 0


def test_another_runtime_takes_the_place(ops, other, llm) -> None:
    install(ops)
    install(other)
    llm().call("What?")
    assert (calls(ops), calls(other)) == (0, 1)
    install(ops)
    llm().call("What?")
    assert (calls(ops), calls(other)) == (1, 1)


def test_other_values_take_the_place(ops, llm) -> None:
    install(ops)
    install(ops, prices=lambda _, __: 3.0, tool_hook=True)
    llm().call("What?")
    assert calls(ops) == 1
    assert [report.spent for report in ops.stats().tools] == [3.0]
    assert len(get_before_tool_call_hooks()) == 1


def test_without_a_runtime_the_default_one_counts(ops, llm) -> None:
    install()
    install(ops)  # the same
    llm().call("What?")
    assert calls(ops) == 1


def test_installing_puts_back_what_was_removed(ops, llm) -> None:
    install(ops, tool_hook=True)
    crewai_event_bus.off(LLMCallStartedEvent, module._installation._listener._on_event)
    clear_all_global_hooks()
    llm().call("What?")
    assert calls(ops) == 0
    install(ops, tool_hook=True)
    assert len(get_before_tool_call_hooks()) == 1
    llm().call("What?")
    assert calls(ops) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"ops": "shop"}, {"prices": "free"}, {"prices": {"gpt-4o": 1}}, {"max_calls": 0}],
)
def test_wrong_values_leave_everything_as_it_was(wrong, ops, llm) -> None:
    install(ops)
    before = on_the_bus()
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        install(**wrong)
    with pytest.raises(ConfigurationError):
        ToolOpsListener(**wrong)
    assert on_the_bus() == before
    llm().call("What?")
    assert calls(ops) == 1


def test_installed_from_many_threads_at_once(ops, llm) -> None:
    for future in [start(install, ops) for _ in range(8)]:
        future.result()
    llm().call("What?")
    assert calls(ops) == 1


def test_an_inactive_runtime_counts_nothing(ops, llm) -> None:
    install(ops)
    with set_active(False, ops):
        llm().call("What?")
        crewai_event_bus.flush()
    assert calls(ops) == 0


# Scopes -----------------------------------------------------------------------------------------


def test_a_listener_listens_until_it_is_closed(ops, llm) -> None:
    before = on_the_bus()
    with ToolOpsListener(ops, tool_hook=True):
        llm().call("What?")
        assert calls(ops) == 1
    assert on_the_bus() == before
    llm().call("What?")
    assert calls(ops) == 1


def test_a_listener_of_a_scope_ends_with_it(ops, llm) -> None:
    before = on_the_bus()
    with crewai_event_bus.scoped_handlers():
        ToolOpsListener(ops)
        llm().call("What?")
        assert calls(ops) == 1
    assert on_the_bus() == before
    llm().call("What?")
    assert calls(ops) == 1


def test_what_a_scope_puts_back_leaves_again(ops, llm) -> None:
    before = on_the_bus()
    install(ops)
    with crewai_event_bus.scoped_handlers():
        uninstall()
    assert on_the_bus() != before
    llm().call("What?")
    assert calls(ops) == 0
    assert on_the_bus() == before


def test_a_closed_listener_holds_no_runtime(llm) -> None:
    with ToolOps("gone") as ops:
        listener = ToolOpsListener(ops)
        llm().call("What?")
        assert calls(ops) == 1
        listener.close()
    runtime = weakref.ref(ops)
    del ops
    gc.collect()
    assert runtime() is None


# Events that come late, twice, or never ---------------------------------------------------------


def pair(call_id: str) -> tuple[LLMCallStartedEvent, LLMCallCompletedEvent]:
    """Return the events of a call of a model."""
    began = LLMCallStartedEvent(model="gpt-4o-mini", call_id=call_id)
    ended = LLMCallCompletedEvent(
        model="gpt-4o-mini", call_id=call_id, response="7", call_type=LLMCallType.LLM_CALL
    )
    ended.started_event_id = began.event_id
    return began, ended


def test_ends_may_come_first(ops) -> None:
    with ToolOpsListener(ops) as listener:
        for n in range(3):
            for event in reversed(pair(str(n))):
                listener._on_event(None, event)
        assert calls(ops) == 3
        assert len(listener._counts.pairs) == 0


def test_events_of_a_closed_listener_are_late(ops) -> None:
    with ToolOpsListener(ops) as listener:
        began, ended = pair("1")
        listener._on_event(None, began)
    listener._on_event(None, ended)
    assert calls(ops) == 0


def test_what_never_ends_is_forgotten(ops) -> None:
    with ToolOpsListener(ops, max_calls=3) as listener:
        pairs = [pair(str(n)) for n in range(10)]
        for began, _ in pairs:
            listener._on_event(None, began)
        assert len(listener._counts.pairs) == 3
        for _, ended in pairs:
            listener._on_event(None, ended)
        assert calls(ops) == 3
        assert len(listener._counts.pairs) == 3  # ends whose begin never came


def test_what_is_replayed_is_not_counted(ops) -> None:
    with ToolOpsListener(ops):
        for event in pair("1"):
            crewai_event_bus.replay(None, event)
        assert calls(ops) == 0


def test_events_without_what_they_should_hold(ops, caplog) -> None:
    with ToolOpsListener(ops) as listener:
        began = ToolUsageStartedEvent(tool_name="quote", tool_args={})
        began.__dict__.pop("task_id")
        with caplog.at_level("DEBUG", logger="crewai_toolops"):
            listener._on_event(None, began)
        assert caplog.messages == ["ToolUsageStartedEvent was not counted: AttributeError"]


def test_handlers_with_dependencies_do_not_hide_the_context(ops, llm) -> None:
    """Another listener may make the bus hand a kind of event over in another way."""
    from crewai.events.depends import Depends

    from crewai_toolops.llms import guard_llm

    seen: list[str] = []
    with crewai_event_bus.scoped_handlers():

        def first(source: Any, event: Any) -> None:
            seen.append("first")

        crewai_event_bus.on(LLMCallCompletedEvent)(first)

        @crewai_event_bus.on(LLMCallCompletedEvent, depends_on=Depends(first))
        def second(source: Any, event: Any) -> None:
            seen.append("second")

        ToolOpsListener(ops)
        llm().call("What?")
        guard_llm(llm(), ops=ops).call("What?")
        assert calls(ops) == 1
        assert seen == ["first", "second"] * 2


def test_a_crew_in_a_context_of_its_own(ops, llm) -> None:
    install(ops)
    contextvars.Context().run(crew_of(agent_of(llm())).kickoff)
    assert calls(ops) == 1
