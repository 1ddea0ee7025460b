"""Labels tell apart all runs of a group, and say no more than that takes."""

import pytest

from engine.config import compose
from engine.labels import labels, settings


def labels_of(*typed: str) -> list[str]:
    return labels([compose(f"task=mnist_fc2 {overrides}".split()) for overrides in typed])


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["optim=adam"], ["adam"]),
        (
            ["optim=lp_adam optim.p=1.2", "optim=lp_adam optim.p=6"],
            ["lp_adam p=1.2", "lp_adam p=6"],
        ),
        (
            ["optim=adam seed=0", "optim=adam seed=1 optim.lr=0.003"],
            ["adam lr=0.001 seed=0", "adam lr=0.003 seed=1"],
        ),
        # Defaults of another optimizer tell nothing that its name does not, but for the rate.
        (["optim=adam", "optim=lion"], ["adam lr=0.001", "lion lr=0.0001"]),
        (
            ["optim=adam", "optim=lp_adam optim.p=3", "optim=lp_adam optim.p=6"],
            ["adam", "lp_adam p=3", "lp_adam p=6"],
        ),
        (
            ["optim=adam optim.betas=[0.9,0.99]", "optim=adam"],
            ["adam betas.1=0.99", "adam betas.1=0.999"],
        ),
        (
            ["optim=adam", "optim=adam task=cifar10_resnet20"],
            ["mnist_fc2 adam", "cifar10_resnet20 adam"],
        ),
        (
            ["optim=adam", "optim=adam data=sample", "optim=adam profile=smoke"],
            ["adam (custom, full)", "adam (custom, sample)", "adam (smoke, full)"],
        ),
        (
            ["optim=adam task.batch_size=32", "optim=adam task.batch_size=64 clip_norm=1"],
            ["adam batch_size=32 clip_norm=null", "adam batch_size=64 clip_norm=1"],
        ),
    ],
)
def test_labels(typed, expected):
    assert labels_of(*typed) == expected


def test_a_key_of_two_parts_keeps_the_name_of_its_part():
    found = settings(compose(["task=convex_example", "optim=adam", "schedule=cosine"]))
    assert (found["lr"], found["task.lr"]) == (0.001, 0.001)
    assert found["schedule"] == "cosine" and "_target_" not in found


def test_a_task_without_data_has_no_source():
    configs = [compose([f"task={task}", "optim=adam"]) for task in ("rosenbrock", "mnist_fc2")]
    assert [label.split(" lr")[0] for label in labels(configs)] == [
        "rosenbrock adam",
        "mnist_fc2 adam (full)",
    ]
