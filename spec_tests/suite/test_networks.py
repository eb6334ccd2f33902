"""Every kind of network with its options: outputs, states, gradients by name, the length law, and decoding."""

import numpy as np
import pytest

from spec_tests import oracle
from spec_tests.capabilities import CAPABILITIES, needs_of
from spec_tests.questions import kinds, makers
from spec_tests.questions.makers import BATCH, LENGTHS, STEPS, padded, padding_of, rows_of, run
from spec_tests.questions.masks import masks_within, only_given
from spec_tests.suite.marks import each_dtype, each_network, each_of, needs, refused
from spec_tests.tolerances import exact
from unrolled.models import Model
from unrolled.networks import ACTIVATIONS, GRU, LSTM, BasicRNN, KerasGRU, KerasLSTM, LayerNormLSTM

LENGTHS_OF = LENGTHS["unsorted"]
EMPTY = LENGTHS_OF == 0
# Every network is unrolled dynamically, and statically some that hold every kind: a graph of many steps takes some
# backends seconds.
STATIC = ["lstm clips", "gru", "layers basic_rnn", "layers residual", "bidirectional lstm gru", "stacked bidirectional"]
STATIC += ["dropout layers", "bidirectional dropout"]


def unrolled(*dtypes):
    """Parameters `name`, `unrolling` and `dtype`, with what each needs: statically in the last of the dtypes alone."""
    asked = [(name, "dynamic", dtype) for dtype in dtypes for name in kinds.NETWORKS]
    asked += [(name, "static", dtypes[-1]) for name in STATIC]
    marked = [
        pytest.param(name, way, dtype, marks=needs(*needs_of(kinds.NETWORKS[name]), way + "_rnn", dtype))
        for name, way, dtype in asked
    ]
    return pytest.mark.parametrize(("name", "unrolling", "dtype"), marked)


each_way = unrolled("float32", "float64")
each_exactly = unrolled("float32")
DYNAMIC = ("dynamic_rnn", "float64")
CELLS = (BasicRNN, LSTM, GRU, LayerNormLSTM, KerasLSTM, KerasGRU)
STEPWISE = {name: network for name, network in kinds.NETWORKS.items() if network.stepwise}


def gradients(backend, case, unrolling, inputs, lengths=None, initial_state=None):
    given = (case.network, case.weights, inputs, *case.cost, lengths, initial_state)
    return backend.rnn_gradients(*given, unrolling=unrolling, **only_given(case.masks))


@each_way
def test_outputs_and_every_part_of_the_state_match_the_oracle(backend, name, unrolling, dtype, compare):
    case = kinds.case(name, dtype)
    outputs, state = run(backend, unrolling, *case[:3], masks=case.masks)
    expected, expected_state = oracle.unroll(*case[:3], masks=case.masks)
    compare("outputs", outputs, expected, dtype)
    compare("state", state, expected_state, dtype)


@needs("lengths", "initial_state")
@each_way
def test_lengths_and_an_initial_state_are_respected(backend, name, unrolling, dtype, compare):
    case = kinds.case(name, dtype)
    outputs, state = run(backend, unrolling, *case[:3], LENGTHS_OF, case.initial_state, case.masks)
    expected, expected_state = oracle.unroll(*case[:3], LENGTHS_OF, case.initial_state, case.masks)
    compare("outputs", outputs, expected, dtype)
    compare("state", state, expected_state, dtype)


@needs("gradients")
@unrolled("float64")
def test_every_gradient_matches_the_oracle_by_name(backend, name, unrolling, dtype, compare):
    """By every weight, the inputs, and every part of the initial state, also where none is given."""
    case = kinds.case(name, dtype)
    found = gradients(backend, case, unrolling, case.inputs)
    compare("gradients", found, oracle.bptt(*case[:3], *case.cost, masks=case.masks), dtype)


@needs("gradients", "lengths", "initial_state")
@unrolled("float64")
def test_every_gradient_with_lengths_matches_the_oracle_by_name(backend, name, unrolling, dtype, compare):
    case = kinds.case(name, dtype)
    found = gradients(backend, case, unrolling, case.inputs, LENGTHS_OF, case.initial_state)
    compare("gradients", found, oracle.bptt(*case[:3], *case.cost, LENGTHS_OF, case.initial_state, case.masks), dtype)


