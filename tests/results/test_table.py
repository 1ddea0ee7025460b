"""The table as text: what stands in each cell, and that each format can be read back."""

import csv
import io
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import results.published
from results import markup, table
from results.published import Printed, printed
from results.report import name_of, render_study
from results.search import Range, Search
from results.statistics import Estimate, estimate
from results.study import Select

ROOT = Path(__file__).parents[2]


def outcome(cell):
    """The best rate is 1e-3 in both rows; the seeds lie 0.02 apart."""
    loss = {1e-4: 0.5, 1e-3: 0.2, 1e-2: 0.9}[cell.point["optim.lr"]] + 0.02 * cell.seed
    return {"train/loss": loss, "test/accuracy": 0.95 + 0.01 * cell.seed}


def as_dicts(made):
    """Rows by header; the second of two equal headers, as the interval's, has " 2" behind it."""
    headers = []
    for header in made.headers:
        headers.append(header if header not in headers else f"{header} 2")
    return [dict(zip(headers, row, strict=True)) for row in made.rows]


@pytest.fixture
def paper_with_accuracies(tmp_path, monkeypatch):
    """A paper `px` whose table prints a metric."""
    (tmp_path / "px.yaml").write_text(
        "title: A Paper\nauthors: A. Author\ntables:\n  t:\n    title: Table 9\n"
        "    value: test/accuracy\n    columns: [FC-2]\n    rows:\n"
        "      AMSGrad: {FC-2: 0.955}\n      AdaMax: {FC-2: 1.99}\n"
        "    runs: {FC-2: 9}\n    spread: standard error\n"
        "    spreads:\n      AMSGrad: {FC-2: 0.001}\n"
    )
    monkeypatch.setattr(results.published, "__file__", str(tmp_path / "__init__.py"))
    results.published.published.cache_clear()
    yield "px"
    results.published.published.cache_clear()


# -- cells -----------------------------------------------------------------------------------------


def test_a_best_rate_stands_beside_the_printed_one(make_study, make_result):
    made = table.tabulate(make_result(make_study(), outcome))
    assert made.headers == [
        "method",
        *("best lr", "in print", "ratio"),
        *("training loss", "95% interval"),
        *("test accuracy", "95% interval"),
        *("runs", "diverged"),
    ]
    first = as_dicts(made)[0]
    assert (first["method"], first["best lr"], first["in print"]) == ("AMSGrad", "0.001", "0.001")
    assert first["ratio"] == "same"
    # Two digits of the standard deviation, 0.02/√2 = 0.0141.
    assert first["training loss"] == "0.210 ± 0.014"
    # 12.7 standard errors of 0.01 to either side: Student's t with one degree of freedom.
    assert first["95% interval"] == "[0.08, 0.34]"
    assert first["test accuracy"] == "0.9550 ± 0.0071"
    assert (first["runs"], first["diverged"]) == ("6/6", "0")


def test_a_best_rate_off_the_printed_one_is_a_ratio(make_study, make_result):
    def larger(cell):
        return {"train/loss": 1 / cell.point["optim.lr"], "test/accuracy": 0.5}

    assert as_dicts(table.tabulate(make_result(make_study(), larger)))[0]["ratio"] == "× 10"


def test_a_printed_metric_has_a_difference_and_lies_inside_or_not(
    make_study, make_result, paper_with_accuracies
):
    study = make_study(paper=paper_with_accuracies, published=["t"])
    result = make_result(study, outcome)
    made = table.tabulate(result)
    assert "ratio" not in made.headers
    first, second = as_dicts(made)
    # Ours are 0.95 and 0.96, with the standard error 0.005; print's is 0.001. Welch's degrees of
    # freedom are then 1.08, and their quantile is 10.6.
    assert (first["in print"], first["difference"]) == ("0.955 ± 0.001", "+0")
    assert first["its 95% interval"] == "[-0.054, 0.054]"
    assert first["inside"] == "yes"
    assert (second["in print"], second["difference"], second["inside"]) == ("1.99", "-1.035", "no")
    assert any("A. Author, “A Paper”. Table 9." in note for note in made.notes)
    assert any(note.startswith("± in print: standard error. Difference: ") for note in made.notes)
    kept = read_csv(result)[0]
    assert (kept["in print: test/accuracy"], kept["in print: test/accuracy spread"]) == (
        "0.955",
        "0.001",
    )


