"""The speller: a sequence in, tokens of any number out."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own idiom)
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from torch_impl.checks import check_size
from torch_impl.conversion import prefixed
from torch_impl.decoding import Decoder, check_recurrent, teaching_loss, valid_steps
from torch_impl.model_parts import Reading
from torch_impl.types import Lengths
from torch_impl.unrolling.module import Recurrent


class Speller(Reading):
    """An encoder reads a sequence, and from its final state a decoder writes tokens until it writes `end`."""

    def __init__(self, encoder: Recurrent, decoder: Decoder, max_steps: int, *, vocabulary: int | None = None) -> None:
        """Encoder and decoder have states of the same parts. max_steps: the most tokens written for a row, the last
        included. vocabulary: of the tokens that are read, where the inputs are tokens: see `Classifier`. Raises
        ValueError where the states differ."""
        super().__init__(check_recurrent(encoder, "encoder"), vocabulary)
        given, taken = encoder.network.state, decoder.rnn.network.state
        if given != taken:
            raise ValueError(f"the decoder must begin with the encoder's state {given}, but its own is {taken}")
        self.encoder = encoder
        self.decoder = decoder
        self.max_steps = check_size("max_steps", max_steps)
        inner = len(decoder.rnn.table)
        self.table = (
            prefixed("", self.embedding_table, "encoder/")
            + prefixed("encoder.", encoder.table, "encoder/")
            + prefixed("decoder.", decoder.table[:inner], "decoder/")
            + prefixed("decoder.", decoder.table[inner:])
        )

    @property
    def reads(self) -> Recurrent:
        return self.encoder

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """TF1's initial values for every parameter."""
        if self.embedding is not None:
            self.embedding.reset_parameters(generator)
        self.encoder.reset_parameters(generator)
        self.decoder.reset_parameters(generator)

    def forward(self, inputs: Tensor | PackedSequence, lengths: Lengths = None, tokens: Tensor | None = None) -> Tensor:
        """inputs: [batch, steps, inputs] with lengths [batch] or None, or packed. tokens: integers [batch, n].

        Returns logits [batch, n, vocabulary]: with tokens those of teacher forcing, to train with; without, those that
        greedy decoding chose from, n = max_steps, exactly zero past a row's end.
        """
        _, state = self.encoder(self.read(inputs), lengths, outputs=False)
        if tokens is not None:
            return self.decoder(state, tokens)
        logits = self.decoder.decode(state, self.max_steps).logits
        return F.pad(logits, (0, 0, 0, self.max_steps - logits.shape[1]))

    def predict(self, inputs: Tensor | PackedSequence, lengths: Lengths = None) -> Tensor:
        """The tokens, int64 [batch, max_steps], `end` after a row's end."""
        _, state = self.encoder(self.read(inputs), lengths, outputs=False)
        tokens = self.decoder.decode(state, self.max_steps).tokens
        return F.pad(tokens, (0, self.max_steps - tokens.shape[1]), value=self.decoder.end)

    def loss(self, logits: Tensor, tokens: Tensor) -> Tensor:
        """Cross-entropy, a scalar, of teacher-forced logits: the mean over all valid steps of the batch."""
        return self.decoder.loss(logits, tokens)

    def training_loss(self, inputs: Tensor | PackedSequence, targets: Tensor, lengths: Lengths = None) -> Tensor:
        """The loss to train with, of tokens already checked."""
        _, state = self.encoder(self.read(inputs), lengths, outputs=False)
        tokens = targets.long()
        return teaching_loss(self.decoder.teach(state, tokens), tokens, self.decoder.end)

    def row_weights(self, targets: Tensor, lengths: Lengths = None) -> Tensor:
        """How many valid steps, of all that the mean loss is over, are each row's: [batch]. lengths: of the inputs."""
        return valid_steps(targets, self.decoder.end).sum(1)

    def check_targets(self, targets: Tensor, shape: tuple[int, ...]) -> None:
        """Raise TypeError or ValueError unless targets are tokens [rows, any steps]."""
        self.decoder.check_tokens(targets, shape[0], "targets")

    def prediction_shape(self, rows: int, steps: int) -> tuple[int, ...]:
        """The shape of what `forward` gives without tokens."""
        return rows, self.max_steps, self.decoder.vocabulary
