"""CHAPTER.md is what its command writes, and the programs that it shows compute what the oracle says."""

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from spec_tests.__main__ import main
from spec_tests.chapter import page
from spec_tests.chapter.sections import BEYOND, PROGRAMS
from spec_tests.oracle.backend import backend as oracle
from spec_tests.tests.processes import ROOT
from unrolled.networks import GRU, LSTM, BasicRNN, Bidirectional, Layers

NETWORKS: dict[str, Any] = {
    "static": BasicRNN(5),
    "dynamic": BasicRNN(5),
    "lengths": BasicRNN(5),
    "lstm": LSTM(5),
    "gru": GRU(5),
    "layers": Layers((GRU(5), GRU(5))),
    "bidirectional": Bidirectional(LSTM(5), LSTM(5)),
}
LENGTHS = np.array([2, 1, 2, 0])
VOCABULARY, START, END, MOST = 4, 1, 0, 6


def values(network, inputs=3, steps=2):
    """Weights of the network, and inputs [4, steps, inputs], in float32."""
    random = np.random.RandomState(5)
    weights = {name: random.normal(0, 0.6, weight.shape) for name, weight in network.weights(inputs).items()}
    read = random.normal(size=(4, steps, inputs)).astype(np.float32)
    return {name: array.astype(np.float32) for name, array in weights.items()}, read


def decoder():
    random = np.random.RandomState(8)
    weights, _ = values(BasicRNN(5), VOCABULARY)
    dense = {"kernel": random.normal(0, 1.5, (5, VOCABULARY)), "bias": random.normal(0, 0.5, VOCABULARY)}
    state = random.normal(0, 0.9, (6, 5))
    return weights, {name: array.astype(np.float32) for name, array in dense.items()}, state.astype(np.float32)


def flat(found):
    """The arrays of a result, in order."""
    if isinstance(found, (tuple, list)):
        return [each for part in found for each in flat(part)]
    return [np.asarray(found)]


def run_torch(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from torch_impl import chapter
    from torch_impl.cells.dense import Dense

    def numbers(found):
        return flat(torch.utils._pytree.tree_map(lambda part: part.detach().numpy(), found))

    if name == "decode":
        weights, layer, state = decoder()
        dense = Dense(5, VOCABULARY)
        with torch.no_grad():
            dense.weight.copy_(torch.tensor(layer["kernel"].T))
            dense.bias.copy_(torch.tensor(layer["bias"]))
            return numbers(chapter.decode(weights, dense, torch.tensor(state), START, END, MOST))
    weights, inputs = values(NETWORKS.get(name, BasicRNN(5)))
    read = torch.tensor(inputs)
    if name == "two_step":
        wx, wy = torch.tensor(weights["kernel"]).split([3, 5])
        return numbers(chapter.two_step(read[:, 0], read[:, 1], wx, wy, torch.tensor(weights["bias"])))
    if name == "bptt":
        return list(chapter.bptt(weights, read, torch.ones(4, 2, 5)).values())
    if name == "bptt_by_hand":
        wx, wy = torch.tensor(weights["kernel"]).split([3, 5])
        return numbers(chapter.bptt_by_hand(wx, wy, torch.tensor(weights["bias"]), read, torch.ones(4, 2, 5)))
    given = [read[:, 0], read[:, 1]] if name == "static" else [read]
    given += [torch.tensor(LENGTHS)] * (name in ("lengths", *[each.name for each in BEYOND]))
    return numbers(getattr(chapter, name)(weights, *given))


def run_tensorflow(name):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install 'unrolled[tf]'")
    from tf_reference import chapter
    from tf_reference.tf1 import quiet_warnings, tf

    with tf.Graph().as_default(), tf.Session() as session, quiet_warnings():
        if name == "decode":
            weights, dense, state = decoder()
            found = chapter.decode(tf.constant(state), VOCABULARY, START, END, MOST)
            weights = [*weights.values(), *dense.values()]
        else:
            weights, inputs = values(NETWORKS.get(name, BasicRNN(5)))
            read = tf.constant(inputs)
            if name == "two_step":
                wx, wy = tf.split(weights["kernel"], [3, 5])
                return flat(session.run(chapter.two_step(read[:, 0], read[:, 1], wx, wy, weights["bias"])))
            given = [read[:, 0], read[:, 1]] if name == "static" else [read]
            given += [tf.constant(LENGTHS)] * (name in ("lengths", *[each.name for each in BEYOND]))
            given += [tf.ones([4, 2, 5])] * (name == "bptt")
            found, weights = getattr(chapter, name)(*given), list(weights.values())
        for variable, array in zip(tf.trainable_variables(), weights, strict=True):
            variable.load(array, session)
        return flat(session.run(found))


def expected(name):
    """The oracle's answer."""
    computed = oracle()
    if name == "decode":
        weights, dense, state = decoder()
        all_weights = {**weights, **{"dense/" + each: array for each, array in dense.items()}}
        wide = {each: array.astype(np.float64) for each, array in all_weights.items()}
        tokens, _, _, _, last = computed.decode(BasicRNN(5), wide, {"h": state.astype(np.float64)}, START, END, MOST)
        return [tokens, last["h"]]
    network = NETWORKS.get(name, BasicRNN(5))
    weights, inputs = values(network)
    wide, read = {each: array.astype(np.float64) for each, array in weights.items()}, inputs.astype(np.float64)
    if name.startswith("bptt"):
        found = computed.rnn_gradients(network, wide, read, np.ones((4, 2, 5)))
        return [found["kernel"], found["bias"]]
    lengths = LENGTHS if name in ("lengths", *[each.name for each in BEYOND]) else None
    outputs, state = computed.dynamic_rnn(network, wide, read, lengths)
    if name in ("two_step", "static"):
        return [outputs[:, 0], outputs[:, 1]] + ([] if name == "two_step" else list(state.values()))
    return [outputs, *state.values()]


@pytest.mark.parametrize("run", [run_torch, run_tensorflow], ids=["torch_impl", "tf_reference"])
@pytest.mark.parametrize("name", ["two_step", *NETWORKS, "decode", "bptt"])
def test_a_program_of_the_chapter_computes_what_the_oracle_says(name, run):
    found, wanted = run(name), expected(name)
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)


