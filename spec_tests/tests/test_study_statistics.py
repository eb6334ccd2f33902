"""The study's statistics beside SciPy's own, simulation, and cases whose answer is known."""

import numpy as np
import pytest

from spec_tests.oracle import faults
from spec_tests.oracle.backend import OracleBackend
from spec_tests.study import accuracy, cost, equivalence, lockstep
from spec_tests.study.store import Found
from unrolled.programs import MNIST

stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed (the extra `study`)")
pytest.importorskip("statsmodels", reason="statsmodels is not installed (the extra `study`)")


def samples(difference, spread, sizes, seed=1):
    random = np.random.RandomState(seed)
    one, other = (random.normal(0.95, spread, size) for size in sizes)
    return one, other - other.mean() + one.mean() - difference


@pytest.mark.parametrize(
    ("difference", "spread", "verdict"),
    [
        (0.0, 0.001, "equivalent"),
        (0.002, 0.002, "equivalent"),
        (0.004, 0.004, "undecided"),
        (-0.02, 0.002, "differs"),
    ],
)
def test_equivalence_is_two_one_sided_welch_tests_at_the_margin(difference, spread, verdict):
    one, other = samples(difference, spread, (9, 6))
    found = equivalence.equivalence(one, other, 0.005)
    above = stats.ttest_ind(one + 0.005, other, equal_var=False, alternative="greater").pvalue
    below = stats.ttest_ind(one - 0.005, other, equal_var=False, alternative="less").pvalue
    interval = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.9)
    assert found["p"] == pytest.approx(max(above, below), rel=1e-9)
    assert (found["low"], found["high"]) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert found["verdict"] == verdict
    assert (found["p"] < 0.05) == (found["low"] > -0.005 and found["high"] < 0.005)


def test_one_seed_says_nothing_and_seeds_without_spread_say_all():
    assert equivalence.equivalence([0.9], [0.9])["verdict"] == "undecided"
    assert equivalence.equivalence([0.9, 0.9], [0.901, 0.901])["verdict"] == "equivalent"
    assert equivalence.equivalence([0.9, 0.9], [0.91, 0.91])["verdict"] == "differs"


def test_pairs_of_seeds_are_tested_by_their_differences():
    """Samples that vary by a point from seed to seed, and by a tenth of one between the two of a seed."""
    random = np.random.RandomState(3)
    one = random.normal(0.95, 0.01, 5)
    other = one + random.normal(0.0, 0.001, 5)
    found = equivalence.equivalence(one, other, 0.005, paired=True)
    above = stats.ttest_rel(one + 0.005, other, alternative="greater").pvalue
    below = stats.ttest_rel(one - 0.005, other, alternative="less").pvalue
    interval = stats.ttest_rel(one, other).confidence_interval(0.9)
    assert found["p"] == pytest.approx(max(above, below), rel=1e-9)
    assert (found["low"], found["high"]) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert found["verdict"] == "equivalent" and found["power"] > 0.9
    assert equivalence.equivalence(one, other, 0.005)["verdict"] == "undecided"
    apart = equivalence.equivalence(one, other + 0.02, 0.005, paired=True)
    beyond = stats.ttest_rel(one + 0.005, other + 0.02, alternative="less").pvalue
    assert apart["verdict"] == "differs" and apart["p_different"] == pytest.approx(2 * beyond, rel=1e-9)


def test_several_pairs_are_corrected_by_holm():
    """One p of 0.03 decides alone, and not among three."""
    pair = {"p": 0.03, "p_different": 1.0, "verdict": "equivalent"}
    assert equivalence.corrected([pair])[0]["verdict"] == "equivalent"
    three = equivalence.corrected(
        [pair, dict(pair, p=0.001), dict(pair, p=0.04), dict(pair, p=None, verdict="undecided")]
    )
    assert [each["verdict"] for each in three] == ["undecided", "equivalent", "undecided", "undecided"]
    assert [each["p_holm"] for each in three[:3]] == pytest.approx([0.06, 0.003, 0.06])


@pytest.mark.parametrize(("seeds", "spread"), [(4, 0.002), (8, 0.004)])
def test_power_is_how_often_equivalence_is_shown_where_there_is_no_difference(seeds, spread):
    assert equivalence.power_of(seeds, 0.0, spread) == pytest.approx(simulated_power(0.0, spread, seeds), abs=0.03)


