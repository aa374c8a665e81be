"""The questions of a log, with their scopes and true answers."""

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
from toolops_plugins.semantic.answers.equality import digest_of, is_free_text

__all__ = ["Fields", "Questions", "fields_of", "gather"]

_BROKEN = 10  # broken lines in the report


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a log, by meaning.

    Args:
        question: The field of the question. None: the record itself is the question.
        truth: The field that is equal for questions with the same answer. Default None.
        scope: The fields that must be equal for questions to share an answer.
        guessed: The fields above that the user did not name.
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
    """Choose the fields of question, scope and truth.

    Args:
        sample: The first records.
        on: The field of the question. Default None: the only one of ``fields``, or a usual name.
        fields: All fields of a call; those other than the question form the scope.
        tool: The field of the tool's name, which belongs to the scope. Default None: guess.
        truth: The field of the truth. Default None.

    Raises:
        ConfigurationError: A named field is in no record, no field looks like a question, or one
            field is named twice.
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
        raise ConfigurationError("--truth", f"{truth!r} is the field of the question")
    scope = dict.fromkeys([*chosen.fields[1:], *([chosen.tool] if chosen.tool else [])])
    if truth is not None and chosen.tool == truth and tool is None:
        scope.pop(truth, None)  # it was only guessed to be the tool's name
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
    """The questions of a log, in the order of the log.

    Args:
        fields: The fields of the log.
        texts: The questions.
        scopes: A digest of 16 bytes of the scope of each question.
        lines: The line number of each question.
        answers: A digest of 16 bytes of the truth of each question; empty without a truth.
        truths: The truths as texts, by digest.
        free: Number of truths that are free text, which rarely repeats exactly.
        skipped: Number of skipped lines, by reason.
        broken: Number of lines that are unreadable or lack a field.
        broken_lines: The first of these lines.
        cut: Whether the log has more questions than the limit.
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
        """Return the number of questions."""
        return len(self.texts)

    def truth(self, place: int) -> str:
        """Return the truth of a question, as text."""
        return self.truths[self.answers[place]]

    def check(self) -> None:
        """Refuse a log that cannot be measured.

        Raises:
            ConfigurationError: There is no question, or all questions have the same truth.
        """
        if not self.texts:
            parts = [f"{count:,} with {reason}" for reason, count in self.skipped.items()]
            parts += [f"line {line.number}: {line.problem}" for line in self.broken_lines[:1]]
            raise ConfigurationError("FILE", f"contains no question ({'; '.join(parts)})")
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
        fields: The fields of the log.
        limit: Largest number of questions. None: all.
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
    """Add the question of a line; return the problem if there is one."""
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
        # Compared as in the cache itself, so that the learner learns the same.
        digest = digest_of(canon, truth, text.encode(), None)
        found.answers.append(digest)
        found.truths.setdefault(digest, text)
        found.free += is_free_text(truth)
    found.texts.append(question)
    found.scopes.append(hashlib.sha256(canon.encode(around)).digest()[:16])
    found.lines.append(line.number)
    return None
