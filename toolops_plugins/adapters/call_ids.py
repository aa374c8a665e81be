"""Ids of tool calls: new ones in the shape of the old ones, wherever an answer holds them.

A hit may stand in a conversation that holds the answer already, and some providers refuse two calls
of one id. They also refuse ids of another shape than their own: Mistral's have nine letters and
digits, those of Bedrock begin with "tooluse_". So only the letters and digits of an id change, each
into another of its class.
"""

from __future__ import annotations

import os
import re
from typing import Any

__all__ = ["TOOL_CALL_IDS", "CallIds"]

TOOL_CALL_IDS = frozenset(("id", "call_id", "tool_call_id", "tool_id", "tool_use_id", "toolUseId"))
"""Names under which providers and frameworks hold the id of a tool call."""
_HOLDERS = TOOL_CALL_IDS | {"item_id"}
_VERBATIM = frozenset(("args", "arguments", "input", "tool_kwargs"))
"""Names of what a tool is given, in which the ids are the tool's own."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_HEX_UUID = re.compile(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}", re.IGNORECASE)
_VERSIONED = re.compile(r"(?:srv)?toolu_(?:[a-z]+_)?01")
_WORD = re.compile(r"(?:[A-Za-z][a-z]*|\d{1,2})[^A-Za-z0-9]+")
_COUNTER = re.compile(r"[^A-Za-z0-9]\d{1,2}$")
_NAMED = re.compile(r"functions\.[^:]+:\d+")
_BEFORE_NAME = re.compile(r"(?:[A-Za-z]+[^A-Za-z0-9])*")
_AFTER_NAME = re.compile(r"[^A-Za-z0-9]*\d{0,4}")

_DIGITS = "0123456789"
_LOWER = "abcdefghijklmnopqrstuvwxyz"
_UPPER = _LOWER.upper()
_CLASSES = {char: each for each in (_DIGITS, _LOWER, _UPPER) for char in each}
_BITS = {char: 3.32 if each is _DIGITS else 4.7 for char, each in _CLASSES.items()}
_HEX = frozenset("0123456789abcdefABCDEF")
_ENOUGH = 40.0
"""Random bits that leave no two ids alike, so that more of an id may stay as it is."""
_FEW = 14.0
"""Random bits below which an id is a counter."""
_LONG_COUNTER = 15
_TRIES = 16


class CallIds:
    """New ids of the tool calls in one answer, or in one stream, by the old ones."""

    def __init__(self) -> None:
        self._new: dict[str, str] = {}
        self._pieces: dict[str, str] = {}
        """The rest of ids that were known in part, which the provider's own chunks hold."""
        self.keeps_items = False
        """True if the provider knows which items belong to the reasoning before them."""

    def __bool__(self) -> bool:
        return bool(self._new)

    def renew(self, id_: str, tool: str | None = None) -> str:
        """Return an id of the same shape that no other call has; the same one each time.

        An id that is made of the tool's name and a number is left as it is: models write these
        themselves, and go on counting. A number that is too short to be unique gets more digits.

        Args:
            id_: The id of a tool call. In a stream it may be the first part of one.
            tool: The name of the tool.
        """
        new = self._new.get(id_)
        if new is None:
            new = self._new[id_] = self._make(id_, tool)
        return new

    def get(self, id_: str) -> str:
        """Return the new id in place of a known one, and anything else as it is."""
        return self._new.get(id_, id_)

    def add_items(self, content: Any) -> None:
        """Renew the ids of items that hold a call beside its own id, as the Responses API has them.

        Behind a reasoning item they stay: the provider looks that up by its id, and knows which
        item belongs to it.
        """
        for block in content if isinstance(content, list) else ():
            if not isinstance(block, dict):
                continue
            if block.get("type") == "reasoning":
                self.keeps_items = True
            extras = block.get("extras")
            if block.get("call_id") in self._new:
                self.add_item(block.get("id"))
            elif block.get("id") in self._new and isinstance(extras, dict):
                self.add_item(extras.get("item_id"))

    def add_item(self, id_: Any) -> None:
        """Renew the id of one such item."""
        if isinstance(id_, str) and id_ and not self.keeps_items:
            self.renew(id_)

    def replace(self, value: Any, name: str = "") -> Any:
        """Return a value with the new ids at any depth.

        Args:
            value: Plain data, which is left as it is; objects of pydantic in it are changed.
            name: The name under which it stands.
        """
        if isinstance(value, str):
            if name not in _HOLDERS:
                return value
            return self._new.get(value) or self._pieces.get(value, value)
        if isinstance(value, list):
            return [self.replace(each, name if isinstance(each, list) else "") for each in value]
        if isinstance(value, dict):
            if value.keys() <= self._new.keys():
                # By the ids of calls LangChain holds those of the Responses API's items, and the
                # signatures of thoughts that Gemini refuses to go on without.
                return {self.get(id_): self._replace_by_call(each) for id_, each in value.items()}
            return {
                key: content if key in _VERBATIM else self.replace(content, key)
                for key, content in value.items()
            }
        if hasattr(type(value), "model_fields"):
            for fields in (vars(value), getattr(value, "__pydantic_extra__", None)):
                if fields:
                    fields.update(self.replace(fields))
        return value

    def _replace_by_call(self, value: Any) -> Any:
        return self.get(value) if isinstance(value, str) else self.replace(value)

    def _make(self, id_: str, tool: str | None) -> str:
        # A word with no more than its separator is the first part of an id in a stream.
        if not id_ or _is_named(id_, tool) or _WORD.fullmatch(id_):
            return id_
        begun = max((old for old in self._new if id_.startswith(old)), key=len, default="")
        taken = {id_, *self._new, *self._new.values()}
        made = id_
        for _ in range(_TRIES):
            made = _draw(id_, tool)
            if begun and len(made) == len(id_) and len(self._new[begun]) == len(begun):
                made = self._new[begun] + made[len(begun) :]
                self._pieces[id_[len(begun) :]] = made[len(begun) :]
            if made not in taken:
                return made
        # All that its length allows may be in use, or it has neither letters nor digits.
        return made + _scramble("0" * _LONG_COUNTER)


