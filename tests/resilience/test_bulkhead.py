"""The bulkhead, in threads and on event loops."""

from __future__ import annotations

import asyncio
import doctest
import gc
import random
import threading
import time

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from properties import examples

from toolops_plugins.errors import BulkheadFull
from toolops_plugins.policy import Bulkhead
from toolops_plugins.resilience import bulkhead as bulkhead_module
from toolops_plugins.resilience.bulkhead import Gate


def make(limit=1, queue=0):
    return Gate(Bulkhead(limit, queue), "quotes")


def until(condition):
    """Wait for what another thread is about to do; the suite's timeout ends it if it never does."""
    while not condition():
        time.sleep(0.0005)


async def auntil(condition):
    while not condition():  # noqa: ASYNC110 - what is waited for may happen in a thread
        await asyncio.sleep(0.0005)


def in_thread(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_the_examples_in_the_docstrings_run():
    result = doctest.testmod(bulkhead_module)
    assert result.attempted >= 3
    assert result.failed == 0


# Against a model, on one loop


class Model(RuleBasedStateMachine):
    """Tasks come, are served, are cancelled and leave, in any order."""

    @initialize(limit=st.integers(1, 3), queue=st.integers(0, 4))
    def begin(self, limit, queue):
        self.loop = asyncio.new_event_loop()
        self.limit, self.places = limit, queue
        self.gate = Gate(Bulkhead(limit, queue), "x")
        self.running = 0
        self.line = []  # tasks, in order

    def teardown(self):
        if not hasattr(self, "loop"):
            return
        for task in self.line:
            task.cancel()
        self.settle()
        self.loop.close()

    def settle(self):
        async def turns():
            for _ in range(4):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())

    def serve(self):
        """A place has become free: the first in line must have it, if there is one."""
        if self.line:
            self.running += 1
            task = self.line.pop(0)
            assert task.done()
            assert task.exception() is None

    @rule()
    def come(self):
        task = self.loop.create_task(self.gate.aacquire())
        self.settle()
        if self.running < self.limit:
            self.running += 1
            assert task.done()
            assert task.exception() is None
        elif len(self.line) < self.places:
            assert not task.done()
            self.line.append(task)
        else:
            assert isinstance(task.exception(), BulkheadFull)

    @rule()
    def push(self):
        assert self.gate.try_acquire() is (self.running < self.limit)
        self.running = min(self.running + 1, self.limit)

    @precondition(lambda self: self.running)
    @rule()
    def leave(self):
        self.gate.release()
        self.running -= 1
        self.settle()
        self.serve()

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def cancel(self, data):
        task = data.draw(st.sampled_from(self.line))
        self.line.remove(task)
        task.cancel()
        self.settle()
        assert task.cancelled()

    @precondition(lambda self: self.running and self.line)
    @rule()
    def grant_and_cancel_at_once(self):
        first = self.line.pop(0)
        self.gate.release()
        first.cancel()
        self.running -= 1
        self.settle()
        assert first.cancelled()
        self.serve()

    @precondition(lambda self: self.running == 0)
    @rule()
    def leave_too_often(self):
        with pytest.raises(RuntimeError, match="is taken"):
            self.gate.release()

    @invariant()
    def agrees(self):
        if hasattr(self, "gate"):
            assert self.gate.occupancy == self.running <= self.limit
            assert self.gate.queue_length == len(self.line) <= self.places


TestModel = Model.TestCase
TestModel.settings = examples(0.5, stateful_step_count=30)


# Threads


def test_a_full_bulkhead_rejects():
    gate = make(limit=2)
    with gate, gate:
        assert not gate.try_acquire()
        with pytest.raises(BulkheadFull, match=r"'quotes' is full: 2 calls run and 0 wait"):
            gate.acquire()
    assert gate.occupancy == 0


def test_a_place_without_an_object_is_returned_to_its_era():
    gate = make(limit=2, queue=1)
    places = [gate.take_place(), gate.take_place()]
    assert places == [gate.era] * 2
    assert gate.take_place() is None
    with pytest.raises(TimeoutError):
        gate.acquire(timeout=0)
    waiting = in_thread(gate.acquire)
    until(lambda: gate.queue_length == 1)
    gate.release_from(places.pop())  # the place goes to the thread
    waiting.join()
    assert gate.occupancy == 2
    gate.release_from(gate.era + 1)
    assert gate.occupancy == 2
    gate.release_from(gate.era)
    gate.release_from(gate.era)
    assert gate.occupancy == 0
    with pytest.raises(RuntimeError, match="no place in the bulkhead of 'quotes' is taken"):
        gate.release_from(gate.era)


def test_threads_are_served_in_order_of_arrival():
    gate, order = make(queue=5), []
    gate.acquire()

    def work(i):
        gate.acquire()
        order.append(i)
        gate.release()

    threads = []
    for i in range(5):
        threads.append(in_thread(lambda i=i: work(i)))
        until(lambda i=i: gate.queue_length == i + 1)
    with pytest.raises(BulkheadFull):
        gate.acquire()
    gate.release()
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]
    assert gate.occupancy == gate.queue_length == 0


@pytest.mark.parametrize("timeout", [0, -1, 0.01])
def test_a_caller_that_waits_too_long_gets_an_error_and_leaves_no_trace(timeout):
    gate = make(queue=1)
    gate.acquire()
    with pytest.raises(TimeoutError, match="became free in"):
        gate.acquire(timeout=timeout)
    assert gate.queue_length == 0
    gate.release()
    assert gate.occupancy == 0


def test_a_place_granted_just_as_the_time_ran_out_is_kept(monkeypatch):
    gate = make(queue=1)
    gate.acquire()

    def grant_too_late(self, timeout):
        gate.release()
        return False

    monkeypatch.setattr(bulkhead_module._ThreadWaiter, "wait", grant_too_late)
    gate.acquire(timeout=1)
    assert gate.occupancy == 1
    assert gate.queue_length == 0


