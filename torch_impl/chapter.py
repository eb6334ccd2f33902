"""The chapter's programs as a user of this library writes them; beside them `tf_reference.chapter`, and both in
CHAPTER.md.

Inputs [batch, steps, inputs] and lengths, integers [batch], are tensors. weights: in TensorFlow 1's names and layouts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own idiom)
from torch import Tensor

import torch_impl

Weights = Mapping[str, Any]


def two_step(x0: Tensor, x1: Tensor, wx: Tensor, wy: Tensor, b: Tensor) -> Any:
    y0 = torch.tanh(x0 @ wx + b)
    y1 = torch.tanh(y0 @ wy + x1 @ wx + b)
    return y0, y1


def static(weights: Weights, x0: Tensor, x1: Tensor) -> Any:
    cell = torch_impl.BasicRNNCell(3, 5)
    cell.load_canonical(weights)
    outputs, state = torch_impl.static_rnn(cell, [x0, x1])
    return outputs, state


def dynamic(weights: Weights, inputs: Tensor) -> Any:
    rnn = torch_impl.RNN(3, 5)
    rnn.load_canonical(weights)
    outputs, state = rnn(inputs)
    return outputs, state


def lengths(weights: Weights, inputs: Tensor, lengths: Tensor) -> Any:
    rnn = torch_impl.RNN(3, 5)
    rnn.load_canonical(weights)
    outputs, state = rnn(inputs, lengths)
    return outputs, state


def decode(weights: Weights, dense: torch.nn.Linear, state: Tensor, start: int, end: int, most: int) -> Any:
    cell = torch_impl.BasicRNNCell(dense.out_features, 5)
    cell.load_canonical(weights)
    token, going = torch.full((len(state),), start), torch.ones(len(state), dtype=torch.bool)
    tokens: list[Tensor] = []
    while len(tokens) < most and going.any():
        new = cell(F.one_hot(token, dense.out_features).to(state.dtype), state)
        state = torch.where(going[:, None], new, state)
        token = torch.where(going, dense(state).argmax(1), end)
        tokens.append(token)
        going = going & (token != end)
    return torch.stack(tokens, 1), state


def bptt(weights: Weights, inputs: Tensor, by_outputs: Tensor) -> Any:
    rnn = torch_impl.RNN(3, 5)
    rnn.load_canonical(weights)
    outputs, _ = rnn(inputs)
    outputs.backward(by_outputs)
    return rnn.canonical_gradients()


def bptt_by_hand(wx: Tensor, wy: Tensor, b: Tensor, inputs: Tensor, by_outputs: Tensor) -> Any:
    steps = inputs.shape[1]
    y = [torch.zeros(len(inputs), len(b))]  # y[t + 1] is the output of step t
    for t in range(steps):
        y.append(torch.tanh(inputs[:, t] @ wx + y[t] @ wy + b))
    by_wx, by_wy, by_b = torch.zeros_like(wx), torch.zeros_like(wy), torch.zeros_like(b)
    carried = torch.zeros_like(y[0])  # what the later steps say of y[t + 1]
    for t in reversed(range(steps)):
        by_z = (by_outputs[:, t] + carried) * (1 - y[t + 1] ** 2)
        by_wx += inputs[:, t].T @ by_z  # the same weights at every step: their gradients add up
        by_wy += y[t].T @ by_z
        by_b += by_z.sum(0)
        carried = by_z @ wy.T
    return torch.cat([by_wx, by_wy]), by_b


def mnist(batches: Iterable[Any], images: Tensor, labels: Tensor) -> Any:
    model = torch_impl.Classifier(torch_impl.RNN(28, 150), classes=10)
    optimizer = torch_impl.Adam(model.parameters(), lr=0.001)
    for some_images, some_labels in batches:
        optimizer.zero_grad()
        loss = model.loss(model(some_images), some_labels)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        hits = torch_impl.in_top_k(model(images), labels, 1)
    return hits.float().mean()


def series(batches: Iterable[Any], inputs: Tensor) -> Any:
    model = torch_impl.Regressor(torch_impl.RNN(1, 100, activation="relu"), outputs=1)
    optimizer = torch_impl.Adam(model.parameters(), lr=0.001)
    for some_inputs, targets in batches:
        optimizer.zero_grad()
        loss = model.loss(model(some_inputs), targets)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return model(inputs)


def lstm(weights: Weights, inputs: Tensor, lengths: Tensor) -> Any:
    lstm = torch_impl.LSTM(3, 5)
    lstm.load_canonical(weights)
    outputs, (c, h) = lstm(inputs, lengths)
    return outputs, (c, h)


def gru(weights: Weights, inputs: Tensor, lengths: Tensor) -> Any:
    gru = torch_impl.GRU(3, 5)
    gru.load_canonical(weights)
    outputs, state = gru(inputs, lengths)
    return outputs, state


def layers(weights: Weights, inputs: Tensor, lengths: Tensor) -> Any:
    gru = torch_impl.GRU(3, 5, num_layers=2)
    gru.load_canonical(weights)
    outputs, states = gru(inputs, lengths)
    return outputs, states


def bidirectional(weights: Weights, inputs: Tensor, lengths: Tensor) -> Any:
    lstm = torch_impl.LSTM(3, 5, bidirectional=True)
    lstm.load_canonical(weights)
    outputs, states = lstm(inputs, lengths)
    return outputs, states
