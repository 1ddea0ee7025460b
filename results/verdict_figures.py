"""A verdict as pictures: differences of scores, performance profiles, learning rates."""

from typing import Any

import numpy as np

from engine.metrics import metric_named
from results.drawing import (
    DOUBLE,
    add_caption,
    add_legend,
    blank,
    content,
    line_style,
    set_ticks,
    set_value_ticks,
    styled,
    wrap_label,
)
from results.figures import LOST, lost_style
from results.standing import Standing, profile
from results.study import Study
from results.style import HUES, Look, looks
from results.suite import task_of
from results.symbols import plain
from results.verdict import TaskVerdict, Verdict, times

LARGEST_FACTOR = 10.0
FACTORS = 200


def draw(found: Verdict, studies: list[Study], made_with: str) -> dict[str, bytes]:
    """Each picture as PNG and PDF, by the last parts of their files' names."""
    with styled():
        drawings = {
            "scores": draw_scores(found, made_with),
            "rates": draw_rates(found, studies, made_with),
        }
        if found.others:
            drawings["profile"] = draw_profiles(found, studies, made_with)
        return {
            f"{name}.{kind}": content(drawing, kind)
            for name, drawing in drawings.items()
            for kind in ("png", "pdf")
        }


def looks_of(found: Verdict, studies: list[Study]) -> dict[str, Look]:
    """How the suite's optimizers and the two that are compared are drawn, as in its studies."""
    named = {optim: {"optim": optim} for optim in (found.optim, found.against, *found.others)}
    return looks(named | {row: rows for study in studies for row, rows in study.rows.items()})


def draw_scores(found: Verdict, made_with: str) -> Any:
    """The difference on each task, with its interval."""
    title = f"{found.optim} against {found.against}: difference of scores, seed by seed"
    drawing, [axes] = blank(1, 1, 0.6 + 0.28 * len(found.tasks), DOUBLE)
    for place, task in enumerate(found.tasks):
        draw_score(axes, place, task)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(found.tasks)), [plain(task.task) for task in found.tasks])
    axes.set_ylim(len(found.tasks) - 0.5, -0.5)
    learned = f"in units of what {found.against} learns"
    axes.set_xlabel(plain(f"difference of scores, {learned}; above 0 {found.optim} is better"))
    axes.grid(True, axis="x")
    add_caption(drawing, [title, f"{made_with}, mean and 95% interval"])
    return drawing


def draw_score(axes: Any, place: int, task: TaskVerdict) -> None:
    hue = {"better": "green", "worse": "vermillion"}.get(task.judgement, "grey")
    colour, _ = HUES[hue]
    if task.final is None:
        text = plain(task.judgement if task.worse else "not compared")
        axes.annotate(text, (0, place), xytext=(6, 0), textcoords="offset points", va="center",
                      color=colour)  # fmt: skip
        return
    difference = task.final.difference
    if difference.low is not None and difference.high is not None:
        axes.plot([difference.low, difference.high], [place, place], color=colour, linewidth=2)
    axes.plot([difference.center], [place], "o", color=colour)
    axes.annotate(task.judgement, (difference.center, place), xytext=(0, 5),
                  textcoords="offset points", ha="center", fontsize=6, color=colour)  # fmt: skip


def draw_profiles(found: Verdict, studies: list[Study], made_with: str) -> Any:
    """The share of tasks within a factor of the quickest, over steps and over seconds."""
    units = ["steps", "seconds"] if found.timed else ["steps"]
    drawing, subplots = blank(len(units), len(units), 2.4, DOUBLE)
    factors = np.geomspace(1, LARGEST_FACTOR, FACTORS)
    every, handles = looks_of(found, studies), {}
    for axes, unit in zip(subplots, units, strict=True):
        taken = times(found.others if unit == "steps" else found.timed, unit)
        profiles = [profile(taken, factor) for factor in factors]
        for optim in filter(taken.__contains__, in_focus(found)):
            shares = [shares_of[optim] for shares_of in profiles]
            style = line_style(every[optim]) | emphasis(optim, found)
            [handles[optim]] = axes.step(factors, shares, where="post", **style)
        axes.set_xscale("log")
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel(f"{unit} to the target, as a factor of the quickest optimizer's")
        axes.set_ylabel("share of tasks")
        axes.grid(True)
        set_value_ticks(axes.xaxis, [1, 2, 4, 10], log=True, inches=2.0)
        set_ticks(axes.yaxis, log=False)
    add_legend(drawing, handles)
    add_caption(drawing, ["Targets reached", made_with])
    return drawing


