"""The guards of a semantic cache: whether a candidate may answer a question at all."""

from __future__ import annotations

import hashlib
import hmac
import inspect
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeAlias

from toolops_plugins.errors import ConfigurationError
from toolops_plugins.semantic.guards.analysis import LONG, read
from toolops_plugins.semantic.guards.builtin import BUILT_IN, Veto
from toolops_plugins.semantic.guards.equivalence import are_equivalent
from toolops_plugins.semantic.guards.pairing import Pair
from toolops_plugins.semantic.guards.traits import Traits

__all__ = ["GUARDS", "Guard", "Guards"]

Guard: TypeAlias = Callable[[str, str], Veto | None]
"""A user's guard: takes the question and the candidate, returns a veto or None."""

GUARDS: tuple[str, ...] = tuple(BUILT_IN)
"""The names of the built-in guards, in the order in which they are asked."""

_MEMORY = 2_048
"""Texts whose traits, and 16 times as many pairs of words whose nearness, are kept."""


def _identity(word: str) -> str:
    return word


class Guards:
    """Vetoes on pairs of texts whose difference changes the answer, whatever their embeddings say.

    The guards know English; on a text that is evidently in another language, only numbers and
    identifiers are compared, and negations of some languages. A text of more than 400
    characters is compared as a whole: any difference but in case and white space is a veto.

    Safe to use from any threads and event loops; nothing here blocks or awaits.

    Args:
        guards: None for all built-in guards, or a list of names from :data:`GUARDS` and of your own
            functions ``(question, candidate) -> Veto | None``; an empty list for none. Default
            None.
        secret: The key of the digests in :meth:`hash_traits`. Default None: plain digests, which a
            dictionary turns back into words.
        near: Whether two lower-case words mean nearly the same, as by their embeddings.
            Asked about two words in alphabetical order, and not again while it is remembered.
            Default None: only synonyms of the built-in lists are near.
        on_failure: Told of a guard that raised, with the word "guard". None: nobody.

    Raises:
        ConfigurationError: A name that is none, or a guard that is no plain function.
    """

    def __init__(
        self,
        guards: Sequence[str | Guard] | None = None,
        *,
        secret: bytes | None = None,
        near: Callable[[str, str], bool] | None = None,
        on_failure: Callable[[str, Exception], None] | None = None,
    ) -> None:
        chosen = tuple(GUARDS if guards is None else _validate(guards))
        self._guards = chosen
        self._secret = secret
        self._on_failure = on_failure or _ignore
        self._others = [judge for name, judge in BUILT_IN.items() if name not in chosen]
        self.custom = any(not isinstance(guard, str) for guard in chosen)
        self._read = lru_cache(maxsize=_MEMORY)(read)
        self._digest = lru_cache(maxsize=16 * _MEMORY)(self._digest_of)
        self._near = lru_cache(maxsize=16 * _MEMORY)(_safe(near)) if near else _never

    def traits(self, text: str) -> Traits:
        """Return what the guards know of a text; kept for the 2,048 texts used last."""
        return read(text) if len(text) > LONG else self._read(text)

    def hash_traits(self, text: str) -> str:
        """Return the traits of a text as JSON in which every word and value is a digest.

        A digest is an HMAC-SHA256 under the secret, or plain SHA-256, of 64 bits. What stays in the
        open: the kind of question, whether it is negated, prepositions, the number and order of
        words. What is lost: tolerance of typing errors, words that are near but not in the lists of
        synonyms, and users' own guards, which are not asked about such a candidate.
        """
        return self.traits(text).with_digests(self._digest).to_json()

    def veto(self, question: str, candidate: str | Traits) -> Veto | None:
        """Return the first veto, or None if the candidate may answer the question.

        Args:
            question: The question.
            candidate: The cached question, or its traits, restored from :meth:`hash_traits`.
        """
        pair = self._pair(question, candidate)
        for guard in self._guards:
            veto = self._ask(guard, pair, question, candidate)
            if veto is not None:
                return veto
        return None

    def are_equivalent(self, question: str, candidate: str | Traits) -> bool:
        """Return whether the two are surely one question, so that a lower similarity will do.

        True when no guard has a veto, and every content word, name, number and relation of either
        text has its like in the other: the same, a typing error, a synonym, another form. False in
        any doubt, and for texts without a word of content. Typing errors, above all, ruin
        embeddings while the words still tell what was meant.

        Args:
            question: The question.
            candidate: The cached question, or its traits, restored from :meth:`hash_traits`.
        """
        return self.weigh(question, candidate)[1]

    def weigh(self, question: str, candidate: str | Traits) -> tuple[Veto | None, bool]:
        """Return the first veto, and whether the two are alike: both at the price of one.

        Args:
            question: The question.
            candidate: The cached question, or its traits, restored from :meth:`hash_traits`.
        """
        pair = self._pair(question, candidate)
        for guard in self._guards:
            veto = self._ask(guard, pair, question, candidate)
            if veto is not None:
                return veto, False
        return None, self._are_equivalent(pair)

    def verdicts(self, question: str, candidate: str | Traits) -> dict[str, Veto | None]:
        """Return what every guard says, by its name."""
        pair = self._pair(question, candidate)
        return {
            guard if isinstance(guard, str) else _name(guard): self._ask(
                guard, pair, question, candidate
            )
            for guard in self._guards
        }

    def _pair(self, question: str, candidate: str | Traits) -> Pair | None:
        """Return both texts as the built-in guards see them, or None if one cannot be read."""
        try:
            mine = self.traits(question)
            other = candidate if isinstance(candidate, Traits) else self.traits(candidate)
            if not other.hashed:
                return Pair(mine, other, near=self._near, digest=_identity, plain=mine)
            hidden = mine.with_digests(self._digest)
            return Pair(hidden, other, near=_never, digest=self._digest, plain=mine)
        except Exception as error:  # noqa: BLE001 - a text that cannot be read is vetoed, by every guard
            self._on_failure("guard", error)
            return None

    def _are_equivalent(self, pair: Pair | None) -> bool:
        if pair is None:
            return False
        try:
            return are_equivalent(pair) and not any(judge(pair) for judge in self._others)
        except Exception as error:  # noqa: BLE001 - in any doubt two texts are not alike
            self._on_failure("guard", error)
            return False

    def _ask(
        self, guard: str | Guard, pair: Pair | None, question: str, candidate: str | Traits
    ) -> Veto | None:
        if isinstance(guard, str) and pair is None:
            return Veto(guard, "one of the texts could not be read")
        if isinstance(candidate, Traits) and not isinstance(guard, str):
            return None
        try:
            if isinstance(guard, str):
                return None if pair is None else BUILT_IN[guard](pair)
            return guard(question, candidate)  # type: ignore[arg-type]  # no traits: see above
        except Exception as error:  # noqa: BLE001 - a guard that fails has not said yes
            self._on_failure("guard", error)
            name = guard if isinstance(guard, str) else _name(guard)
            return Veto(name, f"the guard failed: {type(error).__name__}: {error}")

    def _digest_of(self, word: str) -> str:
        data = word.encode("utf-8", "surrogatepass")
        if self._secret is None:
            return hashlib.sha256(data).hexdigest()[:16]
        return hmac.digest(self._secret, data, "sha256").hex()[:16]


