"""Tags of calls, made from the templates or the callable of a cache policy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from toolops_plugins.errors import ConfigurationError
from toolops_plugins.keys.keyer import Keyer
from toolops_plugins.keys.signature import is_secret_name
from toolops_plugins.policy import TagsLike

__all__ = ["Tagger"]


class Tagger:
    """Makes the tags of one function's calls. Thread-safe.

    Args:
        tags: Tags in which ``{name}`` stands for an argument, or a callable over the arguments.
        keyer: The keyer of the function, which knows its arguments.
        secret: Parameters that must not appear in a tag. Default none.

    Raises:
        ConfigurationError: A template is malformed, or names a secret or an unknown parameter.
    """

    def __init__(self, tags: TagsLike, keyer: Keyer, secret: Iterable[str] = ()) -> None:
        self._keyer = keyer
        self._make = tags if callable(tags) else None
        self.fixed: tuple[str, ...] | None = None
        self._templates: tuple[str, ...] = ()
        if callable(tags):
            return
        parameters = keyer.signature.parameters
        for template in tags:
            for name in _names_in(template):
                if name not in parameters:
                    raise ConfigurationError(
                        "tags", f"{template!r} names {name!r}, which is no parameter"
                    )
                if name in set(secret) or is_secret_name(name):
                    raise ConfigurationError(
                        "tags", f"{template!r} would show the secret parameter {name!r}"
                    )
        if any("{" in template or "}" in template for template in tags):
            self._templates = tuple(tags)
        else:
            self.fixed = tuple(sorted(set(tags)))

    def tags(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the tags of a call, sorted and without repetition.

        Raises:
            TypeError: The arguments do not fit the signature.
        """
        if self.fixed is not None:
            return self.fixed
        if self._make is not None:
            return tuple(sorted({str(tag) for tag in self._make(*args, **kwargs)}))
        arguments = self._keyer.arguments(args, kwargs)
        return tuple(sorted({template.format_map(arguments) for template in self._templates}))


def _names_in(template: str) -> set[str]:
    # string.Formatter imports nothing heavy, yet its errors name neither option nor template.
    from string import Formatter  # noqa: PLC0415 - needed at decoration only

    try:
        fields = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise ConfigurationError("tags", f"{template!r} is no template: {error}") from None
    return {re.split(r"[.\[]", name, maxsplit=1)[0] for name in fields}
