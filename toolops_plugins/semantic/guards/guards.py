"""The guards of a semantic cache, which veto candidates."""

from __future__ import annotations

import hashlib
import hmac
import inspect
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import TypeAlias

from toolops_plugins.errors import ConfigurationError
from toolops_plugins.semantic.guards.analysis import LONG, read
from toolops_plugins.semantic.guards.builtin import BUILT_IN, Veto
from toolops_plugins.semantic.guards.equivalence import are_equivalent
from toolops_plugins.semantic.guards.language import load_identifier, needs_identifier
from toolops_plugins.semantic.guards.pairing import Pair
from toolops_plugins.semantic.guards.traits import Traits
from toolops_plugins.semantic.guards.unread import READABLE

__all__ = ["GUARDS", "Guard", "Guards", "prepare"]

Guard: TypeAlias = Callable[[str, str], Veto | None]
"""A user's guard: takes the question and the candidate, returns a veto or None."""

GUARDS: tuple[str, ...] = tuple(BUILT_IN)
"""The names of the built-in guards, in the order in which they are asked."""

_MEMORY = 8_192
"""Texts whose traits are cached, of 1.5 KB each."""
_WORDS = 32_768
"""Digests and pairs of words that are cached."""


_SAMPLES = (
    ("Could you tell me if there is a train to the statoin?", "Thanks, is there any cheap bus?"),
    ("I am not in the rihgt place", "I am on the wrong way, and I do not like it"),
)
"""Pairs for which every table of English is needed."""


@cache
def prepare() -> None:
    """Build the tables of the word lists, so that no question waits for them.

    It takes some 0.2 seconds once a process. The statistics of languages are no part of it.
    """
    guards = Guards()
    for question, candidate in _SAMPLES:
        guards.weigh(question, candidate)
        guards.repeats(question, candidate)


def _identity(word: str) -> str:
    return word


