"""Output of variable length: a network that writes tokens until it writes the end-of-sequence token.

Greedy decoding feeds each row's own token back; teacher forcing feeds given tokens, and gives the loss to train with. A
row's valid steps end with its first `end`; what stands after it, in tokens or in outputs, changes nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own idiom)
from torch import Tensor, nn

from torch_impl import states
from torch_impl.cells.dense import Dense
from torch_impl.checks import check_integers, check_size, shown
from torch_impl.conversion import DENSE, EMBEDDING, Canonical, draw_, prefixed
from torch_impl.states import State
from torch_impl.unrolling.module import Recurrent
from unrolled.networks import glorot


class Decoded(NamedTuple):
    """What `Decoder.decode` gives, for `steps` steps: as many as it took until every row had ended.

    tokens: int64 [batch, steps], `end` after a row's end. lengths: int64 [batch], `end` counted. finished: bool
    [batch], False for a row stopped at the maximum. outputs [batch, steps, width] and logits [batch, steps,
    vocabulary]: exactly zero past the length. state: frozen at the row's end.
    """

    tokens: Tensor
    lengths: Tensor
    finished: Tensor
    outputs: Tensor
    state: State
    logits: Tensor


class Decoder(Canonical):
    """A recurrent network that reads the token before and, through a dense layer, writes the next.

    Tokens are one-hot, or with `embedding` the rows of a trained [vocabulary, embedding]. Initial values are TF1's:
    Glorot uniform, zero biases.
    """

    def __init__(
        self, rnn: Recurrent, vocabulary: int, start: int = 0, end: int = 0, embedding: int | None = None
    ) -> None:
        """rnn: its inputs are the vocabulary, or `embedding`. start: the token that goes in first. end: the
        end-of-sequence token; the two may be the same. Raises TypeError or ValueError that names the argument."""
        super().__init__()
        self.rnn = check_recurrent(rnn, "rnn")
        self.vocabulary = check_size("vocabulary", vocabulary)
        self.start, self.end = (
            _check_token(name, token, vocabulary) for name, token in (("start", start), ("end", end))
        )
        width = vocabulary if embedding is None else check_size("embedding", embedding)
        if rnn.inputs != width:
            what = "the vocabulary" if embedding is None else "the embedding"
            raise ValueError(f"rnn must read {width} values per step, the size of {what}, got {rnn.inputs}")
        if not rnn.network.stepwise:
            raise ValueError("rnn must read in one direction, to write one token after the other, got one of two")
        like = next(rnn.parameters())
        self.dense = Dense(rnn.network.output_size, vocabulary, device=like.device, dtype=like.dtype)
        self.embedding: nn.Parameter | None = None
        if embedding is not None:
            self.embedding = nn.Parameter(like.new_empty(vocabulary, embedding))
            draw_(self.embedding, glorot(vocabulary, embedding))
        self.table = prefixed("rnn.", rnn.table) + DENSE + (() if embedding is None else EMBEDDING)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """TF1's initial values for every parameter."""
        self.rnn.reset_parameters(generator)
        self.dense.reset_parameters(generator)
        if self.embedding is not None:
            draw_(self.embedding, glorot(*self.embedding.shape), generator)

    def embed(self, tokens: Tensor) -> Tensor:
        """What tokens (int64, any shape) put into the network: [..., inputs]."""
        if self.embedding is not None:
            return F.embedding(tokens, self.embedding)
        return F.one_hot(tokens, self.vocabulary).to(self.dense.weight.dtype)

    def forward(self, initial_state: State, tokens: Tensor) -> Tensor:
        """Teacher forcing: the logits [batch, steps, vocabulary] when `start` and then tokens[:, :-1] go in.

        tokens: integers [batch, steps]. Logits past a row's first `end` have no meaning.
        Raises TypeError or ValueError that names the argument.
        """
        self.check_tokens(tokens, self._rows(initial_state))
        return self.teach(initial_state, tokens.long())

    def teach(self, initial_state: State, tokens: Tensor) -> Tensor:
        """`forward` of int64 tokens already checked."""
        # What follows the end is replaced: it must not reach a gradient, not even times zero.
        kept = torch.where(valid_steps(tokens, self.end), tokens, self.end)
        fed = torch.cat([kept.new_full((len(kept), 1), self.start), kept[:, :-1]], 1)
        outputs, _ = self.rnn(self.embed(fed), None, initial_state)
        return self.dense(outputs)

    def loss(self, logits: Tensor, tokens: Tensor) -> Tensor:
        """Cross-entropy [a scalar] of teacher-forced logits: the sum over the valid steps divided by their number."""
        self.check_tokens(tokens, len(logits))
        return teaching_loss(logits, tokens.long(), self.end)

    @torch.no_grad()
    def decode(self, initial_state: State, max_steps: int) -> Decoded:
        """Greedy decoding from `start`: each row's likeliest token, the lowest on a tie, goes back in, until its `end`.

        max_steps: at least 1. Ends as soon as every row has; without a graph.
        Raises TypeError or ValueError that names the argument.
        """
        state, batch = initial_state, self._rows(initial_state)
        check_size("max_steps", max_steps)
        token = torch.full((batch,), self.start, device=self.dense.weight.device)
        going = torch.ones_like(token, dtype=torch.bool)
        steps: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        while len(steps) < max_steps and (not steps or bool(going.any())):
            valid = going[:, None]
            output, new = states.output_and_state(self.rnn.cell(self.embed(token), state))
            state = states.where(valid, new, state)
            logits = self.dense(output)
            token = torch.where(going, logits.argmax(1), self.end)
            steps.append((token, going, output.masked_fill(~valid, 0.0), logits.masked_fill(~valid, 0.0)))
            going = going & (token != self.end)
        tokens, valid, outputs, logits = (torch.stack(part, 1) for part in zip(*steps, strict=True))
        return Decoded(tokens, valid.sum(1), ~going, outputs, state, logits)

    def _rows(self, initial_state: State) -> int:
        """The rows of a state; raises TypeError or ValueError for what is none."""
        return states.rows(states.checked(self.rnn.network, initial_state, "batch", self.dense.weight))

    def check_tokens(self, tokens: Any, batch: int, name: str = "tokens") -> None:
        """Raise TypeError or ValueError unless tokens are integers [batch, steps] of the vocabulary."""
        wanted = f"{name} must be integers [batch, steps] = [{batch}, steps], each from 0 to {self.vocabulary - 1}"
        check_integers(name, tokens, (batch, "steps"), self.vocabulary, wanted)

    def extra_repr(self) -> str:
        return f"vocabulary={self.vocabulary}, start={self.start}, end={self.end}"


