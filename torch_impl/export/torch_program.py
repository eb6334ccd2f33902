"""A model as a program of torch.export: dynamic batch and steps, loaded with plain PyTorch, without this library.

    program = torch.export.load("model.pt2").module()
    logits = program(inputs, lengths)

inputs: float tensor [batch, steps, inputs] in the dtype of the weights (float64 where a scaling asks for it, see
`scaled.check_scaling`; a regressor's predictions then too), or of a model with an embedding tokens, int64
[batch, steps]. lengths: int64 [batch] (only when exported with lengths); one beyond steps counts as steps, one below 0
as 0. Results: a classifier's logits [batch, classes], a regressor's predictions [batch, steps, outputs], a tagger's
logits [batch, steps, classes], a speller's tokens [batch, max_steps] and logits [batch, max_steps, vocabulary].

torch.export would unroll PyTorch's own kernel to one fixed number of steps, so the recurrence is torch's scan here.
"""

from __future__ import annotations

import copy
import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own idiom)
from torch import Tensor, nn

from torch_impl import states
from torch_impl.cells import Cell
from torch_impl.checkpoints.files import write_atomically
from torch_impl.export.scaled import ExportError, Scaling, check_model, check_scaling
from torch_impl.models import AnyModel, Classifier, Regressor, Speller, Tagger
from torch_impl.states import State
from torch_impl.structures import Structure

__all__ = ["build_program", "to_torch"]

_NUMBERS = ("shift", "scale", "target_shift", "target_scale")


