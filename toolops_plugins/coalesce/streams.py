"""Recordings of generators, for many readers that each have their own pace.

A recording holds the generator and the items that it has yielded so far. The reader that is
farthest ahead pulls the next item; all others find it there. So nobody waits for a slow reader, and
a generator never runs ahead of the quickest one. Any reader may leave, and the last one closes the
generator. A reader that joins late gets every item from the start.

Readers of a plain generator may be any threads; one of them pulls at a time. A thread with a
running event loop never waits for another thread, and so shares with none. Readers of an
asynchronous generator share it within one event loop; see
:mod:`toolops_plugins.coalesce.async_streams`.

A recording lives for as long as it has a reader, or a caller that is about to read. If all callers
give up before the first item, it is closed when the last of them leaves.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing
from contextvars import Context, copy_context
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Any

from toolops_plugins.coalesce import wait_graph
from toolops_plugins.coalesce.error_copies import copy_error
from toolops_plugins.coalesce.loop_liveness import current_loop
from toolops_plugins.coalesce.value_copies import copy_value, count_parts
from toolops_plugins.codec import Codec, Payload
from toolops_plugins.errors import ConfigurationError, ToolOpsError
from toolops_plugins.keys.encoding_failures import describe_failure
from toolops_plugins.policy.base import NOTHING

__all__ = ["BaseRecording", "ItemUnavailable", "Recording"]

MAX_ITEMS = 10_000
MAX_BYTES = 16 * 1024 * 1024
"""Past either a recording drops items that all its readers have seen, and cannot be joined."""


class ItemUnavailable(Exception):  # noqa: N818 - a signal to the reader, never seen by users
    """An item can be had by one reader only, and another reader has it."""


class _Item:
    """An item of a stream.

    Args:
        payload: Its encoded form, of which each reader gets a copy; None if no codec takes it.
        value: The item itself, for the first reader if there is no payload.
        template: A copy of it for all others; NOTHING if copying it could have an effect.
    """

    __slots__ = ("payload", "template", "value")

    def __init__(self, payload: Payload | None, value: Any, template: Any) -> None:
        self.payload = payload
        self.value = value
        self.template = template


class BaseRecording:
    """The state of plain and asynchronous recordings. Only one thread at a time may add and end.

    Args:
        codec: Makes the copies.
        shares: Whether there may be several readers.
        monotonic: Returns the time, for the seconds that the generator works.
    """

    def __init__(self, codec: Codec, *, shares: bool, monotonic: Callable[[], float]) -> None:
        self.node = wait_graph.Node()
        self._codec = codec
        self._shares = shares
        self._monotonic = monotonic
        self._items: dict[int, _Item] = {}
        self._places: dict[object, int] = {}
        self._waits: dict[object, wait_graph.Wait] = {}
        # Reentrant: the collector may end an abandoned reader, which then leaves, anywhere.
        self._seats = threading.RLock()
        self._bytes = 0
        self.count = 0
        self.ended = False
        self.error: BaseException | None = None
        self._copy: Exception | None = None
        self._trace: TracebackType | None = None
        self.returned: Any = None
        self.complete = True
        """True if every item is still present, and can be encoded."""
        self.unencodable: str | None = None
        """The type of the first item that cannot be encoded, or decoded again."""
        self.overflown = False
        self.single_use = False
        """True if only one reader can have some item."""
        self.accepts_send = False
        """True if its reader may send and throw into it, since nobody else sees the items."""
        self.owner: Any = None
        """An object of its maker's, for use at its end."""
        self.worked = 0.0
        """Seconds that the generator has worked since its first item."""
        self._joined = False
        self._raised = False
        self._claimed = False
        self._closed = False

    def add(self, value: Any) -> None:
        """Append an item."""
        try:
            payload = self._codec.encode(value)
            self._bytes += payload.size
            item = _Item(payload, value, NOTHING)
        except Exception as error:  # noqa: BLE001 - what a value's own methods raise as well
            self._spoil(value, error)
            item = _Item(None, value, self._template(value))
            self.single_use = self.single_use or item.template is NOTHING
        self._items[self.count] = item
        self.count += 1
        if self.count > MAX_ITEMS or self._bytes > MAX_BYTES:
            self.overflown, self.complete = True, False

    def _template(self, value: Any) -> Any:
        if not self._shares or count_parts(value) is None:
            return NOTHING
        return copy_value(value)

    def take(self, index: int) -> Any:
        """Return the item at an index: a copy, or the item itself for the first that asks.

        Raises:
            ItemUnavailable: Another reader has it, and copying it could have an effect.
        """
        item = self._items[index]
        if item.payload is not None:
            try:
                return self._codec.decode(item.payload)
            except Exception as error:  # noqa: BLE001 - what a registered type's own methods raise
                self._spoil(item.value, error)
            self.single_use = True
        with self._seats:
            value, item.value = item.value, NOTHING
        if value is NOTHING and item.template is not NOTHING:
            value = copy_value(item.template)
        if value is NOTHING:
            raise ItemUnavailable
        return value

    def _spoil(self, value: Any, error: Exception) -> None:
        self.complete = False
        self.unencodable = self.unencodable or describe_failure(error, value)

    def all(self) -> list[Any]:
        """Return copies of all items of a complete recording."""
        return [self.take(index) for index in range(self.count)]

    def read(self, reader: object) -> Any:
        """Return an iterator, or an asynchronous one, over every item from the start."""
        raise NotImplementedError

    def move(self, reader: object, index: int) -> None:
        """Record the position of a reader."""
        with self._seats:
            self._places[reader] = index
            if self.overflown:
                slowest = min(self._places.values())
                for seen in [i for i in tuple(self._items) if i < slowest]:
                    del self._items[seen]

    def claim(self) -> bool:
        """Return True once, to the first reader that sees the end and has to store the stream."""
        with self._seats:
            first = self.ended and self.error is None and not self._claimed
            self._claimed = self._claimed or first
            return first

    @property
    def joinable(self) -> bool:
        """True if a new reader can still get everything from the start."""
        # Nothing is forgotten before somebody has seen it, so one reader can always begin.
        late = self._joined and (self.overflown or self.single_use)
        return not self._closed and self.error is None and not late

    def join(self, reader: object) -> bool:
        """Count a reader in; return False if it cannot join, or must not wait for the next item."""
        with self._seats:
            if not self.joinable or not self._admits():
                return False
            wait = wait_graph.wait_for(self.node)
            if wait is None:
                return False
            self._places[reader] = 0
            self._waits[reader] = wait
            self._joined = True
            return True

    def _admits(self) -> bool:
        """Return whether a reader in this thread may wait for the others, and they for it."""
        return True

    def leave(self, reader: object) -> bool:
        """Take a reader off; return whether it was the last one, so that nobody joins any more."""
        with self._seats:
            self._places.pop(reader, None)
            wait = self._waits.pop(reader, None)
            if wait is not None:
                wait_graph.leave(wait)
            if not self._places and not self.ended:
                self._closed = True
            return self._closed

    def end(self, error: BaseException | None = None, outside: BaseException | None = None) -> None:
        """Note that nothing more will come.

        Args:
            error: What the generator raised.
            outside: What was being handled where the generator was asked for the next item.
        """
        self.error = error
        if isinstance(error, Exception):
            self._copy = copy_error(error, outside)
        self._trace = error.__traceback__ if error is not None else None
        self.ended = True
        wait_graph.finish(self.node)

    def raise_error(self) -> None:
        """Raise what the generator raised, if anything: itself at first, and then copies of it."""
        error = self.error
        if error is None:
            return
        if not isinstance(error, Exception) or self._copy is None:
            raise ToolOpsError(f"the stream broke off: {type(error).__name__}")
        with self._seats:
            first, self._raised = not self._raised, True
        if not first:
            error = copy_error(self._copy)
        # What cannot be copied is one object for all, whose traceback each raise would lengthen.
        raise error.with_traceback(self._trace)


