"""Pickle runtimes and wrapped functions for other processes.

A runtime consists of threads, connections and memory, which belong to one process. So its pickle
says how another process finds the same runtime: from the environment, if it comes from there; by
the name of a variable in a module; otherwise by its configuration, for which an equal runtime of
the other process is used or a new one made. Memory, sinks and statistics are not pickled, and
secrets and passwords never.

A wrapped function of a module is pickled by its name, as all functions are. Packages such as
cloudpickle pickle functions of ``__main__`` by value (Ray, Dask, joblib); then the plan is made
anew from function and policy, in the runtime that was found.
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
"""The maximum number of runtimes that are kept for unpickled objects."""


class Origin(NamedTuple):
    """The arguments from which a plan was made.

    Args:
        runtime: Returns the runtime, or None.
        target: The target.
        secret: Parameters that are secret.
        ignore: Parameters that do not count in the key.
        key_name: The tool's name in its keys.
        find: Returns a suffix of that name when the first key is made. None: no suffix.
    """

    runtime: Callable[[], Any]
    target: Any
    secret: tuple[str, ...]
    ignore: tuple[str, ...]
    key_name: str
    find: Callable[[], str] | None = None


class Configuration(NamedTuple):
    """The arguments from which a runtime was made.

    Args:
        options: The arguments, without those that stay in this process.
        obstacle: The reason why it cannot be pickled; "" if it can.
        from_environment: Whether it was made from environment variables alone. Default False.
    """

    options: Mapping[str, Any]
    obstacle: str = ""
    from_environment: bool = False

    @property
    def shape(self) -> tuple[str, tuple[str, ...]]:
        """The namespace, and the names of the tiers' classes."""
        options = self.options
        return options["namespace"], tuple(type(tier).__name__ for tier in options["tiers"])


class RuntimeLocation(NamedTuple):
    """The ways in which another process can find a runtime.

    Args:
        token: Identifies the runtime in this process and in its forked children.
        kind: Its class.
        name: The module and attribute that hold it, or None.
        environment: "default" for the default runtime from the environment, "own" for another one
            from there, or "".
        shape: See :attr:`Configuration.shape`.
        options: Its arguments, or None if they are not pickled.
        registrations: The types registered with its codec and keys, pickled one by one.
        problem: The reason why there are no arguments.
    """

    token: bytes
    kind: Any
    name: tuple[str, str] | None
    environment: str
    shape: tuple[str, tuple[str, ...]]
    options: dict[str, Any] | None
    registrations: tuple[bytes, ...]
    problem: str


class _Variable(NamedTuple):
    """A context variable, by its module and attribute."""

    module: str
    attribute: str


_tokens: weakref.WeakKeyDictionary[Any, bytes] = weakref.WeakKeyDictionary()
_made: OrderedDict[bytes, Any] = OrderedDict()
_lock = fork_safe(sys.modules[__name__], threading.RLock())


class RuntimePart:
    """A part of a runtime that is pickled as a reference to the runtime's part."""

    owner: Callable[[], Any] = staticmethod(lambda: None)
    """Returns the runtime, or None."""
    part: str
    """The name of the runtime's method that returns this part."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return methodcaller(self.part), (owner_of(self.owner),)


def owner_of(owner: Callable[[], Any]) -> Any:
    """Return the runtime of a plan or part.

    Raises:
        TypeError: It has none, or it was garbage collected.
    """
    runtime = owner()
    if runtime is None:
        raise TypeError("a plan or driver without a runtime cannot be pickled")
    return runtime


def locate_runtime(runtime: Any, configuration: Configuration) -> RuntimeLocation:
    """Return the location of a runtime for another process.

    Raises:
        TypeError: It cannot be pickled; the message says what to do.
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
    registrations = () if options is None else tuple(_registrations(runtime))
    shape = configuration.shape
    return RuntimeLocation(
        token, type(runtime), name, environment, shape, options, registrations, problem
    )


def _picklable_options(configuration: Configuration) -> dict[str, Any]:
    """Return the arguments of a runtime in the form that is pickled."""
    if configuration.obstacle:
        raise TypeError(configuration.obstacle)
    options = dict(configuration.options)
    tenant = options["tenant"]
    if isinstance(tenant, ContextVar):
        name = _name_of(tenant)
        if name is None:
            raise TypeError("its tenant is a context variable that no module holds")
        options["tenant"] = _Variable(*name)
    _pickle_forms(options["tiers"])  # raises if a tier has a password
    ledger = options.get("ledger")
    if ledger and not isinstance(ledger, str):
        _pickle_forms([ledger])  # raises likewise
    return options


