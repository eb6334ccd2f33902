"""Recurrent networks in PyTorch that compute what TensorFlow 1's do, from the same weights.

import torch
import torch_impl

model = torch_impl.Classifier(torch_impl.RNN(inputs=28, units=150), classes=10)
optimizer = torch_impl.Adam(model.parameters(), lr=0.001)
inputs, labels = torch.rand(4, 28, 28), torch.tensor([3, 1, 4, 1])
loss = model.loss(model(inputs, lengths=[28, 9, 0, 28]), labels)
loss.backward()
optimizer.step()
weights = model.canonical_weights()  # TF1's names and layouts, as NumPy arrays
"""

import ast
import importlib
from pathlib import Path
from typing import Any

# Where each public name lives: __init__.pyi lists them. They are imported on first use, so that the command line's
# --help need not wait for PyTorch.
_HOMES = {
    name.name: str(line.module)
    for line in ast.parse(Path(__file__).with_suffix(".pyi").read_text("utf-8")).body
    if isinstance(line, ast.ImportFrom)
    for name in line.names
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
