"""What the papers claim, held against the numbers of every study that needs no data.

Each claim is a function of the rows of the CSV that a sweep writes. It must hold for the smallest
budget, which is run here, and for the numbers of the paper's budget, which are kept in
results/reproduced/.
"""

import csv
import itertools
import math

import pytest
from running import ROOT, fork

KEPT = ROOT / "results" / "reproduced"


class Rows(list):
    """Lines of a CSV with numbers for numbers."""

    def where(self, **wanted):
        return Rows(row for row in self if wanted.items() <= row.items())

    @property
    def best(self):
        """The lines of the grid points that were chosen."""
        return self.where(best="True")

    def of(self, metric):
        """A metric's value in each line."""
        return [row[f"{metric} center"] for row in self]

    def one(self, metric):
        [value] = self.of(metric)
        return value

    def labels(self, column):
        return list(dict.fromkeys(row[column] for row in self))


def number(text):
    try:
        return float(text)
    except ValueError:
        return text


def read(path):
    with path.open(newline="") as file:
        lines = csv.DictReader(file)
        rows = Rows({key: number(value) for key, value in line.items()} for line in lines)
    assert rows, f"{path} is empty"
    # Nothing is claimed of a table that lacks runs.
    assert all(row["finished"] == row["planned"] for row in rows), path
    return rows


# -- L^p Adam --------------------------------------------------------------------------------------


def quadratic_path(rows):
    """Figure 1: both quadratics have the same paths; AdaGrad comes the closer, the larger p is."""
    first, second = rows.labels("column")
    for method in rows.labels("method"):
        pair = [rows.where(method=method, column=column) for column in (first, second)]
        for axis in ("path/x", "path/y"):
            one, other = (found.one(axis) for found in pair)
            assert one == pytest.approx(other, abs=1e-6), method
    for column in (first, second):
        methods = [f"AdaGrad (p = {p})" for p in ("1.2", "2", "6")]
        losses = [rows.where(column=column, method=m).one("test/loss") for m in methods]
        assert losses == sorted(losses, reverse=True)


def step_bound(rows):
    """Table 1."""
    for p, printed in ((1.2, 10 * 10**0.5), (1.5, 10), (2.0, 10**0.5), (3.0, 1), (6.0, 10**-0.5)):
        [row] = rows.where(method=p)
        assert row["optim/largest_step center"] == pytest.approx(printed, rel=1e-3)
        assert row["in print: optim/largest_step"] == pytest.approx(printed, rel=1e-12)


def underflow(rows):
    """The root is right at every scale; the power leaves the range of float32 on both sides."""
    for method in rows.labels("method"):
        if method.endswith("root"):
            assert max(rows.where(method=method).of("optim/distance")) <= 1e-5, method
    # With eps 1e-8 small gradients take no steps to speak of, right or wrong.
    power = rows.where(method="p = 6, power", column="eps = 1e-20")
    found = {row["task.scale"]: row for row in power}
    error = {scale: row["optim/distance center"] for scale, row in found.items()}
    assert {1e-12, 1.0, 1e12} <= error.keys()
    assert all(error[scale] > 0.1 for scale in error if scale <= 1e-5 or scale >= 1e8)
    assert error[1.0] <= 1e-5
    assert found[1e-12]["optim/underflow center"] == 1


# -- LaProp ----------------------------------------------------------------------------------------


def limits(rows):
    """Table 1 and proposition 1."""
    corners = {}
    for column in rows.labels("column"):
        corners.setdefault(column.rpartition(": ")[2], []).append(column)
    assert list(corners) == ["SSG", "RMSProp", "SSG-M", "Adam"]
    for corner, columns in corners.items():
        assert len(columns) == 3
        for method in ("Adam", "LaProp"):
            cells = [rows.where(method=method, column=column) for column in columns]
            distances = [cell.one("optim/distance") for cell in cells]
            steps = [cell.one("optim/largest_step") for cell in cells]
            if (method, corner) == ("Adam", "Adam"):
                assert distances == [0, 0, 0]
            elif (method, corner) == ("Adam", "SSG-M"):
                # "divergence": nearer to the corner it is no nearer to the limit.
                assert sorted(distances) == distances and steps[0] > 10
                assert sorted(steps) == steps
            else:
                assert all(far > near for far, near in itertools.pairwise(distances)), corner
    for row in rows.where(method="LaProp"):
        nu = float(row["column"].partition("ν = ")[2].partition(":")[0])
        assert row["optim/largest_step center"] <= (1 + 1e-9) / math.sqrt(1 - nu), row["column"]


def rosenbrock(rows):
    """Figure 2: at σ = 0.12 LaProp alone minimises it in every trial; at less noise all methods."""

    def share(column):
        chosen = rows.where(column=column).best
        return {row["method"]: row["trials/success center"] for row in chosen}

    for column in ("σ = 0.04 (±0.02)", "σ = 0.10 (±0.05)"):
        if column in rows.labels("column"):
            assert share(column) == {"Adam": 1, "AMSGrad": 1, "LaProp": 1}
    found = share("σ = 0.12 (±0.06)")
    assert found["LaProp"] == 1
    # Adam without memory gets there by chance.
    assert found["AMSGrad"] == 0 and found["Adam"] < 0.9