def test_medians_are_called_medians(make_study, make_result):
    made = table.tabulate(make_result(make_study(statistic="median"), outcome))
    assert as_dicts(made)[0]["training loss"] == "0.210 ± 0.010"
    assert as_dicts(made)[0]["95% interval"] == "–"
    assert any("interval of order statistics, which takes 6" in note for note in made.notes)


def test_a_worst_grid_point_is_called_the_worst(make_study, make_result):
    study = make_study(select=Select(metric="train/loss", at="last", mode="max"))
    made = table.tabulate(make_result(study, outcome))
    assert made.headers[1] == "worst lr"
    assert as_dicts(made)[0]["worst lr"] == "0.01"
    assert any(
        note.startswith("Worst: maximum of train/loss (last evaluation), by the mean over seeds.")
        for note in made.notes
    )
    assert any("the worst looks too bad by" in note for note in made.notes)


def test_without_a_grid_nothing_is_chosen(make_study, make_result):
    study = make_study(grid={}, published=[])
    made = table.tabulate(make_result(study, lambda cell: {"train/loss": 0.5}))
    assert made.headers[:2] == ["method", "training loss"]
    assert not any("Best" in note or "best" in note for note in made.notes)
    assert not any("Chosen" in note for note in made.notes)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("optim.lr", "lr"),
        ("optim.betas.1", "betas.1"),
        ("task.model.widths.0", "widths.0"),
        ("a.0.1", "a.0.1"),
        ("schedule", "schedule"),
    ],
)
def test_a_key_is_called_by_its_last_part_and_an_index_by_what_it_is_of(key, said):
    assert table.short(key) == said


def test_several_columns_have_a_column_of_their_own(make_study, make_result):
    study = make_study(columns={"FC-2": {"task": "a"}, "ResNet-50": {"task": "b"}})
    made = table.tabulate(make_result(study, outcome))
    assert made.headers[:2] == ["method", "column"]
    assert [row[:2] for row in made.rows] == [
        ["AMSGrad", "FC-2"],
        ["AdaMax", "FC-2"],
        ["AMSGrad", "ResNet-50"],
        ["AdaMax", "ResNet-50"],
    ]
    assert [row["in print"] for row in as_dicts(made)] == ["0.001", "0.001", "0.0003", "0.0003"]


def test_a_row_without_runs_is_dashes(make_study, make_result):
    made = table.tabulate(make_result(make_study(), lambda cell: None))
    assert made.rows[0] == ["AMSGrad", "–", "0.001", "–", *["–"] * 4, "0/6", "0"]


def test_diverged_runs_are_counted(make_study, make_result):
    made = table.tabulate(
        make_result(
            make_study(), lambda c: "diverged" if c.point["optim.lr"] > 1e-3 else outcome(c)
        )
    )
    assert (as_dicts(made)[0]["runs"], as_dicts(made)[0]["diverged"]) == ("6/6", "2")


@pytest.mark.parametrize(
    ("center", "spread", "text"),
    [
        (0.123456, 0.0123, "0.123 ± 0.012"),
        (123.456, 12.3, "123 ± 12"),
        (1234.5, 345.0, "1234 ± 345"),
        (94.98, 0.05, "94.980 ± 0.050"),
        (0.5, 0.0, "0.50000 ± 0.00000"),
        # A training loss after a hundred epochs.
        (3.21e-7, 1.5e-8, "3.21e-07 ± 1.5e-08"),
        (2e-8, 4e-8, "2.0e-08 ± 4.0e-08"),
    ],
)
def test_a_value_has_the_digits_that_its_spread_warrants(center, spread, text):
    assert table.center_and_spread(Estimate(center, spread, center, center, 3)) == text


