"""Conversations as keys see them: the question, and everything else that reaches the model.

Two runs of one agent differ in the ids of their tool calls, which change nothing in what the model
is asked. In keys tool calls are numbers, in the order in which they appear, so that calls and
results still belong together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO, IOBase
from pathlib import Path
from typing import Any, TypeAlias

from toolops_plugins.adapters.answers import field_of
from toolops_plugins.adapters.call_ids import TOOL_CALL_IDS

__all__ = ["CallNumbers", "Question", "names_file", "reads_files", "split_question"]

Question: TypeAlias = tuple[str, list[Any]]
"""The question, "" if there is none, and everything else that reaches the model."""
_NAMES = sorted(TOOL_CALL_IDS)
_GENERATED = ("id", "index")
"""Names under which a block may hold what the framework has made itself."""
_VERBATIM = frozenset(("args", "arguments", "input", "json", "output", "response"))
"""Names of what a tool was given or has returned; the names inside of it are the tool's own."""


class CallNumbers:
    """The numbers of a conversation's tool calls, by their ids.

    Args:
        plain: Turns an object that is no text, list, tuple or mapping into one of these, or leaves
            it as it is. None: all are left.
        is_generated: Returns whether an ``id``, or the ``index`` of a block, is one that the
            framework has made itself, so that the provider knows nothing by it. None: none is.
    """

    def __init__(
        self,
        plain: Callable[[Any], Any] | None = None,
        is_generated: Callable[[str], bool] | None = None,
    ) -> None:
        self._numbers: dict[str, int] = {}
        self._plain = plain
        self._is_generated = is_generated

    def number(self, id_: Any) -> int | None:
        """Return the number of a tool call, a new one for a new id; None for what is no id."""
        if not isinstance(id_, str) or not id_:
            return None
        return self._numbers.setdefault(id_, len(self._numbers))

    def add(self, call: Any) -> None:
        """Give a number to each id of a tool call in the form of any provider."""
        for name in _NAMES:
            self.number(field_of(call, name))
        inner = field_of(call, "function_call")
        if inner is not None:
            self.number(field_of(inner, "id"))

    def replace(self, value: Any, name: str = "") -> Any:
        """Return a value with numbers in place of the ids of tool calls, at any depth.

        Only the ids of calls that have a number are replaced, and left out are ids that the
        framework has generated and those of the items that hold a call. Another id may be that of
        a file or of a thought, and tells two conversations apart.

        Args:
            value: The value; it is left as it is.
            name: The name under which it stands.
        """
        if isinstance(value, str):
            return ["call", self._numbers[value]] if self._is_call(name, value) else value
        if isinstance(value, Mapping):
            if value and all(key in self._numbers for key in value):  # such as by call: signatures
                by_call = {self._numbers[key]: each for key, each in value.items()}
                return ["by call", [[n, self.replace(by_call[n])] for n in sorted(by_call)]]
            of_item = self._item_id(value, name)
            return {
                key: each if key in _VERBATIM else self.replace(each, key)
                for key, each in value.items()
                if not (key == of_item or (key in _GENERATED and self._was_generated(each)))
            }
        if isinstance(value, list | tuple):
            return [self.replace(each, name) for each in value]
        plain = value if self._plain is None else self._plain(value)
        return value if plain is value else self.replace(plain, name)

    def _was_generated(self, value: Any) -> bool:
        return (
            self._is_generated is not None
            and isinstance(value, str)
            and not self._is_call("id", value)
            and self._is_generated(value)
        )

    def _item_id(self, block: Mapping[str, Any], name: str) -> str | None:
        """Return the name of the id of the item that holds a call, in the Responses API.

        It stands beside the call's own, or among the extras of LangChain's form of a call.
        """
        if self._is_call("call_id", block.get("call_id")):
            return "id"
        return "item_id" if name == "extras" else None

    def _is_call(self, name: str, value: Any) -> bool:
        return name in TOOL_CALL_IDS and isinstance(value, str) and value in self._numbers


def split_question(
    turns: list[list[Any]],
    is_question: Callable[[int], bool | None],
    text_of: Callable[[Any], str | None],
    *,
    after_tools: bool,
) -> Question:
    """Return the last question of a conversation, and the conversation without it.

    Args:
        turns: The messages, each as a list of its role, its content (a text, or a list of blocks)
            and anything else that counts; the content of the question is taken out.
        is_question: Returns for the index of a message whether it is the user's question. None:
            it stands where the question should be and is none, so that there is no question.
        text_of: Returns the text of a block, or None for something else, such as a picture; that
            stays in its place.
        after_tools: Whether the user's last message is still the question when others follow it.
    """
    last = len(turns) - 1
    while last >= 0:
        found = is_question(last)
        if found:
            break
        last = last - 1 if after_tools and found is not None else -1
    if last < 0:
        return "", turns
    content = turns[last][1]
    if isinstance(content, str):
        turns[last][1] = None
        return content, turns
    texts = [text_of(block) for block in content]
    rest = [block if text is None else None for block, text in zip(content, texts, strict=True)]
    parts = [text for text in texts if text is not None]
    if len(parts) > 1 and any("\n" in text for text in parts):
        rest.append([len(text) for text in parts])  # where one ends and the next begins
    turns[last][1] = rest
    return "\n".join(parts), turns


_PLAIN = frozenset({type(None), str, bytes, bool, int, float})
_MOST_PARTS = 100_000
"""The parts of a conversation that are looked at on an event loop; one may contain itself."""


def names_file(value: Any) -> bool:
    """Return whether an object of a conversation names a file, whose content may change."""
    return isinstance(getattr(value, "path", None), str | Path)


def _is_file(value: Any) -> bool:
    return isinstance(value, IOBase) and not isinstance(value, BytesIO)


def reads_files(value: Any) -> bool:
    """Return whether files have to be read to know what a conversation asks.

    Args:
        value: The conversation, or any part of it.

    Returns:
        True also for a conversation of so many parts that it is not searched for files.
    """
    pending = [value]
    for part in pending:  # which grows meanwhile
        kind = type(part)
        if kind in _PLAIN or issubclass(kind, str):
            continue
        if kind is dict:
            pending += part.values()
        elif isinstance(part, list | tuple):
            pending += part
        elif hasattr(kind, "model_fields"):
            fields = vars(part)
            if isinstance(fields.get("path"), str | Path) or any(map(_is_file, fields.values())):
                return True
            pending += fields.values()
        elif isinstance(part, Mapping):
            pending += part.values()
        if len(pending) > _MOST_PARTS:
            return True
    return False
