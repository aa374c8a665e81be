"""The plot of an audit of the semantic cache, as PNG or as an HTML page with all tables."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from toolops_plugins.audit.semantic_advice import advice, guard_legend, legend, warnings
from toolops_plugins.audit.semantic_report import Rows, assumptions, guard_rows, rows_by_setting
from toolops_plugins.audit.semantic_result import Pair, Result, Tally
from toolops_plugins.audit.text import printable, several
from toolops_plugins.errors import ConfigurationError

__all__ = ["check_plot", "save"]

_GUARDED, _BARE, _BOUNDED = "#1764ab", "#b5b5b5", "#d4590b"
_BARE_TEXT = "#808080"
_INK, _FAINT = "#262626", "#d9d9d9"


def check_plot(file: str) -> Path:
    """Return the path of the plot, after checking that it can be made.

    Raises:
        ConfigurationError: The file is not PNG or HTML, its folder is missing, or matplotlib is not
            installed.
    """
    path = Path(file)
    if path.suffix.lower() not in (".png", ".html", ".htm"):
        raise ConfigurationError("--plot", f"{file}: must end in .png or .html")
    if path.is_dir() or not path.parent.is_dir():
        raise ConfigurationError("--plot", f"{file}: there is no folder {path.parent} to put it in")
    try:
        import matplotlib  # noqa: F401, ICN001, PLC0415 - an extra, and slow to import
    except ImportError:
        raise ConfigurationError(
            "--plot", 'needs one more package: pip install "toolops-plugins[plot]"'
        ) from None
    return path


def save(path: Path, result: Result, source: str, top: int) -> None:
    """Plot a result and write the file.

    Args:
        path: The result of :func:`check_plot`.
        result: The result.
        source: A short name of the log.
        top: Number of pairs of each kind on the page.

    Raises:
        ConfigurationError: The file could not be written.
    """
    if path.suffix.lower() == ".png":
        data = _render(result, source, "png")
    else:
        picture = _render(result, source, "svg").decode()
        data = _page(result, source, top, picture[picture.index("<svg") :]).encode()
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ConfigurationError("--plot", f"{path}: {error.strerror}") from None


# The picture --------------------------------------------------------------------------------------


def _render(result: Result, source: str, form: str) -> bytes:
    import matplotlib as mpl  # noqa: PLC0415 - an extra, and slow to import
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    # The default style, so that labels fit; texts as curves, which look the same everywhere; and a
    # fixed salt, so that equal results give equal files.
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update({"font.size": 10, "svg.hashsalt": "toolops", "text.parse_math": False})
        figure = Figure(figsize=(8.4, 5.6), layout="constrained", facecolor="white")
        axes = figure.add_subplot()
        _draw(axes, result)
        title = f"{_short(printable(source), 60)}: {several(len(result.questions), 'request')}"
        axes.set_title(f"{title}, {result.embedder}", loc="left", fontsize=11, color=_INK)
        out = io.BytesIO()
        facts = {"Software": None} if form == "png" else {"Date": None, "Creator": None}
        figure.savefig(out, format=form, dpi=150, metadata=facts)
    return out.getvalue()


def _draw(axes: Any, result: Result) -> None:
    by_way = {
        (policy, on): sorted(
            (t for t in result.tallies if _way(t) == (policy, on)),
            key=lambda tally: tally.setting.value,
        )
        for policy, on in (("threshold", True), ("threshold", False), ("bounded", True))
    }
    guarded, bare = by_way["threshold", True], by_way["threshold", False]
    bounded = by_way["bounded", True]
    if result.judged:
        _draw_judgements(axes, result, guarded, bare, bounded)
    else:
        for tallies, color, label in (
            (bare, _BARE, "no guards"),
            (guarded, _GUARDED, "with guards"),
        ):
            values = [tally.setting.value for tally in tallies]
            rates = [100 * tally.hit_rate for tally in tallies]
            axes.plot(values, rates, "o-", color=color, markersize=5, label=label)
        (tally,) = [tally for tally in result.tallies if tally.setting == result.setting]
        place = tally.setting.value, 100 * tally.hit_rate
        _mark(axes, tally, place, _GUARDED)
        axes.set_xlabel("threshold: least similarity to be served")
        axes.set_ylim(0, None)
    axes.set_ylabel("hit rate, % of all requests")
    axes.grid(color=_FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right" if result.judged else "upper right")


def _way(tally: Tally) -> tuple[str, bool]:
    """Return the curve of a setting; the calibrated thresholds are a point beside the others."""
    return "calibrated" if tally.setting.calibrated else tally.setting.policy, tally.setting.guarded


def _mark(axes: Any, tally: Tally, place: tuple[float, float], color: str) -> None:
    """Mark the inspected setting."""
    axes.plot(*place, "*", color=color, markersize=15, markeredgecolor="white", zorder=4)
    setting = tally.setting
    text, offset = f"{setting.value:.4g} given", (9, -12)
    if setting.calibrated:
        text = "calibrated"
    elif setting.default:
        text, offset = f"default, {100 * setting.value:.4g}%", (2, 10)
    _label(axes, text, place, offset, color, bold=True)


def _draw_judgements(
    axes: Any,
    result: Result,
    guarded: Sequence[Tally],
    bare: Sequence[Tally],
    bounded: Sequence[Tally],
) -> None:
    right = _right(result, guarded, bare)
    shown = [tally for tally in result.tallies if _place(tally)[0] <= right]
    top = 1.12 * max([_place(tally)[1] for tally in shown], default=0.0) or 1.0
    axes.set_xlim(-0.02 * right, right)
    axes.set_ylim(0, top)
    for bound in result.bounds:
        axes.axvline(100 * bound, color=_BOUNDED, linewidth=1, linestyle=(0, (4, 4)), alpha=0.7)
        _label(axes, f"{100 * bound:.4g}%", (100 * bound, top), (3, -4), _BOUNDED, va="top")
    for tallies, color, label in (
        (bare, _BARE, "threshold, no guards"),
        (guarded, _GUARDED, "threshold, with guards"),
    ):
        x, y = [_place(tally)[0] for tally in tallies], [_place(tally)[1] for tally in tallies]
        axes.plot(x, y, "o-", color=color, markersize=5, label=label)
    for tally in bare:
        u, v = _place(tally)
        # Its label stands below on the right, those with guards have theirs above on the left.
        off = [((p - u) / right, (v - q) / top) for p, q in map(_place, guarded)]
        if u <= 0.95 * right and not any(-0.01 < a < 0.12 and -0.02 < b < 0.13 for a, b in off):
            _label(axes, f"{tally.setting.value:.4g}", (u, v), (6, -11), _BARE_TEXT)
    for tally in guarded:
        place = _place(tally)
        offset = (-7, 4) if place[0] > 0.06 * right else (7, -4)
        if tally.setting != result.setting:
            _label(axes, f"{tally.setting.value:.4g}", place, offset, _GUARDED)
    for tally in result.tallies:
        if tally.setting.calibrated and _place(tally)[0] <= right:
            axes.plot(*_place(tally), "o", color=_GUARDED, fillstyle="none", markersize=8)
            _label(axes, "calibrated", _place(tally), (9, -10), _GUARDED)
    if bounded:
        shares = [tally.wrong_of_all for tally in bounded]
        reach = [
            [100 * (share.value - share.low) for share in shares],
            [100 * (share.high - share.value) for share in shares],
        ]
        x, y = [_place(tally)[0] for tally in bounded], [_place(tally)[1] for tally in bounded]
        axes.errorbar(
            x, y, xerr=reach, fmt="D", color=_BOUNDED, markersize=7, capsize=3, linewidth=1,
            label="max_error, with 95% interval; bounds dashed",
        )  # fmt: skip
        for tally in bounded:
            if tally.setting != result.setting:
                text = f"{100 * tally.setting.value:.4g}%"
                _label(axes, text, _place(tally), (0, 9), _BOUNDED, bold=True, ha="center")
    (chosen,) = [tally for tally in result.tallies if tally.setting == result.setting]
    color = _BOUNDED if chosen.setting.policy == "bounded" else _GUARDED
    _mark(axes, chosen, _place(chosen), color)
    axes.set_xlabel("wrong answers, % of all requests")


def _label(
    axes: Any,
    text: str,
    place: tuple[float, float],
    offset: tuple[int, int],
    color: str,
    *,
    bold: bool = False,
    ha: str | None = None,
    va: str = "baseline",
) -> None:
    from matplotlib.patheffects import withStroke  # noqa: PLC0415 - as above

    axes.annotate(
        text, place, xytext=offset, textcoords="offset points", color=color, fontsize=9,
        ha=ha or ("right" if offset[0] < 0 else "left"), va=va,
        fontweight="bold" if bold else "normal",
        path_effects=[withStroke(linewidth=3, foreground="white")],
    )  # fmt: skip


def _place(tally: Tally) -> tuple[float, float]:
    """Return the position of a setting in the plot, in per cent."""
    return 100 * tally.wrong_of_all.value, 100 * tally.hit_rate


def _right(result: Result, guarded: Sequence[Tally], bare: Sequence[Tally]) -> float:
    """Return the end of the axis, chosen so that distant settings do not crowd the others."""
    far = max([_place(tally)[0] for tally in (*guarded, *bare)], default=0.0)
    bound = 100 * max(result.bounds)
    near = 1.25 * max([bound, *(_place(tally)[0] for tally in guarded)])
    return max(min(1.05 * far, near), 1.1 * bound)


# The page -----------------------------------------------------------------------------------------

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #262626; max-width: 60em; margin: 2em auto;
  padding: 0 1em; }
h1 { font-size: 1.4em; } h2 { font-size: 1.1em; margin-top: 2em; }
svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { padding: .25em .8em; border-bottom: 1px solid #ddd; text-align: right;
  vertical-align: top; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child, .pairs th, .pairs td { text-align: left; }
small, .faint { color: #707070; } .warning { color: #9a5b00; }
"""


