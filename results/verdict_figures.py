"""A verdict as pictures: differences of scores, performance profiles, learning rates."""

import math
from typing import Any

import numpy as np

from engine.metrics import metric_named
from results.figures import COLOURS, MARKERS, content, plain
from results.standing import Standing, profile
from results.study import Study
from results.suite import task_of
from results.table import number
from results.verdict import TaskVerdict, Verdict, times

LARGEST_FACTOR = 10.0
FACTORS = 200


def draw(found: Verdict, studies: list[Study], made_with: str) -> dict[str, bytes]:
    """Each picture as PNG and PDF, by the last parts of their files' names."""
    drawings = {
        "scores": draw_scores(found, made_with),
        "rates": draw_rates(found, studies, made_with),
    }
    if found.others:
        drawings["profile"] = draw_profiles(found, made_with)
    return {
        f"{name}.{kind}": content(drawing, kind)
        for name, drawing in drawings.items()
        for kind in ("png", "pdf")
    }


def blank(width: float, height: float, title: str, made_with: str) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(drawing)
    drawing.suptitle(plain(f"{title}\n{made_with}"), fontsize=9)
    return drawing


def draw_scores(found: Verdict, made_with: str) -> Any:
    """The difference on each task, with its interval."""
    title = f"{found.optim} against {found.against}: difference of scores, seed by seed"
    drawing = blank(7.2, 1.4 + 0.4 * len(found.tasks), title, f"{made_with}, mean and 95% interval")
    axes = drawing.subplots()
    for place, task in enumerate(found.tasks):
        draw_score(axes, place, task)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(found.tasks)), [plain(task.task) for task in found.tasks])
    axes.set_ylim(len(found.tasks) - 0.5, -0.5)
    learned = f"in units of what {found.against} learns"
    axes.set_xlabel(plain(f"difference of scores, {learned}; above 0 {found.optim} is better"))
    axes.grid(alpha=0.3, axis="x")
    return drawing


def draw_score(axes: Any, place: int, task: TaskVerdict) -> None:
    colour = {"better": "#009E73", "worse": "#D55E00"}.get(task.judgement, "#606060")
    if task.final is None:
        text = plain(task.judgement if task.worse else "not compared")
        axes.annotate(text, (0, place), xytext=(6, 0), textcoords="offset points", va="center",
                      fontsize=8, color=colour)  # fmt: skip
        return
    difference = task.final.difference
    if difference.low is not None and difference.high is not None:
        axes.plot([difference.low, difference.high], [place, place], color=colour, linewidth=2)
    axes.plot([difference.center], [place], "o", color=colour)
    axes.annotate(task.judgement, (difference.center, place), xytext=(0, 6),
                  textcoords="offset points", ha="center", fontsize=7, color=colour)  # fmt: skip


def draw_profiles(found: Verdict, made_with: str) -> Any:
    """The share of tasks within a factor of the quickest, over steps and over seconds."""
    units = ["steps", "seconds"] if found.timed else ["steps"]
    drawing = blank(5.0 * len(units) + 2.4, 4.2, "Targets reached", made_with)
    factors = np.geomspace(1, LARGEST_FACTOR, FACTORS)
    subplots = drawing.subplots(1, len(units), squeeze=False)[0]
    for axes, unit in zip(subplots, units, strict=True):
        taken = times(found.others if unit == "steps" else found.timed, unit)
        profiles = [profile(taken, factor) for factor in factors]
        for index, optim in enumerate(in_focus(found)):
            if optim not in taken:
                continue
            shares = [shares_of[optim] for shares_of in profiles]
            axes.step(
                factors, shares, where="post", label=plain(optim), **style(index, optim, found)
            )
        axes.set_xscale("log")
        axes.set_xticks([1, 2, 4, 10], ["1", "2", "4", "10"])
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel(f"{unit} to the target, as a factor of the quickest optimizer's")
        axes.set_ylabel("share of tasks")
        axes.grid(alpha=0.3)
    handles, labels = subplots[0].get_legend_handles_labels()
    drawing.legend(handles, labels, loc="outside right upper", fontsize=7)
    return drawing


def in_focus(found: Verdict) -> list[str]:
    """All optimizers, the two that are compared first."""
    first = [optim for optim in (found.optim, found.against) if optim in found.others]
    return list(dict.fromkeys([*first, *sorted(found.others)]))


def style(index: int, optim: str, found: Verdict) -> dict[str, Any]:
    compared = optim in (found.optim, found.against)
    lines = ["-", "--", ":", "-."]
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": lines[index // len(COLOURS) % len(lines)],
        "linewidth": 2.4 if compared else 1.0,
        "alpha": 1.0 if compared else 0.7,
        "zorder": 3 if compared else 2,
    }


def draw_rates(found: Verdict, studies: list[Study], made_with: str) -> Any:
    """What each learning rate was worth when all were compared, a panel for each task."""
    across = min(4, len(found.tasks))
    down = math.ceil(len(found.tasks) / across)
    drawing = blank(
        3.0 * across, 2.6 * down + 0.5, "Learning rates, where all were compared", made_with
    )
    subplots = drawing.subplots(down, across, squeeze=False)
    for axes in subplots.flat[len(found.tasks) :]:
        axes.set_visible(False)
    metrics = {task_of(study): study.select.metric for study in studies}
    for axes, task in zip(subplots.flat, found.tasks, strict=False):
        metric = metric_named(metrics[task.task])
        for role, one in in_roles(task):
            draw_rate_line(axes, one, role)
        axes.set_xscale("log")
        if metric.log:
            axes.set_yscale("log")
        axes.set_title(plain(task.task), fontsize=9)
        axes.set_xlabel("lr", fontsize=8)
        axes.set_ylabel(metric.label, fontsize=8)
        axes.tick_params(labelsize=7, which="both")
        axes.grid(alpha=0.3)
        if task.ours or task.theirs:
            axes.legend(fontsize=6)
    return drawing


def in_roles(task: TaskVerdict) -> list[tuple[int, Standing]]:
    """Of the newcomer, 0, and the reference, 1, those with a standing; of one optimizer, once."""
    roles = list(enumerate((task.ours, task.theirs)))
    once = roles[:1] if task.ours == task.theirs else roles
    return [(role, one) for role, one in once if one]


def draw_rate_line(axes: Any, one: Standing, role: int) -> None:
    rates = sorted(one.searched)
    known = [rate for rate in rates if one.searched[rate] is not None]
    colour, marker = COLOURS[role], MARKERS[role]
    axes.plot(
        known,
        [one.searched[rate] for rate in known],
        color=colour,
        marker=marker,
        markersize=3,
        label=plain(f"{one.optim}, chosen {number(one.rate)}"),
    )
    axes.axvline(one.rate, color=colour, linewidth=0.8, linestyle=":")
    if lost := [rate for rate in rates if one.searched[rate] is None]:
        place = {"transform": axes.get_xaxis_transform(), "clip_on": False}
        axes.plot(lost, [1.02 + 0.04 * role] * len(lost), "x", color=colour, markersize=4, **place)
