"""A plain RNN over a whole sequence as one node of autograd: back-propagation through time, written out by hand.

`nn.RNN` on the CPU costs three dispatches and as many autograd nodes per step, and one product per step for every
gradient. Here the input projection of all steps is one product, a step is one product and one activation, both in
place on time-major memory, and the gradients of the weights are one product each over all steps. It needs nothing but
torch; `torch_impl.unrolling.compiled` does the same in compiled code.

Shapes, in PyTorch's layout, all of one floating dtype:

    inputs [batch, steps, inputs]     weight_ih [units, inputs]     weight_hh [units, units]     bias [units]
    initial_state [batch, units] or None for zeros     lengths integers [batch] or None for full rows

The length law holds exactly: outputs past a row's length are zero, its state is the one at its last valid step, and
nothing, NaN included, passes between the padding and the rest, in either direction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torch_impl.unrolling.native import last_valid_state, native_rnn
from torch_impl.unrolling.packing import padding_mask

__all__ = ["bptt_rnn"]


def bptt_rnn(
    inputs: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor,
    initial_state: Tensor | None = None,
    lengths: Tensor | None = None,
    activation: str = "tanh",
) -> tuple[Tensor, Tensor]:
    """Run the RNN h' = activation(x weight_ihᵀ + h weight_hhᵀ + bias) over all steps.

    Shapes as in the module's text; activation is "tanh" or "relu". Returns outputs [batch, steps, units] (a view of
    time-major memory) and state [batch, units]. A backward pass that builds a graph (`create_graph=True`) is computed
    by `native_rnn`, so that second derivatives are right.
    """
    return BPTT.apply(inputs, weight_ih, weight_hh, bias, initial_state, lengths, activation)


class BPTT(torch.autograd.Function):
    """See `bptt_rnn`."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias: Tensor,
        initial_state: Tensor | None,
        lengths: Tensor | None,
        activation: str,
    ) -> tuple[Tensor, Tensor]:
        steps_first = time_major(inputs, lengths)
        history = run_forward(steps_first, weight_ih, weight_hh, bias, initial_state, lengths, activation)
        outputs, ctx.changed = hand_out(history[1:].transpose(0, 1))
        if lengths is None:
            state = history[-1].clone()
        else:
            first = history[0] if initial_state is None else initial_state
            state = last_valid_state(outputs, first, lengths)
        ctx.save_for_backward(inputs, weight_ih, weight_hh, bias, initial_state, lengths, history)
        ctx.steps_first = steps_first if ctx.needs_input_grad[1] else None
        ctx.activation = activation
        ctx.set_materialize_grads(False)
        return outputs, state

    @staticmethod
    def backward(ctx: Any, grad_outputs: Tensor | None, grad_state: Tensor | None) -> tuple[Tensor | None, ...]:
        *arguments, history = ctx.saved_tensors
        if torch.is_grad_enabled():
            return differentiable_gradients(arguments, ctx.activation, grad_outputs, grad_state, ctx.needs_input_grad)
        inputs, weight_ih, weight_hh, bias, initial_state, lengths = arguments
        if ctx.changed():
            steps_first = time_major(inputs, lengths)
            history = run_forward(steps_first, weight_ih, weight_hh, bias, initial_state, lengths, ctx.activation)
        need_inputs, need_ih, need_hh, need_bias, need_state, *_ = ctx.needs_input_grad
        grads = run_backward(history, weight_hh, lengths, ctx.activation, grad_outputs, grad_state)
        flat = grads.flatten(0, 1)
        grad_inputs = (flat @ weight_ih).view(*grads.shape[:2], -1).transpose(0, 1) if need_inputs else None
        if grad_inputs is not None and lengths is not None:
            grad_inputs = grad_inputs.masked_fill(padding_mask(lengths, len(grads))[:, :, None], 0)
        grad_initial = first_gradient(grads, weight_hh, lengths, grad_state) if need_state else None
        return (
            grad_inputs,
            flat.t() @ ctx.steps_first.flatten(0, 1) if need_ih else None,
            flat.t() @ history[:-1].flatten(0, 1) if need_hh else None,
            flat.sum(0) if need_bias else None,
            grad_initial,
            None,
            None,
        )


def hand_out(view: Tensor) -> tuple[Tensor, Callable[[], bool]]:
    """A tensor of its own over the view's memory, and a function that tells whether it was changed in place since.

    To autograd it is no view, of which one that leaves a Function must not be changed in place. The price: who needs
    the memory later asks, and computes it anew. So the usual case needs no copy.
    """
    tensor = view.data
    same = tensor.detach()  # without the graph, which would hold itself; the count of changes is one for both
    before = same._version
    return tensor, lambda: same._version != before


