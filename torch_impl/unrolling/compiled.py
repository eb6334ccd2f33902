"""The plain RNN over a whole sequence in compiled code: one call forward, one backward, whatever the number of steps.

`compiled_loops` does the work; this module makes it a node of autograd and shares a batch between threads. It imports
Numba, so nothing imports it before it is used: see `paths`. Shapes, results and the length law are
those of `torch_impl.unrolling.bptt`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torch_impl.unrolling import compiled_loops, layout
from torch_impl.unrolling.bptt import differentiable_gradients, hand_out
from torch_impl.unrolling.tiles import PADDING

__all__ = ["compiled_rnn"]

# Multiply-adds that are worth a second thread: handing work over costs about 20 microseconds, which is what one thread
# does of them in float32.
WORTH_A_THREAD = 2_000_000

# Without a graph: what the steps of the rows at hand may take, about half of a second-level cache, and the fewest rows
# at a time, below which the tiles of the product are not full.
CACHE_BYTES, LEAST_BLOCK = 1 << 19, 16

_NO_LENGTHS = np.empty(0, np.int64)
_pool: ThreadPoolExecutor | None = None


def compiled_rnn(
    inputs: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor,
    initial_state: Tensor | None = None,
    lengths: Tensor | None = None,
    activation: str = "tanh",
    outputs: bool = True,
) -> tuple[Tensor | None, Tensor]:
    """Run the RNN h' = activation(x weight_ihᵀ + h weight_hhᵀ + bias) over all steps, on the CPU.

    Shapes as in `torch_impl.unrolling.bptt`, float32 or float64; batch and steps at least 1. Returns outputs
    [batch, steps, units] (with a graph, a view of time-major memory) and state [batch, units]. A backward pass that
    builds a graph is computed by `native_rnn`, so that second derivatives are right. outputs: whether they are wanted;
    where they are not, None may stand for them.
    """
    given = (inputs, weight_ih, weight_hh, bias, initial_state)
    if not (torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in given)):
        return _without_graph(*given, lengths, activation, outputs)
    return Compiled.apply(*given, lengths, activation)


def _without_graph(
    inputs: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor,
    initial_state: Tensor | None,
    lengths: Tensor | None,
    activation: str,
    outputs: bool,
) -> tuple[Tensor | None, Tensor]:
    """The same where nothing is kept for a backward pass: some rows at a time, whose steps stay in the cache."""
    batch, steps, size = inputs.shape
    units = len(weight_hh)
    row = padded(units) + padded(1 + size)
    packed = inputs.new_empty((units + 1 + size) * padded(units)).numpy()
    x, first = array(inputs, inputs, 3), array(initial_state, inputs, 2)
    limits = _NO_LENGTHS if lengths is None else lengths.contiguous().numpy()
    layout.pack(*(array(w, inputs, 0) for w in (weight_ih, weight_hh, bias)), packed, packed[:0])
    found = inputs.new_empty(batch, steps, units) if outputs else None
    state = inputs.new_empty(batch, units)
    all_outputs, all_states, relu = None if found is None else found.numpy(), state.numpy(), activation == "relu"
    block = max(LEAST_BLOCK, CACHE_BYTES // ((steps + 1) * row * x.itemsize))

    def piece(begin: int, end: int) -> None:
        memory = np.empty((steps + 1) * min(block, end - begin) * row, x.dtype)
        for start in range(begin, end, block):
            part = slice(start, min(start + block, end))
            rows = part.stop - part.start
            flat = memory[: (steps + 1) * rows * row]
            start_state, some = first[part], limits[part]
            compiled_loops.forward(flat, x[part], _NO_LENGTHS, start_state, some, packed, units, relu, 0, rows)
            history = flat.reshape(steps + 1, rows, row)[:, :, :units]
            all_states[part] = _final_state(history, start_state, some).numpy()
            if all_outputs is not None:
                all_outputs[part] = history[1:].transpose(1, 0, 2)

    shared(batch, batch * steps * row * units, piece)
    return found, state


def padded(size: int) -> int:
    """size rounded up to whole vectors, as in the kernels."""
    return (size + PADDING - 1) // PADDING * PADDING


def shared(count: int, work: float, piece: Callable[[int, int], Any]) -> None:
    """Call piece(begin, end) over all of 0 to count: in parts, on as many threads as torch uses, if `work` is worth it.

    work: multiply-adds in all.
    """
    parts = parts_of(count, work)
    if parts == 1:
        piece(0, count)
        return
    bounds = [count * i // parts for i in range(parts + 1)]
    futures = [_executor().submit(piece, *bounds[i : i + 2]) for i in range(1, parts)]
    try:
        piece(bounds[0], bounds[1])
    finally:
        for future in futures:
            future.result()


def parts_of(count: int, work: float) -> int:
    """How many threads `shared` would use."""
    return max(1, min(torch.get_num_threads(), count, int(work / WORTH_A_THREAD)))


def _executor() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max(1, (os.cpu_count() or 2) - 1), thread_name_prefix="unrolled")
    return _pool


def _forget_executor() -> None:
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_executor)  # threads do not survive a fork


def array(tensor: Tensor | None, like: Tensor, rank: int) -> np.ndarray:
    """The tensor as a contiguous array, its own memory where it can be; for None an empty array of that rank.

    One layout only, since Numba compiles every function anew for each.
    """
    if tensor is None:
        return np.empty((0,) * rank, _DTYPES[like.dtype])
    return tensor.detach().contiguous().numpy()


_DTYPES = {torch.float32: np.float32, torch.float64: np.float64}


def _final_state(history: np.ndarray, initial_state: np.ndarray, lengths: np.ndarray) -> Tensor:
    """A copy of the state [batch, units] at each row's last valid step.

    By NumPy: a torch operation on several threads leaves these spinning for some milliseconds, on the very cores that
    the threads of the backward pass need.
    """
    if lengths.size == 0:
        return torch.from_numpy(history[-1].copy())
    state = history[lengths, np.arange(len(lengths))]
    if initial_state.size:  # where the length is 0, history has zeros instead
        state[lengths == 0] = initial_state[lengths == 0]
    return torch.from_numpy(state)


def _with_history(arguments: Sequence[Any], activation: str, back: Tensor) -> tuple[Tensor, Tensor]:
    """All steps, as `compiled_loops` has them, and the state. back: where the weights for the way back go, or empty."""
    inputs, weight_ih, weight_hh, bias, initial_state, lengths = arguments
    batch, steps, size = inputs.shape
    units = len(weight_hh)
    row = padded(units) + padded(1 + size)
    history = inputs.new_empty(steps + 1, batch, row)
    packed = inputs.new_empty((units + 1 + size) * padded(units)).numpy()
    x, first = array(inputs, inputs, 3), array(initial_state, inputs, 2)
    limits = _NO_LENGTHS if lengths is None else lengths.contiguous().numpy()
    flat, relu = history.view(-1).numpy(), activation == "relu"
    layout.pack(*(array(w, inputs, 0) for w in (weight_ih, weight_hh, bias)), packed, back.numpy())
    shared(
        batch,
        batch * steps * row * units,
        lambda begin, end: compiled_loops.forward(flat, x, _NO_LENGTHS, first, limits, packed, units, relu, begin, end),
    )
    return history, _final_state(history.numpy()[:, :, :units], first, limits)


class Compiled(torch.autograd.Function):
    """See `compiled_rnn`."""

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
        units = len(weight_hh)
        back = inputs.new_empty(units * padded(units) if any(ctx.needs_input_grad) else 0)
        arguments = inputs, weight_ih, weight_hh, bias, initial_state, lengths
        history, state = _with_history(arguments, activation, back)
        outputs, ctx.changed = hand_out(history[1:, :, :units].transpose(0, 1))
        ctx.save_for_backward(*arguments, history)
        ctx.back, ctx.activation = back, activation
        ctx.set_materialize_grads(False)
        return outputs, state

    @staticmethod
    def backward(ctx: Any, grad_outputs: Tensor | None, grad_state: Tensor | None) -> tuple[Tensor | None, ...]:
        *arguments, history = ctx.saved_tensors
        needed = ctx.needs_input_grad
        if torch.is_grad_enabled():
            return differentiable_gradients(arguments, ctx.activation, grad_outputs, grad_state, needed)
        inputs, weight_ih, weight_hh, bias, _, lengths = arguments
        if ctx.changed():
            history, _ = _with_history(arguments, ctx.activation, ctx.back[:0])
        batch, steps, size = inputs.shape
        units = len(weight_hh)
        width = padded(units)
        grads = inputs.new_empty(steps * batch * width)
        first = inputs.new_empty(batch * width if needed[4] else 0)
        states, flat = history.view(-1).numpy(), grads.numpy()
        by_outputs, by_state = array(grad_outputs, inputs, 3), array(grad_state, inputs, 2)
        limits = _NO_LENGTHS if lengths is None else lengths.contiguous().numpy()
        back, result, relu = ctx.back.numpy(), first.numpy(), ctx.activation == "relu"
        sizes = (batch, steps, units, size, relu)
        shared(
            batch,
            batch * steps * width * units,
            lambda begin, end: compiled_loops.backward(
                compiled_loops.THROUGH_TIME,
                states,
                flat,
                by_outputs,
                by_state,
                limits,
                back,
                result,
                *sizes,
                begin,
                end,
            ),
        )
        rest = (by_outputs, by_state, limits)
        grad_weights: tuple[Tensor | None, ...] = (None, None, None)
        if any(needed[1:4]):
            grad_weights = _weight_gradients(states, flat, rest, weight_ih, weight_hh, bias, sizes)
        return (
            _input_gradients(states, flat, rest, weight_ih, sizes) if needed[0] else None,
            *(g if need else None for g, need in zip(grad_weights, needed[1:4], strict=True)),
            first.view(batch, width)[:, :units] if needed[4] else None,
            None,
            None,
        )


def _weight_gradients(
    states: np.ndarray, grads: np.ndarray, rest: Any, weight_ih: Tensor, weight_hh: Tensor, bias: Tensor, sizes: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients by weight_ih, weight_hh and bias, in their own shapes."""
    units, size = weight_ih.shape
    row = padded(units) + padded(1 + size)
    sums, none = np.empty(units * row, grads.dtype), np.empty(0, grads.dtype)
    shared(
        units,
        grads.size * row,
        lambda begin, end: compiled_loops.backward(
            compiled_loops.WEIGHTS, states, grads, *rest, none, sums, *sizes, begin, end
        ),
    )
    results = torch.empty_like(weight_ih), torch.empty_like(weight_hh), torch.empty_like(bias)
    layout.unpack_gradients(sums, *(r.numpy() for r in results))
    return results


def _input_gradients(states: np.ndarray, grads: np.ndarray, rest: Any, weight_ih: Tensor, sizes: Any) -> Tensor:
    """The gradient by the inputs [batch, steps, inputs]: a view of time-major memory."""
    batch, steps, units, size, _ = sizes
    columns = padded(size)
    weights = weight_ih.new_zeros(units, columns)
    weights[:, :size] = weight_ih
    result = weight_ih.new_empty(steps, batch, columns)
    packed, target = weights.view(-1).numpy(), result.view(-1).numpy()
    shared(
        steps * batch,
        grads.size * columns,
        lambda begin, end: compiled_loops.backward(
            compiled_loops.INPUTS, states, grads, *rest, packed, target, *sizes, begin, end
        ),
    )
    return result[:, :, :size].transpose(0, 1)
