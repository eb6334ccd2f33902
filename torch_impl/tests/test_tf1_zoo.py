"""Recurrent models as people have them come over with no option but the path, and go on as TensorFlow 1.15.5 did.

files/make_tf1_zoo.py makes them. Some were recorded; all are made anew where UNROLLED_BACKENDS names a Python of
TensorFlow 1.15.5 (see test_checkpoints_live).
"""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torch_impl.checkpoints.run_files import load_checkpoint
from torch_impl.runs import load_run
from torch_impl.tests.converting import convert
from torch_impl.tests.test_checkpoints_live import PYTHONS

FILES = Path(__file__).parent / "files"
TIME_MAJOR = ("fused_time_major", "cudnn_names")
WITHOUT_ADAM = ("momentum", "rmsprop_resource", "residual_stack")  # residual_stack draws masks in training
SOURCE = (FILES / "make_tf1_zoo.py").read_text()
ZOO = re.findall(
    r"^    (\w+),", re.sub(r", ", ",\n    ", SOURCE.partition("ZOO = [")[2].partition("]")[0]), re.MULTILINE
)
RECORDED = sorted({name.split(".")[0] for name in zipfile.ZipFile(FILES / "tf1_zoo.zip").namelist()} & {*ZOO})


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_model_comes_over(name: str, recorded: Path, tmp_path: Path) -> None:
    check_that_it_comes_over(name, recorded, tmp_path)


@pytest.mark.skipif(not PYTHONS, reason="UNROLLED_BACKENDS names no Python of TensorFlow 1.15.5")
@pytest.mark.parametrize("name", ZOO)
def test_a_model_made_now_comes_over(name: str, zoo: Path, tmp_path: Path) -> None:
    check_that_it_comes_over(name, zoo, tmp_path)


@pytest.mark.skipif(not PYTHONS, reason="UNROLLED_BACKENDS names no Python of TensorFlow 1.15.5")
@pytest.mark.parametrize(
    ("name", "status", "lines"),
    [
        (
            "added_inputs",
            2,
            ["goes to AddV2 (add), which is no loss that is known", "with --kind regressor or tagger"],
        ),
        (
            "last_of_all",
            0,
            ["is of what is cut out of the outputs", "lengths are computed of lengths there (Sub, sub): give them"],
        ),
        ("penalties", 0, ["has penalties on dense/kernel, which training", "tokens are what Add"]),
        ("fed_penalty", 0, ["has penalties on dense/kernel, which training", "there has 1 more term (calm) by which"]),
        ("random_field", 0, ["is a conditional random field's, by transitions; training here", "transitions: trained"]),
        ("smoothed_labels", 0, ["the loss there is a cross-entropy with smoothed labels; training here"]),
        ("weighted_classes", 0, ["the loss there is another function of the outputs, such as one with weights"]),
        ("kept_state", 2, ["its state begins with the variable state, and here with zeros"]),
        ("unrolled_sum", 0, ["is the cross-entropy's sum over every step, padding too, by the number of rows; tr"]),
    ],
)
def test_what_the_model_here_does_not_do_is_said(name: str, status: int, lines: list[str], zoo: Path) -> None:
    result = convert(zoo / name)
    assert result.exit_code == status, result.output
    for line in lines:
        assert line in result.output, result.output
    assert status or "ASSUMED" in result.output or "TRAINING DIFFERS from there" in result.output


def test_a_loss_that_counts_padding_is_told_of(recorded: Path) -> None:
    result = convert(recorded / "padded_loss")
    assert result.exit_code == 0, result.output
    assert "TRAINING DIFFERS from there, and outputs do not" in result.output
    assert "the loss there is the cross-entropy's mean over every step, padding too; training here" in result.output
    assert "by the cross-entropy's mean over the valid steps: the next step differs" in result.output


