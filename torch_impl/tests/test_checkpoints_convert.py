"""Conversion: what TensorFlow 1.15.5 computed from its checkpoint, and did next, this library computes and does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torch_impl import adapter
from torch_impl.checkpoints import CheckpointError
from torch_impl.checkpoints.run_files import load_checkpoint, save_checkpoint
from torch_impl.runs import load_run
from torch_impl.tests.converting import convert
from torch_impl.tf1.back import convert_to_tf1
from torch_impl.tf1.bundle import Bundle
from torch_impl.tf1.convert import TrainedAs, convert_from_tf1
from torch_impl.tf1.slots import POWERS
from torch_impl.tf1.writing import write_variables
from unrolled.models import Model, from_plain, to_plain
from unrolled.networks import BasicRNN
from unrolled.programs import Adam

FILES = Path(__file__).parent / "files" / "tf1"
CLASSIFIER = TrainedAs("classifier", "tanh", optimizer=Adam(0.01))
REGRESSOR = TrainedAs("regressor", "relu", optimizer=Adam(0.01))
SETTINGS = {
    "classifier": CLASSIFIER, "layers": CLASSIFIER, "older": CLASSIFIER, "sharded": CLASSIFIER,
    "wrapped": REGRESSOR, "stacked": REGRESSOR,
}  # fmt: skip
WEIGHTS = ("kernel", "bias", "dense/kernel", "dense/bias")
SLOTS = tuple(f"{weight}/{slot}" for weight in WEIGHTS for slot in ("Adam", "Adam_1"))
STEPS_BEFORE = 7  # as files/make_tf1_checkpoints.py has it


def parts(tensors: dict[str, np.ndarray], of: str) -> dict[str, np.ndarray]:
    return {name[len(of) :]: array for name, array in tensors.items() if name.startswith(of)}


def loaded(folder: Path) -> tuple[Model, Adam, dict[str, np.ndarray], dict[str, np.ndarray], dict[str, Any]]:
    tensors, state = load_checkpoint(folder)
    values = from_plain(state["model"]), Adam(**state["optimizer"])
    return *values, parts(tensors, "weights/"), parts(tensors, "slots/"), state


@pytest.mark.parametrize("name", SETTINGS)
def test_the_run_predicts_and_goes_on_as_tensorflow_did(name: str, tmp_path: Path) -> None:
    convert_from_tf1(FILES / name, tmp_path, settings=SETTINGS[name])
    check_that_it_goes_on_as_tensorflow_did(name, FILES, tmp_path)


@pytest.mark.parametrize("name", SETTINGS)
def test_an_opened_run_goes_on_as_tensorflow_did(name: str, tmp_path: Path) -> None:
    convert_from_tf1(FILES / name, tmp_path, settings=SETTINGS[name])
    run = load_run(tmp_path)
    with np.load(FILES / f"{name}.npz", allow_pickle=False) as truth:
        losses = truth["next/losses"]
        trainer = run.trainer(truth["inputs"], truth["targets"])
        found = trainer.run(np.tile(np.arange(len(truth["inputs"])), (len(losses), 1)))
    assert_close(found, losses, 1e-6 if losses.dtype == np.float32 else 1e-13)


def test_a_run_that_train_made_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="holds a run that `train` made"):
        convert_from_tf1(FILES / "classifier", tmp_path, settings=SETTINGS["classifier"], overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_a_run_that_does_not_tell_adams_settings_says_so(tmp_path: Path) -> None:
    convert_from_tf1(FILES / "classifier", tmp_path, settings=SETTINGS["classifier"])
    run = load_run(tmp_path)
    del run.state["optimizer"]
    with pytest.raises(CheckpointError, match="does not tell Adam's settings"):
        run.trainer(np.zeros((1, 2, run.model.inputs), np.float32), np.zeros(1, np.int64))


def check_that_it_goes_on_as_tensorflow_did(name: str, recorded: Path, run: Path) -> None:
    """The run that was converted from recorded/NAME, against recorded/NAME.npz."""
    model, optimizer, weights, slots, state = loaded(run)
    backend = adapter.backend("cpu")
    with np.load(recorded / f"{name}.npz", allow_pickle=False) as truth:
        inputs, targets = truth["inputs"], truth["targets"]
        tolerance = 1e-6 if inputs.dtype == np.float32 else 1e-13
        assert_close(backend.forward(model, weights, inputs), truth["forward"], tolerance)
        losses = truth["next/losses"]
        batches = np.tile(np.arange(len(inputs)), (len(losses), 1))
        found, weights, slots = backend.train(model, weights, optimizer, inputs, targets, batches, slots=slots)
        assert_close(found, losses, tolerance)
        fresh_names = {"weights": "kernel", "biases": "bias"} if name == "older" else {}
        for canonical, array in {**weights, **slots}.items():
            variable = state["tf1_names"][canonical]
            for old, new in fresh_names.items():  # the Saver renamed the cell's variables, the graph has today's names
                variable = variable.replace(f"basic_rnn_cell/{old}", f"basic_rnn_cell/{new}")
            assert_close(array, truth[f"next/{variable}"], tolerance)
    assert state["step"] == STEPS_BEFORE


def assert_close(found: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance


def test_the_wrapper_is_known_by_its_names(tmp_path: Path) -> None:
    assert convert_from_tf1(FILES / "wrapped", tmp_path / "a", settings=REGRESSOR)["model"]["projection"] == "wrapped"
    assert convert_from_tf1(FILES / "stacked", tmp_path / "b", settings=REGRESSOR)["model"]["projection"] == "stacked"
    state = convert_from_tf1(FILES / "wrapped", tmp_path / "c", settings=CLASSIFIER)
    assert state["model"]["projection"] == "stacked"  # a classifier has no other


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "sharded"])
def test_there_and_back_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    convert_from_tf1(FILES / name, tmp_path / "run", settings=SETTINGS[name])
    convert_to_tf1(tmp_path / "run", tmp_path / "back" / name)
    for end in (".index", ".data-00000-of-00001"):
        assert (tmp_path / "back" / (name + end)).read_bytes() == (FILES / (name + end)).read_bytes()
    text = (tmp_path / "back" / "checkpoint").read_text()
    assert text == f'model_checkpoint_path: "{name}"\nall_model_checkpoint_paths: "{name}"\n'
    # The folder is found by that file, as tf.train.latest_checkpoint finds it.
    again = convert_from_tf1(tmp_path / "back", tmp_path / "again", settings=SETTINGS[name])
    assert again == load_checkpoint(tmp_path / "run").state


def test_a_prefix_that_needs_escaping_is_found_again(tmp_path: Path) -> None:
    convert_from_tf1(FILES / "layers", tmp_path / "run", settings=CLASSIFIER)
    convert_to_tf1(tmp_path / "run", tmp_path / "back" / 'mod"el\\ é')
    convert_from_tf1(tmp_path / "back", tmp_path / "again", settings=CLASSIFIER)


def run_of(folder: Path, **state: Any) -> dict[str, np.ndarray]:
    """A run that never was in TensorFlow, without any optimizer state."""
    shapes = {"kernel": (8, 5), "bias": (5,), "dense/kernel": (5, 2), "dense/bias": (2,)}
    weights = {name: np.random.default_rng(1).normal(size=shape) for name, shape in shapes.items()}
    model = Model("regressor", BasicRNN(5, "relu"), 3, 2, state.pop("projection", "stacked"))
    tensors = {f"weights/{name}": array for name, array in weights.items()}
    save_checkpoint(folder, tensors, {"model": to_plain(model), **state})
    return weights


def test_a_run_of_ones_own_becomes_a_complete_checkpoint(tmp_path: Path) -> None:
    weights = run_of(tmp_path / "run", optimizer={"beta1": 0.8}, step=12)
    convert_to_tf1(tmp_path / "run", tmp_path / "x")
    bundle = Bundle(tmp_path / "x")
    assert set(bundle.entries) == set(Bundle(FILES / "classifier").entries) | {"global_step"}
    assert bundle.read("fully_connected/weights").tobytes() == weights["dense/kernel"].tobytes()
    assert not bundle.read("rnn/basic_rnn_cell/kernel/Adam").any()
    assert bundle.read("beta1_power") == np.float32(0.8)
    assert bundle.read("beta2_power") == np.float32(0.999)
    assert bundle.read("global_step") == 12


@pytest.mark.parametrize(
    ("projection", "dense", "expected"),
    [
        ("stacked", "dense", "dense/kernel"),
        ("wrapped", None, "rnn/output_projection_wrapper/kernel"),
        ("wrapped", "fully_connected", "fully_connected/weights"),
    ],
)
def test_the_names_written_follow_the_model_and_the_option(
    projection: str, dense: str | None, expected: str, tmp_path: Path
) -> None:
    run_of(tmp_path / "run", projection=projection)
    assert expected in convert_to_tf1(tmp_path / "run", tmp_path / "x", dense=dense)


def test_names_given_for_writing_take_their_slots_along(tmp_path: Path) -> None:
    convert_from_tf1(FILES / "layers", tmp_path / "run", settings=CLASSIFIER)
    written = convert_to_tf1(
        tmp_path / "run", tmp_path / "x", {"dense/kernel": "out/w", "beta1_power": "t/beta1_power"}
    )
    assert {"out/w", "out/w/Adam", "out/w/Adam_1", "t/beta1_power", "dense/bias", "dense/bias/Adam"} <= set(written)
    assert not {"dense/kernel", "dense/kernel/Adam", "beta1_power"} & set(written)
    with pytest.raises(CheckpointError, match="two variables would have one name"):
        convert_to_tf1(tmp_path / "run", tmp_path / "y" / "y", {"dense/kernel": "dense/bias"})
    with pytest.raises(CheckpointError, match="nonsense cannot be named; expected one of kernel"):
        convert_to_tf1(tmp_path / "run", tmp_path / "y" / "y", {"nonsense": "a"})


def test_a_run_that_lacks_something_is_refused(tmp_path: Path) -> None:
    model = to_plain(Model("classifier", BasicRNN(5), 3, 2))
    save_checkpoint(tmp_path / "a", {"weights/kernel": np.zeros((8, 5))}, {"model": model})
    with pytest.raises(CheckpointError, match="lacks the weight bias; expected kernel, bias, dense/kernel, dense/bias"):
        convert_to_tf1(tmp_path / "a", tmp_path / "x")
    convert_from_tf1(FILES / "layers", tmp_path / "b", settings=CLASSIFIER)
    tensors, state = load_checkpoint(tmp_path / "b")
    del tensors["slots/bias/Adam_1"]
    save_checkpoint(tmp_path / "b", tensors, state)
    with pytest.raises(CheckpointError, match="lacks the slots bias/Adam_1"):
        convert_to_tf1(tmp_path / "b", tmp_path / "x")


def variables(**changes: np.ndarray | None) -> dict[str, np.ndarray]:
    """Those of files/tf1/layers, some replaced or (None) left out; "__" stands for "/"."""
    bundle = Bundle(FILES / "layers")
    found: dict[str, Any] = {name: bundle.read(name) for name in bundle.entries}
    found.update({name.replace("__", "/"): array for name, array in changes.items()})
    return {name: array for name, array in found.items() if array is not None}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"rnn__basic_rnn_cell__bias": np.zeros(4)},
            r"rnn/basic_rnn_cell/bias is float64 \[4\], expected float64 \[5\]",
        ),
        (
            {"rnn__basic_rnn_cell__kernel": np.zeros((5, 5))},
            r"fit no cell of kind basic_rnn: bias \[5\], kernel \[5, 5\]",
        ),
        ({"rnn__basic_rnn_cell__kernel": np.zeros(5)}, r"fit no cell of kind basic_rnn: bias \[5\], kernel \[5\]"),
        ({"rnn__basic_rnn_cell__kernel": np.zeros((8, 5), np.int32)}, "kernel is int32, expected float32 or float64"),
        (
            {"dense__kernel": np.zeros((2, 5))},
            r"the dense layers dense/kernel \[2, 5\] do not fit the 5 values below",
        ),
        ({"dense__bias__Adam": np.zeros(3)}, r"dense/bias/Adam is float64 \[3\], expected float64 \[2\]"),
        ({"beta1_power": np.array(0.5)}, r"beta1_power is float64 \[\], expected float32 \[\]"),
        ({"beta1_power": np.float32(0.5)}, "beta1_power is 0.5, which is no power of beta1 = 0.9; give the beta1"),
        ({"beta2_power": np.float32(-1)}, "beta2_power is -1.0, expected a power of beta2, from 0 to below 1"),
        ({"beta2_power": np.float32("nan")}, "beta2_power is nan, expected a power"),
        ({"beta1_power": np.float32(0.9)}, "tell of 0 and 7 steps, expected one number"),
        ({"global_step": np.float32(3)}, "global_step is float32"),
        ({"global_step": np.array([3])}, r"global_step is int64 \[1\], expected int32 or int64 \[\]"),
        ({"dense__bias": None}, "unknown variables dense/bias/Adam, dense/bias/Adam_1; say what each is"),
        ({"global_step": np.array(-3)}, "global_step is -3, expected a count from 0"),
        ({"lstm": np.zeros(3)}, "unknown variable lstm"),
    ],
)
def test_a_variable_that_does_not_fit_is_named(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    write_variables(tmp_path / "x", variables(**changes))
    with pytest.raises(CheckpointError, match=reason) as caught:
        convert_from_tf1(tmp_path / "x", tmp_path / "run", settings=CLASSIFIER)
    assert str(caught.value).startswith(f"{tmp_path / 'x'}: ")
    assert not (tmp_path / "run").exists()


def test_without_slots_the_run_starts_adam_afresh(tmp_path: Path) -> None:
    found = {name: array for name, array in variables().items() if "Adam" not in name and "power" not in name}
    write_variables(tmp_path / "x", {**found, "global_step": np.array(40, np.int32)})
    state = convert_from_tf1(tmp_path / "x", tmp_path / "run", settings=CLASSIFIER)
    assert state["step"] == 40
    assert not parts(load_checkpoint(tmp_path / "run").tensors, "slots/")
    assert set(convert_to_tf1(tmp_path / "run", tmp_path / "y" / "y")) == {*found, "global_step"}
    assert Bundle(tmp_path / "y" / "y").read("global_step").dtype == np.int32


def test_powers_that_have_faded_tell_no_step(tmp_path: Path) -> None:
    """After 830 steps 0.9**t is below float32's normal range; after 87,000 so is 0.999**t."""
    no_step = {"global_step": None, "beta1_power": np.float32(0)}
    powers = np.multiply.accumulate(np.full(5001, 0.999, np.float32))
    write_variables(tmp_path / "x", variables(**no_step, beta2_power=powers[5000]))
    assert convert_from_tf1(tmp_path / "x", tmp_path / "a", settings=CLASSIFIER)["step"] == 5000
    write_variables(tmp_path / "x", variables(**no_step, beta2_power=np.float32(0)))
    assert convert_from_tf1(tmp_path / "x", tmp_path / "b", settings=CLASSIFIER)["step"] is None
    assert len(convert_to_tf1(tmp_path / "b", tmp_path / "y")) == len(WEIGHTS) + len(SLOTS) + len(POWERS)


