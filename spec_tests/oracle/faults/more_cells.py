"""Faults in the LSTM with layer normalisation and in Keras's cells. Python 3.7 syntax."""

from __future__ import annotations

from spec_tests.oracle.faults.fault import Fault

_DRAWN = "draw(model.weights(), "
_NORM = "test_each_gate_is_normalised_on_its_own"
_FIRST = "test_the_forget_bias_is_stored_and_recurrent_kernels_start_orthogonal"

MORE_CELLS: dict[str, Fault] = {
    "variance_unbiased": Fault(
        "the variance that rows are divided by is the unbiased one",
        ("test_variance_is_biased_and_epsilon_under_the_root", _NORM),
        {"np.mean(away**2, axis=1, keepdims=True)": "np.var(z, axis=1, ddof=1, keepdims=True)"},
    ),
    "epsilon_beside_the_root": Fault(
        "the epsilon of layer normalisation is added to the root, and not under it",
        ("test_variance_is_biased_and_epsilon_under_the_root",),
        {"keepdims=True) + EPSILON)": "keepdims=True)) + EPSILON"},
    ),
    "epsilon_of_pytorch": Fault(
        "the epsilon of layer normalisation is PyTorch's",
        ("test_variance_is_biased_and_epsilon_under_the_root",),
        {"EPSILON = 1e-12": "EPSILON = 1e-5"},
    ),
    "beta_as_gamma": Fault(
        "gamma and beta are taken for one another",
        (_NORM,),
        {'n * w[name + "/gamma"] + w[name + "/beta"]': 'n * w[name + "/beta"] + w[name + "/gamma"]'},
    ),
    "gates_share_a_norm": Fault(
        "every gate has the gamma and beta of the input gate",
        (_NORM,),
        {"_norm(w, name, z) for name, z in parts": '_norm(w, "input", z) for name, z in parts'},
    ),
    "c_carried_unnormalised": Fault(
        "the c that is carried on is the one before its norm",
        ("test_the_normalised_c_is_carried_on",),
        {'{"c": c_new, "h": h_new}, (xh, c, zj, i': '{"c": c * f + i * j * m, "h": h_new}, (xh, c, zj, i'},
    ),
    "whole_c_dropped": Fault(
        "the new c is dropped, and not its candidate",
        ("test_the_candidate_alone_is_dropped",),
        {'"state", c * f + i * j * m)': '"state", (c * f + i * j) * m)'},
    ),
    "hard_sigmoid_slope_of_sigmoid": Fault(
        "the hard sigmoid has a slope of 1/4, that of the sigmoid at 0",
        ("test_gates_of_the_lstm_are_in_the_order_i_f_c_o", "test_gates_of_the_gru_are_in_the_order_z_r_h"),
        {"np.clip(0.2 * z + 0.5, 0.0, 1.0)": "np.clip(0.25 * z + 0.5, 0.0, 1.0)"},
    ),
    "hard_sigmoid_slopes_everywhere": Fault(
        "the gradient goes on through a gate that is shut or open",
        ("test_a_gate_has_a_slope_of_a_fifth_and_none_beyond_the_corners",),
        {"np.where(np.abs(z) <= 2.5, 0.2, 0.0)": "np.full_like(z, 0.2)"},
    ),
    "keras_gates_sigmoid": Fault(
        "the gates of Keras's LSTM are sigmoids, as they are from TensorFlow 2 on",
        ("test_a_gate_beyond_the_corners_is_shut_or_open_exactly", "test_gates_of_the_lstm_are_in_the_order_i_f_c_o"),
        {
            "ACTIVATIONS[network.activation], ACTIVATIONS[network.recurrent_activation]\n    c, h": (
                'ACTIVATIONS[network.activation], ACTIVATIONS["sigmoid"]\n    c, h'
            )
        },
    ),
    "keras_lstm_gates_of_tf1": Fault(
        "the gates of Keras's LSTM are taken in TF1's order i, j, f, o",
        ("test_gates_of_the_lstm_are_in_the_order_i_f_c_o",),
        {"zi, zf, z, zo = np.split": "zi, z, zf, zo = np.split"},
    ),
    "keras_lstm_forget_bias_added": Fault(
        "the forget bias of Keras's LSTM is added as well as stored",
        ("test_gates_of_the_lstm_are_in_the_order_i_f_c_o",),
        {"i, f, n, o = g(zi), g(zf)": "i, f, n, o = g(zi), g(zf + 1.0)"},
    ),
    "keras_z_and_r_swapped": Fault(
        "the gates of Keras's GRU are taken in TF1's order r, u",
        ("test_gates_of_the_gru_are_in_the_order_z_r_h",),
        {"z, r = np.split(gate, 2, axis=1)": "r, z = np.split(gate, 2, axis=1)"},
    ),
    "keras_hidden_bias_not_reset": Fault(
        "the second bias of Keras's GRU is added beside the reset gate in the candidate",
        ("test_reset_after_has_a_second_bias_which_is_reset_in_the_candidate",),
        {"of_h = r * product if": "of_h = r * (product - b_h[gates:]) + b_h[gates:] if"},
    ),
    "keras_forget_bias_not_stored": Fault(
        "every bias starts at zero, that of Keras's forget gate too",
        (_FIRST,),
        {_DRAWN: "draw({name: each._replace(value=0.0) for name, each in model.weights().items()}, "},
    ),
    "recurrent_kernel_not_orthogonal": Fault(
        "recurrent kernels are drawn uniformly, as every other",
        (_FIRST,),
        {
            _DRAWN: "draw({name: each._replace(orthogonal=False, limit=each.limit or 0.3 * each.orthogonal) "
            "for name, each in model.weights().items()}, "
        },
    ),
}
