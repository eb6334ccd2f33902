"""Models of tokens, with hidden layers, of every step; recurrent modules by their values.

What they compute is the suite's to say.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own idiom)
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

import torch_impl
from torch_impl import GRU, LSTM, RNN, Classifier, Regressor, Tagger, Trainer, build, recurrent
from torch_impl.training.whole_steps import whole_steps
from unrolled import networks
from unrolled.models import Dense, Model
from unrolled.networks import shapes, tf1
from unrolled.programs import Adam

TOKENS = torch.tensor([[1, 0, 6, 2], [5, 5, 3, 0], [4, 2, 1, 1]])
LENGTHS = torch.tensor([3, 0, 4])
TAGS = torch.tensor([[1, 0, 2, 9], [-100, 7, 8, 9], [2, 2, 0, 1]])  # past the lengths: anything


def close(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)


def doubles(module: Any) -> Any:
    return module.double()


def test_an_embedding_is_read_in_the_place_of_its_tokens() -> None:
    model = doubles(Classifier(GRU(3, 4), 2, vocabulary=7))
    assert model.inputs == 7
    assert next(iter(model.canonical_weights())) == "embedding"
    assert model.embedding.weight.abs().max() <= (6 / (7 + 3)) ** 0.5
    plain = doubles(Classifier(model.rnn, 2))
    plain.dense = model.dense
    logits = model(TOKENS, LENGTHS)
    close(logits, plain(F.one_hot(TOKENS, 7).double() @ model.embedding.weight, LENGTHS))
    packed = pack_padded_sequence(TOKENS[[0, 2]], LENGTHS[[0, 2]], batch_first=True, enforce_sorted=False)
    close(model(packed), logits[[0, 2]])
    logits.sum().backward()
    assert model.embedding.weight.grad.layout is torch.strided


@pytest.mark.parametrize("wrong", [7, -1])
def test_a_token_outside_the_vocabulary_is_named_also_on_padding(wrong: int) -> None:
    model, tokens = Tagger(LSTM(3, 4), 2, vocabulary=7), TOKENS.clone()
    tokens[1, 3] = wrong
    words = rf"inputs must be tokens, .* 0 to 6.*, got inputs\[1, 3\] = {wrong}"
    for run in (lambda: model(tokens, LENGTHS), lambda: Trainer(model, Adam(), tokens, TAGS, LENGTHS)):
        with pytest.raises(ValueError, match=words):
            run()
    with pytest.raises(TypeError, match=r"inputs must be tokens, .*, got float32"):
        model(torch.ones(3, 4))


def test_hidden_layers_and_an_activation_are_in_order() -> None:
    model = doubles(Classifier(RNN(3, 4), 2, hidden=[(6, "relu"), (5, "selu")], activation="sigmoid"))
    value = Model("classifier", networks.BasicRNN(4), 3, 2, hidden=(Dense(6, "relu"), Dense(5, "selu")))
    weights = model.canonical_weights()
    assert {name: array.shape for name, array in weights.items()} == shapes(value.weights())
    x = torch.randn(3, 4, 3, dtype=torch.float64)
    _, state = model.rnn(x)
    values = state.detach().numpy() @ weights["hidden_0/kernel"] + weights["hidden_0/bias"]
    values = torch.selu(torch.tensor(np.maximum(values, 0) @ weights["hidden_1/kernel"] + weights["hidden_1/bias"]))
    close(model(x), torch.sigmoid(values @ torch.tensor(weights["dense/kernel"]) + torch.tensor(weights["dense/bias"])))


@pytest.mark.parametrize("options", [{"hidden": [(4, "linear")]}, {"activation": "relu"}, {"vocabulary": 5}])
def test_steps_are_not_taken_whole_past_what_is_around_the_network(options: Any) -> None:
    """Compiled code knows the network and one linear layer."""

    def steps(options: Any) -> Any:
        model = Classifier(RNN(3, 4), 2, **options)
        inputs = torch.zeros(4, 5, dtype=torch.int64) if model.embedding is not None else torch.zeros(4, 5, 3)
        trainer = Trainer(model, Adam(), inputs, torch.zeros(4, dtype=torch.int64))
        return whole_steps(model, trainer.optimizer, trainer.inputs, trainer.targets, None, 2)

    assert steps({}) is not None
    assert steps(options) is None


def test_a_tagger_s_loss_is_over_the_valid_steps() -> None:
    model = doubles(Tagger(LSTM(3, 4, bidirectional=True), 3, vocabulary=7))
    logits = model(TOKENS, LENGTHS)
    loss = model.loss(logits, TAGS, LENGTHS)
    valid = torch.arange(4) < LENGTHS[:, None]
    close(loss, F.cross_entropy(logits[valid], TAGS[valid]))
    close(model.training_loss(TOKENS, TAGS, LENGTHS), loss)
    assert model.loss(logits, TAGS, LENGTHS * 0) == 0
    kept = TAGS.where(valid, 1)
    close(model.loss(logits, kept), F.cross_entropy(logits.flatten(0, 1), kept.flatten()))
    tags = model.predict(TOKENS, LENGTHS)
    assert tags.dtype == torch.int64 and not tags[~valid].any()
    assert torch.equal(tags[valid], logits.argmax(2)[valid])
    pack = lambda values: pack_padded_sequence(values[[2, 0]], LENGTHS[[2, 0]], batch_first=True)  # noqa: E731
    close(model.loss(model(pack(TOKENS)), pack(TAGS)), loss)
    assert model.row_weights(TAGS, LENGTHS).tolist() == [3, 0, 4]
    assert model.row_weights(TAGS, LENGTHS * 0).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("targets", "lengths", "error", "words"),
    [
        (TAGS, None, ValueError, r"targets must be integers .* from 0 to 2, got targets\[1, 0\] = -100"),
        (TAGS, torch.tensor([3, 1, 4]), ValueError, r"got targets\[1, 0\] = -100"),
        (TAGS[:, :3], LENGTHS, ValueError, r"lengths|targets must be integers"),
        (TAGS.float(), LENGTHS, TypeError, "targets must be integers"),
    ],
)
def test_a_tagger_s_targets_are_checked_where_they_are_valid(
    targets: Tensor, lengths: Any, error: type[Exception], words: str
) -> None:
    model = Tagger(LSTM(3, 4), 3, vocabulary=7)
    Trainer(model, Adam(), TOKENS, TAGS, LENGTHS)
    with pytest.raises(error, match=words):
        Trainer(model, Adam(), TOKENS, targets, lengths)
    with pytest.raises(error, match=words):
        model.loss(model(TOKENS), targets, lengths)


def test_training_drops_and_evaluation_does_not() -> None:
    cell = torch_impl.Dropout(torch_impl.GRUCell(3, 4), 0.5, 0.5, 0.5)
    model = Tagger(torch_impl.Recurrent(cell), 3, vocabulary=7)
    trainer = Trainer(model, Adam(0.0), TOKENS, TAGS, LENGTHS)  # which does not move
    cell.cell.eval()
    losses = trainer.run([[0, 1, 2]] * 2)
    assert losses[0] != losses[1]
    assert torch.equal(trainer.forward(TOKENS), trainer.forward(TOKENS))
    assert model.training and cell.training and not cell.cell.training
    assert trainer.run([[0, 1, 2]]) not in losses
    model.eval()
    losses = trainer.run([[0, 1, 2]] * 2)
    assert losses[0] == losses[1]


def test_a_projection_that_is_wrapped_has_one_layer() -> None:
    with pytest.raises(ValueError, match="projection 'wrapped' is one linear dense layer"):
        Regressor(RNN(3, 4), 2, "wrapped", hidden=[(3, "relu")])
    with pytest.raises(ValueError, match="activation of a dense layer must be 'tanh'"):
        Regressor(RNN(3, 4), 2, hidden=[(3, "gelu")])


def test_a_network_by_its_value_is_a_module_with_first_values() -> None:
    rnn = recurrent(tf1.LSTMBlockCell(5, forget_bias=2.0), 3, batch_first=False, dtype=torch.float64)
    assert rnn(torch.ones(4, 2, 3, dtype=torch.float64))[0].shape == (4, 2, 5)
    assert rnn.cell.weight_ih.any() and not rnn.cell.bias.any()  # type: ignore[operator]
    close(rnn.cell.step(torch.ones(2, 3).double(), rnn.zero_state(2))[0], rnn(torch.ones(1, 2, 3).double())[0][0])
    keras = recurrent(networks.KerasLSTM(5), 3).canonical_weights()
    kernel = keras["recurrent_kernel"]
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(5), atol=1e-6)
    assert keras["bias"].tolist() == [0] * 5 + [1] * 5 + [0] * 10
    for network, inputs, error, words in (
        (5, 3, TypeError, "network must be one of unrolled.networks, got int 5"),
        (tf1.GRUCell(4), 0, ValueError, "inputs must be at least 1"),
        (tf1.ResidualWrapper(tf1.GRUCell(4)), 3, ValueError, "got 3 inputs and 4 outputs"),
    ):
        with pytest.raises(error, match=words):
            recurrent(network, inputs)  # type: ignore[arg-type]


def test_a_model_of_tokens_is_exported() -> None:
    value = Model("tagger", networks.GRU(4, reset_after=True), 7, 3, embedding=2, hidden=(Dense(3, "relu"),))
    model = build.model(value).eval()
    model.reset_parameters()
    program = torch.export.export(model, (TOKENS,), dynamic_shapes=({0: torch.export.Dim("batch")},)).module()
    torch.testing.assert_close(program(TOKENS.repeat(2, 1)), model(TOKENS.repeat(2, 1)))
