"""Faults in what the suite asks of the plain cell, and of models, training and decoding on it. Python 3.7 syntax."""

from __future__ import annotations

from spec_tests.oracle.faults.fault import Fault

_STEP = 'z = xh @ w["kernel"] + w["bias"]'
_UPDATE = "state = carried(valid[:, t], after, state)"
_OUTPUT = "outputs.append(np.where(valid[:, t], output, 0.0))"
_WRITTEN = "outputs.append(y[:, 0])"
_REPEATED = "outputs[-1] if outputs else 0.0"
_RESULT = "return np.stack(outputs).transpose(1, 0, 2), state, kept"
_GIVEN = "lengths = np.full(batch, steps) if lengths is None else np.asarray(lengths)"
_INPUTS = "x = np.where(valid, np.asarray(inputs, np.float64), 0.0)"
_COST = "np.asarray(output_gradients, np.float64)"
_DERIVATIVES = "np.where(valid[:, t], dy[:, t], 0.0), carried(valid[:, t], dstate, zeros)"
_BACK = "dstate = carried(valid[:, t], before, dstate)"
_LOGITS = '(outputs[-1] @ w["dense/kernel"] + w["dense/bias"])'
_STATE = "zeros if initial_state is None else float64(initial_state)"

PLAIN: dict[str, Fault] = {
    "kernel_transposed": Fault(
        "the recurrent rows of the kernel are used transposed",
        ("test_recurrent_kernel_is_not_transposed", "test_each_unit_hands_its_state_to_the_next"),
        {_STEP: 'z = x @ w["kernel"][: x.shape[1]] + state["h"] @ w["kernel"][x.shape[1] :].T + w["bias"]'},
    ),
    "rows_swapped": Fault(
        "the kernel's recurrent rows are taken to come first, its input rows last",
        ("test_input_rows_of_the_kernel_come_first",),
        {'np.concatenate([x, state["h"]], axis=1)': 'np.concatenate([state["h"], x], axis=1)'},
    ),
    "bias_dropped": Fault(
        "the bias is left out",
        ("test_bias_is_added_exactly_once_per_step",),
        {_STEP: _STEP.replace(' + w["bias"]', "")},
    ),
    "bias_doubled": Fault(
        "the bias is added twice, as by a layer that has one for the inputs and one for the state",
        ("test_bias_is_added_exactly_once_per_step",),
        {_STEP: _STEP.replace('w["bias"]', '2 * w["bias"]')},
    ),
    "second_bias_trained": Fault(
        "two biases are trained together, so that their sum moves twice as fast",
        ("test_one_bias_is_trained_not_two",),
        {"weights[name] - rate * m": 'weights[name] - rate * (2 if name == "bias" else 1) * m'},
    ),
    "relu_for_tanh": Fault(
        "the activation is ReLU whatever the network names",
        ("test_activation_is_the_one_the_network_names",),
        {'"tanh": np.tanh': '"tanh": lambda z: np.maximum(z, 0.0)'},
    ),
    "steps_reversed": Fault(
        "the steps are taken from the last to the first",
        ("test_steps_run_forward_in_time", "test_digits_are_read_in_the_order_of_time"),
        {"for t in range(x.shape[1]):": "for t in reversed(range(x.shape[1])):"},
    ),
    "initial_state_ignored": Fault(
        "a given initial state is taken as zeros",
        ("test_initial_state_is_where_the_first_step_starts", "test_counting_goes_on_from_the_initial_state"),
        {"zeros if initial_state is None else": "zeros if True else"},
    ),
    "lengths_ignored": Fault(
        "every row is taken as full",
        ("test_lengths_are_respected",),
        {_GIVEN: "lengths = np.full(batch, steps)"},
    ),
    "one_step_too_many": Fault(
        "each row runs one step past its length",
        ("test_state_counts_the_valid_steps", "test_outputs_count_up_to_the_length_and_are_zero_after"),
        {"(np.arange(steps) < lengths[:, None])": "(np.arange(steps) <= lengths[:, None])"},
    ),
    "one_step_too_few": Fault(
        "each row stops one step before its length",
        ("test_state_counts_the_valid_steps", "test_outputs_count_up_to_the_length_and_are_zero_after"),
        {_GIVEN: _GIVEN + " - 1"},
    ),
    "outputs_not_zeroed": Fault(
        "past a row's length its last output is repeated",
        ("test_outputs_past_the_length_are_exactly_zero",),
        {_OUTPUT: _OUTPUT.replace("0.0", _REPEATED)},
    ),
    "outputs_cut_short": Fault(
        "the steps that are padding in every row are cut off, as packed sequences do when they are padded again",
        ("test_all_steps_are_kept",),
        {_RESULT: _RESULT.replace("(1, 0, 2)", "(1, 0, 2)[:, : valid.any(axis=0).sum()]")},
    ),
    "state_zeroed": Fault(
        "the state is zeroed past a row's length, where it should be copied through",
        ("test_state_is_copied_through_the_padding", "test_length_zero_keeps_the_initial_state"),
        {_UPDATE: _UPDATE.replace("after, state)", "after, dict.fromkeys(state, 0.0))")},
    ),
    "state_of_the_last_step": Fault(
        "the final state is that of the last step, computed on the padding, and not of the last valid one",
        ("test_final_state_is_the_one_at_the_last_valid_step",),
        {_UPDATE: "state = after"},
    ),
    "state_is_the_last_output": Fault(
        "the last output is given for the final state, which it is only where a row is full",
        ("test_final_state_is_the_one_at_the_last_valid_step", "test_length_zero_keeps_the_initial_state"),
        {_RESULT: _RESULT.replace("state, kept", "dict.fromkeys(state, outputs[-1]), kept")},
    ),
    "missing_part_is_zeros": Fault(
        "a part that a given state lacks is taken as zeros",
        ("test_initial_state_that_is_not_whole_is_an_error",),
        {
            "lengths, initial_state, masks)\n        outputs": "lengths, None, masks)\n        outputs",
            _STATE: "dict(zeros, **float64(initial_state or {}))",
        },
    ),
    "gradient_by_a_state_without_parts": Fault(
        "the gradient by the initial state has the name that it had when a state was one array",
        ("test_gradient_by_the_initial_state_is_there_also_when_none_is_given",),
        {'{"initial_state/" + name: part': '{"initial_state": part'},
    ),
    "cost_on_the_state_left_out": Fault(
        "the cost's derivatives by the final state are left out where it uses outputs too",
        ("test_gradients_match_the_oracle_by_name",),
        {"zeros if state_gradients is None else": "zeros if state_gradients is None or dy.any() else"},
    ),
    "gradient_of_the_last_output_only": Fault(
        "gradients flow back through the last output only, whatever outputs the cost uses",
        ("test_gradient_flows_through_every_output_the_cost_uses",),
        {_COST: _COST + " * (np.arange(x.shape[1]) == x.shape[1] - 1)[:, None]"},
    ),
    "bptt_truncated": Fault(
        "back-propagation through time stops after two steps",
        ("test_gradient_flows_back_to_the_first_step",),
        {_BACK: _BACK + " if t >= dy.shape[1] - 2 else zeros"},
    ),
    "gradient_into_the_padding": Fault(
        "gradients leak into the padding of the inputs",
        ("test_gradient_into_the_padding_is_exactly_zero",),
        {_DERIVATIVES: "dy[:, t], dstate"},
    ),
    "nan_times_zero": Fault(
        "what the padding holds is multiplied by a gradient of zero, which for NaN is NaN",
        ("test_nan_in_padding_leaves_gradients_finite",),
        {_INPUTS: "x = np.array(inputs, np.float64)"},
    ),
    "plain_adam_epsilon": Fault(
        "Adam's epsilon is added to the bias-corrected root, as in the paper's algorithm 1 and in torch.optim.Adam",
        ("test_epsilon_is_added_to_the_uncorrected_root_as_tf1_does",),
        {"(np.sqrt(v) + epsilon)": "(np.sqrt(v) + epsilon * np.sqrt(1.0 - np.float64(power2)))"},
    ),
    "powers_in_float64": Fault(
        "the powers of Adam's betas are kept in the precision of the weights",
        ("test_powers_are_float32_whatever_the_weights",),
        {
            'np.float32(slots["beta1_power"]), np.float32': 'np.float64(slots["beta1_power"]), np.float64',
            "power1 * rounded[1]": "power1 * optimizer.beta1",
        },
    ),
    "losses_after_the_step": Fault(
        "each loss is that of the weights after its step",
        ("test_losses_are_those_before_each_step",),
        {"losses.append(value)": "losses.append(loss(model, weights, inputs[rows], targets[rows], valid))"},
    ),
    "batches_reordered": Fault(
        "the batches are taken in another order than given",
        ("test_batches_are_taken_in_the_order_given",),
        {"for rows in batches:": "for rows in batches[::-1]:"},
    ),
    "ties_missed": Fault(
        "a tie with the target's logit counts as a miss",
        ("test_a_tie_is_a_hit",),
        {"above = (logits > target[:, None]).sum(axis=1)": "above = (logits >= target[:, None]).sum(axis=1) - 1"},
    ),
    "projection_outside_the_loop": Fault(
        "the wrapped projection leaves its bias on padded steps, as a dense layer after the loop does",
        ("test_padded_steps_hold_zeros_when_wrapped",),
        {'return np.where(valid, y, 0.0) if model.projection == "wrapped" else y': "return y"},
    ),
    "initial_values_of_pytorch": Fault(
        "kernels are drawn from U(-1/sqrt(units), 1/sqrt(units)), as torch.nn.RNN draws them",
        ("test_kernels_reach_their_glorot_limit_and_do_not_exceed_it",),
        {
            "draw(model.weights(), ": "draw({name: each._replace(limit=each.limit and model.network.units**-0.5) "
            "for name, each in model.weights().items()}, "
        },
    ),
    "rows_not_stopped": Fault(
        "a row that has written its end goes on while others write",
        ("test_rows_end_at_different_steps",),
        {"going = ~finished": "going = np.ones(batch, bool)"},
    ),
    "decoder_state_not_frozen": Fault(
        "a row's state moves on after its end",
        ("test_the_state_is_frozen_at_the_end",),
        {
            "0.0), valid, state, {})": "0.0), np.ones((batch, 1, 1), bool), state, {})",
            _WRITTEN: "outputs.append(np.where(going[:, None], y[:, 0], 0.0))",
        },
    ),
    "decoder_outputs_not_zeroed": Fault(
        "a row's last output is repeated after its end",
        ("test_outputs_past_the_end_are_exactly_zero",),
        {_WRITTEN: "outputs.append(np.where(going[:, None], y[:, 0], %s))" % _REPEATED},
    ),
    "highest_token_on_a_tie": Fault(
        "of tokens with equal logits the highest is taken",
        ("test_a_tie_takes_the_lowest_token",),
        {
            _LOGITS + ".argmax(axis=1)": 'w["dense/bias"].size - 1 - ' + _LOGITS + "[:, ::-1].argmax(axis=1)",
        },
    ),
    "loss_on_the_padding": Fault(
        "the teacher-forced loss counts the steps after a row's end",
        ("test_tokens_after_the_end_change_nothing",),
        {"float64(weights), token_lengths(tokens, end)": "float64(weights), token_lengths(tokens, -1)"},
    ),
}
