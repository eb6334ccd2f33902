"""Weights go in as arrays under strict names and shapes, and nothing that goes in is modified."""

import numpy as np
import pytest

from spec_tests.questions import makers
from spec_tests.questions.makers import INPUTS, LENGTHS, UNITS, run
from spec_tests.suite.marks import each_dtype, each_model, each_unrolling, each_way, needs, refused
from spec_tests.tolerances import exact

TWO_STEPS = 2


def short_case(dtype="float64"):
    return makers.sequences(dtype, steps=TWO_STEPS)


@needs("tanh", "float64")
@each_way
@pytest.mark.parametrize("name", ["kernel", "bias"])
def test_missing_weight_is_an_error_that_names_it(backend, way, name):
    case = short_case()
    weights = {other: array for other, array in case.weights.items() if other != name}
    with refused(name):
        run(backend, way, case.network, weights, case.inputs)


@needs("tanh", "float64")
@each_way
def test_unknown_weight_is_an_error_that_names_it(backend, way):
    case = short_case()
    with refused("bias_hh"):
        run(backend, way, case.network, dict(case.weights, bias_hh=case.weights["bias"]), case.inputs)


@needs("tanh", "float64")
@each_way
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("kernel", (UNITS, INPUTS + UNITS)),
        ("kernel", (INPUTS + UNITS + 1, UNITS)),
        ("kernel", (INPUTS + UNITS, UNITS + 1)),
        ("kernel", ((INPUTS + UNITS) * UNITS,)),
        ("bias", (UNITS + 1,)),
        ("bias", (1, UNITS)),
        ("bias", (1,)),
    ],
    ids=["transposed", "a row too many", "a column too many", "flat", "one too many", "two dimensions", "one for all"],
)
def test_misshapen_weight_is_an_error_that_names_it(backend, way, name, shape):
    """Also where the number of values is right: nothing is reshaped, nothing broadcast."""
    case = short_case()
    # A kernel with a row too many and inputs with a value too few are the same fault seen from two sides.
    named = "kernel|inputs|x0" if shape == (INPUTS + UNITS + 1, UNITS) else name
    with refused(named):
        run(backend, way, case.network, dict(case.weights, **{name: np.ones(shape)}), case.inputs)


@needs("float64")
@each_model
@pytest.mark.parametrize("name", ["kernel", "bias", "dense/kernel", "dense/bias"])
@pytest.mark.parametrize("fault", ["missing", "misshapen"])
def test_weights_of_a_model_are_strict(backend, form, name, fault):
    case = makers.supervised(form, "float64")
    weights = dict(case.weights)
    if fault == "missing":
        del weights[name]
    else:
        weights[name] = np.ones([size + 1 for size in weights[name].shape])
    with refused(name):
        backend.forward(case.model, weights, case.inputs)


@needs("float64")
@each_model
def test_unknown_weight_of_a_model_is_an_error_that_names_it(backend, form):
    case = makers.supervised(form, "float64")
    with refused("dense/scale"):
        backend.forward(case.model, dict(case.weights, **{"dense/scale": np.ones(2)}), case.inputs)


@needs("tanh", "float32", "float64")
@each_way
def test_weights_of_two_dtypes_are_an_error(backend, way):
    case = short_case()
    with refused("bias"):
        run(backend, way, case.network, dict(case.weights, bias=case.weights["bias"].astype("float32")), case.inputs)


@needs("tanh", "float32", "float64")
@each_unrolling
def test_inputs_of_another_dtype_than_the_weights_are_an_error(backend, unrolling):
    case = short_case()
    with refused("inputs"):
        run(backend, unrolling, case.network, case.weights, case.inputs.astype("float32"))


@needs("dynamic_rnn", "tanh", "float64")
def test_inputs_of_wrong_rank_are_an_error(backend):
    case = short_case()
    with refused("inputs"):
        backend.dynamic_rnn(case.network, case.weights, case.inputs[0])


