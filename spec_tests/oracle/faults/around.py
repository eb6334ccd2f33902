"""Faults around networks: dropout, embeddings, hidden dense layers and taggers. Python 3.7 syntax."""

from __future__ import annotations

from spec_tests.oracle.faults.fault import Fault

_SCALED = "np.asarray(mask, np.float64) / asked[name].keep"
_STATE = "state = _dropped(after, m, here)"
_ASKED = "over_time(network.network, w, read[:, None], here, state, inner)"
_INPUTS = "test_inputs_are_dropped_and_what_is_kept_is_scaled"
_OUTPUTS = "test_outputs_are_dropped_and_do_not_enter_the_state"
_OUTGOING = "test_the_outgoing_state_is_dropped_except_c"

AROUND: dict[str, Fault] = {
    "dropout_scale_forgotten": Fault(
        "what a dropout keeps is not scaled",
        (_INPUTS, _OUTPUTS, _OUTGOING),
        {_SCALED: "np.asarray(mask, np.float64)"},
    ),
    "dropout_scaled_without_masks": Fault(
        "outputs are scaled down where no masks are given, as by a dropout that does not scale in training",
        ("test_without_masks_nothing_is_dropped_or_scaled",),
        {'m.get("outputs", 1.0))\n        kept': 'm.get("outputs", network.output_keep))\n        kept'},
    ),
    "dropout_keep_not_rounded": Fault(
        "the share to keep is not rounded to float32",
        ("test_shares_to_keep_are_rounded_to_float32",),
        {_SCALED: "np.asarray(mask, np.float64) / round(asked[name].keep, 6)"},
    ),
    "dropout_mask_of_the_next_step": Fault(
        "each step has the mask of the next",
        (_INPUTS, _OUTPUTS, _OUTGOING),
        {"{name: each[:, t] for name": "{name: each[:, (t + 1) % each.shape[1]] for name"},
    ),
    "dropped_output_enters_the_state": Fault(
        "the h that is carried on is the output as it was dropped",
        (_OUTPUTS,),
        {_STATE: _STATE + '\n        state["h"] = y[:, 0] * m.get("outputs", 1.0)'},
    ),
    "dropout_of_c": Fault(
        "state dropout drops c as well",
        (_OUTGOING,),
        {'m.get("state/" + name, 1.0)': 'm.get("state/" + name[:-1] + "h", 1.0)'},
    ),
    "dropout_of_the_incoming_state": Fault(
        "the state is dropped as it comes in, and the last one is returned undropped",
        (_OUTGOING,),
        {_ASKED: _ASKED.replace("state", "_dropped(state, m, here)"), _STATE: "state = after"},
    ),
    "backward_masks_turned": Fault(
        "the masks of the backward direction are turned as its inputs are",
        ("test_a_backward_directions_masks_are_in_its_own_order",),
        {'below("bw/", factors)': '{k: turned(f, valid) for k, f in below("bw/", factors).items()}'},
    ),
    "gradient_through_what_is_dropped": Fault(
        "the gradient by the inputs takes no notice of their mask",
        ("test_nothing_flows_through_what_is_dropped",),
        {'dread[:, 0] * m.get("inputs", 1.0)': "dread[:, 0]"},
    ),
    "tagger_counts_the_padding": Fault(
        "a tagger's loss counts padded steps",
        ("test_a_taggers_loss_is_the_mean_over_valid_steps",),
        {"on, dy = valid[:, :, 0], np": "on, dy = np.ones(y.shape[:2], bool), np"},
    ),
    "tagger_divides_by_all_steps": Fault(
        "a tagger's loss is divided by the number of all steps",
        ("test_a_taggers_loss_is_the_mean_over_valid_steps",),
        {
            "        return value, dy\n    if model.projection": (
                "        return value * on.mean(), dy * on.mean()\n    if model.projection"
            )
        },
    ),
    "tagger_predicts_on_the_padding": Fault(
        "a tagger predicts a class on padded steps",
        ("test_the_predicted_class_past_the_length_is_zero",),
        {'predicted, 0) if model.kind == "tagger" else predicted': "predicted, predicted)"},
    ),
    "embedding_rows_not_summed": Fault(
        "of the tokens that read one row, the last one alone gives its gradient",
        ("test_a_row_has_the_gradients_of_all_its_tokens",),
        {"np.add.at(found, inputs, dx)": "found[inputs] = dx"},
    ),
    "lazy_adam": Fault(
        "Adam leaves the rows of an embedding alone that have no gradient, as LazyAdam and SparseAdam do",
        ("test_adam_moves_rows_that_a_batch_does_not_hold",),
        {
            "new_weights[name] = weights[name] - rate * m": (
                "new_weights[name] = weights[name] - rate * (gradient != 0) * m"
            )
        },
    ),
    "hidden_activation_left_out": Fault(
        "dense layers are linear, whatever their activation",
        ("test_forward_of_every_model_matches_the_oracle",),
        {"r = ACTIVATIONS[activation](z)": "r = z"},
    ),
}