def in_focus(found: Verdict) -> list[str]:
    """All optimizers, the two that are compared first."""
    first = [optim for optim in (found.optim, found.against) if optim in found.others]
    return list(dict.fromkeys([*first, *sorted(found.others)]))


def emphasis(optim: str, found: Verdict) -> dict[str, Any]:
    """The two that are compared stand out; a marker at each of many points would say nothing."""
    compared = optim in (found.optim, found.against)
    shown = {"linewidth": 2.2, "alpha": 1.0, "zorder": 3}
    return {"marker": ""} | (shown if compared else {"linewidth": 0.9, "alpha": 0.7})


def draw_rates(found: Verdict, studies: list[Study], made_with: str) -> Any:
    """What each learning rate was worth when all were compared, a panel for each task."""
    drawing, subplots = blank(len(found.tasks), min(4, len(found.tasks)), 1.7, DOUBLE)
    metrics = {task_of(study): study.select.metric for study in studies}
    every, handles = looks_of(found, studies), {}
    for axes, task in zip(subplots, found.tasks, strict=True):
        metric = metric_named(metrics[task.task])
        rates: set[float] = set()
        for role, one in in_roles(task):
            handles |= draw_rate_line(axes, one, role, every[one.optim])
            rates |= one.searched.keys()
        axes.set_xscale("log")
        axes.set_yscale("log" if metric.log else "linear")
        axes.set_title(plain(task.task), pad=9)
        axes.set_xlabel("learning rate")
        axes.set_ylabel(wrap_label(metric.label, 1.2))
        axes.grid(True)
        if not rates:
            axes.set_xticks([])
            axes.set_yticks([])
        else:
            set_value_ticks(axes.xaxis, sorted(rates), log=True, inches=1.2)
            set_ticks(axes.yaxis, metric.log)
    # What holds for both comes last.
    add_legend(drawing, dict(sorted(handles.items(), key=lambda pair: pair[0] in MEANINGS)))
    add_caption(drawing, ["Learning rates, where all were compared", made_with])
    return drawing


def in_roles(task: TaskVerdict) -> list[tuple[int, Standing]]:
    """Of the newcomer, 0, and the reference, 1, those with a standing; of one optimizer, once."""
    roles = list(enumerate((task.ours, task.theirs)))
    once = roles[:1] if task.ours == task.theirs else roles
    return [(role, one) for role, one in once if one]


CHOSEN, DIVERGED = "rate chosen", LOST["diverged"][1]
MEANINGS = (CHOSEN, DIVERGED)


def draw_rate_line(axes: Any, one: Standing, role: int, look: Look) -> dict[str, Any]:
    """The line, the rate that was chosen, and those that diverged, by what a legend calls them."""
    rates = sorted(one.searched)
    known = [rate for rate in rates if one.searched[rate] is not None]
    values = [one.searched[rate] for rate in known]
    [line] = axes.plot(known, values, **line_style(look))
    chosen = axes.axvline(one.rate, color=look.light, linewidth=0.8, linestyle=":")
    found = {one.optim: line, CHOSEN: chosen}
    if lost := [rate for rate in rates if one.searched[rate] is None]:
        place = {"transform": axes.get_xaxis_transform(), "clip_on": False, "in_layout": False}
        height = [1.03 + 0.05 * role] * len(lost)
        marker, _ = LOST["diverged"]
        [found[DIVERGED]] = axes.plot(lost, height, marker, **lost_style(look.light), **place)
    return found