@needs("gradients", "activations", *DYNAMIC)
@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if name not in CAPABILITIES])
@pytest.mark.parametrize("kind", [pytest.param(kind, marks=needs(kind.kind), id=kind.kind) for kind in CELLS])
def test_activation_is_the_one_of_that_name(backend, kind, activation, compare):
    """Its slope too. Larger weights reach both corners of hard_sigmoid."""
    case = makers.sequences_of(kind(makers.UNITS, activation=activation), "float64")
    larger = 4.0 if activation == "hard_sigmoid" else 1.0
    case = case._replace(weights={name: larger * weight for name, weight in case.weights.items()})
    outputs, _ = run(backend, "dynamic", *case[:3])
    compare("outputs", outputs, oracle.unroll(*case[:3])[0], "float64")
    compare(
        "gradients", gradients(backend, case, "dynamic", case.inputs), oracle.bptt(*case[:3], *case.cost), "float64"
    )


@needs("gradients", "activations", *DYNAMIC)
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "linear"])
@pytest.mark.parametrize("kind", [pytest.param(kind, marks=needs(kind.kind), id=kind.kind) for kind in CELLS[-2:]])
def test_recurrent_activation_is_the_one_of_that_name(backend, kind, activation, compare):
    """Its slope too."""
    case = makers.sequences_of(kind(makers.UNITS, recurrent_activation=activation), "float64")
    outputs, _ = run(backend, "dynamic", *case[:3])
    compare("outputs", outputs, oracle.unroll(*case[:3])[0], "float64")
    found = gradients(backend, case, "dynamic", case.inputs)
    compare("gradients", found, oracle.bptt(*case[:3], *case.cost), "float64")


@needs("gradients", "initial_state", *DYNAMIC)
@each_network
def test_a_cost_on_one_part_of_the_state_has_every_gradient(backend, name, compare):
    """The others, and the outputs, count as not used."""
    case = kinds.case(name, "float64")
    for part in case.network.state:
        cost = {each: gradient * (each == part) for each, gradient in case.state_gradients.items()}
        arguments = (*case[:3], None, cost, None, case.initial_state)
        found = backend.rnn_gradients(*arguments, **only_given(case.masks))
        expected = oracle.bptt(*arguments, masks=case.masks)
        compare("gradients", found, expected, "float64", "gradients of a cost on %s of the state" % part)


@needs("lengths", "initial_state", *DYNAMIC)
@each_network
def test_every_part_of_the_state_is_the_one_at_the_last_valid_step(backend, name, compare):
    """What a row gives is what it gives alone, without its padding."""
    lengths = LENGTHS_OF
    case = kinds.case(name, "float64")
    outputs, state = run(backend, "dynamic", *case[:3], lengths, case.initial_state, case.masks)
    for n in sorted(set(lengths) - {0}):
        rows = lengths == n
        alone, initial = case.inputs[rows, :n], rows_of(case.initial_state, rows)
        masks = masks_within(case.masks, rows, n)
        expected, expected_state = run(backend, "dynamic", *case[:2], alone, None, initial, masks)
        compare("outputs", outputs[rows, :n], expected, "float64", "outputs of the rows of length %d" % n)
        compare("state", rows_of(state, rows), expected_state, "float64", "the state of the rows of length %d" % n)


@needs("lengths", "initial_state")
@each_exactly
def test_every_part_of_the_state_of_length_zero_is_the_initial_one(backend, name, unrolling, dtype):
    case = kinds.case(name, dtype)
    _, state = run(backend, unrolling, *case[:3], LENGTHS_OF, case.initial_state, case.masks)
    exact(rows_of(state, EMPTY), rows_of(case.initial_state, EMPTY), "the final state of rows of length 0")
    _, state = run(backend, unrolling, *case[:3], LENGTHS["all zero"], masks=case.masks)
    zeros = {part: np.zeros((BATCH, width)) for part, width in case.network.state.items()}
    exact(state, zeros, "the final state of rows of length 0, from no state")


@needs("lengths")
@each_exactly
def test_outputs_past_the_length_are_exactly_zero(backend, name, unrolling, dtype):
    """Also of two directions, and where inputs are added; all steps are kept."""
    case = kinds.case(name, dtype)
    for lengths in (LENGTHS_OF, LENGTHS["all shorter"]):
        outputs, _ = run(backend, unrolling, *case[:3], lengths, masks=case.masks)
        assert outputs.shape[1] == STEPS, "outputs have %d steps, expected %d" % (outputs.shape[1], STEPS)
        past = outputs[padding_of(case.inputs, lengths)]
        exact(past, np.zeros(past.shape), "the outputs past the lengths %s" % lengths.tolist())


