"""Tools that are behind a policy by their class: the user writes ``_run``, and what he asks of it.

What is guarded is the innermost step, ``_run`` and ``_arun``, since CrewAI calls it in many ways:
``run`` and ``arun``, the structured tool of models that write their calls, and the threads of those
that call functions. All around it remains CrewAI's own: validation, limits of usage, hooks, events.
"""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections.abc import Callable, Sequence
from functools import cache, partial, wraps
from types import FunctionType
from typing import Any, ClassVar, Self

from crewai.tools import BaseTool
from crewai.tools.base_tool import Tool
from crewai.tools.structured_tool import CrewStructuredTool
from pydantic import BaseModel, PrivateAttr

from crewai_toolops._tool_failures import OnError, on_error_of
from crewai_toolops._tool_guard import CrewAIToolGuard, is_inside_call
from crewai_toolops._tool_guard_registry import FORM_OF, GUARDS, Settings, ToolGuards
from crewai_toolops._tool_identity import is_own
from toolops_plugins import Explanation, Policy, ToolOps
from toolops_plugins.adapters.internals import resolve
from toolops_plugins.adapters.options import policy_of, runtime_of, with_version
from toolops_plugins.errors import ConfigurationError

__all__ = ["WRAPPED", "ToolOpsMixin", "guard_function", "guards_of", "settings_of"]

WRAPPED = "__toolops_of__"
"""Where the class of wrapped tools says of which class they were."""
_OF_CLASS = "__toolops_guards__"
_SETTINGS = (
    "toolops_policy",
    "toolops_ops",
    "toolops_name",
    "toolops_version",
    "toolops_secret",
    "toolops_ignore",
    "toolops_on_error",
)