def _pickle_forms(tiers: Iterable[Any]) -> list[Any]:
    return [tier.__reduce_ex__(_PROTOCOL) for tier in tiers]


def _registrations(runtime: Any) -> Iterable[bytes]:
    """Yield the registrations that can be pickled, one by one."""
    import pickle  # noqa: PLC0415 - rarely needed

    cloudpickle: Any = sys.modules.get("cloudpickle")  # pickles classes of __main__ by value
    dumps = pickle.dumps if cloudpickle is None else cloudpickle.dumps
    registrations: list[tuple[Any, ...]] = []
    registrations += [("codec", "register", *each) for each in runtime.codec.registrations.values()]
    registrations += [
        ("codec", "register_error", each, {}) for each in runtime.codec.error_registrations()
    ]
    registrations += [("canon", "register", each, {}) for each in runtime.canon.registrations()]
    for each in registrations:
        with suppress(Exception):  # a local class or function
            yield dumps(each)


def _name_of(value: Any) -> tuple[str, str] | None:
    """Return the module and attribute that hold a value, if another process can import them."""
    for name, module in list(sys.modules.items()):
        if name in _UNNAMED:
            continue
        for attribute, held in list(getattr(module, "__dict__", {}).items()):
            if held is value:
                return name, attribute
    return None


def find_runtime(location: RuntimeLocation, runtimes: Iterable[tuple[Any, Configuration]]) -> Any:
    """Return the runtime of a location: an existing one, or a new one.

    Args:
        location: The location.
        runtimes: All runtimes of this process, with their configurations.

    Raises:
        ConfigurationError: The environment of this process configures a different runtime.
        ImportError: The runtime's module is missing, and its configuration was not pickled.
    """
    alive = list(runtimes)
    with _lock:
        for runtime, _ in alive:
            if _tokens.get(runtime) == location.token:
                return runtime
        known = _made.get(location.token)
        if known is None:
            known = _made[location.token] = _import_or_make(location, alive)
            if len(_made) > _MOST:
                _made.popitem(last=False)
        return known


def _import_or_make(location: RuntimeLocation, alive: list[tuple[Any, Configuration]]) -> Any:
    import pickle  # noqa: PLC0415 - rarely needed

    if location.name is not None:
        try:
            named = getattr(import_module(location.name[0]), location.name[1])
        except (ImportError, AttributeError) as error:
            if location.options is None and not location.environment:
                raise ImportError(
                    f"the runtime {'.'.join(location.name)} is not in this process, and its "
                    f"configuration was not pickled, since {location.problem}; {_WAY_OUT}"
                ) from error
        else:
            if isinstance(named, location.kind):
                return named
    if location.environment:
        return _runtime_from_environment(location, alive)
    options = dict(location.options or {})
    tenant = options["tenant"]
    if type(tenant) is _Variable:
        options["tenant"] = getattr(import_module(tenant.module), tenant.attribute)
    for runtime, configuration in alive:
        if type(runtime) is location.kind and _is_alike(configuration, options):
            break
    else:
        runtime = location.kind(**options)
    for data in location.registrations:
        with suppress(Exception):  # it is registered already, or its module is missing
            part, method, args, kwargs = pickle.loads(data)  # noqa: S301 - part of a pickle that is being loaded
            getattr(getattr(runtime, part), method)(*args, **kwargs)
    return runtime


def _runtime_from_environment(
    location: RuntimeLocation, alive: list[tuple[Any, Configuration]]
) -> Any:
    if location.environment == "default":
        runtime = import_module(_DEFAULT).get_default()
    else:
        known = [r for r, c in alive if c.from_environment and type(r) is location.kind]
        runtime = known[0] if known else location.kind.from_env()
    shape = (runtime.namespace, location.shape[1])
    for other, configuration in alive:
        if other is runtime:
            shape = configuration.shape
    if shape != location.shape:
        raise ConfigurationError(
            "environment",
            f"asks for {shape} in this process, and for {location.shape} where this was pickled; "
            "set the same TOOLOPS_ variables for both",
        )
    return runtime


def _is_alike(configuration: Configuration, options: Mapping[str, Any]) -> bool:
    """Return whether a runtime has the configuration of the pickled one."""
    own = configuration.options
    if configuration.obstacle or own.keys() != options.keys():
        return False
    with suppress(TypeError):
        return _pickle_forms(own["tiers"]) == _pickle_forms(options["tiers"]) and all(
            own[name] == options[name] for name in own if name != "tiers"
        )
    return False