def _is_named(id_: str, tool: str | None) -> bool:
    """Return whether an id is made of the tool's name and perhaps a number."""
    if _NAMED.fullmatch(id_):
        return True
    end = _end_of_name(id_, tool)
    return end > 0 and _AFTER_NAME.fullmatch(id_, end) is not None


def _end_of_name(id_: str, tool: str | None) -> int:
    """Return where the name of the tool ends in its id, or 0."""
    begin = id_.find(tool) if tool else -1
    if begin < 0 or tool is None or not _BEFORE_NAME.fullmatch(id_, 0, begin):
        return 0
    end = begin + len(tool)
    return end if end == len(id_) or not id_[end].isalnum() else 0


def _draw(id_: str, tool: str | None) -> str:
    """Return an id of the same shape, drawn at random."""
    uuid = _UUID.search(id_)
    if uuid is not None:
        begin, end = uuid.span()
        version, variant = begin + 14, begin + 19
        parts = (begin, version), (version + 1, variant), (variant + 1, end)
        return _redraw(id_, parts)
    begin, end = _random_part(id_, tool)
    if _HEX_UUID.fullmatch(id_, begin, end):
        parts = (begin, begin + 12), (begin + 13, begin + 16), (begin + 17, end)
        return _redraw(id_, parts)
    body = id_[begin:end]
    if 0 < _bits_of(body) < _FEW:
        chars = [char for char in body if char in _CLASSES]
        body += "".join(chars[i % len(chars)] for i in range(_LONG_COUNTER - len(chars)))
    return id_[:begin] + _scramble(body) + id_[end:]


def _redraw(id_: str, parts: tuple[tuple[int, int], ...]) -> str:
    """Return an id with other hexadecimal digits in some parts."""
    for begin, end in parts:
        id_ = id_[:begin] + _scramble(id_[begin:end], is_hex=True) + id_[end:]
    return id_


def _random_part(id_: str, tool: str | None) -> tuple[int, int]:
    """Return where in an id the part begins that tells it from others, and where it ends."""
    end = len(id_)
    begin = _end_of_name(id_, tool)
    versioned = _VERSIONED.match(id_)
    if versioned is not None and versioned.end() < end:
        return versioned.end(), end
    while (word := _WORD.match(id_, begin)) is not None and word.end() < end:
        if begin and _bits_of(id_[word.end() :]) < _ENOUGH:
            break
        begin = word.end()
    counter = _COUNTER.search(id_, begin)
    if counter is not None and _bits_of(id_[begin : counter.start()]) >= _ENOUGH:
        end = counter.start()
    return begin, end


def _bits_of(text: str) -> float:
    return sum(_BITS.get(char, 0.0) for char in text)


def _scramble(text: str, *, is_hex: bool = False) -> str:
    """Return a text of other letters and digits, each of the class of the one in its place."""
    is_hex = is_hex or all(char in _HEX for char in text if char in _CLASSES)
    # Not of ``random``, which a seed of the user's makes repeat itself.
    number = int.from_bytes(os.urandom(len(text) + 8))
    made = []
    for char in text:
        each = _CLASSES.get(char)
        if each is None:
            made.append(char)
            continue
        number, index = divmod(number, 6 if is_hex and each is not _DIGITS else len(each))
        made.append(each[index])
    return "".join(made)