class Guards:
    """Veto pairs of texts whose difference changes the answer, whatever their similarity.

    The guards know English, and of German, French, Spanish, Portuguese, Italian and Dutch enough to
    tell texts of equal content. What they cannot read, which is other text in these and all text in
    other languages, code, formulas, commands, texts about words and strings of symbols, the guard
    "unread" vetoes unless the two are near repeats (see :meth:`repeats`). Leave it out for an
    embedder that knows the languages of the texts: in other ones than English, only numbers,
    symbols and, in some, negations are compared then. A text of more than 400 characters is
    compared as a whole: any difference except in case and white space is a veto.

    Safe to use from any threads and event loops. No method waits for anything but :meth:`load`,
    which the others call themselves at the first text that needs it (see :meth:`must_load`).

    Args:
        guards: None for all built-in guards, or a list of names from :data:`GUARDS` and of your own
            functions ``(question, candidate) -> Veto | None``; an empty list for none. Default
            None.
        secret: The key of the digests in :meth:`hash_traits`. Default None: plain digests, which a
            dictionary turns back into words.
        near: Whether two lower-case words mean nearly the same, as by their embeddings.
            Called with two words in alphabetical order; results are cached.
            Default None: only the built-in lists tell.
        on_failure: Called with "guard" and the error when a guard raises. None: not called.

    Raises:
        ConfigurationError: A name is unknown, or a guard is not a plain function.
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
        self._others = [name for name in BUILT_IN if name not in chosen]
        self.custom = any(not isinstance(guard, str) for guard in chosen)
        self._read = lru_cache(maxsize=_MEMORY)(read)
        self._digest = lru_cache(maxsize=_WORDS)(self._digest_of)
        self._near = lru_cache(maxsize=_WORDS)(_safe(near)) if near else _never

    def traits(self, text: str) -> Traits:
        """Return the traits of a text, cached for the 8,192 most recent texts."""
        return read(text) if len(text) > LONG else self._read(text)

    def must_load(self, text: str) -> bool:
        """Return whether a text cannot be read before :meth:`load`, which takes half a second."""
        return "unread" in self._guards and needs_identifier(text)

    def load(self) -> None:
        """Load what tells the languages of texts that are not plain English."""
        load_identifier()

    def hash_traits(self, text: str) -> str:
        """Return the traits of a text as JSON in which every word and value is a digest.

        A digest is 64 bits of HMAC-SHA256 under the secret, or of plain SHA-256. The kind of
        question, its negation, prepositions, and the number and order of words stay readable.
        Tolerance of typing errors, near words that are not in the lists, and users' own guards,
        which are not called with such a candidate, are lost.
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
        """Return whether two questions are equivalent, so that a lower similarity suffices.

        True if no guard has a veto, and the texts are near repeats, or every content word, name,
        number and relation of either text is matched in the other: by itself, a typing error, a
        synonym or another form. False in any doubt. Typing errors in particular change an
        embedding while the words are still recognisable.

        Args:
            question: The question.
            candidate: The cached question, or its traits, restored from :meth:`hash_traits`.
        """
        return self.weigh(question, candidate)[1]

    def repeats(self, question: str, candidate: str | Traits) -> bool:
        """Return whether two questions are near repeats, in any language or notation.

        True if nothing differs but case, spacing, end punctuation, courtesies that are known in
        about 40 languages, and accents where one of the two has none at all and the language is
        one in which people leave them out: in German, "schon" and "schön" are two words. In code,
        commands and addresses, case and punctuation count. So does case in quoted text to be worked
        on, and where it tells symbols apart: Mb and MB, CO and Co.

        Args:
            question: The question.
            candidate: The cached question, or its traits, restored from :meth:`hash_traits`.
        """
        pair = self._pair(question, candidate)
        return pair is not None and pair.is_near_repeat()

    def weigh(self, question: str, candidate: str | Traits) -> tuple[Veto | None, bool]:
        """Return the first veto, and whether the questions are equivalent, in one pass.

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
        """Return the verdict of every guard, by name."""
        pair = self._pair(question, candidate)
        return {
            guard if isinstance(guard, str) else _name(guard): self._ask(
                guard, pair, question, candidate
            )
            for guard in self._guards
        }

    def _pair(self, question: str, candidate: str | Traits) -> Pair | None:
        """Return the traits of both texts as a pair, or None if one cannot be analysed."""
        try:
            mine = self.traits(question)
            other = candidate if isinstance(candidate, Traits) else self.traits(candidate)
            if not other.hashed:
                return Pair(mine, other, near=self._near, digest=_identity, plain=mine)
            hidden = mine.with_digests(self._digest)
            return Pair(hidden, other, near=_never, digest=self._digest, plain=mine)
        except Exception as error:  # noqa: BLE001 - every guard vetoes a text without traits
            self._on_failure("guard", error)
            return None

    def _are_equivalent(self, pair: Pair | None) -> bool:
        if pair is None:
            return False
        try:
            if not (pair.has_equal_content() or are_equivalent(pair) or pair.is_near_repeat()):
                return False
            return not any(_veto(name, pair) for name in self._others)
        except Exception as error:  # noqa: BLE001 - in any doubt two texts are not equivalent
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
                return None if pair is None else _veto(guard, pair)
            return guard(question, candidate)  # type: ignore[arg-type]  # no traits: see above
        except Exception as error:  # noqa: BLE001 - a guard that fails vetoes
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


def _veto(name: str, pair: Pair) -> Veto | None:
    """Return the veto of a built-in guard; none has a say on near repeats that it cannot read."""
    question, candidate = pair.question.language, pair.candidate.language
    if (
        (question not in READABLE or candidate not in READABLE)
        and not pair.has_equal_content()  # cheaper to tell
        and pair.is_near_repeat()
    ):
        return None
    return BUILT_IN[name](pair)


def _name(guard: Guard) -> str:
    return str(getattr(guard, "__name__", type(guard).__name__))


def _safe(near: Callable[[str, str], bool]) -> Callable[[str, str], bool]:
    def ask(one: str, other: str) -> bool:
        try:
            return bool(near(one, other))
        except Exception:  # noqa: BLE001 - words that cannot be compared are not near
            return False

    return ask


def _ignore(_stage: str, _error: Exception) -> None:
    pass


def _never(_one: str, _other: str) -> bool:
    return False
