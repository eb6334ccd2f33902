"""What a TensorFlow 1 checkpoint's names and shapes alone tell of its model, and what is assumed aloud or asked for."""

from __future__ import annotations

import re
from typing import Any

import pytest

from torch_impl.checkpoints import CheckpointError
from torch_impl.tf1.back import default_names
from torch_impl.tf1.bundle import BundleEntry
from torch_impl.tf1.inferred import Inferred, TrainedAs
from torch_impl.tf1.names import infer_from_names
from unrolled import networks
from unrolled.models import Dense, Model
from unrolled.networks import GRU, LSTM, BasicRNN, Bidirectional, KerasGRU, KerasLSTM, LayerNormLSTM, Layers, Residual

POWERS = ("beta1_power", "beta2_power")
PLAIN = {"rnn/basic_rnn_cell/kernel": (8, 5), "rnn/basic_rnn_cell/bias": (5,)}
DENSE = {"dense/kernel": (5, 2), "dense/bias": (2,)}
CLASSIFIER = {**PLAIN, **DENSE}
KIND = TrainedAs("classifier")

Shapes = dict[str, tuple[int, ...]]


def entries(shapes: Shapes) -> dict[str, BundleEntry]:
    steps = {name: "int64" if name.endswith("global_step") else "float32" for name in shapes}
    return {name: BundleEntry(steps[name], shape, 0, 0, 0, 0, False) for name, shape in sorted(shapes.items())}


def inferred(shapes: Shapes, told: TrainedAs = KIND, overrides: dict[str, str | None] | None = None) -> Inferred:
    return infer_from_names(entries(shapes), told, overrides)


def with_adam(shapes: Shapes, scope: str = "") -> Shapes:
    slots = {f"{scope}{name}/{slot}": shape for name, shape in shapes.items() for slot in ("Adam", "Adam_1")}
    return {**shapes, **slots, **{scope + power: () for power in POWERS}}


def under(scope: str, shapes: Shapes) -> Shapes:
    return {scope + name: shape for name, shape in shapes.items()}


LSTM_SHAPES: Shapes = {"kernel": (8, 20), "bias": (20,)}
GRU_SHAPES: Shapes = {
    "gates/kernel": (8, 10), "gates/bias": (10,), "candidate/kernel": (8, 5), "candidate/bias": (5,),
}  # fmt: skip
NORMS: Shapes = {
    f"{name}/{part}": (5,) for name in ("input", "transform", "forget", "output", "state") for part in ("gamma", "beta")
}
CELLS: dict[str, tuple[Shapes, Any]] = {
    "basic_rnn": (PLAIN, BasicRNN(5)),
    "older": ({"rnn/basic_rnn_cell/weights": (8, 5), "rnn/basic_rnn_cell/biases": (5,)}, BasicRNN(5)),
    "oldest": ({"RNN/BasicRNNCell/Linear/Matrix": (8, 5), "RNN/BasicRNNCell/Linear/Bias": (5,)}, BasicRNN(5)),
    "one layer": (under("rnn/multi_rnn_cell/cell_0/basic_rnn_cell/", {"kernel": (8, 5), "bias": (5,)}), BasicRNN(5)),
    "lstm": (under("enc/rnn/lstm_cell/", LSTM_SHAPES), LSTM(5)),
    "basic lstm": (under("rnn/basic_lstm_cell_1/", LSTM_SHAPES), LSTM(5)),
    "fused": (under("lstm_fused_cell/", LSTM_SHAPES), LSTM(5)),
    "cudnn": (under("cudnn_lstm/rnn/multi_rnn_cell/cell_0/cudnn_compatible_lstm_cell/", LSTM_SHAPES),
              LSTM(5, forget_bias=0.0)),
    "peepholes": (under("rnn/lstm_cell/", {**LSTM_SHAPES, "w_f_diag": (5,), "w_i_diag": (5,), "w_o_diag": (5,)}),
                  LSTM(5, peepholes=True)),
    "gru": (under("rnn/gru_cell/", GRU_SHAPES), GRU(5)),
    "block gru": (under("rnn/gru_cell/", {"w_ru": (8, 10), "b_ru": (10,), "w_c": (8, 5), "b_c": (5,)}), GRU(5)),
    "norms": (under("rnn/layer_norm_basic_lstm_cell/", {"kernel": (8, 20), **NORMS}), LayerNormLSTM(5)),
    "keras lstm": (under("lstm/", {"kernel": (3, 20), "recurrent_kernel": (5, 20), "bias": (20,)}), KerasLSTM(5)),
    "keras gru": (under("gru/", {"kernel": (3, 15), "recurrent_kernel": (5, 15), "bias": (2, 15)}),
                  KerasGRU(5, reset_after=True)),
    "layers": ({**under("rnn/multi_rnn_cell/cell_0/gru_cell/", GRU_SHAPES),
                **under("rnn/multi_rnn_cell/cell_1/lstm_cell/", {"kernel": (10, 20), "bias": (20,)})},
               Layers((GRU(5), LSTM(5)))),
}  # fmt: skip


