"""Stand-ins for classes whose packages are not installed: they import, and say so when used."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["SEMANTIC", "SemanticCache"]

SEMANTIC = 'the semantic cache needs more packages: pip install "toolops-plugins[semantic]"'
"""The sentence for whoever asks for the semantic cache without its packages."""


class SemanticCache:
    """The semantic cache, without the packages that it needs.

    Raises:
        ImportError: Always; it names the command that installs them.
    """

    def __new__(cls, *_args: Any, **_options: Any) -> NoReturn:
        """Say what is missing."""
        raise ImportError(SEMANTIC)
