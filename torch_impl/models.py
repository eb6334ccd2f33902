"""The models: a classifier on the final state, a regressor on every output, a speller of tokens; and their losses.

Each is built on a recurrent module, such as `RNN`, and keeps the protocol of `torch_impl.training.protocol`.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own idiom)
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from torch_impl import states
from torch_impl.cells.dense import Dense
from torch_impl.checks import check_lengths, check_size, check_tensor
from torch_impl.conversion import DENSE, Canonical, prefixed
from torch_impl.decoding import Decoder, check_recurrent, teaching_loss, valid_steps
from torch_impl.losses import check_labels, unpacked
from torch_impl.states import State
from torch_impl.types import Lengths
from torch_impl.unrolling.module import Recurrent

Sequences = TypeVar("Sequences", Tensor, PackedSequence)


class _Model(Canonical):
    """A recurrent module and a dense layer. Subclasses say what they feed to the layer, and what their loss is."""

    def __init__(self, rnn: Recurrent, dense_inputs: int, outputs: int) -> None:
        super().__init__()
        self.rnn = rnn
        like = next(rnn.parameters())
        self.dense = Dense(dense_inputs, outputs, device=like.device, dtype=like.dtype)
        self.table = prefixed("rnn.", rnn.table) + DENSE

    @property
    def inputs(self) -> int:
        """Values per step."""
        return self.rnn.inputs

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """TF1's initial values for every parameter."""
        self.rnn.reset_parameters(generator)
        self.dense.reset_parameters(generator)


class Classifier(_Model):
    """Logits from a dense layer on the final state. Labels are integers [batch], the loss is `cross_entropy`."""

    def __init__(self, rnn: Recurrent, classes: int) -> None:
        network = check_recurrent(rnn, "rnn").network
        width = sum(network.state[part] for part in network.read_out)
        super().__init__(rnn, width, check_size("classes", classes))

    def forward(self, inputs: Tensor | PackedSequence, lengths: Lengths = None) -> Tensor:
        """inputs [batch, steps, inputs] (or a PackedSequence), lengths [batch] or None -> logits [batch, classes]."""
        _, state = self.rnn(inputs, lengths, outputs=False)
        return self.dense(states.read_out(self.rnn.network, state))

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


class Regressor(_Model):
    """One prediction per step from a dense layer on the outputs; the loss is `mean_square`.

    projection: "stacked" is one dense layer over all outputs as [-1, width]; "wrapped" is what TF1's
    OutputProjectionWrapper computes inside the loop. They differ only on padded steps: there "stacked" predicts the
    dense layer's bias and "wrapped" exact zeros.
    """

    def __init__(self, rnn: Recurrent, outputs: int, projection: str = "stacked") -> None:
        """outputs: values per step."""
        width = check_recurrent(rnn, "rnn").network.output_size
        if projection not in ("stacked", "wrapped"):
            raise ValueError(f"projection must be 'stacked' or 'wrapped', got {projection!r}")
        super().__init__(rnn, width, check_size("outputs", outputs))
        self.projection = projection

    def forward(self, inputs: Sequences, lengths: Lengths = None) -> Sequences:
        """inputs [batch, steps, inputs], lengths [batch] or None -> predictions [batch, steps, outputs].

        A PackedSequence, which has no padding, gives a PackedSequence.
        """
        outputs, _ = self.rnn(inputs, lengths)
        packed = isinstance(outputs, PackedSequence)
        found: Any = outputs._replace(data=self.dense(outputs.data)) if packed else self._project(outputs, lengths)
        return found

    def _project(self, outputs: Tensor, lengths: Lengths) -> Tensor:
        """The predictions [batch, steps, outputs] for a network's outputs [batch, steps, width]."""
        predictions = self.dense(outputs.flatten(0, 1)).unflatten(0, outputs.shape[:2])
        if self.projection == "stacked" or lengths is None:
            return predictions
        batch, steps, _ = outputs.shape
        limits = check_lengths(lengths, batch, steps).to(outputs.device, non_blocking=True)
        padding = torch.arange(steps, device=outputs.device) >= limits[:, None]
        return predictions.masked_fill(padding[:, :, None], 0.0)

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
        outputs, last = self.rnn(inputs, lengths, state)
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


