"""Exported models, ONNX under onnxruntime and torch.export, give what the model gives: on real inputs, to 1e-5."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from torch_impl import RNN, Classifier, Decoder, Regressor, Speller
from torch_impl.checkpoints import CheckpointError
from torch_impl.export import ExportError, Scaling, onnx_model
from torch_impl.export.torch_program import build_program, to_torch
from unrolled.datasets import mnist, series, vowels

LIMIT = 1e-5  # absolute, by the issue; the values are of magnitude 1 to 10


def trained(model: Any) -> Any:
    """Weights as large as trained ones, with biases that are not zero."""
    generator = torch.Generator().manual_seed(3)
    model.reset_parameters(generator)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model


def images() -> tuple[Tensor, None]:
    return torch.from_numpy(mnist.load(validation_size=0).test.images[:200].copy()), None


def some_rows() -> tuple[Tensor, Tensor]:
    """Images of which only the first rows count, none of one, and whose rest is NaN."""
    inputs, lengths = images()[0].clone(), torch.arange(200) % 29
    inputs[torch.arange(28) >= lengths[:, None]] = torch.nan
    return inputs, lengths


def utterances() -> tuple[Tensor, Tensor]:
    part = vowels.standardized(vowels.load()).test
    return torch.from_numpy(part.inputs), torch.from_numpy(part.lengths)


def points() -> tuple[Tensor, None]:
    return torch.from_numpy(series.training_pair().inputs), None


def speller(decoder: Decoder) -> Speller:
    return Speller(RNN(28, 60), decoder, max_steps=6)


CASES = {
    "mnist": (lambda: Classifier(RNN(28, 150), 10), images),
    "mnist, lengths and zero": (lambda: Classifier(RNN(28, 150), 10), some_rows),
    "vowels": (lambda: Classifier(RNN(12, 150), 9), utterances),
    "series": (lambda: Regressor(RNN(1, 100, "relu"), 1), points),
    "series, wrapped": (lambda: Regressor(RNN(1, 100, "relu"), 1, "wrapped"), points),
    "a regressor with lengths": (lambda: Regressor(RNN(12, 40), 3), utterances),
    "a wrapped regressor with lengths": (lambda: Regressor(RNN(12, 40), 3, "wrapped"), utterances),
    "speller": (lambda: speller(Decoder(RNN(16, 60), 16)), images),
    "speller, lengths and zero": (lambda: speller(Decoder(RNN(16, 60), 16, start=3, end=5)), some_rows),
    "speller, embedded tokens": (lambda: speller(Decoder(RNN(7, 60), 16, embedding=7)), images),
}
every_case = pytest.mark.parametrize(("make", "data"), CASES.values(), ids=CASES)


def onnx_outputs(proto: Any, inputs: Tensor, lengths: Tensor | None) -> dict[str, np.ndarray]:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    runtime.set_default_logger_severity(4)
    session = runtime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {"inputs": inputs.numpy(), **({} if lengths is None else {"lengths": lengths.numpy()})}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


def difference(found: Any, expected: Tensor) -> float:
    found = torch.as_tensor(found)
    assert found.shape == expected.shape and found.dtype == expected.dtype
    return float((found - expected).abs().max())


@pytest.fixture(scope="module")
def onnx() -> Any:
    return pytest.importorskip("onnx", reason="onnx is not installed")


@every_case
@torch.no_grad()
def test_onnx_gives_what_the_model_gives(onnx: Any, make: Callable[[], Any], data: Callable[[], Any]) -> None:
    model, (inputs, lengths) = trained(make()), data()
    found = onnx_outputs(onnx_model.build_onnx(model, lengths is not None), inputs, lengths)
    expected = model(inputs, lengths)
    assert difference(found["predictions" if isinstance(model, Regressor) else "logits"], expected) < LIMIT
    if isinstance(model, Classifier):
        assert difference(found["probabilities"], expected.softmax(1)) < LIMIT
    if isinstance(model, Speller):
        assert np.array_equal(found["tokens"], model.predict(inputs, lengths))


@every_case
@torch.no_grad()
def test_torch_export_gives_what_the_model_gives(make: Callable[[], Any], data: Callable[[], Any]) -> None:
    model, (inputs, lengths) = trained(make()), data()
    program = build_program(model, lengths is not None).module()
    found = program(inputs) if lengths is None else program(inputs, lengths)
    if isinstance(model, Speller):
        tokens, found = found
        assert torch.equal(tokens, model.predict(inputs, lengths))
    assert difference(found, model(inputs, lengths)) < LIMIT


@torch.no_grad()
def test_batch_and_steps_are_free(onnx: Any) -> None:
    model = trained(Classifier(RNN(28, 20), 10))
    inputs = images()[0]
    proto, program = onnx_model.build_onnx(model, lengths=False), build_program(model, lengths=False).module()
    for rows, steps in ((1, 1), (2, 28), (7, 3), (1, 200)):
        some = inputs[:rows].repeat(1, 8, 1)[:, :steps]
        assert difference(onnx_outputs(proto, some, None)["logits"], model(some)) < LIMIT
        assert difference(program(some), model(some)) < LIMIT


def test_neither_is_unrolled(onnx: Any) -> None:
    operators = [node.op_type for node in onnx_model.build_onnx(Regressor(RNN(1, 100), 1)).graph.node]
    assert operators.count("RNN") == 1 and len(operators) < 20
    nodes = [str(node.target) for node in build_program(Regressor(RNN(1, 100), 1)).graph.nodes]
    assert nodes.count("scan") == 1 and len(nodes) < 40


@torch.no_grad()
@pytest.mark.parametrize("lengths", [None, torch.tensor([7, 0, 3, 1])])
def test_scaling_becomes_part_of_what_is_exported(onnx: Any, lengths: Tensor | None) -> None:
    model = trained(Regressor(RNN(2, 30), 4))
    scaling = Scaling([10.0, -3.0], [2.0, 0.5], [10.0, -3.0, 10.0, -3.0], [2.0, 0.5, 2.0, 0.5])
    raw = torch.randn(4, 9, 2, generator=torch.Generator().manual_seed(1)) * 2 + 10
    expected = model((raw - torch.tensor(scaling.shift)) / torch.tensor(scaling.scale), lengths)
    expected = expected * torch.tensor(scaling.target_scale) + torch.tensor(scaling.target_shift)
    proto = onnx_model.build_onnx(model, lengths is not None, scaling)
    assert difference(onnx_outputs(proto, raw, lengths)["predictions"], expected) < LIMIT
    program = build_program(model, lengths is not None, scaling).module()
    assert difference(program(raw) if lengths is None else program(raw, lengths), expected) < LIMIT


@torch.no_grad()
@pytest.mark.parametrize(("shift", "scale"), [(5e7, 7.0), (0.0, 1e-60)])
def test_values_that_float32_does_not_hold_go_in_and_out_as_float64(onnx: Any, shift: float, scale: float) -> None:
    model = trained(Regressor(RNN(1, 30), 2))
    scaling = Scaling([shift], [scale], [shift] * 2, [scale] * 2)
    values = torch.randn(4, 9, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    raw = values * scale + shift
    expected = model(((raw - shift) / scale).float()).double()
    proto = onnx_model.build_onnx(model, False, scaling)
    for found in (onnx_outputs(proto, raw, None)["predictions"], build_program(model, False, scaling).module()(raw)):
        found = torch.as_tensor(found)
        assert found.dtype == torch.float64
        assert float(((found - shift) / scale - expected).abs().max()) < LIMIT


@pytest.mark.parametrize("lengths", [[10, 1, 1, 1], [-1, 1, 1, 1]])
def test_onnxruntime_refuses_lengths_out_of_range(onnx: Any, lengths: list[int]) -> None:
    proto = onnx_model.build_onnx(Classifier(RNN(2, 3), 4))
    with pytest.raises(Exception, match="sequence_lens"):
        onnx_outputs(proto, torch.zeros(4, 9, 2), torch.tensor(lengths))


@torch.no_grad()
def test_a_saved_program_needs_only_pytorch(tmp_path: Path) -> None:
    model = trained(Classifier(RNN(12, 30), 9))
    inputs, lengths = utterances()
    to_torch(model, tmp_path / "model.pt2", metadata={"classes.json": json.dumps(list("abcdefghi"))})
    np.savez(tmp_path / "values.npz", inputs=inputs[:5], lengths=lengths[:5], expected=model(inputs[:5], lengths[:5]))
    code = (
        "import sys, torch, numpy as np\n"
        "extra = {'classes.json': ''}\n"
        "program = torch.export.load('model.pt2', extra_files=extra).module()\n"
        "values = {k: torch.from_numpy(v) for k, v in np.load('values.npz').items()}\n"
        "found = program(values['inputs'], values['lengths'])\n"
        "assert float((found - values['expected']).abs().max()) < 1e-5 and 'torch_impl' not in sys.modules\n"
        "print(extra['classes.json'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == list("abcdefghi")


def test_the_onnx_file_holds_its_metadata_and_float32(onnx: Any, tmp_path: Path) -> None:
    model = Classifier(RNN(3, 5, dtype=torch.float64), 4)
    onnx_model.to_onnx(model, tmp_path / "model.onnx", metadata={"classes": '["a"]'})
    proto = onnx.load(tmp_path / "model.onnx")
    assert {entry.key: entry.value for entry in proto.metadata_props} == {"classes": '["a"]'}
    inputs = torch.randn(2, 6, 3, dtype=torch.float64)
    found = onnx_outputs(proto, inputs.float(), torch.tensor([6, 2]))["logits"]
    with torch.no_grad():
        assert difference(found, model(inputs, [6, 2]).float()) < LIMIT


@pytest.mark.parametrize(
    ("scaling", "words"),
    [
        (Scaling([0.0], [1.0]), "shift must be 3 finite numbers"),
        (Scaling([0.0] * 3, [1.0, 0.0, 1.0]), "scale must be nowhere 0"),
        (Scaling([0.0, float("nan"), 0.0], [1.0] * 3), "shift must be 3 finite numbers"),
        (Scaling([0.0] * 3, [1.0] * 3, [0.0] * 4, [1.0] * 4), "target_shift and target_scale must be None"),
    ],
)
def test_a_scaling_that_does_not_fit_is_refused(scaling: Scaling, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build_program(Classifier(RNN(3, 5), 4), scaling=scaling)


def test_what_cannot_be_exported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TypeError, match="model must be a Classifier, Regressor, Tagger or Speller, got RNN"):
        build_program(RNN(3, 5))  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ExportError, match=r"needs the package onnx .*pip install 'unrolled\[onnx\]'"):
        onnx_model.to_onnx(Classifier(RNN(3, 5), 4), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(CheckpointError, match="cannot be written"):
        to_torch(Classifier(RNN(3, 5), 4), tmp_path / "missing" / "model.pt2")