def _page(result: Result, source: str, top: int, picture: str) -> str:
    watched, vetoing = f"under {result.setting.code}", f"under {result.vetoing.code}"
    body: list[str] = [
        f"<h1>{_escape(source)}</h1>",
        f'<p class="faint">{"<br>".join(map(_escape, assumptions(result)))}</p>',
        *(f"<p>{_escape(sentence)}</p>" for sentence in advice(result)),
        *(f'<p class="warning">{_escape(warning)}</p>' for warning in warnings(result)),
        picture,
        *map(_table, rows_by_setting(result)),
    ]
    if result.judged:
        body.append(f'<p class="faint">{_escape(legend(result))}</p>')
    if result.guarding:
        body += [
            _section_title(f"What the guards vetoed first, {vetoing}"),
            _table(guard_rows(result)),
        ]
        body.append(f'<p class="faint">{_escape(guard_legend(result))}</p>')
    if result.judged:
        kinds = [(f"Wrong answers, {watched}, the most similar", result.wrong)]
    else:
        kinds = [
            (f"Served, {watched}, the least similar", result.doubtful),
            (f"Vetoed, {vetoing}, the most similar", result.vetoed),
        ]
    for title, pairs in kinds:
        if pairs[:top]:
            body += [_section_title(title), _pairs(pairs[:top])]
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{_escape(source)}</title>\n<style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _section_title(title: str) -> str:
    return f"<h2>{_escape(title)}</h2>"


