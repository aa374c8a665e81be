"""The questions of a log, with what the semantic cache keeps apart and what their answers are."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from toolops_plugins.audit.log_reader import MISSING, Broken, Columns, Record, choose, pick
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.keys.canonical import Canon
from toolops_plugins.semantic.judge import digest_of, is_free_text

__all__ = ["Fields", "Questions", "fields_of", "gather"]

_BROKEN = 10  # broken lines that are kept to be shown


@dataclass(frozen=True, slots=True)
class Fields:
    """Which fields hold what.

    Args:
        question: The question; None: the record itself is it.
        truth: What is equal where the same answer is wanted, or None if there is none.
        scope: What must be equal before questions may share an answer.
        guessed: Those that nobody named.
    """

    question: str | None
    truth: str | None = None
    scope: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()


def fields_of(
    sample: Sequence[Any],
    *,
    on: str | None = None,
    fields: Sequence[str] = (),
    tool: str | None = None,
    truth: str | None = None,
) -> Fields:
    """Decide which fields hold what.

    Args:
        sample: The first records.
        on: The field of the question. None: the only one of ``fields``, or a usual name.
        fields: All fields of a call; those beside the question make its scope.
        tool: The field of the tool's name, which belongs to the scope. None: guess.
        truth: The field of the truth, or None.

    Raises:
        ConfigurationError: A named field is in none of the records, none looks like a question, or
            one is asked to be two things.
    """
    if on is None and len(fields) > 1:
        raise ConfigurationError(
            "--on", f"must say which field is the question: {', '.join(fields)}"
        )
    for option, name in (("--truth", truth), ("--on", on)):
        if name is not None:
            _require_field(sample, option, name)
    chosen: Columns = choose(sample, [on, *fields] if on is not None else fields, None, tool)
    question = on if on is not None else next(iter(chosen.fields), None)
    if truth is not None and truth == question:
        raise ConfigurationError("--truth", f"{truth!r} holds the questions themselves")
    scope = dict.fromkeys([*chosen.fields[1:], *([chosen.tool] if chosen.tool else [])])
    if truth is not None and chosen.tool == truth and tool is None:
        scope.pop(truth, None)  # what was only guessed to be a tool's name
    scope.pop(question or "", None)
    named = [question, *scope]
    guessed = tuple(name for name in named if name is not None and name in chosen.guessed)
    return Fields(question, truth, tuple(scope), guessed)


def _require_field(sample: Sequence[Any], option: str, name: str) -> None:
    try:
        choose(sample, [name])
    except ConfigurationError as error:
        raise ConfigurationError(option, error.problem) from None


@dataclass(slots=True)
class Questions:
    """The questions of a log, in its order.

    Args:
        fields: Where they were found.
        texts: The questions.
        scopes: For each, 16 bytes that stand for all that must be equal.
        lines: For each, the number of its line.
        answers: For each, 16 bytes that are equal where the answers are; empty without a truth.
        truths: The truths themselves, as texts, by those bytes.
        free: How many truths are free text, of which equality says little.
        skipped: Lines that were left out, by the reason.
        broken: How many of all left out could not be read, or lacked a field.
        broken_lines: The first of them.
        cut: Whether there are more than were asked for.
    """

    fields: Fields
    texts: list[str] = field(default_factory=list)
    scopes: list[bytes] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    truths: dict[bytes, str] = field(default_factory=dict)
    free: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    broken: int = 0
    broken_lines: list[Broken] = field(default_factory=list)
    cut: bool = False

    def __len__(self) -> int:
        """Return how many questions there are."""
        return len(self.texts)

    def truth(self, place: int) -> str:
        """Return the truth of a question, as text."""
        return self.truths[self.answers[place]]

    def check(self) -> None:
        """Refuse what nothing can be measured on.

        Raises:
            ConfigurationError: There is no question, or all have the same truth.
        """
        if not self.texts:
            parts = [f"{count:,} with {reason}" for reason, count in self.skipped.items()]
            parts += [f"line {line.number}: {line.problem}" for line in self.broken_lines[:1]]
            raise ConfigurationError("FILE", f"holds no question ({'; '.join(parts)})")
        if len(self.truths) == 1:
            raise ConfigurationError(
                "--truth",
                f"{self.fields.truth!r} has the same value in all {len(self):,} questions, so that "
                "no answer could be wrong; name the field that tells their answers apart, or none",
            )


def gather(lines: Iterable[Record | Broken], fields: Fields, limit: int | None) -> Questions:
    """Return the questions of a log.

    Args:
        lines: The log.
        fields: Where to look.
        limit: Questions at the most. None: all.
    """
    found = Questions(fields)
    canon = Canon()
    for line in lines:
        if limit is not None and len(found) >= limit:
            found.cut = True
            break
        problem = line.problem if isinstance(line, Broken) else _take(found, canon, line)
        if problem is not None:
            found.broken += 1
            if len(found.broken_lines) < _BROKEN:
                found.broken_lines.append(Broken(line.number, problem))
    return found


def _take(found: Questions, canon: Canon, line: Record) -> str | None:
    """Add the question of a line; return what is wrong with it."""
    fields = found.fields
    question = line.value if fields.question is None else pick(line.value, fields.question)
    around = [pick(line.value, path) for path in fields.scope]
    if question is MISSING:
        return f"has no field {fields.question!r}"
    for path, value in zip(fields.scope, around, strict=True):
        if value is MISSING:
            return f"has no field {path!r}"
    if question is None or (isinstance(question, str) and not question.strip()):
        found.skipped["an empty question"] += 1
        return None
    if not isinstance(question, str):
        found.skipped["a question that is no text"] += 1
        return None
    if fields.truth is not None:
        truth = pick(line.value, fields.truth)
        if truth is MISSING or truth is None or truth == "":
            found.skipped["no truth"] += 1
            return None
        text = truth if isinstance(truth, str) else orjson.dumps(truth).decode()
        # As the cache itself compares answers, so that what it learns here is what it would learn.
        digest = digest_of(canon, truth, text.encode(), None)
        found.answers.append(digest)
        found.truths.setdefault(digest, text)
        found.free += is_free_text(truth)
    found.texts.append(question)
    found.scopes.append(hashlib.sha256(canon.encode(around)).digest()[:16])
    found.lines.append(line.number)
    return None