def test_a_place_granted_just_as_the_thread_was_interrupted_goes_on(monkeypatch):
    gate = make(queue=1)
    gate.acquire()

    def interrupt(self, timeout):
        gate.release()
        raise KeyboardInterrupt

    monkeypatch.setattr(bulkhead_module._ThreadWaiter, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        gate.acquire()
    assert gate.occupancy == gate.queue_length == 0


class Freed(Gate):
    """A gate of which a place becomes free just after a caller found none."""

    def try_acquire(self):
        free = super().try_acquire()
        if not free:
            self.release()
        return free


@pytest.mark.parametrize("aio", [False, True])
def test_a_place_that_became_free_before_the_caller_joined_the_queue_is_taken(aio):
    gate = Freed(Bulkhead(1, 1), "quotes")
    gate.acquire()
    if aio:
        asyncio.run(gate.aacquire())
    else:
        gate.acquire()
    assert (gate.occupancy, gate.queue_length) == (1, 0)


def test_a_place_taken_before_a_fork_is_no_place_of_the_child():
    gate = make(limit=2)
    for _ in range(2):
        gate.acquire()
    inherited = gate.place()
    gate.reset_after_fork()  # as a forked child does
    gate.acquire()
    inherited.release()
    assert gate.occupancy == 1
    for _ in range(3):  # the child's place, and two by the exits of its parent's blocks
        gate.release()
    assert gate.occupancy == 0
    with pytest.raises(RuntimeError, match="is taken"):
        gate.release()


def test_a_timeout_beyond_all_sense_is_allowed():
    gate = make(queue=1)
    gate.acquire()
    thread = in_thread(lambda: gate.acquire(timeout=1e300))
    until(lambda: gate.queue_length)
    gate.release()
    thread.join()
    assert gate.occupancy == 1


# Loops


async def test_a_blocking_wait_on_a_loop_is_refused_rather_than_hang():
    gate = make(queue=5)
    async with gate:
        with pytest.raises(BulkheadFull, match="event loop"):
            gate.acquire()
    assert gate.occupancy == gate.queue_length == 0


async def test_the_place_of_one_cancelled_just_as_it_was_served_goes_to_the_next():
    gate, complaints = make(queue=2), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    await gate.aacquire()
    first = asyncio.create_task(gate.aacquire())
    second = asyncio.create_task(gate.aacquire())
    await auntil(lambda: gate.queue_length == 2)
    gate.release()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await second
    assert complaints == []
    assert gate.occupancy == 1
    gate.release()
    assert gate.occupancy == gate.queue_length == 0


async def test_threads_and_tasks_share_one_queue():
    gate, order = make(queue=4), []
    gate.acquire()

    def sync(i):
        gate.acquire()
        order.append(i)
        gate.release()

    async def aio(i):
        async with gate:
            order.append(i)

    callers = []
    for i in range(4):
        callers.append(
            asyncio.create_task(aio(i))
            if i % 2
            else asyncio.create_task(asyncio.to_thread(sync, i))
        )
        await auntil(lambda i=i: gate.queue_length == i + 1)
    gate.release()
    await asyncio.gather(*callers)
    assert order == [0, 1, 2, 3]
    assert gate.occupancy == gate.queue_length == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_waiter_whose_loop_was_closed_is_skipped():
    gate = make(queue=2)
    gate.acquire()
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)  # a pending task is what we want
    task = loop.create_task(gate.aacquire())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    served = in_thread(gate.acquire)
    until(lambda: gate.queue_length == 2)
    gate.release()
    served.join()
    del task
    gc.collect()  # ends the coroutine that nobody will walk any more
    assert gate.occupancy == 1
    assert gate.queue_length == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_is_closed_just_after_its_task_was_served_gives_the_place_back():
    gate = make(queue=1)
    gate.acquire()
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)
    task = loop.create_task(gate.aacquire())
    loop.run_until_complete(asyncio.sleep(0))
    gate.release()
    assert gate.occupancy == 1
    loop.close()
    del task
    gc.collect()
    assert gate.occupancy == gate.queue_length == 0


def test_crowds_of_threads_and_loops_never_pass_the_limit_and_lose_no_place():
    limit = 3
    gate = make(limit, queue=1000)
    lock, inside, most, served = threading.Lock(), 0, 0, 0

    def enter():
        nonlocal inside, most, served
        with lock:
            inside += 1
            served += 1
            most = max(most, inside)

    def leave():
        nonlocal inside
        with lock:
            inside -= 1

    def sync(seed):
        rng = random.Random(seed)
        for _ in range(60):
            try:
                gate.acquire(timeout=rng.choice([None, 0, 0.001]))
            except TimeoutError:
                continue
            enter()
            time.sleep(rng.choice([0, 0, 0.0005]))
            leave()
            gate.release()

    def aio(seed):
        rng = random.Random(seed)

        async def one():
            async with gate:
                enter()
                try:
                    await asyncio.sleep(rng.choice([0, 0, 0.0005]))
                finally:
                    leave()

        async def all_():
            tasks = [asyncio.create_task(one()) for _ in range(150)]
            while not all(task.done() for task in tasks):
                rng.choice(tasks).cancel()
                await asyncio.sleep(0)
                await asyncio.sleep(0.0002)
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run(all_())

    threads = [in_thread(lambda seed=seed: sync(seed)) for seed in range(4)]
    threads += [in_thread(lambda seed=seed: aio(seed)) for seed in range(2)]
    for thread in threads:
        thread.join()
    assert most <= limit
    assert served > limit
    assert gate.occupancy == gate.queue_length == inside == 0
