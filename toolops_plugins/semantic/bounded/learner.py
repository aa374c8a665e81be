from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from toolops_plugins.semantic.bounded.budget import EXACT, NOTHING, Budget
from toolops_plugins.semantic.bounded.evidence import FEATURES, weigh
from toolops_plugins.semantic.bounded.gram import Gram
from toolops_plugins.semantic.bounded.groups import Groups, key_of
from toolops_plugins.semantic.bounded.logistic import Logistic
from toolops_plugins.semantic.bounded.risk import Risk, cell_of
from toolops_plugins.semantic.decision import Decision, Neighbour

_CAP = 4.0
_PREQ = False
_FIRST = 48
_EVERY = 32
_WINDOW = 4000
_AUDIT = 0.01
_AUDIT_SLOPE = 0.1
_SCOPE_DECAY = 0.5 ** (1 / 200)


class _Weighed:
    __slots__ = ("audited", "rate", "features", "key", "max_error", "ids", "risk", "rho", "scope", "theta", "z")

    def details(self) -> Mapping[str, float | int | bool | str]:
        return {"z": self.z, "risk": self.risk, "theta": self.theta, "rho": self.rho, "audited": self.audited}


class Bounded:
    def __init__(self, *, seed: int | None = None, vector_of: Callable[[str], Any] | None = None) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)
        self._vector_of = vector_of or (lambda _id: None)
        self._groups = Groups(self._vector_of)
        self._gram = Gram()
        self._budgets: dict[float, Budget] = {}
        self._features: list[Any] = []
        self._right: list[float] = []
        self._weights: list[float] = []
        self._zs: list[float] = []
        self._labels = 0
        self._model: Logistic | None = None
        self._risk: Risk | None = None
        self._records: dict[int, list[float]] = {}

    def _record(self, key: int) -> float:
        r = self._records.get(key)
        return r[0] / (r[1] + 1.0) if r else 0.0

    def decide(self, x: Any, neighbours: Sequence[Neighbour], *, max_error: float, scope: bytes, dry: bool = False) -> Decision:
        with self._lock:
            b = self._budgets.get(max_error)
            if b is None:
                b = self._budgets[max_error] = Budget(max_error)
            e = _Weighed()
            e.max_error = max_error
            e.audited = False
            e.z = e.risk = 0.0
            e.theta = b.theta_score
            e.rho = b.rho
            c = weigh(x, neighbours, self._groups, self._gram)
            if c is None:
                b.push(NOTHING, self._risk)
                return Decision("bounded", None, False, 0.0, "nothing_near", e)
            e.key = c.key
            e.scope = key_of(scope)
            c.features[8] = self._record(c.key)
            c.features[9] = self._record(e.scope)
            e.features = c.features
            if self._model is None or self._risk is None:
                b.push(NOTHING, None)
                e.z=-math.inf
                return Decision("bounded", c.entry.id, False, c.entry.similarity, "cold", e)
            e.z = self._model.score(c.features)
            cell = cell_of(e.z)
            e.risk = float(self._risk.by_cell[cell])
            if c.entry.vetoed:
                b.push(NOTHING, self._risk)
                reason = "vetoed"
            else:
                b.push(cell, self._risk)
                if cell < b.theta:
                    reason = "too_risky"
                elif self._random.random() < (rate := _AUDIT + _AUDIT_SLOPE * e.risk / max(b.worst, 1e-9)):
                    e.rate = rate
                    reason = "audited"
                    e.audited = True
                else:
                    reason = "served"
            return Decision("bounded", c.entry.id, reason == "served", c.entry.similarity, reason, e)

    def learn(self, decision: Decision, agreeing: Collection[str]) -> None:
        e = decision.evidence
        if not isinstance(e, _Weighed) or decision.id is None:
            return
        with self._lock:
            right = float(decision.id in agreeing)
            if self._model is not None and math.isfinite(e.z):
                p = 1 - e.risk
                r = self._records.setdefault(self._groups.lead(e.key), [0.0, 0.0])
                r[0] += right - p
                r[1] += p * (1 - p)
                r = self._records.setdefault(e.scope, [0.0, 0.0])
                r[0] = r[0] * _SCOPE_DECAY + right - p
                r[1] = r[1] * _SCOPE_DECAY + p * (1 - p)
                if e.risk < 0.5:
                    self._budgets[e.max_error].observe(e.risk, 1 - right)
            self._features.append(e.features)
            self._right.append(right)
            self._weights.append(min(_CAP, 1/e.rate) if e.audited else 1.0)
            self._zs.append(e.z)
            self._labels += 1
            self._gram.refresh()
            if self._labels >= _FIRST and (self._labels - _FIRST) % _EVERY == 0:
                self._fit()

    def _fit(self) -> None:
        del self._features[:-_WINDOW], self._right[:-_WINDOW], self._weights[:-_WINDOW], self._zs[:-_WINDOW]
        right = np.array(self._right)
        self._model = Logistic(np.array(self._features), right, np.array(self._weights), None if self._model is None else self._model.weights)
        z = self._model.held_out
        if _PREQ:
            zs = np.array(self._zs); z = np.where(np.isfinite(zs), zs, z)
        self._risk = Risk(z, 1 - right)

    def redundant(self, decision: Decision, agreeing: Collection[str]) -> bool:
        return decision.id is not None and decision.id in agreeing and decision.similarity > 0.995

    def exact(self, max_error: float, count: int = 1) -> None:
        with self._lock:
            b = self._budgets.get(max_error)
            if b is None:
                b = self._budgets[max_error] = Budget(max_error)
            b.push_exact(count)

    def add(self, id: str, x: Any, answer: bytes, scope: bytes, agreeing: Collection[str] = ()) -> None:
        with self._lock:
            key = key_of(scope, answer)
            if self._groups.add(id, x, key):
                self._gram.add(x)
            for a in agreeing:
                k = self._groups.key(a)
                if k is not None:
                    self._groups.join(key, k)

    def remove(self, id: str, x: Any = None) -> None:
        with self._lock:
            if x is None: x = self._vector_of(id)
            if self._groups.remove(id, x):
                self._gram.remove(x)
