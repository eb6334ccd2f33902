"""The classes that `convert --as-module` writes, for networks and heads that no recorded checkpoint has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from torch_impl import build
from torch_impl.conversion import canonical_weights, load_canonical
from torch_impl.tf1.graphs.tops import Tops
from torch_impl.tf1.inferred import Inferred
from torch_impl.tf1.module_code import code_of_model, code_of_network
from torch_impl.tf1.module_file import _canonical, state_of
from torch_impl.tf1.native import stages
from torch_impl.tf1.sources import Source
from unrolled.models import Model
from unrolled.networks import GRU, LSTM, Layers, Network


def made(code: str) -> dict[str, Any]:
    """What the code of classes defines."""
    names: dict[str, Any] = {"torch": torch, "nn": nn}
    exec(code, names)
    return names


def drawn(network: Network, inputs: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {name: random.normal(0, 0.4, each.shape) for name, each in network.weights(inputs).items()}


@pytest.mark.parametrize(
    "network",
    [GRU(4, reset_after=True), LSTM(4), Layers((GRU(4, reset_after=True), LSTM(3)))],
    ids=["gru", "lstm", "both"],
)
def test_a_step_moves_what_it_moves_in_tensorflow_and_as_far(network: Network) -> None:
    """PyTorch has two biases where TensorFlow has one: the second is constant, of a GRU in the gates."""
    weights = drawn(network, 3)
    module = made(code_of_network("Part0", network, 3, stages(network, 3, weights), "float64"))["Part0"]().double()
    module.load_state_dict({name: torch.tensor(each) for name, each in state_of(network, 3, weights).items()})
    reference = build.recurrent(network, 3, dtype=torch.float64)
    load_canonical(reference, weights)
    values = torch.tensor(np.random.default_rng(2).normal(size=(2, 5, 3)))
    for each in (module, reference):
        optimizer = torch.optim.SGD([one for one in each.parameters() if one.requires_grad], 0.1)
        outputs = each(values)
        (outputs[0] if isinstance(outputs, tuple) else outputs).square().sum().backward()
        optimizer.step()
    found = _canonical(network, 3, {name: each.detach().numpy() for name, each in module.state_dict().items()})
    for name, array in canonical_weights(reference).items():
        assert not np.array_equal(array, weights[name])
        np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-12, err_msg=name)


def test_what_masks_the_steps_is_where_the_values_are() -> None:
    """No tensor is made on the device that happens to be the default."""
    network = LSTM(4)
    head = Model("regressor", network, projection="wrapped", inputs=3, outputs=2)
    code = code_of_network("Part0", network, 3, stages(network, 3, drawn(network, 3)), "float32")
    model = made(code + code_of_model((head,), "Part0"))["Model"]()
    values, lengths = torch.ones(2, 5, 3), torch.tensor([5, 2])
    with torch.device("meta"), torch.no_grad():
        outputs = model(values, lengths)
    assert outputs.device.type == "cpu"
    assert (outputs[1, 2:] == 0).all() and (outputs[1, :2] != 0).all()


def test_what_is_said_of_several_heads_is_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tops, "_trained", lambda self, weights: [])
    below = {"kernel": Source(("rnn/kernel",))}
    heads = [
        Inferred(
            None,
            {**below, "dense/kernel": Source((f"dense_{k}/kernel",))},
            heads=(Model("classifier", LSTM(4), inputs=3, outputs=2 + k),),
            facts=["of both", f"fact {k}"],
            assumed=[f"assumed {k}"],
            dropped=["keep_prob"] * k,
        )
        for k in range(2)
    ]
    whole = Tops.__new__(Tops)._together(heads, [])
    assert whole is not None and len(whole.heads) == 2
    assert whole.facts == ["of both", "fact 0", "fact 1"]
    assert whole.assumed == ["assumed 0", "assumed 1"] and whole.dropped == ["keep_prob"]