def to_torch(
    model: AnyModel,
    path: str | os.PathLike[str],
    lengths: bool = True,
    scaling: Scaling | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Any:
    """Write the model to `path` (usually *.pt2) for torch.export.load, and return the torch.export.ExportedProgram.

    lengths: whether the program takes them. scaling: what was applied to the data, or None. metadata: text by file
    name, kept in the archive as torch.export.load's extra_files. Raises TypeError or ValueError that names the
    argument, ExportError where this PyTorch lacks scan, and CheckpointError when the file cannot be written.
    """
    program = build_program(model, lengths, scaling)
    stream = io.BytesIO()
    torch.export.save(program, stream, extra_files=dict(metadata or {}))
    write_atomically(Path(path), stream.getvalue())
    return program


def build_program(
    model: AnyModel, lengths: bool = True, scaling: Scaling | None = None, wide: bool | None = None
) -> Any:
    """The model as a torch.export.ExportedProgram; see `to_torch`, and for wide `scaled.check_scaling`."""
    scaling = check_scaling(check_model(model), scaling, wide)
    module = _Exported(model, _scan(), scaling).eval().requires_grad_(False)
    like = next(model.parameters()).detach()
    tokens = model.embedding is not None
    example = torch.zeros(3, 5, dtype=torch.int64, device=like.device) if tokens else like.new_zeros(3, 5, model.inputs)
    if module.shift is not None:
        example = example.to(module.shift.dtype)
    examples: tuple[Tensor, ...] = (example,)
    batch, steps = torch.export.Dim("batch"), torch.export.Dim("steps")
    shapes: tuple[dict[int, Any], ...] = ({0: batch, 1: steps},)
    if lengths:
        examples += (torch.tensor([5, 0, 2], device=like.device),)
        shapes += ({0: batch},)
    with torch.no_grad():
        return torch.export.export(module, examples, dynamic_shapes={"arguments": shapes})


class _Exported(nn.Module):
    """The model's own parts, and its loops written with scan."""

    def __init__(self, model: AnyModel, scan: Callable[..., Any], scaling: Scaling | None) -> None:
        super().__init__()
        self.shift: Tensor | None
        self.model = copy.deepcopy(model)
        self._scan = scan
        like = next(model.parameters()).detach()
        self.reading = (
            None if scaling is None else scaling._replace(shift=None, scale=None, target_shift=None, target_scale=None)
        )
        for name in _NUMBERS:
            array = getattr(scaling, name, None)
            given = None if array is None else torch.from_numpy(array).to(like.device)
            # In the weights' dtype, or float64 where only that holds what the values tell.
            kept = None if given is None else given.to(torch.promote_types(given.dtype, like.dtype))
            self.register_buffer(name, kept)

    def forward(self, *arguments: Tensor) -> Any:
        inputs, lengths = arguments if len(arguments) == 2 else (arguments[0], None)
        model = self.model
        values, scaling = inputs, self._scaling()
        if scaling is not None:
            inputs = scaling.read(inputs).to(next(model.parameters()).dtype)
        if model.embedding is not None:
            inputs = F.embedding(inputs, model.embedding.weight)
        rnn = model.encoder if isinstance(model, Speller) else model.rnn
        limits = None if lengths is None else lengths.clamp(0, inputs.shape[1])
        outputs, state = self._run(rnn.cell, inputs, limits)
        if isinstance(model, Classifier):
            return model.head(states.read_out(rnn.network, state))
        if isinstance(model, Speller):
            return self._spell(model, state)
        if isinstance(model, Tagger):
            return model.head(outputs)
        predictions = self._regress(model, outputs, lengths)
        return predictions if scaling is None else scaling.undo(predictions, values)

    def _scaling(self) -> Scaling | None:
        """With the buffers for its numbers, so that they become the program's own."""
        buffers = {name: getattr(self, name) for name in _NUMBERS}
        return None if self.reading is None else self.reading._replace(**buffers)

    def _run(self, cell: Cell, inputs: Tensor, lengths: Tensor | None, *_: Any) -> tuple[Tensor, State]:
        """(outputs [batch, steps, width], state) under the length law."""
        if isinstance(cell, Structure) and not cell.network.stepwise:
            return cell.unroll(self._run, inputs, lengths, None)
        steps = torch.arange(inputs.shape[1], device=inputs.device)

        def plain(state: State, here: Tensor) -> tuple[State, Tensor]:
            output, new = states.output_and_state(cell(here, state))
            return states.plain(new), output.clone()

        def masked(state: State, here: tuple[Tensor, Tensor]) -> tuple[State, Tensor]:
            assert lengths is not None
            values, step = here
            output, new = states.output_and_state(cell(values, state))
            valid = (step < lengths)[:, None]
            return states.where(valid, states.plain(new), state), torch.where(valid, output, 0.0)

        first, parts = states.plain(cell.zero_state(inputs.shape[0])), inputs.transpose(0, 1)
        state, outputs = (
            self._scan(plain, first, parts) if lengths is None else self._scan(masked, first, (parts, steps))
        )
        return outputs.transpose(0, 1), state

    def _regress(self, model: Regressor, outputs: Tensor, lengths: Tensor | None) -> Tensor:
        predictions = model.head(outputs)
        if model.projection == "wrapped" and lengths is not None:
            valid = torch.arange(outputs.shape[1], device=outputs.device) < lengths[:, None]
            predictions = torch.where(valid[:, :, None], predictions, 0.0)
        return predictions

    def _spell(self, model: Speller, state: State) -> tuple[Tensor, Tensor]:
        """Greedy decoding, as `Decoder.decode`, for max_steps steps."""
        decoder, cell, end = model.decoder, model.decoder.rnn.cell, model.decoder.end

        def step(carried: tuple[State, Tensor, Tensor], _: Tensor) -> tuple[Any, Any]:
            before, token, going = carried
            output, new = states.output_and_state(cell(decoder.embed(token), before))
            new = states.where(going[:, None], states.plain(new), before)
            logits = decoder.dense(output)
            written = torch.where(going, logits.argmax(1), end)
            collected = written.clone(), torch.where(going[:, None], logits, 0.0)
            return (new, written, going & (written != end)), collected

        token = torch.full((states.rows(state),), decoder.start, device=decoder.dense.weight.device)
        first = (state, token, torch.ones_like(token, dtype=torch.bool))
        _, (tokens, logits) = self._scan(step, first, torch.arange(model.max_steps, device=token.device))
        return tokens.transpose(0, 1), logits.transpose(0, 1)


def _scan() -> Callable[..., Any]:
    try:
        from torch._higher_order_ops.scan import scan
    except ImportError:
        raise ExportError(
            f"torch.export of a recurrence needs torch's scan, which PyTorch {torch.__version__} lacks; update PyTorch"
        ) from None
    return scan