def test_what_is_there_is_replaced_only_on_request(tmp_path: Path) -> None:
    convert_from_tf1(FILES / "layers", tmp_path / "run", settings=CLASSIFIER)
    with pytest.raises(CheckpointError, match="holds a run already"):
        convert_from_tf1(FILES / "wrapped", tmp_path / "run", settings=REGRESSOR)
    convert_from_tf1(FILES / "wrapped", tmp_path / "run", settings=REGRESSOR, overwrite=True)
    convert_to_tf1(tmp_path / "run", tmp_path / "x")
    with pytest.raises(CheckpointError, match=r"x\.index: exists"):
        convert_to_tf1(tmp_path / "run", tmp_path / "x")
    convert_to_tf1(tmp_path / "run", tmp_path / "x", overwrite=True)


def test_the_command_converts_both_ways(tmp_path: Path) -> None:
    there = convert(FILES / "older.index", tmp_path / "run", "--kind", "classifier", "--activation", "tanh")
    assert there.exit_code == 0, there.output
    assert "rnn/basic_rnn_cell/weights -> kernel" in there.output
    assert "a classifier of 3 inputs, 5 tanh units and 2 outputs after 7 steps, Adam's state." in there.output
    back = convert(tmp_path / "run", tmp_path / "x", "--to-tf1", "--map", "rnn/basic_rnn_cell/kernel=kernel")
    assert back.exit_code == 0, back.output
    assert "rnn/basic_rnn_cell/kernel/Adam_1" in Bundle(tmp_path / "x").entries
    assert "rnn/basic_rnn_cell/biases" in Bundle(tmp_path / "x").entries