@needs("lengths")
@each_exactly
@pytest.mark.parametrize("padding", [float("nan"), 1e6], ids=["nan", "1e6"])
def test_padding_content_is_invisible(backend, name, unrolling, dtype, padding):
    """Bit for bit, in the outputs and in every part of the state."""
    case = kinds.case(name, dtype)
    (zeros, state), (found, found_state) = (
        run(backend, unrolling, *case[:2], padded(case.inputs, LENGTHS_OF, value), LENGTHS_OF, None, case.masks)
        for value in (0.0, padding)
    )
    exact(found, zeros, "outputs with %s in the padding" % padding)
    exact(found_state, state, "the state with %s in the padding" % padding)


@needs("lengths", "gradients", *DYNAMIC)
@each_network
def test_gradient_into_the_padding_is_exactly_zero(backend, name):
    """Whatever finite numbers the padding holds; and no other gradient moves with them, bit for bit."""
    case = kinds.case(name, "float64")
    expected = gradients(backend, case, "dynamic", padded(case.inputs, LENGTHS_OF, 0.0), LENGTHS_OF)
    past = expected["inputs"][padding_of(case.inputs, LENGTHS_OF)]
    exact(past, np.zeros(past.shape), "the gradient by the inputs past the lengths")
    found = gradients(backend, case, "dynamic", padded(case.inputs, LENGTHS_OF, 1e6), LENGTHS_OF)
    exact(found, expected, "gradients with 1e6 in the padding")


@needs("lengths", "gradients", *DYNAMIC)
@each_network
def test_nan_in_padding_leaves_gradients_finite(backend, name, compare):
    case = kinds.case(name, "float64")
    found = gradients(backend, case, "dynamic", padded(case.inputs, LENGTHS_OF, np.nan), LENGTHS_OF)
    compare("gradients", found, oracle.bptt(*case[:3], *case.cost, LENGTHS_OF, None, case.masks), "float64")


@needs(*DYNAMIC)
@each_network
def test_weights_of_every_network_are_strict(backend, name):
    """A weight that is missing, unknown or misshapen is an error that names it."""
    case = kinds.case(name, "float64")
    for weight, array in case.weights.items():
        for wrong in (None, np.ones([size + 1 for size in array.shape])):
            weights = {each: case.weights[each] if each != weight else wrong for each in case.weights}
            with refused(weight):
                run(backend, "dynamic", case.network, {k: w for k, w in weights.items() if w is not None}, case.inputs)
        with refused(weight + "_2"):
            run(backend, "dynamic", case.network, dict(case.weights, **{weight + "_2": array}), case.inputs)


@needs("initial_state")
@each_exactly
def test_a_state_that_is_not_whole_is_an_error(backend, name, unrolling, dtype):
    """A part that is missing is not zeros, one that is unknown is not left out, and one row is not all rows."""
    case = kinds.case(name, dtype)
    for part, array in case.initial_state.items():
        missing = {each: case.initial_state[each] for each in case.initial_state if each != part}
        unknown = dict(case.initial_state, **{part + "_2": array})
        for wrong in (missing, unknown):
            with refused("initial_state"):
                run(backend, unrolling, *case[:3], initial_state=wrong)
        with refused("initial_state/" + part):
            run(backend, unrolling, *case[:3], initial_state=dict(case.initial_state, **{part: array[:1]}))


@needs("decoding")
@each_of(kinds.DECODERS)
@each_dtype
def test_greedy_decoding_of_every_cell_matches_the_oracle(backend, name, dtype, compare):
    """Each part of a row's state is frozen at its end."""
    case = kinds.decoding(name, dtype)
    *found, outputs, state = backend.decode(*case.greedy())
    *expected, expected_outputs, expected_state = oracle.decode(*case.greedy())
    for what, one, other in zip(("tokens", "lengths", "finished"), found, expected):
        exact(one, other, what)
    compare("outputs", outputs, expected_outputs, dtype)
    compare("state", state, expected_state, dtype)


@needs("decoding")
@each_of(kinds.DECODERS)
@each_dtype
def test_teacher_forced_gradients_of_every_cell_match_the_oracle(backend, name, dtype, compare):
    case = kinds.decoding(name, dtype)
    value, found = backend.decode_gradients(*case.taught())
    expected_value, expected = oracle.decode_gradients(*case.taught())
    compare("loss", value, expected_value, dtype)
    compare("gradients", found, expected, dtype)


@needs("decoding", "float64")
@each_of(name for name in kinds.NETWORKS if name not in STEPWISE)
def test_what_reads_in_two_directions_cannot_decode(backend, name):
    """It would have to read what is not written yet."""
    network = kinds.NETWORKS[name]
    random, vocabulary = np.random.RandomState(1), 8
    weights = makers.drawn(random, Model("regressor", network, vocabulary, vocabulary).weights(), "float64")
    with refused("direction"):
        backend.decode(network, weights, makers.state_of(random, network, BATCH, "float64"), 2, 0, 4)
