"""Griffe extension: links for the roles in docstrings, and signatures for frozen classes.

Docstrings name other objects by Sphinx roles, such as :meth:`call`. A target that has a place in
the reference becomes a link. Any other target must exist too: a role without one is a warning, and
fails the strict build.

Policies are dataclasses made by a decorator of ours, and events are named tuples or pydantic
models. Griffe knows none of these, so it is given their ``__init__``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import griffe

ROLE = re.compile(r":(?:mod|class|func|meth|attr|data|exc|obj):`(~?)([\w.]+)`")
EXAMPLE = re.compile(r"^(\s*)Example:$", re.MULTILINE)  # griffe knows the plural alone
ROOT = Path(__file__).resolve().parents[1]
LOGGER = griffe.get_logger("docstring_roles")


class DocstringRoles(griffe.Extension):
    """Rewrites every docstring of a package once it has been loaded."""

    def on_package(self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **_: Any) -> None:
        """Rewrite the docstrings of ``pkg`` and of everything in it."""
        seen: set[int] = set()
        self._rewrite(pkg, loader, seen)

    def _rewrite(self, item: Any, loader: griffe.GriffeLoader, seen: set[int]) -> None:
        if item.is_alias or id(item) in seen or not _is_ours(item):
            return
        seen.add(id(item))
        if item.is_class and _makes_its_init(item):
            _add_init(item)
        if item.docstring is not None:
            text = EXAMPLE.sub(r"\1Examples:", item.docstring.value)
            item.docstring.value = ROLE.sub(lambda match: self._link(match, item, loader), text)
        for member in list(item.members.values()):
            self._rewrite(member, loader, seen)

    def _link(self, match: re.Match[str], item: Any, loader: griffe.GriffeLoader) -> str:
        short, target = match.groups()
        label = target.rpartition(".")[2] if short else target
        path = _resolve(target, item, loader)
        if path is None:
            LOGGER.warning("%s: %s leads nowhere", item.canonical_path, match[0])
            return f"`{label}`"
        return f'<autoref identifier="{path}" optional><code>{label}</code></autoref>'


def _is_ours(item: Any) -> bool:
    """Return whether ``item`` is in this repository; LlamaIndex shares its namespace with us."""
    paths = item.filepath if isinstance(item.filepath, list) else [item.filepath]
    return any(
        path is not None and path.is_relative_to(ROOT) and "site-packages" not in path.parts
        for path in paths
    )


def _makes_its_init(item: griffe.Class) -> bool:
    documented = item.docstring is not None and "Args:" in item.docstring.value
    return documented and "__init__" not in item.members and "dataclass" not in item.labels


def _add_init(item: griffe.Class) -> None:
    fields = [
        griffe.Parameter(
            member.name,
            kind=griffe.ParameterKind.positional_or_keyword,
            annotation=member.annotation,
            default=member.value,
        )
        for member in item.members.values()
        if member.is_attribute and member.annotation is not None and "property" not in member.labels
    ]
    if fields:
        this = griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)
        parameters = griffe.Parameters(this, *fields)
        item.set_member("__init__", griffe.Function("__init__", parameters=parameters))


def _resolve(target: str, item: Any, loader: griffe.GriffeLoader) -> str | None:
    """Return the full path of what a role names, or None where there is no such thing."""
    scope = item
    while scope is not None:
        if found := _lookup(scope, target):
            return found
        scope = scope.parent
    first = target.partition(".")[0]
    if first in sys.stdlib_module_names:
        return target
    if first in loader.modules_collection:
        return _lookup(loader.modules_collection[first], target.partition(".")[2])
    return None


def _lookup(scope: Any, target: str) -> str | None:
    for name in filter(None, target.split(".")):
        try:
            scope = scope.members[name] if name in scope.members else scope.all_members[name]
            if scope.is_alias:
                scope = scope.final_target
        except (KeyError, griffe.AliasResolutionError, griffe.CyclicAliasError):
            return None
    return str(scope.canonical_path)
