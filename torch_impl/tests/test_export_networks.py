"""Exported networks of every kind, structure and head give what the model gives, whatever the padding holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from torch_impl import build
from torch_impl.export import Scaling
from torch_impl.export.torch_program import build_program
from torch_impl.models import AnyModel, Classifier, Regressor, Speller
from unrolled.models import Dense, Model
from unrolled.networks import (
    GRU,
    LSTM,
    BasicRNN,
    Bidirectional,
    Dropout,
    KerasGRU,
    KerasLSTM,
    LayerNormLSTM,
    Layers,
    Network,
    Residual,
)

LIMIT = 1e-5  # of values of magnitude 1 to 10, in float32
UNITS, INPUTS = 5, 3

# The operators that a network's sequence is made of in ONNX.
CELLS: dict[str, tuple[Network, list[str]]] = {
    "lstm": (LSTM(UNITS), ["LSTM"]),
    "lstm, forget bias and peepholes": (LSTM(UNITS, forget_bias=-2.0, peepholes=True), ["LSTM"]),
    "lstm, elu": (LSTM(UNITS, "elu"), ["LSTM"]),
    "lstm, clipped": (LSTM(UNITS, cell_clip=0.2, peepholes=True), ["Scan"]),
    "lstm, projected": (LSTM(UNITS, projection=3, projection_clip=0.2), ["Scan"]),
    "gru": (GRU(UNITS), ["GRU"]),
    "gru, reset after": (GRU(UNITS, "softsign", reset_after=True), ["GRU"]),
    "gru, selu": (GRU(UNITS, "selu"), ["Scan"]),
    "layer norm": (LayerNormLSTM(UNITS, forget_bias=0.5), ["Scan"]),
    "keras lstm": (KerasLSTM(UNITS), ["LSTM"]),
    "keras gru": (KerasGRU(UNITS), ["GRU"]),
    "keras gru, reset after": (KerasGRU(UNITS, reset_after=True), ["GRU"]),
    "rnn, linear": (BasicRNN(UNITS, "linear"), ["Scan"]),
    "layers": (Layers((LSTM(UNITS), Residual(GRU(UNITS)), Dropout(LSTM(4), 0.5, 0.5, 0.5))), ["LSTM", "GRU", "LSTM"]),
}
NO_DECODERS: dict[str, tuple[Network, list[str]]] = {
    "residual": (Residual(GRU(INPUTS)), ["GRU"]),  # which reads as many values as it gives
    "bidirectional": (Bidirectional(LSTM(UNITS), GRU(4)), ["LSTM", "GRU"]),
    "bidirectional, of layers": (
        Bidirectional(Layers((GRU(UNITS), Residual(LSTM(UNITS, cell_clip=0.1)))), BasicRNN(3)),
        ["GRU", "Scan", "RNN"],
    ),
    "stacked": (
        Layers((Bidirectional(LSTM(3), LSTM(3)), Bidirectional(GRU(2), Dropout(KerasLSTM(2), output_keep=0.5)))),
        ["LSTM", "LSTM", "GRU", "LSTM"],
    ),
}
NETWORKS = {**CELLS, **NO_DECODERS}


def made(value: Model) -> AnyModel:
    """A model with weights that are not small, and biases that are not zero; in training mode."""
    generator = torch.Generator().manual_seed(3)
    model = build.model(value)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.6 * torch.randn(parameter.shape, generator=generator))
    return model.train()


def rows() -> tuple[Tensor, Tensor]:
    """Rows of all lengths, their padding NaN."""
    lengths = torch.tensor([7, 0, 3, 1, 6])
    inputs = torch.randn(5, 7, INPUTS, generator=torch.Generator().manual_seed(4))
    return inputs.masked_fill((torch.arange(7) >= lengths[:, None])[:, :, None], torch.nan), lengths


@torch.no_grad()
def expected(model: AnyModel, inputs: Tensor, lengths: Tensor | None) -> np.ndarray:
    return model.eval()(inputs, lengths).numpy()


def onnx_model(model: AnyModel, lengths: bool) -> Any:
    pytest.importorskip("onnx", reason="onnx is not installed")
    from torch_impl.export.onnx_model import build_onnx

    return build_onnx(model, lengths)


def onnx_outputs(proto: Any, inputs: Tensor, lengths: Tensor | None) -> dict[str, np.ndarray]:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    runtime.set_default_logger_severity(4)
    session = runtime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {"inputs": inputs.numpy(), **({} if lengths is None else {"lengths": lengths.numpy()})}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


def check_onnx(model: AnyModel, inputs: Tensor, lengths: Tensor | None) -> None:
    found = onnx_outputs(onnx_model(model, lengths is not None), inputs, lengths)
    values = found["predictions" if isinstance(model, Regressor) else "logits"]
    wanted = expected(model, inputs, lengths)
    assert values.shape == wanted.shape
    np.testing.assert_allclose(values, wanted, rtol=0, atol=LIMIT)
    if isinstance(model, Speller):
        assert np.array_equal(found["tokens"], model.predict(inputs, lengths))


@pytest.mark.parametrize("network", [network for network, _ in NETWORKS.values()], ids=NETWORKS)
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_onnx_keeps_the_length_law_for_every_network(network: Network, kind: str) -> None:
    inputs, lengths = rows()
    model = made(Model(kind, network, INPUTS, 4))
    check_onnx(model, inputs, lengths)
    check_onnx(model, inputs[[0, 4], :6], None)


@pytest.mark.parametrize("network", [network for network, _ in CELLS.values()], ids=CELLS)
def test_onnx_decodes_with_every_network_that_can(network: Network) -> None:
    inputs, lengths = rows()
    check_onnx(made(Model("speller", network, INPUTS, 6, max_steps=4)), inputs, lengths)


@pytest.mark.parametrize(("network", "operators"), NETWORKS.values(), ids=NETWORKS)
def test_onnx_has_its_own_operators_where_they_have_the_law(network: Network, operators: list[str]) -> None:
    graph = onnx_model(made(Model("classifier", network, INPUTS, 4)), True).graph
    assert [node.op_type for node in graph.node if node.op_type in ("RNN", "LSTM", "GRU", "Scan")] == operators


HEADS = {
    "tagger": Model("tagger", GRU(UNITS), INPUTS, 4),
    "hidden layers": Model("classifier", GRU(UNITS), INPUTS, 4, hidden=(Dense(6, "relu"), Dense(5, "elu"))),
    "an activation": Model("regressor", GRU(UNITS), INPUTS, 4, activation="sigmoid"),
    "wrapped": Model("regressor", LSTM(UNITS), INPUTS, 4, "wrapped"),
}


@pytest.mark.parametrize("value", HEADS.values(), ids=HEADS)
def test_heads_are_exported(value: Model) -> None:
    inputs, lengths = rows()
    check_onnx(made(value), inputs, lengths)


@torch.no_grad()
def test_a_tagger_with_hidden_layers_and_an_activation_is_a_program_too() -> None:
    inputs, lengths = rows()
    value = Model("tagger", GRU(UNITS), INPUTS, 4, hidden=(Dense(6, "relu"),), activation="elu")
    model = made(value)
    found = build_program(model).module()(inputs, lengths)
    np.testing.assert_allclose(found.numpy(), expected(model, inputs, lengths), rtol=0, atol=LIMIT)


@pytest.mark.parametrize("kind", ["classifier", "speller"])
def test_models_of_tokens_are_exported(kind: str) -> None:
    model = made(Model(kind, GRU(UNITS), 9, 4, embedding=INPUTS, max_steps=3 if kind == "speller" else 0))
    tokens = torch.randint(9, (4, 6), generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([6, 0, 2, 5])
    check_onnx(model, tokens, lengths)
    with torch.no_grad():
        found = build_program(model).module()(tokens, lengths)
    found = found[1] if kind == "speller" else found
    np.testing.assert_allclose(found.numpy(), expected(model, tokens, lengths), rtol=0, atol=LIMIT)
    with pytest.raises(ValueError, match="scaling must be None for a model of tokens"):
        build_program(model, scaling=Scaling([0.0] * 9, [1.0] * 9))


PROGRAMS = ("lstm, projected", "layer norm", "layers", "stacked")


@pytest.mark.parametrize("network", [NETWORKS[name][0] for name in PROGRAMS], ids=PROGRAMS)
@torch.no_grad()
def test_torch_export_keeps_the_length_law_for_every_structure(network: Network) -> None:
    inputs, lengths = rows()
    model = made(Model("classifier", network, INPUTS, 4))
    program = build_program(model).module()
    np.testing.assert_allclose(program(inputs, lengths).numpy(), expected(model, inputs, lengths), rtol=0, atol=LIMIT)
    clipped = program(inputs, torch.tensor([9, -2, 3, 1, 6]))  # beyond the steps, and below 0
    np.testing.assert_allclose(clipped.numpy(), expected(model, inputs, lengths), rtol=0, atol=LIMIT)


@torch.no_grad()
def test_a_program_without_lengths_reads_all_steps_in_both_directions() -> None:
    inputs = rows()[0][[0], :6]
    model = made(Model("regressor", NETWORKS["stacked"][0], INPUTS, 4))
    found = build_program(model, lengths=False).module()(inputs)
    np.testing.assert_allclose(found.numpy(), expected(model, inputs, None), rtol=0, atol=LIMIT)


def test_what_is_exported_drops_nothing_and_leaves_the_model_in_training() -> None:
    model = made(Model("classifier", Dropout(GRU(UNITS), output_keep=0.5), INPUTS, 4))
    build_program(model)
    assert isinstance(model, Classifier) and model.training and model.rnn.cell.training


def test_a_token_below_zero_is_refused_and_not_counted_from_the_end() -> None:
    model = made(Model("classifier", GRU(3), 5, 2, embedding=4))
    with pytest.raises(Exception, match=r"out of (data )?bounds"):
        onnx_outputs(onnx_model(model, False), torch.tensor([[1, -1]]), None)
