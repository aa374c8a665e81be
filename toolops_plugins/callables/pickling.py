"""Pickle runtimes and wrapped functions by what they are made of, for other processes.

A runtime is threads, connections and memory, which belong to a process. So its pickle says where
another process finds the same one: one that comes from the environment by that; one that stands in
a module by its name there; any other by its configuration: a runtime of the other process that is
configured alike is taken, or a new one is made. What is in memory, sinks and figures stay where
they are. A secret or a password is never put into a pickle.

A wrapped function of a module is pickled by its name, as all functions are. Where packages such as
cloudpickle take one by value (Ray, Dask, joblib: what was written in ``__main__``), its plan is
made anew from function and policy, in the runtime that was found.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from importlib import import_module
from operator import methodcaller
from typing import Any, Final, NamedTuple

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import ConfigurationError

__all__ = [
    "Configuration",
    "Origin",
    "RuntimeLocation",
    "RuntimePart",
    "find_runtime",
    "locate_runtime",
    "owner_of",
]

_DEFAULT: Final = "toolops_plugins.default_runtime"
_UNNAMED: Final = ("__main__", "__mp_main__", _DEFAULT)
_WAY_OUT: Final = (
    "keep the runtime in a module that both processes import, or make it with ToolOps.from_env()"
)
_PROTOCOL: Final = 4
_MOST: Final = 64
"""Runtimes that were made here for what came from elsewhere, and are kept."""


class Origin(NamedTuple):
    """What a plan was made of.

    Args:
        runtime: Returns the runtime, or None.
        target: The function taken apart.
        secret: Parameters that are secret.
        ignore: Parameters that do not count.
        key_name: The name in its keys.
        find: Returns what is added to that name when the first key is made; None: nothing.
    """

    runtime: Callable[[], Any]
    target: Any
    secret: tuple[str, ...]
    ignore: tuple[str, ...]
    key_name: str
    find: Callable[[], str] | None = None


class Configuration(NamedTuple):
    """What a runtime was made of.

    Args:
        options: Its arguments, but for those that stay in this process.
        obstacle: What of it must not, or cannot, be in a pickle; "" if nothing.
        from_environment: Whether it comes from environment variables alone.
    """

    options: Mapping[str, Any]
    obstacle: str = ""
    from_environment: bool = False

    @property
    def shape(self) -> tuple[str, tuple[str, ...]]:
        """Namespace and classes of the tiers."""
        options = self.options
        return options["namespace"], tuple(type(tier).__name__ for tier in options["tiers"])


class RuntimeLocation(NamedTuple):
    """Where another process finds a runtime.

    Args:
        token: Tells it from all others: the same process, or one that was forked, has itself.
        kind: Its class.
        name: Module and attribute where it stands, or None.
        environment: "default", "own" if it comes from the environment too, or "".
        shape: See :attr:`Configuration.shape`.
        options: Its arguments, or None where they are not to be pickled.
        registered: Types that its codec and keys know, pickled one by one.
        problem: Why there are no arguments.
    """

    token: bytes
    kind: Any
    name: tuple[str, str] | None
    environment: str
    shape: tuple[str, tuple[str, ...]]
    options: dict[str, Any] | None
    registered: tuple[bytes, ...]
    problem: str


class _Variable(NamedTuple):
    """A context variable, by the name that it has in a module."""

    module: str
    attribute: str


_tokens: weakref.WeakKeyDictionary[Any, bytes] = weakref.WeakKeyDictionary()
_made: OrderedDict[bytes, Any] = OrderedDict()
_lock = fork_safe(sys.modules[__name__], threading.RLock())


class RuntimePart:
    """A part of a runtime, which is pickled as that part of it."""

    owner: Callable[[], Any] = staticmethod(lambda: None)
    """Returns the runtime, or None."""
    part: str
    """The name of the runtime's method that returns it."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return methodcaller(self.part), (owner_of(self.owner),)


def owner_of(owner: Callable[[], Any]) -> Any:
    """Return the runtime that something belongs to.

    Raises:
        TypeError: It is gone, or there never was one.
    """
    runtime = owner()
    if runtime is None:
        raise TypeError("what belongs to no runtime cannot be pickled")
    return runtime


def locate_runtime(runtime: Any, configuration: Configuration) -> RuntimeLocation:
    """Return where another process finds a runtime.

    Raises:
        TypeError: Nowhere, and it says what to do about that.
    """
    with _lock:
        token = _tokens.setdefault(runtime, os.urandom(16))
    name = _name_of(runtime)
    environment = ""
    if configuration.from_environment:
        default = getattr(sys.modules.get(_DEFAULT), "_runtime", None)
        environment = "default" if default is runtime else "own"
    options: dict[str, Any] | None = None
    problem = ""
    if not environment:
        try:
            options = _picklable_options(configuration)
        except TypeError as error:
            problem = str(error)
            if name is None:
                raise TypeError(f"{runtime!r} cannot be pickled: {problem}; {_WAY_OUT}") from None
    registered = () if options is None else tuple(_registrations(runtime))
    shape = configuration.shape
    return RuntimeLocation(
        token, type(runtime), name, environment, shape, options, registered, problem
    )


