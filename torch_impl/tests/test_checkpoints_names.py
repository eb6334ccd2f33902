"""Which TensorFlow 1 variable is which canonical weight."""

from __future__ import annotations

import re

import pytest

from torch_impl.checkpoints import CheckpointError
from torch_impl.tf1.names import POWERS, SLOTS, TABLE, WEIGHTS, default_names, match_names

CELLS = {
    "rnn/basic_rnn_cell": ("kernel", "bias"),
    "rnn/basic_rnn_cell (old)": ("weights", "biases"),
    "basic_rnn_cell": ("kernel", "bias"),
    "rnn/multi_rnn_cell/cell_0/basic_rnn_cell": ("kernel", "bias"),
    "rnn/output_projection_wrapper/basic_rnn_cell": ("kernel", "bias"),
}
DENSES = {
    "fully_connected": ("weights", "biases"),
    "dense": ("kernel", "bias"),
    "rnn/output_projection_wrapper": ("kernel", "bias"),
    "rnn/output_projection_wrapper (old)": ("weights", "biases"),
}
CLASSIFIER = ["rnn/basic_rnn_cell/kernel", "rnn/basic_rnn_cell/bias", "dense/kernel", "dense/bias"]


def with_adam(weights: list[str]) -> list[str]:
    return [*weights, *(f"{name}/{slot}" for name in weights for slot in ("Adam", "Adam_1")), *POWERS]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("dense", DENSES)
def test_cells_and_dense_layers_are_found_in_every_scope_with_their_slots(cell: str, dense: str) -> None:
    weights = [f"{cell.split()[0]}/{name}" for name in CELLS[cell]]
    weights += [f"{dense.split()[0]}/{name}" for name in DENSES[dense]]
    names = match_names([*with_adam(weights), "global_step"])
    assert names.weights == dict(zip(WEIGHTS, weights, strict=True))
    assert set(names.slots) == {*SLOTS, *POWERS}
    assert all(
        names.slots[slot] == f"{names.weights[slot.rsplit('/', 1)[0]]}/{slot[-6:].split('/')[-1]}" for slot in SLOTS
    )
    assert names.step == "global_step"
    assert names.wrapped == dense.startswith("rnn/")


def test_slots_and_step_may_be_absent_together() -> None:
    names = match_names(CLASSIFIER)
    assert names.slots == {}
    assert names.step is None


def test_the_table_has_no_name_that_tensorflow_never_gave() -> None:
    assert not {"dense/weights", "fully_connected/kernel", "rnn/kernel"} & set(TABLE)


@pytest.mark.parametrize("style", ["fully_connected", "dense", "wrapped"])
def test_default_names_are_in_the_table(style: str) -> None:
    names = default_names(style)
    assert match_names(names.values()).weights == {weight: names[weight] for weight in WEIGHTS}


def refused(variables: list[str], overrides: dict[str, str | None] | None, reason: str) -> None:
    with pytest.raises(CheckpointError, match=re.escape(reason)):
        match_names(variables, overrides)


def test_an_unknown_variable_is_named_and_a_way_out_is_given() -> None:
    refused([*CLASSIFIER, "other"], None, "unknown variable other; expected a basic RNN cell")
    refused([*CLASSIFIER, "train/beta1_power"], None, "as in --map train/beta1_power=beta1_power, or")
    refused([*CLASSIFIER, "m/dense/kernel"], None, "as in --map m/dense/kernel=dense/kernel, or")
    refused([*CLASSIFIER, "rnn/basic_lstm_cell/kernel"], None, "unknown variable rnn/basic_lstm_cell/kernel;")
    refused([f"v{i}" for i in range(30)], None, "and 20 more;")
    refused([*CLASSIFIER, "dense/kernel/Momentum"], None, "unknown variable dense/kernel/Momentum;")


def test_a_missing_variable_is_named() -> None:
    refused(CLASSIFIER[1:], None, "no variable is the weight kernel (usually basic_rnn_cell/kernel or")
    refused([], None, "no variable is the weight kernel, bias, dense/kernel, dense/bias")
    whole = with_adam(CLASSIFIER)
    for name in whole[4:]:
        slot = match_names(whole).slots
        canonical = next(key for key, value in slot.items() if value == name)
        refused([n for n in whole if n != name], None, f"no variable is the part of Adam's state {canonical};")


def test_two_variables_for_one_weight_are_both_named() -> None:
    refused(
        [*CLASSIFIER, "fully_connected/weights", "fully_connected/biases"],
        None,
        "both dense/bias and fully_connected/biases would be dense/bias",
    )
    names = match_names(
        [*CLASSIFIER, "fully_connected/weights", "fully_connected/biases"], {"dense/kernel": None, "dense/bias": None}
    )
    assert names.weights["dense/kernel"] == "fully_connected/weights"


def test_overrides_take_the_slots_along() -> None:
    weights = ["model/cell/w", "model/cell/b", "out/w", "out/b"]
    overrides: dict[str, str | None] = dict(zip(weights, WEIGHTS, strict=True))
    names = match_names(with_adam(weights), overrides)
    assert names.weights == dict(zip(WEIGHTS, weights, strict=True))
    assert names.slots["dense/bias/Adam_1"] == "out/b/Adam_1"


def test_a_slot_of_its_own_name_can_be_mapped_too() -> None:
    """An optimizer built inside a variable scope names its slots scope/scope/…, and its powers scope/beta1_power."""
    weights = [f"m/{name}" for name in CLASSIFIER]
    variables = [*weights, *(f"m/{name}" for name in with_adam(weights)[4:])]
    overrides: dict[str, str | None] = dict(zip(weights, WEIGHTS, strict=True))
    for slot in SLOTS:
        weight, moment = slot.rsplit("/", 1)
        overrides[f"m/{weights[WEIGHTS.index(weight)]}/{moment}"] = slot
    overrides.update({f"m/{power}": power for power in POWERS})
    assert match_names(variables, overrides).slots["kernel/Adam"] == "m/m/rnn/basic_rnn_cell/kernel/Adam"


def test_what_is_left_out_goes_with_its_slots() -> None:
    variables = [*with_adam([*CLASSIFIER, "extra"]), "epoch"]
    names = match_names(variables, {"extra": None, "epoch": None})
    assert set(names.weights.values()) == set(CLASSIFIER)
    refused(variables, {"extra": None}, "unknown variable epoch;")


def test_an_override_that_fits_nothing_is_refused() -> None:
    refused(CLASSIFIER, {"nowhere": "kernel"}, "has no variable nowhere to map; it has dense/bias, dense/kernel")
    refused(CLASSIFIER, {"dense/bias": "dense/b"}, "dense/bias cannot be mapped to dense/b; expected one of kernel,")
    refused(CLASSIFIER, {"dense/bias": "bias"}, "both dense/bias and rnn/basic_rnn_cell/bias would be bias")
