"""Backends written from outside, against the contract alone: one in NumPy, to copy from, and one in JAX."""
