"""Faults in the LSTM, the GRU, layers, two directions and residual networks. Python 3.7 syntax."""

from __future__ import annotations

from spec_tests.oracle.faults.fault import Fault

_DRAWN = "draw(model.weights(), "
_UPDATE = "state = carried(valid[:, t], after, state)"
_CLIPPED = "c_new = _clipped(unclipped, network.cell_clip)"
_STATE = '{"c": c_new, "h": h_new}'
_STOPPED = "if not network.straight_through:"
_BEFORE = 'z = np.concatenate([x, product], axis=1) @ w[BEFORE + "kernel"] + w[BEFORE + "bias"]'
_RECURRENT = 'w[BEFORE + "kernel"][x.shape[1] :]'
_BOTH = "both(state_fw, state_bw), (kept_fw"
_READ = "[state[name] for name in network.read_out]"
_EDGE = "test_every_part_of_the_state_is_the_one_at_the_last_valid_step"
_FORGET = "test_forget_bias_is_the_one_the_network_says"
_RESIDUAL = "test_residual_adds_its_inputs_to_its_outputs_and_nothing_to_its_state"

NETWORKS: dict[str, Fault] = {
    "decoder_fed_past_its_end": Fault(
        "a row is fed tokens past its end, which a residual connection adds to its outputs there",
        ("test_greedy_decoding_of_every_cell_matches_the_oracle",),
        {"np.where(valid, _embedding(w)[token][:, None], 0.0)": "_embedding(w)[token][:, None]"},
    ),
    "lstm_gates_of_pytorch": Fault(
        "the gates are taken in the order i, f, j, o, as in PyTorch and in Keras",
        ("test_gates_are_in_the_order_i_j_f_o",),
        {"zi, zj, zf, zo = np.split": "zi, zf, zj, zo = np.split"},
    ),
    "forget_bias_doubled": Fault(
        "the forget bias is added twice",
        (_FORGET,),
        {"zf + network.forget_bias": "zf + 2 * network.forget_bias"},
    ),
    "forget_bias_nine_tenths": Fault(
        "the forget bias is a tenth less than the network says",
        (_FORGET,),
        {"zf + network.forget_bias": "zf + 0.9 * network.forget_bias"},
    ),
    "update_gate_bias_nine_tenths": Fault(
        "the bias of the GRU's update gate is a tenth less than the weight says",
        ("test_outputs_and_every_part_of_the_state_match_the_oracle",),
        {'+ w["gates/bias"]), 2': '+ w["gates/bias"] * np.repeat([1.0, 0.9], h.shape[1])), 2'},
    ),
    "forget_bias_left_out": Fault(
        "the forget bias is left to the stored bias",
        (_FORGET,),
        {"sigmoid(zf + network.forget_bias)": "sigmoid(zf)"},
    ),
    "forget_bias_stored": Fault(
        "the forget bias is also in the bias that is drawn, as Keras has it",
        ("test_forget_bias_is_added_and_not_stored",),
        {
            _DRAWN: "draw({name: each._replace(value=each.value + float(name == 'bias')) "
            "for name, each in model.weights().items()}, "
        },
    ),
    "tanh_of_c_whatever_the_activation": Fault(
        "the activation acts on the candidate alone, and the output is by the tanh of c",
        ("test_activation_is_that_of_the_candidate_and_of_c_and_gates_stay_sigmoid",),
        {"m = a(c_new) * o": "m = np.tanh(c_new) * o"},
    ),
    "activation_of_the_gates_too": Fault(
        "the activation is that of the input gate too",
        ("test_activation_is_that_of_the_candidate_and_of_c_and_gates_stay_sigmoid",),
        {"i, j, f = sigmoid(zi)": "i, j, f = a(zi)"},
    ),
    "c_zeroed_past_the_length": Fault(
        "c is zeroed past a row's length, where h is copied through",
        (_EDGE, "test_every_part_of_the_state_of_length_zero_is_the_initial_one"),
        {
            _UPDATE: _UPDATE
            + '\n        state = {k: s * (valid[:, t] if k[-1:] == "c" else 1.0) for k, s in state.items()}'
        },
    ),
    "c_runs_through_the_padding": Fault(
        "c goes on past a row's length, where h is copied through",
        (_EDGE, "test_every_part_of_the_state_of_length_zero_is_the_initial_one"),
        {_UPDATE: _UPDATE + '\n        state = {k: after[k] if k[-1:] == "c" else s for k, s in state.items()}'},
    ),
    "peephole_of_o_on_the_old_c": Fault(
        "the peephole of the output gate sees c as it was before the step",
        ("test_peephole_of_o_sees_the_new_c",),
        {'zo = zo + w["w_o_diag"] * c_new': 'zo = zo + w["w_o_diag"] * c'},
    ),
    "peepholes_of_i_and_f_swapped": Fault(
        "the peepholes of the input gate and of the forget gate are taken for one another",
        ("test_peepholes_of_i_and_f_see_the_old_c",),
        {'zf + w["w_f_diag"] * c, zi + w["w_i_diag"] * c': 'zf + w["w_i_diag"] * c, zi + w["w_f_diag"] * c'},
    ),
    "projection_of_the_output_only": Fault(
        "the projection is for the output alone, and what is not projected goes back in",
        ("test_the_next_step_reads_the_projected_output",),
        {_STATE: '{"c": c_new, "h": m[:, : h_new.shape[1]]}'},
    ),
    "projection_clip_of_the_output_only": Fault(
        "the projection's clip is left out of the state",
        ("test_projection_clip_acts_on_output_and_state",),
        {_STATE: '{"c": c_new, "h": projected}'},
    ),
    "cell_clip_left_out": Fault(
        "the cell's clip is left out",
        ("test_cell_clip_acts_before_the_output",),
        {_CLIPPED: "c_new = unclipped"},
    ),
    "cell_clip_after_the_output": Fault(
        "the cell's clip acts on the state alone, after the output",
        ("test_cell_clip_acts_before_the_output",),
        {"m = a(c_new) * o": "m = a(unclipped) * o"},
    ),
    "cell_clip_of_zero_is_none": Fault(
        "a cell clip of 0 is taken as none",
        ("test_cell_clip_of_zero_leaves_nothing_of_c",),
        {"return z if limit is None else np.clip": "return z if not limit else np.clip"},
    ),
    "gradient_ignores_the_cell_clip": Fault(
        "the gradient goes through the cell's clip, as in TF1's block cells",
        ("test_gradient_stops_where_the_cell_clip_acts",),
        {_STOPPED: "if False:"},
    ),
    "gradient_stops_at_every_clip": Fault(
        "the gradient stops at the cell's clip also where the network is straight through",
        ("test_gradient_goes_through_the_clip_where_the_network_is_straight_through",),
        {_STOPPED: "if True:"},
    ),
    "gradient_ignores_the_projection_clip": Fault(
        "the gradient goes through the projection's clip",
        ("test_gradient_stops_where_the_projection_clip_acts",),
        {" * _slope_of_clip(projected, network.projection_clip)": ""},
    ),
    "gradient_of_c_within_a_step_only": Fault(
        "the gradient by c does not go back beyond its step",
        ("test_every_gradient_matches_the_oracle_by_name",),
        {"dc_before = dc * f": "dc_before = 0.0 * dc"},
    ),
    "hard_sigmoid_of_pytorch": Fault(
        "hard_sigmoid is PyTorch's, z / 6 + 1 / 2",
        ("test_activation_is_the_one_of_that_name",),
        {"0.2 * z + 0.5": "z / 6.0 + 0.5"},
    ),
    "reset_after_for_before": Fault(
        "the GRU's reset gate comes after the product, as in PyTorch, whatever the network says",
        ("test_reset_gate_comes_before_the_product",),
        {_BEFORE: 'z = x @ w[BEFORE + "kernel"][: x.shape[1]] + r * (h @ %s) + w[BEFORE + "bias"]' % _RECURRENT},
    ),
    "hidden_bias_not_reset": Fault(
        "with the reset gate after the product, the hidden bias is added beside it",
        ("test_reset_gate_comes_after_the_product_where_the_network_says_so",),
        {"+ r * product": '+ r * (product - w[AFTER_H + "bias"]) + w[AFTER_H + "bias"]'},
    ),
    "gru_gates_of_keras": Fault(
        "the GRU's gates are taken in the order u, r, as in Keras",
        ("test_gates_are_in_the_order_r_u",),
        {"r, u = np.split": "u, r = np.split"},
    ),
    "update_gate_the_other_way": Fault(
        "the update gate keeps the candidate, as in the paper on the GRU",
        ("test_update_gate_keeps_the_old_state",),
        {"h_new = u * h + (1.0 - u) * n": "h_new = (1.0 - u) * h + u * n"},
    ),
    "gru_bias_starts_at_zero": Fault(
        "the bias of the GRU's gates starts at zero, as every other bias",
        ("test_bias_of_the_gates_starts_at_one",),
        {_DRAWN: "draw({name: each._replace(value=0.0) for name, each in model.weights().items()}, "},
    ),
    "layers_share_weights": Fault(
        "every layer has the weights of the lowest",
        ("test_layers_do_not_share_weights",),
        {"over_time(layer, below(name, w)": 'over_time(layer, below("cell_0/", w)'},
    ),
    "layers_share_a_state": Fault(
        "every layer starts from the state of the lowest",
        ("test_each_layer_reads_the_outputs_of_the_one_below",),
        {"valid, below(name, state), ": 'valid, below("cell_0/", state), '},
    ),
    "backward_reads_the_padding": Fault(
        "the backward direction starts at the last step, on the padding",
        ("test_backward_direction_reads_only_valid_steps",),
        {"valid.sum(axis=1)": "np.full((len(x), 1), x.shape[1])"},
    ),
    "backward_reads_forward": Fault(
        "the backward direction reads the steps in their own order",
        ("test_backward_direction_reads_the_valid_steps_in_reverse_order",),
        {"back = turned(x, valid)": "back = x"},
    ),
    "backward_outputs_not_turned_back": Fault(
        "the outputs of the backward direction are left in the order in which they were read",
        ("test_backward_direction_reads_the_valid_steps_in_reverse_order",),
        {"y_bw = turned(y_bw, valid)": "pass"},
    ),
    "backward_state_at_the_wrong_end": Fault(
        "the state of the backward direction is taken at a row's last valid step, which it reads first",
        ("test_state_of_the_backward_direction_is_taken_at_the_first_step",),
        {_BOTH: _BOTH.replace("state_bw", "dict(state_bw, h=y_bw[np.arange(len(x)), valid[:, :, 0].sum(axis=1) - 1])")},
    ),
    "directions_swapped": Fault(
        "the outputs of the backward direction come first",
        ("test_backward_direction_reads_the_valid_steps_in_reverse_order",),
        {"np.concatenate([y_fw, y_bw], axis=2)": "np.concatenate([y_bw, y_fw], axis=2)"},
    ),
    "residual_into_the_state": Fault(
        "a residual network's state is its sum too",
        (_RESIDUAL,),
        {"return x + outputs, last, kept": 'return x + outputs, dict(last, h=last["h"] + x[:, -1]), kept'},
    ),
    "residual_on_the_padding": Fault(
        "past a row's length a residual network gives back its inputs",
        (_RESIDUAL, "test_outputs_past_the_length_are_exactly_zero"),
        {"x = np.where(valid, np.asarray(inputs, np.float64), 0.0)": "x = np.array(inputs, np.float64)"},
    ),
    "classifier_reads_c": Fault(
        "the classifier's dense layer reads c where there is one",
        ("test_forward_of_every_model_matches_the_oracle",),
        {_READ: '[state.get(name[:-1] + "c", state[name]) for name in network.read_out]'},
    ),
}
