"""Finish reasons of models: the words of all providers for an answer that is whole.

There is one list for all frameworks, and it is a list of good ends. A word that is not in it, be it
new or misspelt, stands for an answer that may be a half one, which is not kept.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from typing import Any

from toolops_plugins.adapters.answers import field_of

__all__ = ["GOOD_ENDS", "Ending", "Finish", "finish_of"]

GOOD_ENDS = frozenset(
    (
        "alternative_status_final",  # YandexGPT
        "complete",  # Cohere
        "completed",  # OpenAI Responses
        "done",
        "end_of_text",  # SambaNova
        "end_turn",  # Anthropic, Bedrock Converse
        "endoftext",  # AI21
        "eos",  # Together, llama.cpp
        "eos_token",  # Text Generation Inference, watsonx
        "finish",  # Titan
        "finished",
        "function_call",  # OpenAI, before tools
        "normal",  # ERNIE
        "stop",  # OpenAI Chat Completions and all that follow it, Gemini, Ollama
        "stop_criteria_met",  # Titan
        "stop_sequence",  # Anthropic, Bedrock Converse, Cohere, watsonx
        "succeeded",  # Replicate
        "tool_call",  # Cohere
        "tool_calls",  # OpenAI Chat Completions
        "tool_use",  # Anthropic, Bedrock Converse
        "word",  # llama.cpp, for a stop word
    )
)
"""Reasons, in small letters, of answers that ended by themselves."""
_UNFINISHED = frozenset(
    (
        "finish_reason_unspecified",
        "in_progress",
        "none",
        "not_finished",
        "null",
        "pending",
        "processing",
        "queued",
        "starting",
        "unspecified",
    )
)
"""Words of parts of a stream that more is to follow."""
_BAD = frozenset(
    (
        "abort",
        "aborted",
        "cancelled",
        "canceled",
        "content_filter",
        "content_filtered",
        "error",
        "expired",
        "failed",
        "guardrail_intervened",
        "incomplete",
        "length",
        "max_tokens",
        "max_output_tokens",
        "model_context_window_exceeded",
        "model_length",
        "pause_turn",
        "refusal",
        "safety",
    )
)
"""Words that are bad wherever they stand, also where any other may be a user's own stop word."""

_JOINED = re.compile(
    f"(?:{'|'.join(_UNFINISHED)})*(?:{'|'.join(sorted(GOOD_ENDS, key=len, reverse=True))})+"
)
"""Reasons of several chunks, which LangChain joins as it joins their texts."""
_REASONS = (
    "finish_reason",
    "finishReason",
    "stop_reason",
    "stopReason",
    "done_reason",
    "completionReason",
    "completion_reason",
    "stop_type",
)
"""Names of the reason. The first that is given is the reason, and the others are details of it:
vLLM gives a stop word of the user's own as the ``stop_reason`` beside a ``finish_reason``."""
_INNER = (
    "response",
    "data",
    "delta",
    "message",
    "messageStop",
    "output",
    "details",
    "meta_info",
    "chunk",
    "prompt_feedback",
    "promptFeedback",
    "provider_specific_fields",
)
"""Names under which a part of an answer, as an event of a stream, holds what tells of its end."""
_LISTS = ("choices", "candidates", "outputs", "results", "generations", "completions")
"""Names under which there are several answers to one question, each with an end of its own."""
_DEPTH = 3
_GEMINI_STOP = 1


class Finish(enum.IntEnum):
    """The meaning of a finish reason; of two for one answer the greater one counts."""

    UNTOLD = 0
    UNFINISHED = 1
    GOOD = 2
    BAD = 3


def finish_of(reason: Any, *, numbers: bool = False) -> Finish:
    """Return what a finish reason says.

    Args:
        reason: A text, a member of an enum, or a mapping or object that holds one of these.
        numbers: Whether a number is that of Gemini's enum; those of other enums mean other things.
    """
    if reason is None or reason == "":
        return Finish.UNTOLD
    if isinstance(reason, enum.Enum):
        return _finish_of_member(reason)
    if isinstance(reason, str):
        return _finish_of_word(reason)
    if isinstance(reason, int):
        if reason == 0:
            return Finish.UNTOLD
        good = numbers and reason == _GEMINI_STOP and not isinstance(reason, bool)
        return Finish.GOOD if good else Finish.BAD
    for name in ("type", "reason", "name"):  # SGLang; AI21; an enum's member that is none of ours
        word = field_of(reason, name)
        if isinstance(word, str):
            return _finish_of_word(word)
    return Finish.BAD


def _finish_of_member(member: enum.Enum) -> Finish:
    """Return what the member of an enum says, by its value or its name, whichever is a word."""
    words = [word for word in (member.value, member.name) if isinstance(word, str)]
    found = [_finish_of_word(word) for word in words]
    return Finish.GOOD if Finish.GOOD in found else max(found)