@pytest.mark.parametrize("name", CELLS)
def test_cells_are_known_by_their_names(name: str) -> None:
    shapes, network = CELLS[name]
    found = inferred({**shapes, **DENSE})
    assert found.model == Model("classifier", network, 3, 2)
    assert networks.shapes(found.model.weights()) == {
        canonical: {**shapes, **DENSE}[source.names[0]] for canonical, source in found.weights.items()
    }


def test_both_directions_and_their_stack() -> None:
    both = {f"bidirectional_rnn/{side}/gru_cell/{name}": s for side in ("fw", "bw") for name, s in GRU_SHAPES.items()}
    wide = {"dense/kernel": (10, 2), "dense/bias": (2,)}
    found = inferred({**under("tagger/", both), **wide}, TrainedAs("tagger"))
    assert found.model == Model("tagger", Bidirectional(GRU(5), GRU(5)), 3, 2)
    upper = {"gates/kernel": (15, 10), "gates/bias": (10,), "candidate/kernel": (15, 5), "candidate/bias": (5,)}
    stack = {f"stack_bidirectional_rnn/cell_0/{name}": shape for name, shape in both.items()}
    stack.update({f"stack_bidirectional_rnn/cell_1/bidirectional_rnn/{side}/gru_cell/{name}": s
                  for side in ("fw", "bw") for name, s in upper.items()})  # fmt: skip
    layer = Bidirectional(GRU(5), GRU(5))
    assert inferred({**stack, **wide}).model == Model("classifier", Layers((layer, layer)), 3, 2)


def test_what_no_name_tells_is_assumed_aloud() -> None:
    found = inferred({**under("rnn/lstm_cell/", LSTM_SHAPES), **DENSE})
    for line in ("activation tanh", "forget_bias 1, which is added and not stored", "no clipping", "is linear"):
        assert any(line in each for each in found.assumed), line
    layers = inferred({**CELLS["layers"][0], **DENSE})
    assert any("no residual connections (--residual)" in each for each in layers.assumed)
    told = inferred({**under("rnn/lstm_cell/", LSTM_SHAPES), **DENSE}, TrainedAs("classifier", "relu", forget_bias=0.0))
    assert told.model is not None and told.model.network == LSTM(5, "relu", 0.0)
    assert not any("forget_bias" in each or "tanh" in each for each in told.assumed)


