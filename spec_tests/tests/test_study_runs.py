"""A study as it runs: what is kept, what is repeated, what fails alone, and what several jobs make of it."""

import io
import json
import shutil
import tracemalloc
import zipfile

import click
import numpy as np
import pytest
from numpy.lib import format as numpy_format

import unrolled.writing
from spec_tests.study import cost, results
from spec_tests.study.executors import LocalExecutor, RayExecutor
from spec_tests.study.pieces import planned
from spec_tests.study.profiles import PROFILES
from spec_tests.study.results import without_times
from spec_tests.study.store import Found, Store
from spec_tests.tests.small_study import HERE, NAMES, PROFILE, STUDY, InProcess, Silent, costs, run
from unrolled.errors import DataError

for package in ("scipy", "statsmodels"):
    pytest.importorskip(package, reason="%s is not installed (the extra `study`)" % package)

PIECE = "a_piece-0123456789abcdef.npz"
SHORT = PROFILE._replace(
    lockstep_mnist_float32=0,
    lockstep_series_float32=0,
    lockstep_series_float64=0,
    lockstep_vowels_float64=0,
    seeds=0,
    paired=0,
    rounds=0,
)


def test_results_say_their_schema_and_every_part_and_read_back_as_they_were(whole_study):
    folder, found = whole_study
    written = json.loads((folder / "results.json").read_text("utf-8"))
    assert written["schema"] == "unrolled.study/3" and written == found
    assert set(results.SECTIONS) <= set(written)
    assert {piece["status"] for piece in written["cells"]} == {"done"} and not written["problems"]
    assert [len(written["verdict"]), len(written["accuracy"]["pairs"]), len(written["series"]["runs"])] == [1, 1, 4]
    assert [(pair["program"], pair["seeds_shared"]) for pair in written["paired"]["pairs"]] == [
        ("mnist", 2),
        ("vowels-lstm", 2),
    ]
    assert results.numbers(written) == results.read(folder) == results.read(folder / "results.json")


def test_initial_values_of_every_program_are_asked_without_training(study_plan, whole_study):
    """Both forms of the series have the same weights."""
    drawn = {(row["backend"], row["program"]) for row in whole_study[1]["initial"]}
    assert drawn == {(label, name) for label in ("oracle", "other") for name in PROFILE.programs[:3]}
    assert all(row["right"] for row in whole_study[1]["initial"])
    untrained = planned(
        PROFILE._replace(seeds=0), {"one": {"initial_weights", "basic_rnn", "classifier", "tanh", "float32"}}
    )
    assert ("initial", "mnist") in {(piece.part, piece.arguments.get("program")) for piece in untrained}


def test_lstm_and_gru_stand_beside_what_tensorflow_1_15_5_was_recorded_to_answer(whole_study):
    rows = [row for row in whole_study[1]["parity"] if row["kind"] in ("LSTM", "GRU")]
    assert len(rows) == 12 and all(set(row["recorded"]) == {"oracle", "other"} for row in rows)
    assert all(error["relative"] <= row["limit"] for row in rows for error in row["recorded"].values())


def test_the_default_asks_no_question_that_its_numbers_cannot_decide():
    """Own initial values differ by a point after one epoch; a study that asks for seeds gets those it has."""
    quick, standard = PROFILES["quick"], PROFILES["standard"]
    assert (quick.seeds, quick.paired) == (0, 3) and "--standard" in quick.why
    more = quick.resized(None, None, 5, None)
    assert (more.seeds, more.paired) == (0, 5) and more.why != quick.why == quick.resized(None, None, None, 0).why
    assert standard.resized(None, None, 5, None)[standard._fields.index("seeds")] == 5
    assert [standard.epochs_of("mnist-gru", own)[0] for own in (True, False)] == [10, 1]
    steps = [standard.lockstep_steps(name, "float32") for name in ("mnist", "mnist-lstm", "vowels-gru")]
    assert steps == [732, 147, 90]
    assert [standard.resized(0, None, None, None).epochs_of("mnist-lstm", own)[0] for own in (True, False)] == [0, 0]


def test_the_same_study_again_repeats_nothing(study_plan, whole_study):
    folder, found = whole_study
    idle = InProcess()
    assert dict(run(study_plan, folder, idle), seconds=0) == dict(found, seconds=0)
    assert idle.ran == []


def test_an_interrupted_study_goes_on_and_ends_as_if_it_had_not_been(study_plan, whole_study, tmp_path, monkeypatch):
    monkeypatch.setattr(cost, "measure", lambda hosts, *rest: costs(hosts))
    first, second = InProcess(ends_after=7), InProcess()
    with pytest.raises(KeyboardInterrupt):
        run(study_plan, tmp_path, first)
    assert not (tmp_path / "results.json").exists()
    found = run(study_plan, tmp_path, second)
    assert len(first.ran) == 7 and len(first.ran) + len(second.ran) == len(study_plan.pieces) - 1  # that of cost
    assert without_times(found) == without_times(whole_study[1])


