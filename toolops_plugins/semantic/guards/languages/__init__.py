"""German, French, Spanish, Portuguese, Italian and Dutch: what two questions have in common."""

from __future__ import annotations

from toolops_plugins.semantic.guards.languages.comparison import are_equal
from toolops_plugins.semantic.guards.languages.content import Content
from toolops_plugins.semantic.guards.languages.reader import read_content
from toolops_plugins.semantic.guards.languages.word_lists import LANGUAGES

__all__ = ["LANGUAGES", "Content", "are_equal", "read_content"]