class Speller(Canonical):
    """An encoder reads a sequence, and from its final state a decoder writes tokens until it writes `end`."""

    def __init__(self, encoder: Recurrent, decoder: Decoder, max_steps: int) -> None:
        """Encoder and decoder have states of the same parts. max_steps: the most tokens written for a row, the last
        included. Raises ValueError where the states differ."""
        super().__init__()
        given, taken = check_recurrent(encoder, "encoder").network.state, decoder.rnn.network.state
        if given != taken:
            raise ValueError(f"the decoder must begin with the encoder's state {given}, but its own is {taken}")
        self.encoder = encoder
        self.decoder = decoder
        self.max_steps = check_size("max_steps", max_steps)
        inner = len(decoder.rnn.table)
        self.table = (
            prefixed("encoder.", encoder.table, "encoder/")
            + prefixed("decoder.", decoder.table[:inner], "decoder/")
            + prefixed("decoder.", decoder.table[inner:])
        )

    @property
    def inputs(self) -> int:
        """Values per step."""
        return self.encoder.inputs

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """TF1's initial values for every parameter."""
        self.encoder.reset_parameters(generator)
        self.decoder.reset_parameters(generator)

    def forward(self, inputs: Tensor | PackedSequence, lengths: Lengths = None, tokens: Tensor | None = None) -> Tensor:
        """inputs: [batch, steps, inputs] with lengths [batch] or None, or packed. tokens: integers [batch, n].

        Returns logits [batch, n, vocabulary]: with tokens those of teacher forcing, to train with; without, those that
        greedy decoding chose from, n = max_steps, exactly zero past a row's end.
        """
        _, state = self.encoder(inputs, lengths, outputs=False)
        if tokens is not None:
            return self.decoder(state, tokens)
        logits = self.decoder.decode(state, self.max_steps).logits
        return F.pad(logits, (0, 0, 0, self.max_steps - logits.shape[1]))

    def predict(self, inputs: Tensor | PackedSequence, lengths: Lengths = None) -> Tensor:
        """The tokens, int64 [batch, max_steps], `end` after a row's end."""
        _, state = self.encoder(inputs, lengths, outputs=False)
        tokens = self.decoder.decode(state, self.max_steps).tokens
        return F.pad(tokens, (0, self.max_steps - tokens.shape[1]), value=self.decoder.end)

    def loss(self, logits: Tensor, tokens: Tensor) -> Tensor:
        """Cross-entropy, a scalar, of teacher-forced logits: the mean over all valid steps of the batch."""
        return self.decoder.loss(logits, tokens)

    def training_loss(self, inputs: Tensor | PackedSequence, targets: Tensor, lengths: Lengths = None) -> Tensor:
        """The loss to train with, of tokens already checked."""
        _, state = self.encoder(inputs, lengths, outputs=False)
        tokens = targets.long()
        return teaching_loss(self.decoder.teach(state, tokens), tokens, self.decoder.end)

    def row_weights(self, targets: Tensor) -> Tensor:
        """How many valid steps, of all that the mean loss is over, are each row's: [batch]."""
        return valid_steps(targets, self.decoder.end).sum(1)

    def check_targets(self, targets: Tensor, shape: tuple[int, ...]) -> None:
        """Raise TypeError or ValueError unless targets are tokens [rows, any steps]."""
        self.decoder.check_tokens(targets, shape[0], "targets")

    def prediction_shape(self, rows: int, steps: int) -> tuple[int, ...]:
        """The shape of what `forward` gives without tokens."""
        return rows, self.max_steps, self.decoder.vocabulary


AnyModel = Classifier | Regressor | Speller
