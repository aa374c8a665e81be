"""The evidence of a decision of the bounded policy."""

from __future__ import annotations

from collections.abc import Mapping

from toolops_plugins.semantic.bounded.budget import NOTHING, Budget
from toolops_plugins.semantic.bounded.evidence import FEATURES
from toolops_plugins.semantic.bounded.logistic import Floats

__all__ = ["LearnerEvidence"]


class LearnerEvidence:
    """The evidence of a decision, with the state to learn from it."""

    __slots__ = (
        "allowed",
        "audited",
        "basis",
        "cell",
        "features",
        "key",
        "labels_missing",
        "max_error",
        "rho",
        "risk",
        "scope",
        "spent",
        "theta",
        "z",
    )

    def __init__(self, budget: Budget, labels_missing: int) -> None:
        self.max_error = budget.max_error
        self.labels_missing = labels_missing
        self.basis = ""
        self.theta = budget.least_score
        self.rho = budget.rho
        self.spent = budget.account.spent
        self.allowed = budget.account.allowed
        self.audited = False
        self.features: Floats | None = None
        self.cell = NOTHING
        self.key = 0
        self.scope = 0
        self.z: float | None = None
        self.risk = 1.0

    def details(self) -> Mapping[str, float | int | bool | str]:
        """Return bound, features, score, risk, threshold, brake and account by name."""
        details: dict[str, float | int | bool | str] = {"max_error": self.max_error}
        if self.features is not None:
            details.update(zip(FEATURES, self.features.tolist(), strict=True))
        if self.z is not None:
            details["z"] = self.z
        details["risk"] = self.risk
        details["theta"] = self.theta
        details["rho"] = self.rho
        details["spent"] = self.spent
        details["allowed"] = self.allowed
        details["audited"] = self.audited
        if self.basis:
            details["basis"] = self.basis
        if self.labels_missing:
            details["labels_missing"] = self.labels_missing
        return details
