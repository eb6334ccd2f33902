"""The models: a classifier on the final state, a regressor or a tagger on every output, a speller of tokens; and
their losses.

Each is built on a recurrent module, such as `RNN`, may have an embedding before it, and keeps the protocol of
`torch_impl.training.protocol`.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own idiom)
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from torch_impl import states
from torch_impl.checks import INTEGER_DTYPES, check_integers, check_lengths, check_size, check_tensor
from torch_impl.decoding import check_recurrent
from torch_impl.losses import check_labels, unpacked
from torch_impl.model_parts import Headed, Hidden
from torch_impl.speller import Speller
from torch_impl.states import State
from torch_impl.types import Lengths
from torch_impl.unrolling.module import Recurrent
from torch_impl.unrolling.packing import padding_mask

__all__ = ["AnyModel", "Classifier", "Regressor", "Speller", "Tagger"]

Sequences = TypeVar("Sequences", Tensor, PackedSequence)


class Classifier(Headed):
    """Logits from a dense layer on the final state. Labels are integers [batch], the loss is `cross_entropy`."""

    def __init__(
        self,
        rnn: Recurrent,
        classes: int,
        *,
        vocabulary: int | None = None,
        hidden: Hidden = (),
        activation: str = "linear",
    ) -> None:
        """vocabulary: with it inputs are tokens, integers [batch, steps] below it, and an embedding gives the network
        rows of rnn.inputs. hidden: dense layers below the last, from the lowest up, as (units, activation), each
        activation one of unrolled.networks.ACTIVATIONS. activation: of the last. Raises TypeError or ValueError that
        names the argument."""
        network = check_recurrent(rnn, "rnn").network
        width = sum(network.state[part] for part in network.read_out)
        super().__init__(rnn, width, check_size("classes", classes), vocabulary, hidden, activation)

    def forward(self, inputs: Tensor | PackedSequence, lengths: Lengths = None) -> Tensor:
        """inputs [batch, steps, inputs] (or a PackedSequence), lengths [batch] or None -> logits [batch, classes]."""
        _, state = self.rnn(self.read(inputs), lengths, outputs=False)
        return self.head(states.read_out(self.rnn.network, state))

    def predict(self, inputs: Tensor | PackedSequence, lengths: Lengths = None) -> Tensor:
        """The class of the largest logit, int64 [batch]; the lowest class on a tie."""
        return self(inputs, lengths).argmax(1)

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """The mean loss, a scalar, of what `forward` gave. Raises TypeError or ValueError for unfit targets."""
        self.check_targets(targets, tuple(predictions.shape))
        return F.cross_entropy(predictions, targets.long())

    def training_loss(self, inputs: Tensor | PackedSequence, targets: Tensor, lengths: Lengths = None) -> Tensor:
        """The loss to train with, of targets already checked."""
        return F.cross_entropy(self(inputs, lengths), targets.long())

    def check_targets(self, targets: Tensor, shape: tuple[int, ...]) -> None:
        """Raise TypeError or ValueError unless targets fit predictions of `shape`."""
        check_labels(targets, shape)

    def prediction_shape(self, rows: int, steps: int) -> tuple[int, ...]:
        """The shape of what `forward` gives for inputs [rows, steps, inputs]."""
        return rows, self.dense.out_features


class Regressor(Headed):
    """One prediction per step from a dense layer on the outputs; the loss is `mean_square`.

    projection: "stacked" is one dense layer over all outputs as [-1, width]; "wrapped" is what TF1's
    OutputProjectionWrapper computes inside the loop. They differ only on padded steps: there "stacked" predicts the
    dense layer's bias and "wrapped" exact zeros.
    """

    def __init__(
        self,
        rnn: Recurrent,
        outputs: int,
        projection: str = "stacked",
        *,
        vocabulary: int | None = None,
        hidden: Hidden = (),
        activation: str = "linear",
    ) -> None:
        """outputs: values per step. vocabulary, hidden, activation: see `Classifier`; a projection that is wrapped is
        one linear layer."""
        width = check_recurrent(rnn, "rnn").network.output_size
        if projection not in ("stacked", "wrapped"):
            raise ValueError(f"projection must be 'stacked' or 'wrapped', got {projection!r}")
        if projection == "wrapped" and (hidden or activation != "linear"):
            raise ValueError("projection 'wrapped' is one linear dense layer, got hidden ones or an activation")
        super().__init__(rnn, width, check_size("outputs", outputs), vocabulary, hidden, activation)
        self.projection = projection

    def forward(self, inputs: Sequences, lengths: Lengths = None) -> Sequences:
        """inputs [batch, steps, inputs], lengths [batch] or None -> predictions [batch, steps, outputs].

        A PackedSequence, which has no padding, gives a PackedSequence.
        """
        outputs, _ = self.rnn(self.read(inputs), lengths)
        return self._project(outputs, lengths)

    def _project(self, outputs: Sequences, lengths: Lengths) -> Sequences:
        """The predictions [batch, steps, outputs] for a network's outputs [batch, steps, width]."""
        predictions = self.head_of_steps(outputs)
        if self.projection == "stacked" or lengths is None or isinstance(predictions, PackedSequence):
            return predictions
        return predictions.masked_fill(_padding(lengths, predictions)[:, :, None], 0.0)

    def predict(self, inputs: Sequences, lengths: Lengths = None) -> Sequences:
        """The predictions, as `forward` gives them."""
        return self(inputs, lengths)

    def loss(self, predictions: Sequences, targets: Sequences) -> Tensor:
        """The mean square error, a scalar; for PackedSequences over the values that they hold: see `mean_square`."""
        values, wanted = unpacked(predictions, targets)
        self.check_targets(wanted, tuple(values.shape))
        return F.mse_loss(values, wanted)

    def training_loss(self, inputs: Tensor, targets: Tensor, lengths: Lengths = None) -> Tensor:
        """The loss to train with, of targets already checked."""
        return F.mse_loss(self(inputs, lengths), targets)

    def segment_loss(self, inputs: Tensor, targets: Tensor, lengths: Lengths, state: State) -> tuple[Tensor, State]:
        """`training_loss` of some steps of the sequences, from the state before them; and the state after them."""
        outputs, last = self.rnn(self.read(inputs), lengths, state)
        return F.mse_loss(self._project(outputs, lengths), targets), last

    def zero_state(self, batch: int) -> State:
        """The state before the first segment. Raises ValueError for a network that reads in two directions."""
        if not self.rnn.network.stepwise:
            raise ValueError("a network that reads in two directions needs whole sequences, and cannot be truncated")
        return self.rnn.zero_state(batch)

    def check_targets(self, targets: Tensor, shape: tuple[int, ...]) -> None:
        """Raise TypeError or ValueError unless targets fit predictions of `shape`."""
        check_tensor("targets", targets, shape, self.dense.weight)

    def prediction_shape(self, rows: int, steps: int) -> tuple[int, ...]:
        """The shape of what `forward` gives for inputs [rows, steps, inputs]."""
        return rows, steps, self.dense.out_features

    def extra_repr(self) -> str:
        return f"projection={self.projection!r}"


