"""Conformance: each answer is paid for once, nobody harms another, and nobody hangs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from adapters.adapter_body import Trouble, all_of, reach_aboard
from adapters.adapter_subject import KEPT, Subject, needs, one_way

from toolops_plugins import CallTimeout, Memory, Redis, ToolOps

MANY = 8


class Sharing(Subject):
    """Equal calls, one after the other and at the same time."""

    # One after the other -------------------------------------------------------------------------

    async def test_equal_calls_are_made_once(
        self, way: str, other: str, body, make_subject
    ) -> None:
        guarded = make_subject()
        first = await self.ask(way, guarded, "x")
        again = await self.ask(other, guarded, "x")
        assert self.text_of(first) == self.text_of(again) == body.of("x")
        assert self.shape(again) == self.shape(first)
        assert body.runs == ["x"]

    @one_way
    async def test_different_calls_are_apart(self, way: str, body, make_subject) -> None:
        guarded = make_subject()
        for text in ("x", "y", "X", "x", "y"):
            assert await self.hear(way, guarded, text) == body.of(text)
        assert body.runs == ["x", "y", "X"]

    @needs("mutable")
    async def test_a_mutated_answer_never_changes_the_next(
        self, way: str, body, make_subject
    ) -> None:
        guarded = make_subject()
        for _ in range(3):  # what was computed, and two hits
            answer = await self.ask(way, guarded, "x")
            assert self.text_of(answer) == body.of("x")
            self.spoil(answer)
            assert self.text_of(answer) != body.of("x")
        assert body.runs == ["x"]

    async def test_errors_are_never_kept(self, way: str, body, make_subject) -> None:
        guarded = make_subject()
        body.failures = 2
        for _ in range(2):
            with pytest.raises(Trouble):
                await self.ask(way, guarded, "x")
        assert await self.hear(way, guarded, "x") == body.of("x")
        assert await self.hear(way, guarded, "x") == body.of("x")
        assert body.runs == ["x"] * 3

    @needs("uncached")
    @one_way
    async def test_without_a_cache_every_call_is_made(self, way: str, body, ops) -> None:
        guarded = self.guard_plain(self.original(body), ops)
        for _ in range(2):
            assert await self.hear(way, guarded, "x") == body.of("x")
        assert body.runs == ["x"] * 2

    # At the same time ----------------------------------------------------------------------------

    @needs("coalescing")
    async def test_a_crowd_makes_one_call(
        self, crowd: Any, body, ops, make_subject, events
    ) -> None:
        guarded = make_subject()
        body.hold()
        callers: list[Any] = []
        for number in range(MANY):
            callers.append(self.begin(crowd[number % len(crowd)], guarded, "x"))
            if not number:
                await reach_aboard(ops, 1)  # this one leads
        await reach_aboard(ops, MANY)
        body.release.open()
        answers = await all_of(callers)
        assert [self.text_of(answer) for answer in answers] == [body.of("x")] * MANY
        assert len(set(map(repr, map(self.shape, answers)))) == 1
        self.spoil(answers[0])
        self.spoil(answers[-1])
        assert [self.text_of(answer) for answer in answers[1:-1]] == [body.of("x")] * (MANY - 2)
        assert await self.hear(crowd[0], guarded, "x") == body.of("x")
        assert body.runs == ["x"]
        assert sorted(self.outcomes(events)) == ["coalesced"] * (MANY - 1) + ["hit", "miss"]

    @needs("coalescing")
    async def test_the_leaders_error_reaches_all(
        self, crowd: Any, body, ops, make_subject, events
    ) -> None:
        guarded = make_subject()
        body.hold()
        body.failures = 1
        callers = [self.begin(crowd[n % len(crowd)], guarded, "x") for n in range(MANY)]
        await reach_aboard(ops, MANY)
        body.release.open()
        assert [type(error) for error in await all_of(callers)] == [Trouble] * MANY
        assert body.runs == ["x"]
        assert self.outcomes(events) == ["error"] * MANY

    @needs("coalescing")
    async def test_each_caller_has_an_error_of_his_own(
        self, crowd: Any, body, ops, make_subject
    ) -> None:
        guarded = make_subject()
        body.hold()
        body.failures = 1
        callers = [self.begin(crowd[n % len(crowd)], guarded, "x") for n in range(MANY)]
        await reach_aboard(ops, MANY)
        body.release.open()
        errors = await all_of(callers)
        assert len({id(error) for error in errors}) == MANY
        errors[0].add_note("of this request alone")
        for error in errors[1:]:
            assert type(error) is Trouble
            assert error.args == (body.complaint,)
            # LangGraph adds one that names the caller's own task.
            notes = getattr(error, "__notes__", [])
            assert "of this request alone" not in notes
            assert len(notes) <= 1
            assert error.__traceback__ is not errors[0].__traceback__

    @needs("coalescing", "read_once")
    async def test_each_caller_reads_a_result_of_his_own(
        self, crowd: Any, body, ops, notices
    ) -> None:
        guarded = self.guard(self.single_use(body), ops, KEPT)
        body.hold()
        callers = [self.begin(crowd[n % len(crowd)], guarded, "x") for n in range(MANY)]
        await reach_aboard(ops, MANY)
        body.release.open()
        answers = await all_of(callers)
        answers.append(await self.ask(crowd[0], guarded, "x"))
        assert [self.read(answer) for answer in answers] == [body.of("x")] * (MANY + 1)

    async def test_a_crowd_with_different_questions_gets_its_own_answers(
        self, mix: Any, body, make_subject
    ) -> None:
        guarded = make_subject()
        texts = [f"x{number % 3}" for number in range(MANY)]
        ways = [mix[number % len(mix)] for number in range(MANY)]
        callers = [self.begin(way, guarded, text) for way, text in zip(ways, texts, strict=True)]
        answers = await all_of(callers)
        assert [self.text_of(answer) for answer in answers] == [body.of(text) for text in texts]

    # Leaving -------------------------------------------------------------------------------------

    @needs("coalescing", "async", "cancelling")
    async def test_who_leaves_harms_nobody(self, body, ops, make_subject) -> None:
        guarded = make_subject()
        body.hold()
        tasks = [self.begin("async", guarded, "x") for _ in range(4)]
        await reach_aboard(ops, 4)
        for leaving in (tasks[0], tasks[2]):  # the first of them leads
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
        await reach_aboard(ops, 2)
        body.release.open()
        answers = await all_of([tasks[1], tasks[3]])
        assert [self.text_of(answer) for answer in answers] == [body.of("x")] * 2
        assert (body.runs, body.cancelled) == (["x"], [])

    @needs("coalescing", "mixing", "sync", "async", "cancelling")
    async def test_a_cancelled_leader_leaves_threads_unharmed(
        self, body, ops, make_subject
    ) -> None:
        guarded = make_subject()
        body.hold()
        leader = self.begin("async", guarded, "x")
        await reach_aboard(ops, 1)
        threads = [self.begin("sync", guarded, "x") for _ in range(2)]
        await reach_aboard(ops, 3)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        body.release.open()
        answers = await all_of(threads)
        assert [self.text_of(answer) for answer in answers] == [body.of("x")] * 2
        assert (body.runs, body.cancelled) == (["x"], [])

    @needs("async", "cancelling")
    async def test_the_last_one_gone_cancels_the_work(self, body, ops, make_subject) -> None:
        guarded = make_subject()
        body.hold()
        tasks = [self.begin("async", guarded, "x") for _ in range(3)]
        await reach_aboard(ops, 3)
        await body.started.opened()
        for task in tasks:
            task.cancel()
        ended = await all_of(tasks)
        assert [type(error) for error in ended] == [asyncio.CancelledError] * 3
        await reach_aboard(ops, 0)
        assert (body.runs, body.cancelled) == (["x"], ["x"])
        body.release.open()
        assert await self.hear("async", guarded, "x") == body.of("x")
        assert body.runs == ["x", "x"]

    @needs("coalescing", "deadline")
    async def test_a_deadline_is_the_callers_own(self, way: str, body, ops, make_subject) -> None:
        guarded = make_subject()
        body.hold()
        patient = self.begin(way, guarded, "x")
        await reach_aboard(ops, 1)
        with ops.deadline(0.01), pytest.raises(CallTimeout):
            await self.ask(way, guarded, "x")
        body.release.open()
        assert self.text_of(*await all_of([patient])) == body.of("x")
        assert body.runs == ["x"]

    # Loops ---------------------------------------------------------------------------------------

    @needs("sync", "async", "coalescing", "inline")
    @pytest.mark.allow_blocking("a plain call on a loop blocks it, by its nature")
    async def test_a_sync_call_on_a_loop_does_not_wait_for_that_loop(
        self, body, make_subject
    ) -> None:
        guarded = make_subject()
        body.hold()
        leader = self.begin("async", guarded, "x")
        await body.started.opened()
        body.release.open()  # but the leader cannot notice before this task lets go
        assert self.text_of(self.call(guarded, "x")) == body.of("x")
        assert self.text_of(*await all_of([leader])) == body.of("x")

    @needs("async")
    def test_two_runs_of_asyncio_both_work(self, valkey, namespace: str, body) -> None:
        with ToolOps(namespace, [Memory(), Redis(valkey.url, ttl=60)]) as ops:
            guarded = self.guard(self.original(body), ops, KEPT)

            async def crowd(text: str) -> list[str]:
                callers = [self.begin("async", guarded, text) for _ in range(3)]
                return [self.text_of(answer) for answer in await all_of(callers)]

            for text in ("x", "y", "x"):
                assert asyncio.run(crowd(text)) == [body.of(text)] * 3
            asyncio.run(ops.aclose())
        assert set(body.runs) == {"x", "y"}
        assert body.runs[-1] == "y"

    @one_way
    async def test_a_closed_runtime_opens_again(self, way: str, body, ops, make_subject) -> None:
        # As ToolOps says of itself: closing releases connections and threads, and ends nothing.
        guarded = make_subject()
        await self.ask(way, guarded, "x")
        await ops.aclose()
        runs = len(body.runs)
        for _ in range(2):  # what was in memory is gone
            assert await self.hear(way, guarded, "x") == body.of("x")
            assert await self.hear(way, guarded, "y") == body.of("y")
        assert len(body.runs) == runs + 2

    # Made anew -----------------------------------------------------------------------------------

    async def test_a_call_in_a_forced_refresh_is_made_anew_once_and_stored(
        self, way: str, other: str, body, ops, make_subject
    ) -> None:
        guarded = make_subject()
        old = await self.hear(way, guarded, "x")
        body.word = "newer answer"
        assert await self.hear(other, guarded, "x") == old
        with ops.force_refresh():
            for _ in range(2):
                assert await self.hear(way, guarded, "x") == body.of("x") != old
            assert await self.hear(way, guarded, "y") == body.of("y")
        for text in ("x", "y"):
            assert await self.hear(other, guarded, text) == body.of(text)
        assert body.runs == ["x", "x", "y"]

    @one_way
    async def test_a_forced_refresh_that_fails_serves_no_older_result(
        self, way: str, body, ops, make_subject
    ) -> None:
        guarded = make_subject()
        await self.hear(way, guarded, "x")
        body.failures = 1
        with ops.force_refresh(), pytest.raises(Exception, match=body.complaint):
            await self.ask(way, guarded, "x")
        assert await self.hear(way, guarded, "x") == body.of("x")
        assert body.runs == ["x"] * 3