class ToolOpsMixin(BaseModel):
    """Puts the tools of a class behind a policy, before or after ``BaseTool`` among its bases.

    ::

        class Quote(ToolOpsMixin, BaseTool):
            name: str = "quote"
            description: str = "The price of a share."
            toolops_policy = Policy(cache=Cache(ttl=60), retry=Retry())

            def _run(self, ticker: str) -> str: ...

    The settings below belong to the class. They are written without annotation, or as ``ClassVar``;
    with any other annotation they would be fields, which is refused. They are read when the class
    is made. Without a policy calls are counted and nothing else: caching is opt-in, as CrewAI's is.

    Calls are equal where name, version and arguments are, defaults included, whether these came by
    position or by name. A tool with fields of its own is also told apart by its class and by them,
    and by what it has put beside them when it was made: by their values, or as themselves where
    they have no canonical form, such as clients. Secret ones count as all others, as part of a
    digest. Of private attributes (``PrivateAttr``) texts, truth values, fractions, paths and
    mappings count, where they are not the default of their class; others, such as a client, where a
    tool holds nothing else of its own. What a tool changes of itself while it runs does not count,
    nor what is changed within a value that it holds: set the attribute anew. A tool without
    anything of its own shares its results with tools of that
    name and version in other processes and in the adapters of other frameworks; in one runtime,
    those of another class are told apart. ``toolops_name`` has tools share whatever they hold.

    What a tool returns is kept if its ``cache_function`` agrees and it is no ``ToolFailure``;
    ``None`` is kept too. Each hit is a copy. What a tool calls on itself belongs to its own call.

    CrewAI counts a hit as a call: it uses up ``max_usage_count``, and an agent that gets the same
    result of the same call for the fifth time is stopped. So for a tool that is polled until
    something changes, keep results shorter than the interval (``Cache(ttl=...)``), or not at all.

    Safe to use from any threads and event loops at once, as far as the tool is.

    Attributes:
        toolops_policy: What is asked of calls. Default: nothing.
        toolops_ops: The runtime. None: the default one, at each call. Default None.
        toolops_name: The name in keys and statistics; tools that are given the same one share their
            results. None: the tool's own, and what is said above. Default None.
        toolops_version: Part of the key; change it when the tool's meaning changes. Default "1".
        toolops_secret: Arguments that are secret, beside those whose name says so. They count in
            the key, as part of its digest. Default none.
        toolops_ignore: Arguments and fields that do not count in the key. Default none.
        toolops_on_error: "failure": what the tool raises in the end, or a policy in its place
            (``CircuitOpen``, ``CallTimeout``, ...), is returned as a ``crewai.tools.ToolFailure``,
            since CrewAI runs a tool that raises up to six times for one call. "raise": it is
            raised. Default "failure".

    Raises:
        ConfigurationError: When the class is made: a setting is wrong, or a field.
    """

    toolops_policy: ClassVar[Policy] = Policy()
    toolops_ops: ClassVar[ToolOps | None] = None
    toolops_name: ClassVar[str | None] = None
    toolops_version: ClassVar[str] = "1"
    toolops_secret: ClassVar[Sequence[str]] = ()
    toolops_ignore: ClassVar[Sequence[str]] = ()
    toolops_on_error: ClassVar[OnError] = "failure"

    _toolops_guards: ToolGuards | None = PrivateAttr(default=None)
    _toolops_form: Any = PrivateAttr(default=None)

    def __init_subclass__(cls, **options: Any) -> None:
        if WRAPPED not in vars(cls):
            # The class of wrapped tools is no new kind of tool, of which CrewAI has to know.
            super().__init_subclass__(**options)
            if issubclass(cls, Tool | CrewStructuredTool):
                raise ConfigurationError(
                    cls.__name__, "runs a function, whatever _run() does: use wrap_tool()"
                )
        if issubclass(cls, BaseTool | CrewStructuredTool):
            _guard_methods(cls)

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        super().__pydantic_init_subclass__(**options)
        for name in _SETTINGS:
            if name in cls.model_fields:
                raise ConfigurationError(
                    name, "is a setting of the class: write it without annotation, or as ClassVar"
                )
        if issubclass(cls, BaseTool) and WRAPPED not in vars(cls):
            settings = settings_of(
                cls.toolops_ops,
                cls.toolops_policy,
                cls.toolops_name,
                cls.toolops_version,
                cls.toolops_secret,
                cls.toolops_ignore,
                cls.toolops_on_error,
            )
            setattr(cls, _OF_CLASS, _check_names(cls, ToolGuards(cls, settings)))

    def model_post_init(self, context: Any, /) -> None:
        """Go on to the tool's own; pydantic puts the making of private attributes here."""
        super().model_post_init(context)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if is_own(self, name) and not is_inside_call(self):
            _forget(self)

    def __copy__(self) -> Self:
        copied = super().__copy__()
        _renew(copied)
        return copied

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        copied = super().__deepcopy__(memo)
        _renew(copied)
        return copied

    @property
    def toolops_keeps(self) -> bool:
        """True if results are kept."""
        guards = guards_of(self)
        return guards is not None and guards.settings.policy.cache is not None

    def toolops_key(self, /, *args: Any, **kwargs: Any) -> str:
        """Return the key of a call, in hexadecimal.

        Args:
            args: Positional arguments, as ``run`` takes them.
            kwargs: Keyword arguments, as ``run`` takes them.

        Raises:
            ConfigurationError: Results of this tool are neither kept nor shared.
            TypeError: The arguments do not fit the tool.
            ValueError: They do not fit its schema.
        """
        return self._toolops_call(args, kwargs)[1]

    def toolops_invalidate(self, /, *args: Any, **kwargs: Any) -> None:
        """Forget the result of a call in every tier and every process.

        Args:
            args: As for :meth:`toolops_key`.
            kwargs: As for :meth:`toolops_key`.

        Raises:
            ConfigurationError: As for :meth:`toolops_key`.
            TypeError: As for :meth:`toolops_key`.
            ValueError: As for :meth:`toolops_key`.
        """
        guard, key = self._toolops_call(args, kwargs)
        guard.ops.invalidate(keys=[key])

    async def toolops_ainvalidate(self, /, *args: Any, **kwargs: Any) -> None:
        """As :meth:`toolops_invalidate`, without blocking the event loop."""
        guard, key = self._toolops_call(args, kwargs)
        await guard.ops.ainvalidate(keys=[key])

    def toolops_explain(self, /, *args: Any, **kwargs: Any) -> Explanation:
        """Return why a call would be a hit or a miss now; nothing is called, counted or stored.

        Args:
            args: As for :meth:`toolops_key`.
            kwargs: As for :meth:`toolops_key`.

        Raises:
            ConfigurationError: As for :meth:`toolops_key`; or the policy has no cache.
            TypeError: As for :meth:`toolops_key`.
            ValueError: As for :meth:`toolops_key`.
        """
        guard, arguments = self._toolops_arguments(args, kwargs)
        return guard.explain_call(arguments)

    async def toolops_aexplain(self, /, *args: Any, **kwargs: Any) -> Explanation:
        """As :meth:`toolops_explain`, without blocking the event loop."""
        guard, arguments = self._toolops_arguments(args, kwargs)
        return await guard.aexplain_call(arguments)

    def _toolops_call(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[CrewAIToolGuard, str]:
        guard, arguments = self._toolops_arguments(args, kwargs)
        return guard, guard.key_of(arguments)

    def _toolops_arguments(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[CrewAIToolGuard, dict[str, Any] | None]:
        guards = guards_of(self)
        if guards is None:
            raise ConfigurationError("tool", "was not made by wrap_tool()")
        tool: Any = self
        if not args:
            is_own = isinstance(tool, BaseTool)
            validate = tool._validate_kwargs if is_own else tool._parse_args  # noqa: SLF001 - as its run() does
            kwargs = validate(kwargs)
        guard, form = guards.of(self)
        return guard, guard.arguments(form, args, kwargs)


def guards_of(tool: Any) -> ToolGuards | None:
    """Return the guards of a tool; None where it was made by the class of a wrapped tool."""
    found: ToolGuards | None = (tool.__pydantic_private__ or {}).get(GUARDS)
    return found or getattr(type(tool), _OF_CLASS, None)


def settings_of(
    ops: Any,
    policy: Any,
    name: Any,
    version: str,
    secret: Any,
    ignore: Any,
    on_error: Any,
) -> Settings:
    """Return what was said about a tool.

    Raises:
        ConfigurationError: Some of it is wrong.
    """
    if ops is not None:
        runtime_of(ops)
    if name is not None and (not isinstance(name, str) or not name):
        raise ConfigurationError("name", f"must be a non-empty string or None, not {name!r}")
    for option, given in (("secret", secret), ("ignore", ignore)):
        if isinstance(given, str):
            raise ConfigurationError(option, f"must be a list of names, not {given!r}")
    whole = with_version(policy_of(policy), version)
    return Settings(ops, whole, name, tuple(secret), tuple(ignore), on_error_of(on_error))


def _check_names(kind: Any, guards: ToolGuards) -> ToolGuards:
    """Return the guards of a class, of which what was said names only what there is.

    Raises:
        ConfigurationError: An argument or a field is named that there is not.
    """
    arguments = guards.arguments()
    for option, names, fields in (
        ("toolops_secret", guards.settings.secret, ()),
        (
            "toolops_ignore",
            guards.settings.ignore,
            (*kind.model_fields, *kind.__private_attributes__),
        ),
    ):
        for name in names:
            if not arguments.takes(name) and name not in fields:
                raise ConfigurationError(option, f"names {name!r}, which {kind.__name__} lacks")
    return guards


def _forget(tool: Any) -> None:
    """Have a tool find out anew what it is, since it may hold other things."""
    private = getattr(tool, "__pydantic_private__", None)  # a tool may never have been made
    if private is not None:
        private[FORM_OF] = None


def _renew(tool: Any) -> None:
    """Make a copy of a tool a tool of its own."""
    _forget(tool)
    guard_function(tool)


def guard_function(tool: Any) -> None:
    """Guard the function that a wrapped tool runs; of tools that run none, nothing is guarded."""
    guards = guards_of(tool)
    function = None if guards is None else guards.function
    if guards is None or function is None:
        return
    guards_of_it, run = guards, function

    def call(*args: Any, **kwargs: Any) -> Any:
        guard, form = guards_of_it.of(tool)
        return guard.run(partial(run, *args, **kwargs), args, kwargs, tool, form)

    async def acall(*args: Any, **kwargs: Any) -> Any:
        guard, form = guards_of_it.of(tool)
        return await guard.arun(partial(run, *args, **kwargs), args, kwargs, tool, form)

    face: Any = acall if resolve(function).kind == "coroutine" else call
    # Not by setattr(), which might validate it.
    tool.__dict__["func"] = wraps(function)(face)


# -- methods -------------------------------------------------------------------------------------

_ours: weakref.WeakSet[Any] = weakref.WeakSet()
"""The methods that are guarded, which subclasses inherit as they are."""


def _guard_methods(kind: Any) -> None:
    """Guard the methods of a class by which its tools are run, inherited ones included."""
    if issubclass(kind, CrewStructuredTool):
        _put(kind, "ainvoke", _in_context)
        return
    _put(kind, "to_structured_tool", _contextual)
    if issubclass(kind, Tool):
        return  # its function is guarded
    for name in ("_run", "_arun"):
        method = inspect.getattr_static(kind, name)
        if method is vars(BaseTool)[name] or method in _ours:
            continue
        if not isinstance(method, FunctionType):
            raise ConfigurationError(name, f"of {kind.__name__} must be a plain method")
        if not getattr(method, "__isabstractmethod__", False):
            _put(kind, name, _async_method if inspect.iscoroutinefunction(method) else _sync_method)


def _put(kind: Any, name: str, wrap: Callable[[Any], Any]) -> None:
    method = getattr(kind, name)
    if method not in _ours:
        wrapped = wraps(method)(wrap(method))
        _ours.add(wrapped)
        setattr(kind, name, wrapped)


def _sync_method(method: Any) -> Any:
    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        guards = None if is_inside_call(self) else guards_of(self)
        body = partial(method, self, *args, **kwargs)
        if guards is None:
            return body()
        guard, form = guards.of(self)
        return guard.run(body, args, kwargs, self, form)

    return call


def _async_method(method: Any) -> Any:
    async def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        guards = None if is_inside_call(self) else guards_of(self)
        body = partial(method, self, *args, **kwargs)
        if guards is None:
            return await body()
        guard, form = guards.of(self)
        return await guard.arun(body, args, kwargs, self, form)

    return call


@cache
def _in_context_class() -> type[CrewStructuredTool]:
    """Return the class of structured tools that run in the context of whoever awaits them."""

    # Not made by the import, since pydantic takes its time.
    class InContext(CrewStructuredTool):
        pass

    _put(InContext, "ainvoke", _in_context)
    return InContext


def _contextual(method: Any) -> Any:
    def to_structured_tool(self: Any) -> CrewStructuredTool:
        made: CrewStructuredTool = method(self)
        if type(made) is CrewStructuredTool:
            object.__setattr__(made, "__class__", _in_context_class())
        return made

    return to_structured_tool


def _in_context(method: Any) -> Any:
    async def ainvoke(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if inspect.iscoroutinefunction(self.func):
            return await method(self, *args, **kwargs)
        # CrewAI's own thread would not know the tenant, nor await what an asynchronous tool gives.
        return await asyncio.to_thread(self.invoke, *args, **kwargs)

    return ainvoke