def time_major(inputs: Tensor, lengths: Tensor | None) -> Tensor:
    """inputs [batch, steps, inputs] as contiguous [steps, batch, inputs], zero in the padding."""
    if lengths is not None:
        inputs = inputs.masked_fill(padding_mask(lengths, inputs.shape[1])[:, :, None], 0)
    return inputs.transpose(0, 1).contiguous()


def run_forward(
    steps_first: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor,
    initial_state: Tensor | None,
    lengths: Tensor | None,
    activation: str,
) -> Tensor:
    """All states [steps + 1, batch, units], the initial one first; zero in the padding and before a row of length 0."""
    steps, batch, size = steps_first.shape
    units = weight_hh.shape[0]
    history = steps_first.new_empty(steps + 1, batch, units)
    if initial_state is None:
        history[0].zero_()
    else:
        history[0].copy_(initial_state)
    torch.addmm(bias, steps_first.view(steps * batch, size), weight_ih.t(), out=history[1:].view(steps * batch, units))
    activate = torch.tanh_ if activation == "tanh" else torch.relu_
    recurrent = weight_hh.t()
    previous, *rest = history.unbind(0)
    for current in rest:
        activate(current.addmm_(previous, recurrent))
        previous = current
    if lengths is not None:
        history[1:].masked_fill_(padding_mask(lengths, steps).t()[:, :, None], 0)
        history[0].masked_fill_((lengths == 0)[:, None], 0)
    return history


def run_backward(
    history: Tensor,
    weight_hh: Tensor,
    lengths: Tensor | None,
    activation: str,
    grad_outputs: Tensor | None,
    grad_state: Tensor | None,
) -> Tensor:
    """The cost's gradient by each step's argument of the activation, [steps, batch, units], zero in the padding."""
    steps, batch, units = len(history) - 1, history.shape[1], history.shape[2]
    grads = history.new_zeros(steps, batch, units) if grad_outputs is None else None
    if grads is None:
        grads = history.new_empty(steps, batch, units).copy_(grad_outputs.transpose(0, 1))  # type: ignore[union-attr]
        if lengths is not None:
            grads.masked_fill_(padding_mask(lengths, steps).t()[:, :, None], 0)
    if grad_state is not None and steps:
        if lengths is None:
            grads[-1] += grad_state
        else:
            rows = torch.nonzero(lengths > 0)[:, 0]
            grads[lengths[rows] - 1, rows] += grad_state[rows]
    later = None
    for current, result in zip(reversed(grads.unbind(0)), reversed(history.unbind(0)), strict=False):
        if later is not None:
            current.addmm_(later, weight_hh)
        if activation == "tanh":
            torch.ops.aten.tanh_backward.grad_input(current, result, grad_input=current)
        else:
            torch.ops.aten.threshold_backward.grad_input(current, result, 0, grad_input=current)
        later = current
    return grads


def first_gradient(grads: Tensor, weight_hh: Tensor, lengths: Tensor | None, grad_state: Tensor | None) -> Tensor:
    """The gradient by the initial state [batch, units]; a row of length 0 hands the state's gradient through."""
    if not len(grads):
        return grads.new_zeros(grads.shape[1:]) if grad_state is None else grad_state.clone()
    gradient = grads[0] @ weight_hh
    if lengths is not None:
        empty = (lengths == 0)[:, None]
        gradient = torch.where(empty, gradient.new_zeros(()) if grad_state is None else grad_state, gradient)
    return gradient


def differentiable_gradients(
    arguments: list[Tensor | None],
    activation: str,
    grad_outputs: Tensor | None,
    grad_state: Tensor | None,
    needed: tuple[bool, ...],
) -> tuple[Tensor | None, ...]:
    """The gradients with a graph of their own, from a second run by `native_rnn`.

    arguments: inputs, weight_ih, weight_hh, bias, initial_state, lengths, as they were given.
    """
    inputs, weight_ih, weight_hh, bias, initial_state, lengths = arguments
    assert inputs is not None and weight_ih is not None and weight_hh is not None and bias is not None
    results = native_rnn(inputs, weight_ih, weight_hh, bias, initial_state, lengths, activation)
    pairs = [(r, g) for r, g in zip(results, (grad_outputs, grad_state), strict=True) if g is not None]
    wanted = [a for a, need in zip(arguments, needed, strict=False) if need and a is not None]
    if not pairs:
        return (None,) * len(needed)
    roots, grads = zip(*pairs, strict=True)
    found = iter(torch.autograd.grad(roots, wanted, grads, create_graph=True, allow_unused=True))
    return tuple(next(found) if need else None for need in needed)
