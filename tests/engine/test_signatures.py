"""Keys and values of a config, held against the arguments of a class."""

import pytest

from engine.checks import BadInput
from engine.signatures import check_part


def check(target, **settings):
    check_part("optim", {"_target_": target, **settings}, ["params"])


def test_arguments_that_a_typed_dict_names_are_taken():
    check("optim.MAdam", lr=1e-3, betas=[0.9, [0.5, 0.999]], maximize=True, foreach=None)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"foo": 1},
            "optim.foo=1: there is no such key; there are compile, decoupled, foreach, lr, "
            "maximize, momentum, weight_decay",
        ),
        ({"maximize": 1}, "optim.maximize=1: must be true or false"),
        ({"foreach": "on"}, "optim.foreach=on: must be true or false, or null"),
        ({"momentum": "high"}, "optim.momentum=high: must be a number"),
        ({"params": []}, "optim.params: is given by the run itself; leave it out"),
    ],
)
def test_others_are_refused_in_one_sentence(settings, sentence):
    with pytest.raises(BadInput) as refused:
        check("optim.SignSGDM", **settings)
    assert str(refused.value) == sentence
