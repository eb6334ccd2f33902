"""The study tells a backend with a planted fault from a right one."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from spec_tests.backends.answers import Checked, WrongAnswerError
from spec_tests.oracle import faults
from spec_tests.oracle.backend import OracleBackend
from spec_tests.study import accuracy, lockstep, parity, work
from spec_tests.study.store import Found
from spec_tests.tests.processes import ROOT
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
        for perturbed in (0, 1, 2)
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
        arrays = [work.alone(backend, "mnist", True, seed, 100 + seed, 1, 12)[1] for seed in seeds]
        early[backend.name] = [each["losses"] for each in arrays]
    right = accuracy.early_difference(early["oracle"], early["other"])
    fault = accuracy.early_difference(early["oracle"], early["initial_values_of_pytorch"])
    assert fault["p"] < 0.01 < right["p"] and abs(fault["difference"]) > 0.1 > abs(right["difference"])


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


def test_a_training_of_too_few_losses_or_other_weights_fails_its_piece():
    class Short(Other):
        def train(self, *arguments, **given):
            losses, weights, slots = super().train(*arguments, **given)
            return losses[1:], weights, slots

    class Extra(Other):
        def train(self, *arguments, **given):
            losses, weights, slots = super().train(*arguments, **given)
            return losses, dict(weights, extra=np.zeros(2)), slots

    for backend, said in (
        (Short(), "other: train's losses are float64"),
        (Extra(), "other: train's weights have 'extra'"),
    ):
        with pytest.raises(WrongAnswerError, match=said):
            work.lockstep(Checked(backend), "series-stacked", "float64", 4, [2, 4], [], False)


def test_a_backend_of_no_module_has_facts_too():
    """The planted faults are made by editing source in memory; the sources that it came from are the suite's own."""
    broken, right = work.facts(faults.broken("bias_dropped"))[0], work.facts(OracleBackend())[0]
    assert broken["sources"] and broken["platform"] == right["platform"]


def test_facts_are_those_of_the_backend_itself_not_of_what_checks_it():
    assert work.facts(Checked(Other())) == work.facts(Other()) != work.facts(OracleBackend())


EDITED = {
    "unrolled/command_line/show.py": False,
    "unrolled/own_data/tables.py": False,
    "spec_tests/study/showing/report.py": False,
    "spec_tests/study/command.py": False,
    "spec_tests/suite/test_cell.py": False,
    "spec_tests/examples/jax_rnn.py": False,
    "unrolled/datasets/batches.py": True,
    "unrolled/networks/values.py": True,
    "spec_tests/questions/makers.py": True,
    "spec_tests/study/work.py": True,
    "spec_tests/oracle/backend.py": True,  # the backend's own
}


def test_a_kept_piece_depends_on_the_code_that_computes_its_numbers(tmp_path):
    """And on no help text, page, report or test: each file is edited in a copy of the packages."""
    for package in ("unrolled", "spec_tests"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    script = (
        "import json, sys; from pathlib import Path; from spec_tests.study import work\n"
        "from spec_tests.oracle.backend import OracleBackend\n"
        "def now(): return work.facts(OracleBackend())[0]['sources']\n"
        "before = now()\n"
        "for name in sys.argv[1:]:\n"
        "    path = Path(name); text = path.read_text('utf-8')\n"
        "    path.write_text(text + '# edited\\n', 'utf-8')\n"
        "    print(name, now() != before); path.write_text(text, 'utf-8')\n"
    )
    command = [sys.executable, "-c", script, *EDITED]
    done = subprocess.run(command, cwd=tmp_path, env=dict(os.environ, PYTHONPATH=""), capture_output=True, text=True)
    assert done.stdout.splitlines() == ["%s %s" % edited for edited in EDITED.items()], done.stderr


def test_a_kept_piece_depends_on_what_the_backend_imports(tmp_path):
    """A helper beside it that is imported late, and one that the helper imports; nothing that is not imported."""
    (tmp_path / "mine.py").write_text(
        "from spec_tests.oracle.backend import OracleBackend\n"
        "class Mine(OracleBackend):\n"
        "    def two_step(self, *given):\n        import helper\n        return helper.same(super().two_step(*given))\n"
    )
    (tmp_path / "helper.py").write_text("from deeper import same\n")
    (tmp_path / "deeper.py").write_text("def same(value): return value\n")
    (tmp_path / "notes.py").write_text("nothing = 0\n")
    script = (
        "import sys; from pathlib import Path; from mine import Mine; from spec_tests.study import work\n"
        "def now(): return work.facts(Mine())[0]['sources']\n"
        "before = now()\n"
        "for name in sys.argv[1:]:\n"
        "    path = Path(name); text = path.read_text()\n"
        "    path.write_text(text + '# mended\\n'); print(name, now() != before); path.write_text(text)\n"
    )
    names = {"mine.py": True, "helper.py": True, "deeper.py": True, "notes.py": False}
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    command = [sys.executable, "-c", script, *names]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["%s %s" % pair for pair in names.items()], done.stderr


def test_settings_that_change_numbers_are_facts(monkeypatch):
    monkeypatch.delenv("UNROLLED_PATH", raising=False)
    before = work.facts(OracleBackend())[0]
    monkeypatch.setenv("UNROLLED_PATH", "eager")
    assert work.facts(OracleBackend())[0] != before
