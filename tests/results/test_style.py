"""Looks of optimizers: one table, and the same look wherever an optimizer is drawn."""

import itertools

import numpy as np
import pytest

from results.plan import all_studies
from results.style import DASHES, HUES, LOOKS, MARKERS, OTHERS, VARIATIONS, Look, looks, ramp

# What eyes without one kind of cones make of linear RGB: Machado, Oliveira & Fernandes (2009).
BLIND = {
    "none": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}


def lab(colour, blindness="none"):
    """The colour as people with that blindness see it, in CIELAB."""
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(BLIND[blindness] @ linear, 0, 1)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    x, y, z = np.cbrt(to_xyz @ seen / np.array([0.9505, 1, 1.089]))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(one, other):
    """How far apart two colours are for the eyes to which they are most alike."""
    return min(np.linalg.norm(lab(one, kind) - lab(other, kind)) for kind in BLIND)


@pytest.mark.parametrize("ground", ["light", "dark"])
def test_no_two_optimizers_look_alike_to_any_eyes(ground):
    own = {name: look for name, look in LOOKS.items() if name != "lp_adam p=2"}
    for (name, one), (other_name, other) in itertools.combinations(own.items(), 2):
        apart = distance(getattr(one, ground), getattr(other, ground)) > 12
        assert apart or (one.marker, one.dash) != (other.marker, other.dash), (name, other_name)


@pytest.mark.parametrize(("ground", "page"), [("light", "#ffffff"), ("dark", "#14171b")])
def test_every_colour_shows_on_its_ground(ground, page):
    colours = {getattr(look, ground) for look in [*LOOKS.values(), *OTHERS, *ramp(9)]}
    assert all(distance(colour, page) > 20 for colour in colours)


def test_adam_is_l2_adam():
    assert LOOKS["lp_adam p=2"] == LOOKS["adam"]


def test_looks_are_in_the_words_of_matplotlib_and_plotly():
    every = [*LOOKS.values(), *OTHERS, *ramp(20)]
    assert {look.marker for look in every} <= MARKERS.keys()
    assert {look.dash for look in every} <= DASHES.keys()
    assert {dash for _, dash, _ in VARIATIONS} == DASHES.keys()
    assert all(len(colour) == 7 for pair in HUES.values() for colour in pair)


def test_no_two_rows_of_a_study_look_alike():
    for study in all_studies():
        found = looks(study.rows)
        assert list(found) == list(study.rows)
        assert len(set(found.values())) == len(found), study.name


def test_an_optimizer_looks_the_same_in_every_study():
    """In all but those where several rows have it, and for L^p Adam as its p is."""
    seen: dict[str, set[Look]] = {}
    for study in all_studies():
        for label, look in looks(study.rows).items():
            seen.setdefault(label.casefold(), set()).add(look)
    for label in ("adam", "amsgrad", "adamax", "laprop", "madam", "lamadam", "sgd", "adabelief"):
        assert seen[label] == {LOOKS[label]}
    assert seen["adam (p = 6)"] == seen["lp_adam (p = 6)"] == {LOOKS["lp_adam p=6"]}
    assert seen["adam (p = 2)"] == {LOOKS["adam"]}


def test_a_label_in_print_goes_before_the_name_of_the_optimizer():
    found = looks({"Adam": {"optim": "madam"}, "MAdam": {"optim": "madam"}})
    assert found == {"Adam": LOOKS["adam"], "MAdam": LOOKS["madam"]}


def test_what_sets_rows_apart_changes_them_in_the_same_way():
    def rows(optim):
        return {
            f"{optim} {nu}": {"optim": optim, "optim.betas": [0.9, nu]} for nu in (0.5, 0.9, 0.999)
        }

    adam, laprop = looks(rows("adam")), looks(rows("laprop"))
    for one, other in zip(adam.values(), laprop.values(), strict=True):
        assert one.dash == other.dash
        assert one.marker.endswith("-open") is other.marker.endswith("-open")
    markers = {look.marker.removesuffix("-open") for look in adam.values()}
    assert markers == {LOOKS["adam"].marker}, "the marker is the optimizer's"


def test_the_order_of_rows_does_not_matter():
    rows = {f"mine {i}": {"optim": "mine", "optim.lr": i} for i in range(9)}
    rows |= {"Adam": {"optim": "adam"}, "Adam, slow": {"optim": "adam", "optim.lr": 1}}
    assert looks(dict(reversed(rows.items()))) == looks(rows)
    assert looks(rows)["Adam"] == LOOKS["adam"]


def test_your_own_optimizers_have_looks_by_their_names_without_collisions():
    names = [f"my_optimizer_{i}" for i in range(200)]
    alone = {name: looks({name: {"optim": name}})[name] for name in names}
    assert looks({names[0]: {"optim": names[0]}})[names[0]] == alone[names[0]]
    assert len(set(alone.values())) == len(OTHERS)
    together = looks({name: {"optim": name} for name in names})
    assert len(set(together.values())) == len(names)
    assert not set(together.values()) & set(LOOKS.values())


def test_more_rows_than_looks_share_some():
    rows = {str(i): {"optim": "adam", "optim.lr": i} for i in range(50)}
    assert set(looks(rows)) == set(rows)


def test_values_of_a_key_go_from_dark_to_bright():
    lightness = [lab(look.light)[0] for look in ramp(6)]
    assert lightness == sorted(lightness) and len(ramp(1)) == 1 and ramp(0) == []