@pytest.mark.parametrize(("difference", "spread"), [(0.0, 0.004), (0.002, 0.003)])
def test_with_the_seeds_needed_equivalence_is_shown_nine_times_in_ten(difference, spread):
    seeds = equivalence.seeds_needed(difference, spread)
    assert seeds is not None
    power = {size: simulated_power(difference, spread, size) for size in (seeds, seeds * 2 // 3)}
    assert 0.885 < power[seeds] < 0.95 and power[seeds * 2 // 3] < 0.85


def simulated_power(difference, spread, size, studies=4000):
    one, other = np.random.RandomState(2).normal(0.0, spread, (2, studies, size)) + np.array([[[difference]], [[0.0]]])
    above = stats.ttest_ind(one + 0.005, other, axis=1, alternative="greater").pvalue
    below = stats.ttest_ind(one - 0.005, other, axis=1, alternative="less").pvalue
    return np.mean(np.maximum(above, below) < 0.05)


def test_no_number_of_seeds_is_said_where_none_would_do():
    assert equivalence.seeds_needed(0.006, 0.001) is None
    assert equivalence.seeds_needed(0.005 - 1e-9, 0.01) is None


def test_a_ratio_is_that_of_each_round_and_what_slows_both_falls_out():
    load = np.array([1.0, 5.0, 1.0, 2.0, 1.0, 3.0])
    found = cost.ratio_of(list(load * 0.01), list(load * 0.02 * np.array([1, 1, 1.1, 0.9, 1, 1])))
    assert found["ratio"] == pytest.approx(2.0) and 1.8 <= found["low"] <= 2.0 <= found["high"] <= 2.2
    assert cost.ratio_of([1.0, -1.0, 1.0, 1.0], [2.0] * 4)["rounds"] == 3  # one in which the machine did other things
    assert cost.ratio_of([1.0, 1.0], [2.0, 2.0]) == {"ratio": 2.0, "low": None, "high": None, "rounds": 2}


def drawn(backend, seeds):
    return [backend.initial_weights(MNIST.model, seed) for seed in seeds]


def test_initial_values_of_pytorch_are_told_from_those_of_tf1():
    right = accuracy.initial_values(MNIST.model, drawn(OracleBackend(), (1, 2)))
    fault = accuracy.initial_values(MNIST.model, drawn(faults.broken("initial_values_of_pytorch"), (1, 2)))
    assert {row["weight"]: row["right"] for row in right} == dict.fromkeys(MNIST.model.weights(), True)
    kernels = {"kernel": False, "dense/kernel": False, "bias": True, "dense/bias": True}
    assert {row["weight"]: row["right"] for row in fault} == kernels


def run_of(losses, weights):
    return Found({}, {"losses": np.array(losses, np.float32), "kernel": np.array(weights, np.float32)})


def test_drift_is_by_checkpoint_and_relative():
    one = run_of([1.0, 2.0, 4.0], [[1.0, 2.0], [1.0, 4.0]])
    other = run_of([1.0, 2.5, 4.0], [[1.0, 2.0], [2.0, 4.0]])
    assert lockstep.drift(one, other, [1, 3]) == {"loss": [0.0, pytest.approx(0.2)], "weights": [0.0, 0.25]}
    nan = run_of([1.0, np.nan, 4.0], [[1.0, 2.0], [np.nan, 4.0]])
    assert lockstep.drift(one, nan, [1, 3]) == {"loss": [0.0, np.inf], "weights": [0.0, np.inf]}


def test_drift_is_judged_by_the_drift_of_a_backend_against_itself():
    def verdict(weights, own):
        return lockstep.verdict_of(dict(given, weights=weights, steps=[1, 10], itself={"one": {"weights": own}}))

    given = {"program": "mnist", "dtype": "float32", "itself": {}}
    limit = lockstep.FACTORS["mnist", "float32"]
    told = {"ratio": pytest.approx(1.0), "at": 10, "limit": limit, "verdict": "rounding"}
    assert verdict([1e-7, 1e-5], [1e-7, 1e-5]) == told
    told = {"ratio": pytest.approx(2 * limit), "at": 1, "limit": limit, "verdict": "more than rounding"}
    assert verdict([2 * limit * 1e-6, 1e-5], [1e-6, 1e-5]) == told
    # What fell together again does not make the other drift look large.
    assert verdict([1e-7, 1e-5], [1e-5, 0.0])["verdict"] == "rounding"
    assert lockstep.verdict_of(given)["verdict"] == "not measured"
