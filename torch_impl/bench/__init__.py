"""python -m torch_impl bench: how fast networks train here, against PyTorch's own layers and other frameworks.

All contestants take turns, round by round, and are compared by the ratio within each round, so that whatever else the
machine does falls on all of them.
"""