def _table(rows: Rows) -> str:
    return f"<table>{''.join(_lines(rows))}</table>"


def _lines(rows: Rows) -> Iterator[str]:
    for number, row in enumerate(rows):
        tag = "td" if number else "th"
        yield f"<tr>{''.join(f'<{tag}>{_escape(cell)}</{tag}>' for cell in row)}</tr>\n"


def _pairs(pairs: Sequence[Pair]) -> str:
    lines = ["<tr><th>similarity</th><th>question</th><th>stored question</th></tr>"]
    for pair in pairs:
        veto = "" if pair.guard is None else f"{pair.guard}: {pair.reason}"
        sides = (
            _side(pair.question, pair.line, pair.truth),
            _side(pair.matched, pair.matched_line, pair.matched_truth),
        )
        said = f"<br><small>{_escape(veto)}</small>" if veto else ""
        lines.append(
            f"<tr><td>{pair.similarity:.3f}</td><td>{sides[0]}{said}</td><td>{sides[1]}</td></tr>"
        )
    table = "\n".join(lines)
    return f'<table class="pairs">{table}</table>'


def _side(question: str, line: int, truth: str | None) -> str:
    known = "" if truth is None else f" {_escape(_short(truth, 60))}"
    return f"{_escape(_short(question, 400))}<br><small>line {line:,}{known}</small>"


def _escape(text: str) -> str:
    return escape(printable(text))


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
