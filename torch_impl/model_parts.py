"""What the models are made of: an embedding before the network, where there is one, and dense layers after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from torch_impl.cells.dense import ActiveDense, Dense
from torch_impl.cells.embedding import Embedding
from torch_impl.checks import check_integers, check_size, check_tensor
from torch_impl.conversion import DENSE, Canonical, Entry, Table, prefixed
from torch_impl.unrolling.module import Recurrent
from unrolled import models

__all__ = ["Headed", "Hidden", "Reading"]

# Hidden dense layers, from the lowest up: units and activation of each.
Hidden = Sequence[tuple[int, str]]

_EMBEDDING: Table = (Entry("embedding", ("embedding.weight",), False),)


class Reading(Canonical):
    """A model that reads sequences: of values, or with an embedding of tokens."""

    embedding: Embedding | None

    def __init__(self, reads: Recurrent, vocabulary: int | None) -> None:
        """reads: what reads the sequences. vocabulary: how many tokens there are, where they are tokens; the embedding
        gives a row of reads.inputs for each."""
        super().__init__()
        self.embedding = None
        if vocabulary is not None:
            like = next(reads.parameters())
            check_size("vocabulary", vocabulary)
            self.embedding = Embedding(vocabulary, reads.inputs, device=like.device, dtype=like.dtype)

    @property
    def reads(self) -> Recurrent:
        """What reads the sequences."""
        raise NotImplementedError

    @property
    def inputs(self) -> int:
        """Values per step; or the vocabulary, where a step is a token."""
        return self.reads.inputs if self.embedding is None else self.embedding.num_embeddings

    @property
    def embedding_table(self) -> Table:
        """How the embedding maps to its canonical weight, where there is one."""
        return () if self.embedding is None else _EMBEDDING

    def read(self, inputs: Any) -> Any:
        """What the network reads for inputs, padded or packed: themselves, or the embedding's rows."""
        if self.embedding is None:
            return inputs
        if isinstance(inputs, PackedSequence):
            return inputs._replace(data=self.embedding(inputs.data))
        return self.embedding(inputs)

    def check_inputs(self, inputs: Any) -> Tensor:
        """Inputs [rows, steps, inputs], or tokens [rows, steps]; TypeError or ValueError for anything else."""
        if self.embedding is None:
            return check_tensor("inputs", inputs, ("rows", "steps", self.inputs), next(self.parameters()))
        wanted = f"inputs must be tokens, integers [rows, steps], each from 0 to {self.inputs - 1}"
        return check_integers("inputs", inputs, ("rows", "steps"), self.inputs, wanted)


class Headed(Reading):
    """With dense layers on what the network gives. Subclasses say what they feed to these, and what their loss is."""

    hidden: Any

    def __init__(
        self,
        rnn: Recurrent,
        dense_inputs: int,
        outputs: int,
        vocabulary: int | None = None,
        hidden: Hidden = (),
        activation: str = "linear",
    ) -> None:
        """hidden: the layers below the last. activation: of the last."""
        super().__init__(rnn, vocabulary)
        self.rnn = rnn
        like, width, layers = next(rnn.parameters()), dense_inputs, []
        for units, name in hidden:
            value = models.Dense(units, name)  # ValueError for what is none
            layers.append(ActiveDense(width, value.units, value.activation, like.device, like.dtype))
            width = units
        # Nothing where there are none, so that a model without them is made of the same modules as ever.
        self.hidden = nn.ModuleList(layers) if layers else ()
        if activation == "linear":
            self.dense = Dense(width, outputs, device=like.device, dtype=like.dtype)
        else:
            self.dense = ActiveDense(width, outputs, activation, like.device, like.dtype)
        self.table = self.embedding_table + prefixed("rnn.", rnn.table)
        for number in range(len(layers)):
            own = Entry("kernel", (f"hidden.{number}.weight",), True), Entry("bias", (f"hidden.{number}.bias",), False)
            self.table += prefixed("", own, f"hidden_{number}/")
        self.table += DENSE

    @property
    def reads(self) -> Recurrent:
        return self.rnn

    def head(self, values: Tensor) -> Tensor:
        """The dense layers on values [..., width]."""
        for layer in self.hidden:
            values = layer(values)
        return self.dense(values)

    def head_of_steps(self, outputs: Any) -> Any:
        """The dense layers on a network's outputs [batch, steps, width], or on packed ones."""
        if isinstance(outputs, PackedSequence):
            return outputs._replace(data=self.head(outputs.data))
        return self.head(outputs.flatten(0, 1)).unflatten(0, outputs.shape[:2])

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """TF1's initial values for every parameter."""
        for part in (self.embedding, self.rnn, *self.hidden, self.dense):
            if part is not None:
                part.reset_parameters(generator)
