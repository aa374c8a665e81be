"""Placeholders for classes whose packages are not installed; using them raises."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["SEMANTIC", "SemanticCache"]

SEMANTIC = 'the semantic cache needs more packages: pip install "toolops-plugins[semantic]"'
"""The error message of the semantic cache without its packages."""


class SemanticCache:
    """The placeholder for the semantic cache without its packages.

    Raises:
        ImportError: Always, with the command that installs the packages.
    """

    def __new__(cls, *_args: Any, **_options: Any) -> NoReturn:
        """Raise with the command that installs the packages."""
        raise ImportError(SEMANTIC)