def test_a_damaged_piece_is_run_anew_and_one_of_another_title_is_not_taken(study_plan, whole_study, tmp_path):
    store, piece = Store(tmp_path), study_plan.pieces[0]
    name = study_plan.files[piece.title]
    shutil.copytree(whole_study[0] / "cells", tmp_path / "cells", dirs_exist_ok=True)
    assert store.load(name, piece.title) is not None and store.load(name, "another title") is None
    (tmp_path / "cells" / name).write_bytes((tmp_path / "cells" / name).read_bytes()[:-40])
    executor = InProcess()
    run(study_plan, tmp_path, executor)
    assert executor.ran == [piece.title]


def test_a_piece_with_any_bit_turned_is_as_it_was_or_not_there(tmp_path):
    store, random = Store(tmp_path), np.random.RandomState(0)
    store.save("piece.npz", "a piece", Found({"seconds": 1.5}, {"a": np.arange(5.0), "b": np.zeros((2, 3))}))
    path = tmp_path / "cells" / "piece.npz"
    whole, expected = path.read_bytes(), store.load("piece.npz", "a piece")
    assert expected is not None
    refused = 0
    for place in random.permutation(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << random.randint(8)
        path.write_bytes(damaged)
        found = store.load("piece.npz", "a piece")
        refused += found is None
        if found is not None:
            assert found.values == expected.values and sorted(found.arrays) == ["a", "b"]
            assert all(np.array_equal(found.arrays[name], expected.arrays[name]) for name in expected.arrays)
    assert refused > len(whole) // 2


def test_other_sources_versions_or_steps_are_another_piece(study_plan):
    piece, facts = study_plan.pieces[0], study_plan.hosts["oracle"].facts
    assert piece.file_name(facts) == study_plan.files[piece.title]
    assert piece.file_name(dict(facts, sources="another")) != piece.file_name(facts)
    fewer = planned(PROFILE._replace(lockstep_mnist_float32=1), {"oracle": study_plan.hosts["oracle"].capabilities})
    assert {each.file_name(facts) for each in fewer if each.part == "lockstep"} - set(study_plan.files.values())


def test_a_piece_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    store, found = Store(tmp_path), Found({"a": 1}, {"losses": np.arange(3.0)})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(unrolled.writing.os, "fsync", full)
        with pytest.raises(click.ClickException, match=r"cannot be written .No space left"):
            store.save("a.npz", "a", found)
    assert list((tmp_path / "cells").iterdir()) == [] and store.load("a.npz", "a") is None
    store.save(PIECE, "a", found)
    (tmp_path / "cells" / (".%s.0123abcd.partial" % PIECE)).write_bytes(b"half")
    with store.locked():
        assert [path.name for path in (tmp_path / "cells").iterdir()] == [PIECE]
    kept = store.load(PIECE, "a")
    assert kept is not None and kept.values == {"a": 1} and kept.arrays["losses"].tolist() == [0.0, 1.0, 2.0]


def test_only_what_the_study_made_is_removed_or_opened(tmp_path):
    another = "another_study-0123456789abcdef.npz"
    cells, store = tmp_path / "study" / "cells", Store(tmp_path / "study")
    for name in (".gitignore", ".mine.npz.0123abcd.partial", "mine.npz"):
        (cells / name).write_text("precious")
    for name in (PIECE, another):
        store.save(name, "a", Found({}, {}))
    with store.locked():
        store.clear([PIECE, "not_run_yet-0123456789abcdef.npz"])
    left = [".gitignore", ".mine.npz.0123abcd.partial", another, "mine.npz"]
    assert sorted(path.name for path in cells.iterdir()) == left
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "study" / ".lock").unlink()
    (tmp_path / "study" / ".lock").symlink_to(tmp_path / "victim")
    with pytest.raises(DataError, match="cannot be used"), store.locked():
        pass
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_piece_that_unpacks_to_gigabytes_is_not_there(tmp_path):
    store, stream = Store(tmp_path), io.BytesIO()
    store.save(PIECE, "a", Found({}, {"x": np.zeros(3)}))
    with zipfile.ZipFile(str(tmp_path / "cells" / PIECE)) as archive:
        index = archive.read("index.npy")
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("index.npy", index)
        with archive.open("x.npy", "w") as entry:
            numpy_format.write_array_header_1_0(entry, {"descr": "|u1", "fortran_order": False, "shape": (1 << 27,)})
            for _ in range(1 << 7):
                entry.write(bytes(1 << 20))
    (tmp_path / "cells" / PIECE).write_bytes(stream.getvalue())
    tracemalloc.start()
    try:
        assert store.load(PIECE, "a") is None and tracemalloc.get_traced_memory()[1] < 1 << 26
    finally:
        tracemalloc.stop()


def test_two_studies_do_not_share_a_folder(tmp_path):
    with Store(tmp_path).locked(), pytest.raises(DataError, match="another study is at work in"):
        Store(tmp_path).locked().__enter__()