def test_an_interval_of_tiny_numbers_is_not_zero():
    assert table.interval(Estimate(3e-7, 1e-8, 2.9e-7, 3.12e-7, 3)) == "[2.90e-07, 3.12e-07]"


def test_a_value_that_is_no_number_is_written_as_it_is(make_study, make_result):
    grid = {"optim.lr": [1e-4, 1e-3, 1e-2], "optim.betas": [[0.9, 0.999]], "schedule": ["cosine"]}
    first = as_dicts(table.tabulate(make_result(make_study(grid=grid), outcome)))[0]
    assert first["best betas"] == "[0.9, 0.999]"
    assert first["best schedule"] == "cosine"


# -- what it says of itself ------------------------------------------------------------------------


@pytest.mark.parametrize(("profile", "data"), [("smoke", "sample"), ("paper", "full")])
def test_profile_and_data_stand_in_the_title_and_in_every_file_name(
    make_study, make_result, profile, data
):
    result = make_result(make_study(), outcome, profile, data)
    assert table.title(result).endswith(f"Made with profile {profile}, {data} data.")
    files = render_study(result)
    kinds = {name.rpartition(".")[2] for name in files}
    assert kinds == {"md", "tex", "csv", "xz", "png", "pdf"}
    assert name_of(result) == f"lp_adam/toy.{profile}.{data}"
    assert all(name.startswith(f"{name_of(result)}.") and files[name] for name in files)


def test_a_changed_study_says_what_was_changed(make_study, make_result):
    result = replace(
        make_result(make_study(), outcome, "short", "full"), changes=("task.steps=2", "+a=b")
    )
    assert "profile short changed by task.steps=2 +a=b, full data." in table.title(result)
    command = "python -m scripts.sweep study=lp_adam/toy profile=short data=full task.steps=2 +a=b"
    assert f"Made by `{command}`." in table.provenance(result)


def test_a_study_of_nothing_in_print_says_only_its_title(make_study, make_result):
    result = make_result(make_study(), outcome)
    made = "Made with profile smoke, sample data."
    assert table.title(result) == f"lp_adam/toy: Toys (table 2). {made}"
    beyond = replace(result, study=replace(result.study, reproduces=[]))
    assert table.title(beyond) == f"lp_adam/toy: Toys. {made}"


def test_the_notes_say_how_it_was_made(make_study, make_result):
    notes = " ".join(table.tabulate(make_result(make_study(), outcome)).notes)
    for said in (
        "A note.",
        "Best: minimum of train/loss (last evaluation), by the mean over seeds.",
        "Seeds: 2.",
        "mean ± standard deviation, and Student's 95% interval",
        "Chosen on the seeds that are shown: of 3 grid points that are equally good, the best "
        "looks too good by 0.6 standard deviations of train/loss on average",
        "Daley",
        "Table 2",
        "Made on Two Cores, 2 threads. Commit 0123456789.",
        "Made by `python -m scripts.sweep study=lp_adam/toy profile=smoke data=sample`.",
        "not comparable with print",
    ):
        assert said in notes


def test_notes_on_columns_are_those_of_columns_in_the_table(make_study, make_result):
    study = make_study(column_notes={"FC-2": ["Of this one."], "LSTM": ["Of another."]})
    notes = table.tabulate(make_result(study, outcome)).notes
    assert "FC-2: Of this one." in notes
    assert not any("Of another." in note for note in notes)


def test_one_thread_is_no_threads():
    assert table.cpu_of({"cpu": "Two Cores", "threads": 1}) == "Two Cores, 1 thread"


def test_the_notes_say_how_many_trials_a_run_is(make_study, make_result):
    def trials(cell):
        return outcome(cell) | {"train/loss": [0.1, 0.2, 0.3]}

    study = make_study(statistic="mean_se", report=["test/accuracy", "train/loss"])
    made = table.tabulate(make_result(study, trials))
    assert any("Seeds: 2, each of 3 trials." in note for note in made.notes)
    assert any("mean ± standard error" in note for note in made.notes)
    # Of the six values, twice 0.1, 0.2 and 0.3, the deviation is √(0.04/5), its share by √6 0.037.
    assert as_dicts(made)[0]["training loss"] == "0.200 ± 0.037"


