"""A cell over time.

static      step by step, in a Python loop
dynamic     whole sequences, padded or packed: any cell step by step, or what is faster for its kind
module      the same as a module
packing     sequences of different lengths for a kernel that knows none
native_lstm, native_gru     the LSTM and the GRU by PyTorch's own kernels, where those compute the same

plain       the plain RNN, by the path that `paths` chooses:
native      PyTorch's own kernel
bptt        back-propagation through time as one node of autograd, in torch alone
compiled, compiled_loops, activations, layout, tiles, jit     the same in machine code

The length law: past a row's length its outputs are exactly zero and its state is copied through, so the final state is
the one at its last valid step (the initial state for length 0). All steps are kept, and nothing flows back into the
padding, whatever the padding holds: NaN there reaches neither a result nor a gradient.
"""
