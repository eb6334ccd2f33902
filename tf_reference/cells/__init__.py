"""One step: a file for each kind of cell."""