class Tagger(Headed):
    """Logits from a dense layer on every output, such as a class for each word. Targets are integers [batch, steps],
    the loss is cross-entropy: its sum over the valid steps divided by their number, 0 where there are none."""

    def __init__(
        self,
        rnn: Recurrent,
        classes: int,
        *,
        vocabulary: int | None = None,
        hidden: Hidden = (),
        activation: str = "linear",
    ) -> None:
        """See `Classifier`."""
        width = check_recurrent(rnn, "rnn").network.output_size
        super().__init__(rnn, width, check_size("classes", classes), vocabulary, hidden, activation)

    def forward(self, inputs: Sequences, lengths: Lengths = None) -> Sequences:
        """inputs [batch, steps, inputs], lengths [batch] or None -> logits [batch, steps, classes].

        A PackedSequence, which has no padding, gives a PackedSequence.
        """
        outputs, _ = self.rnn(self.read(inputs), lengths)
        return self.head_of_steps(outputs)

    def predict(self, inputs: Sequences, lengths: Lengths = None) -> Any:
        """The class of the largest logit, the lowest on a tie: int64 [batch, steps], 0 past a row's length."""
        logits = self(inputs, lengths)
        if isinstance(logits, PackedSequence):
            return logits._replace(data=logits.data.argmax(1))
        classes = logits.argmax(2)
        return classes if lengths is None else classes.masked_fill(_padding(lengths, classes), 0)

    def loss(self, logits: Sequences, targets: Sequences, lengths: Lengths = None) -> Tensor:
        """The loss, a scalar, of what `forward` gave; targets past a row's length may have any value. Of two
        PackedSequences, packed alike, over the steps that they hold. Raises TypeError or ValueError for unfit targets.
        """
        values, wanted = unpacked(logits, targets)
        if values.ndim == 2:
            check_labels(wanted, tuple(values.shape))
            return F.cross_entropy(values, wanted.long())
        wanted = wanted if lengths is None else self.valid_targets(wanted, lengths)
        self.check_targets(wanted, tuple(values.shape))
        return self._loss(values, wanted, lengths)

    def training_loss(self, inputs: Tensor, targets: Tensor, lengths: Lengths = None) -> Tensor:
        """The loss to train with, of targets already checked."""
        return self._loss(self(inputs, lengths), targets, lengths)

    def _loss(self, logits: Tensor, targets: Tensor, lengths: Lengths) -> Tensor:
        if lengths is None:
            return F.cross_entropy(logits.flatten(0, 1), targets.long().flatten())
        padding = _padding(lengths, logits)
        kept = targets.long().masked_fill(padding, 0)
        every = F.cross_entropy(logits.flatten(0, 1), kept.flatten(), reduction="none").view_as(padding)
        return every.masked_fill(padding, 0.0).sum() / (~padding).sum().clamp(min=1)

    def valid_targets(self, targets: Tensor, lengths: Lengths) -> Tensor:
        """The targets with 0 past a row's length, where they may have any value."""
        fit = isinstance(targets, Tensor) and targets.dtype in INTEGER_DTYPES and targets.ndim == 2
        return targets.masked_fill(_padding(lengths, targets), 0) if fit else targets

    def row_weights(self, targets: Tensor, lengths: Lengths = None) -> Tensor:
        """How many valid steps, of all that the loss is over, are each row's: [batch]."""
        batch, steps = targets.shape
        counts = torch.full((batch,), steps) if lengths is None else check_lengths(lengths, batch, steps)
        return counts if counts.any() else torch.ones_like(counts)  # a loss of 0, whatever the shares

    def check_targets(self, targets: Tensor, shape: tuple[int, ...]) -> None:
        """Raise TypeError or ValueError unless targets fit logits of `shape`."""
        rows, steps, classes = shape
        wanted = f"targets must be integers [batch, steps] = [{rows}, {steps}], each from 0 to {classes - 1}"
        check_integers("targets", targets, (rows, steps), classes, wanted)

    def prediction_shape(self, rows: int, steps: int) -> tuple[int, ...]:
        """The shape of what `forward` gives for inputs [rows, steps, inputs]."""
        return rows, steps, self.dense.out_features


AnyModel = Classifier | Regressor | Tagger | Speller


def _padding(lengths: Lengths, values: Tensor) -> Tensor:
    """Whether a step of values [batch, steps, ...] lies past its row's length: bool [batch, steps]."""
    batch, steps = values.shape[:2]
    limits = check_lengths(lengths, batch, steps).to(values.device, non_blocking=True)
    return padding_mask(limits, steps)
