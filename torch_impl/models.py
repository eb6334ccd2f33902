"""The models: a classifier on the final state, a regressor on every output, a speller of tokens; and their losses."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own idiom)
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from torch_impl.cells.basic_rnn import BasicRNNCell
from torch_impl.cells.dense import Dense
from torch_impl.checks import check_lengths, check_size, check_tensor
from torch_impl.conversion import CELL, DENSE, Canonical, prefixed
from torch_impl.decoding import Decoder
from torch_impl.losses import check_labels, unpacked
from torch_impl.unrolling.module import RNN


class _Model(Canonical):
    """An RNN and a dense layer. Subclasses say what they feed to the layer, and what their loss is."""

    table = prefixed("rnn.cell.", CELL) + DENSE

    def __init__(self, inputs: int, units: int, outputs: int, activation: str, device: Any, dtype: Any) -> None:
        super().__init__()
        self.rnn = RNN(inputs, units, activation, device=device, dtype=dtype)
        self.dense = Dense(units, outputs, device=device, dtype=dtype)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """TF1's initial values for every parameter."""
        self.rnn.cell.reset_parameters(generator)
        self.dense.reset_parameters(generator)

    @property
    def input_cell(self) -> BasicRNNCell:
        """The cell that reads the inputs."""
        return self.rnn.cell

    def check_targets(self, targets: Tensor, shape: tuple[int, ...]) -> None:
        """Raise TypeError or ValueError unless targets fit predictions of `shape`."""
        raise NotImplementedError

    def prediction_shape(self, rows: int, steps: int) -> tuple[int, ...]:
        """The shape of what `forward` gives for inputs [rows, steps, inputs]."""
        raise NotImplementedError

    def _criterion(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """The loss (a scalar) of targets already checked."""
        raise NotImplementedError

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """The mean loss, a scalar, of what `forward` gave. Raises TypeError or ValueError for unfit targets."""
        self.check_targets(targets, tuple(predictions.shape))
        return self._criterion(predictions, targets)

    def _training_loss(self, inputs: Tensor, targets: Tensor, lengths: Any = None) -> Tensor:
        """The loss to train with, of targets already checked."""
        return self._criterion(self(inputs, lengths), targets)


class Classifier(_Model):
    """Logits from a dense layer on the final state. Labels are integers [batch], the loss is `cross_entropy`."""

    def __init__(
        self, inputs: int, units: int, classes: int, activation: str = "tanh", device: Any = None, dtype: Any = None
    ) -> None:
        """inputs: values per step. units: size of the state. activation: "tanh" or "relu"."""
        super().__init__(inputs, units, check_size("classes", classes), activation, device, dtype)

    def forward(self, inputs: Tensor | PackedSequence, lengths: Any = None) -> Tensor:
        """inputs [batch, steps, inputs] (or a PackedSequence), lengths [batch] or None -> logits [batch, classes]."""
        _, state = self.rnn(inputs, lengths, outputs=False)
        return self.dense(state)

    def predict(self, inputs: Tensor | PackedSequence, lengths: Any = None) -> Tensor:
        """The class of the largest logit, int64 [batch]; the lowest class on a tie."""
        return self(inputs, lengths).argmax(1)

    def check_targets(self, targets: Tensor, shape: tuple[int, ...]) -> None:
        check_labels(targets, shape)

    def prediction_shape(self, rows: int, steps: int) -> tuple[int, ...]:
        return rows, self.dense.out_features

    def _criterion(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(predictions, targets.long())


class Regressor(_Model):
    """One prediction per step from a dense layer on the outputs; the loss is `mean_square`.

    projection: "stacked" is one dense layer over all outputs as [-1, units]; "wrapped" is what TF1's
    OutputProjectionWrapper computes inside the loop. They differ only on padded steps: there "stacked" predicts the
    dense layer's bias and "wrapped" exact zeros.
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        outputs: int,
        activation: str = "relu",
        projection: str = "stacked",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        """inputs, outputs: values per step. units: size of the state. activation: "tanh" or "relu"."""
        if projection not in ("stacked", "wrapped"):
            raise ValueError(f"projection must be 'stacked' or 'wrapped', got {projection!r}")
        super().__init__(inputs, units, check_size("outputs", outputs), activation, device, dtype)
        self.projection = projection

    def forward(self, inputs: Tensor | PackedSequence, lengths: Any = None) -> Any:
        """inputs [batch, steps, inputs], lengths [batch] or None -> predictions [batch, steps, outputs].

        A PackedSequence, which has no padding, gives a PackedSequence.
        """
        outputs, _ = self.rnn(inputs, lengths)
        if isinstance(outputs, PackedSequence):
            return outputs._replace(data=self.dense(outputs.data))
        return self.project(outputs, lengths)

    def project(self, outputs: Tensor, lengths: Any = None) -> Tensor:
        """The predictions [batch, steps, outputs] for a cell's outputs [batch, steps, units]."""
        predictions = self.dense(outputs.flatten(0, 1)).unflatten(0, outputs.shape[:2])
        if self.projection == "stacked" or lengths is None:
            return predictions
        batch, steps, _ = outputs.shape
        limits = check_lengths(lengths, batch, steps).to(outputs.device, non_blocking=True)
        padding = torch.arange(steps, device=outputs.device) >= limits[:, None]
        return predictions.masked_fill(padding[:, :, None], 0.0)

    def predict(self, inputs: Tensor | PackedSequence, lengths: Any = None) -> Any:
        """The predictions, as `forward` gives them."""
        return self(inputs, lengths)

    def loss(self, predictions: Any, targets: Any) -> Tensor:
        """The mean square error, a scalar; for PackedSequences over the values that they hold: see `mean_square`."""
        return super().loss(*unpacked(predictions, targets))

    def check_targets(self, targets: Tensor, shape: tuple[int, ...]) -> None:
        check_tensor("targets", targets, shape, self.dense.weight)

    def prediction_shape(self, rows: int, steps: int) -> tuple[int, ...]:
        return rows, steps, self.dense.out_features

    def _criterion(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(predictions, targets)

    def extra_repr(self) -> str:
        return f"projection={self.projection!r}"


class Speller(Canonical):
    """An encoder reads a sequence, and from its final state a decoder writes tokens until it writes `end`."""

    table = (
        prefixed("encoder.cell.", CELL, "encoder/")
        + prefixed("decoder.rnn.cell.", CELL, "decoder/")
        + prefixed("decoder.", DENSE)
    )

    def __init__(
        self,
        inputs: int,
        units: int,
        vocabulary: int,
        max_steps: int,
        activation: str = "tanh",
        start: int = 0,
        end: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        """inputs: values per step. units: size of either state. max_steps: the most tokens written for a row, `end`
        included. activation: "tanh" or "relu". start, end: the first token to go in, and the last to come out."""
        super().__init__()
        self.encoder = RNN(inputs, units, activation, device=device, dtype=dtype)
        self.decoder = Decoder(vocabulary, units, activation, start, end, device=device, dtype=dtype)
        self.max_steps = check_size("max_steps", max_steps)

    @property
    def input_cell(self) -> BasicRNNCell:
        """The cell that reads the inputs."""
        return self.encoder.cell

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """TF1's initial values for every parameter."""
        self.encoder.cell.reset_parameters(generator)
        self.decoder.reset_parameters(generator)

    def forward(self, inputs: Tensor | PackedSequence, lengths: Any = None, tokens: Tensor | None = None) -> Tensor:
        """inputs: [batch, steps, inputs] with lengths [batch] or None, or packed. tokens: integers [batch, n].

        Returns logits [batch, n, vocabulary]: with tokens those of teacher forcing, to train with; without, those that
        greedy decoding chose from, n = max_steps, exactly zero past a row's end.
        """
        _, state = self.encoder(inputs, lengths, outputs=False)
        if tokens is not None:
            return self.decoder(state, tokens)
        logits = self.decoder.decode(state, self.max_steps).logits
        return F.pad(logits, (0, 0, 0, self.max_steps - logits.shape[1]))

    def predict(self, inputs: Tensor | PackedSequence, lengths: Any = None) -> Tensor:
        """The tokens, int64 [batch, max_steps], `end` after a row's end."""
        _, state = self.encoder(inputs, lengths, outputs=False)
        tokens = self.decoder.decode(state, self.max_steps).tokens
        return F.pad(tokens, (0, self.max_steps - tokens.shape[1]), value=self.decoder.end)

    def loss(self, logits: Tensor, tokens: Tensor) -> Tensor:
        """Cross-entropy, a scalar, of teacher-forced logits: the mean over all valid steps of the batch."""
        return self.decoder.loss(logits, tokens)

    def _training_loss(self, inputs: Tensor, targets: Tensor, lengths: Any = None) -> Tensor:
        """The loss to train with, of targets already checked."""
        _, state = self.encoder(inputs, lengths, outputs=False)
        return self.decoder._criterion(self.decoder.teach(state, targets), targets)

    def prediction_shape(self, rows: int, steps: int) -> tuple[int, ...]:
        """The shape of what `forward` gives without tokens."""
        return rows, self.max_steps, self.decoder.vocabulary

    def check_targets(self, targets: Any, shape: tuple[int, ...]) -> None:
        """Raise TypeError or ValueError unless targets are tokens [rows, any steps]."""
        self.decoder.check_tokens(targets, shape[0], "targets")


AnyModel = Classifier | Regressor | Speller
