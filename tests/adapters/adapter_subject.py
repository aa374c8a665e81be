"""A subject of the conformance suite: how it is made, guarded, called and read."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from functools import cached_property
from typing import Any, ClassVar
from zlib import crc32

import pytest
from adapters.adapter_body import Body, start_call
from callers import LONG, Notices

from toolops_plugins import Cache, CallEvent, Policy, ToolOps

__all__ = ["KEPT", "Subject", "needs", "one_way"]

KEPT = Policy(cache=Cache(ttl=60.0, jitter=0.0, beta=0.0))
"""Results are kept for a minute, and equal calls shared; nothing is left to chance."""

_NEEDS = "adapter_needs"
_ONE_WAY = "adapter_one_way"
_capabilities = {"sync", "async", "refused", "decoding"}


def needs(*capabilities: str) -> Callable[[Any], Any]:
    """Mark a test that only what has certain capabilities can pass; see :attr:`Subject.lacks`."""
    _capabilities.update(capabilities)

    def mark(test: Any) -> Any:
        setattr(test, _NEEDS, frozenset(capabilities))
        return test

    return mark


def one_way(test: Any) -> Any:
    """Mark a test of what the runtime does alike in all ways, which takes one of them.

    Of the subjects some take the one and some the other.
    """
    setattr(test, _ONE_WAY, True)
    return test


class Subject:
    """A framework's object around a :class:`~adapters.adapter_body.Body`, behind a policy.

    A subclass says how it is made and called. Each test has an instance of its own.
    """

    ways: ClassVar[tuple[str, ...]] = ("sync", "async")
    """The faces that it has."""
    lacks: ClassVar[Mapping[str, str]] = {}
    """Capabilities that the framework does not have, with reasons; their tests are left out."""
    refused: ClassVar[tuple[Policy, ...]] = ()
    """Policies that it must refuse, since it could not keep to them."""

    only: ClassVar[type | None] = None
    """The part of the list that is enough, where another subject makes the same calls."""

    # What a subclass says ------------------------------------------------------------------------

    def original(self, body: Body, secret: str = "") -> Any:
        """Return the framework's own object; ``secret`` is what it is reached with, such as a key.

        Those of two bodies are equal, as two processes would make them.
        """
        raise NotImplementedError

    def single_use(self, body: Body) -> Any:
        """Return one like :meth:`original`, whose result can be read once; optional."""
        raise NotImplementedError

    def read(self, answer: Any) -> str:
        """Return the text of an answer that can be read once."""
        raise NotImplementedError

    def guard(self, original: Any, ops: Any, policy: Any) -> Any:
        """Put it behind a policy."""
        raise NotImplementedError

    def guard_plain(self, original: Any, ops: Any) -> Any:
        """Put it behind a policy that neither keeps nor shares anything."""
        return self.guard(original, ops, Policy(coalesce=False))

    def call(self, guarded: Any, text: str, **more: Any) -> Any:
        """Call it in this thread.

        Args:
            guarded: What :meth:`guard` returned, or the original.
            text: What is asked.
            more: ``thing``, an argument that counts; ``api_key``, an argument that is secret.
        """
        raise NotImplementedError

    async def acall(self, guarded: Any, text: str, **more: Any) -> Any:
        """Call it on this event loop."""
        raise NotImplementedError

    def text_of(self, answer: Any) -> str:
        """Return the text of an answer."""
        raise NotImplementedError

    def spoil(self, answer: Any) -> None:
        """Change an answer, as far inside of it as can be."""
        raise NotImplementedError

    def shape(self, answer: Any) -> Any:
        """Return the types of which an answer is made."""
        return type(answer)

    def outcomes(self, events: list[CallEvent]) -> list[str]:
        """Return how the calls ended, by what the sinks were told."""
        return [event.outcome for event in events]

    def state(self, original: Any) -> Any:
        """Return what must not change in an object when it is guarded."""
        state = {**vars(original), **(getattr(original, "__pydantic_private__", None) or {})}
        # What a class works out once, and remembers, is no change.
        return type(original), {
            name: value
            for name, value in state.items()
            if not isinstance(inspect.getattr_static(type(original), name, None), cached_property)
        }

    # What the tests use --------------------------------------------------------------------------

    @pytest.fixture
    def body(self) -> Body:
        return Body()

    @pytest.fixture
    def events(self) -> list[CallEvent]:
        return []

    @pytest.fixture
    async def make_ops(self, events: list[CallEvent]) -> AsyncIterator[Callable[..., ToolOps]]:
        """Makes runtimes that record their events; no flight may be left in any."""
        made: list[ToolOps] = []

        def make(*args: Any, sinks: Any = (), **options: Any) -> ToolOps:
            made.append(ToolOps(*args, sinks=[*sinks, events.append], **options))
            return made[-1]

        yield make
        for ops in made:
            async with asyncio.timeout(LONG):
                while ops._shared.flights:  # noqa: ASYNC110 - there is no event for it
                    await asyncio.sleep(0)
            await ops.aclose()

    @pytest.fixture
    def ops(self, make_ops: Callable[..., ToolOps]) -> ToolOps:
        return make_ops()

    @pytest.fixture
    def notices(self, ops: ToolOps) -> Notices:
        return Notices(ops)

    @pytest.fixture
    def make_subject(self, body: Body, ops: ToolOps) -> Callable[..., Any]:
        """Makes the guarded object, of a policy or its parts."""

        def make_subject(policy: Policy = KEPT, **parts: Any) -> Any:
            return self.guard(self.original(body), ops, policy.replace(**parts))

        return make_subject

    def begin(self, way: str, guarded: Any, text: str, **more: Any) -> asyncio.Future[Any]:
        """Begin a call, in a thread of its own or in a task."""
        return start_call(way, self.call, self.acall, guarded, text, **more)

    async def ask(self, way: str, guarded: Any, text: str, **more: Any) -> Any:
        """Make a call, in a thread of its own or in a task; it may not hang."""
        async with asyncio.timeout(LONG):
            return await self.begin(way, guarded, text, **more)

    async def hear(self, way: str, guarded: Any, text: str, **more: Any) -> str:
        """Make a call, and return the text of the answer."""
        return self.text_of(await self.ask(way, guarded, text, **more))

    # Which tests there are -----------------------------------------------------------------------

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for capability, reason in cls.lacks.items():
            if capability not in _capabilities or not reason.strip():
                raise TypeError(f"{cls.__name__} lacks {capability!r}, which is unknown or unsaid")
        if not cls.__name__.startswith("Test"):
            return  # a part of the list, or all of it: what is left out here nobody would have
        missing = set(cls.lacks) | ({"sync", "async"} - set(cls.ways))
        if not cls.refused:
            missing.add("refused")
        if "single_use" not in vars(cls):  # another's would be made in another way
            missing.add("read_once")
        for name in dir(cls):
            left_out = cls.only is not None and not hasattr(cls.only, name)
            if (name.startswith("test_") and left_out) or missing & _needs_of(cls, name):
                setattr(cls, name, None)  # which pytest does not collect

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        mixes = len(self.ways) > 1 and "mixing" not in self.lacks
        crowds = {"threads": ("sync",), "tasks": ("async",)}
        chosen = {name: ways for name, ways in crowds.items() if set(ways) <= set(self.ways)}
        if mixes:
            chosen |= {"thread leads": ("sync", "async"), "task leads": ("async", "sync")}
        ways = self.ways
        if getattr(metafunc.function, _ONE_WAY, False):
            chosen_way = crc32(f"{type(self).__name__} {metafunc.function.__name__}".encode())
            ways = (ways[chosen_way % len(ways)],)
        for name, values in (
            ("way", {way: way for way in ways}),
            ("other", {way: way for way in self.ways}),
            ("crowd", chosen),
            ("mix", {"thread leads": chosen["thread leads"]} if mixes else chosen),
            ("refusal", {str(n): policy for n, policy in enumerate(self.refused)}),
        ):
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, list(values.values()), ids=list(values))


def _needs_of(cls: type, name: str) -> frozenset[str]:
    return getattr(getattr(cls, name), _NEEDS, frozenset())
