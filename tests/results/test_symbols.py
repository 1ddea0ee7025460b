"""How keys, values and labels are written."""

import pytest

from results.plan import all_studies
from results.symbols import brief_label, key_label, plain, setting, short, typeset, written


@pytest.mark.parametrize(
    ("key", "paper", "said"),
    [
        ("optim.lr", "", "learning rate"),
        ("optim.betas.1", "lp_adam", "β₂"),
        ("optim.betas.1", "laprop", "ν"),
        ("optim.betas.0", "laprop", "μ"),
        ("optim.mine.0", "laprop", "mine.0"),
        ("task.batch_size", "", "batch_size"),
    ],
)
def test_a_key_is_written_as_its_paper_does(key, paper, said):
    assert key_label(key, paper) == said


def test_a_brief_label_is_a_symbol_or_the_end_of_the_key():
    assert brief_label("optim.betas.1") == "β₂" and brief_label("optim.lr") == "lr"
    assert short("optim.betas.1") == "betas.1"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1e-8, "1e-8"),
        (3e-05, "3e-5"),
        (0.001, "1e-3"),
        (0.0012345, "1.234e-3"),
        (0.01, "0.01"),
        (0.999, "0.999"),
        (0, "0"),
        (-0.0002, "-2e-4"),
        (500, "500"),
        (30000, "3e4"),
        (1e12, "1e12"),
        (float("inf"), "inf"),
        (True, "true"),
        ([0.9, 1e-08], "[0.9,1e-8]"),
        ("cosine", "cosine"),
        (None, "null"),
    ],
)
def test_a_value_is_written_as_people_write_it(value, said):
    assert written(value) == said


def test_a_setting_is_a_key_and_its_value():
    assert setting("optim.betas.1", 0.999, "laprop") == "ν = 0.999"
    assert setting("optim.eps", 1e-8) == "ε = 1e-8"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("LaProp, ν = 0.4", r"LaProp, $\nu$ = 0.4"),
        ("β₂", r"$\beta_2$"),
        ("L^3 Adam", "$L^3$ Adam"),
        ("Lᵖ norms", "$L^p$ norms"),
        ("Adam (p = 1.2)", "Adam ($p$ = 1.2)"),
        ("step, stop = 1", "step, stop = 1"),
        ("ε = 1e-08", r"$\epsilon$ = 1e-8"),
        ("ν costs $5", r"$\nu$ costs \$5"),
        ("Γ", r"$\Gamma$"),
    ],
)
def test_symbols_are_set_as_mathematics(text, said):
    assert typeset(text) == said


def test_every_key_that_a_study_searches_has_words():
    """In none of this project's figures stands a key of a config with its dots."""
    for study in all_studies():
        assert not any("." in key_label(key, study.paper) for key in study.keys), study.name


@pytest.mark.parametrize("text", ["", "a", "$", "$$", "$x^2$", r"\$", r"\\$x$"])
def test_no_dollar_begins_mathematics(text):
    from matplotlib.figure import Figure as Drawing

    drawn = Drawing().text(0, 0, plain(text))
    assert drawn._preprocess_math(drawn.get_text()) == (text, False)


@pytest.mark.parametrize("text", ["LaProp, ν = 0.4", "L^3 Adam, $5", "Σ β₂ᵃ"])
def test_what_is_typeset_can_be_drawn(text):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing()
    FigureCanvasAgg(drawing)
    drawing.suptitle(typeset(text))
    drawing.canvas.draw()