def test_what_is_beside_the_loss_of_the_outputs_is_judged_term_by_term() -> None:
    from torch_impl.tf1.graphs.losses import LossThere
    from torch_impl.tf1.graphs.meta import Graph, Node, Tensor
    from torch_impl.tf1.graphs.walk import Walk

    row, scalar, unknown = b":\x04\x12\x02\x08\x03", b":\x00", b":\x02\x18\x01"
    nodes = {name: Node(name, op, tuple(map(Tensor, inputs)), (), {"shape": shape} if shape else {})
             for name, op, inputs, shape in [
                 ("x", "Placeholder", (), row), ("w", "VariableV2", (), row), ("v", "VariableV2", (), row),
                 ("outputs", "Mul", ("x", "w"), None), ("loss", "Sum", ("outputs",), None),
                 ("told", "Placeholder", (), scalar), ("untold", "Placeholder", (), unknown),
                 ("of_w", "Mul", ("told", "w"), None), ("of_v", "Mul", ("untold", "v"), None),
                 ("shared", "Mul", ("x", "w"), None), ("apart", "Mul", ("x", "v"), None),
                 ("whole", "AddN", ("loss", "of_w", "of_v", "shared", "apart"), None)]}  # fmt: skip

    def beside(*losses: set[str]) -> tuple[list[str], list[str]]:
        judge: Any = None
        return LossThere(Walk(Graph(nodes, losses=losses)), judge, Tensor("outputs"), None, None).beside()

    assert beside({"whole"}) == (["v", "w"], ["shared"])
    assert beside({"loss"}, {"of_w"}) == ([], [])  # two optimizers' losses


@pytest.mark.parametrize("op", ["SparseSoftmaxCrossEntropyWithLogits", "SoftmaxCrossEntropyWithLogits"])
def test_the_loss_of_a_large_vocabulary_takes_no_memory_of_its_square(op: str) -> None:
    from torch_impl.tf1.graphs.meta import Node
    from torch_impl.tf1.graphs.operations import OPERATIONS

    classes, chosen = 1_000_000, np.array([3, 999_999])
    labels = chosen if op.startswith("Sparse") else np.equal(chosen[:, None], np.arange(classes)) * 1.0
    (found,) = OPERATIONS[op](Node("x", op, (), (), {}), np.zeros((2, classes)), labels)
    assert np.abs(found - np.log(classes)).max() <= 1e-9


def check_that_it_comes_over(name: str, folder: Path, out: Path) -> None:
    result = convert(folder / name, out / "run")
    assert result.exit_code == 0, result.output
    assert "checked: the graph, computed here" in result.output
    assert "ASSUMED" not in result.output
    without = ("momentum", "rmsprop_resource")  # another optimizer than Adam
    assert ("TRAINING DIFFERS" in result.output) == (name in without)
    with np.load(folder / f"{name}.npz") as file:
        truth = dict(file)
    inputs, targets, outputs = (batch_first(name, truth[key]) for key in ("inputs", "targets", "outputs"))
    run = load_run(out / "run")
    found = run.logits(inputs, truth.get("lengths"))
    assert np.abs(found - outputs).max() <= 1e-6 * np.abs(outputs).max()
    if name not in WITHOUT_ADAM:
        trainer = run.trainer(inputs, targets, truth.get("lengths"))
        (loss,) = trainer.run([np.arange(len(inputs))])
        assert abs(loss - truth["loss"]) <= 1e-6
        check_weights(trainer.weights(), run.state, truth)
    back = convert(out / "run", out / "back" / name, "--to-tf1")
    assert back.exit_code == 0, back.output
    for end in (".index", ".data-00000-of-00001"):
        assert (out / "back" / (name + end)).read_bytes() == (folder / (name + end)).read_bytes()


def batch_first(name: str, array: np.ndarray) -> np.ndarray:
    return array.swapaxes(0, 1) if name in TIME_MAJOR and array.ndim > 2 else array


