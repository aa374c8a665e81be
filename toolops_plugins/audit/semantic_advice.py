"""Advice and warnings drawn from replays through the semantic cache."""

from __future__ import annotations

from collections.abc import Iterator

from toolops_plugins.audit.semantic_result import Result, Setting, Share, Tally
from toolops_plugins.audit.text import several, span
from toolops_plugins.semantic.lookup import DEFAULT_MAX_ERROR
from toolops_plugins.telemetry.formats import money

__all__ = [
    "advice",
    "guard_legend",
    "legend",
    "percent",
    "setting_name",
    "share_text",
    "warnings",
]


def percent(share: float) -> str:
    """Return a share in per cent, with about three digits."""
    return f"{share:.2%}" if share < 0.09995 else f"{share:.1%}"


def share_text(share: Share) -> str:
    """Return a share with its interval, such as "1.38% (1.20-1.60)"."""
    low, high = percent(share.low)[:-1], percent(share.high)[:-1]
    return f"{percent(share.value)} ({low}-{high})"


def setting_name(tally: Tally) -> str:
    """Return a setting in words."""
    setting = tally.setting
    if setting.policy == "bounded":
        return f"max_error {setting.value:.4g}"
    return f"threshold {setting.value:.4g}" + ("" if setting.guarded else ", no guards")


def advice(result: Result) -> Iterator[str]:
    """Yield advice, a sentence or two for each bound."""
    if not result.judged:
        yield from _advice_by_eye(result)
        return
    for bound in result.bounds:
        yield _advice(result, bound)


def _advice(result: Result, bound: float) -> str:
    """Return the setting with the most hits within a bound, and its savings, as a sentence.

    A threshold is chosen after the fact, and the best of several looks better than it is; so its
    whole interval must be below the bound. The bounded policy knows its bound beforehand; so its
    measured share must be below the bound, and it must have served at least one paraphrase. A
    setting without guards is never advised, because the errors that guards prevent are rare and may
    be missing from the log; nor are the calibrated thresholds, which tools do not have.
    """
    settable = [tally for tally in result.tallies if not tally.setting.calibrated]
    guarded = [tally for tally in settable if tally.setting.guarded]
    fit = [tally for tally in guarded if tally.hits and _fits(tally, bound)]
    start = f"For at most {_plain(bound)} wrong answers"
    if not fit:
        none = setting_name(min(guarded, key=lambda tally: tally.wrong_of_all.high))
        least = min(tally.wrong_of_all.high for tally in guarded)
        return (
            f"{start}: nothing that was tried is sure to keep that with {len(result.questions):,} "
            f"requests; the safest, {none}, may still give up to {percent(least)}. Share exact "
            "repeats only, or try again with a longer log."
        )
    best = max(fit, key=lambda tally: (tally.hit_rate, -tally.wrong))
    share = best.wrong_of_all
    return (
        f"{start}: {best.setting.code} answers {percent(best.hit_rate)} of the requests from the "
        f"cache, {percent(share.value)} of all wrongly (95% interval {percent(share.low)} to "
        f"{percent(share.high)}), and saves {_savings(result, best)}."
    )


def _fits(tally: Tally, bound: float) -> bool:
    share = tally.wrong_of_all
    if tally.setting.policy == "bounded":
        learned = tally.hits > tally.exact
        return learned and tally.setting.value <= bound and share.value <= bound
    return share.high <= bound


def _plain(share: float) -> str:
    return f"{100 * share:.4g}%"


def _savings(result: Result, tally: Tally) -> str:
    requests = len(result.questions)
    spent, waited = requests * result.price, requests * result.latency
    cost = f"{money(result.saved_money(tally))} of {money(spent)}" if spent else ""
    time = f"{span(result.saved_seconds(tally))} of {span(waited)}" if waited else ""
    return " and ".join(filter(None, (cost, time))) or several(
        round(tally.hit_rate * requests), "call"
    )


def _advice_by_eye(result: Result) -> Iterator[str]:
    watched = next(tally for tally in result.tallies if tally.setting == result.setting)
    if not watched.hits and not result.vetoed:
        yield f"No two of these questions are as near as {watched.setting.value:.4g}."
        return
    yield (
        f"{watched.setting.code} would answer {percent(watched.hit_rate)} of the requests and save "
        f"{_savings(result, watched)}. How many of these answers would be wrong, the log does not "
        "say: read the pairs."
    )
    if result.doubtful:
        yield (
            "Served: where two questions want different answers, set a threshold above that pair's "
            "similarity; if none does, a lower threshold may do as well."
        )
    if result.vetoed:
        yield (
            "Vetoed: where two questions want the same answer, the guard is too careful for your "
            "questions; guards= takes the names of those to keep."
        )
    yield (
        "Better than eyes: a column that is equal where the same answer is wanted, such as an "
        "intent or the logged answer. Name it with --truth: then wrong answers are counted, and "
        f"the default is replayed, max_error={DEFAULT_MAX_ERROR:.4g}, which learns from answers."
    )


def legend(result: Result) -> str:
    """Return the legend of the table of settings."""
    orders = f"; mean of {len(result.orders)} orders" if len(result.orders) > 1 else ""
    return f"of all requests, of hits: wrong answers, with their 95% interval{orders}"


def guard_legend(result: Result) -> str:
    """Return the legend of the table of guards."""
    bare = Setting("threshold", result.vetoing.value, guarded=False)
    tally = next(tally for tally in result.tallies if tally.setting == bare)
    if not result.judged:
        return f"without guards {percent(tally.hit_rate)} of all requests would be answered"
    share = percent(tally.wrong_of_hits.value)
    return f"rightly: the answers differ; of all hits without guards, they do in {share}"


def warnings(result: Result) -> Iterator[str]:
    """Yield the limits of the numbers as warnings."""
    questions = result.questions
    if result.interrupted:
        yield "Stopped before the end: the numbers are those of the part that was replayed."
    if questions.cut:
        yield (
            f"Only the first {len(questions):,} questions were looked at; --limit takes another "
            "number, or 0 for all."
        )
    for reason, count in questions.skipped.items():
        yield f"{several(count, 'line')} left out: {reason}."
    answers = len(questions.truths)
    if result.judged and 2 * answers > result.distinct:
        free = " (long texts hardly ever repeat to the letter)" if questions.free else ""
        yield (
            f"{questions.fields.truth!r} has {answers:,} values in {len(questions):,} questions"
            f"{free}: where hardly two are equal, nearly every shared answer counts as wrong."
        )
    exact = next(tally for tally in result.tallies if tally.setting == result.setting)
    if exact.exact_wrong:
        yield (
            f"{several(round(exact.exact_wrong / exact.orders), 'repeat')} of a question in the "
            "same words had another truth than before: counted as wrong, although no cache could "
            "tell. Perhaps the answer depends on what --field should name."
        )