def _picklable_options(configuration: Configuration) -> dict[str, Any]:
    """Return the arguments of a runtime as they are pickled."""
    if configuration.obstacle:
        raise TypeError(configuration.obstacle)
    options = dict(configuration.options)
    tenant = options["tenant"]
    if isinstance(tenant, ContextVar):
        name = _name_of(tenant)
        if name is None:
            raise TypeError("its tenant is a context variable that stands in no module")
        options["tenant"] = _Variable(*name)
    _reduced_forms(options["tiers"])  # of which one may have a password
    return options


def _reduced_forms(tiers: Iterable[Any]) -> list[Any]:
    return [tier.__reduce_ex__(_PROTOCOL) for tier in tiers]


def _registrations(runtime: Any) -> Iterable[bytes]:
    """Yield what was registered, each by itself: what cannot be pickled is not known elsewhere."""
    import pickle  # noqa: PLC0415 - rarely needed

    cloudpickle: Any = sys.modules.get("cloudpickle")  # takes classes of __main__ by value
    dumps = pickle.dumps if cloudpickle is None else cloudpickle.dumps
    given: list[tuple[Any, ...]] = []
    given += [("codec", "register", *each) for each in runtime.codec.registrations.values()]
    given += [("codec", "register_error", each, {}) for each in runtime.codec.error_registrations()]
    given += [("canon", "register", each, {}) for each in runtime.canon.registrations()]
    for each in given:
        with suppress(Exception):  # a local class or function
            yield dumps(each)


def _name_of(value: Any) -> tuple[str, str] | None:
    """Return module and attribute where a value stands, if another process can import them."""
    for name, module in list(sys.modules.items()):
        if name in _UNNAMED:
            continue
        for attribute, held in list(getattr(module, "__dict__", {}).items()):
            if held is value:
                return name, attribute
    return None


def find_runtime(place: RuntimeLocation, runtimes: Iterable[tuple[Any, Configuration]]) -> Any:
    """Return the runtime of a place: one that is there, or a new one.

    Args:
        place: The place.
        runtimes: All that are alive in this process.

    Raises:
        ConfigurationError: The environment of this process asks for another one.
        ImportError: The runtime's module is not here, and its configuration was not pickled.
    """
    alive = list(runtimes)
    with _lock:
        for runtime, _ in alive:
            if _tokens.get(runtime) == place.token:
                return runtime
        known = _made.get(place.token)
        if known is None:
            known = _made[place.token] = _locate_or_make(place, alive)
            if len(_made) > _MOST:
                _made.popitem(last=False)
        return known


def _locate_or_make(place: RuntimeLocation, alive: list[tuple[Any, Configuration]]) -> Any:
    import pickle  # noqa: PLC0415 - rarely needed

    if place.name is not None:
        try:
            named = getattr(import_module(place.name[0]), place.name[1])
        except (ImportError, AttributeError) as error:
            if place.options is None and not place.environment:
                raise ImportError(
                    f"the runtime {'.'.join(place.name)} is not in this process, and its "
                    f"configuration was not pickled, since {place.problem}; {_WAY_OUT}"
                ) from error
        else:
            if isinstance(named, place.kind):
                return named
    if place.environment:
        return _runtime_from_environment(place, alive)
    options = dict(place.options or {})
    tenant = options["tenant"]
    if type(tenant) is _Variable:
        options["tenant"] = getattr(import_module(tenant.module), tenant.attribute)
    for runtime, configuration in alive:
        if type(runtime) is place.kind and _is_alike(configuration, options):
            break
    else:
        runtime = place.kind(**options)
    for data in place.registered:
        with suppress(Exception):  # it is known here already, or its module is not here
            where, method, given, named = pickle.loads(data)  # noqa: S301 - as what holds it
            getattr(getattr(runtime, where), method)(*given, **named)
    return runtime


def _runtime_from_environment(
    place: RuntimeLocation, alive: list[tuple[Any, Configuration]]
) -> Any:
    if place.environment == "default":
        runtime = import_module(_DEFAULT).get_default()
    else:
        known = [r for r, c in alive if c.from_environment and type(r) is place.kind]
        runtime = known[0] if known else place.kind.from_env()
    shape = (runtime.namespace, place.shape[1])
    for other, configuration in alive:
        if other is runtime:
            shape = configuration.shape
    if shape != place.shape:
        raise ConfigurationError(
            "environment",
            f"asks for {shape} in this process, and for {place.shape} where this was pickled; set "
            "the same TOOLOPS_ variables for both",
        )
    return runtime


def _is_alike(configuration: Configuration, options: Mapping[str, Any]) -> bool:
    """Return whether a runtime is configured as another one was."""
    own = configuration.options
    if configuration.obstacle or own.keys() != options.keys():
        return False
    with suppress(TypeError):
        return _reduced_forms(own["tiers"]) == _reduced_forms(options["tiers"]) and all(
            own[name] == options[name] for name in own if name != "tiers"
        )
    return False