# -- MAdam -----------------------------------------------------------------------------------------


def convex_example(rows):
    """Section 4.1: MAdam bears the largest rate, AMSGrad the less the larger it is, Adam none."""
    share = {row["method"]: row["trials/success center"] for row in rows}
    order = ["MAdam, lr 1.2", "AMSGrad, lr 0.8", "AMSGrad, lr 0.9", "AMSGrad, lr 1.2"]
    shares = [share[method] for method in order]
    assert shares == sorted(shares, reverse=True)
    assert shares[1] > shares[2] > shares[3]
    for method in ("Adam, lr 0.8", "Adam, lr 0.01", "Adam, lr 1e-4"):
        assert share[method] == 0
    # "a significant smaller Term A"
    terms = {row["method"]: row["bound/term_a center"] for row in rows}
    assert terms["MAdam, lr 1.2"] < 0.5 * terms["AMSGrad, lr 0.8"]


def noisy_quadratic(rows):
    """Section 4.2: "MADAM consistently achieves 30% to 40% lower average loss"."""
    best = rows.where(column="h = (1, 20), σ = 0.2").best
    loss = {row["method"]: row["test/loss center"] for row in best}
    madam = loss.pop("MAdam")
    assert len(loss) == 6
    assert madam < 0.8 * min(loss.values())


CLAIMS = {
    "lp_adam/quadratic_path": quadratic_path,
    "lp_adam/step_bound": step_bound,
    "lp_adam/underflow": underflow,
    "laprop/limits": limits,
    "laprop/rosenbrock": rosenbrock,
    "madam/convex_example": convex_example,
    "madam/noisy_quadratic": noisy_quadratic,
}


@pytest.fixture(scope="module")
def swept(fork_server, tmp_path_factory):
    """`swept(study)`: the rows of its smallest budget."""
    folder = tmp_path_factory.mktemp("swept")

    def sweep(study):
        asked = [f"study={study}", "profile=smoke", "data=full", "logger=none"]
        where = [f"paths.runs={folder}/runs", f"paths.reports={folder}/reports"]
        in_one_process = ["train.device=cpu", "sweep.jobs_per_device=1"]
        child = fork(fork_server, folder, "sweep", [*asked, *where, *in_one_process])
        assert child.wait() == 0, child.output
        return read(folder / "reports" / f"{study}.smoke.full.csv")

    return sweep


@pytest.mark.parametrize("study", CLAIMS)
def test_a_claim_holds_at_the_smallest_budget(swept, study):
    CLAIMS[study](swept(study))


@pytest.mark.parametrize("study", CLAIMS)
def test_a_claim_holds_in_the_numbers_that_are_kept(study):
    path = KEPT / f"{study}.paper.full.csv"
    assert path.exists(), f"{path.relative_to(ROOT)} is missing: sweep {study} with profile=paper"
    CLAIMS[study](read(path))


# -- kept numbers of studies that need data --------------------------------------------------------


def test_adams_loss_rises_again_where_laprops_does_not():
    """LaProp, figure 1, at the two larger rates."""
    rows = read(KEPT / "laprop" / "fig1.short.sample.csv")
    for rate in ("lr 1e-3", "lr 4e-3"):
        adam, laprop = (rows.where(method=name, column=rate)[0] for name in ("Adam", "LaProp"))
        # The last loss is many times the least one of the run.
        assert adam["train/loss center"] > 4 * adam["train/loss best center"], rate
        assert laprop["train/loss center"] < adam["train/loss center"] / 100, rate


def test_laprop_is_ahead_in_deep_networks_at_small_rates_only():
    """LaProp, figure 4, at 100 layers."""
    rows = read(KEPT / "laprop" / "fig4.short.sample.csv")
    ahead = {}
    for rate in (1e-5, 3e-5, 1e-4, 3e-4):
        adam, laprop = (
            rows.where(method=name, **{"optim.lr": rate}).one("train/loss")
            for name in ("Adam", "LaProp")
        )
        ahead[rate] = laprop < adam
    assert ahead == {1e-5: True, 3e-5: True, 1e-4: False, 3e-4: False}


def test_a_small_nu_harms_adam_and_not_laprop_on_reviews():
    """LaProp, figure 7, with and without flipped labels."""
    rows = read(KEPT / "laprop" / "fig7.short.sample.csv")
    for column in ("r = 0", "r = 0.2"):
        accuracy = {
            (row["method"], row["optim.betas.1"]): row["test/accuracy center"]
            for row in rows.where(column=column)
        }
        assert accuracy["Adam", 0.0] < 0.55 < 0.82 < accuracy["LaProp", 0.0]
        best = {
            m: max(v for (n, _), v in accuracy.items() if n == m) for m in rows.labels("method")
        }
        assert best["LaProp"] == max(best.values()), column
