"""Changes that the dashboard asks processes for, each after a confirmation.

Nothing here is reachable unless the dashboard was started with ``--allow-actions``; a process obeys
only if its ledger was made with ``allow_commands=True``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import streamlit as st

from toolops_plugins.dashboard import options, reading
from toolops_plugins.dashboard.formats import escape
from toolops_plugins.dashboard.parts import draw_error
from toolops_plugins.telemetry.ledger import Command, CommandKind, LedgerError, ProcessState

__all__ = ["draw_breaker_buttons", "draw_tag_button"]

_WORDS: Final[dict[CommandKind, tuple[str, str]]] = {
    "open_breaker": ("Open", "Calls are rejected, until it is reset."),
    "close_breaker": ("Close", "Calls go through whatever fails, until it is reset."),
    "reset_breaker": ("Reset", "It closes, and from then on works on its own again."),
}


def draw_breaker_buttons(namespaces: dict[str, set[str]], states: Iterable[ProcessState]) -> None:
    """Draw the choice of a breaker, and buttons that change it.

    Args:
        namespaces: The names of the breakers in each namespace.
        states: The processes, for how many of them obey.
    """
    if not options.current().allow_actions:
        return
    pairs = [(space, name) for space, names in sorted(namespaces.items()) for name in sorted(names)]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        space, name = st.selectbox(
            "Change a breaker",
            pairs,
            format_func=lambda pair: pair[1] if len(namespaces) == 1 else f"{pair[1]} ({pair[0]})",
            key="breaker",
            width=260,
        )
        for kind, (word, _) in _WORDS.items():
            if st.button(word, key=kind):
                _confirm(Command(kind, space, name=name), _obeying(space, states))
    _draw_answer()


def draw_tag_button(namespaces: Iterable[str], states: Iterable[ProcessState]) -> None:
    """Draw a field for a tag, and the button that invalidates it."""
    if not options.current().allow_actions:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        space = st.selectbox("Namespace", sorted(namespaces), key="tag-space", width=200)
        tag = st.text_input("Invalidate a tag", key="tag", placeholder="customer:42", width=260)
        pressed = st.button("Invalidate", key="invalidate", disabled=not tag)
    if pressed and tag and space:
        _confirm(Command("invalidate", space, tags=(tag,)), _obeying(space, states))
    _draw_answer()


def _obeying(namespace: str, states: Iterable[ProcessState]) -> tuple[int, int]:
    """Return how many processes of a namespace take commands, and how many there are."""
    found = [state.allow_commands for state in states if state.namespace == namespace]
    return sum(found), len(found)


@st.dialog("Are you sure?")
def _confirm(command: Command, counts: tuple[int, int]) -> None:
    obeying, all_of_them = counts
    if command.kind == "invalidate":
        st.markdown(f"Delete all results with the tag **{escape(command.tags[0])}**.")
    else:
        word, effect = _WORDS[command.kind]
        st.markdown(f"{word} the breaker **{escape(command.name)}**. {effect}")
    st.markdown(
        f"It is done by {obeying:,} of {all_of_them:,} processes of the namespace "
        f"**{escape(command.namespace)}**: those whose ledger was made with `allow_commands=True`."
    )
    with st.container(horizontal=True):
        if st.button("Do it", type="primary", key="confirm", disabled=not obeying):
            try:
                reading.send(command)
            except LedgerError as error:
                draw_error(error)
                return
            st.session_state["sent"] = command
            st.rerun()
        if st.button("Cancel", key="cancel"):
            st.rerun()


def _draw_answer() -> None:
    """Say once that a command was sent."""
    command: Command | None = st.session_state.pop("sent", None)
    if command is not None:
        st.toast("Sent. Processes carry it out when they next write, within seconds.")
