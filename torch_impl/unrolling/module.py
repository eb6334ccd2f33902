"""A cell over sequences as a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn.utils.rnn import PackedSequence

from torch_impl.cells.basic_rnn import BasicRNNCell
from torch_impl.cells.cell import Cell
from torch_impl.cells.gru import GRUCell
from torch_impl.cells.lstm import LSTMCell
from torch_impl.checks import check_size, shown
from torch_impl.conversion import Canonical, Table, effective_weights, prefixed
from torch_impl.structures import Bidirectional, Dropout, Layers, layered
from torch_impl.unrolling.dynamic import dynamic_rnn
from unrolled.networks import Network

fx.wrap("dynamic_rnn")  # torch.fx takes it whole, as it does PyTorch's own nn.RNN


class Recurrent(Canonical):
    """A cell over sequences, as a module: a padded tensor or a PackedSequence in, the same kind out.

    Hooks on the cell see whole sequences: see `Cell`.
    """

    def __init__(self, cell: Cell, batch_first: bool = True) -> None:
        """batch_first: padded tensors are [batch, steps, ...] (otherwise [steps, batch, ...])."""
        super().__init__()
        self.cell = cell
        self.batch_first = batch_first

    @property
    def inputs(self) -> int:
        """Values per step."""
        return self.cell.inputs

    @property
    def network(self) -> Network:
        """The network as a value: see unrolled.networks."""
        return self.cell.network

    @property
    def table(self) -> Table:  # type: ignore[override]
        """How the parameters map to canonical weights."""
        return prefixed("cell.", self.cell.table)

    def zero_state(self, batch: int) -> Any:
        """Zeros of `batch` rows, in the dtype and on the device of the weights."""
        return self.cell.zero_state(batch)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """TF1's initial values for every parameter."""
        self.cell.reset_parameters(generator)

    def forward(
        self,
        inputs: Tensor | PackedSequence,
        lengths: Any = None,
        initial_state: Any = None,
        outputs: bool = True,
        masks: Any = None,
    ) -> tuple[Any, Any]:
        """inputs: [batch, steps, inputs], with lengths [batch] or None; or a PackedSequence, which has its own lengths.

        Returns (outputs, state): outputs of the same kind and layout as inputs; state: the last valid one of each row.
        See dynamic_rnn for the rest, and for what it raises.
        """
        return dynamic_rnn(self.cell, inputs, lengths, initial_state, outputs, not self.batch_first, masks)

    def extra_repr(self) -> str:
        return f"batch_first={self.batch_first}"


class _Layered(Recurrent):
    """Cells of one kind over sequences, in layers and directions as PyTorch's own layer of that kind has them."""

    cell: Any

    def __init__(
        self,
        make: Callable[[int], Cell],
        inputs: int,
        num_layers: int,
        bidirectional: bool,
        dropout: float,
        batch_first: bool,
    ) -> None:
        """make: a cell of so many inputs."""
        check_size("num_layers", num_layers)
        if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout must be the share to drop, from 0 to below 1, got {shown(dropout)}")
        if dropout and num_layers == 1:
            raise ValueError(f"dropout must be 0 for one layer, since it acts between layers, got {dropout}")
        super().__init__(layered(make, inputs, num_layers, bidirectional, dropout), batch_first)

    def _nn_cells(self) -> Iterator[tuple[str, str, Any]]:
        """Each cell, with the end of its weights' names in PyTorch's own layer, and its path here."""
        layers = isinstance(self.cell, Layers)
        for number, layer in enumerate(self.cell.layers if layers else [self.cell]):
            path = f"cell.layers.{number}." if layers else "cell."
            cells = {f"_l{number}": (path, layer)}
            if isinstance(layer, Bidirectional):
                cells = {f"_l{number}": (path + "fw.", layer.fw), f"_l{number}_reverse": (path + "bw.", layer.bw)}
            for suffix, (path, cell) in cells.items():
                yield (suffix, path + "cell.", cell.cell) if isinstance(cell, Dropout) else (suffix, path, cell)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        """Rename the keys of PyTorch's own layer; whatever is not exactly such layers stays, and is reported."""
        assert isinstance(state_dict, dict)  # load_state_dict passes its own copy
        for suffix, path, cell in list(self._nn_cells()):
            if all(prefix + name + suffix in state_dict for name in _NN_NAMES[:4]):
                keys = {name: prefix + name + suffix for name in _NN_NAMES if prefix + name + suffix in state_dict}
                own = cell.from_nn({name: state_dict[key] for name, key in keys.items()})
                for key in keys.values():
                    del state_dict[key]
                state_dict.update({prefix + path + name: weight for name, weight in own.items()})
        super()._load_from_state_dict(state_dict, prefix, *rest)


_NN_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")


class RNN(_Layered):
    """BasicRNNCells over sequences, as a module: a padded tensor or a PackedSequence in, the same kind out.

    A state_dict of an `nn.RNN` loads too, its two biases folded to their sum.
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        activation: str = "tanh",
        batch_first: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        """inputs: values per step. activation: a name that TF1 knows, such as "tanh" or "relu". batch_first: see
        `Recurrent`. num_layers, bidirectional, dropout: as nn.RNN has them; so the dropout is in training mode, between
        layers, of their outputs. TF1's DropoutWrapper, which can drop inputs, states and the last outputs too, is
        `torch_impl.Dropout`. ValueError for a dropout of one layer."""
        make = partial(BasicRNNCell, units=units, activation=activation, device=device, dtype=dtype)
        super().__init__(make, inputs, num_layers, bidirectional, dropout, batch_first)

    def nn_rnn_state_dict(self) -> dict[str, Tensor]:
        """The weights as a state_dict for an `nn.RNN` like this; its second biases are zero."""
        found = {}
        for suffix, _, cell in self._nn_cells():
            weights = {name: weight.detach().clone() for name, weight in effective_weights(cell).items()}
            found.update({name + suffix: weights[name] for name in ("weight_ih", "weight_hh")})
            found["bias_ih" + suffix], found["bias_hh" + suffix] = weights["bias"], torch.zeros_like(weights["bias"])
        return found


class LSTM(_Layered):
    """LSTMCells over sequences, as a module: a padded tensor or a PackedSequence in, the same kind out.

    A state is a named tuple (c, h). A state_dict of an `nn.LSTM` loads too, the sum of its two biases as the one, less
    the forget bias, which is not stored here; ValueError where options make this compute another thing.
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        activation: str = "tanh",
        batch_first: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        **options: Any,
    ) -> None:
        """inputs: values per step. options: those of `LSTMCell`, such as forget_bias, peepholes and projection. The
        rest: see `RNN`."""
        make = partial(LSTMCell, units=units, activation=activation, device=device, dtype=dtype, **options)
        super().__init__(make, inputs, num_layers, bidirectional, dropout, batch_first)


class GRU(_Layered):
    """GRUCells over sequences, as a module: a padded tensor or a PackedSequence in, the same kind out.

    With reset_after a state_dict of an `nn.GRU` loads too; without it, ValueError says why not.
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        activation: str = "tanh",
        batch_first: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        reset_after: bool = False,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        """inputs: values per step. reset_after: whether the reset gate comes after the product, as in cuDNN and in
        nn.GRU, and not before it, as in TF1's GRUCell. The rest: see `RNN`."""
        options: dict[str, Any] = {"units": units, "activation": activation, "reset_after": reset_after}
        make = partial(GRUCell, **options, device=device, dtype=dtype)
        super().__init__(make, inputs, num_layers, bidirectional, dropout, batch_first)
