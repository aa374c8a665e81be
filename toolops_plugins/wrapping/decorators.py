"""The decorators of a runtime, which put functions under policies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from toolops_plugins.callables.hidden_coroutines import wrap_hidden_coroutine
from toolops_plugins.callables.target import Target, copy_metadata, resolve
from toolops_plugins.calls.explaining import explain_call, is_large_call
from toolops_plugins.calls.plan import Plan
from toolops_plugins.drivers.thread import ThreadDriver
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.policy import Cache, Policy, PolicyParts, Retry
from toolops_plugins.wrapping.method_tools import ClassMethodTool, MethodTool
from toolops_plugins.wrapping.planner import Planner
from toolops_plugins.wrapping.wrapper import make_wrapper

if TYPE_CHECKING:
    from toolops_plugins.drivers.loop import LoopDriver
    from toolops_plugins.semantic.matches import Explanation
    from toolops_plugins.wrapping.cache_aside import CacheAside
    from toolops_plugins.wrapping.tool_types import Decorator, Tool, ToolOptions

__all__ = ["Decorators"]

F = TypeVar("F", bound=Callable[..., Any])

_NO_POLICY = Policy()


class Decorators(ABC):
    """Base of :class:`~toolops_plugins.runtime.ToolOps` with the methods that wrap functions."""

    _planner: Planner
    _threads: ThreadDriver

    @abstractmethod
    def _on_loop(self) -> LoopDriver: ...

    @abstractmethod
    def invalidate(self, tags: Iterable[str] = (), *, keys: Iterable[bytes | str] = ()) -> None:
        """Invalidate results by tag or key."""

    @abstractmethod
    async def ainvalidate(
        self, tags: Iterable[str] = (), *, keys: Iterable[bytes | str] = ()
    ) -> None:
        """As :meth:`invalidate`, without blocking the event loop."""

    @overload
    def tool(self, function: F, /) -> Tool[F]: ...
    @overload
    def tool(self, function: None = None, /, **options: Unpack[ToolOptions]) -> Decorator: ...

    def tool(
        self,
        function: Any = None,
        /,
        *,
        policy: Policy | None = None,
        name: str | None = None,
        secret: Sequence[str] = (),
        ignore: Sequence[str] = (),
        **parts: Unpack[PolicyParts],
    ) -> Any:
        """Put a function under a policy; a decorator, with or without arguments.

        It takes plain functions, coroutine functions, generators and asynchronous generators,
        methods, class methods, static methods, partials and callable objects. The result is of the
        same kind, has the same signature, and has the attributes of
        :class:`~toolops_plugins.wrapping.tool_types.Tool`.

        Args:
            function: The function, if the decorator is used without arguments.
            policy: The policy to start from. None: an empty one.
            name: The tool's name. Functions of the same name and version share their answers, in
                all frameworks and processes. None: module and qualified name.
            secret: Parameters that are secret, beside those whose name says so. They count in the
                key, as part of its digest, and cannot be used in a tag.
            ignore: Parameters that do not count in the key.
            parts: Parts of a :class:`~toolops_plugins.policy.Policy` by name, such as
                ``cache=Cache(ttl=60)``; they override ``policy``.

        Raises:
            ConfigurationError: A value is wrong, or does not fit the function or this runtime.
        """
        whole = (policy or Policy()).replace(**parts)

        def wrap(wanted: Any) -> Any:
            return self._wrap(wanted, whole, name, secret, ignore)

        return wrap if function is None else wrap(function)

    @overload
    def readonly(self, function: F, /) -> Tool[F]: ...
    @overload
    def readonly(
        self,
        function: None = None,
        /,
        *,
        ttl: float | timedelta | None = 300.0,
        **options: Unpack[ToolOptions],
    ) -> Decorator: ...

    def readonly(
        self,
        function: Any = None,
        /,
        *,
        ttl: float | timedelta | None = 300.0,
        policy: Policy | None = None,
        name: str | None = None,
        secret: Sequence[str] = (),
        ignore: Sequence[str] = (),
        **parts: Unpack[PolicyParts],
    ) -> Any:
        """Put a function without side effects under cache, coalescing and retry.

        Args:
            function: The function, if the decorator is used without arguments.
            ttl: Seconds that results are fresh; use ``cache=`` for more options. Default 300.
            policy: A policy whose parts override the preset. None: no other policy.
            name: As in :meth:`tool`.
            secret: As in :meth:`tool`.
            ignore: As in :meth:`tool`.
            parts: As in :meth:`tool`; they override the preset.

        Raises:
            ConfigurationError: As in :meth:`tool`.
        """
        preset: PolicyParts = {"cache": Cache(ttl=ttl), "retry": Retry(), "coalesce": True}
        whole = Policy(**preset) | (policy or _NO_POLICY)
        if parts.get("semantic") or whole.semantic is not None:
            # The preset coalesces; with a semantic policy it does so by meaning.
            whole = whole.replace(coalesce=None if policy is None else policy.coalesce)
        whole = whole.replace(**parts)
        decorate = self.tool(policy=whole, name=name, secret=secret, ignore=ignore)
        return decorate if function is None else decorate(function)

    @overload
    def sideeffect(self, function: F, /) -> Tool[F]: ...
    @overload
    def sideeffect(
        self,
        function: None = None,
        /,
        *,
        idempotent: bool = False,
        **options: Unpack[ToolOptions],
    ) -> Decorator: ...

    def sideeffect(
        self,
        function: Any = None,
        /,
        *,
        idempotent: bool = False,
        policy: Policy | None = None,
        name: str | None = None,
        secret: Sequence[str] = (),
        ignore: Sequence[str] = (),
        **parts: Unpack[PolicyParts],
    ) -> Any:
        """Put a function with side effects under a policy without cache and coalescing.

        Args:
            function: The function, if the decorator is used without arguments.
            idempotent: Whether two calls have the same effect as one. Only then is the function
                retried (by default with ``Retry()``) or hedged. Default False.
            policy: The policy to start from. None: an empty one.
            name: As in :meth:`tool`.
            secret: As in :meth:`tool`.
            ignore: As in :meth:`tool`.
            parts: As in :meth:`tool`, without ``cache``, ``semantic`` and ``coalesce``.

        Raises:
            ConfigurationError: As in :meth:`tool`; or a part of the policy would drop or repeat
                calls.
        """
        whole = (policy or _NO_POLICY).replace(**parts)
        for option in ("cache", "semantic", "coalesce"):
            if getattr(whole, option):
                raise ConfigurationError(option, "would drop calls with side effects; leave it out")
        for option in ("retry", "hedge"):
            if getattr(whole, option) is not None and not idempotent:
                raise ConfigurationError(
                    option, "would repeat side effects; set idempotent=True if that is harmless"
                )
        if idempotent and whole.retry is None and "retry" not in parts:
            whole = whole.replace(retry=Retry())
        whole = whole.replace(coalesce=False)
        decorate = self.tool(policy=whole, name=name, secret=secret, ignore=ignore)
        return decorate if function is None else decorate(function)

    def _wrap(
        self,
        wanted: Any,
        policy: Policy,
        name: str | None,
        secret: Sequence[str],
        ignore: Sequence[str],
    ) -> Any:
        if isinstance(wanted, classmethod | staticmethod):
            found = self._wrap(wanted.__func__, policy, name, secret, ignore)
            if isinstance(wanted, MethodTool):
                return found
            function = found.__func__ if isinstance(found, MethodTool) else found
            kind = ClassMethodTool if type(wanted) is classmethod else type(wanted)
            return kind(function)
        target = resolve(wanted)
        plans: list[Plan] = []

        def make(target: Target) -> Callable[..., Any]:
            # A second plan for one function shares the name of the first, even for a closure.
            label = plans[0].name if plans else name
            plan = self._planner.plan(target, policy, name=label, secret=secret, ignore=ignore)
            plans.append(plan)
            return make_wrapper(plan, target, self._threads, self._on_loop)

        wrapper: Any = wrap_hidden_coroutine(target, make) if target.hidden else make(target)
        plan = plans[0]
        copy_metadata(wrapper, wanted)
        bound_args, bound_kwargs = target.args, target.kwargs

        def digest(*args: Any, **kwargs: Any) -> bytes:
            if plan.keyer is None:
                raise ConfigurationError("cache", f"{plan.name} stores no results and has no key")
            return plan.keyer.key((*bound_args, *args), {**bound_kwargs, **kwargs})

        def key(*args: Any, **kwargs: Any) -> str:
            return digest(*args, **kwargs).hex()

        def invalidate(*args: Any, **kwargs: Any) -> None:
            self.invalidate(keys=[digest(*args, **kwargs)])

        async def ainvalidate(*args: Any, **kwargs: Any) -> None:
            all_args, all_kwargs = (*bound_args, *args), {**bound_kwargs, **kwargs}
            found = plan.keyer and plan.keyer.key(all_args, all_kwargs, large=False)
            if not found:  # the arguments are large; or there is no key, and digest() raises
                make = partial(digest, *args, **kwargs)
                found = await self._on_loop().run_in_thread(make)
            await self.ainvalidate(keys=[found])

        def explain(*args: Any, **kwargs: Any) -> Explanation:
            flow = explain_call(plan, (*bound_args, *args), {**bound_kwargs, **kwargs})
            return self._threads.run(flow)

        async def aexplain(*args: Any, **kwargs: Any) -> Explanation:
            all_args, all_kwargs = (*bound_args, *args), {**bound_kwargs, **kwargs}
            if is_large_call(plan, all_args, all_kwargs):
                return await self._on_loop().run_in_thread(partial(explain, *args, **kwargs))
            return await self._on_loop().run(explain_call(plan, all_args, all_kwargs))

        wrapper.name, wrapper.policy, wrapper.key = plan.name, policy, key
        wrapper.invalidate, wrapper.ainvalidate = invalidate, ainvalidate
        wrapper.explain, wrapper.aexplain = explain, aexplain
        wrapper.__toolops_plan__ = plan  # for adapters
        return MethodTool(wrapper) if target.method and not target.args else wrapper

    @overload
    def aside(
        self, function: Callable[..., Any], /, **options: Unpack[ToolOptions]
    ) -> CacheAside: ...
    @overload
    def aside(
        self, function: None = None, /, **options: Unpack[ToolOptions]
    ) -> Callable[[Callable[..., Any]], CacheAside]: ...

    def aside(
        self,
        function: Any = None,
        /,
        *,
        policy: Policy | None = None,
        name: str | None = None,
        secret: Sequence[str] = (),
        ignore: Sequence[str] = (),
        **parts: Unpack[PolicyParts],
    ) -> Any:
        """Return a cache with a lookup and a store, between which the caller makes the call.

        Args:
            function: The function whose parameters make up the key; it is never called. None:
                returns a decorator.
            policy: The policy to start from, with ``cache`` and perhaps ``semantic``, ``price`` and
                ``tags``. The policies for attempts do not apply, and stale answers are not served.
            name: As in :meth:`tool`.
            secret: As in :meth:`tool`.
            ignore: As in :meth:`tool`.
            parts: As in :meth:`tool`.

        Raises:
            ConfigurationError: As in :meth:`tool`; or the policy has no cache, or a part that needs
                the call itself.
        """
        from toolops_plugins.wrapping.cache_aside import (  # noqa: PLC0415 - rarely needed
            CacheAside,
            cache_aside_policy,
        )

        whole = cache_aside_policy((policy or _NO_POLICY).replace(**parts))

        def wrap(wanted: Callable[..., Any]) -> CacheAside:
            plan = self._planner.plan(
                resolve(wanted), whole, name=name, secret=secret, ignore=ignore
            )
            return CacheAside(plan, self._threads, self._on_loop)

        return wrap if function is None else wrap(function)