STEPS, SHARE = "trials/steps_to_success", "trials/success"


@pytest.mark.parametrize(
    ("steps", "said", "known", "missed"),
    [
        ([10.0, 20.0, 30.0, 40.0], "25.0 ± 4.2", "25.0", 0),
        ([10.0, 20.0, 30.0, 50.0], "≥ 27.5 ± 5.6", "27.5", 0.25),
        ([50.0, 50.0, 50.0, 50.0], "not reached", "", 1),
    ],
)
def test_a_budget_is_no_number_of_steps(make_study, make_result, steps, said, known, missed):
    """Trials without success within 50 steps have 50."""
    study = make_study(
        seeds=1,
        report=[STEPS, SHARE],
        statistic="mean_se",
        select=Select(STEPS, "last", "min"),
        rows={"AdaMax": {"optim": "adamax"}},
        figures={},
    )
    success = [float(number < 50) for number in steps]
    result = make_result(study, lambda cell: {STEPS: steps, SHARE: success})
    row = as_dicts(table.tabulate(result))[0]
    assert row["steps to success"] == said
    [line, *_] = csv.DictReader(io.StringIO(table.comma_separated(result)))
    assert line[f"{STEPS} center"] == known
    assert float(line[f"{STEPS} missed"]) == missed
    assert f"{SHARE} missed" not in line


def test_a_fraction_of_trials_has_its_own_error_and_interval(make_study, make_result):
    study = make_study(
        seeds=1,
        report=[SHARE],
        statistic="mean_se",
        select=Select(SHARE, "last", "max"),
        rows={"AdaMax": {"optim": "adamax"}},
        figures={},
    )
    result = make_result(study, lambda cell: {SHARE: [1.0, 0.0, 1.0, 1.0]})
    made = table.tabulate(result)
    row = as_dicts(made)[0]
    # Two seeds: √(¾·¼/8), and 6 of 8 in tables of Clopper & Pearson's interval.
    assert row["share of successful trials"] == "0.75 ± 0.15"
    assert row["95% interval"] == "[0.35, 0.97]"
    assert any("of a fraction p of n trials ± √(p(1 - p)/n), and the" in n for n in made.notes)
    # The best evaluation is known as a mean over trials, one for each run.
    found = result.rows[0].points[0].estimate(SHARE, study, at="best")
    assert (found.n, found.binary) == (2, False)


# -- Markdown --------------------------------------------------------------------------------------


def cells_of(line):
    return [cell.strip() for cell in line.strip("|").replace("\\|", "\0").split("|")]


def test_markdown_has_as_many_cells_in_every_row(make_study, make_result):
    study = make_study(rows={"Adam |p| = 2": {"optim": "adam"}}, figures={})
    made = table.tabulate(make_result(study, outcome))
    lines = [line for line in markup.markdown(made).splitlines() if line.startswith("|")]
    assert [len(cells_of(line)) for line in lines] == [len(made.headers)] * 3
    assert cells_of(lines[2])[0] == "Adam \0p\0 = 2"
    assert markup.markdown(made).startswith(f"# {made.title}\n\n|")
    assert all(f"- {note}\n" in markup.markdown(made) for note in made.notes)


# -- LaTeX -----------------------------------------------------------------------------------------

HOSTILE = r"50% of $x_1^2$ & {a} \b #3 ~ |p| < ∞ – β₁ → “q” × ±"


def test_latex_escapes_all_that_means_something_to_tex():
    assert markup.escape("a_b & 5% #1 $2 {c} ^ ~") == (
        r"a\_b \& 5\% \#1 \$2 \{c\} \textasciicircum{} \textasciitilde{}"
    )
    # The braces of an escape are not escaped again.
    assert markup.escape("\\") == r"\textbackslash{}"
    assert markup.escape("0.2 ± 0.1 × 3") == r"0.2 $\pm$ 0.1 $\times$ 3"


