"""The matrix: the suite over several backends, as one table."""
