"""An LSTM on sequences of your own, of different lengths, in an ordinary PyTorch loop.

python -m torch_impl.examples.own_sequences [FOLDER]: trains for some seconds; FOLDER gets the classifier as ONNX.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

import torch_impl
from torch_impl.export.onnx_model import to_onnx


def sequences(count, seed):
    """Put yours here: a list of tensors [length, values], and a label for each. These are waves of three shapes."""
    random = np.random.default_rng(seed)
    rows, labels = [], random.integers(0, 3, count)
    for label in labels:
        time = np.arange(random.integers(20, 60)) / 4 + random.uniform(0, 6)
        wave = (np.sin(time), np.sign(np.sin(time)), time / np.pi % 2 - 1)[label]
        wave += random.normal(0, 0.2, len(time))
        rows.append(torch.tensor(wave[:, None]).float())
    return rows, labels


def accuracy(model, rows, labels):
    with torch.no_grad():
        logits = model(torch_impl.collate_packed(rows))
    return float((logits.argmax(1) == torch.tensor(labels)).float().mean())


def main():
    torch.manual_seed(0)
    rows, labels = sequences(600, seed=1)
    unseen, their_labels = sequences(200, seed=2)
    model = torch_impl.Classifier(torch_impl.LSTM(inputs=1, units=32), classes=3)
    optimizer = torch_impl.Adam(model.parameters(), lr=0.01)
    batches = torch_impl.BucketSampler([len(row) for row in rows], batch=30)  # rows of like lengths together
    pairs: Any = list(zip(rows, labels, strict=True))
    loader = DataLoader(pairs, batch_sampler=batches, collate_fn=torch_impl.collate_packed)
    for epoch in range(1, 16):
        for inputs, targets in loader:  # a PackedSequence and labels [batch]
            optimizer.zero_grad()
            loss = model.loss(model(inputs), targets)
            loss.backward()
            optimizer.step()
        if epoch % 5 == 0:
            print(f"epoch {epoch}: loss {loss:.3f}, right of unseen rows {accuracy(model, unseen, their_labels):.3f}")
    if len(sys.argv) > 1:
        to_onnx(model, Path(sys.argv[1]) / "waves.onnx")


if __name__ == "__main__":
    main()
