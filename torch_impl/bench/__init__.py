"""python -m torch_impl bench: how fast plain RNNs train here, against nn.RNN and other frameworks, in one run.

All contestants take turns, round by round, and are compared by the ratio within each round, so that whatever else the
machine does falls on all of them.
"""
