"""The graphs: the chapter's variable names, one graph for every batch and number of steps, a bounded cache."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from unrolled.models import Model
from unrolled.networks import BasicRNN
from unrolled.programs import Adam

MODEL = Model("classifier", BasicRNN(5), inputs=3, outputs=4)


def variable_names(tf: Any, model: Model, optimizer: Adam | None = None) -> set[str]:
    from tf_reference.graphs import model_graph
    from tf_reference.tf1 import quiet_warnings

    with tf.Graph().as_default(), quiet_warnings():
        model_graph(model, "float32", with_lengths=False, optimizer=optimizer)
        return {variable.op.name for variable in tf.global_variables()}


STACKED = {"rnn/basic_rnn_cell/kernel", "rnn/basic_rnn_cell/bias", "dense/kernel", "dense/bias"}
WRAPPED = {
    "rnn/output_projection_wrapper/basic_rnn_cell/kernel",
    "rnn/output_projection_wrapper/basic_rnn_cell/bias",
    "rnn/output_projection_wrapper/kernel",
    "rnn/output_projection_wrapper/bias",
}
SPELLER = {
    "encoder/basic_rnn_cell/kernel",
    "encoder/basic_rnn_cell/bias",
    "decoder/basic_rnn_cell/kernel",
    "decoder/basic_rnn_cell/bias",
    "dense/kernel",
    "dense/bias",
}


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (MODEL, STACKED),
        (replace(MODEL, kind="regressor"), STACKED),
        (replace(MODEL, kind="regressor", projection="wrapped"), WRAPPED),
        (replace(MODEL, kind="speller", max_steps=2), SPELLER),
    ],
)
def test_variables_have_the_names_of_tensorflow_1(tf: Any, model: Model, names: set[str]) -> None:
    assert variable_names(tf, model) == names


def test_slots_have_the_names_of_tensorflow_1(tf: Any) -> None:
    moments = {f"{name}/{slot}" for name in STACKED for slot in ("Adam", "Adam_1")}
    assert variable_names(tf, MODEL, Adam()) == STACKED | moments | {"beta1_power", "beta2_power"}


def test_a_variable_outside_the_table_is_an_error(tf: Any) -> None:
    from tf_reference.graphs import _variables

    with tf.Graph().as_default():
        tf.get_variable("kernel", [1])
        tf.get_variable("second_bias", [1])
        with pytest.raises(RuntimeError, match="second_bias"):
            _variables({"kernel": "kernel"})


def ask(backend: Any, units: int, batch: int = 2, steps: int = 3) -> None:
    weights = {"kernel": np.zeros((1 + units, units), "float32"), "bias": np.zeros(units, "float32")}
    backend.dynamic_rnn(BasicRNN(units), weights, np.zeros((batch, steps, 1), "float32"))


def test_every_batch_and_number_of_steps_shares_a_dynamic_graph(tf: Any) -> None:
    from tf_reference.adapter import backend

    fresh = backend()
    for batch, steps in ((1, 1), (2, 3), (5, 2)):
        ask(fresh, 2, batch, steps)
    assert len(fresh._graphs) == 1


def test_the_cache_is_bounded_and_closes_what_it_drops(tf: Any) -> None:
    from tf_reference.adapter import backend
    from tf_reference.sessions import GraphCache

    fresh = backend()
    fresh._graphs = GraphCache(fresh._config, size=2)
    ask(fresh, 1)
    oldest = next(iter(fresh._graphs._graphs.values()))
    ask(fresh, 2)
    ask(fresh, 1)  # used again: now units 2 is the one longest unused
    ask(fresh, 3)
    assert len(fresh._graphs) == 2
    assert oldest in fresh._graphs._graphs.values()
    ask(fresh, 4)
    assert oldest not in fresh._graphs._graphs.values()
    with pytest.raises(RuntimeError, match="closed"):
        oldest.initialize()
