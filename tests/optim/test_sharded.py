"""Sharded parameters are trained as whole ones are, by every rule and every way to run it."""

import pytest
from sharded import TESTS, Job, in_two_processes
from suite import OURS

import optim

VARIANTS = [
    (optim.LaProp, {"variant": "authors"}),
    (optim.LaProp, {"amsgrad": True, "centered": True, "centered_after": 1}),
    (optim.MAdam, {"amsgrad": True, "maximize": True}),
    (optim.LpAdam, {"p": 3.0}),
]
JOBS = [Job(make, {}, executor) for make in OURS for executor in ("loop", "foreach")]
JOBS += [Job(make, settings, "foreach") for make, settings in VARIANTS]
COMPILED = [Job(make, {}, "compile") for make in OURS]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return in_two_processes(tmp_path_factory.mktemp("processes"), JOBS)


@pytest.fixture(scope="module")
def compiled_results(tmp_path_factory):
    return in_two_processes(tmp_path_factory.mktemp("processes"), COMPILED)


every_test = pytest.mark.parametrize("test", TESTS, ids=lambda test: test.__name__)


@every_test
@pytest.mark.parametrize("job", JOBS, ids=str)
def test_shards_are_trained_like_the_whole(results, test, job):
    assert results[f"{test.__name__} {job}"] <= 8


@pytest.mark.slow
@every_test
@pytest.mark.parametrize("job", COMPILED, ids=str)
def test_compiled_shards_are_trained_like_the_whole(compiled_results, test, job):
    # Some kernels round a root and a logarithm otherwise, as the whole ones do.
    assert compiled_results[f"{test.__name__} {job}"] <= 64
