"""Common English words: what tells a real word from a typing error.

A typing error is a word that is none. These are the words of everyday questions, and above all
those that lie within one or two letters of another such word.
"""

from __future__ import annotations

from toolops_plugins.semantic.guards import words_a_c, words_d_h, words_i_p, words_q_z

__all__ = ["REAL_WORDS"]

REAL_WORDS = f"{words_a_c.WORDS} {words_d_h.WORDS} {words_i_p.WORDS} {words_q_z.WORDS}"
"""Words, kept apart by white space; regular inflections are left out."""