def test_the_command_takes_the_chapters_program(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    shapes = {"rnn/basic_rnn_cell/kernel": (101, 100), "rnn/basic_rnn_cell/bias": (100,), "dense/kernel": (100, 1)}
    found = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    write_variables(tmp_path / "x", {**found, "dense/bias": np.zeros(1, np.float32)})
    result = convert(tmp_path / "x", tmp_path / "run", "--program", "series")
    assert result.exit_code == 0, result.output
    assert loaded(tmp_path / "run")[:2] == (
        Model("regressor", BasicRNN(100, "relu"), 1, 1),
        Adam(0.001, 0.9, 0.999, 1e-8),
    )
    wrong = convert(tmp_path / "x", tmp_path / "other", "--program", "mnist")
    assert "kernel is float32 [101, 100], expected float32 [178, 150]" in wrong.output


TANH = ("--kind", "classifier", "--activation", "tanh")


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (
            (FILES / "classifier", "run"),
            2,
            "does not say what was trained: give --kind classifier, regressor or tagger",
        ),
        ((FILES / "classifier", "run", "--program", "mnist", "--kind", "regressor"), 2, "leave --kind and"),
        ((FILES / "classifier", "run", *TANH, "--map", "kernel"), 2, "'kernel' is not NAME=CANONICAL"),
        ((FILES / "classifier", "run", *TANH, "--dense", "dense"), 2, "--dense has no meaning without --to-tf1"),
        (("run", "x", "--to-tf1", "--epsilon", "1"), 2, "--epsilon has no meaning with --to-tf1"),
        (("run", "x", "--to-tf1", "--map", "a=kernel", "--map", "b=kernel"), 2, "names one canonical weight twice"),
        ((FILES / "classifier", "run", *TANH, "--beta1", "1"), 2, "Invalid value for '--beta1'"),
        ((FILES / "classifier", "run", *TANH, "--beta1", "0.5"), 2, "no power of beta1 = 0.5"),
        ((FILES / "classifier", "run", *TANH, "--ignore", "kernel"), 2, "has no variable kernel to map"),
        ((FILES / "others", "run", *TANH), 2, "no variable is a recurrent cell's by its name; found empty, float32"),
        ((FILES / "nothing", "run", *TANH), 2, "nothing.index: no such checkpoint; there: classifier, layers, older"),
        ((FILES, "run", *TANH), 2, "a folder without the file 'checkpoint'"),
        (("run", "x", "--to-tf1"), 2, "run: has no checkpoint 'last' (last.json); checkpoints there: none"),
        (("run", "x", "--to-tf1", "--checkpoint", "../x"), 2, "a checkpoint's name is letters"),
        (("run", ".", "--to-tf1"), 2, "a folder, expected a prefix such as model"),
        (("x" * 5000, "run", *TANH), 2, "cannot be read (File name too long)"),
        (("file", "run", *TANH), 2, "file: no file of a checkpoint of tf.train.Saver"),
        (("file/x", "run", *TANH), 2, "no such checkpoint; file is not a folder"),
        ((FILES / "classifier", "file", *TANH), 2, "file: cannot be written (File exists)"),
        ((FILES / "classifier", "file/run", *TANH), 2, "cannot be written (Not a directory)"),
    ],
)
def test_the_command_says_what_is_wrong_in_one_sentence(
    arguments: tuple[str | Path, ...], status: int, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("text")
    result = convert(*arguments)
    assert result.exit_code == status, result.output
    assert reason in result.output
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)


