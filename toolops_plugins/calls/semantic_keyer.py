"""The questions of a tool to the semantic cache: an argument as the text, the others as scope."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from toolops_plugins.callables.target import Target
from toolops_plugins.calls.semantic_copies import CopyHits
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.keys.keyer import Keyer, Keyspace
from toolops_plugins.keys.signature import arguments_of
from toolops_plugins.policy import Cache, Semantic

if TYPE_CHECKING:
    from toolops_plugins.semantic.cache import SemanticCache
    from toolops_plugins.semantic.lookup import Question

__all__ = ["SemanticKeyer"]


class SemanticKeyer:
    """Makes the questions of one tool to the semantic cache. Thread-safe.

    Args:
        semantic: The semantic cache.
        policy: Names the parameter that holds the question, and how matches are decided.
        target: The tool's function.
        keyspace: The keyspace of its keys and scopes, so their namespace and tenant.
        label: The tool's name.
        cache: The cache policy; its version and key parameters belong to the scope.
        ignore: Parameters that do not count in the key.
        secret: Parameters that are secret.

    Raises:
        ConfigurationError: The question is a parameter that does not count in the key.
    """

    def __init__(
        self,
        semantic: SemanticCache,
        policy: Semantic,
        target: Target,
        keyspace: Keyspace,
        label: str,
        cache: Cache,
        ignore: Sequence[str],
        secret: Sequence[str],
    ) -> None:
        on = policy.on
        chosen = cache.key_params
        if on in ignore or (chosen is not None and on not in chosen):
            raise ConfigurationError(
                "semantic", f"names {on!r}, which does not count in the key: all its values are one"
            )
        self.cache = semantic
        rule = semantic.rule(policy.threshold, policy.max_error)
        answer = policy.answer
        if answer is None and "generator" in target.kind:
            answer = _join_texts
        self.rule = rule._replace(answer=answer)
        self.on = on
        others = None if chosen is None else [name for name in chosen if name != on]
        self._keyer = Keyer(
            target.function,
            keyspace,
            f"{label}\0{'stream' if 'generator' in target.kind else 'value'}\0scope of {on}",
            replace(cache, key=None, key_params=others),
            [*ignore, on],
            secret=secret,
            method=target.method,
        )
        self._var_keyword = next(
            (
                parameter.name
                for parameter in self._keyer.signature.parameters.values()
                if parameter.kind is inspect.Parameter.VAR_KEYWORD
            ),
            None,
        )
        self.copy_hits = CopyHits()
        """Counts hits of copies of answers that were served under a bound."""
        self._hits = 0
        self.add_to_name = self._keyer.add_to_name

    def question(
        self, key: bytes, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Question | None:
        """Return the question of a call; None if the argument is no text, or longer than allowed.

        Args:
            key: The call's exact key, under which its own answer is stored.
            args: The call's positional arguments.
            kwargs: The call's keyword arguments.

        Raises:
            NotCanonicalError: An argument that belongs to the scope has no canonical form.
        """
        from toolops_plugins.semantic.lookup import Question  # noqa: PLC0415 - imports numpy

        text = self.argument(args, kwargs)
        if not isinstance(text, str) or len(text) > self.cache.max_text or not text.strip():
            return None
        return Question(text, self._keyer.key(args, kwargs)[:16], key.hex()[:32])

    def argument(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Return the argument that holds the question, of whatever type it is."""
        arguments = arguments_of(self._keyer.signature, args, kwargs)
        text = arguments.get(self.on)
        if text is None and self._var_keyword is not None:
            text = arguments[self._var_keyword].get(self.on)
        return text

    def mark(self) -> int:
        """Return the invalidation mark of this moment, for a later write."""
        return self.cache.answers.index.mark()

    def count_hits(self, hits: int) -> None:
        """Report the hits of memory to the bounded policy.

        Those of copies of served answers may be wrong; all others are exact hits, which cannot.

        Args:
            hits: The number of hits of this tool in memory so far.
        """
        new, self._hits = hits - self._hits, hits
        if self.rule.max_error is None:
            return
        learned = self.cache.answers.index.learned
        if copied := self.copy_hits.take():
            learned.learner().serve_again(copied)
            new -= sum(count for _, count in copied)
        if new > 0:
            learned.learner().exact(self.rule.max_error, new)


def _join_texts(stream: Any) -> Any:
    """Return the text of a stream of texts, whose pieces may end anywhere; another one as it is.

    Args:
        stream: Its items, and what its generator returned.
    """
    items, returned = stream
    if not items or not all(isinstance(item, str) for item in items):
        return stream
    text = "".join(items)
    return text if returned is None else [text, returned]