def test_latex_has_as_many_cells_as_columns(make_study, make_result):
    study = make_study(title=HOSTILE, rows={HOSTILE: {"optim": "adam"}}, figures={})
    made = table.tabulate(make_result(study, outcome))
    text = markup.latex(made)
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(body) == 2
    for line in body:
        assert line.replace(r"\&", "").count("&") == len(made.headers) - 1
    assert r"\begin{tabular}{l" + "r" * (len(made.headers) - 1) + "}" in text
    # Outside comments nothing is left that needs a package for its letters.
    assert "".join(line for line in text.splitlines() if not line.startswith("%")).isascii()
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert rule in text


def test_a_note_of_several_lines_stays_a_comment(make_study, make_result):
    made = table.tabulate(make_result(make_study(notes=["one\ntwo"]), outcome))
    before = markup.latex(made).split(r"\begin{table}")[0]
    assert all(line.startswith("%") for line in before.splitlines())


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex")
def test_latex_compiles(make_study, make_result, tmp_path):
    study = make_study(title=HOSTILE, rows={HOSTILE: {"optim": "adam"}}, figures={})
    text = markup.latex(table.tabulate(make_result(study, outcome)))
    document = r"\documentclass{article}\usepackage{booktabs}\begin{document}" + "\n" + text
    (tmp_path / "t.tex").write_text(document + r"\end{document}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# -- CSV -------------------------------------------------------------------------------------------


def read_csv(result):
    text = table.comma_separated(result)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert all(None not in row and None not in row.values() for row in rows)
    return rows


def test_csv_holds_every_point_unrounded(make_study, make_result):
    rows = read_csv(make_result(make_study(), outcome))
    assert len(rows) == 6
    assert [float(row["optim.lr"]) for row in rows[:3]] == [1e-4, 1e-3, 1e-2]
    assert [row["best"] for row in rows] == ["False", "True", "False"] * 2
    second = rows[1]
    wanted = {"study": "lp_adam/toy", "profile": "smoke", "data": "sample", "method": "AMSGrad"}
    assert wanted.items() <= second.items()
    assert float(second["train/loss center"]) == (0.2 + 0.22) / 2
    assert float(second["train/loss spread"]) == pytest.approx(0.02 / 2**0.5, rel=1e-12)
    assert (second["test/accuracy n"], second["planned"], second["finished"]) == ("2", "2", "2")
    assert float(second["in print: optim.lr"]) == 1e-3


def test_csv_counts_how_runs_ended_and_leaves_unknown_numbers_empty(make_study, make_result):
    ends = {1e-4: ["diverged", "failed"], 1e-3: [None, "unfinished"], 1e-2: ["failed", "failed"]}
    rows = read_csv(make_result(make_study(), lambda c: ends[c.point["optim.lr"]][c.seed]))
    counts = [tuple(row[s] for s in ("finished", "diverged", "failed")) for row in rows[:3]]
    assert counts == [("0", "1", "1"), ("0", "0", "0"), ("0", "0", "2")]
    assert {row["train/loss center"] for row in rows} == {""}


def test_csv_counts_in_whole_numbers_beside_what_is_unknown(make_study, make_result):
    found = make_result(
        make_study(), lambda c: outcome(c) if c.point["optim.lr"] < 0.01 else "failed"
    )
    assert [row["train/loss n"] for row in read_csv(found)[:3]] == ["2", "2", ""]


def test_csv_keeps_text_with_commas_and_quotes(make_study, make_result):
    label = 'a "b", c\nd'
    grid = {"optim.lr": [1e-3], "optim.betas": [[0.9, 0.999]]}
    study = make_study(rows={label: {"optim": "adam"}}, figures={}, grid=grid)
    [row] = read_csv(make_result(study, outcome))
    assert row["method"] == label
    assert row["optim.betas"] == "[0.9, 0.999]"


def test_csv_of_a_study_without_printed_numbers_has_no_column_for_them(make_study, make_result):
    [row, *_] = read_csv(make_result(make_study(published=[]), outcome))
    assert not [name for name in row if name.startswith("in print")]


def test_one_seed_says_nothing_of_its_spread():
    alone = estimate([0.5], "mean")
    assert (table.center_and_spread(alone), table.interval(alone)) == ("0.5", "–")
    assert table.beside_print(alone, Printed(0.25), "mean") == ["+0.25", "–", "–"]


def test_a_best_evaluation_stands_beside_the_last_one(make_study, make_result):
    study = make_study(select=Select(metric="test/accuracy", at="best", mode="max"))
    result = make_result(study, outcome)
    made = table.tabulate(result)
    assert [h for h in made.headers if h.endswith(", last")] == [
        "training loss, last",
        "test accuracy, last",
    ]
    row = result.rows[0]
    last = row.best.estimate("test/accuracy", study, at="last").center
    assert as_dicts(made)[0]["test accuracy, last"].startswith(f"{last:.2f}")
    assert any("best evaluation of each run" in note for note in made.notes)
    assert "test/accuracy last center" in read_csv(result)[0]


def test_the_best_seed_may_stand_beside_the_mean(make_study, make_result):
    study = make_study(report=["train/loss", "test/accuracy", "lr"], best_seed=True, grid={})
    values = [{"train/loss": 3.0, "test/accuracy": 0.5, "lr": 1.0}]
    values += [{"train/loss": [1.0, 3.0], "test/accuracy": 0.7, "lr": 2.0}]  # of two trials
    result = make_result(study, lambda cell: values[cell.seed])
    made = table.tabulate(result)
    assert [h for h in made.headers if "best seed" in h] == [
        "training loss, best seed",
        "test accuracy, best seed",
    ]
    shown = as_dicts(made)[0]
    assert (shown["training loss, best seed"], shown["test accuracy, best seed"]) == ("2", "0.7")
    written = read_csv(result)[0]
    assert (written["train/loss best seed"], written["test/accuracy best seed"]) == ("2.0", "0.7")
    assert "lr best seed" not in written
    without = table.tabulate(replace(result, study=replace(study, best_seed=False)))
    assert not any("best seed" in header for header in without.headers)


def test_where_nothing_has_finished_there_is_no_best_seed(make_study, make_result):
    study = make_study(report=["test/accuracy"], best_seed=True)
    made = table.tabulate(make_result(study, lambda cell: "diverged"))
    assert as_dicts(made)[0]["test accuracy, best seed"] == "–"


def test_values_may_be_means_over_the_last_evaluations(make_study, make_result):
    study = make_study(select=Select(metric="train/loss", at="last", mode="min", evaluations=2))
    result = make_result(study, outcome)
    best = result.rows[0].best
    last = best.values_of("train/loss", study, at="last")
    # The fixture's last values are 0.5 times the final one and itself.
    assert best.values_of("train/loss", study) == pytest.approx([0.75 * value for value in last])
    assert any("last 2 evaluations" in note for note in table.tabulate(result).notes)


def test_a_column_in_print_may_stand_for_several():
    assert printed("lp_adam", "table2", "AdaBound", "2-layer LSTM") == Printed(3e-5)
    assert printed("lp_adam", "table2", "AdaBound", "LSTM (all)") == Printed(3e-5)


def test_the_notes_say_how_the_profile_has_searched(make_study, make_result):
    ranges = {"optim.lr": Range(1e-4, 1e-1, log=True)}
    profiles = {"smoke": {"random": 2, "confirm": 3}}
    study = make_study(grid={}, search=Search(16, ranges), profiles=profiles, published=[])
    result = make_result(study, lambda cell: {"train/loss": cell.point["optim.lr"]})
    assert table.search_notes(result) == [
        "Search: 2 quasi-random points; of the steps of all points, 100% were spent.",
        "Values are of 3 fresh seeds of the chosen point, which had no part in the choice.",
    ]
    assert "confirmed" in table.comma_separated(result).splitlines()[0].split(",")
