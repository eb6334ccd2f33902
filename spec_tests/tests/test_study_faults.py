"""The study tells a backend with a planted fault from a right one."""

import pytest

from spec_tests import faults, oracle
from spec_tests.study import accuracy, lockstep, work
from spec_tests.study.store import Found
from spec_tests.tests.small_study import Other, shorten

stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed (the extra `study`)")
STEPS = 12


def trained(backend, program, dtype):
    """The runs of one backend by (label, program, dtype, perturbed)."""
    checkpoints = [1, 3, STEPS]
    return {
        (backend.name, program, dtype, perturbed): Found(
            *work.lockstep(backend, program, dtype, STEPS, checkpoints, [], perturbed)
        )
        for perturbed in (False, True)
    }, checkpoints


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_plain_adam_epsilon_is_told_in_lockstep(dtype):
    runs = {}
    for backend in (oracle.backend(), Other(), faults.broken("plain_adam_epsilon")):
        some, checkpoints = trained(backend, "series-stacked", dtype)
        runs.update(some)
    verdicts = {}
    for other in ("other", "plain_adam_epsilon"):
        pair = lockstep.pair_of(runs, "oracle", other, "series-stacked", dtype, checkpoints)
        verdicts[other] = pair["verdict"]
    assert verdicts == {"other": "rounding", "plain_adam_epsilon": "more than rounding"}


def test_initial_values_of_pytorch_are_told_in_early_curves(monkeypatch):
    shorten(monkeypatch)
    early = {}
    for number, backend in enumerate((oracle.backend(), Other(), faults.broken("initial_values_of_pytorch"))):
        seeds = range(10 * number, 10 * number + 4)
        arrays = [work.alone(backend, seed, 100 + seed, 1, 12)[1] for seed in seeds]
        early[backend.name] = [each["losses"] for each in arrays]
    right = accuracy.early_difference(early["oracle"], early["other"])
    fault = accuracy.early_difference(early["oracle"], early["initial_values_of_pytorch"])
    assert fault["p"] < 0.01 < right["p"] and abs(fault["difference"]) > 0.1 > abs(right["difference"])


def test_a_backend_of_no_module_has_facts_too():
    """The planted faults are made by editing source in memory; the sources that it came from are the suite's own."""
    broken, right = work.facts(faults.broken("bias_dropped"))[0], work.facts(oracle.backend())[0]
    assert broken["sources"] and broken["platform"] == right["platform"]
