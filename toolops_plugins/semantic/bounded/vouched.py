"""Questions for which the guards vouch word by word, and the share of wrong ones among them."""

from __future__ import annotations

from math import log
from typing import Final

from toolops_plugins.semantic.bounded.budget import RISK_OF_VOUCHED
from toolops_plugins.semantic.bounded.evidence import FEATURES
from toolops_plugins.semantic.bounded.labels import Labels
from toolops_plugins.semantic.bounded.logistic import Floats

__all__ = ["is_vouched", "risk_of_vouched"]

_NEAR: Final = -log(1.02 - 0.9)  # nearness of a question with a similarity of 0.9
_MOST: Final = 0.5  # share of the group's votes that are of vouched entries
_PRIOR: Final = 0.5  # wrong labels that are assumed before there are any
_NEARNESS: Final = FEATURES.index("nearness")
_SHARE: Final = FEATURES.index("vouched")


def is_vouched(features: Floats) -> bool:
    """Return whether the guards vouch for the candidate with these features."""
    return bool(features[_SHARE] >= _MOST and features[_NEARNESS] >= _NEAR)


def risk_of_vouched(labels: Labels) -> float:
    """Return an upper estimate of the share of wrong candidates among vouched ones."""
    features = labels.features
    vouched = (features[:, _SHARE] >= _MOST) & (features[:, _NEARNESS] >= _NEAR)
    wrong = float((vouched & ~labels.right).sum())
    return (wrong + _PRIOR) / (float(vouched.sum()) + _PRIOR / RISK_OF_VOUCHED)
