"""What stands before a model's network and after it: the embedding, and the dense layers, forward and back.

Embedding: x = E[token], dE[token] = sum of dx where it was read. Dense: y = a(r K + c), from the lowest layer up.
"""

from __future__ import annotations

from typing import Any, Iterator

import numpy as np

from spec_tests.oracle.activations import ACTIVATIONS, SLOPES
from spec_tests.oracle.arrays import Arrays
from unrolled.models import Model


def embedded(model: Model, w: Arrays, inputs: np.ndarray) -> np.ndarray:
    """What the network reads: the tokens' rows, or the inputs as they are."""
    return w["embedding"][inputs] if model.embedding else inputs


def embedded_back(model: Model, w: Arrays, inputs: np.ndarray, dx: np.ndarray) -> Arrays:
    if not model.embedding:
        return {}
    found = np.zeros_like(w["embedding"])
    np.add.at(found, inputs, dx)
    return {"embedding": found}


def _layers(model: Model) -> Iterator[tuple[str, str]]:
    """The name and the activation of each layer, from the lowest up."""
    for number, each in enumerate(model.hidden):
        yield "hidden_%d/" % number, each.activation
    yield "dense/", model.activation


def dense(model: Model, w: Arrays, r: np.ndarray) -> tuple[np.ndarray, Any]:
    """(y of the last layer, what the way back needs) of r [..., width]."""
    kept = []
    for name, activation in _layers(model):
        z = r @ w[name + "kernel"] + w[name + "bias"]
        kept.append((r, z))
        r = ACTIVATIONS[activation](z)
    return r, kept


def dense_back(model: Model, w: Arrays, kept: Any, dy: np.ndarray) -> tuple[np.ndarray, Arrays]:
    """dz = dy a'(z); dK = r^T dz, dc = sum of dz, over all but the last axis; dr = dz K^T."""
    gradients: Arrays = {}
    for (name, activation), (r, z) in zip(reversed(list(_layers(model))), reversed(kept)):
        dz = dy * SLOPES[activation](z, ACTIVATIONS[activation](z))
        rows = dz.reshape(-1, dz.shape[-1])
        gradients[name + "kernel"] = r.reshape(-1, r.shape[-1]).T @ rows
        gradients[name + "bias"] = rows.sum(axis=0)
        dy = dz @ w[name + "kernel"].T
    return dy, gradients