def check_recurrent(rnn: Any, name: str) -> Recurrent:
    """A recurrent module that takes batches first; TypeError or ValueError for anything else."""
    if not isinstance(rnn, Recurrent):
        raise TypeError(f"{name} must be a recurrent module, such as RNN(inputs, units), got {shown(rnn)}")
    if not rnn.batch_first:
        raise ValueError(f"{name} must have batch_first=True inside a model, which reads [batch, steps, inputs]")
    return rnn


def valid_steps(tokens: Tensor, end: int) -> Tensor:
    """Which steps of tokens [batch, steps] are valid: those up to and with a row's first `end`; bool [batch, steps]."""
    ends = (tokens == end).long()
    return ends.cumsum(1) == ends


def teaching_loss(logits: Tensor, tokens: Tensor, end: int) -> Tensor:
    """Cross-entropy, a scalar, of logits [batch, steps, vocabulary] and int64 tokens [batch, steps]: the sum over the
    valid steps divided by their number."""
    valid = valid_steps(tokens, end)
    every = F.cross_entropy(logits.flatten(0, 1), tokens.flatten(), reduction="none").view_as(valid)
    return torch.where(valid, every, 0.0).sum() / valid.sum()


def _check_token(name: str, value: Any, vocabulary: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a token, an integer from 0 to {vocabulary - 1}, got {shown(value)}")
    if not 0 <= value < vocabulary:
        raise ValueError(f"{name} must be a token, from 0 to {vocabulary - 1}, got {value}")
    return value