def test_what_no_name_tells_is_taken_by_option() -> None:
    projected = {**under("rnn/lstm_cell/", {"kernel": (6, 20), "bias": (20,), "projection/kernel": (5, 3)}),
                 "dense/kernel": (3, 2), "dense/bias": (2,)}  # fmt: skip
    told = TrainedAs("regressor", cell_clip=0.5, projection_clip=0.25, residual=(0,), head_activation="sigmoid")
    found = inferred(projected, told)
    network = Residual(LSTM(5, projection=3, cell_clip=0.5, projection_clip=0.25))
    assert found.model == Model("regressor", network, 3, 2, activation="sigmoid")
    for line in ("residual", "no clipping", "is linear"):
        assert not any(line in each for each in found.assumed), line
    fused = {**under("lstm_fused_cell/", LSTM_SHAPES), **DENSE}
    block = inferred(fused, TrainedAs("classifier", cell_clip=3.0)).model
    assert block is not None and block.network == LSTM(5, cell_clip=3.0, straight_through=True)
    assert any("before 1.4 has 3" in each for each in inferred(fused).assumed)
    both = {f"bidirectional_rnn/{side}/multi_rnn_cell/cell_{number}/gru_cell/{name}": (10, *shape[1:])
            if number and len(shape) == 2 else shape
            for side in ("fw", "bw") for number in (0, 1) for name, shape in GRU_SHAPES.items()}  # fmt: skip
    stack = inferred({**both, "dense/kernel": (10, 2), "dense/bias": (2,)}, TrainedAs("tagger", residual=(1,))).model
    each = Layers((GRU(5), Residual(GRU(5))))
    assert stack is not None and stack.network == Bidirectional(each, each)


@pytest.mark.parametrize(
    ("shapes", "told", "reason"),
    [
        (CELLS["layers"][0], {"residual": (2,)}, "has no layer 2 to be residual"),
        (CELLS["layers"][0], {"residual": (0,)}, "reads 3 values and gives 5: it cannot be residual"),
        (CELLS["gru"][0], {"cell_clip": 1.0}, "has no LSTM to clip; leave --cell-clip out"),
        (CELLS["lstm"][0], {"projection_clip": 1.0}, "has no projection of an LSTM to clip"),
    ],
)
def test_an_option_of_what_is_not_there_is_refused(shapes: Shapes, told: dict[str, Any], reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason):
        inferred({**shapes, **DENSE}, TrainedAs("classifier", **told))


def test_an_embedding_and_a_hidden_layer_are_found_by_their_widths() -> None:
    shapes: Shapes = {**PLAIN, "embedding": (11, 3), "h/W": (5, 7), "h/b": (7,), "out/W": (7, 2), "out/b": (2,)}
    refused(shapes, "the activation of the dense layer h/W is in no checkpoint: give --hidden-activation")
    found = inferred(shapes, TrainedAs("classifier", hidden_activation="relu"))
    assert found.model == Model("classifier", BasicRNN(5), 11, 2, embedding=3, hidden=(Dense(7, "relu"),))
    assert found.weights["hidden_0/kernel"].names == ("h/W",)


def test_a_projection_wrapper_stays_one_in_every_scope() -> None:
    shapes = under("deep/model/rnn/output_projection_wrapper/",
                   {"basic_rnn_cell/kernel": (8, 5), "basic_rnn_cell/bias": (5,), "kernel": (5, 2),
                    "bias": (2,)})  # fmt: skip
    found = inferred(shapes, TrainedAs("regressor"))
    assert found.model is not None and found.model.projection == "wrapped"
    stacked = inferred(shapes, TrainedAs("regressor", projection="stacked"))
    assert stacked.model is not None and stacked.model.projection == "stacked"


@pytest.mark.parametrize("scope", ["", "train/"])
def test_adams_state_is_found_in_every_scope(scope: str) -> None:
    found = inferred({**with_adam(CLASSIFIER, scope), "global_step": ()})
    assert found.slots["dense/bias/Adam_1"].names == (f"{scope}dense/bias/Adam_1",)
    assert found.slots["beta1_power"].names == (f"{scope}beta1_power",)
    assert len(found.slots) == 10
    assert found.step == "global_step"


def test_other_optimizers_state_is_reported() -> None:
    found = inferred({**CLASSIFIER, **{f"{name}/Momentum": shape for name, shape in CLASSIFIER.items()}})
    assert not found.slots
    assert "other state of optimizers is not taken along: Momentum" in found.facts