def _validate(guards: Sequence[str | Guard]) -> Sequence[str | Guard]:
    if isinstance(guards, str) or not isinstance(guards, Sequence):
        raise ConfigurationError("guards", f"must be a list of names and functions, not {guards!r}")
    for guard in guards:
        if isinstance(guard, str):
            if guard not in BUILT_IN:
                known = ", ".join(GUARDS)
                raise ConfigurationError(
                    "guards", f"there is no guard {guard!r}; there are {known}"
                )
        elif not callable(guard):
            raise ConfigurationError("guards", f"must be names or functions, not {guard!r}")
        elif inspect.iscoroutinefunction(guard) or inspect.iscoroutinefunction(
            getattr(guard, "__call__", None)  # noqa: B004 - whether the call itself is async
        ):
            raise ConfigurationError("guards", f"{_name(guard)} is async; a guard must not wait")
    return guards


def _name(guard: Guard) -> str:
    return str(getattr(guard, "__name__", type(guard).__name__))


def _safe(near: Callable[[str, str], bool]) -> Callable[[str, str], bool]:
    def ask(one: str, other: str) -> bool:
        try:
            return bool(near(one, other))
        except Exception:  # noqa: BLE001 - words that nobody can compare are not near
            return False

    return ask


def _ignore(_stage: str, _error: Exception) -> None:
    pass


def _never(_one: str, _other: str) -> bool:
    return False