def test_the_gradients_by_hand_are_those_of_autograd():
    for one, other in zip(run_torch("bptt_by_hand"), expected("bptt")):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)


TRAIN = """
import json, numpy as np
from unrolled.datasets import mnist, series
from unrolled.datasets.batches import BatchStream

images, labels = mnist.load().train
rows = BatchStream(len(images), 150, seed=1).take(60)
batches = [(images[each], labels[each]) for each in rows]
points, wanted = series.training_pair()
"""
SIDES = {
    "torch_impl": """
import torch
from torch_impl import chapter

torch.manual_seed(1)
def t(array): return torch.tensor(array)
accuracy = chapter.mnist([(t(x), t(y).long()) for x, y in batches], t(images[:500]), t(labels[:500]).long())
found = chapter.series([(t(points), t(wanted))] * 600, t(points)).numpy()
""",
    "tf_reference": """
from tf_reference import chapter
from tf_reference.tf1 import tf

with tf.Graph().as_default():
    tf.set_random_seed(1)
    accuracy = chapter.mnist(batches, images[:500], labels[:500])
with tf.Graph().as_default():
    tf.set_random_seed(1)
    found = chapter.series([(points, wanted)] * 600, points)
""",
}


@pytest.mark.parametrize(("side", "needs"), [("torch_impl", "torch"), ("tf_reference", "tensorflow")])
def test_the_training_programs_of_the_chapter_learn(side, needs):
    pytest.importorskip(needs, reason="%s is not installed" % needs)
    program = TRAIN + SIDES[side] + "print(json.dumps([float(accuracy), float(np.square(found - wanted).mean())]))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    accuracy, error = json.loads(done.stdout.splitlines()[-1])
    assert accuracy > 0.5  # of ten classes, after 60 batches
    assert error < 3.0  # the mean of the squared values is 9


def test_the_page_is_not_stale():
    pytest.importorskip("torch", reason="what the programs print is asked of torch_impl")
    assert (ROOT / "CHAPTER.md").read_text("utf-8") == page.as_markdown(), "run python -m spec_tests chapter"


def test_the_page_shows_every_program_of_both_sides(tmp_path):
    pytest.importorskip("torch", reason="what the programs print is asked of torch_impl")
    assert [each.name for each in PROGRAMS][4:6] == ["decode", "bptt"] and len(PROGRAMS) == 8
    target = tmp_path / "chapter.html"
    result = CliRunner().invoke(main, ["chapter", "--html", str(target)])
    assert result.exit_code == 0, result.output
    text = target.read_text("utf-8")
    assert text.count('<div class="sides">') == len(PROGRAMS) + len(BEYOND)
    assert "sequence_length=lengths" in text and text.count('<img src="data:image/') == 2
    assert 'src="http' not in text and "<script" not in text
    assert '<span style="--deep: 4">    outputs, state = ' in text  # a long line goes on below, indented


def test_a_function_that_is_gone_is_named():
    with pytest.raises(LookupError, match=r"torch_impl/chapter\.py has no function three_step"):
        page.code("torch_impl", "three_step")
