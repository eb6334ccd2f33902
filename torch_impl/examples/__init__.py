"""Programs to begin with, each of a page: python -m torch_impl.examples.own_sequences, own_module, served_from_tf1.

A backend of one's own is spec_tests/examples/numpy_backend.py.
"""