def _finish_of_word(word: str) -> Finish:
    # An enum's member prints with its class before its name.
    plain = word.strip().rpartition(".")[2].lower().replace("-", "_").replace(" ", "_")
    for text in (plain, plain.removeprefix("finish_reason_").removeprefix("reason_")):
        if text in GOOD_ENDS or _JOINED.fullmatch(text):
            return Finish.GOOD
        if text in _UNFINISHED:
            return Finish.UNFINISHED
    return Finish.BAD


class Ending:
    """The end of one answer, by all that is known of it: its metadata, or the chunks of its stream.

    Args:
        holders: Mappings, or objects of a provider's package; None says nothing.
    """

    __slots__ = ("_finishes",)

    def __init__(self, holders: Iterable[Any] = ()) -> None:
        # By the place among several answers to one question; None is the whole of them.
        self._finishes: dict[int | None, Finish] = {}
        for holder in holders:
            self.read(holder)

    def read(self, holder: Any) -> None:
        """Read what a mapping or an object says of the end."""
        self._read(holder, None, 0)

    def note(self, finish: Finish) -> None:
        """Note what is known from elsewhere."""
        self._note(None, finish)

    def dump(self) -> list[Any]:
        """Return what was said as plain data, for :meth:`add`."""
        return [[place, int(finish)] for place, finish in self._finishes.items()]

    def add(self, dumped: Iterable[Any]) -> None:
        """Add what another part of the answer says of the end.

        Args:
            dumped: What :meth:`dump` returned.
        """
        for place, finish in dumped:
            self._note(place, Finish(finish))

    @property
    def is_told(self) -> bool:
        """True if anything was said of the end."""
        return any(self._finishes.values())

    @property
    def is_open(self) -> bool:
        """True if no end was told, neither a good one nor a bad one."""
        return max(self._finishes.values(), default=Finish.UNTOLD) < Finish.GOOD

    def may_be_kept(self, *, streamed: bool) -> bool:
        """Return whether the answer is a whole one.

        Args:
            streamed: Whether it came in parts. Then its end must have been told, since the
                connection may have been cut; else it may say nothing, as custom models do.
        """
        if not self.is_told:
            return not streamed
        return all(
            finish is Finish.GOOD or (place is None and finish is Finish.UNTOLD)
            for place, finish in self._finishes.items()
        )

    def _note(self, place: int | None, finish: Finish) -> None:
        self._finishes[place] = max(finish, self._finishes.get(place, Finish.UNTOLD))

    def _read(self, holder: Any, place: int | None, depth: int, *, gemini: bool = False) -> None:
        if not holder or isinstance(holder, str | bytes | int | float | list | tuple):
            return
        self._note(place, max(_read_reason(holder, gemini=gemini), _read_trouble(holder)))
        if depth >= _DEPTH:
            return
        for name in _INNER:
            self._read(field_of(holder, name), place, depth + 1)
        for name in _LISTS:
            several = field_of(holder, name)
            if not isinstance(several, list | tuple):
                continue
            for number, each in enumerate(several):
                index = field_of(each, "index")
                index = index if isinstance(index, int) else number
                self._note(index, Finish.UNTOLD)
                self._read(each, index, depth + 1, gemini=name == "candidates")


def _read_reason(holder: Any, *, gemini: bool) -> Finish:
    """Return what the reason in a holder says, by whatever name."""
    numbers = gemini or bool(field_of(holder, "safety_ratings") is not None)
    reasons = [field_of(holder, name) for name in _REASONS]
    told = [reason for reason in reasons if reason is not None and reason != ""]
    finish = finish_of(told[0], numbers=numbers) if told else Finish.UNTOLD
    if any(isinstance(each, str) and each.lower() in _BAD for each in told[1:]):
        return Finish.BAD
    # Gateways call an error of the provider a stop, and hand on its own word beside it.
    native = finish_of(field_of(holder, "native_finish_reason"))
    status = _read_status(holder)
    if native is Finish.BAD or status is Finish.BAD:
        return Finish.BAD
    return finish if told else max(native, status)


def _read_status(holder: Any) -> Finish:
    """Return what the status of a response says."""
    status = field_of(holder, "status")
    if isinstance(status, enum.Enum):
        status = status.value
    if isinstance(status, str) and status:
        finish = _finish_of_word(status)
        # Elsewhere the field may hold anything.
        known = finish is not Finish.BAD or status.lower() in _BAD
        if known or field_of(holder, "object") == "response":
            return finish
    # Ollama, as long as it gave no reason.
    return Finish.GOOD if field_of(holder, "done") is True else Finish.UNTOLD


def _read_trouble(holder: Any) -> Finish:
    """Return BAD where a holder says that the answer is a refusal, was blocked, or failed."""
    if field_of(holder, "error") or field_of(holder, "refusal"):
        return Finish.BAD
    details = field_of(holder, "incomplete_details")
    if details and (not isinstance(details, Mapping) or any(details.values())):
        return Finish.BAD
    for name in ("block_reason", "blockReason"):
        reason = field_of(holder, name)
        # The first member of Gemini's enum stands for none.
        if reason and not str(getattr(reason, "name", reason)).lower().endswith("unspecified"):
            return Finish.BAD
    return Finish.BAD if field_of(holder, "is_blocked") is True else Finish.UNTOLD
