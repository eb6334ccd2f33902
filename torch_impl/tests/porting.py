"""The blocks of FROM_TENSORFLOW.md, held to the oracle. `python -m torch_impl.tests.porting` prints the page's figures.

A block is told by the comment above it, `<!-- network: framework -->`. It finds `weights`, `inputs` and `lengths`, and
leaves `outputs` and its state; the one of this library, which is for every network, finds `network` too. The blocks of
a framework run in a process of their own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from spec_tests.oracle.backend import backend as oracle
from unrolled.networks import Network, tf1

PAGE = Path(__file__).parents[1] / "FROM_TENSORFLOW.md"
LENGTHS = np.array([7, 3, 5, 1])
NETWORKS: dict[str, Network] = {
    "lstm": tf1.LSTMCell(5),
    "gru": tf1.GRUCell(5),
    "cudnn gru": tf1.CudnnCompatibleGRUCell(5),
    "stacked": tf1.stack_bidirectional_dynamic_rnn([tf1.LSTMCell(5)] * 2, [tf1.LSTMCell(5)] * 2),
}
# As the page's table has them.
MODULES: dict[str, tuple[str, dict[str, Any]]] = {
    "lstm": ("LSTM", {}),
    "gru": ("GRU", {}),
    "cudnn gru": ("GRU", {"reset_after": True}),
    "stacked": ("LSTM", {"num_layers": 2, "bidirectional": True}),
}
NEEDS = {"TensorFlow 1": "tensorflow", "Keras": "keras", "torch.nn": "torch", "Unrolled": "torch"}


def blocks() -> dict[tuple[str, str], str]:
    """The page's code, by what its comment says: (network or "setup", framework)."""
    found = re.findall(r"<!-- ([\w ]+): ([\w. ]+) -->\n```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    every = [(name, *rest) for network, *rest in found if network == "every network" for name in NETWORKS]
    named = [block for block in found if block[0] != "every network"]
    return {(network, framework): code for network, framework, code in named + every}


def missing(framework: str) -> bool:
    """Whether the framework is not installed here."""
    return find_spec(NEEDS[framework]) is None


def differences(framework: str) -> dict[str, float]:
    """For each network that has a block of this framework, the largest difference from the oracle."""
    environment = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3", TF_USE_LEGACY_KERAS=str(int(framework == "TensorFlow 1")))
    command = [sys.executable, "-m", __spec__.name, framework]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def _difference(name: str, framework: str) -> float:
    """The largest difference of a block's outputs and of each part of its state from the oracle's, relative to the
    largest value there."""
    random, network = np.random.RandomState(3), NETWORKS[name]
    drawn = {each: random.normal(0, 0.4, weight.shape) for each, weight in network.weights(3).items()}
    weights = {each: array.astype(np.float32) for each, array in drawn.items()}
    inputs = random.normal(size=(4, 7, 3)).astype(np.float32)
    wide = {each: array.astype(np.float64) for each, array in weights.items()}
    outputs, state = oracle().dynamic_rnn(network, wide, inputs.astype(np.float64), LENGTHS)
    given = {"weights": weights, "inputs": inputs, "lengths": LENGTHS, "network": name}
    found = _run(framework, blocks()[name, framework], given)
    parts = list(_leaves(found["state"] if "state" in found else [found[part] for part in network.state]))
    pairs = zip([*_leaves(found["outputs"]), *parts], [outputs, *state.values()], strict=True)
    return max(float(np.abs(one.reshape(other.shape) - other).max() / np.abs(other).max()) for one, other in pairs)


def _run(framework: str, block: str, names: dict[str, Any]) -> dict[str, Any]:
    """What a block leaves, by name."""
    weights = names["weights"]
    if framework == "TensorFlow 1":
        import tensorflow.compat.v1 as tf

        tf.disable_v2_behavior()
        with tf.Graph().as_default(), tf.Session() as session:
            names.update(tf=tf, inputs=tf.constant(names["inputs"]), lengths=tf.constant(LENGTHS))
            exec(block, names)
            for variable, name in zip(tf.global_variables(), weights, strict=True):
                assert variable.op.name.split("/")[-1] == name.split("/")[-1], (variable.op.name, name)
                variable.load(weights[name], session)
            results = {each: names[each] for each in ("outputs", "state", "h") if each in names}
            return session.run(results)
    names["np"] = np
    exec(blocks()["setup", "NumPy"], names)
    if framework == "Keras":
        import keras

        names["keras"] = keras
    else:
        exec(blocks()["setup", "PyTorch"], names)
    if framework != "Keras":
        names["inputs"] = names["torch"].tensor(names["inputs"])
    if framework == "Unrolled":
        import torch_impl

        kind, options = MODULES[names["network"]]
        names["network"] = getattr(torch_impl, kind)(3, 5, **options)
    exec(block, names)
    return names


def _leaves(value: Any) -> Iterator[np.ndarray]:
    if isinstance(value, (tuple, list)):
        for each in value:
            yield from _leaves(each)
    else:
        yield np.asarray(value.detach() if hasattr(value, "detach") else value)


def table() -> str:
    """The page's figures, as Markdown."""
    columns = {framework: differences(framework) for framework in NEEDS}
    lines = ["| | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 1) + "|"]
    for name in NETWORKS:
        cells = [f"{column[name]:.1e}" if name in column else "-" for column in columns.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(table())
    else:
        print(
            json.dumps({name: _difference(name, sys.argv[1]) for name in NETWORKS if (name, sys.argv[1]) in blocks()})
        )