def test_a_piece_that_fails_is_told_with_its_reason_and_the_others_go_on(tmp_path):
    smaller = PROFILE._replace(lockstep_series_float64=0, seeds=1, paired=1, epochs=1, paired_epochs=1, rounds=0)
    study = STUDY._replace(names=("oracle", HERE + ":Stubborn"), profile=smaller)
    found = run(results.plan(study), tmp_path, InProcess(), study)
    failed = {piece["cell"]: piece["reason"] for piece in found["cells"] if piece["status"] == "failed"}
    assert set(failed.values()) == {"out of paper"}
    assert {title.rpartition(", ")[2] for title in failed} == {"stubborn"} and len(failed) > 5
    told = [problem for problem in found["problems"] if "out of paper" in problem]
    assert len(told) == 2 and told[0].startswith("stubborn failed %d pieces" % len(failed))  # and the behaviours
    assert list(found["accuracy"]["backends"]) == ["oracle"] and found["series"]["runs"]
    rows = {row["title"]: row for row in found["parity"] if row["dtype"] == "float32"}
    assert "out of paper" in rows["60 Adam steps, MNIST: losses"]["failed"]["stubborn"]
    assert rows["static unrolling"]["within"] and not rows["60 Adam steps, MNIST: losses"]["within"]


@pytest.fixture(scope="module")
def in_processes(tmp_path_factory):
    """A short study by an executor, one of whose backends takes its process with it."""
    study = STUDY._replace(names=(HERE + ":Partial", HERE + ":Dying"), profile=SHORT)
    plan = results.plan(study)
    return lambda executor: results.run(study, plan, Store(tmp_path_factory.mktemp("short")), executor, Silent())


@pytest.fixture(scope="module")
def one_job(in_processes):
    return in_processes(LocalExecutor(1, 60.0))


def test_a_process_that_dies_fails_its_piece_alone(one_job):
    (failed,) = [piece for piece in one_job["cells"] if piece["status"] == "failed"]
    assert failed["backend"] == "dying" and "was killed by SIGKILL" in failed["reason"]
    assert one_job["parity"] and all(set(row["oracle"]) == {"partial"} for row in one_job["parity"])


def test_several_jobs_give_what_one_gives(in_processes, one_job):
    assert without_times(in_processes(LocalExecutor(2, 60.0))) == without_times(one_job)


def test_a_ray_cluster_gives_what_this_machine_gives(in_processes, one_job):
    pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")
    assert without_times(in_processes(RayExecutor(1, 60.0))) == without_times(one_job)


def test_backends_of_one_name_are_told_apart():
    plan = results.plan(STUDY._replace(names=("oracle", "spec_tests.oracle.backend:backend"), profile=SHORT))
    assert [host.label for host in plan.backends] == ["oracle", "spec_tests.oracle.backend:backend"]


def test_a_backend_that_is_named_twice_is_a_control(tmp_path):
    """Its copies have pieces of their own, and whatever the study calls a difference between them is none."""
    few = SHORT._replace(lockstep_series_float64=3, paired=2)
    study = STUDY._replace(names=("oracle", "oracle"), profile=few)
    plan = results.plan(study)
    assert [host.label for host in plan.backends] == ["oracle", "oracle, copy 2"]
    found = run(plan, tmp_path, InProcess(), study)
    (pair,) = found["verdict"]
    assert pair["control"] and {line["verdict"] for line in pair["lines"]} == {"equivalent", "not asked"}
    assert found["parity"][0]["pairs"][0]["relative"] == 0.0


def test_a_partial_backend_and_one_that_raises_leave_the_lines_of_the_others(tmp_path):
    few = SHORT._replace(lockstep_series_float64=3, paired=2)
    found = {}
    for more in ((), ("Stubborn", "Partial")):
        study = STUDY._replace(names=(*NAMES, *("%s:%s" % (HERE, name) for name in more)), profile=few)
        found[more] = run(results.plan(study), tmp_path / str(len(more)), InProcess(), study)["verdict"]
    alone, beside = ({(pair["one"], pair["other"]): pair["lines"] for pair in each} for each in found.values())
    assert {line["verdict"] for line in alone["oracle", "other"]} == {"equivalent", "not asked"}
    assert beside["oracle", "other"] == alone["oracle", "other"]
    verdicts = {pair: [line["verdict"] for line in lines] for pair, lines in beside.items() if "oracle" in pair}
    assert verdicts["oracle", "stubborn"] == ["equivalent", "undecided", "undecided", "not asked"]
    assert verdicts["oracle", "partial"] == ["equivalent", "not asked", "not asked", "not asked"]


def test_a_folder_with_another_study_or_a_report_of_ones_own_stays_as_it_is(study_plan, whole_study, tmp_path):
    folder = whole_study[0]
    results.check_folder(STUDY, study_plan, folder)
    for other in (STUDY._replace(profile=SHORT), STUDY._replace(margin=0.01)):
        with pytest.raises(DataError, match=r"has another study \(small, of oracle and .*\), which stays"):
            results.check_folder(other, study_plan, folder)
    results.check_folder(STUDY, study_plan, tmp_path)
    (tmp_path / "report.md").write_text("of mine")
    with pytest.raises(DataError, match=r"has a report.md that is not of this study, which stays"):
        results.check_folder(STUDY, study_plan, tmp_path)
