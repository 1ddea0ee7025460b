"""Configs whose values are set after the rest was resolved are those that Hydra composes."""

import pytest
import yaml

from engine.checks import BadInput
from engine.config import check_resolved, compose_unresolved, names, resolve, resolve_and_check
from engine.templates import Template, may_see
from results.plan import find
from results.planner import Planner


@pytest.mark.parametrize("name", names("study"))
def test_every_study(name):
    """The last run of its last row, in its largest profile, by the template of another one."""
    study = find(name)
    profile = max(study.profiles, key=study.count)
    column, row = list(study.pairs(profile))[-1]
    points = study.points(profile, row, column)
    first = study.cells_of(profile, "sample", row, column, points[0])[0]
    last = study.cells_of(profile, "sample", row, column, points[-1])[-1]
    planner = Planner(study, profile, ["paths.runs=none"], trains=False)
    planner.planned(first)
    planned = planner.planned(last)
    composed = compose_unresolved(planned.overrides)
    assert planned.config == resolve(composed, {}, planned.overrides)


@pytest.fixture
def template_of(conf):
    """`template_of(optim)`: of a config whose optimizer has these settings."""

    def template(settings):
        text = yaml.safe_dump({"_target_": "torch.optim.Adam", "_partial_": True} | settings)
        (conf / "optim" / "mine.yaml").write_text(text)
        return Template(compose_unresolved(["task=rosenbrock", "optim=mine"]))

    return template


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        ({"lr": 1, "eps": 2}, {"optim.lr": 3, "optim.eps": 4.5, "seed": 7}),
        ({"lr": 1, "eps": "${.lr}"}, {"optim.lr": 3}),
        ({"lr": 1, "eps": "${optim.lr}"}, {"optim.lr": 3}),
        ({"lr": 1, "eps": "${oc.select:optim.lr,0}"}, {"optim.lr": 3}),
        ({"lr": 1, "which": "lr", "eps": "${optim.${optim.which}}"}, {"optim.lr": 3}),
        ({"lr": 1, "eps": 2, "which": "lr"}, {"optim.which": "${optim.eps}", "optim.eps": 5}),
        ({"lr": 1, "betas": [0.9, "${optim.lr}"]}, {"optim.betas.0": 0.5, "optim.lr": 0.25}),
        ({"lr": 1, "betas": [0.9, 0.99]}, {"optim.betas.1": 0.5}),
        ({"lr": 1, "betas": [0.9, 0.99]}, {"optim.betas": [0.1, 0.2]}),
        ({"lr": 1, "a": {"b": 1, "c": 2}, "d": "${optim.a}"}, {"optim.a.b": 5}),
        ({"lr": 1, "a": {"b": 1, "c": 2}, "d": "${optim.a}"}, {"optim.d.b": 5}),
        ({"lr": 1, "a": {"b": 1, "c": 2}}, {"optim.a.b": 5, "optim.a": {"b": 6}}),
        ({"lr": 1, "a": "???"}, {"optim.a": "text", "optim.lr": None}),
    ],
)
def test_values_that_others_refer_to(template_of, settings, values):
    template = template_of(settings)
    for scale in (1, 2):  # the second from what the first has left
        scaled = {k: v * scale if isinstance(v, float | int) else v for k, v in values.items()}
        try:
            expected = resolve(template.composed, scaled, ())
            check_resolved(expected)
        except BadInput as error:
            with pytest.raises(BadInput) as refused:
                template.config(scaled, ())
            assert str(refused.value) == str(error)
        else:
            assert template.config(scaled, ()) == expected


def test_a_key_that_is_not_there(template_of):
    template = template_of({"lr": 1})
    for key in ("optim.nothing", "optim.lr.deeper", "nothing"):
        with pytest.raises(BadInput, match=key.split(".")[-1]):
            template.config({key: 1}, [f"{key}=1"])


def test_a_value_that_no_run_may_have(template_of):
    template = template_of({"lr": 1})
    for values in ({"optim.lr": "fast"}, {"seed": -1}):
        with pytest.raises(BadInput) as expected:
            resolve_and_check(template.composed, values, ())
        with pytest.raises(BadInput) as refused:
            template.config(values, ())
        assert str(refused.value) == str(expected.value)


def test_configs_share_nothing(template_of):
    template = template_of({"lr": 1, "betas": [0.9, 0.99]})
    first = template.config({"optim.lr": 2}, ())
    first["optim"]["betas"][0] = first["optim"]["lr"] = "changed"
    assert template.config({"optim.lr": 3}, ())["optim"]["betas"] == [0.9, 0.99]


@pytest.mark.parametrize(
    ("reference", "key", "sees"),
    [
        ("optim.lr", "optim.lr", True),
        ("optim", "optim.lr", True),
        ("optim.betas.0", "optim.betas", True),
        ("optim.lr", "optim.lr_1d", False),
        (".lr", "optim.lr", True),
        ("...lr", "optim.groups.norms.lr", True),
        (".eps", "optim.lr", False),
        ("oc.select", "optim.lr", False),
    ],
)
def test_what_a_reference_may_see(reference, key, sees):
    assert may_see(reference, key) is sees
