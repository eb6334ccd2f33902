"""A conversion proved: against what TensorFlow recorded, or computes now."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from torch_impl.checkpoints.errors import CheckpointError, naming
from torch_impl.tf1.graphs.judge import computed, nearness
from torch_impl.tf1.graphs.operations import activated, product
from torch_impl.tf1.inferred import Inferred, Probe
from torch_impl.tf1.understand import Understood
from unrolled.models import Model

__all__ = ["MOST", "check_file", "check_with", "outputs_of"]

MOST = 1e-5  # of the largest output
MOST_OF_HALF = 1e-2  # where TensorFlow computed in half precision
_SECONDS = 600

_SCRIPT = """
import sys
import numpy as np
import tensorflow as tf
tf = getattr(getattr(tf, "compat", tf), "v1", tf)
prefix, given, taken, output = sys.argv[1:]
try:
    import tensorflow.contrib
except ImportError:
    pass
with tf.Session() as session, np.load(given) as arrays:
    tf.train.import_meta_graph(prefix + ".meta", clear_devices=True).restore(session, prefix)
    graph = tf.get_default_graph()
    feed = {graph.get_tensor_by_name(name.replace("|", "/") + ":0"): arrays[name] for name in arrays.files}
    np.savez(taken, outputs=session.run(output, feed))
"""


def outputs_of(model: Model, weights: Mapping[str, np.ndarray], inputs: np.ndarray, lengths: Any = None) -> np.ndarray:
    """What the model gives, before any softmax, in float64; dropouts draw nothing.

    inputs: [batch, steps, inputs], or tokens [batch, steps] where it has an embedding. Raises ValueError, which names
    what does not fit.
    """
    if model.embedding:
        if (
            inputs.ndim != 2
            or inputs.dtype.kind not in "iu"
            or not 0 <= inputs.min(initial=0) <= inputs.max(initial=0) < model.inputs
        ):
            raise ValueError(
                f"inputs must be tokens [batch, steps] from 0 to {model.inputs - 1}, got {inputs.dtype} "
                f"{list(inputs.shape)}"
            )
        inputs = np.asarray(weights["embedding"])[inputs]
    if inputs.ndim != 3 or inputs.shape[2] != model.network_inputs:
        raise ValueError(f"inputs must be [batch, steps, {model.network_inputs}], got {list(inputs.shape)}")
    own = {name: weights[name] for name in model.network.weights(model.network_inputs)}
    outputs, final = computed(model.network, own, np.asarray(inputs, np.float64), lengths)
    values = final if model.kind == "classifier" else outputs
    layers = [
        *((f"hidden_{number}/", each.activation) for number, each in enumerate(model.hidden)),
        ("dense/", model.activation),
    ]
    for name, activation in layers:
        values = activated(activation, product(values, weights[name + "kernel"]) + weights[name + "bias"])
    if model.projection == "wrapped" and lengths is not None:
        valid = np.arange(values.shape[1]) < np.asarray(lengths)[:, None]
        values = np.where(valid[..., None], values, 0.0)
    return np.asarray(values)


def check_file(whole: Understood, path: Path, recorded: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """The largest difference from what TensorFlow recorded, by the largest recorded output; and the most that it may
    be.

    path: of the file with the arrays recorded, "inputs", "outputs", and "lengths" where the model takes some. Raises
    CheckpointError that names what is missing or does not fit.
    """
    with naming(path):
        for name in ("inputs", "outputs"):
            if name not in recorded:
                raise CheckpointError(f"has no array {name!r}; it has {', '.join(recorded) or 'none'}")
        if not recorded["outputs"].size or recorded["outputs"].dtype.kind != "f":
            raise CheckpointError(
                f"outputs are {recorded['outputs'].dtype} {list(recorded['outputs'].shape)}, expected floats"
            )
        found = whole.found
        if len(found.whole) != 1:
            raise CheckpointError("there is no one model to check; --check-with PYTHON compares each of several heads")
        (model,) = found.whole
        inputs, outputs = recorded["inputs"], recorded["outputs"]
        width = model.network_inputs
        if not model.embedding and inputs.ndim == 2 and inputs.shape[1] % width == 0:
            inputs = inputs.reshape(len(inputs), -1, width)  # fed in one row, and cut into steps by the graph
        lengths = recorded.get("lengths")
        if lengths is not None and lengths.dtype.kind not in "iu":
            raise CheckpointError(f"lengths are {lengths.dtype}, expected integers")
        weights = {name: source.array(whole.read) for name, source in found.weights.items()}
        try:
            given = inputs.swapaxes(0, 1) if found.time_major and inputs.ndim > 1 else inputs
            values = outputs_of(model, weights, given, lengths)
        except (ValueError, RuntimeError) as error:
            raise CheckpointError(str(error)) from None
        if found.time_major and values.ndim == 3:
            values = values.swapaxes(0, 1)
        if values.size != outputs.size:
            raise CheckpointError(f"outputs are {list(outputs.shape)}, the model gives {list(values.shape)}")
        values, outputs = values.reshape(-1, values.shape[-1]), outputs.reshape(-1, values.shape[-1]).astype(np.float64)
        if (
            found.model is not None
            and model.kind != "regressor"
            and outputs.min() >= 0
            and np.abs(outputs.sum(1) - 1).max() < 1e-3
        ):
            values = np.exp(values - values.max(1, keepdims=True))  # probabilities were recorded
            values = values / values.sum(1, keepdims=True)
        return nearness(values, outputs), MOST_OF_HALF if recorded["outputs"].dtype == np.float16 else MOST


def check_with(found: Inferred, prefix: Path, python: Path) -> tuple[float, float]:
    """The largest difference from what TensorFlow computes now, in another Python, at drawn inputs; and the most that
    it may be.

    Raises CheckpointError where it cannot be computed, with the last line of what TensorFlow said.
    """
    if not found.probes:
        raise CheckpointError(
            f"{prefix}: TensorFlow is fed by its graph, which is not beside it or was not understood here"
        )
    both = [_compared(probe, prefix, python) for probe in found.probes]
    return max(near for near, _ in both), max(most for _, most in both)


def _compared(probe: Probe, prefix: Path, python: Path) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        given, taken, script = (Path(folder) / name for name in ("given.npz", "taken.npz", "script.py"))
        arrays: dict[str, Any] = {name.replace("/", "|"): np.asarray(value) for name, value in probe.feeds.items()}
        np.savez(given, **arrays)
        script.write_text(_SCRIPT)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
        command = [str(python), "-W", "ignore", str(script), str(prefix), str(given), str(taken), probe.output]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, env=environment)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CheckpointError(f"{python}: cannot be run ({error})") from None
        if done.returncode or not taken.exists():
            last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
            raise CheckpointError(f"{python}: TensorFlow could not compute it ({last[0]:.300})")
        with np.load(taken, allow_pickle=False) as file:
            outputs = file["outputs"]
        most = MOST_OF_HALF if outputs.dtype == np.float16 else MOST
        return nearness(np.asarray(probe.outputs), outputs.astype(np.float64)), most