@pytest.mark.parametrize(
    "model",
    [
        Model("regressor", BasicRNN(5), 3, 2, "wrapped"),
        Model("tagger", Layers((LSTM(5), LSTM(4))), 11, 2, embedding=3),
        Model("classifier", Bidirectional(GRU(5), GRU(5)), 3, 2),
        Model("classifier", Layers((Bidirectional(LSTM(5), LSTM(5)), Bidirectional(LSTM(4), LSTM(4)))), 3, 2),
        Model("classifier", GRU(5, reset_after=True), 3, 2),
        Model("classifier", KerasLSTM(5), 3, 2),
    ],
)
def test_names_that_are_written_are_known(model: Model) -> None:
    names, shapes = default_names(model), networks.shapes(model.weights())
    found = inferred({names[canonical]: shapes[canonical] for canonical in names}, TrainedAs(model.kind))
    assert found.model == model
    assert {canonical: source.names[0] for canonical, source in found.weights.items()} == names


def refused(
    shapes: Shapes, reason: str, overrides: dict[str, str | None] | None = None, told: TrainedAs = KIND
) -> None:
    with pytest.raises(CheckpointError, match=re.escape(reason)):
        inferred(shapes, told, overrides)


def test_an_unknown_variable_is_named_and_a_way_out_is_given() -> None:
    refused({**CLASSIFIER, "other": (4,)}, "unknown variable other; say what each is, as in --map other=dense/kernel")
    many = {f"v{i}": (4,) for i in range(30)}
    refused({**CLASSIFIER, **many}, "v9")  # nothing is cut
    refused({"a": (3, 4)}, "no variable is a recurrent cell's by its name; found a;")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["rnn/nas_cell/kernel", "rnn/nas_cell/recurrent_kernel"], "rnn/nas_cell is of a NASCell, which is no kind"),
        (["a/RNN/UGRNNCell/weights"], "a/RNN/UGRNNCell is of a UGRNNCell, which is no kind"),
        (["rnn/indy_gru_cell_1/gates/kernel_w"], "rnn/indy_gru_cell_1 is of an IndyGRUCell, which is no kind"),
        (["rnn/basic_lstm_cell/kernel", "rnn/carry_w"], "rnn is of a HighwayWrapper, which is no kind"),
    ],
)
def test_a_cell_that_is_no_kind_here_is_called_by_its_name(names: list[str], words: str) -> None:
    refused({**dict.fromkeys(names, (3, 4)), **DENSE}, words)


def test_what_is_missing_is_named() -> None:
    refused(PLAIN, "no variable is the weight dense/kernel (usually dense/kernel or")
    refused({**CLASSIFIER}, "does not say what was trained: give --kind", told=TrainedAs())
    whole = with_adam(CLASSIFIER)
    for name in list(whole)[4:]:
        refused(
            {each: shape for each, shape in whole.items() if each != name}, "no variable is the part of Adam's state"
        )


def test_two_networks_are_not_taken_for_one() -> None:
    two = {**under("a/", CELLS["gru"][0]), **under("b/", CELLS["gru"][0]), **DENSE}
    refused(two, "holds 2 recurrent networks, in a/rnn, b/rnn; name one with --scope")
    refused({**PLAIN, **CELLS["gru"][0], **DENSE}, "are two networks")


def test_overrides_take_the_slots_along() -> None:
    weights = {"model/w": (8, 5), "model/b": (5,), "out/w": (5, 2), "out/b": (2,)}
    overrides: dict[str, str | None] = dict(zip(weights, ("kernel", "bias", "dense/kernel", "dense/bias"), strict=True))
    found = inferred(with_adam(weights), overrides=overrides)
    assert found.model == Model("classifier", BasicRNN(5), 3, 2)
    assert found.slots["dense/bias/Adam_1"].names == ("out/b/Adam_1",)


def test_what_is_left_out_goes_with_its_slots() -> None:
    shapes = {**with_adam({**CLASSIFIER, "extra": (4,)}), "epoch": ()}
    assert inferred(shapes, overrides={"extra": None, "epoch": None}).model is not None
    refused(shapes, "unknown variable epoch;", {"extra": None})


def test_an_override_that_fits_nothing_is_refused() -> None:
    refused(CLASSIFIER, "has no variable nowhere to map or ignore", {"nowhere": "kernel"})