def send_refusal() -> ConfigurationError:
    """Return the error for sending a value into a stream that is cached or shared."""
    return ConfigurationError(
        "send",
        "cannot reach a stream that is cached or coalesced, whose items others read too; wrap the"
        " generator without cache= and coalesce=",
    )


class Recording(BaseRecording):
    """A plain generator and the items that it has yielded. Safe to read from any threads.

    Args:
        start: Returns the generator.
        codec: Makes the copies.
        shares: Whether there may be several readers.
        monotonic: As in :class:`BaseRecording`. Default the system's time.
        context: The context in which every step of the generator runs. None: that of the reader
            that asks for the next item. Default None.
    """

    def __init__(
        self,
        start: Callable[[], Generator[Any, Any, Any]],
        codec: Codec,
        *,
        shares: bool,
        monotonic: Callable[[], float] = time.monotonic,
        context: Context | None = None,
    ) -> None:
        super().__init__(codec, shares=shares, monotonic=monotonic)
        self._start = start
        self._source = start()
        self._run: Callable[..., Any] = _call if context is None else context.run
        self._lock = threading.Lock()
        self._pulling = False
        self._home = _loop_thread()

    @classmethod
    def make_opener(
        cls,
        function: Callable[..., Any],
        codec: Codec,
        *,
        shares: bool,
        monotonic: Callable[[], float] = time.monotonic,
        isolates: Callable[[], bool] = bool,
    ) -> Callable[..., Recording]:
        """Return a function that starts the function's generator and pulls its first item.

        Args:
            function: The generator function.
            codec: Makes the copies.
            shares: Whether there may be several readers.
            monotonic: As in :class:`BaseRecording`. Default the system's time.
            isolates: Returns whether the generator runs in a context of its own, which is a copy of
                that in which it was started. Default: it does not.
        """

        def open_stream(*args: Any, **kwargs: Any) -> Recording:
            recording = cls(
                partial(function, *args, **kwargs),
                codec,
                shares=shares,
                monotonic=monotonic,
                context=copy_context() if isolates() else None,
            )
            wait = wait_graph.wait_for(recording.node)
            try:
                with recording._lock:
                    recording._pull()
            finally:
                if wait is not None:
                    wait_graph.leave(wait)
            recording.raise_error()
            recording.worked = 0.0  # the first item is the attempt's
            return recording

        return open_stream

    def _admits(self) -> bool:
        here = _loop_thread()
        if self._home is None and here is not None and not self._places:
            self._home = here  # it was opened for this thread, by the thread of a timeout
        return self._home in (here, threading.get_ident())

    def _pull(self, step: Callable[[], Any] | None = None) -> None:
        outside = sys.exception()
        if self._pulling:
            # A reader was interrupted in here, so the generator has ended or an item is lost.
            self.end(KeyboardInterrupt())
            return
        self._pulling = True
        try:
            self.add(self._run(self._take_step, step))
        except StopIteration as end:
            self.returned = end.value
            self.end()
        except BaseException as error:
            self.end(error, outside)
            if not isinstance(error, Exception):
                raise
        self._pulling = False

    def _take_step(self, step: Callable[[], Any] | None) -> Any:
        token = wait_graph.enter(self.node)
        began = self._monotonic()
        try:
            return next(self._source) if step is None else step()
        finally:
            self.worked += self._monotonic() - began
            wait_graph.exit_work(token)

    def read(self, reader: object) -> Generator[Any, Any, Any]:
        """Yield every item from the start, each reader its own copies.

        A reader that meets an item which only another reader can have continues with a run of its
        own.

        Args:
            reader: Stands for this reader, which has joined already.

        Returns:
            The generator's result.

        Raises:
            Exception: The generator's error.
        """
        index = 0
        try:
            while True:
                if index >= self.count:
                    with self._lock:
                        if index >= self.count and not self.ended:
                            self._pull()
                    if index >= self.count:
                        break
                value = self.take(index)
                index += 1
                self.move(reader, index)
                try:
                    sent = yield value
                except Exception as error:
                    if not self.accepts_send:
                        raise
                    step = partial(self._source.throw, error)
                else:
                    if sent is None:
                        continue
                    if not self.accepts_send:
                        raise send_refusal()
                    step = partial(self._source.send, sent)
                with self._lock:
                    self._pull(step)
            self.raise_error()
        except ItemUnavailable:
            pass
        else:
            return self.returned
        finally:
            if self.leave(reader):
                with self._lock:
                    self._run(self._source.close)
        with closing(self._start()) as source:
            deque(islice(source, index), 0)
            return (yield from source)


def _call(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def _loop_thread() -> int | None:
    """Return this thread's id if an event loop runs in it."""
    return None if current_loop() is None else threading.get_ident()
