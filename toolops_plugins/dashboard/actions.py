"""Changes that the dashboard asks processes for, each after a confirmation.

Nothing here is reachable unless the dashboard was started with ``--allow-actions``; a process obeys
only if its ledger was made with ``allow_commands=True``.
"""

from __future__ import annotations

from collections.abc import Mapping
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

_ASKED: Final = "toolops_asked"
_SENT: Final = "toolops_sent"
_FAILED: Final = "toolops_failed"


def draw_breaker_buttons(namespaces: Mapping[str, set[str]], states: list[ProcessState]) -> None:
    """Draw the choice of a breaker, and buttons that change it, if that is allowed.

    Args:
        namespaces: The names of the breakers in each namespace.
        states: The processes.
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
            st.button(word, key=kind, on_click=_ask, args=(Command(kind, space, name=name),))
    _draw_question(states, tuple(_WORDS))


def draw_tag_button(states: list[ProcessState]) -> None:
    """Draw a field for a tag, and the button that invalidates it, if that is allowed."""
    if not options.current().allow_actions or not states:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        space = st.selectbox(
            "Namespace", sorted({state.namespace for state in states}), key="tag-space", width=200
        )
        tag = st.text_input("Invalidate a tag", key="tag", placeholder="customer:42", width=260)
        command = Command("invalidate", space, tags=(tag,))
        st.button("Invalidate", key="invalidate", disabled=not tag, on_click=_ask, args=(command,))
    _draw_question(states, ("invalidate",))


def _ask(command: Command | None) -> None:
    """Set the command that is to be confirmed."""
    st.session_state[_ASKED] = command


def _draw_question(states: list[ProcessState], kinds: tuple[CommandKind, ...]) -> None:
    """Draw the question for a confirmation, or what became of it.

    It stands in the page: a dialog would be closed by the next refresh.
    """
    failure = st.session_state.pop(_FAILED, None)
    if failure is not None:
        draw_error(failure)
    if st.session_state.pop(_SENT, False):
        st.toast("Sent. Processes carry it out when they next write, within seconds.")
    command: Command | None = st.session_state.get(_ASKED)
    if command is None or command.kind not in kinds:
        return
    obeying = [state for state in states if state.namespace == command.namespace]
    allowed = sum(state.allow_commands for state in obeying)
    with st.container(border=True, key="question"):
        if command.kind == "invalidate":
            st.markdown(f"Delete all results with the tag **{escape(command.tags[0])}**?")
        else:
            word, effect = _WORDS[command.kind]
            st.markdown(f"{word} the breaker **{escape(command.name)}**? {effect}")
        st.markdown(
            f"{allowed:,} of {len(obeying):,} processes of the namespace "
            f"**{escape(command.namespace)}** do so: those whose ledger was made with "
            "`allow_commands=True`."
        )
        with st.container(horizontal=True):
            st.button(
                "Do it",
                type="primary",
                key="confirm",
                disabled=not allowed,
                on_click=_send,
                args=(command,),
            )
            st.button("Cancel", key="cancel", on_click=_ask, args=(None,))


def _send(command: Command) -> None:
    _ask(None)
    try:
        reading.send(command)
    except LedgerError as error:
        st.session_state[_FAILED] = error
    else:
        st.session_state[_SENT] = True
