"""The study tells a backend with a planted fault from a right one."""

import numpy as np
import pytest

from spec_tests.oracle import faults
from spec_tests.oracle.backend import OracleBackend
from spec_tests.study import accuracy, lockstep, parity, work
from spec_tests.study.pieces import _lockstep
from spec_tests.study.profiles import PROFILES
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
    for backend in (OracleBackend(), Other(), faults.broken("plain_adam_epsilon")):
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
    for number, backend in enumerate((OracleBackend(), Other(), faults.broken("initial_values_of_pytorch"))):
        seeds = range(10 * number, 10 * number + 4)
        arrays = [work.alone(backend, seed, 100 + seed, 1, 12)[1] for seed in seeds]
        early[backend.name] = [each["losses"] for each in arrays]
    right = accuracy.early_difference(early["oracle"], early["other"])
    fault = accuracy.early_difference(early["oracle"], early["initial_values_of_pytorch"])
    assert fault["p"] < 0.01 < right["p"] and abs(fault["difference"]) > 0.1 > abs(right["difference"])


def test_backends_of_other_capabilities_are_compared_at_the_same_steps():
    profile = PROFILES["quick"]
    able = frozenset(["training", "classifier", "tanh", "float32"])
    one, other = (_lockstep(profile, "a", offered) for offered in (able | {"in_top_k"}, able))
    assert [cell.arguments["checkpoints"] for cell in one] == [cell.arguments["checkpoints"] for cell in other]
    assert one[0].arguments["evaluate"] and not other[0].arguments["evaluate"]


def test_an_answer_that_lacks_a_tensor_or_has_one_too_many_is_told():
    arrays = work.parity(OracleBackend(), "float64")[1]
    entry = next(name for name in arrays if name.endswith("|bias"))
    question = entry.split("|")[0]
    less = {name: array for name, array in arrays.items() if name != entry}
    found = {}
    for label, answered in (("less", less), ("more", dict(arrays, **{question + "|scale": arrays[entry]}))):
        rows = parity.summarize(
            {
                (parity.JUDGE_LABEL, "float64"): Found({"failed": {}}, arrays),
                (label, "float64"): Found({"failed": {}}, answered),
            }
        )
        found[label] = [reason for row in rows for reason in row["failed"].values()]
    assert found == {"less": [question + ": lacks bias"], "more": [question + ": has scale, too"]}


def test_a_training_of_too_few_losses_or_other_weights_fails_its_cell(monkeypatch):
    shorten(monkeypatch)

    class Short(Other):
        def train(self, *arguments, **given):
            losses, weights, slots = super().train(*arguments, **given)
            return losses[1:], weights, slots

    class Extra(Other):
        def train(self, *arguments, **given):
            losses, weights, slots = super().train(*arguments, **given)
            return losses, dict(weights, extra=np.zeros(2)), slots

    for backend, said in ((Short(), "losses have the shapes"), (Extra(), "extra")):
        with pytest.raises(ValueError, match=said):
            work.lockstep(backend, "series-stacked", "float64", 4, [2, 4], [], False)


def test_a_backend_of_no_module_has_facts_too():
    """The planted faults are made by editing source in memory; the sources that it came from are the suite's own."""
    broken, right = work.facts(faults.broken("bias_dropped"))[0], work.facts(OracleBackend())[0]
    assert broken["sources"] and broken["platform"] == right["platform"]


def test_settings_that_change_numbers_are_facts(monkeypatch):
    monkeypatch.delenv("UNROLLED_PATH", raising=False)
    before = work.facts(OracleBackend())[0]
    monkeypatch.setenv("UNROLLED_PATH", "eager")
    assert work.facts(OracleBackend())[0] != before
