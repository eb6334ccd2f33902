"""Classifiers on data sets of the UCR and UEA archives: python -m torch_impl.tests.archive_sets FOLDER.

FOLDER holds NAME/NAME_TRAIN.ts and NAME/NAME_TEST.ts, as the package aeon ships them (aeon/datasets/data). For each set
and seed a line of JSON: test accuracies of `train classifier --cell lstm --bidirectional`, of nn.LSTM with the same
sizes, batches, epochs, Adam and scaling, and of the nearest neighbour; then the table of means.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numba import njit
from tabulate import tabulate
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import torch_impl

NAMES = "ItalyPowerDemand", "GunPoint", "BasicMotions", "ArrowHead", "PickupGestureWiimoteZ", "JapaneseVowels"
UNITS, BATCH, EPOCHS, RATE = 64, 16, 200, 0.005
OPTIONS = (
    "--cell lstm --bidirectional --units %d --batch-size %d --epochs %d --learning-rate %s --validation-share 0 "
    "--test-share 0" % (UNITS, BATCH, EPOCHS, RATE)
).split()


class Part(NamedTuple):
    """rows: of each [steps, inputs]. labels: text [rows]."""

    rows: list[np.ndarray]
    labels: np.ndarray

    def padded(self, mean: np.ndarray, deviation: np.ndarray) -> tuple[Tensor, Tensor]:
        """float32 [rows, steps, inputs] scaled, zero past the lengths; the lengths [rows]."""
        scaled = [torch.from_numpy((row - mean) / deviation).float() for row in self.rows]
        return nn.utils.rnn.pad_sequence(scaled, batch_first=True), torch.tensor(list(map(len, scaled)))

    def save(self, path: Path) -> Path:
        """As .npz that `train classifier` reads."""
        np.savez(path, *self.rows, labels=self.labels)
        return path


def read(folder: Path, name: str, part: str) -> Part:
    """A part of a set; the form: https://www.aeon-toolkit.org/en/stable/api_reference/file_specifications/ts.html."""
    rows, labels = [], []
    for line in (folder / name / f"{name}_{part}.ts").read_text().split("@data", 1)[1].split("\n"):
        if line.strip():
            *channels, label = line.strip().split(":")
            rows.append(np.array([list(map(float, channel.split(","))) for channel in channels]).T)
            labels.append(label)
    return Part(rows, np.array(labels))


@njit
def warped(one: np.ndarray, other: np.ndarray) -> float:
    """The square of the distance after dynamic time warping without a window, of all inputs together."""
    paths = np.full((len(one) + 1, len(other) + 1), np.inf)
    paths[0, 0] = 0
    for i in range(len(one)):
        for j in range(len(other)):
            before = min(paths[i, j], paths[i, j + 1], paths[i + 1, j])
            paths[i + 1, j + 1] = before + np.square(one[i] - other[j]).sum()
    return paths[-1, -1]


def straight(one: np.ndarray, other: np.ndarray) -> float:
    """The square of the Euclidean distance."""
    return float(np.square(one - other).sum())


def nearest(train: Part, test: Part, distance: object) -> float:
    """The accuracy of one nearest neighbour."""
    found = [int(np.argmin([distance(row, known) for known in train.rows])) for row in test.rows]  # type: ignore[operator]
    return float(np.mean(train.labels[found] == test.labels))


class Plain(nn.Module):
    """nn.LSTM in two directions with a dense layer on both final states."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(inputs, UNITS, batch_first=True, bidirectional=True)
        self.dense = nn.Linear(2 * UNITS, classes)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        _, (h, _) = self.rnn(pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False))
        return self.dense(torch.cat([h[0], h[1]], 1))


def pytorch(train: Part, test: Part, seed: int) -> float:
    """The accuracy of nn.LSTM."""
    torch.manual_seed(seed)
    classes, frames = sorted(set(train.labels)), np.concatenate(train.rows)
    scaling = frames.mean(0), frames.std(0)
    inputs, lengths = train.padded(*scaling)
    labels = torch.tensor([classes.index(label) for label in train.labels])
    model, batch = Plain(inputs.shape[2], len(classes)), min(BATCH, len(inputs))
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(inputs))[: len(inputs) // batch * batch].split(batch):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs[rows], lengths[rows]), labels[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        found = model(*test.padded(*scaling)).argmax(1).tolist()
    return float(np.mean(np.array(classes)[found] == test.labels))


def unrolled(train: Part, test: Part, seed: int) -> float:
    """The accuracy of `train classifier`, by the command line itself."""
    with tempfile.TemporaryDirectory() as home:
        data, run = train.save(Path(home, "train.npz")), Path(home, "run")
        command = [sys.executable, "-m", "torch_impl", "train", "classifier", "--data", str(data), "--output", str(run)]
        done = subprocess.run([*command, *OPTIONS, "--seed", str(seed)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        inputs, lengths = test.padded(np.zeros(1), np.ones(1))
        return float(np.mean(torch_impl.load_run(run).predict(inputs, lengths, names=True) == test.labels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--names", nargs="+", default=NAMES)
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = []
    for name in options.names:
        train, test = (read(options.folder, name, part) for part in ("TRAIN", "TEST"))
        equal = len({len(row) for row in train.rows + test.rows}) == 1
        euclidean = nearest(train, test, straight) if equal else None
        beside = {"euclidean": euclidean, "dtw": nearest(train, test, warped)}
        found = []
        for seed in options.seeds:
            found.append((unrolled(train, test, seed), pytorch(train, test, seed)))
            line = {"name": name, "seed": seed, "unrolled": found[-1][0], "nn.LSTM": found[-1][1], **beside}
            print(json.dumps(line), flush=True)
        spans = ["%.3f (%.3f to %.3f)" % (np.mean(each), min(each), max(each)) for each in zip(*found, strict=True)]
        table.append([name, *spans, *beside.values()])
    columns = ["", "Unrolled", "nn.LSTM", "1-nearest-neighbour, Euclidean", "with DTW"]
    print(tabulate(table, columns, floatfmt=".3f", tablefmt="github", missingval="lengths differ"))


if __name__ == "__main__":
    main()
