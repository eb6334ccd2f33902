"""A training program in another framework, in its own process: TensorFlow (by the name of its adapter), JAX, Keras.

Run by `torch_impl.bench.rivals` as a file, under any Python from 3.7: a line of JSON in, a line of JSON out.

    {"rival": NAME, "workload": {...}, "threads": N} -> {"version": ...} or {"left_out": why}
    {"steps": N} -> {"seconds": time of N training steps}
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a framework prints
    if sys.path and Path(sys.path[0]).resolve() == Path(__file__).resolve().parent:
        del sys.path[0]  # this folder's files are no top-level modules
    work = None
    for line in sys.stdin:
        question = json.loads(line)
        if work is None:
            try:
                version, work = open_rival(question["rival"], question["workload"], question["threads"])
                answer = {"version": version}
            except Exception as error:
                answer = {"left_out": "%s: %s" % (type(error).__name__, (str(error).splitlines() or [""])[0])}
        else:
            start = time.perf_counter()
            work(question["steps"])
            answer = {"seconds": time.perf_counter() - start}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def open_rival(name, workload, threads):
    """(version, function of a number of steps) of a rival; raises whatever keeps it from running."""
    if hasattr(os, "sched_setaffinity"):  # the only limit that all frameworks keep to
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[:threads])
    inputs, targets = data(workload)
    if name == "jax":
        from torch_impl.bench import other_jax

        return other_jax.open_rival(workload, inputs, targets)
    if name.startswith("keras-"):
        os.environ["KERAS_BACKEND"] = name[len("keras-") :]
        from torch_impl.bench import other_keras

        return other_keras.open_rival(workload, inputs, targets)
    return by_adapter(name, workload, inputs, targets, threads)


def data(workload):
    """Uniform random inputs [rows, steps, inputs], and labels [rows] or values [rows, steps, outputs]: the same for
    every contestant. workload: the fields of torch_impl.bench.workloads.Workload by name."""
    import numpy as np

    generator = np.random.RandomState(0)
    inputs = generator.rand(workload["rows"], workload["steps"], workload["inputs"]).astype(np.float32)
    if workload["kind"] == "classifier":
        return inputs, generator.randint(0, workload["outputs"], workload["rows"])
    shape = (workload["rows"], workload["steps"], workload["outputs"])
    return inputs, generator.rand(*shape).astype(np.float32)


def batches(workload, steps):
    """Row numbers [steps, batch], each batch another part of the rows."""
    import numpy as np

    numbers = np.arange(steps * workload["batch"], dtype=np.int64) % workload["rows"]
    return numbers.reshape(steps, workload["batch"])


def lengths_of(workload):
    """Lengths [rows] from a quarter of the steps up, or None where all are full."""
    import numpy as np

    if not workload["lengths"]:
        return None
    return np.random.RandomState(1).randint(workload["steps"] // 4, workload["steps"] + 1, workload["rows"])


def model_of(workload):
    """The model of a "classifier" or "regressor", as a value."""
    from unrolled.models import Model
    from unrolled.networks import GRU, LSTM, BasicRNN, Bidirectional, Layers

    units, activation = workload["units"], workload["activation"]
    one: Any = {
        "basic_rnn": lambda: BasicRNN(units, activation),
        "lstm": lambda: LSTM(units, activation),
        "gru": lambda: GRU(units, activation),
        "gru_after": lambda: GRU(units, activation, True),
    }[workload["cell"]]()
    if workload["directions"] == 2:
        one = Bidirectional(one, one)
    if workload["layers"] > 1:
        one = Layers((one,) * workload["layers"])
    return Model(workload["kind"], one, workload["inputs"], workload["outputs"])


def by_adapter(name, workload, inputs, targets, threads):
    """A backend of the shared spec with a `trainer`, by the name of its package."""
    import importlib

    from unrolled.programs import Adam

    backend = importlib.import_module(name + ".adapter").backend(threads=threads)
    model = model_of(workload)
    weights, lengths = backend.initial_weights(model, 1), lengths_of(workload)
    trainer = backend.trainer(model, weights, Adam(), inputs, targets, lengths)
    facts = backend.describe()
    return "%s %s" % (facts["framework"], facts["version"]), lambda steps: trainer.run(batches(workload, steps))


if __name__ == "__main__":
    main()
