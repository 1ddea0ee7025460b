"""YAML is read strictly: what a looser reader would drop, guess or choke on is refused."""

import math
import os

import pytest
import yaml

from engine.yaml_files import LARGEST_FILE, YamlError, dump_yaml, read_yaml


@pytest.fixture
def read(tmp_path):
    """`read(text)`: what a file with this text, or with these bytes, says."""
    path = tmp_path / "file.yaml"

    def write_and_read(text):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_yaml(path)

    return write_and_read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        # YAML 1.1 reads 3e-5 as text, which would be another learning rate for the identity.
        ("[3e-5, 1E+2, -2e3, 1.e-1, .5e1, 3, 1.5]", [3e-5, 100.0, -2000.0, 0.1, 5.0, 3, 1.5]),
        ("[true, null, e5, 1e, x1e-3, '1e-3']", [True, None, "e5", "1e", "x1e-3", "1e-3"]),
        ("[2026-13-45, 2026-01-01]", ["2026-13-45", "2026-01-01"]),
        ("a: ü\nβ: [μ, ν]", {"a": "ü", "β": ["μ", "ν"]}),
        ("\ufeffa: 1", {"a": 1}),
        (
            "a: &a {<<: &s {x: 1, y: 1}, x: 2}\nb: {<<: *a, x: 3}\nc: {<<: *s}",
            {"a": {"x": 2, "y": 1}, "b": {"x": 3, "y": 1}, "c": {"x": 1, "y": 1}},
        ),
    ],
)
def test_what_is_read(read, text, value):
    assert read(text) == value


def test_infinity_and_no_number(read):
    assert math.isnan(read("a: .nan")["a"]) and read("a: -.inf")["a"] == -math.inf


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
CHAIN = "- &a0 [1]\n" + "".join(f"- &a{i + 1} [*a{i}]\n" for i in range(5000))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: the key a is there twice"),
        ("rows: {A: {}, 'A': {}}", "line 1: the key A is there twice"),
        ("1: a\n1.0: b", "line 2: the key 1.0 is there twice"),
        ("<<: {a: 1}\n<<: {b: 1}", "line 2: the key << is there twice"),
        ("- {x: 1}\n- {x: 1, x: 1}", "line 2: the key x is there twice"),
        ("? [a]\n: 1", "line 1: a key must be one word"),
        ("a: &a [*a]", "line 1: a value contains itself"),
        ("a: &a {b: {c: *a}}", "line 1: a value contains itself"),
        (BOMB, "holds more than 100,000 values"),
        (CHAIN, "aliases too deep"),
        ("[" * 200_000, "line 1: values lie in each other more than 32 deep"),
        ("- " * 200_000, "more than 32 deep"),
        ("{a: " * 200_000, "more than 32 deep"),
        ("x: " + "9" * 6000, "4300 digits"),
        ("x: 0x_", "invalid literal"),
        ("x: !!python/object:os.system ls", "line 1: tags such as "),
        ("x: !!binary aGk=", "line 1: tags such as "),
        ("x: *nowhere", "line 1: found undefined alias"),
        ("a: [1\nb: 2", "line 2: "),
        ("a: b: c", "line 1: mapping values are not allowed"),
        ("--- 1\n--- 2", "line 2: but found another document"),
        (b"a: \xff", "is no text in UTF-8"),
        (b"a: \x00", "control characters are not allowed"),
        ("x: " + "a" * LARGEST_FILE, "is larger than 1,048,576 bytes"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_refused(read, tmp_path, text, reason):
    with pytest.raises(YamlError) as caught:
        read(text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'file.yaml'}: ") and reason in message
    assert "\n" not in message and len(message) < 300


def test_a_folder_and_a_pipe_are_no_files(tmp_path):
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    for name in ("folder.yaml", "pipe.yaml"):
        with pytest.raises(YamlError, match=f"{name}: cannot be read: "):
            read_yaml(tmp_path / name)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_yaml(tmp_path / "none.yaml")


def test_what_is_written_is_read_again(read):
    shared = [1, 2]
    value = {
        "text": ["1e-3", "2026-01-01", "true", "ü", "a: b", "# x", ""],
        "numbers": [1e-05, 0.1 + 0.2, 10**17, -0.0, math.inf],
        "twice": [shared, shared],
        "none": None,
    }
    assert read(dump_yaml(value)) == value
    # Others' readers see the same.
    assert yaml.safe_load(dump_yaml(value)) == value
