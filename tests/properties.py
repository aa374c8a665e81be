"""The number of examples of a property test, as a share of what the profile asks for."""

from __future__ import annotations

from hypothesis import settings

__all__ = ["examples"]


def examples(share: float, **options: int) -> settings:
    """Return settings with a share of the examples of the profile, 100 unless it is "soak".

    Args:
        share: The share; an expensive test has a small one in `make test`, and grows with
            `make soak` like all others.
        options: Further settings.
    """
    return settings(max_examples=max(1, int(settings.default.max_examples * share)), **options)