def check_weights(weights: dict[str, np.ndarray], state: dict[str, Any], truth: dict[str, np.ndarray]) -> None:
    """The weights after a step, against TensorFlow's."""
    apart = state.get("tf1", {}).get("sources", {})
    for canonical, array in weights.items():
        expected = truth[f"next/{state['tf1_names'][canonical]}"]
        if canonical in apart:  # rows of slices that take turns
            starts, rows = np.array(apart[canonical]["interleaved"]), np.arange(len(array))
            expected = expected[starts[rows % len(starts)] + rows // len(starts)]
        assert np.abs(array - expected).max() <= 1e-6, canonical


def test_what_is_printed_says_what_was_found(recorded: Path, tmp_path: Path) -> None:
    result = convert(recorded / "language_model", tmp_path / "run")
    for line in (
        "rnn/multi_rnn_cell/cell_1/lstm_cell/kernel -> cell_1/kernel",
        "embedding of 11 tokens, width 7",
        "dropout: what it keeps is fed by keep_prob",
        "optimizer: Adam (learning_rate 0.01, beta1 0.9, beta2 0.999, epsilon 1e-08); gradients clipped to",
        "forget_bias 0",
    ):
        assert line in result.output, line


def test_a_wrong_reading_of_the_graph_is_found_by_computing_it(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the walk through the graph got wrong, its outputs tell."""
    from torch_impl.tf1.graphs import lstm

    read = lstm._extras
    monkeypatch.setattr(lstm, "_extras", lambda *given: (read(*given)[0] * 0.5, read(*given)[1]))
    result = convert(recorded / "embedding_lstm_classifier", tmp_path / "run")
    assert result.exit_code == 2
    assert "which is neither the final state nor every output" in result.output
    assert not (tmp_path / "run").exists()


def test_what_was_recorded_in_tensorflow_proves_it(recorded: Path, tmp_path: Path) -> None:
    right = convert(recorded / "contrib_relu", "--check", recorded / "contrib_relu.npz")
    assert right.exit_code == 0, right.output
    assert re.search(r"the largest difference is \d\.\de-0[78] of the largest output", right.output)
    with np.load(recorded / "contrib_relu.npz") as file:
        arrays = dict(file)
    arrays["outputs"][0, 0] += 0.01
    np.savez(tmp_path / "other.npz", **arrays)
    wrong = convert(recorded / "contrib_relu", tmp_path / "run", "--check", tmp_path / "other.npz")
    assert wrong.exit_code == 1
    assert "its outputs are not TensorFlow's" in wrong.output
    assert not (tmp_path / "run").exists()


def test_a_recording_with_dropout_on_is_told_so(recorded: Path, tmp_path: Path) -> None:
    """Half of what the dense layer reads, dropped in each row and step: as far off as a wrong model."""
    with np.load(recorded / "language_model.npz") as file:
        arrays = dict(file)
    random = np.random.default_rng(0)
    arrays["outputs"] = arrays["outputs"] * random.integers(0, 2, arrays["outputs"].shape) * 2
    np.savez(tmp_path / "dropped.npz", **arrays)
    result = convert(recorded / "language_model", "--check", tmp_path / "dropped.npz")
    assert result.exit_code == 1
    assert "drops out on the way to them (kept: fed by keep_prob): record them with dropout off" in result.output


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"inputs": np.zeros((2, 3, 3), np.float32)}, "has no array 'outputs'; it has inputs"),
        ({"inputs": np.zeros((2, 3, 4)), "outputs": np.ones((2, 4))}, r"inputs must be \[batch, steps, 3\]"),
        (
            {"inputs": np.zeros((2, 3, 3)), "outputs": np.ones((2, 5))},
            r"outputs are \[2, 5\], the model gives \[2, 4\]",
        ),
        ({"inputs": np.zeros((2, 3, 3)), "outputs": np.ones((2, 4), np.int32)}, "outputs are int32"),
        ({"inputs": np.zeros((2, 3, 3)), "outputs": np.ones((2, 4)), "lengths": np.array([9, 1])}, "lengths must"),
    ],
)
def test_a_recording_that_does_not_fit_is_refused_in_a_sentence(
    arrays: dict[str, np.ndarray], reason: str, recorded: Path, tmp_path: Path
) -> None:
    np.savez(tmp_path / "x.npz", **arrays)  # type: ignore[arg-type]
    result = convert(recorded / "contrib_relu", "--check", tmp_path / "x.npz")
    assert result.exit_code == 2, result.output
    assert re.search(reason, result.output), result.output


@pytest.mark.skipif(not PYTHONS, reason="UNROLLED_BACKENDS names no Python of TensorFlow 1.15.5")
def test_tensorflow_itself_proves_it(zoo: Path) -> None:
    result = convert(zoo / "bidirectional_tagger", "--check-with", PYTHONS[0])
    assert result.exit_code == 0, result.output
    assert f"checked with {PYTHONS[0]}" in result.output


def test_what_was_trained_is_not_ignored_by_the_way(recorded: Path, tmp_path: Path) -> None:
    result = convert(recorded / "contrib_relu", tmp_path / "run", "--ignore", "fully_connected/biases")
    assert result.exit_code == 2
    assert "fully_connected/biases was trained" in result.output


def test_moving_averages_are_taken_where_asked_for(recorded: Path, tmp_path: Path) -> None:
    from torch_impl.tf1.variables import Variables

    result = convert(recorded / "scoped_partitioned_ema", tmp_path / "run", "--ema")
    assert result.exit_code == 0, result.output
    tensors, _ = load_checkpoint(tmp_path / "run")
    averages = Variables(recorded / "scoped_partitioned_ema").read("model/encoder/out/kernel/ExponentialMovingAverage")
    assert np.array_equal(tensors["weights/dense/kernel"], averages)
    refused = convert(recorded / "contrib_relu", tmp_path / "other", "--ema")
    assert "has no moving averages" in refused.output


def test_list_shows_every_variable_and_what_it_was_taken_for(recorded: Path) -> None:
    result = convert(recorded / "scoped_partitioned_ema", "--list")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert len(lines) == 22
    assert any(
        re.match(r"  model/encoder/out/kernel +float32 \[5, 4\] in 3 slices  -> dense/kernel", line) for line in lines
    )
    assert any("ExponentialMovingAverage of model/encoder/out/bias" in line for line in lines)


def test_an_option_that_the_graph_contradicts_is_refused(recorded: Path, tmp_path: Path) -> None:
    result = convert(recorded / "contrib_relu", tmp_path / "run", "--activation", "relu")
    assert "its graph says that the activation is tanh, not relu" in result.output
    for name, option, value, there in (
        ("contrib_relu", "hidden-activation", "tanh", "hidden_activation is relu"),
        ("two_heads", "activation", "relu", "activation is tanh"),
        ("two_heads", "head-activation", "tanh", "last dense layer's activation is linear"),
        ("series_to_value", "forget-bias", "0.5", "forget_bias is 1.0"),
        ("series_to_value", "cell-clip", "3", "cell_clip is None"),
    ):  # heads too, which are no run
        result = convert(recorded / name, "--as-module", tmp_path / "m.py", f"--{option}", value)
        assert result.exit_code == 2 and f"its graph says that the {there}, not " in result.output, result.output
    residual = convert(recorded / "two_heads", "--residual", "0")
    assert "its graph says which layers are residual: leave --residual out" in residual.output
    mapped = convert(recorded / "contrib_relu", tmp_path / "run", "--map", "fully_connected/weights=dense/kernel")
    assert "leave --map out, or the graph with --no-graph" in mapped.output


def test_a_check_that_would_check_nothing_is_refused(recorded: Path, tmp_path: Path) -> None:
    listed = convert(recorded / "contrib_relu", "--list", "--check", recorded / "contrib_relu.npz")
    assert listed.exit_code == 2 and "--check has no meaning with --list" in listed.output
    for end in (".index", ".data-00000-of-00001", ".meta"):
        content = (recorded / f"many_labels{end}").read_bytes()
        (tmp_path / f"parts{end}").write_bytes(content.replace(b"StridedSlice", b"StridedSlixe"))
    only = (tmp_path / "parts", "--as-module", tmp_path / "m.py")
    for option, value in (("--check", recorded / "many_labels.npz"), ("--check-with", sys.executable)):
        result = convert(*only, option, value)
        assert result.exit_code == 2, result.output
        assert f"{option} compares a model's outputs, and of this only parts are known (" in result.output
        assert not (tmp_path / "m.py").exists()
    told = convert(*only).output
    assert "1 module(s)" in told and "NOT checked" in told and "--check" not in told


def test_what_came_along_goes_back_after_training_too(recorded: Path, tmp_path: Path) -> None:
    """Averages and slices, of a run that was trained here: Saver finds every variable."""
    from torch_impl.tf1.variables import Variables

    name = "scoped_partitioned_ema"
    assert convert(recorded / name, tmp_path / "run").exit_code == 0
    with np.load(recorded / f"{name}.npz") as file:
        inputs, targets, lengths = file["inputs"], file["targets"], file["lengths"]
    run = load_run(tmp_path / "run")
    trainer = run.trainer(inputs, targets, lengths)
    trainer.run([np.arange(len(inputs))])
    run.save(trainer)
    back = convert(tmp_path / "run", tmp_path / "back" / name, "--to-tf1")
    assert back.exit_code == 0, back.output
    before, after = Variables(recorded / name), Variables(tmp_path / "back" / name)
    kept = {each: (entry.dtype, entry.shape, entry.slices) for each, entry in before.entries.items()}
    assert {each: (entry.dtype, entry.shape, entry.slices) for each, entry in after.entries.items()} == kept
    average = "model/encoder/embedding/ExponentialMovingAverage"
    assert np.array_equal(before.read(average), after.read(average))
    with np.load(recorded / f"{name}.npz") as file:
        assert np.abs(after.read("model/encoder/embedding") - file["next/model/encoder/embedding"]).max() <= 1e-6
