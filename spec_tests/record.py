"""Record what genuine TensorFlow 1.15.5 answers: `python -m spec_tests.record`, under Python 3.7.

    python3.7 -m venv tf1 && tf1/bin/pip install tensorflow==1.15.5 'protobuf<3.21' 'numpy<1.19'
    tf1/bin/python -m spec_tests.record            # from the root of the repository; --missing keeps what is there

It puts the questions of `spec_tests.questions` to TensorFlow's own classes, contrib's and Keras's among them, and
writes the answers to data/recorded/*.npz. Another TensorFlow is refused, since the point of these files is where they
come from.
"""

from __future__ import annotations

import functools
import platform
import sys
import time
from pathlib import Path
from typing import Any, Iterable

import numpy as np

from spec_tests.backends import loading
from spec_tests.questions import cases, classes, decoding, kinds, makers
from spec_tests.questions.trajectories import mnist_epochs
from unrolled import models, networks
from unrolled.datasets import recorded

TENSORFLOW = "1.15.5"
GENUINE = "tf_reference.tests.genuine:backend"
TRAINING_ITERATIONS = 60
CURVE_EPOCHS = 3


def split_arguments(arguments: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Arguments as plain values and as arrays by name ("inputs", "weights/kernel", "initial_state/h"), for a file."""
    plain: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    for key, value in arguments.items():
        if isinstance(value, np.ndarray):
            arrays[key] = value
        elif isinstance(value, dict):
            arrays.update({key + "/" + name: array for name, array in value.items()})
        elif isinstance(value, list):  # static_rnn's inputs, one array per step
            arrays[key] = np.stack(value, axis=1)
        else:
            plain[key] = networks.to_plain(value) if networks.is_network(value) else value
    return plain, arrays


def join_arguments(method: str, plain: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The inverse of `split_arguments`, from what a recorded file holds."""
    arguments: dict[str, Any] = dict(plain)
    if "network" in plain:
        arguments["network"] = networks.from_plain(plain["network"])
    for key, array in arrays.items():
        argument, _, name = key.partition("/")
        if name:
            arguments.setdefault(argument, {})[name] = array
        else:
            arguments[argument] = array
    if method == "static_rnn":
        arguments["inputs"] = list(np.moveaxis(arrays["inputs"], 1, 0))
    return arguments


def record_cases(backend: Any, asked: Iterable[cases.Case]) -> dict[str, recorded.Recorded]:
    """The answers to some questions, with what was given, so that the file is enough to repeat them."""
    found = {}
    for case in asked:
        plain, arrays = split_arguments(case.arguments)
        answer = cases.named_results(case, getattr(backend, case.method)(**case.arguments))
        found[case.name] = recorded.Recorded({"method": case.method, "arguments": plain}, arrays, answer)
    return found


def record_small(backend: Any, dtype: str) -> dict[str, recorded.Recorded]:
    """Every small case."""
    return record_cases(backend, cases.small_cases(dtype))


def record_decoding(backend: Any, dtype: str) -> dict[str, recorded.Recorded]:
    """Greedy decoding and teacher forcing."""
    return record_cases(backend, decoding.decoding_cases(dtype))


def record_training(backend: Any, dtype: str) -> dict[str, recorded.Recorded]:
    """The first optimizer steps of each training program, whose arguments are `cases.training_case`."""
    found = {}
    for name in makers.TRAINING:
        case = cases.training_case(name, dtype, TRAINING_ITERATIONS)
        answer = cases.named_results(case, backend.train(**case.arguments))
        kept = {key: array for key, array in answer.items() if not key.startswith("slots/")}
        question: dict[str, Any] = {"method": "train", "program": name, "dtype": dtype}
        question.update(iterations=TRAINING_ITERATIONS, seed=cases.SEEDS[name])
        found[case.name] = recorded.Recorded(question, {}, kept)
    return found


def record_sequences(backend: Any, dtype: str) -> dict[str, recorded.Recorded]:
    """The first optimizer steps of the speller and the vowels, whose arguments are `decoding.sequence_training`."""
    found = {}
    for name in ("speller", "vowels"):
        case = decoding.sequence_training(name, dtype, TRAINING_ITERATIONS)
        answer = cases.named_results(case, backend.train(**case.arguments))
        kept = {key: array for key, array in answer.items() if key == "losses"}
        question = {"method": "train", "program": name, "dtype": dtype, "iterations": TRAINING_ITERATIONS}
        found[case.name] = recorded.Recorded(question, {}, kept)
    return found


def record_networks(backend: Any, dtype: str) -> dict[str, recorded.Recorded]:
    """A network of every kind, and TensorFlow's classes by name, in both unrollings. Block cells are float32 only."""
    found = {}
    for name, (form, network) in classes.CLASSES.items():
        for unrolling in ("dynamic",) if form in classes.WHOLE else classes.UNROLLINGS:
            question = {"method": "rnn", "network": networks.to_plain(network), "unrolling": unrolling, "dtype": dtype}
            try:
                answer = classes.network_answer(backend.in_form(form), network, dtype, unrolling)
            except ValueError as error:
                print("%s, %s, %s is not recorded: %s" % (name, unrolling, dtype, error))
                continue
            found["%s, %s" % (name, unrolling)] = recorded.Recorded(question, {}, answer)
    return found


def record_models(backend: Any, dtype: str) -> dict[str, recorded.Recorded]:
    """Every model of `kinds`: forward, loss and gradients, and the losses of its first optimizer steps."""
    found = {}
    for name, model in kinds.MODELS.items():
        question = {"method": "model", "name": name, "model": models.to_plain(model), "dtype": dtype}
        found[name] = recorded.Recorded(question, {}, classes.model_answer(backend, name, dtype))
        losses = classes.training_answer(backend, name, dtype, TRAINING_ITERATIONS)
        question = dict(question, method="train", iterations=TRAINING_ITERATIONS)
        found["%s, %d steps" % (name, TRAINING_ITERATIONS)] = recorded.Recorded(question, {}, losses)
    return found


def record_curve(backend: Any) -> dict[str, recorded.Recorded]:
    """MNIST on the full data in float32, for as many epochs as the suite trains it."""
    epochs = list(mnist_epochs(backend, CURVE_EPOCHS))
    answer = {
        "losses": np.concatenate([epoch.losses for epoch in epochs]),
        "train_accuracy": np.array([epoch.train_accuracy for epoch in epochs]),
        "test_accuracy": np.array([epoch.test_accuracy for epoch in epochs]),
    }
    question = {"method": "train", "program": "mnist", "dtype": "float32", "epochs": CURVE_EPOCHS}
    return {"mnist-%d-epochs" % CURVE_EPOCHS: recorded.Recorded(question, {}, answer)}


def main(arguments: list[str]) -> int:
    missing = "--missing" in arguments
    named = [argument for argument in arguments if argument != "--missing"]
    folder = Path(named[0]) if named else recorded.FOLDER
    try:
        backend = loading.load(GENUINE)
    except RuntimeError as error:
        print("record: %s; nothing was written" % error, file=sys.stderr)
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    started = time.time()
    recorders = {"small": record_small, "training": record_training, "decoding": record_decoding}
    recorders.update(sequences=record_sequences, networks=record_networks, models=record_models)
    files: dict[tuple[str, str], Any] = {
        (kind, dtype): functools.partial(make, dtype=dtype)
        for kind, make in recorders.items()
        for dtype in cases.DTYPES
    }
    files["curve", "float32"] = record_curve
    for (kind, dtype), make in files.items():
        path = folder / ("tf-%s-%s-%s.npz" % (TENSORFLOW, kind, dtype))
        if missing and path.exists():
            continue
        recorded.save(path, make(backend))
        print("%s  %d bytes  %.0f s" % (path.name, path.stat().st_size, time.time() - started))
    print("recorded under Python %s, NumPy %s, %s" % (platform.python_version(), np.__version__, backend.describe()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