@needs("initial_state", "tanh", "float64")
@each_unrolling
def test_initial_state_of_wrong_shape_is_an_error(backend, unrolling):
    """One row is not broadcast to all."""
    case = short_case()
    for name, part in case.initial_state.items():
        wrong = dict(case.initial_state, **{name: part[:1]})
        with refused("initial_state/" + name):
            run(backend, unrolling, case.network, case.weights, case.inputs, initial_state=wrong)


@needs("initial_state", "tanh", "float64")
@each_unrolling
@pytest.mark.parametrize("fault", ["missing", "unknown"])
def test_initial_state_that_is_not_whole_is_an_error(backend, unrolling, fault):
    """A part that is missing is not zeros."""
    case = short_case()
    for name, part in case.initial_state.items():
        wrong = dict(case.initial_state, **{name + "_2": part})
        if fault == "missing":
            wrong = {other: array for other, array in case.initial_state.items() if other != name}
        with refused("initial_state"):
            run(backend, unrolling, case.network, case.weights, case.inputs, initial_state=wrong)


@needs("tanh")
@each_way
@each_dtype
def test_results_have_the_dtype_of_the_weights(backend, way, dtype):
    case = short_case(dtype)
    outputs, state = run(backend, way, case.network, case.weights, case.inputs)
    assert outputs.dtype == dtype, "outputs are %s, the weights %s" % (outputs.dtype, dtype)
    for name, part in state.items():
        assert part.dtype == dtype, "%s of the state is %s, the weights %s" % (name, part.dtype, dtype)


@needs("lengths", "initial_state", "gradients", "tanh", "float32")
@each_unrolling
def test_unrolling_and_gradients_modify_no_argument(backend, unrolling):
    case, given, lengths = makers.sequences("float32"), makers.sequences("float32"), LENGTHS["mixed"].copy()
    run(backend, unrolling, given.network, given.weights, given.inputs, lengths, given.initial_state)
    backend.rnn_gradients(*given[:3], *given[4:6], lengths, given.initial_state, unrolling=unrolling)
    exact(lengths, LENGTHS["mixed"], "lengths after the call")
    for name in case.weights:
        exact(given.weights[name], case.weights[name], "%s after the call" % name)
    for name in ("inputs", "initial_state", "output_gradients", "state_gradients"):
        exact(getattr(given, name), getattr(case, name), "%s after the call" % name)


@needs("training", "float32")
@each_model
def test_training_modifies_no_argument(backend, form):
    case, given = makers.small_training(form, "float32"), makers.small_training(form, "float32")
    _, weights, slots = backend.train(*given)
    kept_weights, kept_slots = ({name: array.copy() for name, array in part.items()} for part in (weights, slots))
    backend.train(*given._replace(weights=weights), slots=slots)
    for name in case.weights:
        exact(given.weights[name], case.weights[name], "%s after training from it" % name)
        exact(weights[name], kept_weights[name], "%s after going on from it" % name)
    for name in kept_slots:
        exact(slots[name], kept_slots[name], "slot %s after going on from it" % name)
    exact(given.inputs, case.inputs, "inputs after training")


@needs("tanh", "float32")
@each_unrolling
def test_no_call_depends_on_an_earlier_one(backend, unrolling):
    """Results are the caller's own: another call, with other weights, leaves them and their repetition as they were."""
    case, other = makers.sequences("float32"), makers.sequences("float32", seed=9)
    outputs, state = run(backend, unrolling, case.network, case.weights, case.inputs)
    kept, kept_state = outputs.copy(), {name: part.copy() for name, part in state.items()}
    run(backend, unrolling, other.network, other.weights, other.inputs)
    exact(outputs, kept, "outputs after another call")
    exact(state, kept_state, "the state after another call")
    again, _ = run(backend, unrolling, case.network, case.weights, case.inputs)
    exact(again, kept, "outputs of the same call again")