@pytest.mark.parametrize(
    "text", ["", "model_checkpoint_path: 3", 'model_checkpoint_path: "', 'model_checkpoint_path: ""']
)
def test_a_state_file_that_names_nothing_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "checkpoint").write_text(text)
    with pytest.raises(CheckpointError, match="name a checkpoint by its prefix"):
        convert_from_tf1(tmp_path, tmp_path / "run", settings=CLASSIFIER)


def test_a_damaged_checkpoint_leaves_no_run_behind(tmp_path: Path) -> None:
    for path in FILES.glob("classifier.*"):
        shutil.copy(path, tmp_path)
    with (tmp_path / "classifier.data-00000-of-00001").open("r+b") as stream:
        stream.seek(300)
        stream.write(b"\xff\xff\xff\xff")
    with pytest.raises(CheckpointError, match=r"altered: the checksum of variable \S+ is"):
        convert_from_tf1(tmp_path / "classifier", tmp_path / "run", settings=CLASSIFIER)
    assert not (tmp_path / "run").exists()


def test_the_state_is_plain_json(tmp_path: Path) -> None:
    state = convert_from_tf1(FILES / "layers", tmp_path, settings=CLASSIFIER)
    assert json.loads((tmp_path / "last.json").read_text())["state"] == state


def test_a_bias_in_another_precision_comes_over_and_goes_back(tmp_path: Path) -> None:
    write_variables(tmp_path / "x", variables(dense__bias=np.array([0.1, 0.2], np.float32)))
    convert_from_tf1(tmp_path / "x", tmp_path / "run", settings=CLASSIFIER)
    assert load_checkpoint(tmp_path / "run").tensors["weights/dense/bias"].dtype == np.float64
    convert_to_tf1(tmp_path / "run", tmp_path / "back" / "x")
    assert (tmp_path / "back" / "x.index").read_bytes() == (tmp_path / "x.index").read_bytes()


def test_the_file_that_says_what_is_latest_is_replaced_only_on_request(tmp_path: Path) -> None:
    convert_from_tf1(FILES / "layers", tmp_path / "run", settings=CLASSIFIER)
    convert_to_tf1(tmp_path / "run", tmp_path / "x")
    with pytest.raises(CheckpointError, match="checkpoint: says which checkpoint is the latest there"):
        convert_to_tf1(tmp_path / "run", tmp_path / "y")
