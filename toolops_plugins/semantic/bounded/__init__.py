"""The bounded policy: serve as much as a bound on wrong answers allows, and learn from misses."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from toolops_plugins.semantic.decision import Decision, Neighbour

__all__ = ["Bounded"]


class _Weighed:
    __slots__ = ("audited", "feats", "ids", "max_error", "near", "p", "risk", "rho", "theta", "z", "gkey")

    def details(self) -> Mapping[str, float | int | bool | str]:
        return {"z": self.z, "risk": self.risk, "theta": self.theta, "rho": self.rho, "audited": self.audited}


class _Budget:
    def __init__(self) -> None:
        self.ring = np.full(1000, -np.inf)
        self.pos = 0
        self.n = 0
        self.obs = 0.0
        self.pred = 0.0
        self.theta = math.inf
        self.rho = 1.0


class Bounded:
    """FIRST VERSION: the policy of SEMANTIC.md; being replaced."""

    def __init__(self, *, seed: int | None = None, vector_of: Callable[[str], Any] | None = None) -> None:
        self._lock = threading.Lock()
        self._rnd = random.Random(seed)
        self._vector_of = vector_of or (lambda _id: None)
        self._entry: dict[str, tuple[bytes, bytes]] = {}
        self._parent: dict[tuple[bytes, bytes], tuple[bytes, bytes]] = {}
        self._sum: dict[tuple[bytes, bytes], list[Any]] = {}  # [size, sum, resid, var]
        self._budgets: dict[float, _Budget] = {}
        self._F: list[Any] = []
        self._L: list[float] = []
        self._w: Any = None
        self._bins = np.zeros((24, 2))
        self._labels = 0

    def _find(self, k: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
        while self._parent[k] != k:
            k = self._parent[k]
        return k

    def decide(self, x: Any, neighbours: Sequence[Neighbour], *, max_error: float, scope: bytes) -> Decision:
        with self._lock:
            near = [n for n in neighbours if n.id in self._entry]
            b = self._budgets.setdefault(max_error, _Budget())
            e = _Weighed()
            e.near = near
            e.max_error = max_error
            e.audited = False
            e.z = e.risk = e.theta = 0.0
            e.rho = b.rho
            if not near:
                self._push(b, -math.inf)
                return Decision("bounded", None, False, 0.0, "nothing_near", e)
            s0 = near[0].similarity
            votes: dict[Any, list[float]] = {}
            for n in near:
                g = self._find(self._entry[n.id])
                v = votes.setdefault(g, [0.0, n.similarity, 0])
                v[0] += math.exp((n.similarity - s0) / 0.05)
                v[2] += 1
            order = sorted(votes, key=lambda g: -votes[g][0])
            c = order[0]
            vc = votes[c]
            others = [votes[g][1] for g in order[1:]]
            tot = sum(v[0] for v in votes.values())
            share = min(max(vc[0] / tot, 0.01), 0.99)

            def cos(g: Any) -> float:
                st = self._sum[g]
                nrm = float(np.linalg.norm(st[1]))
                return float(x @ st[1]) / nrm if nrm else 0.0
            cc = cos(c)
            oc = [cos(g) for g in order[1:4]]
            st = self._sum[c]
            f = np.array([
                -math.log(1.02 - min(vc[1], 1.0)),
                vc[1] - (max(others) if others else near[-1].similarity - 0.05),
                math.log(share / (1 - share)), math.log(vc[2]), cc, cc - max(oc) if oc else 0.3,
                math.log(st[0]), st[2] / (st[3] + 1)])
            e.feats = f
            e.gkey = c
            mine = [n for n in near if self._find(self._entry[n.id]) == c]
            ok = next((n for n in mine if not n.vetoed), None)
            best = ok or mine[0]
            if self._w is None:
                e.z = -math.inf
                self._push(b, -math.inf)
                return Decision("bounded", best.id, False, best.similarity, "cold", e)
            w, m, s, S = self._w
            t = np.append((f - m) / s, 1.0)
            e.z = float(w @ t) / math.sqrt(1 + math.pi / 8 * float(t @ S @ t))
            e.risk = float(self._risk(np.array([e.z]))[0])
            self._push(b, e.z)
            e.theta = b.theta
            if ok is None:
                return Decision("bounded", best.id, False, best.similarity, "vetoed", e)
            if e.z < b.theta:
                return Decision("bounded", best.id, False, best.similarity, "too_risky", e)
            rt = float(self._risk(np.array([b.theta]))[0])
            if self._rnd.random() < 0.01 + 0.1 * e.risk / max(rt, 1e-9):
                e.audited = True
                return Decision("bounded", best.id, False, best.similarity, "audited", e)
            return Decision("bounded", best.id, True, best.similarity, "served", e)

    def _risk(self, z: Any) -> Any:
        return self._pava[np.clip(((z + 2) / 0.5).astype(int), 0, 23)]

    def _push(self, b: _Budget, z: float) -> None:
        b.ring[b.pos] = z
        b.pos = (b.pos + 1) % 1000
        b.n = min(b.n + 1, 1000)
        if self._w is not None and b.pos % 8 == 0:
            self._retheta(b)

    def _retheta(self, b: _Budget) -> None:
        z = np.sort(b.ring)[::-1]
        fin = np.isfinite(z)
        r = np.zeros(1000)
        r[fin] = self._risk(z[fin])
        r[z == -np.inf] = 1.0
        edges = np.clip(((np.clip(z, -2, 9.99) + 2) / 0.5).astype(int), 0, 23)
        cum = np.cumsum(self._bins[::-1, 1])[::-1]
        infl = 1 + 1 / np.sqrt(cum[edges] + 1)
        mass = np.cumsum(r) / 1000 * infl
        good = (mass <= b.max_error / b.rho) & (r <= 0.5) & np.isfinite(z) if False else (mass <= self._delta(b) / b.rho) & (r <= 0.5) & (z < np.inf)
        k = np.nonzero(good)[0]
        b.theta = float(z[k[-1]]) if len(k) else math.inf

    def _delta(self, b: _Budget) -> float:
        return next(d for d, o in self._budgets.items() if o is b)

    def exact(self, max_error: float, count: int = 1) -> None:
        with self._lock:
            b = self._budgets.setdefault(max_error, _Budget())
            for _ in range(min(count, 1000)):
                self._push(b, math.inf)

    def learn(self, decision: Decision, agreeing: Collection[str]) -> None:
        e = decision.evidence
        if not isinstance(e, _Weighed) or decision.id is None:
            return
        with self._lock:
            ok = decision.id in agreeing
            label = 1.0 if ok else 0.0
            if self._w is not None and math.isfinite(e.z):
                self._bins *= 0.5 ** (1 / 4000)
                i = int(min(max((e.z + 2) / 0.5, 0), 23))
                self._bins[i] += (1, 1 - label)
                p = 1 - e.risk
                st = self._sum.get(e.gkey)
                if st:
                    st[2] += label - p
                    st[3] += p * (1 - p)
                if e.risk < 0.5:
                    b = self._budgets[e.max_error]
                    b.obs = b.obs * 0.5 ** (1 / 48) + 1 - label
                    b.pred = b.pred * 0.5 ** (1 / 48) + e.risk
                    b.rho = 1 + max(0.0, b.obs - b.pred - math.sqrt(b.pred + 1)) / (b.pred + 1)
            self._F.append(e.feats)
            self._L.append(label)
            del self._F[:-2000], self._L[:-2000]
            self._labels += 1
            if self._labels >= 48 and self._labels % 32 == 16:
                self._fit()

    def _fit(self) -> None:
        F = np.array(self._F)
        L = np.array(self._L)
        m, s = F.mean(0), F.std(0) + 1e-6
        A = np.hstack([(F - m) / s, np.ones((len(F), 1))])
        lam = np.array([3.0] * 8 + [0.05])
        w = np.zeros(9) if self._w is None else self._w[0].copy()
        for _ in range(8):
            p = 1 / (1 + np.exp(-A @ w))
            H = (A * (p * (1 - p))[:, None]).T @ A + np.diag(lam)
            w = w + np.linalg.solve(H, A.T @ (L - p) - lam * w)
        self._w = (w, m, s, np.linalg.inv(H))
        mid = np.arange(24) * 0.5 - 1.75
        n, err = self._bins[:, 0], self._bins[:, 1]
        r = (err + 10 / (1 + np.exp(mid))) / (n + 10)
        out: list[list[float]] = []
        for ri, wi in zip(r[::-1], n[::-1] + 10, strict=True):
            out.append([ri, wi, 1])
            while len(out) > 1 and out[-2][0] > out[-1][0]:
                a, bb = out[-2], out.pop()
                out[-1] = [(a[0] * a[1] + bb[0] * bb[1]) / (a[1] + bb[1]), a[1] + bb[1], a[2] + bb[2]]
        self._pava = np.repeat([o[0] for o in out], [o[2] for o in out])[::-1].copy()

    def redundant(self, decision: Decision, agreeing: Collection[str]) -> bool:
        return decision.id is not None and decision.id in agreeing and decision.similarity > 0.995

    def add(self, id: str, x: Any, answer: bytes, scope: bytes, agreeing: Collection[str] = ()) -> None:
        with self._lock:
            self._remove(id)
            k = (scope, answer)
            if k not in self._parent:
                self._parent[k] = k
                self._sum[k] = [0, np.zeros(len(x), np.float64), 0.0, 0.0]
            self._entry[id] = k
            r = self._find(k)
            self._sum[r][0] += 1
            self._sum[r][1] = self._sum[r][1] + x
            for a in agreeing:
                if a in self._entry:
                    o, r = self._find(self._entry[a]), self._find(k)
                    if o != r:
                        self._parent[o] = r
                        so = self._sum.pop(o)
                        self._sum[r] = [p + q for p, q in zip(self._sum[r], so, strict=True)]

    def remove(self, id: str) -> None:
        with self._lock:
            self._remove(id)

    def _remove(self, id: str) -> None:
        k = self._entry.pop(id, None)
        x = self._vector_of(id)
        if k is not None:
            st = self._sum[self._find(k)]
            st[0] -= 1
            if x is not None:
                st[1] = st[1] - x

    def state(self) -> bytes:
        return b""

    def merge(self, state: bytes) -> bool:
        return False
