"""Recurrent networks in PyTorch that compute what TensorFlow 1's do, from the same weights.

import torch
import torch_impl

model = torch_impl.Classifier(inputs=28, units=150, classes=10)
optimizer = torch_impl.Adam(model.parameters(), lr=0.001)
inputs, labels = torch.rand(4, 28, 28), torch.tensor([3, 1, 4, 1])
loss = model.loss(model(inputs, lengths=[28, 9, 0, 28]), labels)
loss.backward()
optimizer.step()
weights = model.canonical_weights()  # TF1's names and layouts, as NumPy arrays
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch_impl.cells.basic_rnn import BasicRNNCell, two_step
    from torch_impl.decoding import Decoder
    from torch_impl.loading import BucketSampler, collate_packed
    from torch_impl.losses import cross_entropy, in_top_k, mean_square
    from torch_impl.models import Classifier, Regressor, Speller
    from torch_impl.runs import Run, load_run
    from torch_impl.training.adam import Adam
    from torch_impl.training.trainer import Trainer
    from torch_impl.unrolling.dynamic import dynamic_rnn
    from torch_impl.unrolling.module import RNN
    from torch_impl.unrolling.static import static_rnn

__all__ = [
    "RNN",
    "Adam",
    "BasicRNNCell",
    "BucketSampler",
    "Classifier",
    "Decoder",
    "Regressor",
    "Run",
    "Speller",
    "Trainer",
    "collate_packed",
    "cross_entropy",
    "dynamic_rnn",
    "in_top_k",
    "load_run",
    "mean_square",
    "static_rnn",
    "two_step",
]

# Where each name lives. They are imported on first use, so that the command line's --help need not wait for PyTorch.
_MODULES = {
    "cells.basic_rnn": ("BasicRNNCell", "two_step"),
    "decoding": ("Decoder",),
    "loading": ("BucketSampler", "collate_packed"),
    "losses": ("cross_entropy", "in_top_k", "mean_square"),
    "models": ("Classifier", "Regressor", "Speller"),
    "runs": ("Run", "load_run"),
    "training.adam": ("Adam",),
    "training.trainer": ("Trainer",),
    "unrolling.dynamic": ("dynamic_rnn",),
    "unrolling.module": ("RNN",),
    "unrolling.static": ("static_rnn",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
