"""A cell over time.

static      step by step, in a Python loop
dynamic     whole sequences, padded or packed: any cell step by step, or what is faster for its kind
module      the same as a module
packing     sequences of different lengths for a kernel that knows none
fast        a cell by the path that `paths` chooses:

native, native_lstm, native_gru     PyTorch's own kernels, where those compute the same
bptt        back-propagation through time as one node of autograd, in torch alone
compiled    the same in machine code: memory (how parameters lie there), threads, teams (PyTorch's own threads); in
            Numba jit, tiles, activations, tables, compiled_loops

kinds       what a kind of cell is to the last two; pointwise: what it computes from its products, in Numba
arrangement     where the valid steps of a batch are, without the padding

The length law: past a row's length its outputs are exactly zero and its state is copied through, so the final state is
the one at its last valid step (the initial state for length 0). All steps are kept, and nothing flows back into the
padding, whatever the padding holds: NaN there reaches neither a result nor a gradient.
"""
